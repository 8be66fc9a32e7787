// Owns a quick yes to a value that a zod schema takes as it is; says no wherever it is not sure.
// Must not tell what is wrong or change a value: zod itself is asked after a no.
import type { z } from 'zod'

type Schema = z.core.$ZodType
type Accepts = (value: unknown) => boolean

const known = new WeakMap<Schema, Accepts>()

/**
 * Whether zod would take plain data, such as YAML gives, and give it back unchanged. A yes is certain.
 * zod makes two objects for every value that it looks at and all faults of every branch of a union
 * that does not fit: for 100,000 rules that is a second (docs/performance.md), of which this takes a tenth.
 */
export function accepts(schema: Schema, value: unknown): boolean {
  let accept = known.get(schema)
  if (accept === undefined) {
    accept = acceptOf(schema)
    known.set(schema, accept)
  }
  return accept(value)
}

function acceptOf(schema: Schema): Accepts {
  const accept = structureOf(schema)
  const { checks, format } = schema._zod.def as Checked
  if (accept === undefined || format !== undefined) return asZodDoes(schema)
  if (checks === undefined || checks.length === 0) return accept
  const checked: Accepts = (value) => accept(value) && checks.every((check) => passes(check, value))
  return accept === isText ? remembering(checked) : checked
}

/** Names and scopes stand in many rules; the checks of each cost as much as all else. */
const MAX_REMEMBERED = 10_000

function remembering(accept: Accepts): Accepts {
  const right = new Set<unknown>()
  return (value) => {
    if (right.has(value)) return true
    if (!accept(value)) return false
    if (right.size >= MAX_REMEMBERED) right.clear()
    right.add(value)
    return true
  }
}

interface Checked {
  readonly checks?: readonly z.core.$ZodCheck[]
  readonly format?: string
}

/** Whether the schema's own checks (lengths, refinements) pass, whatever is inside the value. */
export function passesChecks(schema: Schema, value: unknown): boolean {
  const { checks = [] } = schema._zod.def as Checked
  return checks.every((check) => passes(check, value))
}

/** The kinds of schema that rule files are made of, all that hold others among them. */
function structureOf(schema: Schema): Accepts | undefined {
  const def = schema._zod.def as z.core.$ZodTypeDef
  switch (def.type) {
    case 'string':
      return (def as z.core.$ZodStringDef).coerce === true ? undefined : isText
    case 'array':
      return arrayOf(acceptOf((def as z.core.$ZodArrayDef).element))
    case 'record':
      return recordOf(def as z.core.$ZodRecordDef)
    case 'object':
      return objectOf(def as z.core.$ZodObjectDef)
    case 'union':
      return anyOf((def as z.core.$ZodUnionDef).options.map(acceptOf))
    default:
      return undefined
  }
}

const isText: Accepts = (value) => typeof value === 'string'

const arrayOf =
  (item: Accepts): Accepts =>
  (value) =>
    Array.isArray(value) && value.every(item)

const anyOf =
  (options: readonly Accepts[]): Accepts =>
  (value) =>
    options.some((option) => option(value))

/** Only with free keys: a list of keys says also which must be there. */
function recordOf(def: z.core.$ZodRecordDef): Accepts | undefined {
  if (def.keyType._zod.def.type !== 'string') return undefined
  const [key, member] = [acceptOf(def.keyType), acceptOf(def.valueType)]
  return (value) => {
    if (!isPlainObject(value)) return false
    for (const name of Object.keys(value)) if (!key(name) || !member(value[name])) return false
    return true
  }
}

/** Only where unknown keys are refused: others are taken out of the value or let through. */
function objectOf({ shape, catchall }: z.core.$ZodObjectDef): Accepts | undefined {
  if (catchall?._zod.def.type !== 'never') return undefined
  const members = new Map<string, Accepts>()
  const required: string[] = []
  for (const [name, schema] of Object.entries(shape)) {
    const def = schema._zod.def as z.core.$ZodOptionalDef
    const isOptional = def.type === 'optional'
    members.set(name, acceptOf(isOptional ? def.innerType : schema))
    if (!isOptional) required.push(name)
  }
  return (value) => {
    if (!isPlainObject(value)) return false
    for (const name of Object.keys(value))
      if (members.get(name)?.(value[name]) !== true) return false
    return required.every((name) => Object.hasOwn(value, name))
  }
}

/** A mapping as YAML and JSON give it. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype &&
    !Object.hasOwn(value, '__proto__')
  )
}

function passes(check: z.core.$ZodCheck, value: unknown): boolean {
  const payload: z.core.ParsePayload<never> = { value: value as never, issues: [] }
  // A promise is not awaited, so it is no yes.
  return (
    check._zod.check(payload) === undefined &&
    payload.issues.length === 0 &&
    payload.value === value
  )
}

function asZodDoes(schema: Schema): Accepts {
  return (value) => {
    const payload = { value, issues: [] }
    const result = schema._zod.run(payload, { async: false })
    return !(result instanceof Promise) && result.issues.length === 0 && result.value === value
  }
}
