// Files whose path somebody else chose: what is no file, or too large, is refused before a byte is read.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readBoundedFile } from '../../src/config/bounded-file.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'mesh-sts-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

test('reads what fits', () => {
  const path = join(folder, 'small')
  writeFileSync(path, 'abc')
  assert.equal(readBoundedFile(path, 3).toString(), 'abc')
  assert.throws(() => readBoundedFile(path, 2), { code: 'TOO_LARGE' })
})

test('does not read what is huge, though it takes no room on the disk', () => {
  const path = join(folder, 'sparse')
  writeFileSync(path, '')
  truncateSync(path, 10 * 1024 ** 3)
  assert.throws(() => readBoundedFile(path, 1024), { code: 'TOO_LARGE' })
})

test('a FIFO, a folder and a device are no files, and nobody waits for them', () => {
  const path = join(folder, 'fifo')
  execFileSync('mkfifo', [path])
  for (const odd of [path, folder, '/dev/zero']) {
    assert.throws(() => readBoundedFile(odd, 1024), { code: 'NOT_A_FILE' }, odd)
  }
})

test('says what the file system says of a file that is not there', () => {
  assert.throws(() => readBoundedFile(join(folder, 'absent'), 1024), { code: 'ENOENT' })
})
