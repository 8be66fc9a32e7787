// Owns the verification of a projected Kubernetes service-account token (as an assertion: RFC 7523 §2.2).
// Must not refuse a second use: the kubelet renews a token at 80 % of its life, until then it is presented.
import type { Algorithm } from '../jwt/algorithms.ts'
import { checkTimes, checkTyp, ownClaim, requiredText, TYP_ABSENT } from '../jwt/claims.ts'
import { type JwtResult, jwtFail, jwtOk, type UnverifiedJwt } from '../jwt/compact.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import { checkSoleAudience } from './assertion.ts'
import { serviceAccountId } from './spiffe-id.ts'
import type { ReviewToken } from './token-review.ts'
import type { ProvenWorkload, ProveWorkload, WorkloadResult } from './workload-proof.ts'

export interface KubernetesOptions {
  /** The cluster's service-account issuer, compared exactly with `iss`. */
  readonly issuer: string
  /** The sole `aud` of tokens that are meant for this service. */
  readonly audience: string
  /** The trust domain that this cluster's service accounts belong to. */
  readonly trustDomain: string
  readonly verification:
    | { readonly kind: 'offline'; readonly keys: KeySource; readonly verifier: SignatureVerifier }
    | { readonly kind: 'online'; readonly review: ReviewToken }
  readonly skewSeconds: number
  /** Default 2 h: twice the kubelet's default; the API server grants years to whoever asks. */
  readonly maxLifetimeSeconds?: number
}

/** What the API server signs with; its ML-DSA keys are not understood here. */
export const KUBERNETES_ALGORITHMS: readonly Algorithm[] = ['RS256', 'ES256', 'ES384', 'ES512']

const DEFAULT_MAX_LIFETIME_SECONDS = 7200
const TYPES = ['JWT', TYP_ABSENT]
/** RFC 1123 labels and subdomains, as Kubernetes names namespaces and service accounts. */
const NAME = /^[a-z0-9.-]+$/

/** Makes the check. */
export function createKubernetes(options: KubernetesOptions): ProveWorkload {
  const { verification, issuer } = options
  return async (jwt, now) => {
    if (ownClaim(jwt.claims, 'iss') !== issuer) return jwtFail('issuer_not_trusted')
    const typ = checkTyp(jwt.header, TYPES)
    if (!typ.ok) return typ
    if (verification.kind === 'online') return online(jwt, now, options, verification.review)
    const { verifier, keys } = verification
    const signature = await verifier.verify(jwt, keys, KUBERNETES_ALGORITHMS)
    return signature.ok ? accountOf(jwt, now, options) : signature
  }
}

/** Claims first: what they refuse costs the API server nothing, and what it then confirms is them. */
async function online(
  jwt: UnverifiedJwt,
  now: number,
  options: KubernetesOptions,
  review: ReviewToken,
): Promise<WorkloadResult<ProvenWorkload>> {
  const account = accountOf(jwt, now, options)
  if (!account.ok) return account
  const reviewed = await review(jwt, account.value.sub)
  return reviewed.ok ? account : reviewed
}

function accountOf(
  jwt: UnverifiedJwt,
  now: number,
  options: KubernetesOptions,
): JwtResult<ProvenWorkload & { readonly sub: string }> {
  const audience = checkSoleAudience(jwt.claims, options.audience)
  if (!audience.ok) return audience
  const times = checkTimes(jwt.claims, {
    now,
    skewSeconds: options.skewSeconds,
    requireIat: true,
    maxLifetimeSeconds: options.maxLifetimeSeconds ?? DEFAULT_MAX_LIFETIME_SECONDS,
  })
  if (!times.ok) return times

  const sub = requiredText(jwt.claims, 'sub')
  if (!sub.ok) return sub
  const [system, kind, namespace = '', name = '', ...rest] = sub.value.split(':', 5)
  if (system !== 'system' || kind !== 'serviceaccount' || rest.length > 0) {
    return jwtFail('claim_malformed', 'sub is no service account')
  }
  // Tells a workload's token from others that this issuer signs, and from the old flat claims.
  if (!isConfirmed(ownClaim(jwt.claims, 'kubernetes.io'), namespace, name)) {
    return jwtFail('claim_malformed', 'kubernetes.io does not confirm sub')
  }
  const id =
    NAME.test(namespace) && NAME.test(name)
      ? serviceAccountId(options.trustDomain, namespace, name)
      : undefined
  return id === undefined
    ? jwtFail('claim_malformed', 'sub is no service account')
    : jwtOk({ id, sub: sub.value, exp: times.value.exp })
}

function isConfirmed(claim: unknown, namespace: string, name: string): boolean {
  if (!isObject(claim) || claim.namespace !== namespace) return false
  return isObject(claim.serviceaccount) && claim.serviceaccount.name === name
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null
