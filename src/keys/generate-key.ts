// Owns making signing keys. Must not store or publish them.
import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { type EncryptionKeys, type SealedKey, sealPrivateKey } from './key-encryption.ts'
import { done, type KeyOutcome } from './key-outcome.ts'
import { type PublicJwk, publicMembers, thumbprint } from './public-jwk.ts'

/** A new key, ready to be stored. */
export interface NewKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly jwk: PublicJwk
  readonly sealed: SealedKey
}

/**
 * Keys sign for a day, not for years, so 2048 bits (112-bit strength, NIST SP 800-57) are ample; 3072 would
 * make each signature three times as slow and each token 170 characters longer.
 */
const RSA_BITS = 2048

const generate = promisify(generateKeyPair)

/** Makes a key pair for an algorithm, in the thread pool: RSA takes a while. */
export async function generateSigningKey(
  algorithm: SigningAlgorithm,
): Promise<{ readonly kid: string; readonly jwk: PublicJwk; readonly privateKey: KeyObject }> {
  for (;;) {
    const { publicKey, privateKey } = await generatePair(algorithm)
    const jwk = publicMembers({ ...publicKey.export({ format: 'jwk' }) })
    if (jwk === undefined) throw new Error(`a new ${algorithm} key has an unknown form`)
    const kid = thumbprint(jwk)
    if (isPlainOperand(kid)) return { kid, jwk, privateKey }
  }
}

/** One thumbprint in 64 begins like an option: "keys revoke <kid>" could not be pasted in a bad hour. */
export const isPlainOperand = (kid: string): boolean => !kid.startsWith('-')

/** Makes a key for each algorithm, sealed under the current key-encryption key. */
export async function makeKeys(
  algorithms: readonly SigningAlgorithm[],
  encryptionKeys: EncryptionKeys,
): Promise<KeyOutcome<readonly NewKey[]>> {
  const keys: NewKey[] = []
  for (const algorithm of algorithms) {
    const { kid, jwk, privateKey } = await generateSigningKey(algorithm)
    const sealed = sealPrivateKey(privateKey, { kid, algorithm }, encryptionKeys)
    if (!sealed.ok) return sealed
    keys.push({ kid, algorithm, jwk, sealed: sealed.value })
  }
  return done(keys)
}

function generatePair(
  algorithm: SigningAlgorithm,
): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  switch (algorithm) {
    case 'ES256':
      return generate('ec', { namedCurve: 'P-256' })
    case 'EdDSA':
      return generate('ed25519')
    case 'RS256':
    case 'PS256':
      return generate('rsa', { modulusLength: RSA_BITS, publicExponent: 0x10001 })
  }
}
