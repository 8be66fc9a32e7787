// Owns the way from settings to the verification of workloads' tokens, as assertions and as subject tokens.
// Must not know roles, nor which listener takes which method.
import type { WorkloadOptions } from '../clients/authenticate.ts'
import { JWT_SVID_ALGORITHMS } from '../clients/jwt-svid.ts'
import { KUBERNETES_ALGORITHMS, type KubernetesOptions } from '../clients/kubernetes.ts'
import { createTokenReview } from '../clients/token-review.ts'
import type { Settings } from '../config/settings.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import { CLOCK_SKEW_SECONDS } from './clients.ts'
import { type KeySourceContext, keySource } from './key-sources.ts'

interface Context extends KeySourceContext {
  readonly verifier: SignatureVerifier
}

/** Makes what verifies workloads' tokens as the settings say. */
export function composeWorkloads(
  { clientAuth, issuer }: Settings,
  context: Context,
): WorkloadOptions {
  const { jwtSvid, kubernetes } = clientAuth
  return {
    ...(jwtSvid && {
      jwtSvid: {
        issuer,
        verifier: context.verifier,
        skewSeconds: CLOCK_SKEW_SECONDS,
        bundles: bundlesOf(jwtSvid, context),
      },
    }),
    ...(kubernetes && { kubernetes: kubernetesOptions(kubernetes, context) }),
  }
}

function bundlesOf(
  { bundles }: NonNullable<Settings['clientAuth']['jwtSvid']>,
  context: Context,
): Map<string, KeySource> {
  const use = { allowed: JWT_SVID_ALGORITHMS, bundle: true }
  return new Map(
    [...bundles].map(([trustDomain, source]) => [trustDomain, keySource(source, use, context)]),
  )
}

function kubernetesOptions(
  settings: NonNullable<Settings['clientAuth']['kubernetes']>,
  context: Context,
): KubernetesOptions {
  const { issuer, audience, trustDomain, verification, maxLifetimeMs } = settings
  return {
    issuer,
    audience,
    trustDomain,
    skewSeconds: CLOCK_SKEW_SECONDS,
    maxLifetimeSeconds: Math.floor(maxLifetimeMs / 1000),
    verification: verificationOf(verification, audience, context),
  }
}

function verificationOf(
  verification: NonNullable<Settings['clientAuth']['kubernetes']>['verification'],
  audience: string,
  context: Context,
): KubernetesOptions['verification'] {
  if (verification.kind !== 'token_review') {
    const keys = keySource(verification, { allowed: KUBERNETES_ALGORITHMS }, context)
    return { kind: 'offline', keys, verifier: context.verifier }
  }
  const { url: apiServer, caFile, tokenFile } = verification
  const { review, stop } = createTokenReview({ apiServer, audience, caFile, tokenFile })
  context.onClose(stop)
  return { kind: 'online', review }
}
