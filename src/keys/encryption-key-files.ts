// Owns the files that key-encryption keys come from: 32 random bytes, written as base64url or base64.
// Must not put a byte of them into a message.
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { ENCRYPTION_KEY_BYTES, type EncryptionKeys } from './key-encryption.ts'
import { done, type KeyOutcome, refuse } from './key-outcome.ts'

/** 32 bytes in base64url or base64, padded or not, are 43 or 44 characters. */
const KEY_TEXT = /^[A-Za-z0-9_-]{43}=?$|^[A-Za-z0-9+/]{43}=?$/

/** A key of its own for `init` and the development profile; readable by the owner only, never overwritten. */
export function writeEncryptionKeyFile(path: string): void {
  const text = randomBytes(ENCRYPTION_KEY_BYTES).toString('base64url')
  writeFileSync(path, `${text}\n`, { mode: 0o600, flag: 'wx' })
}

/**
 * Reads the key-encryption keys, once, at start. Takes their files by id, and the id of the one that new
 * keys are sealed with. Fails with `encryption_key_missing`, `_malformed` or `_unknown` (no such id).
 */
export function readEncryptionKeys(options: {
  readonly current: string
  readonly files: Readonly<Record<string, string>>
}): KeyOutcome<EncryptionKeys> {
  const keys = new Map<string, KeyObject>()
  for (const [id, path] of Object.entries(options.files)) {
    const key = readKey(id, path)
    if (!key.ok) return key
    keys.set(id, key.value)
  }
  if (!keys.has(options.current)) {
    return refuse(
      'encryption_key_unknown',
      `the current key-encryption key is ${options.current}, but keys.encryption_keys names no file for it`,
    )
  }
  return done({ current: options.current, keys })
}

function readKey(id: string, path: string): KeyOutcome<KeyObject> {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    return refuse(
      'encryption_key_missing',
      `cannot read the key-encryption key ${id} from ${path} (${code}): mount the file, or make one with ` +
        '"openssl rand -base64 32"; a new key does not open what was sealed with a lost one',
    )
  }
  const bytes = Buffer.from(text, 'base64')
  if (!KEY_TEXT.test(text) || bytes.length !== ENCRYPTION_KEY_BYTES) {
    return refuse(
      'encryption_key_malformed',
      `the key-encryption key ${id} in ${path} must be ${ENCRYPTION_KEY_BYTES} bytes as base64 or base64url ` +
        `text, and it is not (${text.length} characters): make one with "openssl rand -base64 32"`,
    )
  }
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return done(key)
}
