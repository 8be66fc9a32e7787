// Owns the built-in issuer `workload`: a workload's own JWT-SVID or service-account token, for jobs without a user.
// Must not verify signatures or audiences itself: what is good as the caller's client assertion is good here.
import { trustDomainOf } from '../clients/spiffe-id.ts'
import {
  isJwtProblem,
  type ProvenWorkload,
  type ProveWorkload,
  type WorkloadFailure,
  type WorkloadProblem,
} from '../clients/workload-proof.ts'
import { audiencesOf, type Claims, isPlainText, optionalText, ownClaim } from '../jwt/claims.ts'
import type { UnverifiedJwt } from '../jwt/compact.ts'
import type { TokenType } from '../oauth/names.ts'
import { type Failure, fail, ok, type Reason, type Result } from '../oauth/reasons.ts'
import type { Presenter } from './presenter.ts'
import { asVerified, type Subject, WORKLOAD } from './subject.ts'
import { MAX_JTI_CHARACTERS } from './trusted-issuer.ts'

/** The client authentication methods whose tokens count here too; undefined where one is not configured. */
export interface WorkloadProofs {
  readonly jwtSvid?: ProveWorkload
  /** `issuer` is the cluster's, compared exactly with `iss`. */
  readonly kubernetes?: { readonly issuer: string; readonly prove: ProveWorkload }
}

/** What tells one kind of token from another. */
export interface KnownIssuers {
  /** Whether an `iss` is ours, or stands in the issuers file. */
  readonly isTrusted: (iss: string) => boolean
  readonly clusterIssuer: string | undefined
}

/**
 * Whether a token is a workload's own, by what it says of its issuer and never by the shape of the request:
 * the cluster's `iss`, or a SPIFFE ID as `sub` without an `iss` that is trusted otherwise. JWT-SVIDs may have
 * any `iss` or none, and it leads nowhere (SC-03); the keys are those of the trust domain in `sub`.
 */
export function workloadTokenKind(
  claims: Claims,
  known: KnownIssuers,
): 'jwt_svid' | 'kubernetes' | undefined {
  const iss = ownClaim(claims, 'iss')
  if (iss !== undefined && (!isPlainText(iss) || known.isTrusted(iss))) return undefined
  if (iss !== undefined && iss === known.clusterIssuer) return 'kubernetes'
  const sub = ownClaim(claims, 'sub')
  return typeof sub === 'string' && sub.startsWith('spiffe://') ? 'jwt_svid' : undefined
}

/** Verifies a workload's own token; `now` in milliseconds since the epoch. */
export type VerifyWorkloadToken = (
  jwt: UnverifiedJwt,
  type: TokenType,
  presenter: Presenter,
  now: number,
) => Promise<Result<Subject>>

/**
 * Finds what verifies a token, or undefined where it is none of a workload or its method is not configured.
 */
export function createWorkloadTokens(
  proofs: WorkloadProofs,
  isTrusted: KnownIssuers['isTrusted'],
): (claims: Claims) => VerifyWorkloadToken | undefined {
  const { jwtSvid, kubernetes } = proofs
  const verifiers = {
    jwt_svid: jwtSvid && verifierOf(jwtSvid, ({ id }) => `spiffe://${trustDomainOf(id)}`),
    kubernetes: kubernetes && verifierOf(kubernetes.prove, () => kubernetes.issuer),
  }
  const known = { isTrusted, clusterIssuer: kubernetes?.issuer }
  return (claims) => {
    const kind = workloadTokenKind(claims, known)
    return kind && verifiers[kind]
  }
}

function verifierOf(
  prove: ProveWorkload,
  issOf: (proven: ProvenWorkload) => string,
): VerifyWorkloadToken {
  return async (jwt, type, presenter, now) => {
    // RFC 8693 §3: neither kind is an access token, nor is it for whoever accepts one.
    if (type !== 'jwt') return fail('subject_token_type_not_accepted', `${WORKLOAD}: ${type}`)
    const proven = await prove(jwt, now)
    if (!proven.ok) return refuse(proven)
    // Somebody else's would lend its grants to whoever sees it.
    if (proven.value.id !== presenter.spiffeId) {
      return fail('subject_token_not_own', `${presenter.name} with a token of ${proven.value.id}`)
    }
    return subjectOf(jwt, proven.value, issOf(proven.value), presenter)
  }
}

function subjectOf(
  { claims, hash }: UnverifiedJwt,
  { id, exp }: ProvenWorkload,
  iss: string,
  { grants }: Presenter,
): Result<Subject> {
  const undelegated = checkUndelegated(claims)
  if (!undelegated.ok) return undelegated
  const audiences = audiencesOf(claims)
  if (!audiences.ok) return refuse(audiences)
  const jti = optionalText(claims, 'jti', MAX_JTI_CHARACTERS)
  if (!jti.ok) return refuse(jti)
  return ok(
    asVerified<Subject>({
      issuer: WORKLOAD,
      iss,
      sub: id,
      // A SPIFFE ID is nobody's qualified sub: no subject_prefix may be `spiffe`.
      qualifiedSub: id,
      tokenType: 'jwt',
      audiences: audiences.value,
      scopes: grants,
      exp,
      claims,
      chain: [],
      ...(jti.value === undefined ? {} : { jti: jti.value }),
      tokenHash: hash,
    }),
  )
}

/** P2: who acts for a workload that shows its own token is that workload; what says otherwise is not read over. */
function checkUndelegated(claims: Claims): Result<void> {
  if (claims.cnf !== undefined) return fail('subject_token_confirmation_unsupported')
  if (claims.act !== undefined) {
    return fail('subject_token_act_malformed', "a workload's own token has no act")
  }
  if (claims.may_act !== undefined) {
    return fail('subject_token_may_act_malformed', "a workload's own token has no may_act")
  }
  return ok(undefined)
}

/** What is wrong with more than the JWT, in the words that any issuer's token has for it. */
const OTHER_REASONS = {
  spiffe_id_malformed: 'subject_token_claim_malformed',
  trust_domain_not_allowed: 'subject_token_issuer_not_trusted',
  token_review_refused: 'subject_token_review_refused',
  token_review_unavailable: 'subject_token_issuer_unavailable',
} as const satisfies Partial<Record<WorkloadProblem, Reason>>

const refuse = ({ problem, detail, retryAfterSeconds }: WorkloadFailure): Failure =>
  fail(
    isJwtProblem(problem) ? `subject_token_${problem}` : OTHER_REASONS[problem],
    detail,
    retryAfterSeconds,
  )
