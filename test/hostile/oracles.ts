// Owns second opinions: what a text from outside means, written anew from the specifications.
// Must not import a parser of ours: agreeing with oneself proves nothing.

/** A JSON object read under RFC 8259 and RFC 7493 §2.1, §2.3: no repeated names, no lone surrogates. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

class NotJson extends Error {}

/** Objects and lists inside one another, the outermost counted. */
const MAX_DEPTH = 32

/** Reads a text that must be one JSON object; undefined where it is none. Slow and plain. */
export function readJsonObject(text: string): { [name: string]: Json } | undefined {
  let at = 0
  const fail = (): never => {
    throw new NotJson()
  }
  const space = () => {
    while (' \t\n\r'.includes(text[at] ?? 'x')) at++
  }
  const word = (letters: string, value: Json): Json => {
    if (!text.startsWith(letters, at)) fail()
    at += letters.length
    return value
  }
  const numeral = (): number => {
    const found = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/.exec(text.slice(at))?.[0]
    if (found === undefined) return fail()
    at += found.length
    return Number(found)
  }
  const unit = (): number => {
    const hex = /^[0-9a-fA-F]{4}$/.exec(text.slice(at, at + 4))?.[0]
    if (hex === undefined) return fail()
    at += 4
    return Number.parseInt(hex, 16)
  }
  const escaped = (): string => {
    const letter = text[at++]
    const plain = '"\\/bfnrt'.indexOf(letter ?? '')
    if (letter !== undefined && plain !== -1) return '"\\/\b\f\n\r\t'[plain] ?? ''
    if (letter !== 'u') return fail()
    const high = unit()
    if (high < 0xd800 || high > 0xdfff) return String.fromCharCode(high)
    if (high > 0xdbff || text[at++] !== '\\' || text[at++] !== 'u') return fail()
    const low = unit()
    return low >= 0xdc00 && low <= 0xdfff ? String.fromCharCode(high, low) : fail()
  }
  const quoted = (): string => {
    if (text[at++] !== '"') fail()
    let value = ''
    for (;;) {
      const character = text[at++]
      if (character === undefined || character < ' ') return fail()
      if (character === '"') return value
      value += character === '\\' ? escaped() : character
    }
  }
  const value = (depth: number): Json => {
    space()
    switch (text[at]) {
      case '{':
        return members(depth + 1)
      case '[':
        return items(depth + 1)
      case '"':
        return quoted()
      case 't':
        return word('true', true)
      case 'f':
        return word('false', false)
      case 'n':
        return word('null', null)
      default:
        return numeral()
    }
  }
  const items = (depth: number): Json[] => {
    if (depth > MAX_DEPTH) fail()
    const list: Json[] = []
    at++
    space()
    if (text[at] === ']') return word(']', list) as Json[]
    for (;;) {
      list.push(value(depth))
      space()
      const end = text[at++]
      if (end === ']') return list
      if (end !== ',') fail()
    }
  }
  const members = (depth: number): { [name: string]: Json } => {
    if (depth > MAX_DEPTH) fail()
    const object: { [name: string]: Json } = Object.create(null)
    at++
    space()
    if (text[at] === '}') return word('}', object) as { [name: string]: Json }
    for (;;) {
      space()
      const name = quoted()
      if (name === '__proto__' || name in object) fail()
      space()
      if (text[at++] !== ':') fail()
      object[name] = value(depth)
      space()
      const end = text[at++]
      if (end === '}') return object
      if (end !== ',') fail()
    }
  }
  try {
    space()
    if (text[at] !== '{') return undefined
    const object = members(1)
    space()
    return at === text.length ? object : undefined
  } catch (error) {
    if (error instanceof NotJson) return undefined
    throw error
  }
}

/** Canonical base64url of UTF-8 of one JSON object. */
export function readJwtPart(part: string): { [name: string]: Json } | undefined {
  const bytes = Buffer.from(part, 'base64url')
  if (part === '' || bytes.toString('base64url') !== part) return undefined
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return readJsonObject(decoder.decode(bytes))
  } catch {
    return undefined
  }
}

/** Pairs of each element of an X-Forwarded-Client-Cert line; undefined where the line is refused. */
export function readXfcc(line: string): [key: string, value: string][][] | undefined {
  if (line.length > 16_384) return undefined
  const pair =
    /([A-Za-z]+)=(?:"((?:[ !#-[\]-~]|\\[ -~])*)"|((?!")[!#-+\--:<-[\]-~]*))(?:([;,])(?!$)|$)/y
  const elements: [string, string][][] = [[]]
  for (let at = 0; ; ) {
    pair.lastIndex = at
    const match = pair.exec(line)
    if (match === null) return undefined
    const [all, key = '', quoted, plain = '', separator] = match
    elements.at(-1)?.push([key.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain])
    at += all.length
    if (separator === undefined) break
    if (separator === ',') elements.push([])
  }
  const once = ['hash', 'cert', 'chain', 'subject', 'issuer']
  const isTwice = (element: [string, string][]) =>
    once.some((key) => element.filter(([name]) => name === key).length > 1)
  return elements.some(isTwice) ? undefined : elements
}

/** Non-empty values by name, in order; undefined where the body is refused. */
export function readForm(body: string): Map<string, string[]> | undefined {
  const form = new Map<string, string[]>()
  if (body === '') return form
  const pairs = body.split('&')
  if (pairs.length > 64) return undefined
  for (const pair of pairs) {
    const [name = '', ...rest] = pair.split('=')
    const [key, value] = [percentDecoded(name), percentDecoded(rest.join('='))]
    if (key === undefined || value === undefined) return undefined
    if (value !== '') form.set(key, [...(form.get(key) ?? []), value])
  }
  return form
}

function percentDecoded(text: string): string | undefined {
  const bytes: number[] = []
  const encoded = Buffer.from(text.replaceAll('+', ' '))
  for (let at = 0; at < encoded.length; at++) {
    if (encoded[at] !== 0x25) {
      bytes.push(encoded[at] ?? 0)
      continue
    }
    const hex = encoded.subarray(at + 1, at + 3).toString('latin1')
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) return undefined
    bytes.push(Number.parseInt(hex, 16))
    at += 2
  }
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const decoded = decoder.decode(Buffer.from(bytes))
    const isRefused = [...decoded].some((one) => one < ' ' || one === '\u007f' || one === '\ufffd')
    return isRefused ? undefined : decoded
  } catch {
    return undefined
  }
}

/** SPIFFE-ID.md §2: whether a text is a workload's SPIFFE ID. */
export function isSpiffeId(text: string): boolean {
  const [scheme, empty, domain = '', ...segments] = text.split('/')
  if (text.length > 2048 || scheme !== 'spiffe:' || empty !== '' || segments.length === 0) {
    return false
  }
  const consistsOf = (letters: string, part: string) =>
    part !== '' && [...part].every((letter) => letters.includes(letter))
  const lower = 'abcdefghijklmnopqrstuvwxyz0123456789._-'
  const all = `${lower}ABCDEFGHIJKLMNOPQRSTUVWXYZ`
  return (
    domain.length <= 255 &&
    consistsOf(lower, domain) &&
    segments.every((part) => consistsOf(all, part) && part !== '.' && part !== '..')
  )
}

/** W3C Trace Context §3.2: the trace id, or undefined. */
export function readTraceParent(text: string): string | undefined {
  const [version = '', trace = '', parent = '', flags = '', ...more] = text.split('-')
  const isHex = (part: string, length: number) =>
    part.length === length && [...part].every((digit) => '0123456789abcdef'.includes(digit))
  const isZero = (part: string) => [...part].every((digit) => digit === '0')
  // No header line holds a line end.
  const isRight =
    text.length <= 128 &&
    !/[\n\r\u2028\u2029]/.test(text) &&
    isHex(version, 2) &&
    version !== 'ff' &&
    isHex(trace, 32) &&
    !isZero(trace) &&
    isHex(parent, 16) &&
    !isZero(parent) &&
    isHex(flags, 2) &&
    (more.length === 0 || version !== '00')
  return isRight ? trace : undefined
}
