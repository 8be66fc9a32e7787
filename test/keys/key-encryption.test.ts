import assert from 'node:assert/strict'
import { createCipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { SIGNING_ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { generateSigningKey } from '../../src/keys/generate-key.ts'
import {
  type EncryptionKeys,
  type KeyBinding,
  openPrivateKey,
  rewrapKey,
  type SealedKey,
  sealPrivateKey,
} from '../../src/keys/key-encryption.ts'
import { must } from './fixture.ts'

const fresh = () => createSecretKey(randomBytes(32))
const k1 = fresh()
const k2 = fresh()
const both: EncryptionKeys = {
  current: 'k1',
  keys: new Map([
    ['k1', k1],
    ['k2', k2],
  ]),
}
const { kid, privateKey } = await generateSigningKey('ES256')
const binding: KeyBinding = { kid, algorithm: 'ES256' }
const sealed = must(sealPrivateKey(privateKey, binding, both))

const refused = (
  outcome: ReturnType<typeof openPrivateKey>,
  problem: string,
  says: RegExp = /./,
) => {
  assert.equal(outcome.ok ? 'opened' : outcome.problem, problem)
  assert.match(outcome.ok ? '' : outcome.message, says)
}

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

for (const algorithm of SIGNING_ALGORITHMS) {
  test(`P9: a sealed ${algorithm} key opens to the same key`, async () => {
    const made = await generateSigningKey(algorithm)
    const own = { kid: made.kid, algorithm }
    const opened = must(openPrivateKey(must(sealPrivateKey(made.privateKey, own, both)), own, both))
    assert.ok(opened.equals(made.privateKey))
  })
}

test('P9: sealing twice shares nothing, and no byte of the key is in the clear', () => {
  const again = must(sealPrivateKey(privateKey, binding, both))
  assert.notDeepEqual(again.privateKey, sealed.privateKey)
  assert.notDeepEqual(again.wrappedDataKey, sealed.wrappedDataKey)
  const d = Buffer.from(String(privateKey.export({ format: 'jwk' }).d), 'base64url')
  assert.equal(sealed.privateKey.includes(d.subarray(0, 8)), false)
})

test('P9: a change of any byte of either blob is noticed', () => {
  for (let at = 0; at < sealed.privateKey.length; at++) {
    const row: SealedKey = { ...sealed, privateKey: flipped(sealed.privateKey, at) }
    refused(openPrivateKey(row, binding, both), 'key_damaged', /rotate --emergency/)
  }
  for (let at = 0; at < sealed.wrappedDataKey.length; at++) {
    const row: SealedKey = { ...sealed, wrappedDataKey: flipped(sealed.wrappedDataKey, at) }
    refused(openPrivateKey(row, binding, both), 'encryption_key_wrong')
  }
  for (const length of [0, 1, 27, 28, sealed.privateKey.length - 1]) {
    const row: SealedKey = { ...sealed, privateKey: sealed.privateKey.subarray(0, length) }
    refused(openPrivateKey(row, binding, both), 'key_damaged')
  }
})

test('P9: a sealed key opens under no other kid, algorithm or key-encryption key id', () => {
  refused(openPrivateKey(sealed, { ...binding, kid: `${kid}x` }, both), 'encryption_key_wrong')
  refused(openPrivateKey(sealed, { ...binding, algorithm: 'EdDSA' }, both), 'encryption_key_wrong')
  const swapped = { current: 'k2', keys: new Map([['k2', k1]]) }
  refused(
    openPrivateKey({ ...sealed, encryptionKeyId: 'k2' }, binding, swapped),
    'encryption_key_wrong',
  )
})

test('P9: the blobs of two keys cannot be exchanged, one by one or together', async () => {
  const other = await generateSigningKey('ES256')
  const otherBinding: KeyBinding = { kid: other.kid, algorithm: 'ES256' }
  const otherSealed = must(sealPrivateKey(other.privateKey, otherBinding, both))
  refused(openPrivateKey(otherSealed, binding, both), 'encryption_key_wrong')
  refused(
    openPrivateKey({ ...sealed, privateKey: otherSealed.privateKey }, binding, both),
    'key_damaged',
  )
})

/** The stored form, written down a second time: nonce, ciphertext, tag. A change of it would lose keys. */
function blobOf(key: Buffer | KeyObject, plain: Buffer, context: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(context))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

test('P9: the stored form, and that the private key itself is bound to its kid and algorithm', () => {
  const dataKey = randomBytes(32)
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  const row = (context: string): SealedKey => ({
    encryptionKeyId: 'k1',
    wrappedDataKey: blobOf(k1, dataKey, `mesh-sts data key v1\n${kid}\nES256\nk1`),
    privateKey: blobOf(dataKey, pkcs8, context),
  })
  const right = row(`mesh-sts private key v1\n${kid}\nES256`)
  assert.ok(must(openPrivateKey(right, binding, both)).equals(privateKey))
  for (const context of [
    `mesh-sts private key v1\n${kid}\nEdDSA`,
    `mesh-sts private key v1\nother\nES256`,
    'mesh-sts private key v1',
    '',
  ]) {
    refused(openPrivateKey(row(context), binding, both), 'key_damaged')
  }
})

test('P9: a wrong or lost key-encryption key is told with what to do', () => {
  const wrong = { current: 'k1', keys: new Map([['k1', fresh()]]) }
  refused(openPrivateKey(sealed, binding, wrong), 'encryption_key_wrong', /k1.*right file back/)
  const lost = { current: 'k2', keys: new Map([['k2', k2]]) }
  refused(openPrivateKey(sealed, binding, lost), 'encryption_key_unknown', /k1 is not configured/)
  const none = sealPrivateKey(privateKey, binding, { current: 'k9', keys: both.keys })
  assert.equal(none.ok ? '' : none.problem, 'encryption_key_unknown')
})

test('P9: rewrap moves a key to the current key-encryption key and leaves its ciphertext alone', () => {
  const moved = must(rewrapKey(sealed, binding, { ...both, current: 'k2' }))
  assert.equal(moved.encryptionKeyId, 'k2')
  assert.equal(moved.privateKey, sealed.privateKey)
  const onlyNew = { current: 'k2', keys: new Map([['k2', k2]]) }
  assert.ok(must(openPrivateKey(moved, binding, onlyNew)).equals(privateKey))
  refused(
    openPrivateKey(moved, binding, { current: 'k1', keys: new Map([['k1', k1]]) }),
    'encryption_key_unknown',
  )
  const wrong = rewrapKey(sealed, binding, {
    current: 'k2',
    keys: new Map([
      ['k1', fresh()],
      ['k2', k2],
    ]),
  })
  assert.equal(wrong.ok ? '' : wrong.problem, 'encryption_key_wrong')
})
