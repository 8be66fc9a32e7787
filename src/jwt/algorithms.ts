// Owns the signature algorithms that exist here: asymmetric ones only, never `none` or HMAC (BCP-01, BCP-05).
// Must not hold keys.
import { constants, type SignKeyObjectInput, type VerifyKeyObjectInput } from 'node:crypto'

/** JWS `alg` values accepted on tokens that are handed in; issuers and methods allow subsets. */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** JWS `alg` values this service signs with (Envoy verifies each of them under these names). */
export const SIGNING_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]

/** Parameters of node:crypto's sign and verify for an algorithm (RFC 7518 §3, RFC 8037 §3.1). */
export interface CryptoParameters {
  /** Null for EdDSA, which hashes by itself. */
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null
  readonly options: Omit<SignKeyObjectInput & VerifyKeyObjectInput, 'key'>
}

const ecdsa = { dsaEncoding: 'ieee-p1363' } as const
const pkcs1 = { padding: constants.RSA_PKCS1_PADDING } as const
const pss = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
} as const

export const CRYPTO: Readonly<Record<Algorithm, CryptoParameters>> = {
  ES256: { digest: 'sha256', options: ecdsa },
  ES384: { digest: 'sha384', options: ecdsa },
  ES512: { digest: 'sha512', options: ecdsa },
  RS256: { digest: 'sha256', options: pkcs1 },
  RS384: { digest: 'sha384', options: pkcs1 },
  RS512: { digest: 'sha512', options: pkcs1 },
  PS256: { digest: 'sha256', options: pss },
  PS384: { digest: 'sha384', options: pss },
  PS512: { digest: 'sha512', options: pss },
  EdDSA: { digest: null, options: {} },
}
