// Owns the application/x-www-form-urlencoded grammar, strictly (RFC 6749 App. B, WHATWG URL §5.1).
// Must not know which parameters exist.
import { fail, ok, type Result } from './reasons.ts'

/** Parameters in order of appearance; an empty value counts as absent (RFC 6749 §3.2). */
export type Form = ReadonlyMap<string, readonly string[]>

/** More than any legitimate request has; a 32 KiB body could otherwise carry thousands. */
export const MAX_FORM_PARAMETERS = 64

/**
 * Parses a form body.
 * Gives every non-empty value by name, or `request_form_malformed` (bad percent escape, bytes that
 * are not UTF-8, control characters) or `request_too_many_parameters`.
 */
export function parseForm(body: string): Result<Form> {
  const form = new Map<string, string[]>()
  const pairs = body.split('&', MAX_FORM_PARAMETERS + 1)
  if (pairs.length > MAX_FORM_PARAMETERS) return fail('request_too_many_parameters')
  for (const pair of pairs) {
    const cut = pair.indexOf('=')
    const name = decode(cut === -1 ? pair : pair.slice(0, cut))
    const value = cut === -1 ? '' : decode(pair.slice(cut + 1))
    if (name === undefined || value === undefined) return fail('request_form_malformed')
    if (value === '') continue
    const values = form.get(name)
    if (values === undefined) form.set(name, [value])
    else values.push(value)
  }
  return ok(form)
}

const NEEDS_DECODING = /[+%]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const REFUSED = /[\u0000-\u001f\u007f\ufffd]/

function decode(text: string): string | undefined {
  let decoded = text
  if (NEEDS_DECODING.test(text)) {
    try {
      decoded = decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      return undefined
    }
  }
  return REFUSED.test(decoded) ? undefined : decoded
}
