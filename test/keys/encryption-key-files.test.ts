import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readEncryptionKeys, writeEncryptionKeyFile } from '../../src/keys/encryption-key-files.ts'
import { temporaryFolder } from '../store/temporary.ts'

test('a new file is readable by its owner only, differs each time, and is never overwritten', (t) => {
  const folder = temporaryFolder(t)
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  writeEncryptionKeyFile(a)
  writeEncryptionKeyFile(b)
  assert.equal(statSync(a).mode & 0o777, 0o600)
  const text = readFileSync(a, 'utf8')
  assert.notEqual(text, readFileSync(b, 'utf8'))
  assert.throws(() => writeEncryptionKeyFile(a), /EEXIST/)
  assert.equal(readFileSync(a, 'utf8'), text)
  assert.ok(readEncryptionKeys({ current: 'k1', files: { k1: a, k2: b } }).ok)
})

test('base64 and base64url are read, padded or not, with or without a line end', (t) => {
  const path = join(temporaryFolder(t), 'k1')
  const bytes = Buffer.from('fb'.repeat(32), 'hex')
  const base64 = bytes.toString('base64')
  const base64url = bytes.toString('base64url')
  assert.match(base64, /[+/]/)
  assert.match(base64url, /[-_]/)
  for (const text of [base64, base64url, `${base64url}=`, base64.slice(0, -1), ` ${base64}\n`]) {
    writeFileSync(path, text)
    const keys = readEncryptionKeys({ current: 'k1', files: { k1: path } })
    assert.ok(keys.ok && keys.value.keys.get('k1')?.export().equals(bytes), text)
  }
})

test('a file of another length or alphabet is refused without quoting it', (t) => {
  const path = join(temporaryFolder(t), 'k1')
  const good = randomBytes(32).toString('base64url').replaceAll(/[-_]/g, 'x')
  for (const text of [
    '',
    good.slice(1),
    `${good}x`,
    `${good}${good}`,
    `${good.slice(0, 40)}*${good.slice(41)}`,
    `-${good.slice(2)}+`,
    randomBytes(32).toString('hex'),
    randomBytes(32),
  ]) {
    writeFileSync(path, text)
    const keys = readEncryptionKeys({ current: 'k1', files: { k1: path } })
    assert.equal(keys.ok ? '' : keys.problem, 'encryption_key_malformed', String(text))
    const message = keys.ok ? '' : keys.message
    assert.match(message, /k1.*openssl rand -base64 32/)
    if (text.length > 0) assert.equal(message.includes(text.toString().slice(0, 8)), false)
  }
})

test('a missing file and a current id without a file are told with what to do', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'k1')
  const missing = readEncryptionKeys({ current: 'k1', files: { k1: path } })
  assert.equal(missing.ok ? '' : missing.problem, 'encryption_key_missing')
  assert.match(missing.ok ? '' : missing.message, /k1 from .*ENOENT.*mount the file/)
  writeEncryptionKeyFile(path)
  const unknown = readEncryptionKeys({ current: 'k2', files: { k1: path } })
  assert.equal(unknown.ok ? '' : unknown.problem, 'encryption_key_unknown')
  assert.match(unknown.ok ? '' : unknown.message, /current.*k2/)
})
