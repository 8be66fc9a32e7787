// Owns how STS_ variables override single keys of sts.yaml.
// Must not read the process's environment itself, nor know what a key means.
import type { z } from 'zod'
import { nearest, type Problem } from './problem.ts'
import { parseYaml, type YamlDocument } from './yaml.ts'

/** Variables with this prefix are ours; one that we do not know is an error. */
export const ENVIRONMENT_PREFIX = 'STS_'

/** The path of the configuration file; read by the command line, not an override. */
const NO_OVERRIDE = new Set(['STS_CONFIG'])

/**
 * What Kubernetes sets for a Service whose name begins with `sts` (Docker links compatibility):
 * not written by anybody, so not ours. docs/configuration.md advises `enableServiceLinks: false`.
 */
const SERVICE_LINK =
  /^STS_(?:[A-Z0-9_]{1,64}_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]{1,64})?|PORT(?:_[0-9]{1,5}_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

/** An override that was applied. */
export interface Override {
  readonly variable: string
  readonly path: readonly string[]
}

/** The document with overrides in place; problems at an overridden path name the variable. */
export interface Overridden {
  readonly document: YamlDocument
  readonly overrides: readonly Override[]
  readonly problems: readonly Problem[]
}

/** Every variable of a schema and the path that it overrides: leaves, lists and maps, no groups. */
export function variablesOf(schema: z.core.$ZodType): ReadonlyMap<string, readonly string[]> {
  const variables = new Map<string, readonly string[]>()
  const visit = (each: z.core.$ZodType, path: readonly string[]) => {
    const shape = shapeBehind(each)
    if (shape === undefined || Object.keys(shape).length === 0) {
      variables.set(ENVIRONMENT_PREFIX + path.join('_').toUpperCase(), path)
      return
    }
    for (const [key, child] of Object.entries(shape)) visit(child, [...path, key])
  }
  visit(schema, [])
  return variables
}

function shapeBehind(
  schema: z.core.$ZodType,
): Readonly<Record<string, z.core.$ZodType>> | undefined {
  const def = schema._zod.def as z.core.$ZodTypeDef & {
    innerType?: z.core.$ZodType
    shape?: Record<string, z.core.$ZodType>
  }
  if (def.type === 'object') return def.shape
  return def.innerType === undefined ? undefined : shapeBehind(def.innerType)
}

/**
 * Applies the variables of an environment to a document. Values are read as YAML: `true`, `5m`,
 * `[a, b]`. An unknown STS_ variable is a problem, with the nearest known one.
 */
export function applyEnvironment(
  document: YamlDocument,
  schema: z.core.$ZodType,
  env: Readonly<Record<string, string | undefined>>,
): Overridden {
  const known = variablesOf(schema)
  const problems: Problem[] = []
  const overrides: Override[] = []
  const value = structuredClone(document.value)
  for (const [variable, text] of ownVariables(env)) {
    const path = known.get(variable)
    const parsed = parseYaml(text, variable)
    if (path === undefined) {
      const suggestion = nearest(variable, known.keys())
      problems.push(variableProblem(variable, 'there is no such key', suggestion))
    } else if (!parsed.ok) {
      for (const { message } of parsed.problems) problems.push(variableProblem(variable, message))
    } else if (setAt(value, path, parsed.document.value)) {
      overrides.push({ variable, path })
    }
  }
  return { document: { ...document, value }, overrides, problems }
}

/** Variables that somebody set for us, in the order of their names. */
function ownVariables(env: Readonly<Record<string, string | undefined>>): [string, string][] {
  return Object.entries(env)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .filter(
      ([variable]) =>
        variable.startsWith(ENVIRONMENT_PREFIX) &&
        !NO_OVERRIDE.has(variable) &&
        !SERVICE_LINK.test(variable),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Renames the place of problems whose value came from a variable. */
export function blameVariables(
  problems: readonly Problem[],
  overrides: readonly Override[],
): readonly Problem[] {
  return problems.map((problem) => {
    const source = overrides.find(({ path }) => isAtOrUnder(problem.path, path.join('.')))
    if (source === undefined) return problem
    return { ...problem, file: placeOf(source.variable), line: 0, column: 0 }
  })
}

const isAtOrUnder = (path: string, parent: string): boolean =>
  path.startsWith(parent) &&
  (path.length === parent.length || '.['.includes(path.charAt(parent.length)))

const placeOf = (variable: string): string => `environment variable ${variable}`

function variableProblem(variable: string, message: string, suggestion?: string): Problem {
  return {
    file: placeOf(variable),
    line: 0,
    column: 0,
    path: '',
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
    severity: 'error',
  }
}

/** Sets a value, making mappings on the way. False where something that is no mapping is in the way. */
function setAt(root: unknown, path: readonly string[], value: unknown): boolean {
  const last = path.at(-1)
  let node = root
  for (const step of path.slice(0, -1)) {
    if (!isMapping(node)) return false
    if (!Object.hasOwn(node, step) || node[step] === null) node[step] = {}
    node = node[step]
  }
  if (!isMapping(node) || last === undefined) return false
  node[last] = value
  return true
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
