// Owns what every client assertion shares: its reasons, and the one audience it may have.
// Must not verify signatures or know which kind of assertion it looks at.
import { audiencesOf, type Claims } from '../jwt/claims.ts'
import { type JwtResult, jwtFail, jwtOk } from '../jwt/compact.ts'
import { type Failure, fail, type Reason } from '../oauth/reasons.ts'
import { isJwtProblem, type WorkloadFailure, type WorkloadProblem } from './workload-proof.ts'

/** What is not said of the JWT itself has the same name whatever proved the caller. */
const OTHER_REASONS = {
  spiffe_id_malformed: 'client_spiffe_id_malformed',
  trust_domain_not_allowed: 'client_trust_domain_not_allowed',
  token_review_refused: 'client_token_review_refused',
  token_review_unavailable: 'client_token_review_unavailable',
} as const satisfies Partial<Record<WorkloadProblem, Reason>>

/** Says a problem as the client's failure: `client_assertion_<problem>` for what is wrong with the JWT. */
export const assertionFailure = ({
  problem,
  detail,
  retryAfterSeconds,
}: WorkloadFailure): Failure =>
  fail(
    isJwtProblem(problem) ? `client_assertion_${problem}` : OTHER_REASONS[problem],
    detail,
    retryAfterSeconds,
  )

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
