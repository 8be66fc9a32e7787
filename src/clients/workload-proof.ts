// Owns the ends of verifying a token by which a workload says who it is, whatever it is handed in as.
// Must not know roles: a client assertion and a subject token have reasons of their own for one problem.
import type { JwtFailure, UnverifiedJwt } from '../jwt/compact.ts'
import type { JwtProblem } from '../oauth/reasons.ts'
import type { SpiffeId } from './spiffe-id.ts'

/** What is wrong with more than the JWT: whom it names, or what its issuer says of it. */
type OtherProblem =
  | 'spiffe_id_malformed'
  | 'trust_domain_not_allowed'
  | 'token_review_refused'
  | 'token_review_unavailable'

/** What can be wrong with a workload's token. */
export type WorkloadProblem = JwtProblem | OtherProblem

/** As {@link JwtFailure}, for all that can be wrong. */
export interface WorkloadFailure extends Omit<JwtFailure, 'problem'> {
  readonly problem: WorkloadProblem
}

/** Ends of the checks in this room that more than one role uses. */
export type WorkloadResult<T> = { readonly ok: true; readonly value: T } | WorkloadFailure

/** Whom a token proved, and until when; in seconds since the epoch. */
export interface ProvenWorkload {
  readonly id: SpiffeId
  readonly exp: number
}

/** Verifies a workload's token. `now` in milliseconds. */
export type ProveWorkload = (
  jwt: UnverifiedJwt,
  now: number,
) => Promise<WorkloadResult<ProvenWorkload>>

const OTHER_PROBLEMS: ReadonlySet<string> = new Set<OtherProblem>([
  'spiffe_id_malformed',
  'trust_domain_not_allowed',
  'token_review_refused',
  'token_review_unavailable',
])

/** Whether a problem is one that any JWT can have. */
export const isJwtProblem = (problem: WorkloadProblem): problem is JwtProblem =>
  !OTHER_PROBLEMS.has(problem)

/** Makes a failure; see {@link WorkloadFailure}. */
export const workloadFail = (
  problem: OtherProblem,
  detail: string,
  retryAfterSeconds?: number,
): WorkloadFailure => ({
  ok: false,
  problem,
  detail,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
})
