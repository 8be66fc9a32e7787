// Single use of assertions: first claim wins, failures are told apart, nothing is forgotten early.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fail } from '../../src/oauth/reasons.ts'
import { createUsedAssertions } from '../../src/store/used-assertions.ts'
import type { Writer } from '../../src/store/writer.ts'
import { migratedPath, NOW, open, recordedLog, startWriter } from '../support/audit-store.ts'
import { handClock } from '../support/hand-clock.ts'

const EXP = NOW / 1000 + 60
const SKEW_SECONDS = 30
const MARGIN_MS = 300_000

const SETTLE_MS = 300_000

/** With the clock to move it by, which has not settled, and what it logs. */
function movedAssertions(writer: Pick<Writer, 'write'>, start: number) {
  const { clocks, pass, jump } = handClock(start)
  const log = recordedLog()
  const assertions = createUsedAssertions({ writer, skewSeconds: SKEW_SECONDS, ...clocks, log })
  return { ...assertions, pass, jump, log }
}

/** With a clock that has settled; it is NOW. */
function assertionsOn(writer: Pick<Writer, 'write'>) {
  const { pass, ...assertions } = movedAssertions(writer, NOW - SETTLE_MS)
  pass(SETTLE_MS)
  return assertions
}

test('field-6 #14 the first claim of an assertion wins, every later one is a replay', async (t) => {
  const { claim } = assertionsOn(await startWriter(t, migratedPath(t)))
  assert.deepEqual(await claim('boutique/a', 'jti-1', EXP), { ok: true, value: undefined })
  const again = await claim('boutique/a', 'jti-1', EXP)
  assert.ok(!again.ok)
  assert.equal(again.reason, 'client_assertion_replayed')
  assert.ok((await claim('boutique/a', 'jti-2', EXP)).ok, 'another jti')
  assert.ok((await claim('boutique/b', 'jti-1', EXP)).ok, 'another client')
})

test('field-6 #14 of claims in one batch one wins', async (t) => {
  const { claim } = assertionsOn(await startWriter(t, migratedPath(t)))
  const claims = await Promise.all(
    Array.from({ length: 20 }, () => claim('boutique/a', 'jti', EXP)),
  )
  assert.equal(claims.filter(({ ok }) => ok).length, 1)
})

test('a store that cannot be written accepts nothing and is no denial', async () => {
  const write: Writer['write'] = async () => fail('audit_unavailable', 'why', 1)
  assert.deepEqual(
    await assertionsOn({ write }).claim('boutique/a', 'jti', EXP),
    fail('client_assertion_replay_store_unavailable', 'why', 1),
  )
})

test('clients and jtis do not run into each other, and the key has a fixed size', async () => {
  const keys = new Map<string, string>()
  const write: Writer['write'] = async (_, [key]) => {
    assert.match(String(key), /^[0-9a-f]{64}$/)
    keys.set(String(key), '')
    return { ok: true, value: 1 }
  }
  const { claim } = assertionsOn({ write })
  await claim('a', 'bc', EXP)
  await claim('ab', 'c', EXP)
  await claim('1:a', 'b', EXP)
  await claim('1', ':ab', EXP)
  assert.equal(keys.size, 4)
  const text = fc.string({ unit: 'binary' })
  await fc.assert(
    fc.asyncProperty(text, text, async (client, jti) => void (await claim(client, jti, EXP))),
  )
})

test('the sweep forgets what expired, in steps, and nothing that is still accepted', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const left = open(t, path).prepare('SELECT count(*) FROM used_assertions').pluck()
  const { claim, sweep, pass } = movedAssertions(writer, NOW)
  await Promise.all(Array.from({ length: 450 }, (_, index) => claim('a', `jti-${index}`, EXP)))
  await claim('a', 'later', EXP + 1)
  const end = (EXP + SKEW_SECONDS) * 1000 + MARGIN_MS
  pass(end - 1 - NOW)
  assert.equal(await sweep(), 0)
  pass(1)
  assert.equal(await sweep(), 450)
  assert.equal(left.get(), 1)
  assert.equal((await claim('a', 'later', EXP + 1)).ok, false)
})

test('P3: a clock that is a month ahead for a while makes no used assertion new', async (t) => {
  const { claim, sweep, pass, jump, log } = movedAssertions(
    await startWriter(t, migratedPath(t)),
    NOW,
  )
  pass(SETTLE_MS)
  const month = 30 * 24 * 3_600_000
  const exp = EXP + 3600
  assert.ok((await claim('a', 'jti', exp)).ok)
  jump(month)
  assert.equal(await sweep(), 0)
  pass(11_000)
  assert.equal(await sweep(), 0)
  jump(-month)
  assert.equal(await sweep(), 0)
  const again = await claim('a', 'jti', exp)
  assert.equal(again.ok ? 'accepted' : again.reason, 'client_assertion_replayed')
  assert.deepEqual(log.lines, [
    {
      level: 'warn',
      fields: { jumpMs: month },
      message: 'clock jump, sweep of used assertions held back',
    },
  ])
  pass(24 * 3_600_000)
  assert.equal(await sweep(), 1)
})

test('P3: in its first five minutes a process forgets nothing', async (t) => {
  const { claim, sweep, pass } = movedAssertions(await startWriter(t, migratedPath(t)), NOW)
  await claim('a', 'jti', EXP - 24 * 3600)
  pass(SETTLE_MS - 1)
  assert.equal(await sweep(), 0)
  pass(1)
  assert.equal(await sweep(), 1)
})

test('the sweep ends where writes fail', async () => {
  let steps = 0
  const write: Writer['write'] = async () => {
    steps += 1
    return steps === 1 ? { ok: true, value: 200 } : fail('audit_unavailable')
  }
  assert.equal(await assertionsOn({ write }).sweep(), 200)
  assert.equal(steps, 2)
})

test('start sweeps in the background and stop ends it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let sweeps = 0
  const write: Writer['write'] = async () => {
    sweeps += 1
    return { ok: true, value: 0 }
  }
  const assertions = assertionsOn({ write })
  assertions.start()
  assertions.start()
  t.mock.timers.tick(30_000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(sweeps, 1)
  await assertions.stop()
  t.mock.timers.tick(90_000)
  assert.equal(sweeps, 1)
})

test('a stop ends a long sweep after the step under way', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let steps = 0
  let stopped: Promise<void> | undefined
  const write: Writer['write'] = async () => {
    steps += 1
    stopped ??= assertions.stop()
    return { ok: true, value: 200 }
  }
  const assertions = assertionsOn({ write })
  assertions.start()
  t.mock.timers.tick(30_000)
  await stopped
  assert.equal(steps, 1)
})
