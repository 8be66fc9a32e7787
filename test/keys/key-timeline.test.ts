import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tailMs } from '../../src/keys/key-policy.ts'
import { applyTick, type KeyRecord, newKey, planTick } from '../../src/keys/key-state.ts'
import { keyTimeline } from '../../src/keys/key-timeline.ts'
import { DAY, HOUR, MINUTE, POLICY, START } from './fixture.ts'

const active: KeyRecord = {
  ...newKey('a', 'ES256', START),
  state: 'active',
  activatedAt: START,
  signsUntil: START + HOUR,
}
const next = newKey('b', 'ES256', START)

test('the forecast of a new deployment', () => {
  const short = (at: number, kid: string | undefined, event: string) => ({
    at,
    algorithm: 'ES256',
    kid,
    event,
  })
  // What the active key may have signed until its last tick, by a process that lost the store then.
  const leaves = DAY + POLICY.maxTokenLifetimeMs + HOUR + 2 * MINUTE
  assert.ok(leaves >= DAY + tailMs(POLICY))
  assert.deepEqual(keyTimeline([active, next], POLICY, START + HOUR, 7), [
    short(START + DAY, 'a', 'stops_signing'),
    short(START + DAY, 'b', 'starts_signing'),
    short(START + DAY, undefined, 'published'),
    short(START + leaves, 'a', 'removed'),
    short(START + 2 * DAY, 'b', 'stops_signing'),
    short(START + 2 * DAY, undefined, 'starts_signing'),
    short(START + 2 * DAY, undefined, 'published'),
  ])
})

test('after a restore: a new key first, which signs after the lead', () => {
  const restored: KeyRecord = { ...active, state: 'retiring', retiredAt: START }
  const events = keyTimeline([restored], POLICY, START, 3)
  assert.deepEqual(
    events.map(({ at, event }) => [at - START, event]),
    [
      [0, 'published'],
      [2 * HOUR, 'starts_signing'],
      [2 * HOUR, 'published'],
    ],
  )
})

test('no keys, no events', () => {
  assert.deepEqual(keyTimeline([], POLICY, START, 5), [])
  assert.deepEqual(keyTimeline([active, next], POLICY, START, 0), [])
})

test('the forecast is what ticks then do', () => {
  const forecast = keyTimeline([active, next], POLICY, START, 12).map(
    ({ at, event }) => `${at} ${event}`,
  )
  const seen: string[] = []
  let keys: readonly KeyRecord[] = [active, next]
  const names = {
    next: 'published',
    active: 'starts_signing',
    retiring: 'stops_signing',
    gone: 'removed',
  }
  for (let at = START; seen.length < 12; at += MINUTE) {
    const input = {
      keys,
      lastTickAt: at - MINUTE,
      now: at,
      policy: POLICY,
      unusable: new Set<string>(),
    }
    const plan = planTick(input)
    for (const move of plan.moves) seen.push(`${at} ${names[move.to]}`)
    for (const _ of plan.create) seen.push(`${at} published`)
    keys = applyTick(
      input,
      plan,
      plan.create.map((algorithm) => ({ kid: `k${at}`, algorithm })),
    )
  }
  assert.deepEqual(forecast, seen.slice(0, 12))
})
