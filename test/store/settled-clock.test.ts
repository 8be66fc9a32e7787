// The wall clock is believed only after it has moved with monotonic time for long enough.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSettledClock } from '../../src/store/settled-clock.ts'
import { handClock } from '../support/hand-clock.ts'

const SETTLE_MS = 3_600_000
const TOLERANCE_MS = 60_000
const WALL = Date.UTC(2026, 0, 2)

function settling() {
  const hand = handClock(WALL)
  const jumps: number[] = []
  const clock = createSettledClock({
    ...hand.clocks,
    settleMs: SETTLE_MS,
    onJump: (jumpMs) => jumps.push(jumpMs),
  })
  return { ...hand, clock, jumps }
}

test('at the start it is believed after the settled while, not before', () => {
  const { clock, pass, jumps } = settling()
  assert.equal(clock.read(), undefined)
  pass(SETTLE_MS - 1)
  assert.equal(clock.read(), undefined)
  pass(1)
  assert.equal(clock.read(), WALL + SETTLE_MS)
  assert.deepEqual(jumps, [])
})

for (const [name, ms] of [
  ['forwards', TOLERANCE_MS + 1],
  ['backwards', -TOLERANCE_MS - 1],
  ['backwards by a little', -1],
] as const) {
  test(`a jump ${name} holds it back for the settled while, told once`, () => {
    const { clock, pass, jump, jumps } = settling()
    pass(SETTLE_MS)
    assert.ok(clock.read() !== undefined)
    jump(ms)
    assert.equal(clock.read(), undefined)
    assert.deepEqual(jumps, [ms])
    pass(SETTLE_MS - 1)
    assert.equal(clock.read(), undefined)
    pass(1)
    assert.equal(clock.read(), WALL + 2 * SETTLE_MS + ms)
    assert.deepEqual(jumps, [ms])
    jump(-TOLERANCE_MS - 1)
    assert.equal(clock.read(), undefined)
    assert.equal(jumps.length, 2, 'told anew after it had settled')
  })
}

test('a jump and the way back are told once, and the while counts from the way back', () => {
  const { clock, pass, jump, jumps } = settling()
  pass(SETTLE_MS)
  jump(30 * 24 * SETTLE_MS)
  assert.equal(clock.read(), undefined)
  pass(11_000)
  jump(-30 * 24 * SETTLE_MS)
  assert.equal(clock.read(), undefined)
  pass(SETTLE_MS - 1)
  assert.equal(clock.read(), undefined)
  pass(1)
  assert.equal(clock.read(), WALL + 2 * SETTLE_MS + 11_000)
  assert.equal(jumps.length, 1)
})

test('a step within the tolerance is none, and many of them are one', () => {
  const { clock, pass, jump } = settling()
  pass(SETTLE_MS)
  jump(TOLERANCE_MS)
  assert.equal(clock.read(), WALL + SETTLE_MS + TOLERANCE_MS)
  pass(10_000)
  jump(1)
  assert.equal(clock.read(), undefined)
})

test('property: what is believed is never ahead of a clock that only jumped since by more than the tolerance', () => {
  const step = fc.record({ pass: fc.nat(SETTLE_MS), jump: fc.integer({ min: -1e9, max: 1e9 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const { clock, pass, jump, clocks } = settling()
      let agreed: { wall: number; passed: number } | undefined
      for (const { pass: ms, jump: by } of steps) {
        pass(ms)
        jump(by)
        const read = clock.read()
        const at = { wall: clocks.now(), passed: clocks.monotonic() }
        if (read === undefined) continue
        if (agreed !== undefined && at.passed - agreed.passed < SETTLE_MS) {
          const ahead = at.wall - agreed.wall - (at.passed - agreed.passed)
          assert.ok(Math.abs(ahead) <= 2 * TOLERANCE_MS)
        }
        agreed = at
      }
    }),
  )
})
