// Owns the verification of a JWS signature against a key source, and the cache of successes.
// Must not look at claims: times, audiences and presenters are checked every time, by others.
import { verify as cryptoVerify } from 'node:crypto'
import { type Algorithm, CRYPTO } from './algorithms.ts'
import { type JwtResult, jwtFail, jwtOk, type UnverifiedJwt } from './compact.ts'
import type { KeySet, KeySource, KeySourceOutage, VerificationKey } from './key-source.ts'
import { createRecent } from './recent.ts'

export interface SignatureVerifier {
  /**
   * Verifies a token with a key of `source` for one of the `allowed` algorithms.
   * A token with a kid is tried only with keys of that kid, one without only with keys of its algorithm
   * (those without a kid included). An unknown kid asks the source to refresh, once.
   * Fails with `algorithm_not_allowed`, `key_unknown`, `signature_invalid`, `issuer_unavailable`.
   */
  verify(
    jwt: UnverifiedJwt,
    source: KeySource,
    allowed: readonly Algorithm[],
  ): Promise<JwtResult<void>>
}

export interface SignatureVerifierOptions {
  /** Verified tokens that are remembered; about 250 bytes each. 0 turns the cache off. */
  readonly cacheEntries: number
}

/** One key before and one after a rotation, per algorithm, and some room; bounds work per request. */
const MAX_TRIES = 8

/** Creates a verifier; its cache holds only hashes and versions, and only of tokens that verified. */
export function createSignatureVerifier(options: SignatureVerifierOptions): SignatureVerifier {
  const verified = createRecent<string>(options.cacheEntries)

  async function verify(
    jwt: UnverifiedJwt,
    source: KeySource,
    allowed: readonly Algorithm[],
  ): Promise<JwtResult<void>> {
    if (!allowed.includes(jwt.header.alg)) {
      return jwtFail('algorithm_not_allowed', `${jwt.header.alg} is not allowed here`)
    }
    const first = source.current()
    const set = first instanceof Promise ? await first : first
    if ('unavailable' in set) return outage(set)
    const result = verifyWith(jwt, set)
    if (result.ok || !mayBeRotated(jwt, result.problem)) return result

    const refreshed = await source.refreshed()
    if ('unavailable' in refreshed) return outage(refreshed)
    return refreshed.version === set.version ? result : verifyWith(jwt, refreshed)
  }

  function verifyWith(jwt: UnverifiedJwt, set: KeySet): JwtResult<void> {
    if (verified.get(jwt.hash) === set.version) return jwtOk(undefined)
    const result = verifyWithKeys(jwt, set)
    if (result.ok) verified.set(jwt.hash, set.version)
    return result
  }

  return { verify }
}

/** Whether a newer set could change the end: an unknown kid, or no kid to tell the old key from a new one. */
const mayBeRotated = (jwt: UnverifiedJwt, problem: string): boolean =>
  problem === 'key_unknown' || (problem === 'signature_invalid' && jwt.header.kid === undefined)

const outage = (outage: KeySourceOutage) =>
  jwtFail('issuer_unavailable', outage.unavailable, outage.retryAfterSeconds)

function verifyWithKeys(jwt: UnverifiedJwt, set: KeySet): JwtResult<void> {
  const { alg, kid } = jwt.header
  const named = kid === undefined ? set.keys : set.keys.filter((key) => key.kid === kid)
  const candidates = named.filter((key) => key.algorithm === alg)
  if (candidates.length === 0) {
    // RFC 8725 §3.1: the key is there, but for another algorithm.
    return kid !== undefined && named.length > 0
      ? jwtFail('algorithm_not_allowed', `the key is not for ${alg}`)
      : jwtFail('key_unknown', kid === undefined ? `no key for ${alg}` : 'no key has its kid')
  }
  return candidates.slice(0, MAX_TRIES).some((key) => isSignedBy(jwt, key))
    ? jwtOk(undefined)
    : jwtFail('signature_invalid')
}

/** OpenSSL refuses ECDSA signatures of another length and those with r or s out of range (CVE-2022-21449 elsewhere). */
function isSignedBy(jwt: UnverifiedJwt, { algorithm, key }: VerificationKey): boolean {
  const { digest, options } = CRYPTO[algorithm]
  return cryptoVerify(digest, Buffer.from(jwt.signingInput), { ...options, key }, jwt.signature)
}
