// Owns client authentication by private_key_jwt for callers outside the mesh (RFC 7523 §2.2, §3).
// Must not spend an assertion's jti before everything else about it is right.
import { ALGORITHMS, type Algorithm } from '../jwt/algorithms.ts'
import { checkTimes, checkTyp, ownClaim, requiredText, TYP_ABSENT } from '../jwt/claims.ts'
import { type JwtResult, jwtFail, jwtOk, type UnverifiedJwt } from '../jwt/compact.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import { fail, ok, type Result } from '../oauth/reasons.ts'
import { assertionFailure, checkSoleAudience } from './assertion.ts'

/**
 * Claims the single use of an assertion, across processes. Fails with `client_assertion_replayed` where
 * it was used, `client_assertion_replay_store_unavailable` where nobody can say.
 */
export type ClaimAssertionId = (
  service: string,
  jti: string,
  expiresAtSeconds: number,
) => Promise<Result<void>>

export interface PrivateKeyJwtOptions {
  /** This deployment's issuer URL: the sole `aud`. */
  readonly issuer: string
  /** The keys that a service registered, by its full name; undefined where it has none. */
  readonly keysOf: (service: string) => KeySource | undefined
  readonly claimAssertionId: ClaimAssertionId
  readonly verifier: SignatureVerifier
  readonly skewSeconds: number
}

/**
 * Gives the full name of the service whose key signed, or a `client_…` reason. `clientId` is the
 * request's client_id parameter; it is checked here, before the assertion is spent. `now` in milliseconds.
 */
export type AuthenticatePrivateKeyJwt = (
  jwt: UnverifiedJwt,
  now: number,
  clientId: string | undefined,
) => Promise<Result<string>>

/** Every one there is, RS256 among them (CA-06): each registered key says which is its own. */
export const PRIVATE_KEY_JWT_ALGORITHMS: readonly Algorithm[] = ALGORITHMS

/** CA-04: assertions are made per request; what lives longer fills the replay store. */
const MAX_ASSERTION_LIFETIME_SECONDS = 300
/** Room for a UUID or a hash in any spelling. */
const MAX_JTI_CHARACTERS = 256
const TYPES = ['client-authentication+jwt', 'JWT', TYP_ABSENT]

/** Makes the check. */
export function createPrivateKeyJwt(options: PrivateKeyJwtOptions): AuthenticatePrivateKeyJwt {
  const { keysOf, verifier, claimAssertionId } = options
  return async (jwt, now, clientId) => {
    const typ = checkTyp(jwt.header, TYPES)
    if (!typ.ok) return assertionFailure(typ)
    // Unverified: it only chooses the keys, which speak for that service and no other.
    const iss = requiredText(jwt.claims, 'iss')
    if (!iss.ok) return assertionFailure(iss)
    const service = iss.value
    const keys = keysOf(service)
    if (keys === undefined) return fail('client_assertion_not_registered')

    const signature = await verifier.verify(jwt, keys, PRIVATE_KEY_JWT_ALGORITHMS)
    if (!signature.ok) return assertionFailure(signature)
    const single = singleUseOf(jwt, now, service, options)
    if (!single.ok) return assertionFailure(single)
    if (clientId !== undefined && clientId !== service) return fail('client_id_mismatch')
    const claimed = await claimAssertionId(service, single.value.jti, single.value.exp)
    return claimed.ok ? ok(service) : claimed
  }
}

function singleUseOf(
  jwt: UnverifiedJwt,
  now: number,
  service: string,
  options: PrivateKeyJwtOptions,
): JwtResult<{ readonly jti: string; readonly exp: number }> {
  if (ownClaim(jwt.claims, 'sub') !== service) return jwtFail('claim_malformed', 'sub is not iss')
  const audience = checkSoleAudience(jwt.claims, options.issuer)
  if (!audience.ok) return audience
  // With iat no later than now + skew, this also bounds how far ahead exp is.
  const times = checkTimes(jwt.claims, {
    now,
    skewSeconds: options.skewSeconds,
    maxLifetimeSeconds: MAX_ASSERTION_LIFETIME_SECONDS,
  })
  if (!times.ok) return times
  const jti = requiredText(jwt.claims, 'jti', MAX_JTI_CHARACTERS)
  return jti.ok ? jwtOk({ jti: jti.value, exp: times.value.exp }) : jti
}
