// Owns the translation of zod's issues into problems with a place, plain words and a suggestion.
// Must not hold any schema.
import type { z } from 'zod'
import { clip, nearest, type Problem, pathText } from './problem.ts'
import { MAX_YAML_PROBLEMS, type YamlDocument } from './yaml.ts'
import { accepts } from './zod-accepts.ts'
import { faultsOf } from './zod-faults.ts'

type Issue = z.core.$ZodIssue
type Schema = z.core.$ZodType

/** What {@link safeParse} gives. */
export type Parsed<T> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly error: { readonly issues: readonly Issue[] } }

/** As zod's own, in time and memory that do not grow with the number of faults. */
export function safeParse<T>(schema: z.ZodType<T>, value: unknown): Parsed<T> {
  if (accepts(schema, value)) return { success: true, data: value as T }
  try {
    const issues = faultsOf(schema, value, MAX_YAML_PROBLEMS)
    return issues.length > 0 ? { success: false, error: { issues } } : schema.safeParse(value)
  } catch (error) {
    // zod runs out of stack where one part that cannot be split holds more than some 100,000 faults.
    if (!(error instanceof RangeError)) throw error
    const message = 'there are too many faults to tell them'
    return { success: false, error: { issues: [{ code: 'custom', path: [], message }] } }
  }
}

/**
 * Gives the problems of a failed parse of the document, MAX_YAML_PROBLEMS at most. With the schema that
 * failed, unknown keys get a "did you mean" from the keys that it knows at that place.
 */
export function problemsOfZod(
  document: YamlDocument,
  error: { readonly issues: readonly Issue[] },
  schema?: Schema,
): Problem[] {
  const problems: Problem[] = []
  for (const issue of error.issues) {
    if (problems.length >= MAX_YAML_PROBLEMS) break
    problems.push(...problemsOf(document, issue, [], schema))
  }
  return problems.slice(0, MAX_YAML_PROBLEMS)
}

function problemsOf(
  document: YamlDocument,
  issue: Issue,
  prefix: readonly PropertyKey[],
  schema: Schema | undefined,
): Problem[] {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MAX_YAML_PROBLEMS)
      .map((key) => unknownKey(document, path, key, schema))
  }
  if (issue.code === 'invalid_union') {
    const nested = likelyBranch(issue, document, path)
    if (nested !== undefined)
      return nested.flatMap((each) => problemsOf(document, each, path, schema))
  }
  const value = valueAt(document.value, path)
  if (value === undefined && path.length > 0 && issue.code !== 'custom') {
    const key = path.at(-1)
    const message =
      typeof key === 'string' ? `the key \`${clip(key, 64)}\` is missing` : 'a value is missing'
    const parent = path.slice(0, -1)
    return [{ ...problem(document, parent, message), ...document.positionOf(parent, 'key') }]
  }
  if (issue.code === 'invalid_key') {
    const first = issue.issues[0]
    const place = document.positionOf(path, 'key')
    const message = `this name is not allowed: ${first === undefined ? issue.message : wordsOf(first, path.at(-1))}`
    return [{ ...problem(document, path, message), ...place }]
  }
  const suggestion =
    issue.code === 'invalid_value' && typeof value === 'string'
      ? nearest(value, issue.values.map(String))
      : undefined
  return [
    {
      ...problem(document, path, wordsOf(issue, value)),
      ...(suggestion === undefined ? {} : { suggestion }),
    },
  ]
}

function problem(document: YamlDocument, path: readonly PropertyKey[], message: string): Problem {
  const place = document.positionOf(path)
  return { file: document.file, ...place, path: pathText(path), message, severity: 'error' }
}

function unknownKey(
  document: YamlDocument,
  path: readonly PropertyKey[],
  key: string,
  schema: Schema | undefined,
): Problem {
  const full = [...path, key]
  const known = schema === undefined ? new Set<string>() : knownKeys(schema, path)
  const suggestion = nearest(key, known)
  return {
    file: document.file,
    ...document.positionOf(full, 'key'),
    path: pathText(full),
    message: 'unknown key',
    ...(suggestion === undefined ? {} : { suggestion }),
    severity: 'error',
  }
}

/**
 * The branch of a union that the author probably had in mind: the only one whose outer type fits.
 * Undefined where none or several do.
 */
function likelyBranch(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  document: YamlDocument,
  path: readonly PropertyKey[],
): readonly Issue[] | undefined {
  const fitting = issue.errors.filter(
    (branch) => !branch.some((each) => each.path.length === 0 && each.code === 'invalid_type'),
  )
  if (fitting.length <= 1) return fitting[0]
  const value = valueAt(document.value, path)
  if (typeof value !== 'object' || value === null) return undefined
  // Of several mappings the one with the fewest complaints is nearest.
  return fitting.reduce((best, branch) => (weight(branch) < weight(best) ? branch : best))
}

const weight = (issues: readonly Issue[]): number =>
  issues.reduce((sum, each) => sum + (each.code === 'unrecognized_keys' ? each.keys.length : 1), 0)

/** An issue in the words of a person who writes YAML. */
function wordsOf(issue: Issue, value: unknown): string {
  if (!DEFAULT_MESSAGE.test(issue.message)) return `${issue.message}${oddCharacter(issue, value)}`
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPES[issue.expected] ?? issue.expected}, not ${nameOf(value)}`
    case 'invalid_value':
      return `must be ${orList(issue.values.map(String))}`
    case 'invalid_union':
      return `must be ${orList(unionTypes(issue))}`
    case 'too_small':
    case 'too_big':
      return sizeWords(issue)
    default:
      return 'is not written as expected'
  }
}

/** A letter that is none of ours may look like one: only its number tells. */
function oddCharacter(issue: Issue, value: unknown): string {
  if (issue.code !== 'invalid_format' || typeof value !== 'string') return ''
  const at = value.search(/[^\x20-\x7e]/)
  if (at === -1) return ''
  const code = (value.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return `; character ${at + 1} is U+${code}`
}

/** What zod says where a schema gives no words of its own. */
const DEFAULT_MESSAGE = /^(?:Invalid|Too |Unrecognized)/

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
}

function nameOf(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'string') return 'text'
  return `${clip(String(value), 40)} (a ${typeof value}; put it in quotes if text is meant)`
}

function unionTypes(issue: Extract<Issue, { code: 'invalid_union' }>): string[] {
  const types = issue.errors.flatMap((branch) =>
    branch.flatMap((each) => {
      if (each.path.length > 0) return []
      if (each.code === 'invalid_type') return [TYPES[each.expected] ?? each.expected]
      return each.code === 'invalid_value' ? each.values.map(String) : [wordsOf(each, undefined)]
    }),
  )
  return types.length === 0 ? ['another value'] : [...new Set(types)]
}

function orList(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? 'another value'
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

const UNITS: Readonly<Record<string, string>> = {
  array: 'entries',
  set: 'entries',
  object: 'keys',
  string: 'characters',
}

function sizeWords(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const isSmall = issue.code === 'too_small'
  const bound = isSmall ? issue.minimum : issue.maximum
  const unit = UNITS[issue.origin]
  if (unit === undefined) return `must be ${isSmall ? 'at least' : 'at most'} ${bound}`
  if (isSmall && Number(bound) === 1) return 'must not be empty'
  return `must have ${isSmall ? 'at least' : 'at most'} ${bound} ${unit}`
}

/** The value that a path leads to, through own members only. */
function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}

/** Keys that a schema knows at a path; all branches of a union count. */
function knownKeys(schema: Schema, path: readonly PropertyKey[]): Set<string> {
  let reached = unwrap(schema)
  for (const step of path)
    reached = reached.flatMap((each) => childSchemas(each, step)).flatMap(unwrap)
  return new Set(reached.flatMap((each) => Object.keys(shapeOf(each))))
}

const shapeOf = (schema: Schema): Readonly<Record<string, Schema>> => {
  const def = schema._zod.def as z.core.$ZodObjectDef
  return def.type === 'object' ? def.shape : {}
}

function childSchemas(schema: Schema, step: PropertyKey): Schema[] {
  const def = schema._zod.def
  if (def.type === 'object') {
    const child = shapeOf(schema)[String(step)]
    return child === undefined ? [] : [child]
  }
  if (def.type === 'array') return [(def as z.core.$ZodArrayDef).element]
  if (def.type === 'record') return [(def as z.core.$ZodRecordDef).valueType]
  return []
}

/** Through optional, default, pipes and unions to the schemas that have children. */
function unwrap(schema: Schema): Schema[] {
  const def = schema._zod.def as z.core.$ZodTypeDef & {
    innerType?: Schema
    in?: Schema
    options?: readonly Schema[]
    getter?: () => Schema
  }
  if (def.innerType !== undefined) return unwrap(def.innerType)
  if (def.type === 'pipe' && def.in !== undefined) return unwrap(def.in)
  if (def.type === 'union') return (def.options ?? []).flatMap(unwrap)
  if (def.type === 'lazy' && def.getter !== undefined) return unwrap(def.getter())
  return [schema]
}
