// Owns what expressions can name: variables and their types, functions, and how facts become their values.
// Must not read, check or evaluate an expression.
import { Environment, EvaluationError } from '@marcbachmann/cel-js'
import { Duration } from '@marcbachmann/cel-js/evaluator'
import type { Facts } from '../decision.ts'

/** Each variable with its members; `now` is a timestamp and has none. */
export const VARIABLES = {
  subject: {
    issuer: 'string',
    iss: 'string',
    sub: 'string',
    scopes: 'list<string>',
    audiences: 'list<string>',
    chain: 'list<string>',
    actors: 'list<string>',
    claims: 'map<string, dyn>',
  },
  actor: { issuer: 'string', iss: 'string', sub: 'string' },
  caller: { service: 'string', namespace: 'string', id: 'string' },
  request: { audiences: 'list<string>', resources: 'list<string>', scopes: 'list<string>' },
} as const

/**
 * Functions with implementations of our own, by the name that the type checker and the evaluator see. The
 * library's take more than CEL says: `int("")` is 0, `lowerAscii` folds the Kelvin sign into `k`, a
 * timestamp without zone depends on where the process runs, and durations are read by a slow pattern.
 */
export const OWN_FUNCTIONS: ReadonlyMap<string, string> = new Map(
  ['int', 'double', 'timestamp', 'duration', 'lowerAscii', 'upperAscii'].map((name) => [
    name,
    `own_${name}`,
  ]),
)

/** Calls such as `size(x)`. */
export const FUNCTIONS: readonly string[] = [
  'has',
  'size',
  'dyn',
  'string',
  'int',
  'double',
  'timestamp',
  'duration',
]

/** Calls such as `x.contains(y)`. Dates are read in UTC: other zones depend on the machine's tables. */
export const METHODS: readonly string[] = [
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'lowerAscii',
  'upperAscii',
  'getFullYear',
  'getMonth',
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
]

/** Four levels of the grammar's operators and three nested calls fit; no readable condition needs more. */
const MAX_DEPTH = 20
/** A condition of ten comparisons has about a hundred. */
const MAX_NODES = 256
/** A longer list belongs into a scope or claim. */
const MAX_LIST_ITEMS = 64
const MAX_MAP_ENTRIES = 16
/** `map(x, condition, value)` has the most. */
const MAX_ARGUMENTS = 3

/** RFC 3339 §5.6 with capital letters; the zone is required. */
const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/
/** The years 1 to 9999 (google.protobuf.Timestamp), in seconds. */
const MIN_TIME = -62_135_596_800
const MAX_TIME = 253_402_300_799

/** Reads a timestamp; undefined where it is none. */
export function parseTimestamp(text: string): Date | undefined {
  const match = TIMESTAMP.exec(text)
  if (match === null) return undefined
  const [year, month, day] = match.slice(1).map(Number)
  // Date.parse takes the 30th of February for the 2nd of March.
  const date = new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day))
  if (date.getUTCMonth() + 1 !== month) return undefined
  return new Date(text)
}

/** Of Go's units those that a rule needs; each number is short, so the pattern has one way to match. */
const DURATION = /^-?(?:\d{1,9}(?:\.\d{1,3})?(?:h|ms|m|s))+$/
const DURATION_PART = /(\d+(?:\.\d+)?)(h|ms|m|s)/g
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }
const MAX_DURATION_CHARACTERS = 64

/** Reads a duration such as `1h30m`; undefined where it is none. */
export function parseDuration(text: string): Duration | undefined {
  if (text.length > MAX_DURATION_CHARACTERS || !DURATION.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(DURATION_PART)) {
    ms += Math.round(Number(amount) * (UNIT_MS[unit ?? ''] ?? 0))
  }
  const sign = text.startsWith('-') ? -1 : 1
  return new Duration(
    BigInt(sign * Math.trunc(ms / 1_000)),
    sign * Math.round((ms % 1_000) * 1_000_000),
  )
}

const INT = /^-?\d{1,19}$/
const MIN_INT = -(2n ** 63n)
const MAX_INT = 2n ** 63n - 1n
const DOUBLE = /^-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/

/** What CEL takes for an int; a literal can be longer. */
export const isInt = (value: bigint): boolean => value >= MIN_INT && value <= MAX_INT

/** Messages of the library are not shown: some hold values (P7). */
function required<T>(value: T | undefined): T {
  if (value !== undefined) return value
  throw new EvaluationError({ code: 'conversion_error', message: 'cannot be converted' })
}

const integer = (value: bigint): bigint => required(isInt(value) ? value : undefined)
const finite = (value: number): number => required(Number.isFinite(value) ? value : undefined)
const instant = (seconds: bigint): Date =>
  required(
    seconds >= MIN_TIME && seconds <= MAX_TIME ? new Date(Number(seconds) * 1_000) : undefined,
  )

const OWN_IMPLEMENTATIONS: Readonly<Record<string, (value: never) => unknown>> = {
  'own_int(int): int': (value: bigint) => value,
  'own_int(double): int': (value: number) => integer(BigInt(Math.trunc(finite(value)))),
  'own_int(string): int': (value: string) =>
    integer(BigInt(required(INT.test(value) ? value : undefined))),
  'own_double(double): double': (value: number) => value,
  'own_double(int): double': (value: bigint) => Number(value),
  'own_double(string): double': (value: string) =>
    finite(Number(required(DOUBLE.test(value) ? value : undefined))),
  'own_timestamp(string): google.protobuf.Timestamp': (value: string) =>
    required(parseTimestamp(value)),
  'own_timestamp(int): google.protobuf.Timestamp': instant,
  'own_duration(string): google.protobuf.Duration': (value: string) =>
    required(parseDuration(value)),
  'string.own_lowerAscii(): string': (value: string) =>
    value.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
  'string.own_upperAscii(): string': (value: string) =>
    value.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
}

/** The one environment, the same for all expressions. */
export const environment: Environment = makeEnvironment()

function makeEnvironment(): Environment {
  const made = new Environment({
    limits: {
      maxAstNodes: MAX_NODES,
      maxDepth: MAX_DEPTH,
      maxListElements: MAX_LIST_ITEMS,
      maxMapEntries: MAX_MAP_ENTRIES,
      maxCallArguments: MAX_ARGUMENTS,
    },
  })
  for (const [name, schema] of Object.entries(VARIABLES)) made.registerVariable({ name, schema })
  made.registerVariable('now', 'google.protobuf.Timestamp')
  for (const [signature, implementation] of Object.entries(OWN_IMPLEMENTATIONS)) {
    made.registerFunction(signature, implementation, { async: false })
  }
  return made
}

/** The variables of one evaluation; lists are made when they are read. */
export function variablesOf(
  facts: Facts,
  claims: ReadonlyMap<string, unknown>,
): Record<keyof typeof VARIABLES | 'now', unknown> {
  const { subject, actor, caller, request } = facts
  return {
    subject: {
      issuer: subject.issuer,
      iss: subject.iss,
      sub: subject.sub,
      audiences: subject.audiences,
      chain: subject.chain,
      claims,
      get scopes() {
        return [...subject.scopes]
      },
      get actors() {
        return actorsOf(facts)
      },
    },
    actor: actor === undefined ? {} : { issuer: actor.issuer, iss: actor.iss, sub: actor.sub },
    caller: { service: caller.service.name, namespace: caller.service.namespace, id: caller.id },
    // Asked for nothing, the caller gets all that is justified: an empty list would pass for less.
    request:
      request.scopes === undefined
        ? { audiences: request.audiences, resources: request.resources }
        : { audiences: request.audiences, resources: request.resources, scopes: request.scopes },
    now: new Date(facts.now),
  }
}

/** `sub` of each level of `act`, outermost first. */
function actorsOf({ subject }: Facts): readonly string[] {
  const actors: string[] = []
  for (let level = subject.act; level !== undefined; level = level.act) actors.push(level.sub)
  return actors
}
