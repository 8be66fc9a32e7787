// Owns what every client assertion shares: its reasons, and the one audience it may have.
// Must not verify signatures or know which kind of assertion it looks at.
import { audiencesOf, type Claims } from '../jwt/claims.ts'
import { type JwtFailure, type JwtResult, jwtFail, jwtOk } from '../jwt/compact.ts'
import { type Failure, fail } from '../oauth/reasons.ts'

/** Says a JWT's problem as the client's failure: `client_assertion_<problem>`. */
export const assertionFailure = (failure: JwtFailure): Failure =>
  fail(`client_assertion_${failure.problem}`, failure.detail, failure.retryAfterSeconds)

/**
 * CA-08, SC-02: `aud` is the expected value and nothing else, compared as text (CA-03). Whoever else is
 * named could present the assertion here as its owner.
 */
export function checkSoleAudience(claims: Claims, expected: string): JwtResult<void> {
  const audiences = audiencesOf(claims)
  if (!audiences.ok) return audiences
  if (audiences.value.length === 1 && audiences.value[0] === expected) return jwtOk(undefined)
  return jwtFail('audience_not_accepted', 'aud is not this issuer alone')
}
