// Owns the published key set, byte for byte (RFC 7517 §5). Pure.
// Must not publish anything that changes during a key's life: each change is pushed to every proxy of a mesh.
import { createHash } from 'node:crypto'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { PublicJwk } from './public-jwk.ts'

/** A key of the set. */
export interface PublishedKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly jwk: PublicJwk
}

/** What the JWKS endpoint answers. */
export interface JwksDocument {
  readonly body: string
  /** Strong: the same exactly when the body is the same. */
  readonly etag: string
  readonly maxAgeSeconds: number
}

/**
 * Builds the document: the same keys give the same bytes in every process and after every restart.
 * Undefined for no keys: Envoy refuses a whole listener for an empty set, so none is ever published.
 */
export function jwksDocument(
  keys: readonly PublishedKey[],
  maxAgeSeconds: number,
): JwksDocument | undefined {
  if (keys.length === 0) return undefined
  const sorted = [...keys].sort((a, b) => (a.kid < b.kid ? -1 : 1))
  const body = JSON.stringify({
    keys: sorted.map(({ kid, algorithm, jwk }) => ({
      ...inOrder(jwk),
      kid,
      alg: algorithm,
      use: 'sig',
    })),
  })
  const hash = createHash('sha256').update(body).digest('base64url')
  return { body, etag: `"${hash}"`, maxAgeSeconds }
}

/** Written out, so that the order of members does not depend on where the value came from. */
function inOrder(jwk: PublicJwk): PublicJwk {
  switch (jwk.kty) {
    case 'EC':
      return { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }
    case 'RSA':
      return { kty: jwk.kty, n: jwk.n, e: jwk.e }
    case 'OKP':
      return { kty: jwk.kty, crv: jwk.crv, x: jwk.x }
  }
}
