// Counts of refused requests: summed, bounded, not lost while the database is away.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRefusalCounter, OTHER_PEERS } from '../../src/audit/refusals.ts'
import { fail } from '../../src/oauth/reasons.ts'
import type { Writer } from '../../src/store/writer.ts'
import type { SqlValue } from '../../src/store/writes.ts'
import { migratedPath, NOW, open, recordedLog, startWriter } from '../support/audit-store.ts'

const MINUTE = NOW - (NOW % 60_000)
const MISSING = fail('client_missing')
const LIMITED = fail('client_rate_limited')

/** A writer that keeps what it is given, or is away. */
function fakeWriter() {
  const rows: (readonly SqlValue[])[] = []
  const fake = {
    rows,
    isAway: false,
    write: (async (_, row) => {
      if (fake.isAway) return fail('audit_unavailable')
      rows.push(row)
      return { ok: true, value: 1 }
    }) as Writer['write'],
  }
  return fake
}

test('P3 refusals are counts by minute, reason and peer, those over the rate limit too', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const counter = createRefusalCounter({ writer, log: recordedLog() })
  counter.count(MISSING, '10.0.0.1', NOW)
  counter.count(MISSING, '10.0.0.1', NOW + 1)
  counter.count(MISSING, '10.0.0.2', NOW)
  await counter.flush()
  counter.count(LIMITED, '10.0.0.1', NOW)
  counter.count(MISSING, '10.0.0.1', NOW + 2)
  counter.count(MISSING, '10.0.0.1', MINUTE + 60_000)
  await counter.flush()
  const stored = open(t, path).prepare('SELECT * FROM refusal_counts ORDER BY minute, reason, peer')
  assert.deepEqual(stored.all(), [
    { minute: MINUTE, reason: 'client_missing', peer: '10.0.0.1', count: 3 },
    { minute: MINUTE, reason: 'client_missing', peer: '10.0.0.2', count: 1 },
    { minute: MINUTE, reason: 'client_rate_limited', peer: '10.0.0.1', count: 1 },
    { minute: MINUTE + 60_000, reason: 'client_missing', peer: '10.0.0.1', count: 1 },
  ])
})

test('nothing counted, nothing written', async () => {
  const writer = fakeWriter()
  const counter = createRefusalCounter({ writer, log: recordedLog() })
  await counter.flush()
  counter.count(MISSING, 'a', NOW)
  await counter.flush()
  await counter.flush()
  assert.equal(writer.rows.length, 1)
})

test('P3 peers beyond the bound are counted as other, across flushes of the same minute', async () => {
  const writer = fakeWriter()
  const counter = createRefusalCounter({ writer, log: recordedLog(), maxPeersPerMinute: 2 })
  for (const peer of ['a', 'b', 'c']) counter.count(MISSING, peer, NOW)
  await counter.flush()
  for (const peer of ['d', 'a', 'c']) counter.count(MISSING, peer, NOW + 5)
  await counter.flush()
  assert.deepEqual(
    writer.rows.map(([, , peer, count]) => `${peer} ${count}`),
    ['a 1', 'b 1', `${OTHER_PEERS} 1`, `${OTHER_PEERS} 2`, 'a 1'],
  )
  counter.count(MISSING, 'e', NOW + 60_000)
  await counter.flush()
  assert.equal(writer.rows.at(-1)?.[2], 'e', 'a new minute starts anew')
})

test('P3 unless told otherwise 128 peers a minute are told apart', async () => {
  const writer = fakeWriter()
  const counter = createRefusalCounter({ writer, log: recordedLog() })
  for (let peer = 0; peer < 200; peer++) counter.count(MISSING, `10.0.0.${peer}`, NOW)
  await counter.flush()
  assert.equal(writer.rows.length, 129)
  assert.equal(writer.rows.find(([, , peer]) => peer === OTHER_PEERS)?.[3], 72)
})

test('P3 strangers cause a bounded number of rows, and no count is lost', async () => {
  const peer = fc.string({ maxLength: 3 })
  const reason = fc.constantFrom(MISSING, LIMITED)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(reason, peer, fc.boolean())), async (refusals) => {
      const writer = fakeWriter()
      const counter = createRefusalCounter({ writer, log: recordedLog(), maxPeersPerMinute: 3 })
      for (const [failure, address, isFlushed] of refusals) {
        counter.count(failure, address, NOW)
        if (isFlushed) await counter.flush()
      }
      await counter.flush()
      const keys = new Set(
        writer.rows.map(([minute, name, at]) => JSON.stringify([minute, name, at])),
      )
      assert.ok(keys.size <= 2 * (3 + 1))
      const total = writer.rows.reduce((sum, row) => sum + Number(row[3]), 0)
      assert.equal(total, refusals.length)
    }),
  )
})

test('what cannot be written is kept for the next flush', async () => {
  const writer = fakeWriter()
  const counter = createRefusalCounter({ writer, log: recordedLog() })
  writer.isAway = true
  counter.count(MISSING, 'a', NOW)
  await counter.flush()
  counter.count(MISSING, 'a', NOW + 1)
  await counter.flush()
  writer.isAway = false
  await counter.flush()
  assert.deepEqual(writer.rows, [[MINUTE, 'client_missing', 'a', 2]])
})

test('while the database is away minutes are bounded; what is dropped is said', async () => {
  const writer = fakeWriter()
  const log = recordedLog()
  const counter = createRefusalCounter({ writer, log })
  writer.isAway = true
  for (let minute = 0; minute < 62; minute++) counter.count(MISSING, 'a', NOW + minute * 60_000)
  await counter.flush()
  writer.isAway = false
  await counter.flush()
  assert.equal(writer.rows.length, 60)
  assert.deepEqual(log.lines, [
    { level: 'warn', fields: { lost: 1, minute: MINUTE }, message: 'refusal counts lost' },
    { level: 'warn', fields: { lost: 1, minute: MINUTE + 60_000 }, message: 'refusal counts lost' },
  ])
})

test('start flushes every 5 s, stop flushes the rest and ends it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const writer = fakeWriter()
  const counter = createRefusalCounter({ writer, log: recordedLog() })
  counter.start()
  counter.start()
  counter.count(MISSING, 'a', NOW)
  t.mock.timers.tick(5000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(writer.rows.length, 1)
  counter.count(MISSING, 'a', NOW)
  await counter.stop()
  assert.equal(writer.rows.length, 2)
  counter.count(MISSING, 'a', NOW)
  t.mock.timers.tick(20_000)
  assert.equal(writer.rows.length, 2)
})

test('a bug in a flush is told and does not end the flushing', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const log = recordedLog()
  let calls = 0
  const write: Writer['write'] = async () => {
    calls += 1
    throw new Error('a bug')
  }
  const counter = createRefusalCounter({ writer: { write }, log })
  counter.start()
  for (const round of [1, 2]) {
    counter.count(MISSING, 'a', NOW)
    t.mock.timers.tick(5000)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(calls, round)
  }
  assert.equal(log.lines[0]?.message, 'refusal counts not written')
  await counter.stop()
})
