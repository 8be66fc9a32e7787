// Owns minting: build the claims, check P1 once more, sign. Nothing is signed that did not pass the check.
// Must not decide; must not hold keys.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { fail, ok, type Result } from '../oauth/reasons.ts'
import { type AttenuatedClaims, attenuate } from './attenuation.ts'
import { buildClaims } from './claims.ts'
import type { MintedToken, MintOrder } from './minted.ts'

/**
 * Signs claims as `at+jwt` with the active key of an algorithm (undefined: the deployment's default).
 * Fails with `signing_key_unavailable`.
 */
export type SignClaims = (
  claims: AttenuatedClaims,
  algorithm: SigningAlgorithm | undefined,
) => Result<{ readonly token: string; readonly kid: string }>

/** Fits beside other headers into the 8 KiB that many application servers accept. */
export const MAX_TOKEN_CHARACTERS = 8192

/** Mints the token for an allowed exchange. Throws where P1 or P2 would be broken: that is a bug. */
export function mint(order: MintOrder, sign: SignClaims): Result<MintedToken> {
  const built = buildClaims(order)
  if (!built.ok) return built
  const claims = attenuate(built.value.claims, order)
  const signed = sign(claims, order.decision.target.algorithm)
  if (!signed.ok) return signed
  if (signed.value.token.length > MAX_TOKEN_CHARACTERS) {
    return fail('mint_token_too_large', `${signed.value.token.length} characters`)
  }
  return ok({ ...signed.value, claims, passedClaims: built.value.passedClaims })
}
