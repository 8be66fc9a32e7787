import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isBusy, openDatabase } from '../../src/store/database.ts'
import { StoreError } from '../../src/store/store-error.ts'
import { temporaryFolder } from './temporary.ts'

const problemIs = (problem: string) => (error: unknown) =>
  error instanceof StoreError && error.problem === problem

test('a database is only created where that is asked for', (t) => {
  const path = join(temporaryFolder(t), 'sts.db')
  assert.throws(
    () => openDatabase(path),
    (error) => {
      assert.ok(error instanceof StoreError)
      assert.equal(error.problem, 'database_missing')
      assert.match(error.message, /mesh-sts init/)
      return true
    },
  )
  assert.throws(
    () => openDatabase(path, { create: true, readonly: true }),
    problemIs('database_missing'),
  )
  assert.equal(existsSync(path), false)
  openDatabase(path, { create: true }).close()
  openDatabase(path).close()
})

test('only the owner may read the database and its logs', (t) => {
  const path = join(temporaryFolder(t), 'sts.db')
  const before = process.umask(0)
  t.after(() => process.umask(before))
  const db = openDatabase(path, { create: true })
  db.exec('CREATE TABLE t (x)')
  for (const suffix of ['', '-wal', '-shm']) {
    assert.equal(statSync(path + suffix).mode & 0o777, 0o600, suffix)
  }
  db.close()
})

test('the pragmas that the promises rest on are set on every connection', (t) => {
  const path = join(temporaryFolder(t), 'sts.db')
  openDatabase(path, { create: true }).close()
  for (const options of [{}, { readonly: true }]) {
    const db = openDatabase(path, options)
    const pragma = (name: string) => db.pragma(name, { simple: true })
    assert.equal(pragma('journal_mode'), 'wal')
    assert.equal(pragma('synchronous'), 2)
    assert.equal(pragma('foreign_keys'), 1)
    assert.equal(pragma('trusted_schema'), 0)
    assert.equal(pragma('busy_timeout'), 5000)
    db.close()
  }
})

test('readonly cannot write, and a lock that is held is told as busy', (t) => {
  const path = join(temporaryFolder(t), 'sts.db')
  const writer = openDatabase(path, { create: true })
  writer.exec('CREATE TABLE t (x)')
  const reader = openDatabase(path, { readonly: true })
  assert.throws(() => reader.exec('INSERT INTO t VALUES (1)'), /readonly/)
  const other = openDatabase(path, { busyTimeoutMs: 1 })
  writer.exec('BEGIN IMMEDIATE')
  assert.throws(() => other.exec('BEGIN IMMEDIATE'), isBusy)
  assert.equal(isBusy(new Error('busy')), false)
  for (const db of [writer, reader, other]) db.close()
})

test('create leaves an existing database as it is', (t) => {
  const path = join(temporaryFolder(t), 'sts.db')
  const first = openDatabase(path, { create: true })
  first.exec('CREATE TABLE t (x); INSERT INTO t VALUES (7)')
  first.close()
  const again = openDatabase(path, { create: true })
  assert.deepEqual(again.prepare('SELECT x FROM t').all(), [{ x: 7 }])
  again.close()
})

test('a file that is no database, and a folder that is not there, are told as such', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'sts.db')
  writeFileSync(path, 'this is not a database, however long the text in it may be '.repeat(20))
  assert.throws(() => openDatabase(path), problemIs('database_unreadable'))
  const nowhere = join(folder, 'nowhere', 'sts.db')
  assert.throws(() => openDatabase(nowhere, { create: true }), problemIs('database_unreadable'))
})

for (const suffix of ['-wal', '-shm', '-journal']) {
  test(`no database is created beside the ${suffix} of an older one`, (t) => {
    const path = join(temporaryFolder(t), 'sts.db')
    writeFileSync(path + suffix, 'the last audit rows')
    assert.throws(
      () => openDatabase(path, { create: true }),
      (error) => problemIs('database_exists')(error) && String(error).includes(`${path}${suffix},`),
    )
    assert.equal(existsSync(path), false)
    assert.equal(readFileSync(path + suffix, 'utf8'), 'the last audit rows')
  })
}
