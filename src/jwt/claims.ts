// Owns the checks of claims that every kind of JWT shares (RFC 7519 §4.1, RFC 8725 §3.11). Pure.
// Must not know roles, issuers or keys; must not be called on claims whose signature was not verified, except for `iss`.
import { type JwtResult, jwtFail, jwtOk, type UnverifiedJwt } from './compact.ts'

/** A token's claims. */
export type Claims = Readonly<Record<string, unknown>>

/** Seconds since the epoch, whole; `exp` is rounded down and `nbf` up, so a token never lives longer. */
export interface Times {
  readonly exp: number
  readonly nbf?: number
  readonly iat?: number
}

export interface TimeRules {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Allowed for clocks of others that run ahead: on `nbf` and `iat` only, never on `exp` (P1). */
  readonly skewSeconds: number
  readonly requireIat?: boolean
  /** From `iat`, or from now where there is none, to `exp`. */
  readonly maxLifetimeSeconds?: number
}

/** End of the year 9999; a time in milliseconds by mistake is beyond it. */
const MAX_NUMERIC_DATE = 253_402_300_799
/** A SPIFFE ID has at most 2048 bytes, and no identifier in use is longer. */
export const MAX_IDENTIFIER_CHARACTERS = 2048
/** More than any token in use names. */
const MAX_AUDIENCES = 32
/** In `accepted` of {@link checkTyp}: a token without `typ`. */
export const TYP_ABSENT = 'absent'

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/**
 * A non-empty string without control characters. Envoy answers 503 for a control character in a claim
 * that it copies into a header, so none may come near a token that we issue.
 */
export const isPlainText = (
  value: unknown,
  maxCharacters: number = MAX_IDENTIFIER_CHARACTERS,
): value is string =>
  typeof value === 'string' && value !== '' && value.length <= maxCharacters && !CONTROL.test(value)

/** A claim of the token itself, never one inherited from a prototype. */
export const ownClaim = (claims: Claims, name: string): unknown =>
  Object.hasOwn(claims, name) ? claims[name] : undefined

/**
 * Checks `exp` (required), `nbf` and `iat`.
 * Fails with `claim_malformed`, `expired` (exp ≤ now), `not_yet_valid`, `lifetime_too_long`.
 */
export function checkTimes(claims: Claims, rules: TimeRules): JwtResult<Times> {
  const times = readTimes(claims)
  if (!times.ok) return times
  const { exp, nbf, iat } = times.value
  if (iat === undefined && rules.requireIat === true) {
    return jwtFail('claim_malformed', 'iat is missing')
  }
  const now = rules.now / 1000
  if (exp <= now) return jwtFail('expired', `exp ${exp}`)
  const latestStart = now + rules.skewSeconds
  if (nbf !== undefined && nbf > latestStart) return jwtFail('not_yet_valid', `nbf ${nbf}`)
  if (iat !== undefined && iat > latestStart) return jwtFail('not_yet_valid', `iat ${iat}`)
  const lifetime = exp - (iat ?? now)
  if (rules.maxLifetimeSeconds !== undefined && lifetime > rules.maxLifetimeSeconds) {
    return jwtFail('lifetime_too_long', `${Math.ceil(lifetime)} s`)
  }
  return times
}

function readTimes(claims: Claims): JwtResult<Times> {
  const exp = numericDate(claims, 'exp', Math.floor)
  if (!exp.ok) return exp
  if (exp.value === undefined) return jwtFail('claim_malformed', 'exp is missing')
  const nbf = numericDate(claims, 'nbf', Math.ceil)
  if (!nbf.ok) return nbf
  const iat = numericDate(claims, 'iat', Math.floor)
  if (!iat.ok) return iat
  return jwtOk({
    exp: exp.value,
    ...(nbf.value === undefined ? {} : { nbf: nbf.value }),
    ...(iat.value === undefined ? {} : { iat: iat.value }),
  })
}

function numericDate(
  claims: Claims,
  name: string,
  round: (value: number) => number,
): JwtResult<number | undefined> {
  const value = ownClaim(claims, name)
  if (value === undefined) return jwtOk(undefined)
  // The comparison is false for NaN and refuses infinities.
  if (typeof value !== 'number' || !(value >= 0 && value <= MAX_NUMERIC_DATE)) {
    return jwtFail('claim_malformed', `${name} is not a time`)
  }
  return jwtOk(round(value))
}

/** Reads `aud`: a string or a list of strings, at least one (RFC 7519 §4.1.3). Fails with `claim_malformed`. */
export function audiencesOf(claims: Claims): JwtResult<readonly string[]> {
  const aud = ownClaim(claims, 'aud')
  if (aud === undefined) return jwtFail('claim_malformed', 'aud is missing')
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (audiences.length === 0) return jwtFail('claim_malformed', 'aud is empty')
  if (audiences.length > MAX_AUDIENCES) return jwtFail('claim_malformed', 'aud has too many values')
  if (!audiences.every((one): one is string => isPlainText(one))) {
    return jwtFail('claim_malformed', 'aud is not a text or a list of texts')
  }
  return jwtOk(audiences)
}

/** Reads a claim that must be a plain text. Fails with `claim_malformed`. */
export function requiredText(
  claims: Claims,
  name: string,
  maxCharacters: number = MAX_IDENTIFIER_CHARACTERS,
): JwtResult<string> {
  const value = ownClaim(claims, name)
  if (value === undefined) return jwtFail('claim_malformed', `${name} is missing`)
  if (isPlainText(value, maxCharacters)) return jwtOk(value)
  return jwtFail('claim_malformed', `${name} is not a plain text`)
}

/** Reads a claim that is a plain text where it is present. Fails with `claim_malformed`. */
export function optionalText(
  claims: Claims,
  name: string,
  maxCharacters: number = MAX_IDENTIFIER_CHARACTERS,
): JwtResult<string | undefined> {
  if (ownClaim(claims, name) === undefined) return jwtOk(undefined)
  return requiredText(claims, name, maxCharacters)
}

/**
 * Checks the header's `typ` against accepted types (RFC 8725 §3.11): without regard to case, a type without
 * a `/` read as `application/<typ>` (RFC 7515 §4.1.9). {@link TYP_ABSENT} among them accepts a token
 * without `typ`. Fails with `typ_not_accepted`.
 */
export function checkTyp(
  header: UnverifiedJwt['header'],
  accepted: readonly string[],
): JwtResult<void> {
  if (header.typ === undefined) {
    return accepted.includes(TYP_ABSENT)
      ? jwtOk(undefined)
      : jwtFail('typ_not_accepted', 'typ is missing')
  }
  const typ = normaliseTyp(header.typ)
  for (const one of accepted) {
    if (one !== TYP_ABSENT && normaliseTyp(one) === typ) return jwtOk(undefined)
  }
  return jwtFail('typ_not_accepted', 'typ is not among the accepted ones')
}

function normaliseTyp(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}
