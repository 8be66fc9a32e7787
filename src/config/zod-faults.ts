// Owns finding the faults of a value part by part, and not many more of them than anybody reads.
// Must not word them: zod-problems.ts does.
import { z } from 'zod'
import { accepts, isPlainObject, passesChecks } from './zod-accepts.ts'

type Issue = z.core.$ZodIssue
type Schema = z.core.$ZodType
type Path = readonly PropertyKey[]

/**
 * What zod finds in a value, asked for each part that is wrong instead of for all at once: zod tells
 * every fault of every branch, which for 100,000 wrong rules takes seconds and half a gigabyte.
 * Stops soon after `limit`; empty only where zod may find nothing either.
 */
export function faultsOf(schema: Schema, value: unknown, limit: number): Issue[] {
  const issues: Issue[] = []
  const isFull = () => issues.length >= limit

  const ask = (part: Schema, given: unknown, path: Path): void => {
    for (const issue of z.core.safeParse(part, given).error?.issues ?? []) {
      issues.push({ ...issue, path: [...path, ...issue.path] })
    }
  }
  const visit = (outer: Schema, given: unknown, path: Path): void => {
    if (isFull() || accepts(outer, given)) return
    const part = branchFor(outer, given)
    const before = issues.length
    for (const [step, inner, member] of membersOf(part, given)) {
      if (isFull()) break
      if (step === undefined) ask(inner, member, path)
      else visit(inner, member, [...path, step])
    }
    // What is wrong and has no wrong part is wrong itself.
    if (issues.length === before) ask(part, given, path)
  }

  visit(schema, value, [])
  return issues
}

/** Through `optional`, and to the only branch of a union whose outer type fits; else the schema itself. */
function branchFor(schema: Schema, value: unknown): Schema {
  if (hasType(schema, 'optional')) return branchFor(schema._zod.def.innerType, value)
  if (!hasType(schema, 'union')) return schema
  const [branch, ...others] = schema._zod.def.options.filter((option) => mayFit(option, value))
  return branch === undefined || others.length > 0 ? schema : branchFor(branch, value)
}

function mayFit(schema: Schema, value: unknown): boolean {
  if (hasType(schema, 'array')) return Array.isArray(value)
  if (hasType(schema, 'object') || hasType(schema, 'record')) return isPlainObject(value)
  return hasType(schema, 'string') ? typeof value === 'string' : true
}

/** Without a step: a mapping of nothing but a key that is wrong or missing, to be asked for as it is. */
type Member = readonly [step: PropertyKey | undefined, schema: Schema, value: unknown]

/** What can be looked at on its own: items of a list that is not too long, entries of a mapping. */
function membersOf(schema: Schema, value: unknown): Iterable<Member> {
  if (hasType(schema, 'array') && Array.isArray(value) && passesChecks(schema, value)) {
    return itemsOf(schema, value)
  }
  if (isStrictObject(schema) && isPlainObject(value)) return keysOf(schema, value)
  if (isTextRecord(schema) && isPlainObject(value)) return entriesOf(schema, value)
  return []
}

function* itemsOf(schema: z.core.$ZodArray, list: readonly unknown[]): Generator<Member> {
  for (const [index, item] of list.entries()) yield [index, schema._zod.def.element, item]
}

const NO_KEYS = z.strictObject({})

function* keysOf(schema: z.core.$ZodObject, map: Record<string, unknown>): Generator<Member> {
  const { shape } = schema._zod.def
  for (const [name, member] of Object.entries(shape)) {
    if (Object.hasOwn(map, name)) yield [name, member, map[name]]
    else if (!hasType(member, 'optional')) yield [undefined, z.strictObject({ [name]: member }), {}]
  }
  for (const name of Object.keys(map)) {
    if (!Object.hasOwn(shape, name)) yield [undefined, NO_KEYS, { [name]: map[name] }]
  }
}

function* entriesOf(schema: z.core.$ZodRecord, map: Record<string, unknown>): Generator<Member> {
  const { keyType, valueType } = schema._zod.def
  for (const key of Object.keys(map)) {
    if (accepts(keyType, key)) yield [key, valueType, map[key]]
    else yield [undefined, schema, { [key]: map[key] }]
  }
}

interface SchemaTypes {
  readonly array: z.core.$ZodArray
  readonly object: z.core.$ZodObject
  readonly optional: z.core.$ZodOptional
  readonly record: z.core.$ZodRecord
  readonly string: z.core.$ZodString
  readonly union: z.core.$ZodUnion
}

const hasType = <Type extends keyof SchemaTypes>(
  schema: Schema,
  type: Type,
): schema is SchemaTypes[Type] => schema._zod.def.type === type

const isStrictObject = (schema: Schema): schema is z.core.$ZodObject =>
  hasType(schema, 'object') && schema._zod.def.catchall?._zod.def.type === 'never'

const isTextRecord = (schema: Schema): schema is z.core.$ZodRecord =>
  hasType(schema, 'record') && schema._zod.def.keyType._zod.def.type === 'string'
