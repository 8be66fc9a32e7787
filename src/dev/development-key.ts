// Owns a signing key of the development profile in a file: made once, read again at the next start.
// Must not hold keys of the token service; those are in its database, encrypted.
import { readFileSync, writeFileSync } from 'node:fs'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose'

/** A key pair that exists only for development. */
export interface DevelopmentKey {
  readonly algorithm: 'ES256' | 'RS256'
  /** RFC 7638 thumbprint. */
  readonly kid: string
  readonly privateKey: CryptoKey
  /** With `kid` and `alg`, without `use`. */
  readonly publicJwk: JWK
}

/** Reads the key in `file`, or makes one there that only this user can read. */
export async function developmentKey(
  file: string,
  algorithm: DevelopmentKey['algorithm'],
): Promise<DevelopmentKey> {
  const jwk = readJwk(file) ?? (await makeJwk(file, algorithm))
  const privateKey = await importJWK(jwk, algorithm)
  if (privateKey instanceof Uint8Array) throw new Error(`${file} holds no private key`)
  const publicJwk = Object.fromEntries(
    Object.entries(jwk).filter(([name]) => PUBLIC_MEMBERS.has(name)),
  ) as JWK
  const kid = await calculateJwkThumbprint(publicJwk)
  return { algorithm, kid, privateKey, publicJwk: { ...publicJwk, kid, alg: algorithm } }
}

const PUBLIC_MEMBERS: ReadonlySet<string> = new Set(['kty', 'crv', 'x', 'y', 'n', 'e'])

function readJwk(file: string): JWK | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  return JSON.parse(text)
}

async function makeJwk(file: string, algorithm: DevelopmentKey['algorithm']): Promise<JWK> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true })
  const jwk = await exportJWK(privateKey)
  writeFileSync(file, `${JSON.stringify(jwk)}\n`, { mode: 0o600, flag: 'wx' })
  return jwk
}
