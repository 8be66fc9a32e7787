import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { checkMigrated, migrate } from '../../src/store/migrations.ts'
import { StoreError } from '../../src/store/store-error.ts'
import { outputOf, startScript, temporaryFolder } from './temporary.ts'

const ONE = 'CREATE TABLE one (x INTEGER) STRICT; INSERT INTO one VALUES (1);'
const TWO = 'CREATE TABLE two (x INTEGER) STRICT; INSERT INTO one VALUES (2);'

/** An open database with 0001 and 0002 applied; each test changes one thing from here. */
function migrated(t: TestContext): { db: Database; folder: string; path: string } {
  const root = temporaryFolder(t)
  const folder = join(root, 'migrations')
  mkdirSync(folder)
  writeFileSync(join(folder, '0001_one.sql'), ONE)
  writeFileSync(join(folder, '0002_two.sql'), TWO)
  const path = join(root, 'sts.db')
  const db = openDatabase(path, { create: true })
  t.after(() => db.close())
  assert.deepEqual(migrate(db, folder, 1000), ['0001_one.sql', '0002_two.sql'])
  checkMigrated(db, folder)
  return { db, folder, path }
}

const refused = (run: () => unknown, problem: string, text: RegExp) =>
  assert.throws(run, (error) => {
    assert.ok(error instanceof StoreError, String(error))
    assert.equal(error.problem, problem)
    assert.match(error.message, text)
    return true
  })

test('each file is applied once, in order, and recorded', (t) => {
  const { db, folder } = migrated(t)
  assert.deepEqual(migrate(db, folder, 2000), [])
  writeFileSync(join(folder, '0003_three.sql'), 'INSERT INTO one VALUES (3);')
  assert.deepEqual(migrate(db, folder, 3000), ['0003_three.sql'])
  assert.deepEqual(db.prepare('SELECT x FROM one').pluck().all(), [1, 2, 3])
  assert.deepEqual(
    db.prepare('SELECT applied_at FROM schema_migrations').pluck().all(),
    [1000, 1000, 3000],
  )
})

test('serve is told to migrate, and nothing is changed by asking', (t) => {
  const { db, folder } = migrated(t)
  writeFileSync(join(folder, '0003_three.sql'), 'INSERT INTO one VALUES (3);')
  refused(
    () => checkMigrated(db, folder),
    'database_not_migrated',
    /0003_three\.sql.*mesh-sts migrate/,
  )
  assert.deepEqual(db.prepare('SELECT x FROM one').pluck().all(), [1, 2])
})

test('a database that was never migrated is told to migrate', (t) => {
  const { folder, path } = migrated(t)
  const empty = openDatabase(`${path}.empty`, { create: true })
  refused(() => checkMigrated(empty, folder), 'database_not_migrated', /mesh-sts migrate/)
  assert.deepEqual(empty.prepare('SELECT name FROM sqlite_schema').all(), [])
  empty.close()
})

for (const [name, run] of [
  ['migrate', (db: Database, folder: string) => migrate(db, folder, 2000)],
  ['checkMigrated', checkMigrated],
] as const) {
  test(`${name} refuses an edited file`, (t) => {
    const { db, folder } = migrated(t)
    appendFileSync(join(folder, '0001_one.sql'), ' ')
    refused(() => run(db, folder), 'migration_edited', /0001_one\.sql/)
  })

  test(`${name} refuses a database newer than the build`, (t) => {
    const { db, folder } = migrated(t)
    rmSync(join(folder, '0002_two.sql'))
    refused(() => run(db, folder), 'database_newer', /0002_two\.sql.*newer/)
  })

  test(`${name} refuses a missing file`, (t) => {
    const { db, folder } = migrated(t)
    rmSync(join(folder, '0001_one.sql'))
    refused(() => run(db, folder), 'migrations_unreadable', /0002_two\.sql should be number 1/)
  })

  test(`${name} refuses a history with a hole`, (t) => {
    const { db, folder } = migrated(t)
    db.exec('DELETE FROM schema_migrations WHERE number = 1')
    refused(() => run(db, folder), 'migration_missing', /0002_two\.sql/)
  })

  test(`${name} refuses a folder that is not there, empty, or holds a misnamed or doubled file`, (t) => {
    const { db, folder } = migrated(t)
    refused(() => run(db, join(folder, 'nowhere')), 'migrations_unreadable', /nowhere/)
    writeFileSync(join(folder, '3_three.sql'), 'SELECT 1')
    refused(() => run(db, folder), 'migrations_unreadable', /3_three\.sql/)
    renameSync(join(folder, '3_three.sql'), join(folder, '0002_again.sql'))
    refused(() => run(db, folder), 'migrations_unreadable', /should be number/)
    for (const file of ['0001_one.sql', '0002_two.sql', '0002_again.sql'])
      rmSync(join(folder, file))
    refused(() => run(db, folder), 'migrations_unreadable', /no migration/)
  })
}

test('a failing file undoes the ones before it too', (t) => {
  const { db, folder } = migrated(t)
  writeFileSync(join(folder, '0003_three.sql'), 'INSERT INTO one VALUES (3);')
  writeFileSync(
    join(folder, '0004_four.sql'),
    'INSERT INTO one VALUES (4); INSERT INTO nowhere VALUES (1);',
  )
  refused(() => migrate(db, folder, 2000), 'migration_failed', /0004_four\.sql.*no such table/)
  assert.deepEqual(db.prepare('SELECT x FROM one').pluck().all(), [1, 2])
  refused(
    () => checkMigrated(db, folder),
    'database_not_migrated',
    /0003_three\.sql, 0004_four\.sql/,
  )
})

test('a file may not end the transaction', (t) => {
  const { db, folder } = migrated(t)
  writeFileSync(join(folder, '0003_three.sql'), 'COMMIT;')
  refused(() => migrate(db, folder, 2000), 'migration_failed', /ended the transaction/)
})

test('five processes at once create one database, and later move it on, once each', async (t) => {
  const { folder, path } = migrated(t)
  const shared = `${path}.shared`
  for (const [name, isNew] of [
    ['three', true],
    ['four', false],
  ] as const) {
    // Long enough that the processes meet.
    writeFileSync(
      join(folder, isNew ? '0003_three.sql' : '0004_four.sql'),
      `CREATE TABLE ${name} (x); WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) INSERT INTO ${name} SELECT x FROM n;`,
    )
    const children = Array.from({ length: 5 }, () =>
      startScript(t, 'test/store/migrate-process.js', [shared, folder]),
    )
    const outputs = await Promise.all(children.map(outputOf))
    assert.deepEqual(
      outputs.map((output) => output.code),
      [0, 0, 0, 0, 0],
    )
    const applied = outputs.map((output) => (JSON.parse(output.text) as string[]).length).sort()
    assert.deepEqual(applied, [0, 0, 0, 0, isNew ? 3 : 1])
    const db = openDatabase(shared)
    assert.equal(db.prepare(`SELECT count(*) FROM ${name}`).pluck().get(), 300000)
    db.close()
  }
})

test('the shipped migrations apply to an empty database', (t) => {
  const { path } = migrated(t)
  const db = openDatabase(`${path}.shipped`, { create: true })
  assert.ok(migrate(db, 'migrations', 1).includes('0001_signing_keys.sql'))
  checkMigrated(db, 'migrations')
  db.close()
})
