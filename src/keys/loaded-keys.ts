// Owns what a process holds of the keys in memory: the published set, and what is ready to sign.
// Must not read the store or a clock. Each load gives a new value; keys already held are not opened again.
import { createPublicKey, type KeyObject, type SignKeyObjectInput } from 'node:crypto'
import { CRYPTO, type CryptoParameters, type SigningAlgorithm } from '../jwt/algorithms.ts'
import type { KeySet } from '../jwt/key-source.ts'
import { type JwksDocument, jwksDocument, type PublishedKey } from './jwks-document.ts'
import { type EncryptionKeys, openPrivateKey } from './key-encryption.ts'
import { type KeyOutcome, refuse } from './key-outcome.ts'
import { isPublished, type KeyRecord } from './key-state.ts'
import type { KeySnapshot, StoredKey } from './key-store.ts'
import { parsePublicJwk } from './public-jwk.ts'

/** A key of the published set, opened. */
interface HeldKey extends PublishedKey {
  readonly publicKey: KeyObject
}

/** All that a signature needs, made once per key. */
export interface Signer {
  readonly kid: string
  /** The encoded header and its dot. */
  readonly prefix: string
  readonly digest: CryptoParameters['digest']
  readonly input: SignKeyObjectInput
  /** No token may expire later: the store would let the key leave too early. */
  readonly signsUntilSeconds: number
}

/** What is wrong with one key. */
export interface KeyTrouble {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  /** `row_lost`: published before, now not even among the removed ones. */
  readonly problem: 'row_lost' | 'row_damaged' | 'private_key_unusable'
  readonly message: string
}

/** One complete look at the store. */
export interface LoadedKeys {
  readonly records: readonly KeyRecord[]
  readonly held: ReadonlyMap<string, HeldKey>
  /** Opened private keys of next and active keys. */
  readonly opened: ReadonlyMap<string, KeyObject>
  readonly document: JwksDocument
  readonly keySet: KeySet
  readonly signers: ReadonlyMap<SigningAlgorithm, Signer>
  /** Keys that must not be promoted by this process. */
  readonly unusable: ReadonlySet<string>
  readonly troubles: readonly KeyTrouble[]
}

/**
 * Builds the value from what is stored and what was held before. A key whose row vanished stays published
 * from memory. Fails with `keys_missing` or `key_damaged` where the set would not be complete: then what was
 * held before goes on being served.
 */
export function loadKeys(
  snapshot: KeySnapshot,
  previous: LoadedKeys | undefined,
  encryptionKeys: EncryptionKeys,
  maxAgeSeconds: number,
): KeyOutcome<LoadedKeys> {
  const stored = snapshot.keys.filter((key) => isPublished(key.record))
  const held = new Map<string, HeldKey>()
  for (const key of stored) {
    const { kid } = key.record
    const opened = previous?.held.get(kid) ?? holdKey(key)
    if (opened === undefined) {
      return refuse(
        'key_damaged',
        `the public half of signing key ${kid} is damaged in the store: restore a backup, or remove the ` +
          'key with "mesh-sts keys revoke"',
      )
    }
    held.set(kid, opened)
  }
  const lost = findLost(snapshot, previous)
  for (const key of lost) held.set(key.kid, key)

  const keys = [...held.values()]
  const document = jwksDocument(keys, maxAgeSeconds)
  if (document === undefined) {
    return refuse('keys_missing', 'the database holds no signing key: run "mesh-sts init"')
  }
  const signing = openSigners(stored, held, previous, encryptionKeys)
  return {
    ok: true,
    value: {
      ...signing,
      records: stored.map((key) => key.record),
      held,
      document,
      keySet:
        previous?.document.etag === document.etag
          ? previous.keySet
          : { version: document.etag, keys: keys.map(toVerificationKey) },
      troubles: [...signing.troubles, ...lost.map(toLostTrouble)],
    },
  }
}

function holdKey({ record, publicJwk }: StoredKey): HeldKey | undefined {
  const { kid, algorithm } = record
  const jwk = parsePublicJwk(publicJwk, algorithm, kid)
  if (jwk === undefined) return undefined
  try {
    return { kid, algorithm, jwk, publicKey: createPublicKey({ key: { ...jwk }, format: 'jwk' }) }
  } catch {
    return undefined
  }
}

function findLost(snapshot: KeySnapshot, previous: LoadedKeys | undefined): readonly HeldKey[] {
  if (previous === undefined) return []
  const rows = new Set(snapshot.keys.map((key) => key.record.kid))
  return [...previous.held.values()].filter((key) => !rows.has(key.kid))
}

function openSigners(
  stored: readonly StoredKey[],
  held: ReadonlyMap<string, HeldKey>,
  previous: LoadedKeys | undefined,
  encryptionKeys: EncryptionKeys,
): Pick<LoadedKeys, 'opened' | 'signers' | 'unusable' | 'troubles'> {
  const opened = new Map<string, KeyObject>()
  const signers = new Map<SigningAlgorithm, Signer>()
  const troubles: KeyTrouble[] = []
  for (const key of stored) {
    const { kid, algorithm, state, signsUntil } = key.record
    if (state === 'retiring') continue
    const known = previous?.opened.get(kid)
    const outcome =
      known === undefined ? openKey(key, held, encryptionKeys) : { ok: true as const, value: known }
    if (!outcome.ok) {
      troubles.push({ kid, algorithm, problem: 'private_key_unusable', message: outcome.message })
      continue
    }
    opened.set(kid, outcome.value)
    if (state !== 'active' || signsUntil === undefined) continue
    signers.set(algorithm, makeSigner(kid, algorithm, outcome.value, signsUntil))
  }
  return { opened, signers, troubles, unusable: new Set(troubles.map((trouble) => trouble.kid)) }
}

function openKey(
  { record, sealed }: StoredKey,
  held: ReadonlyMap<string, HeldKey>,
  encryptionKeys: EncryptionKeys,
): KeyOutcome<KeyObject> {
  const halves = 'the private and the public half do not belong together'
  if (sealed === undefined)
    return refuse('key_damaged', `signing key ${record.kid} has no private half`)
  const opened = openPrivateKey(sealed, record, encryptionKeys)
  if (!opened.ok) return opened
  const publicKey = held.get(record.kid)?.publicKey
  const belongs = publicKey !== undefined && createPublicKey(opened.value).equals(publicKey)
  return belongs ? opened : refuse('key_damaged', `signing key ${record.kid} is damaged: ${halves}`)
}

function makeSigner(
  kid: string,
  algorithm: SigningAlgorithm,
  key: KeyObject,
  signsUntil: number,
): Signer {
  // AT-02: typ is what tells an access token from everything else that this key could ever sign.
  const header = JSON.stringify({ alg: algorithm, typ: 'at+jwt', kid })
  return {
    kid,
    prefix: `${Buffer.from(header).toString('base64url')}.`,
    digest: CRYPTO[algorithm].digest,
    input: { key, ...CRYPTO[algorithm].options },
    signsUntilSeconds: Math.floor(signsUntil / 1000),
  }
}

const toVerificationKey = ({ kid, algorithm, publicKey }: HeldKey) => ({
  kid,
  algorithm,
  key: publicKey,
})

const toLostTrouble = ({ kid, algorithm }: HeldKey): KeyTrouble => ({
  kid,
  algorithm,
  problem: 'row_lost',
  message:
    `signing key ${kid} vanished from the store: it stays published until this process ends; restore ` +
    'a backup before tokens that it signed are refused',
})
