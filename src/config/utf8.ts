// Owns the way from the bytes of a file to its text: UTF-8, and nothing is replaced in silence.
// Must not open files or know what the text is for.
import { createTextPositions, type Position } from './yaml-positions.ts'

/** The text, or where the first byte stands that is no UTF-8. */
export type DecodedText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly at: Position; readonly message: string }

/** Decodes a file; a byte order mark is taken off. */
export function decodeUtf8(bytes: Uint8Array): DecodedText {
  const text = decode(bytes, false)
  if (text !== undefined) return { ok: true, text }
  const [first, second] = bytes
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  const before = decode(bytes.subarray(0, firstBad(bytes)), true) ?? ''
  return {
    ok: false,
    at: createTextPositions(before)(before.length),
    message: isUtf16 ? 'the file is UTF-16: save it as UTF-8' : 'this is not UTF-8',
  }
}

/** Undefined where something is no UTF-8; what is only begun at the end may be let through. */
function decode(bytes: Uint8Array, mayBeCut: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: mayBeCut })
  } catch {
    return undefined
  }
}

/** How many bytes are right; found by halves. */
function firstBad(bytes: Uint8Array): number {
  let right = 0
  let wrong = bytes.length
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1
    if (decode(bytes.subarray(0, middle), true) === undefined) wrong = middle
    else right = middle
  }
  return right
}
