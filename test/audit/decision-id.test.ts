// Decision ids: the UUIDv7 layout, their order, and that their time is the one they were made with.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDecisionIds, timeOfDecisionId } from '../../src/audit/decision-id.ts'
import { NOW } from '../support/audit-store.ts'

/** RFC 9562 §5.7: version 7, variant 10. */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('ids of one millisecond are distinct UUIDv7 and increase, over many refills of the pool', () => {
  const make = createDecisionIds(randomBytes)
  const ids = Array.from({ length: 20_000 }, () => make(NOW))
  for (const id of ids) assert.match(id, UUID_V7)
  assert.deepEqual(ids, [...new Set(ids)].sort())
  assert.equal(ids.length, new Set(ids).size)
})

test('an id holds its time exactly, also when the clock goes back', () => {
  const make = createDecisionIds(randomBytes)
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2 ** 48 - 1 }), { minLength: 1 }), (times) => {
      for (const time of times) {
        const id = make(time)
        assert.match(id, UUID_V7)
        assert.equal(timeOfDecisionId(id), time)
      }
    }),
  )
})

test('ids sort by time', () => {
  const make = createDecisionIds(randomBytes)
  const ids = [NOW, NOW, NOW + 1, NOW + 2, NOW + 1000].map((time) => make(time))
  assert.deepEqual(ids, [...ids].sort())
})

test('the counter carries into the variant and version groups without touching their fixed bits', () => {
  // The highest start that the random source can give.
  const make = createDecisionIds((size) => Buffer.alloc(size, 0xff))
  const ids = Array.from({ length: 40_000 }, () => make(NOW))
  assert.equal(ids[0]?.slice(14, 23), '77ff-bfff')
  assert.equal(ids[1]?.slice(14, 23), '7800-8000')
  for (const id of ids) assert.match(id, UUID_V7)
  assert.deepEqual(ids, [...ids].sort())
})

test('two processes with the same clock do not make the same ids', () => {
  const [first, second] = [createDecisionIds(randomBytes), createDecisionIds(randomBytes)]
  const ids = Array.from({ length: 1000 }, () => [first(NOW), second(NOW)]).flat()
  assert.equal(new Set(ids).size, 2000)
})

test('the random source is asked once for hundreds of ids', () => {
  let calls = 0
  const make = createDecisionIds((size) => {
    calls += 1
    return randomBytes(size)
  })
  for (let made = 0; made < 600; made++) make(NOW)
  assert.equal(calls, 1)
})

test('other texts hold no time', () => {
  for (const text of [
    '',
    'x',
    '019a0000-0000-4000-8000-000000000000',
    `${createDecisionIds(randomBytes)(NOW)}0`,
  ]) {
    assert.equal(timeOfDecisionId(text), undefined)
  }
})
