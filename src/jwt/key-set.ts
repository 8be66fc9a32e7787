// Owns which keys of a JWKS document are usable, and for what (RFC 7517, RFC 8725 §3.1, SPIFFE bundle format).
// Must not fetch or read anything.
import { createPublicKey, hash, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { Algorithm } from './algorithms.ts'
import type { KeySet, VerificationKey } from './key-source.ts'
import { parseJsonObject } from './strict-json.ts'

/** A key set and what the document said beside its keys. */
export interface ParsedKeySet extends KeySet {
  /** Why keys of the document were left out, one line each; for the log. */
  readonly skipped: readonly string[]
  /** `spiffe_refresh_hint`; undefined where there is none. */
  readonly refreshHintSeconds: number | undefined
}

export interface KeySetOptions {
  /**
   * `sig` (default): the keys of an issuer, those for another `use` left out; a set without a usable key is
   * unusable, because an issuer that has no keys is broken.
   * `jwt-svid`: a SPIFFE trust bundle: only keys that say `use: jwt-svid` and have a kid; an empty set is
   * valid and revokes everything (SPIFFE Trust Domain and Bundle §4.1).
   */
  readonly use?: 'sig' | 'jwt-svid'
}

/** Large providers publish below ten keys and 20 KiB. */
export const MAX_KEY_SET_BYTES = 256 * 1024
const MAX_KEYS = 100
const MAX_KID_CHARACTERS = 256
/** RFC 7518 §3.3. */
const MIN_RSA_BITS = 2048
/** Verifying takes time quadratic in the size; nobody signs tokens with more. */
const MAX_RSA_BITS = 8192
/** The two in use; a small or even exponent makes forgeries possible. */
const RSA_EXPONENTS: ReadonlySet<bigint | undefined> = new Set([3n, 65537n])

const EC_CURVES: ReadonlyMap<string, { algorithm: Algorithm; coordinateCharacters: number }> =
  new Map([
    ['P-256', { algorithm: 'ES256', coordinateCharacters: 43 }],
    ['P-384', { algorithm: 'ES384', coordinateCharacters: 64 }],
    ['P-521', { algorithm: 'ES512', coordinateCharacters: 88 }],
  ])
const ED25519_CHARACTERS = 43
const RSA_ALGORITHMS: readonly Algorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const
const BASE64URL = /^[A-Za-z0-9_-]+$/

/**
 * Parses a JWKS document into the keys that are usable with the allowed algorithms.
 * An RSA key without `alg` yields one entry per allowed RSA algorithm, each bound to it; EC and Ed25519
 * keys have one algorithm by their curve. Keys of one kid are all kept (RFC 7517 §4.5 permits it). A key
 * that shows private or symmetric members is left out: whoever read the document could sign with it.
 * Gives `unusable`, in words for the log, where the document is no key set or has no usable key.
 */
export function parseKeySet(
  text: string,
  allowed: readonly Algorithm[],
  options: KeySetOptions = {},
): ParsedKeySet | { readonly unusable: string } {
  const use = options.use ?? 'sig'
  if (Buffer.byteLength(text) > MAX_KEY_SET_BYTES) {
    return { unusable: `the document has more than ${MAX_KEY_SET_BYTES} bytes` }
  }
  const document = parseJsonObject(text)
  if (!document.ok) return { unusable: `the document is refused: ${document.detail}` }
  const members: unknown = document.value.keys
  if (!Array.isArray(members)) return { unusable: 'the document has no list of keys' }
  if (members.length > MAX_KEYS) return { unusable: `the document has more than ${MAX_KEYS} keys` }

  const keys: VerificationKey[] = []
  const skipped: string[] = []
  for (const [index, member] of members.entries()) {
    const usable = usableKeys(member, allowed, use)
    if (typeof usable === 'string') skipped.push(`key ${index}: ${usable}`)
    else keys.push(...usable)
  }
  if (keys.length === 0 && use === 'sig') {
    return {
      unusable: `no usable key${skipped.length > 0 ? ` (${skipped.slice(0, 4).join('; ')})` : ''}`,
    }
  }
  return {
    // Whatever shapes the keys belongs to the version: a cached success must not outlive a narrower reading.
    version: hash('sha256', `${use} ${allowed.join(',')}\n${text}`, 'hex'),
    keys,
    skipped,
    refreshHintSeconds: refreshHint(document.value.spiffe_refresh_hint),
  }
}

function refreshHint(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}

/** The entries that one JWK yields, or why it yields none. */
function usableKeys(
  member: unknown,
  allowed: readonly Algorithm[],
  use: 'sig' | 'jwt-svid',
): VerificationKey[] | string {
  if (typeof member !== 'object' || member === null) return 'not an object'
  const jwk = member as Readonly<Record<string, unknown>>
  const refused = refusalOf(jwk, use)
  if (refused !== undefined) return refused
  const material = publicMaterial(jwk)
  if (typeof material === 'string') return material
  const fitting = material.algorithms.filter(
    (algorithm) => jwk.alg === undefined || jwk.alg === algorithm,
  )
  if (fitting.length === 0) return 'alg does not fit the key'
  const algorithms = fitting.filter((algorithm) => allowed.includes(algorithm))
  if (algorithms.length === 0) return 'algorithm not allowed'
  const key = importKey(material.jwk)
  if (typeof key === 'string') return key
  const kid = jwk.kid as string | undefined
  return algorithms.map((algorithm) => ({ kid, algorithm, key }))
}

/** Refusals that do not depend on the kind of key. */
function refusalOf(
  jwk: Readonly<Record<string, unknown>>,
  use: 'sig' | 'jwt-svid',
): string | undefined {
  const kid = jwk.kid
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_CHARACTERS)) {
    return 'kid is not a short text'
  }
  if (use === 'jwt-svid') {
    if (jwk.use !== 'jwt-svid') return 'not for JWT-SVIDs'
    if (kid === undefined || kid === '') return 'no kid'
  } else if (jwk.use !== undefined && jwk.use !== 'sig') {
    return 'not for signatures'
  }
  const operations = jwk.key_ops
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'not for verifying'
  }
  return PRIVATE_MEMBERS.some((name) => name in jwk) ? 'it shows private members' : undefined
}

/** A key's public members, and nothing else, with the algorithms that it could serve. */
type Material = { readonly jwk: JsonWebKey; readonly algorithms: readonly Algorithm[] }

function publicMaterial(jwk: Readonly<Record<string, unknown>>): Material | string {
  switch (jwk.kty) {
    case 'RSA':
      return rsaMaterial(jwk)
    case 'EC':
      return ecMaterial(jwk)
    case 'OKP':
      return edwardsMaterial(jwk)
    default:
      return 'unknown kind of key'
  }
}

function rsaMaterial({ n, e }: Readonly<Record<string, unknown>>): Material | string {
  if (!isBase64url(n) || !isBase64url(e)) return 'n or e is malformed'
  return { jwk: { kty: 'RSA', n, e }, algorithms: RSA_ALGORITHMS }
}

function ecMaterial({ crv, x, y }: Readonly<Record<string, unknown>>): Material | string {
  if (typeof crv !== 'string') return 'unknown curve'
  const curve = EC_CURVES.get(crv)
  if (curve === undefined) return 'unknown curve'
  // RFC 7518 §6.2.1.2: coordinates have the full length of the curve.
  const length = curve.coordinateCharacters
  if (!isBase64url(x, length) || !isBase64url(y, length)) return 'x or y is malformed'
  return { jwk: { kty: 'EC', crv, x, y }, algorithms: [curve.algorithm] }
}

function edwardsMaterial({ crv, x }: Readonly<Record<string, unknown>>): Material | string {
  if (crv !== 'Ed25519') return 'unknown curve'
  if (!isBase64url(x, ED25519_CHARACTERS)) return 'x is malformed'
  return { jwk: { kty: 'OKP', crv, x }, algorithms: ['EdDSA'] }
}

const isBase64url = (value: unknown, characters?: number): value is string =>
  typeof value === 'string' &&
  BASE64URL.test(value) &&
  (characters === undefined || value.length === characters)

/** RFC 8725 §3.4: a point that is not on its curve is refused by the import. */
function importKey(jwk: JsonWebKey): KeyObject | string {
  let key: KeyObject
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    return 'not a valid public key'
  }
  if (key.asymmetricKeyType !== 'rsa') return key
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS) return `RSA of ${modulusLength} bits is too weak`
  if (modulusLength > MAX_RSA_BITS) return `RSA of ${modulusLength} bits is too large`
  return RSA_EXPONENTS.has(publicExponent) ? key : 'RSA exponent is not 3 or 65537'
}
