// Queries: each filter alone and together, order, limits, paging, and texts that look like SQL.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDecisionIds } from '../../src/audit/decision-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { type AuditFilters, queryAudit } from '../../src/audit/query.ts'
import { toRow } from '../../src/audit/row.ts'
import type { Database } from '../../src/store/database.ts'
import { denied, granted, migratedPath, NOW, open } from '../support/audit-store.ts'

function store(db: Database, events: readonly AuditEvent[]): void {
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  db.transaction(() => {
    for (const event of events) insert.run(...toRow(event))
  })()
}

const base = granted()
const other = {
  ...base.caller,
  id: 'spiffe://cluster.local/ns/boutique/sa/cart',
  service: 'boutique/cart',
}
const EVENTS = {
  first: granted({ time: NOW }),
  bob: granted({ time: NOW + 10, subject: { ...base.subject!, sub: 'bob' } }),
  issuedBob: granted({ time: NOW + 20, issued: { ...base.issued!, sub: 'corp:bob' } }),
  cart: granted({ time: NOW + 30, caller: other }),
  payment: granted({ time: NOW + 40, target: 'boutique/payment' }),
  expired: denied({ time: NOW + 50 }),
  unknown: denied({ time: NOW + 60, reason: 'target_unknown' }),
  unknownCart: denied({ time: NOW + 70, reason: 'target_unknown', caller: other }),
}
type Name = keyof typeof EVENTS
const ALL = Object.keys(EVENTS) as Name[]

const CASES: Record<string, [AuditFilters, Name[]]> = {
  'no filter gives all, newest first': [{}, ALL.toReversed()],
  'oldest first': [{ first: 'oldest' }, ALL],
  'since is inclusive': [{ since: NOW + 60 }, ['unknownCart', 'unknown']],
  'until is inclusive': [{ until: NOW + 10 }, ['bob', 'first']],
  'since and until': [{ since: NOW + 20, until: NOW + 30, first: 'oldest' }, ['issuedBob', 'cart']],
  'caller by identity': [{ caller: other.id }, ['unknownCart', 'cart']],
  'caller by service': [{ caller: other.service }, ['unknownCart', 'cart']],
  'subject of the token that came in': [{ subject: 'bob' }, ['bob']],
  'subject of the token that went out': [{ subject: 'corp:bob' }, ['issuedBob']],
  target: [{ target: 'boutique/payment' }, ['payment']],
  reason: [{ reason: 'target_unknown' }, ['unknownCart', 'unknown']],
  outcome: [{ outcome: 'denied' }, ['unknownCart', 'unknown', 'expired']],
  'decision id': [{ decisionId: EVENTS.cart.decisionId }, ['cart']],
  'all filters must match': [{ reason: 'target_unknown', caller: other.id }, ['unknownCart']],
  'filters that contradict each other': [{ reason: 'target_unknown', outcome: 'granted' }, []],
  limit: [{ limit: 2 }, ['unknownCart', 'unknown']],
  'a limit of none': [{ limit: 0 }, []],
  'limit counts what matches': [{ outcome: 'granted', limit: 1 }, ['payment']],
  'a text is not a pattern': [{ subject: '%' }, []],
  'a text is not SQL': [{ subject: "' OR 1=1 --" }, []],
}

for (const [name, [filters, expected]] of Object.entries(CASES)) {
  test(`query: ${name}`, (t) => {
    const db = open(t, migratedPath(t))
    store(db, Object.values(EVENTS))
    const found = [...queryAudit(db, filters)]
    assert.deepStrictEqual(
      found,
      expected.map((each) => EVENTS[each]),
    )
  })
}

test('P10 an unknown decision id finds nothing, whether it is a UUIDv7 or not', (t) => {
  const db = open(t, migratedPath(t))
  store(db, Object.values(EVENTS))
  const never = createDecisionIds((size) => Buffer.alloc(size))(NOW)
  for (const decisionId of [never, 'x', ''])
    assert.deepEqual([...queryAudit(db, { decisionId })], [])
})

test('P10 an event whose id is not a UUIDv7 is found by it all the same', (t) => {
  const db = open(t, migratedPath(t))
  const event = granted({ decisionId: 'from-elsewhere' })
  store(db, [event])
  assert.deepStrictEqual([...queryAudit(db, { decisionId: 'from-elsewhere' })], [event])
})

test('a lookup by decision id reads the events of its time only', (t) => {
  const db = open(t, migratedPath(t))
  const event = granted({ time: NOW })
  store(db, [event])
  // A record that is not JSON is an error for whoever reads it.
  db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)').run(NOW + 120_000, '{')
  assert.equal([...queryAudit(db, { decisionId: event.decisionId })].length, 1)
  assert.throws(() => [...queryAudit(db, { decisionId: 'x' })])
})

for (const first of ['newest', 'oldest'] as const) {
  test(`paging, ${first} first, gives every event once, also many of one millisecond`, (t) => {
    const db = open(t, migratedPath(t))
    const events = Array.from({ length: 1700 }, (_, index) =>
      granted({ time: NOW + Math.floor(index / 900) }),
    )
    store(db, events)
    const ids = (filters: AuditFilters) =>
      [...queryAudit(db, filters)].map(({ decisionId }) => decisionId)
    const expected = events.map(({ decisionId }) => decisionId)
    if (first === 'newest') expected.reverse()
    assert.deepEqual(ids({ first }), expected)
    for (const limit of [500, 501, 1000, 1699]) {
      assert.deepEqual(ids({ first, limit }), expected.slice(0, limit))
    }
  })
}

test('no read transaction stays open while events are consumed', (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  store(
    db,
    Array.from({ length: 600 }, (_, index) => granted({ time: NOW + index })),
  )
  const events = queryAudit(db, {})
  events.next()
  const writer = open(t, path)
  store(writer, [granted()])
  // busy = 0: everything could be checkpointed, no reader held it back
  assert.deepEqual(writer.pragma('wal_checkpoint(TRUNCATE)'), [
    { busy: 0, log: 0, checkpointed: 0 },
  ])
})
