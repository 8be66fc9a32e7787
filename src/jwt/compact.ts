// Owns the compact JWS grammar, strictly (RFC 7515 §7.1, RFC 7519 §7.2, RFC 8725 §3.14), and the result type of this room.
// Must not verify anything: what it gives is unverified text in a typed shape.
import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import type { JwtProblem } from '../oauth/reasons.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { type JsonObjectResult, parseJsonObject } from './strict-json.ts'

/** Ends of everything in this room; callers put the token's role before `problem` to get a Reason. */
export type JwtResult<T> = { readonly ok: true; readonly value: T } | JwtFailure

/** `detail` is for operators and holds no token bytes (P7). */
export interface JwtFailure {
  readonly ok: false
  readonly problem: JwtProblem
  readonly detail?: string
  readonly retryAfterSeconds?: number
}

/** Wraps a success. */
export const jwtOk = <T>(value: T): { readonly ok: true; readonly value: T } => ({
  ok: true,
  value,
})

/** Makes a failure; see {@link JwtFailure}. */
export const jwtFail = (
  problem: JwtProblem,
  detail?: string,
  retryAfterSeconds?: number,
): JwtFailure => ({
  ok: false,
  problem,
  ...(detail === undefined ? {} : { detail }),
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
})

/** A well-formed token of which nothing is verified. */
export interface UnverifiedJwt {
  readonly token: string
  readonly header: { readonly alg: Algorithm; readonly kid?: string; readonly typ?: string }
  /** Frozen at every depth; no object in it has a prototype. */
  readonly claims: Readonly<Record<string, unknown>>
  /** What the signature is over: the token up to its last dot. */
  readonly signingInput: string
  /** Empty where the token has none; no key accepts that. */
  readonly signature: Buffer
  /** SHA-256 of the whole token, signature included, hex. */
  readonly hash: string
}

/** Twice what common servers accept in a header; a token that we mint is at most 8 KiB. */
export const MAX_JWT_CHARACTERS = 16 * 1024
/** Key ids in use are below 100 characters. */
const MAX_KID_CHARACTERS = 256
const MAX_TYP_CHARACTERS = 64

/** One pass, no backtracking: the classes cannot match the dots between them. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
/**
 * Header members that refuse a token: keys come from the issuer's configuration alone (RFC 8725 §3.10),
 * and no critical extension is understood here (RFC 7515 §4.1.11; `b64` is one, RFC 7797).
 */
const REFUSED_MEMBERS: ReadonlySet<string> = new Set(['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c'])
const KNOWN_ALGORITHMS: ReadonlySet<string> = new Set(ALGORITHMS)

/**
 * Parses a compact JWS whose payload is a JSON object. Never throws.
 * Fails with `too_large`, `malformed`, `header_not_accepted`, or `algorithm_not_allowed` for an `alg`
 * outside {@link ALGORITHMS}, `none` in any spelling included.
 */
export function parseCompactJwt(token: string): JwtResult<UnverifiedJwt> {
  if (token.length > MAX_JWT_CHARACTERS) {
    return jwtFail('too_large', `more than ${MAX_JWT_CHARACTERS} characters`)
  }
  if (!COMPACT.test(token)) return jwtFail('malformed', 'not a compact JWS')
  const headerEnd = token.indexOf('.')
  const payloadEnd = token.indexOf('.', headerEnd + 1)

  const headerJson = parsePart(token.slice(0, headerEnd))
  if (!headerJson.ok) return jwtFail('malformed', `header: ${headerJson.detail}`)
  const header = parseHeader(headerJson.value)
  if (!header.ok) return header
  const claims = parsePart(token.slice(headerEnd + 1, payloadEnd))
  if (!claims.ok) return jwtFail('malformed', `payload: ${claims.detail}`)
  const signature = decodeBase64url(token.slice(payloadEnd + 1))
  if (signature === undefined) return jwtFail('malformed', 'signature: not base64url')

  return jwtOk({
    token,
    header: header.value,
    claims: claims.value,
    signingInput: token.slice(0, payloadEnd),
    signature,
    hash: hash('sha256', token, 'hex'),
  })
}

function parsePart(part: string): JsonObjectResult {
  const bytes = decodeBase64url(part)
  if (bytes === undefined) return { ok: false, detail: 'not base64url' }
  if (!isUtf8(bytes)) return { ok: false, detail: 'not UTF-8' }
  return parseJsonObject(bytes.toString('utf8'))
}

/** Last characters whose unused bits are zero, by what is left over of groups of four. */
const CANONICAL_ENDS = { 2: /[AQgw]$/, 3: /[AEIMQUYcgkosw048]$/ } as const

/**
 * Decodes base64url whose alphabet was checked already. Undefined where it is not canonical: two texts of
 * one value would give one token two hashes (RFC 4648 §3.5).
 */
function decodeBase64url(text: string): Buffer | undefined {
  const rest = text.length % 4
  if (rest === 1) return undefined
  if ((rest === 2 || rest === 3) && !CANONICAL_ENDS[rest].test(text.slice(-1))) return undefined
  return Buffer.from(text, 'base64url')
}

function parseHeader(
  members: Readonly<Record<string, unknown>>,
): JwtResult<UnverifiedJwt['header']> {
  for (const name of Object.keys(members)) {
    if (REFUSED_MEMBERS.has(name)) return jwtFail('header_not_accepted', `it has ${name}`)
  }
  const { alg, kid, typ } = members
  if (!isAlgorithm(alg)) return jwtFail('algorithm_not_allowed', 'unknown alg')
  if (kid !== undefined && !isShortText(kid, MAX_KID_CHARACTERS)) {
    return jwtFail('header_not_accepted', 'kid is not a short text')
  }
  if (typ !== undefined && !isShortText(typ, MAX_TYP_CHARACTERS)) {
    return jwtFail('header_not_accepted', 'typ is not a short text')
  }
  return jwtOk({
    alg,
    ...(kid === undefined ? {} : { kid }),
    ...(typ === undefined ? {} : { typ }),
  })
}

/** RFC 8725 §3.1: compared case-sensitively with the closed list. */
const isAlgorithm = (value: unknown): value is Algorithm =>
  typeof value === 'string' && KNOWN_ALGORITHMS.has(value)

const isShortText = (value: unknown, maxCharacters: number): value is string =>
  typeof value === 'string' && value.length <= maxCharacters && !CONTROL.test(value)
