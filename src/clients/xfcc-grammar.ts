// Owns the text form of X-Forwarded-Client-Cert (Envoy, HTTP connection manager headers), strictly.
// Must not decide whose header counts or which element names the caller.

/** One `key=value`; the key in lower case, the value without quotes and escapes. */
export interface XfccPair {
  readonly key: string
  readonly value: string
}

/** What one proxy says of its peer, in order. */
export type XfccElement = readonly XfccPair[]

export type XfccParse =
  | { readonly ok: true; readonly elements: readonly XfccElement[] }
  | { readonly ok: false; readonly problem: 'json' | 'malformed' }

/** Node's default for all headers together; a longer one cannot arrive over HTTP/1.1. */
export const MAX_XFCC_CHARACTERS = 16_384

const JSON_FORM: XfccParse = { ok: false, problem: 'json' }
const MALFORMED: XfccParse = { ok: false, problem: 'malformed' }

/** Keys that Envoy writes at most once per element; a second one is another writer's. */
const SINGLE = new Set(['hash', 'cert', 'chain', 'subject', 'issuer'])

/**
 * Parses one header line, in time linear to its length.
 * Stricter than Envoy's documentation where leniency would let a sender's prefix swallow the element
 * that the proxy appends: after a closing quote only `;`, `,` or the end may follow, and an open quote
 * refuses the whole line. Keys that are not known are kept: a newer Envoy may add some.
 * JSON is told apart (Envoy ≥ 1.38 keeps the format of a header that a client sends).
 */
export function parseXfcc(line: string): XfccParse {
  if (line.length > MAX_XFCC_CHARACTERS) return MALFORMED
  if (/^[ \t]*[[{]/.test(line)) return JSON_FORM
  const elements: XfccElement[] = []
  let element: XfccPair[] = []
  let at = 0
  for (;;) {
    const pair = readPair(line, at)
    if (pair === undefined || isSecondOfSingle(element, pair.key)) return MALFORMED
    element.push({ key: pair.key, value: pair.value })
    if (line.charCodeAt(pair.end) === SEMICOLON) {
      at = pair.end + 1
      continue
    }
    elements.push(element)
    if (pair.end === line.length) return { ok: true, elements }
    element = []
    at = pair.end + 1
  }
}

const QUOTE = 0x22
const COMMA = 0x2c
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const BACKSLASH = 0x5c

interface ReadPair extends XfccPair {
  /** Where the pair ends: at `;`, `,` or the end of the line. */
  readonly end: number
}

function readPair(line: string, start: number): ReadPair | undefined {
  let at = start
  while (isLetter(line.charCodeAt(at))) at += 1
  if (at === start || line.charCodeAt(at) !== EQUALS) return undefined
  const key = line.slice(start, at).toLowerCase()
  const value =
    line.charCodeAt(at + 1) === QUOTE ? readQuoted(line, at + 2) : readPlain(line, at + 1)
  return value === undefined ? undefined : { key, ...value }
}

interface ReadValue {
  readonly value: string
  readonly end: number
}

/** Reads from behind the opening quote; a backslash takes the next character, whatever it is. */
function readQuoted(line: string, start: number): ReadValue | undefined {
  let value = ''
  let from = start
  for (let at = start; at < line.length; at += 1) {
    const code = line.charCodeAt(at)
    // Envoy writes RFC 2253 text, always printable ASCII.
    if (code < 0x20 || code > 0x7e) return undefined
    if (code === QUOTE) {
      return isBoundary(line, at + 1)
        ? { value: value + line.slice(from, at), end: at + 1 }
        : undefined
    }
    if (code === BACKSLASH) {
      value += line.slice(from, at)
      from = at + 1
      at += 1
      if (!isVisible(line.charCodeAt(at), true)) return undefined
    }
  }
  return undefined
}

/** Reads an unquoted value; spaces, quotes and backslashes cannot stand in one. */
function readPlain(line: string, start: number): ReadValue | undefined {
  let at = start
  while (!isBoundary(line, at)) {
    const code = line.charCodeAt(at)
    if (!isVisible(code, false) || code === QUOTE || code === BACKSLASH) return undefined
    at += 1
  }
  return { value: line.slice(start, at), end: at }
}

function isBoundary(line: string, at: number): boolean {
  if (at >= line.length) return true
  const code = line.charCodeAt(at)
  return code === SEMICOLON || code === COMMA
}

const isVisible = (code: number, isSpaceIncluded: boolean): boolean =>
  code >= (isSpaceIncluded ? 0x20 : 0x21) && code <= 0x7e

const isLetter = (code: number): boolean =>
  (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)

function isSecondOfSingle(element: readonly XfccPair[], key: string): boolean {
  return SINGLE.has(key) && element.some((pair) => pair.key === key)
}
