// Owns private keys at rest (P9): each is encrypted under a data key of its own, and that one under a
// key-encryption key that lives outside the database. AES-256-GCM throughout.
// Must not read files or the database, nor put key bytes into a message.
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { done, type KeyOutcome, refuse } from './key-outcome.ts'

/** The key-encryption keys by id; new keys are sealed under the current one. */
export interface EncryptionKeys {
  readonly current: string
  readonly keys: ReadonlyMap<string, KeyObject>
}

/** What a ciphertext belongs to: it opens under no other key id or algorithm. */
export interface KeyBinding {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
}

/** A private key as it is stored. Both blobs are nonce, ciphertext, tag. */
export interface SealedKey {
  readonly encryptionKeyId: string
  readonly wrappedDataKey: Buffer
  readonly privateKey: Buffer
}

/** AES-256. */
export const ENCRYPTION_KEY_BYTES = 32
/** NIST SP 800-38D: 96-bit nonces, full tags. Each data key encrypts once, so nonces cannot repeat. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Encrypts a private key (PKCS #8) under a new data key. */
export function sealPrivateKey(
  privateKey: KeyObject,
  binding: KeyBinding,
  keys: EncryptionKeys,
): KeyOutcome<SealedKey> {
  const wrapping = encryptionKey(keys, keys.current)
  if (!wrapping.ok) return wrapping
  const bytes = privateKey.export({ type: 'pkcs8', format: 'der' })
  const dataKeyBytes = randomBytes(ENCRYPTION_KEY_BYTES)
  const dataKey = createSecretKey(dataKeyBytes)
  const sealed = {
    encryptionKeyId: keys.current,
    privateKey: encrypt(dataKey, bytes, privateKeyContext(binding)),
    wrappedDataKey: encrypt(wrapping.value, dataKeyBytes, dataKeyContext(binding, keys.current)),
  }
  bytes.fill(0)
  dataKeyBytes.fill(0)
  return done(sealed)
}

/**
 * Opens a stored private key. Fails with `encryption_key_unknown`, `encryption_key_wrong` (which also is
 * what tampering with the row looks like) or `key_damaged`.
 */
export function openPrivateKey(
  sealed: SealedKey,
  binding: KeyBinding,
  keys: EncryptionKeys,
): KeyOutcome<KeyObject> {
  const dataKeyBytes = unwrap(sealed, binding, keys)
  if (!dataKeyBytes.ok) return dataKeyBytes
  const dataKey = createSecretKey(dataKeyBytes.value)
  dataKeyBytes.value.fill(0)
  const bytes = decrypt(dataKey, sealed.privateKey, privateKeyContext(binding))
  if (bytes === undefined) return damaged(binding)
  try {
    return done(createPrivateKey({ key: bytes, type: 'pkcs8', format: 'der' }))
  } catch {
    return damaged(binding)
  } finally {
    bytes.fill(0)
  }
}

/** Wraps the data key anew under the current key-encryption key; the private key is not touched. */
export function rewrapKey(
  sealed: SealedKey,
  binding: KeyBinding,
  keys: EncryptionKeys,
): KeyOutcome<SealedKey> {
  const wrapping = encryptionKey(keys, keys.current)
  if (!wrapping.ok) return wrapping
  const dataKey = unwrap(sealed, binding, keys)
  if (!dataKey.ok) return dataKey
  const context = dataKeyContext(binding, keys.current)
  const wrappedDataKey = encrypt(wrapping.value, dataKey.value, context)
  dataKey.value.fill(0)
  return done({ ...sealed, encryptionKeyId: keys.current, wrappedDataKey })
}

function unwrap(sealed: SealedKey, binding: KeyBinding, keys: EncryptionKeys): KeyOutcome<Buffer> {
  const id = sealed.encryptionKeyId
  const wrapping = encryptionKey(keys, id)
  if (!wrapping.ok) return wrapping
  const dataKey = decrypt(wrapping.value, sealed.wrappedDataKey, dataKeyContext(binding, id))
  if (dataKey === undefined || dataKey.length !== ENCRYPTION_KEY_BYTES) {
    return refuse(
      'encryption_key_wrong',
      `the key-encryption key ${id} does not open signing key ${binding.kid}: its file holds another key ` +
        'than the one it was sealed with, or the row was changed; put the right file back, or replace ' +
        'the key with "mesh-sts keys rotate --emergency"',
    )
  }
  return done(dataKey)
}

function encryptionKey(keys: EncryptionKeys, id: string): KeyOutcome<KeyObject> {
  const key = keys.keys.get(id)
  if (key !== undefined) return done(key)
  return refuse(
    'encryption_key_unknown',
    `the key-encryption key ${id} is not configured: add it to keys.encryption_keys`,
  )
}

function damaged(binding: KeyBinding): KeyOutcome<never> {
  return refuse(
    'key_damaged',
    `the private half of signing key ${binding.kid} is damaged: replace the key with ` +
      '"mesh-sts keys rotate --emergency"',
  )
}

const privateKeyContext = ({ kid, algorithm }: KeyBinding): Buffer =>
  Buffer.from(`mesh-sts private key v1\n${kid}\n${algorithm}`)

const dataKeyContext = ({ kid, algorithm }: KeyBinding, encryptionKeyId: string): Buffer =>
  Buffer.from(`mesh-sts data key v1\n${kid}\n${algorithm}\n${encryptionKeyId}`)

function encrypt(key: KeyObject, plain: Buffer, context: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(context)
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Undefined where the ciphertext, the key or the context is not the one it was made with. */
function decrypt(key: KeyObject, blob: Buffer, context: Buffer): Buffer | undefined {
  if (blob.length < NONCE_BYTES + TAG_BYTES) return undefined
  const tagAt = blob.length - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, blob.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(context)
  decipher.setAuthTag(blob.subarray(tagAt))
  try {
    return Buffer.concat([decipher.update(blob.subarray(NONCE_BYTES, tagAt)), decipher.final()])
  } catch {
    return undefined
  }
}
