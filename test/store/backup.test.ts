import assert from 'node:assert/strict'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { backupDatabase, restoreDatabase } from '../../src/store/backup.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { StoreError } from '../../src/store/store-error.ts'
import { temporaryFolder } from './temporary.ts'

/** A database in use and the names around it. */
function inUse(t: TestContext) {
  const folder = temporaryFolder(t)
  const db = openDatabase(join(folder, 'sts.db'), { create: true })
  t.after(() => db.close())
  db.exec('CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1), (2)')
  return { folder, db, backup: join(folder, 'backup.db'), to: join(folder, 'restored.db') }
}
const rows = (path: string): unknown[] => {
  const db = openDatabase(path, { readonly: true })
  const found = db.prepare('SELECT x FROM t ORDER BY x').pluck().all()
  db.close()
  return found
}
const add = (db: Database) => db.exec('INSERT INTO t VALUES (3)')
const check = () => undefined
const problemIs = (problem: string) => (error: unknown) =>
  error instanceof StoreError && error.problem === problem

test('a backup of a database in use holds what was committed, in one file for its owner only', async (t) => {
  const { folder, db, backup } = inUse(t)
  const other = openDatabase(join(folder, 'sts.db'))
  other.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (9)')
  await backupDatabase(db, backup)
  other.exec('COMMIT')
  other.close()
  assert.equal(statSync(backup).mode & 0o777, 0o600)
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('backup')),
    ['backup.db'],
  )
  assert.deepEqual(rows(backup), [1, 2])
})

test('a backup never overwrites', async (t) => {
  const { db, backup } = inUse(t)
  await backupDatabase(db, backup)
  add(db)
  await assert.rejects(backupDatabase(db, backup), problemIs('database_exists'))
  assert.deepEqual(rows(backup), [1, 2])
})

test('a restore prepares the copy before it gets its name', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  await restoreDatabase({
    from: backup,
    to,
    prepare: (copy) => {
      assert.equal(existsSync(to), false)
      add(copy)
    },
    check,
  })
  // SQLite file format 1.3: 1 says that all of it is in this file, 2 that there may be a log beside it.
  assert.equal(readFileSync(to)[18], 1)
  assert.deepEqual(rows(to), [1, 2, 3])
  assert.deepEqual(rows(backup), [1, 2])
  assert.equal(statSync(to).mode & 0o777, 0o600)
  assert.equal(
    readdirSync(folder).some((name) => name.includes('incomplete')),
    false,
  )
})

test('a restore from a place that nobody can write to', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  chmodSync(backup, 0o400)
  await restoreDatabase({ from: backup, to, prepare: add, check })
  assert.deepEqual(rows(to), [1, 2, 3])
  assert.equal(
    readdirSync(folder).some((name) => name.startsWith('backup.db-')),
    false,
  )
})

test('a restore never overwrites, and runs nothing where it would', async (t) => {
  const { db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  writeFileSync(to, 'what somebody still needs')
  const prepare = () => assert.fail('prepared')
  await assert.rejects(
    restoreDatabase({ from: backup, to, prepare, check }),
    problemIs('database_exists'),
  )
  assert.equal(readFileSync(to, 'utf8'), 'what somebody still needs')
})

test('a file that comes up meanwhile is not overwritten either', async (t) => {
  const { db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  const prepare = () => writeFileSync(to, 'faster')
  await assert.rejects(
    restoreDatabase({ from: backup, to, prepare, check }),
    problemIs('database_exists'),
  )
  assert.equal(readFileSync(to, 'utf8'), 'faster')
})

test('a restore that fails leaves nothing behind', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  const before = readdirSync(folder)
  const prepare = () => {
    throw new Error('no')
  }
  await assert.rejects(restoreDatabase({ from: backup, to, prepare, check }), /^Error: no$/)
  assert.deepEqual(readdirSync(folder), before)
})

test('a damaged or missing backup is refused', async (t) => {
  const { db, backup, to } = inUse(t)
  const missing = { from: backup, to, prepare: () => assert.fail('prepared'), check }
  await assert.rejects(restoreDatabase(missing), problemIs('database_missing'))
  db.exec(
    'CREATE TABLE big (x TEXT); CREATE INDEX i ON big (x); WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000) INSERT INTO big SELECT hex(randomblob(20)) FROM n',
  )
  await backupDatabase(db, backup)
  const bytes = readFileSync(backup)
  bytes.fill(0x5a, bytes.length - 3 * 4096, bytes.length - 4096)
  writeFileSync(backup, bytes)
  await assert.rejects(restoreDatabase(missing), problemIs('database_damaged'))
  writeFileSync(backup, 'no database at all '.repeat(99))
  await assert.rejects(restoreDatabase(missing), problemIs('database_unreadable'))
  assert.equal(existsSync(to), false)
})

for (const suffix of ['-wal', '-shm', '-journal']) {
  test(`P5: a restore beside a leftover ${suffix} is refused, which stays as it was`, async (t) => {
    const { db, backup, to } = inUse(t)
    await backupDatabase(db, backup)
    const leftover = to + suffix
    const refused = (error: unknown) => {
      assert.ok(problemIs('database_exists')(error))
      assert.ok(String(error).includes(`${leftover},`), String(error))
      assert.match(String(error), /the old database and its -wal and -shm files away together/)
      return true
    }
    const meanwhile = () => writeFileSync(leftover, 'the last audit rows')
    await assert.rejects(restoreDatabase({ from: backup, to, prepare: meanwhile, check }), refused)
    assert.equal(existsSync(to), false)
    const prepare = () => assert.fail('prepared')
    await assert.rejects(restoreDatabase({ from: backup, to, prepare, check }), refused)
    await assert.rejects(backupDatabase(db, to), refused)
    assert.equal(existsSync(to), false)
    assert.equal(readFileSync(leftover, 'utf8'), 'the last audit rows')
  })
}

test('P5: the log of an older database is not replayed into the restored one', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  db.exec('UPDATE t SET x = x + 100')
  copyFileSync(join(folder, 'sts.db-wal'), `${to}-wal`)
  await assert.rejects(
    restoreDatabase({ from: backup, to, prepare: add, check }),
    problemIs('database_exists'),
  )
  rmSync(`${to}-wal`)
  // A restore that was killed leaves its copy and the log of it; they are its own and no loss.
  copyFileSync(join(folder, 'sts.db'), `${to}.incomplete`)
  copyFileSync(join(folder, 'sts.db-wal'), `${to}.incomplete-wal`)
  await restoreDatabase({ from: backup, to, prepare: add, check })
  assert.deepEqual(rows(to), [1, 2, 3])
})

test('P5: a restore looks at the database under its name, and takes it back where it is not right', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  await backupDatabase(db, backup)
  const before = readdirSync(folder)
  const wrong = (restored: Database) => {
    assert.equal(restored.name, to)
    assert.deepEqual(restored.prepare('SELECT x FROM t').pluck().all(), [1, 2, 3])
    throw new Error('a key signs')
  }
  await assert.rejects(
    restoreDatabase({ from: backup, to, prepare: add, check: wrong }),
    /^Error: a key signs$/,
  )
  assert.deepEqual(readdirSync(folder), before)
})

test('a copy that is damaged after its check is found under its name', async (t) => {
  const { folder, db, backup, to } = inUse(t)
  db.exec(
    'CREATE TABLE big (x TEXT); WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000) INSERT INTO big SELECT hex(randomblob(20)) FROM n',
  )
  await backupDatabase(db, backup)
  const before = readdirSync(folder)
  const prepare = (copy: Database) => {
    const bytes = readFileSync(copy.name)
    bytes.fill(0x5a, bytes.length - 3 * 4096, bytes.length - 4096)
    writeFileSync(copy.name, bytes)
  }
  const unchecked = () => assert.fail('checked')
  await assert.rejects(
    restoreDatabase({ from: backup, to, prepare, check: unchecked }),
    problemIs('database_damaged'),
  )
  assert.deepEqual(readdirSync(folder), before)
})
