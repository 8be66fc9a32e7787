// Owns reading JSON objects from outside under rules that JSON.parse lacks: no duplicate members, a depth cap,
// no lone surrogates, no `__proto__`. Must not know what the object is for.

/** Deeper than any token or key set in use; low enough for plain recursion. */
export const MAX_JSON_DEPTH = 32

/** A JSON object without prototype, frozen at every depth, or what is wrong with the text (fixed words). */
export type JsonObjectResult =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly detail: string }

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Parses text that must be one JSON object (RFC 8259, and of RFC 7493 the rules on names and surrogates).
 * Duplicates are found by counting: valid JSON has one `:` outside of strings per member, and JSON.parse
 * keeps one property per distinct name, so the two counts differ exactly where a name is repeated. That
 * costs one pass over the text, where a reviver costs ten times the parse.
 */
export function parseJsonObject(text: string): JsonObjectResult {
  const scan = scanJson(text)
  if (typeof scan === 'string') return { ok: false, detail: scan }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { ok: false, detail: 'not JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, detail: 'not a JSON object' }
  }
  const distinct = settle(value)
  if (distinct < 0) return { ok: false, detail: 'a member name is not accepted' }
  if (distinct !== scan.members) return { ok: false, detail: 'a member is repeated' }
  return { ok: true, value: value as Readonly<Record<string, unknown>> }
}

/** Counts members and checks depth and surrogate escapes; its answers hold only for valid JSON. */
function scanJson(text: string): { members: number } | string {
  let members = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at)
        if (at < 0) return 'a string is not well-formed'
        break
      case 0x3a: // :
        members++
        break
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > MAX_JSON_DEPTH) return 'nested too deeply'
        break
      case 0x7d: // }
      case 0x5d: // ]
        depth--
        break
    }
  }
  return { members }
}

/** Index of the closing quote, or -1 where there is none or a surrogate stands alone. */
function endOfString(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at
    if (code !== BACKSLASH) continue
    const length = escapeLength(text, at)
    if (length === 0) return -1
    at += length - 1
  }
  return -1
}

/** Characters of the escape at a backslash; 0 for half of a surrogate pair (RFC 7493 §2.1). */
function escapeLength(text: string, at: number): number {
  if (text[at + 1] !== 'u') return 2
  const unit = Number.parseInt(text.slice(at + 2, at + 6), 16)
  if (!(unit >= 0xd800 && unit <= 0xdfff)) return 6
  if (unit >= 0xdc00 || text[at + 6] !== '\\' || text[at + 7] !== 'u') return 0
  const low = Number.parseInt(text.slice(at + 8, at + 12), 16)
  return low >= 0xdc00 && low <= 0xdfff ? 12 : 0
}

/**
 * Freezes a parsed value at every depth, takes the prototype from its objects (so that a look-up of
 * `constructor` finds nothing), and gives its number of members; negative where one is `__proto__`.
 */
function settle(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let members = 0
  if (Array.isArray(value)) {
    for (const item of value) members = add(members, settle(item))
    Object.freeze(value)
    return members
  }
  const names = Object.keys(value)
  members = names.length
  for (const name of names) {
    if (name === '__proto__') return -1
    members = add(members, settle((value as Record<string, unknown>)[name]))
  }
  Object.freeze(Object.setPrototypeOf(value, null))
  return members
}

const add = (sum: number, more: number): number => (sum < 0 || more < 0 ? -1 : sum + more)
