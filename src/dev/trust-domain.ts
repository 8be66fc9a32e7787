// Owns the SPIFFE trust domain of the development profile: its JWT bundle, and a fresh JWT-SVID for each workload.
// Must not attest anybody: whoever reaches it on this machine gets what it asks for.
import { SignJWT } from 'jose'
import { serviceAccountId } from '../clients/spiffe-id.ts'
import type { DevelopmentKey } from './development-key.ts'

/** As the Workload API does: short, and made again long before it ends. */
export const SVID_LIFETIME_SECONDS = 300

export interface TrustDomainOptions {
  readonly name: string
  readonly key: DevelopmentKey
  /** The token service's issuer URL: the sole `aud` (SC-02). */
  readonly audience: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** What the profile asks of it. */
export interface TrustDomain {
  /** SPIFFE Trust Domain and Bundle §4. */
  readonly bundle: object
  /** A fresh JWT-SVID for a service account, or undefined where the names make no SPIFFE ID. */
  readonly svidFor: (namespace: string, serviceAccount: string) => Promise<string | undefined>
}

/** Makes a trust domain; it listens nowhere by itself. */
export function createTrustDomain(options: TrustDomainOptions): TrustDomain {
  const { name, key, audience } = options
  return {
    bundle: { keys: [{ ...key.publicJwk, use: 'jwt-svid' }], spiffe_sequence: 1 },
    async svidFor(namespace, serviceAccount) {
      const id = serviceAccountId(name, namespace, serviceAccount)
      if (id === undefined) return undefined
      const issuedAt = Math.floor(options.now() / 1000)
      return new SignJWT()
        .setProtectedHeader({ alg: key.algorithm, typ: 'JWT', kid: key.kid })
        .setSubject(id)
        .setAudience(audience)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + SVID_LIFETIME_SECONDS)
        .sign(key.privateKey)
    },
  }
}
