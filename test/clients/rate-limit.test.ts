import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRateLimit, type RateLimit } from '../../src/clients/rate-limit.ts'

const START = 1_700_000_000_000

/** How many of `attempts` at one instant are let through. */
function takeMany(limit: RateLimit, key: string, attempts: number, now: number, group?: string) {
  let taken = 0
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (limit.take(key, now, group).ok) taken += 1
  }
  return taken
}

test('a burst is let through at once, then the sustained rate', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 5 })
  assert.equal(takeMany(limit, 'a', 20, START), 5)
  assert.equal(takeMany(limit, 'a', 20, START + 99), 0)
  assert.equal(takeMany(limit, 'a', 20, START + 100), 1)
  assert.equal(takeMany(limit, 'a', 20, START + 350), 2)
  assert.equal(takeMany(limit, 'a', 20, START + 60_000), 5)
})

test('what is over fails with client_rate_limited and says when to come back', () => {
  const limit = createRateLimit({ perSecond: 0.1, burst: 1 })
  assert.deepEqual(limit.take('a', START), { ok: true, value: undefined })
  assert.deepEqual(limit.take('a', START), {
    ok: false,
    reason: 'client_rate_limited',
    retryAfterSeconds: 10,
  })
  assert.deepEqual(limit.take('a', START + 9_500), {
    ok: false,
    reason: 'client_rate_limited',
    retryAfterSeconds: 1,
  })
  assert.equal(limit.take('a', START + 10_000).ok, true)
})

test('a refused attempt costs nothing', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1 })
  limit.take('a', START)
  for (let at = 0; at < 1000; at += 10) assert.equal(limit.take('a', START + at).ok, false)
  assert.equal(limit.take('a', START + 1000).ok, true)
})

test('keys and groups have allowances of their own', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 2 })
  assert.equal(takeMany(limit, 'a', 9, START), 2)
  assert.equal(takeMany(limit, 'b', 9, START), 2)
  assert.equal(takeMany(limit, 'a', 9, START, 'peer'), 2)
  assert.equal(takeMany(limit, 'a', 9, START, 'peer 2'), 2)
  // Names that would run together if they were only joined.
  assert.equal(takeMany(limit, 'r:a', 9, START, 'pee'), 2)
  assert.equal(takeMany(limit, '', 9, START, 'peer:a'), 2)
})

test('buckets that are full again are forgotten', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 5 })
  for (let key = 0; key < 100; key += 1) limit.take(`k${key}`, START)
  assert.equal(limit.size(), 100)
  for (let call = 0; call < 100; call += 1) limit.take('late', START + 1000)
  assert.equal(limit.size(), 1)
})

test('a flood of keys stays within the room and resets nobody', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 3, maxKeys: 50 })
  assert.equal(takeMany(limit, 'victim', 9, START), 3)
  let through = 0
  for (let key = 0; key < 10_000; key += 1) if (limit.take(`x${key}`, START).ok) through += 1
  assert.equal(limit.size(), 50)
  // 49 buckets of their own, then one that all others share.
  assert.equal(through, 49 + 3)
  assert.equal(takeMany(limit, 'victim', 9, START), 0)
  assert.equal(takeMany(limit, 'victim', 9, START + 1000), 1)
})

test('a group that invents keys slows down itself alone', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 3, maxKeys: 100, maxKeysPerGroup: 10 })
  let through = 0
  for (let key = 0; key < 10_000; key += 1) {
    if (limit.take(`x${key}`, START, 'attacker').ok) through += 1
  }
  assert.equal(through, 10 + 3)
  assert.equal(limit.size(), 11)
  assert.equal(takeMany(limit, 'a', 9, START, 'victim'), 3)
  assert.equal(takeMany(limit, 'new', 9, START, 'victim'), 3)
})

test('a named group has a cap by default, keys without one only that of the table', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1 })
  let grouped = 0
  let free = 0
  for (let key = 0; key < 1000; key += 1) {
    if (limit.take(`x${key}`, START, 'peer').ok) grouped += 1
    if (limit.take(`x${key}`, START).ok) free += 1
  }
  assert.equal(grouped, 256 + 1)
  assert.equal(free, 1000)
})

test('a group’s room comes back when its buckets are full again', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1, maxKeysPerGroup: 2 })
  const keys = ['a', 'b', 'c', 'd']
  const through = (now: number) => keys.filter((key) => limit.take(key, now, 'peer').ok)
  assert.deepEqual(through(START), ['a', 'b', 'c'])
  assert.equal(limit.size(), 3)
  for (let call = 0; call < 4; call += 1) limit.take('other', START + 5000)
  assert.equal(limit.size(), 1)
  assert.deepEqual(through(START + 5000), ['a', 'b', 'c'])
})

test('a group’s room is counted while some of its buckets come and go', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1, maxKeysPerGroup: 2 })
  assert.equal(limit.take('a', START, 'peer').ok, true)
  assert.equal(limit.take('b', START + 500, 'peer').ok, true)
  // By now the bucket of a is full again and forgotten, that of b is not.
  const through = ['c', 'd', 'e'].filter((key) => limit.take(key, START + 1000, 'peer').ok)
  assert.deepEqual(through, ['c', 'd'])
})

test('where the whole table is full, a group with room of its own shares one bucket with all', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1, maxKeys: 2, maxKeysPerGroup: 2 })
  assert.equal(limit.take('a', START, 'one').ok, true)
  assert.equal(limit.take('b', START, 'one').ok, true)
  assert.equal(limit.take('a', START, 'two').ok, true)
  assert.equal(limit.take('a', START, 'three').ok, false)
  assert.equal(limit.size(), 2)
  assert.equal(createRateLimit({ perSecond: 1, burst: 1, maxKeys: 1 }).take('a', START).ok, true)
})

test('a clock that is set back locks nobody out: time goes on from where it was', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 5 })
  assert.equal(takeMany(limit, 'a', 9, START), 5)
  limit.take('idle', START)
  const back = START - 3_600_000
  assert.equal(takeMany(limit, 'a', 9, back), 0)
  assert.equal(takeMany(limit, 'a', 9, back + 100), 1)
  assert.equal(takeMany(limit, 'a', 9, back + 5000), 5)
  limit.take('a', back + 5000)
  assert.equal(limit.size(), 1)
})

test('times that come out of order give nobody more', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 5 })
  let taken = 0
  for (let round = 0; round < 1000; round += 1) {
    taken += takeMany(limit, 'a', 1, START) + takeMany(limit, 'a', 1, START - 10_000)
  }
  assert.equal(taken, 5)
})

test('options that allow nothing or know no bound are refused', () => {
  for (const wrong of [
    { perSecond: 0, burst: 1 },
    { perSecond: -1, burst: 1 },
    { perSecond: Number.NaN, burst: 1 },
    { perSecond: 1, burst: 0 },
    { perSecond: 1, burst: Number.NaN },
    { perSecond: 1, burst: 1, maxKeys: 0 },
    { perSecond: 1, burst: 1, maxKeysPerGroup: 0 },
  ]) {
    assert.throws(() => createRateLimit(wrong), RangeError)
  }
})

test('property: no key gets more than burst + rate × time, whatever the others do', () => {
  const steps = fc.array(
    fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), waitMs: fc.nat(300) }),
    { maxLength: 200 },
  )
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 10 }),
      (all, perSecond, burst) => {
        const limit = createRateLimit({ perSecond, burst, maxKeys: 3 })
        const taken = new Map<string, number>()
        let now = START
        for (const { key, waitMs } of all) {
          now += waitMs
          if (limit.take(key, now).ok) taken.set(key, (taken.get(key) ?? 0) + 1)
          assert.ok(limit.size() <= 3)
        }
        // Where a key moves between its own and the shared bucket it may use both.
        const most = 2 * (burst + ((now - START) / 1000) * perSecond) + 1
        for (const count of taken.values()) assert.ok(count <= most)
      },
    ),
  )
})
