// Owns the way from settings to the verification of subject and actor tokens.
// Must not verify anything itself.
import type { WorkloadOptions } from '../clients/authenticate.ts'
import { createJwtSvid } from '../clients/jwt-svid.ts'
import { createKubernetes } from '../clients/kubernetes.ts'
import type { IssuerSettings } from '../config/issuers.ts'
import type { Settings } from '../config/settings.ts'
import { SIGNING_ALGORITHMS } from '../jwt/algorithms.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import { ownIssuer, type TrustedIssuer } from '../subjects/trusted-issuer.ts'
import { createTokenVerifier, type TokenVerifier } from '../subjects/verify-token.ts'
import type { WorkloadProofs } from '../subjects/workload-token.ts'
import { CLOCK_SKEW_SECONDS } from './clients.ts'
import { type KeySourceContext, keySource } from './key-sources.ts'

/** Makes the verifier of handed-in tokens; `ownKeys` are this service's published keys. */
export function composeSubjects(
  settings: Settings,
  signatures: SignatureVerifier,
  ownKeys: KeySource,
  context: KeySourceContext & { readonly workloads: WorkloadOptions },
): TokenVerifier {
  return createTokenVerifier({
    self: ownIssuer(settings.issuer, ownKeys, SIGNING_ALGORITHMS),
    issuers: settings.issuers.map((issuer) => trustedIssuer(issuer, context)),
    workloads: workloadProofs(context.workloads),
    signatures,
    clockSkewSeconds: CLOCK_SKEW_SECONDS,
  })
}

function workloadProofs({ jwtSvid, kubernetes }: WorkloadOptions): WorkloadProofs {
  return {
    ...(jwtSvid && { jwtSvid: createJwtSvid(jwtSvid) }),
    ...(kubernetes && {
      kubernetes: { issuer: kubernetes.issuer, prove: createKubernetes(kubernetes) },
    }),
  }
}

function trustedIssuer(settings: IssuerSettings, context: KeySourceContext): TrustedIssuer {
  const { name, issuer: iss, algorithms, presentedBy } = settings
  return {
    name,
    iss,
    keys: keySource(settings.keys, { allowed: algorithms, iss }, context),
    algorithms,
    tokenTypes: new Set(settings.tokenTypes),
    accessTokenTyp: settings.accessTokenTyp,
    presentedBy: new Map([...presentedBy].map(([aud, services]) => [aud, new Set(services)])),
    scopesFrom: settings.scopesFrom,
    subjectPrefix: settings.subjectPrefix,
  }
}
