// Which build of better-sqlite3 a Node loads, and that the one for this Node works.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { loadSqlite, sqlitePackageFor } from '../../src/store/sqlite.ts'

it('takes better-sqlite3 13 from Node-API 10 on, the other below or where nothing is known', () => {
  assert.equal(sqlitePackageFor('9'), 'better-sqlite3-node20')
  assert.equal(sqlitePackageFor(undefined), 'better-sqlite3-node20')
  assert.equal(sqlitePackageFor('10'), 'better-sqlite3')
  assert.equal(sqlitePackageFor('11'), 'better-sqlite3')
})

it('loads and runs here', () => {
  const db = new (loadSqlite())(':memory:')
  assert.deepEqual(db.prepare('SELECT 1 AS one').get(), { one: 1 })
  db.close()
})
