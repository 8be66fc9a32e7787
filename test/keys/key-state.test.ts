import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_PUBLISHED_KEYS, tailMs } from '../../src/keys/key-policy.ts'
import {
  applyTick,
  type KeyRecord,
  newKey,
  planTick,
  removableAt,
  type TickInput,
} from '../../src/keys/key-state.ts'
import { DAY, HOUR, MINUTE, POLICY, SECOND, START } from './fixture.ts'

const LEAD = POLICY.publishBeforeMs
const TAIL = tailMs(POLICY)
const NOW = START + 100 * DAY

const active: KeyRecord = {
  ...newKey('active', 'ES256', NOW - 30 * HOUR),
  state: 'active',
  activatedAt: NOW - DAY,
  signsUntil: NOW + HOUR,
}
const next: KeyRecord = newKey('next', 'ES256', NOW - LEAD)
const retiring: KeyRecord = {
  ...newKey('retiring', 'ES256', NOW - 60 * HOUR),
  state: 'retiring',
  activatedAt: NOW - 50 * HOUR,
  retiredAt: NOW - TAIL,
  signsUntil: NOW - MINUTE,
}

/** A tick at which everything is due; each test changes one thing. */
const due = (change: Partial<TickInput> = {}): TickInput => ({
  keys: [active, next, retiring],
  lastTickAt: NOW - 15 * SECOND,
  now: NOW,
  policy: POLICY,
  unusable: new Set(),
  ...change,
})
const movesOf = (change: Partial<TickInput> = {}) =>
  planTick(due(change)).moves.map((move) => `${move.kid} ${move.to}`)
const PROMOTION = ['active retiring', 'next active']

test('a tick at which everything is due: old retires, next signs, retired leaves, a new one is published', () => {
  assert.deepEqual(planTick(due()), {
    shiftMs: 0,
    moves: [
      { kid: 'active', to: 'retiring' },
      { kid: 'next', to: 'active' },
      { kid: 'retiring', to: 'gone' },
    ],
    create: ['ES256'],
  })
  const records = applyTick(due(), planTick(due()), [{ kid: 'new', algorithm: 'ES256' }])
  assert.deepEqual(
    records.map((key) => [key.kid, key.state]),
    [
      ['active', 'retiring'],
      ['next', 'active'],
      ['retiring', 'gone'],
      ['new', 'next'],
    ],
  )
  assert.equal(records[0]?.retiredAt, NOW)
  assert.equal(records[1]?.activatedAt, NOW)
  assert.equal(records[2]?.removedAt, NOW)
  assert.equal(records[3]?.publishedAt, NOW)
})

test('field-6 #17, P5: a key published a millisecond short of the lead does not sign', () => {
  const young = { ...next, publishedAt: NOW - LEAD + 1 }
  assert.deepEqual(movesOf({ keys: [active, young] }), [])
  assert.deepEqual(movesOf({ keys: [active, next] }), PROMOTION)
})

test('field-6 #17, P5: not even where no key signs', () => {
  const young = { ...next, publishedAt: NOW - LEAD + 1 }
  assert.deepEqual(movesOf({ keys: [young, retiring] }), ['retiring gone'])
  assert.deepEqual(movesOf({ keys: [next, retiring] }), ['next active', 'retiring gone'])
})

test('an active key signs for its whole time', () => {
  assert.deepEqual(movesOf({ keys: [{ ...active, activatedAt: NOW - DAY + 1 }, next] }), [])
})

test('an active key without a successor goes on signing', () => {
  assert.deepEqual(movesOf({ keys: [active] }), [])
  assert.deepEqual(planTick(due({ keys: [active] })).create, ['ES256'])
})

test('field-6 #18, P5: a retired key stays for the whole tail', () => {
  const early = { ...retiring, retiredAt: NOW - TAIL + 1 }
  assert.deepEqual(movesOf({ keys: [active, next, early] }), PROMOTION)
})

test('field-6 #18, P5: and until the last token that it may have signed is expired for Envoy too', () => {
  const signsUntil = NOW - MINUTE + 1
  assert.deepEqual(movesOf({ keys: [active, next, { ...retiring, signsUntil }] }), PROMOTION)
})

test('a key that does not open here is not promoted', () => {
  assert.deepEqual(movesOf({ unusable: new Set(['next']) }), ['retiring gone'])
})

test('P5: a set is never emptied, whatever is due', () => {
  const keys = [retiring, { ...retiring, kid: 'other' }]
  assert.deepEqual(movesOf({ keys }), [])
})

test('no key is made where none is published: only init does that', () => {
  const gone: KeyRecord = { ...retiring, state: 'gone' }
  for (const keys of [[], [gone]]) {
    assert.deepEqual(planTick(due({ keys })), { shiftMs: 0, moves: [], create: [] })
  }
})

test('P5: a clock that jumps moves no key, and timers keep what they had', () => {
  for (const jump of [-1, -DAY, 61 * SECOND, DAY, 3650 * DAY]) {
    const input = due({ now: NOW + jump, lastTickAt: NOW })
    const plan = planTick(input)
    assert.deepEqual(plan, { shiftMs: jump, moves: [], create: [] })
    const [a, n, r] = applyTick(input, plan, [])
    assert.equal(a?.activatedAt, NOW - DAY + jump)
    assert.equal(n?.publishedAt, NOW - LEAD + jump)
    assert.equal(r?.retiredAt, NOW - TAIL + jump)
    assert.equal(r?.signsUntil, retiring.signsUntil, 'exp is read by the clocks of verifiers')
  }
})

test('P5: a tick within the tolerance is none', () => {
  assert.deepEqual(movesOf({ lastTickAt: NOW - 60 * SECOND }), [...PROMOTION, 'retiring gone'])
  assert.deepEqual(movesOf({ lastTickAt: NOW }), [...PROMOTION, 'retiring gone'])
})

test('P5: where the time of the last tick was lost, no more time passed than since the last timer', () => {
  const recent = { ...next, publishedAt: NOW - 5 * HOUR }
  const input = due({ keys: [recent, retiring], lastTickAt: undefined })
  const plan = planTick(input)
  assert.deepEqual(plan, { shiftMs: Math.min(5 * HOUR, TAIL), moves: [], create: [] })
  const empty = planTick(due({ keys: [], lastTickAt: undefined }))
  assert.deepEqual(empty, { shiftMs: 0, moves: [], create: [] })
})

test('what an active key may sign reaches over an outage of half the lead, and is never taken back', () => {
  const [extended] = applyTick(due({ keys: [active] }), { shiftMs: 0, moves: [], create: [] }, [])
  const bound = NOW + POLICY.maxTokenLifetimeMs + LEAD / 2 + MINUTE
  assert.equal(extended?.signsUntil, bound)
  const earlier = due({ keys: [{ ...active, signsUntil: bound + 1 }] })
  assert.equal(applyTick(earlier, planTick(earlier), [])[0]?.signsUntil, bound + 1)
  assert.equal(removableAt({ ...retiring, signsUntil: bound }, POLICY), bound + MINUTE)
})

test('each algorithm has its own warm key', () => {
  const policy = { ...POLICY, algorithms: ['ES256', 'EdDSA', 'RS256'] as const }
  assert.deepEqual(planTick(due({ policy, keys: [active, next] })).create, [
    'ES256',
    'EdDSA',
    'RS256',
  ])
  const waiting = { ...active, activatedAt: NOW }
  assert.deepEqual(planTick(due({ policy, keys: [waiting, next] })).create, ['EdDSA', 'RS256'])
})

test('keys of an algorithm that is configured no more end without haste', () => {
  const policy = { ...POLICY, algorithms: ['EdDSA'] as const }
  const young = { ...active, activatedAt: NOW - DAY + 1 }
  assert.deepEqual(movesOf({ policy, keys: [young, next] }), [])
  assert.deepEqual(movesOf({ policy, keys: [active, next] }), ['active retiring'])
  // Both may leave, but one has to stay.
  assert.deepEqual(movesOf({ policy, keys: [retiring, next] }), [])
  const current = newKey('eddsa', 'EdDSA', NOW)
  assert.deepEqual(movesOf({ policy, keys: [current, next] }), ['next gone'])
})

test('the number of published keys is capped', () => {
  const many = Array.from({ length: MAX_PUBLISHED_KEYS - 1 }, (_, index) => ({
    ...retiring,
    kid: `retiring ${index}`,
    retiredAt: NOW,
  }))
  assert.deepEqual(planTick(due({ keys: [active, ...many] })).create, [])
  assert.deepEqual(planTick(due({ keys: [active, ...many.slice(1)] })).create, ['ES256'])
})

test('no key becomes next again', () => {
  const plan = { shiftMs: 0, moves: [{ kid: 'active', to: 'next' as const }], create: [] }
  assert.throws(() => applyTick(due(), plan, []), /next again/)
})
