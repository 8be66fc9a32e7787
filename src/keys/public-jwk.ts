// Owns the public half of a signing key as JSON: its members, its thumbprint, and reading it back. Pure.
// Must not see private members.
import { createHash } from 'node:crypto'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'

/** The members that make the key (RFC 7518 §6, RFC 8037 §2); they never change during its life. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }

/** The key type that an algorithm signs with. */
export const KEY_TYPE_OF: Readonly<Record<SigningAlgorithm, PublicJwk['kty']>> = {
  ES256: 'EC',
  RS256: 'RSA',
  PS256: 'RSA',
  EdDSA: 'OKP',
}

/** base64url SHA-256 over the required members in lexicographic order (RFC 7638 §3, RFC 8037 §2). */
export function thumbprint(jwk: PublicJwk): string {
  return createHash('sha256').update(canonical(jwk)).digest('base64url')
}

function canonical(jwk: PublicJwk): string {
  switch (jwk.kty) {
    case 'EC':
      return JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y })
    case 'RSA':
      return JSON.stringify({ e: jwk.e, kty: jwk.kty, n: jwk.n })
    case 'OKP':
      return JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x })
  }
}

/** Keeps only public members of an exported key; undefined where it is of no kind that signs here. */
export function publicMembers(jwk: Readonly<Record<string, unknown>>): PublicJwk | undefined {
  const { kty, crv, x, y, n, e } = jwk
  if (kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string') {
    return { kty, crv, x, y }
  }
  if (kty === 'RSA' && typeof n === 'string' && typeof e === 'string') return { kty, n, e }
  if (kty === 'OKP' && crv === 'Ed25519' && typeof x === 'string') return { kty, crv, x }
  return undefined
}

/** Reads a stored key; undefined unless it is whole: of the algorithm's type and with this thumbprint. */
export function parsePublicJwk(
  text: string,
  algorithm: SigningAlgorithm,
  kid: string,
): PublicJwk | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const jwk = publicMembers(parsed as Record<string, unknown>)
  if (jwk === undefined || jwk.kty !== KEY_TYPE_OF[algorithm]) return undefined
  return thumbprint(jwk) === kid ? jwk : undefined
}
