// Usage: counted once and in the right place, since a time, over pages of rows, equal to counting by hand.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent } from '../../src/audit/event.ts'
import { toRow } from '../../src/audit/row.ts'
import { usageSince } from '../../src/audit/usage.ts'
import type { Database } from '../../src/store/database.ts'
import { denied, granted, migratedPath, NOW, open } from '../support/audit-store.ts'

function store(db: Database, events: readonly AuditEvent[]): void {
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  db.transaction(() => {
    for (const event of events) insert.run(...toRow(event))
  })()
}

const base = granted()
const QUIET = { wouldDeny: [], rule: 'r1' }
const caller = (service: string | undefined, method: 'xfcc' | 'embedded' = 'xfcc') => ({
  caller: { ...base.caller, service, method },
})
const issued = (scopes: readonly string[], claims: readonly string[] = []) => ({
  issued: { ...base.issued!, scopes, claims },
})

test('nothing was used where there is nothing', (t) => {
  const db = open(t, migratedPath(t))
  assert.deepEqual(usageSince(db, 0), {
    edges: [],
    scopes: [],
    claims: [],
    predicates: [],
    embeds: [],
    denies: [],
    rulesets: [],
  })
})

test('grants, embedded grants, denials and what audit mode found, by rule, caller and target', (t) => {
  const db = open(t, migratedPath(t))
  store(db, [
    granted({ ...QUIET, time: NOW + 3 }),
    granted({ ...QUIET, time: NOW + 1, ...caller('boutique/frontend', 'embedded') }),
    granted({ ...QUIET, time: NOW + 2, wouldDeny: ['p', 'q'] }),
    denied({ time: NOW + 9, target: 'boutique/checkout', rule: 'r1', wouldDeny: ['p'] }),
    // A child that was denied was never inside.
    denied({
      time: NOW,
      target: 'boutique/checkout',
      rule: 'r1',
      wouldDeny: [],
      ...caller('boutique/frontend', 'embedded'),
    }),
    granted({ ...QUIET, ...caller('boutique/cart') }),
    granted({ ...QUIET, rule: 'r2' }),
    denied({ target: 'boutique/checkout', wouldDeny: [] }),
  ])
  const { edges, predicates } = usageSince(db, 0)
  const target = 'boutique/checkout'
  const zero = { embedded: 0, denied: 0, wouldDeny: 0 }
  const one = { ...zero, target, granted: 1, lastGranted: NOW }
  assert.deepEqual(edges, [
    { rule: 'r1', caller: 'boutique/cart', ...one },
    {
      ...zero,
      rule: undefined,
      caller: 'boutique/frontend',
      target,
      granted: 0,
      denied: 1,
      lastGranted: undefined,
    },
    {
      rule: 'r1',
      caller: 'boutique/frontend',
      target,
      granted: 3,
      embedded: 1,
      denied: 2,
      wouldDeny: 1,
      lastGranted: NOW + 3,
    },
    { rule: 'r2', caller: 'boutique/frontend', ...one },
  ])
  assert.deepEqual(predicates, [
    { predicate: 'p', count: 2, last: NOW + 9 },
    { predicate: 'q', count: 1, last: NOW + 2 },
  ])
})

test('scopes by rule and claims by target, with the last time', (t) => {
  const db = open(t, migratedPath(t))
  store(db, [
    granted({ ...QUIET, time: NOW + 5, ...issued(['a', 'b'], ['email']) }),
    granted({ ...QUIET, time: NOW + 7, ...issued(['b'], ['email', 'risk']) }),
    granted({ ...QUIET, time: NOW + 6, rule: 'r2', ...issued(['b']) }),
    granted({ ...QUIET, target: 'boutique/cart', ...issued(['b'], ['email']) }),
    // Handed on: what the token brings is not known here.
    granted({ ...QUIET, issued: undefined, forwarded: true }),
    denied({ target: 'boutique/checkout', rule: 'r1', wouldDeny: [] }),
  ])
  const { scopes, claims } = usageSince(db, 0)
  const target = 'boutique/checkout'
  assert.deepEqual(scopes, [
    { rule: 'r1', target: 'boutique/cart', scope: 'b', count: 1, last: NOW },
    { rule: 'r1', target, scope: 'a', count: 1, last: NOW + 5 },
    { rule: 'r1', target, scope: 'b', count: 2, last: NOW + 7 },
    { rule: 'r2', target, scope: 'b', count: 1, last: NOW + 6 },
  ])
  assert.deepEqual(claims, [
    { target: 'boutique/cart', claim: 'email', count: 1, last: NOW },
    { target, claim: 'email', count: 2, last: NOW + 7 },
    { target, claim: 'risk', count: 1, last: NOW + 7 },
  ])
})

test('tokens inside by the rule that embedded them, denies that ended a request, and rulesets', (t) => {
  const db = open(t, migratedPath(t))
  const inside = (embedded: readonly string[]) => ({ issued: { ...base.issued!, embedded } })
  const refusal = (reason: 'target_denied' | 'deny_condition_met', detail: string) =>
    denied({ target: 'boutique/checkout', rule: 'r1', wouldDeny: [], reason, detail })
  store(db, [
    granted({ ...QUIET, time: NOW + 5, rulesetHash: 'b', ...inside(['payment', 'other/cart']) }),
    granted({ ...QUIET, time: NOW + 3, rulesetHash: 'b', ...inside(['payment']) }),
    granted({ ...QUIET, rule: 'r2', time: NOW + 4, rulesetHash: 'a', ...inside(['payment']) }),
    refusal('target_denied', 'x denies for-good'),
    refusal('deny_condition_met', 'x denies risk#2: subject.claims.a == "b: c" is true'),
    // Of other reasons the detail is no deny.
    denied({ target: 'boutique/checkout', rule: 'r1', wouldDeny: [], detail: 'x denies y' }),
  ])
  const { embeds, denies, rulesets } = usageSince(db, 0)
  assert.deepEqual(embeds, [
    { rule: 'r1', member: 'other/cart', count: 1, last: NOW + 5 },
    { rule: 'r1', member: 'payment', count: 2, last: NOW + 5 },
    { rule: 'r2', member: 'payment', count: 1, last: NOW + 4 },
  ])
  assert.deepEqual(denies, [
    { predicate: 'x denies for-good', count: 1, last: NOW },
    { predicate: 'x denies risk#2', count: 1, last: NOW },
  ])
  assert.deepEqual(rulesets, [
    { hash: 'a', first: NOW + 4, count: 1, last: NOW + 4 },
    { hash: 'ab'.repeat(32), first: NOW, count: 3, last: NOW },
    { hash: 'b', first: NOW + 3, count: 2, last: NOW + 5 },
  ])
})

test('since is inclusive, also where rows came late', (t) => {
  const db = open(t, migratedPath(t))
  const times = [NOW + 10, NOW - 1, NOW, NOW + 1, NOW - 2]
  store(
    db,
    times.map((time) => granted({ ...QUIET, time })),
  )
  const grants = (since: number) => usageSince(db, since).edges.map((edge) => edge.granted)
  assert.deepEqual(grants(0), [5])
  assert.deepEqual(grants(NOW), [3])
  assert.deepEqual(grants(NOW + 1), [2])
  assert.deepEqual(grants(NOW + 11), [])
})

test('a caller or a target that is not known is no edge', (t) => {
  const db = open(t, migratedPath(t))
  store(db, [
    denied({ wouldDeny: [] }),
    denied({ target: 'boutique/checkout', wouldDeny: [], ...caller(undefined) }),
  ])
  assert.deepEqual(usageSince(db, 0).edges, [])
})

test('every row is counted once, however many pages of rows there are', (t) => {
  const db = open(t, migratedPath(t))
  const [, record] = toRow(granted(QUIET))
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  db.transaction(() => {
    for (let at = 0; at < 40_003; at++) insert.run(NOW + at, record)
    // Retention and a restored copy leave gaps.
    db.exec('DELETE FROM audit_events WHERE seq % 1000 = 0 OR seq < 5')
  })()
  const rows = db.prepare('SELECT count(*) FROM audit_events').pluck().get()
  assert.deepEqual(
    usageSince(db, 0).edges.map((edge) => edge.granted),
    [rows],
  )
})

test('the same as counting one by one', (t) => {
  const word = fc.constantFrom('a', 'b', 'c')
  const event = fc.record({
    time: fc.integer({ min: NOW, max: NOW + 20 }),
    isGranted: fc.boolean(),
    isEmbedded: fc.boolean(),
    rule: fc.option(word, { nil: undefined }),
    service: word,
    target: word,
    scopes: fc.uniqueArray(word),
    claims: fc.uniqueArray(word),
    wouldDeny: fc.uniqueArray(word),
  })
  const path = migratedPath(t)
  const db = open(t, path)
  const property = fc.property(fc.array(event, { maxLength: 40 }), (events) => {
    db.exec('DELETE FROM audit_events')
    store(
      db,
      events.map(({ isGranted, isEmbedded, service, scopes, claims, ...rest }) =>
        (isGranted ? granted : denied)({
          ...rest,
          ...caller(service, isEmbedded ? 'embedded' : 'xfcc'),
          ...(isGranted ? issued(scopes, claims) : {}),
        }),
      ),
    )
    const since = NOW + 10
    const seen = events.filter(({ time }) => time >= since)
    const usage = usageSince(db, since)
    const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)
    for (const edge of usage.edges) {
      const own = seen.filter(
        ({ rule, service, target }) =>
          rule === edge.rule && service === edge.caller && target === edge.target,
      )
      const grants = own.filter(({ isGranted }) => isGranted)
      assert.equal(edge.granted, grants.length)
      assert.equal(edge.denied, own.length - grants.length)
      assert.equal(edge.embedded, grants.filter(({ isEmbedded }) => isEmbedded).length)
      assert.equal(edge.wouldDeny, grants.filter(({ wouldDeny }) => wouldDeny.length > 0).length)
    }
    assert.equal(sum(usage.edges.map(({ granted, denied }) => granted + denied)), seen.length)
    const grants = seen.filter(({ isGranted }) => isGranted)
    const scoped = grants.filter(({ rule }) => rule !== undefined)
    assert.equal(
      sum(usage.scopes.map(({ count }) => count)),
      sum(scoped.map((e) => e.scopes.length)),
    )
    assert.equal(
      sum(usage.claims.map(({ count }) => count)),
      sum(grants.map((e) => e.claims.length)),
    )
    assert.equal(
      sum(usage.predicates.map(({ count }) => count)),
      sum(seen.map((e) => e.wouldDeny.length)),
    )
  })
  fc.assert(property, { numRuns: 60 })
})
