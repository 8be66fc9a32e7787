// Owns values on their way into an expression (claims) and out of it (JSON), within bounds. Pure.
// Must not know expressions.

/** Below what the evaluator keeps a type for: each new nesting of lists and maps is remembered for ever. */
const MAX_CLAIM_DEPTH = 6
/** `ctx` is for a few words; the whole token has 8 KiB. */
const MAX_RESULT_CHARACTERS = 1_024
const MAX_RESULT_DEPTH = 4

/** Claims as the evaluator takes them, or what is wrong with one. */
export type ClaimsView =
  | { readonly ok: true; readonly claims: ReadonlyMap<string, unknown> }
  | { readonly ok: false; readonly message: string }

/**
 * Takes the named claims out of a token. Whatever an expression does, it sees no other claim. Objects
 * become maps, so that a member named `constructor` is a member like any other.
 */
export function viewClaims(
  claims: Readonly<Record<string, unknown>>,
  names: readonly string[],
  maxValues: number,
): ClaimsView {
  const view = new Map<string, unknown>()
  for (const name of names) {
    if (!Object.hasOwn(claims, name)) continue
    const bounds = { left: maxValues, fault: '' }
    const value = toMaps(claims[name], 0, bounds)
    if (bounds.fault !== '') return { ok: false, message: `the claim ${name} ${bounds.fault}` }
    view.set(name, value)
  }
  return { ok: true, claims: view }
}

interface Bounds {
  left: number
  fault: string
}

function toMaps(value: unknown, depth: number, bounds: Bounds): unknown {
  if (bounds.left-- === 0) bounds.fault = 'has too many values to be read here'
  if (typeof value !== 'object' || value === null) return value ?? null
  if (depth === MAX_CLAIM_DEPTH) bounds.fault = `is nested more than ${MAX_CLAIM_DEPTH} levels deep`
  if (bounds.fault !== '') return null
  if (Array.isArray(value)) return value.map((item) => toMaps(item, depth + 1, bounds))
  const map = new Map<string, unknown>()
  for (const [name, member] of Object.entries(value)) {
    map.set(name, toMaps(member, depth + 1, bounds))
  }
  return map
}

/** A result as JSON, or what is wrong with it. */
export type JsonResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string }

/** Turns a result of the evaluator into JSON: booleans, texts, numbers, lists and maps of them. */
export function toJson(value: unknown): JsonResult {
  const bounds = { left: MAX_RESULT_CHARACTERS, fault: '' }
  const json = fromMaps(value, 0, bounds)
  return bounds.fault === '' ? { ok: true, value: json } : { ok: false, message: bounds.fault }
}

/** Counts characters of JSON; what follows a fault is not looked at. */
function spend(characters: number, bounds: Bounds): boolean {
  bounds.left -= characters
  if (bounds.left < 0)
    bounds.fault ||= `the result has more than ${MAX_RESULT_CHARACTERS} characters`
  return bounds.fault === ''
}

function fromMaps(value: unknown, depth: number, bounds: Bounds): unknown {
  if (bounds.fault !== '') return null
  switch (typeof value) {
    case 'boolean':
      spend(value ? 4 : 5, bounds)
      return value
    case 'string':
      return fromText(value, bounds)
    case 'number':
    case 'bigint':
      return fromNumber(value, bounds)
    case 'object':
      return fromObject(value, depth, bounds)
    default:
      bounds.fault = NOT_JSON
      return null
  }
}

const NOT_JSON = 'the result is no text, number, boolean, list or map'

/** Its length is looked at first: a joined text is only put together when it is read. */
function fromText(value: string, bounds: Bounds): string {
  if (value.length <= bounds.left) spend(JSON.stringify(value).length, bounds)
  else spend(value.length, bounds)
  return value
}

function fromNumber(value: number | bigint, bounds: Bounds): number | null {
  const number = Number(value)
  const isExact = typeof value === 'number' || Number.isSafeInteger(number)
  if (!Number.isFinite(number) || !isExact) {
    bounds.fault = 'the result is a number that JSON cannot hold'
    return null
  }
  spend(String(number).length, bounds)
  return number
}

function fromObject(value: object | null, depth: number, bounds: Bounds): unknown {
  const isList = Array.isArray(value)
  const isMap = value instanceof Map || (value !== null && value.constructor === Object)
  if (value === null || !(isList || isMap)) {
    bounds.fault = NOT_JSON
    return null
  }
  if (depth === MAX_RESULT_DEPTH) {
    bounds.fault = `the result is nested more than ${MAX_RESULT_DEPTH} levels deep`
    return null
  }
  const members: readonly unknown[] = isList
    ? value
    : [...(value instanceof Map ? value : Object.entries(value))]
  // Brackets, and a comma between each two.
  if (!spend(Math.max(2, members.length + 1), bounds)) return null
  if (isList) return members.map((item) => fromMaps(item, depth + 1, bounds))
  return Object.fromEntries(
    (members as readonly (readonly [string, unknown])[]).map(([name, member]) => {
      spend(1, bounds)
      return [fromText(name, bounds), fromMaps(member, depth + 1, bounds)]
    }),
  )
}
