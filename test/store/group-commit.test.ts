// The statements fit the schema, and a batch's answer says what became of each write.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGroupCommit } from '../../src/store/group-commit.ts'
import { loadSqlite } from '../../src/store/sqlite.ts'
import {
  type SqlValue,
  WRITE_CODES,
  WRITE_NAMES,
  WRITES,
  type WriteName,
} from '../../src/store/writes.ts'
import { migratedPath, NOW, open } from '../support/audit-store.ts'

/** A value for every question mark of every write. */
const SAMPLES = {
  audit_event: [NOW, '{"decision_id":"d"}'],
  claim_assertion: ['a', NOW],
  sweep_assertions: [NOW, 10],
  add_refusals: [NOW, 'client_missing', '10.0.0.1', 3],
  save_ruleset: ['d1', 'h1', NOW, new Uint8Array([31, 139])],
  delete_events_before: [NOW + 1, 10],
  delete_oldest_events: [10],
  delete_refusals_before: [NOW + 1, 10],
  probe_grow: [],
  probe_shrink: [],
} as const satisfies Record<WriteName, readonly SqlValue[]>

const batchOf = (...names: WriteName[]): SqlValue[] =>
  names.flatMap((name): SqlValue[] => [WRITE_CODES[name], ...SAMPLES[name]])

for (const name of WRITE_NAMES) {
  test(`${name} fits the schema and takes as many values as it says`, (t) => {
    const db = open(t, migratedPath(t))
    assert.equal(WRITES[name].parameters, WRITES[name].sql.split('?').length - 1)
    const answer = createGroupCommit(db)(batchOf(name))
    assert.equal(answer.error, undefined)
    assert.equal(answer.broken, false)
    assert.equal(answer.changes.length, 1)
  })
}

test('answers stand in the order of the writes', (t) => {
  const commit = createGroupCommit(open(t, migratedPath(t)))
  const batch = batchOf(
    'claim_assertion',
    'audit_event',
    'claim_assertion',
    'audit_event',
    'delete_oldest_events',
  )
  assert.deepEqual(commit(batch), { changes: [1, 1, 0, 1, 2], broken: false })
})

test('the schema that is not there is an error at once', (t) => {
  const db = new (loadSqlite())(':memory:')
  t.after(() => db.close())
  assert.throws(() => createGroupCommit(db), /no such table/)
})

test('counts of one minute, reason and peer add up', (t) => {
  const db = open(t, migratedPath(t))
  const commit = createGroupCommit(db)
  commit(batchOf('add_refusals', 'add_refusals'))
  commit(batchOf('add_refusals'))
  assert.deepEqual(db.prepare('SELECT * FROM refusal_counts').all(), [
    { minute: NOW, reason: 'client_missing', peer: '10.0.0.1', count: 9 },
  ])
})

test('a value that cannot be bound fails its write only', (t) => {
  const db = open(t, migratedPath(t))
  const bad = [WRITE_CODES.audit_event, undefined as unknown as null, '{}']
  const answer = createGroupCommit(db)([
    ...batchOf('audit_event'),
    ...bad,
    ...batchOf('audit_event'),
  ])
  assert.deepEqual(answer.changes, [1, -1, 1])
  assert.equal(answer.broken, false)
  assert.equal(db.prepare('SELECT count(*) FROM audit_events').pluck().get(), 2)
})

test('P3 where the commit itself fails, nothing of the batch counts as written, and the next one works', (t) => {
  const db = open(t, migratedPath(t))
  // A deferred constraint is checked by COMMIT, which then fails and leaves the transaction open.
  db.exec(`CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER orphan AFTER INSERT ON audit_events BEGIN INSERT INTO child VALUES (1); END`)
  const commit = createGroupCommit(db)
  const failed = commit(batchOf('audit_event', 'claim_assertion'))
  assert.deepEqual(failed.changes, [-1, -1])
  assert.match(failed.error ?? '', /^SQLITE_CONSTRAINT/)
  assert.equal(db.inTransaction, false)
  db.exec('DROP TRIGGER orphan')
  assert.deepEqual(commit(batchOf('audit_event', 'claim_assertion')).changes, [1, 1])
})

test('a lock that is met after a full database ends the batch: not one wait for each write', (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  const other = open(t, path)
  db.pragma('busy_timeout = 1')
  db.pragma(`max_page_count = ${db.pragma('page_count', { simple: true })}`)
  let begins = 0
  const hooked = new Proxy(db, {
    get(target, name) {
      if (name !== 'prepare') return Reflect.get(target, name, target)
      return (sql: string) => {
        const statement = target.prepare(sql)
        if (sql !== 'BEGIN IMMEDIATE') return statement
        const run = () => {
          begins += 1
          // 1 all together, 2 the one that is too large, 3 meets the lock
          if (begins === 3) other.exec('BEGIN IMMEDIATE')
          return statement.run()
        }
        return { run }
      }
    },
  })
  const huge = [WRITE_CODES.audit_event, NOW, 'x'.repeat(500_000)]
  const answer = createGroupCommit(hooked)([
    ...huge,
    ...batchOf('claim_assertion', 'claim_assertion', 'claim_assertion'),
  ])
  assert.deepEqual(answer, { changes: [-1, -1, -1, -1], broken: true, error: 'SQLITE_BUSY' })
  assert.equal(begins, 3)
})

test('a code that does not exist throws: the thread must not guess', (t) => {
  const commit = createGroupCommit(open(t, migratedPath(t)))
  assert.throws(() => commit([99]), /does not exist/)
})

test('the view audit reads what is searched out of the record', (t) => {
  const db = open(t, migratedPath(t))
  const record = {
    decision_id: 'd',
    outcome: 'denied',
    reason: 'target_unknown',
    caller: { id: 'c', service: 's' },
    subject: { sub: 'u' },
    issued: { sub: 'i' },
    target: 't',
  }
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  insert.run(NOW, JSON.stringify(record))
  assert.deepEqual(db.prepare('SELECT * FROM audit').get(), {
    seq: 1,
    time: NOW,
    decision_id: 'd',
    outcome: 'denied',
    reason: 'target_unknown',
    caller: 'c',
    service: 's',
    subject: 'u',
    issued_subject: 'i',
    target: 't',
    record: JSON.stringify(record),
  })
})

test('deletes by age use the one index, deletes of the oldest the order of rows; nothing is sorted', (t) => {
  const db = open(t, migratedPath(t))
  const plan = (sql: string, ...values: SqlValue[]) =>
    db.prepare<SqlValue[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(...values)
  const used = { delete_events_before: 'audit_events_time', delete_oldest_events: 'PRIMARY KEY' }
  for (const name of ['delete_events_before', 'delete_oldest_events'] as const) {
    const steps = plan(WRITES[name].sql, ...SAMPLES[name]).map(({ detail }) => detail)
    assert.ok(
      steps.some((step) => step.includes(used[name])),
      steps.join('\n'),
    )
    assert.ok(!steps.some((step) => step.includes('TEMP B-TREE')), steps.join('\n'))
  }
  const names = db.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'audit_events'",
  )
  assert.deepEqual(names.pluck().all(), ['audit_events_time'])
})
