// Retention on real files: by age, by size, oldest first, in small steps.
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { test } from 'node:test'
import { createRetention, type RetentionOptions, usedBytesOf } from '../../src/audit/retention.ts'
import { fail } from '../../src/oauth/reasons.ts'
import type { Database } from '../../src/store/database.ts'
import type { Writer } from '../../src/store/writer.ts'
import { migratedPath, NOW, open, recordedLog, startWriter } from '../support/audit-store.ts'
import { handClock } from '../support/hand-clock.ts'

const HOUR_MS = 3_600_000
const PLENTY_BYTES = 1e12

const times = (db: Database): number[] =>
  db.prepare('SELECT time FROM audit_events ORDER BY time').pluck().all() as number[]

/** Adds events a millisecond apart, of some 1 KB each. */
function fill(db: Database, from: number, count: number): void {
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  const record = JSON.stringify({ pad: 'x'.repeat(1000) })
  db.transaction(() => {
    for (let index = 0; index < count; index++) insert.run(from + index, record)
  })()
}

/** A retention whose clock has settled; it is NOW. */
function retentionOf(
  db: Database,
  writer: Pick<Writer, 'write'>,
  change: Partial<RetentionOptions> = {},
) {
  return movedRetention(db, writer, change).retention
}

/** The same, with the clock to move it by and what it logs. */
function movedRetention(
  db: Database,
  writer: Pick<Writer, 'write'>,
  change: Partial<RetentionOptions> = {},
) {
  const { clocks, pass, jump } = handClock(NOW - HOUR_MS)
  const log = recordedLog()
  const retention = createRetention({
    db,
    writer,
    ...clocks,
    maxAgeMs: HOUR_MS,
    maxBytes: PLENTY_BYTES,
    log,
    ...change,
  })
  pass(HOUR_MS)
  return { retention, pass, jump, log }
}

test('events older than maxAgeMs are deleted, those of exactly that age are kept', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - HOUR_MS - 450, 460)
  db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, ?)').run(NOW - HOUR_MS - 1, 'r', 'p', 1)
  db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, ?)').run(NOW - HOUR_MS, 'r', 'p', 1)
  const done = await retentionOf(db, await startWriter(t, path)).runOnce()
  assert.equal(done.deletedByAge, 450)
  assert.equal(done.deletedBySize, 0)
  assert.equal(done.deletedRefusals, 1)
  assert.equal(times(db)[0], NOW - HOUR_MS)
  assert.equal(times(db).length, 10)
})

test('above maxBytes those that arrived first go until the size fits, whatever time they tell', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 500, 500)
  fill(db, NOW - 2000, 1500)
  const maxBytes = 1_000_000
  assert.ok(usedBytesOf(db) > maxBytes)
  const done = await retentionOf(db, await startWriter(t, path), { maxBytes }).runOnce()
  assert.ok(done.deletedBySize > 0)
  assert.equal(done.deletedByAge, 0)
  assert.ok(done.usedBytes <= maxBytes && done.usedBytes > maxBytes / 2)
  const left = db.prepare('SELECT seq FROM audit_events ORDER BY seq').pluck().all()
  assert.equal(left.length, 2000 - done.deletedBySize)
  assert.deepEqual(
    left,
    Array.from({ length: left.length }, (_, index) => 2000 - left.length + index + 1),
  )
})

test('P3: a clock that is a month ahead for 11 s deletes nothing by age, and is told once', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 10, 10)
  db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, 1)').run(NOW - 10, 'r', 'p')
  const { retention, pass, jump, log } = movedRetention(db, await startWriter(t, path))
  const month = 30 * 24 * HOUR_MS
  const nothing = async () => {
    const { deletedByAge, deletedRefusals } = await retention.runOnce()
    assert.deepEqual([deletedByAge, deletedRefusals], [0, 0])
  }
  await nothing()
  jump(month)
  await nothing()
  pass(11_000)
  await nothing()
  jump(-month)
  await nothing()
  assert.deepEqual(log.lines, [
    {
      level: 'warn',
      fields: { jumpMs: month },
      message: 'clock jump, audit retention by age held back',
    },
  ])
  pass(HOUR_MS - 1)
  await nothing()
  pass(1)
  const done = await retention.runOnce()
  assert.deepEqual([done.deletedByAge, done.deletedRefusals], [10, 1])
})

test('P3: in its first hour a process deletes nothing by age, for its clock may be wrong', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  const { clocks, pass } = handClock(NOW)
  fill(db, NOW - 5 * HOUR_MS, 10)
  const retention = retentionOf(db, await startWriter(t, path), clocks)
  assert.equal((await retention.runOnce()).deletedByAge, 0)
  pass(HOUR_MS - 1)
  assert.equal((await retention.runOnce()).deletedByAge, 0)
  pass(1)
  assert.equal((await retention.runOnce()).deletedByAge, 10)
})

test('deleting by size does not wait for the clock, and takes the refusals of that time along', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 2000, 2000)
  db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, 1)').run(NOW - 2001, 'r', 'p')
  const maxBytes = 1_000_000
  const { retention, jump } = movedRetention(db, await startWriter(t, path), { maxBytes })
  jump(30 * 24 * HOUR_MS)
  const done = await retention.runOnce()
  assert.equal(done.deletedByAge, 0)
  assert.ok(done.deletedBySize > 0 && done.deletedBySize < 2000)
  assert.equal(done.deletedRefusals, 1)
})

test('the file stops growing: freed pages are used again', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  const writer = await startWriter(t, path)
  const maxBytes = 1_000_000
  const retention = retentionOf(db, writer, { maxBytes })
  const sizes: number[] = []
  for (let round = 0; round < 12; round++) {
    fill(db, NOW - 20_000 + round * 1000, 300)
    await retention.runOnce()
    db.pragma('wal_checkpoint(TRUNCATE)')
    sizes.push(statSync(path).size)
  }
  assert.ok(Math.max(...sizes) < 1.5 * maxBytes, sizes.join(' '))
  assert.equal(new Set(sizes.slice(6)).size, 1, sizes.join(' '))
})

test('counts of refusals go with the events of their time, and do not push events out', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 2000, 2000)
  const add = db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, 1)')
  add.run(NOW - 2001, 'r', 'older than what is left')
  add.run(NOW, 'r', 'of now')
  const retention = retentionOf(db, await startWriter(t, path), { maxBytes: 1_000_000 })
  assert.equal((await retention.runOnce()).deletedRefusals, 1)
  assert.deepEqual(db.prepare('SELECT peer FROM refusal_counts').pluck().all(), ['of now'])
})

test('counts of refusals that are young enough stay, also where no event is as old', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 10, 5)
  db.prepare('INSERT INTO refusal_counts VALUES (?, ?, ?, 1)').run(NOW - 1000, 'r', 'p')
  assert.equal((await retentionOf(db, await startWriter(t, path)).runOnce()).deletedRefusals, 0)
})

test('rows are deleted in small steps, between which others write', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 2 * HOUR_MS, 1000)
  const writer = await startWriter(t, path)
  const steps: number[] = []
  const write: Writer['write'] = async (name, values) => {
    const done = await writer.write(name, values)
    if (done.ok && name === 'delete_events_before') steps.push(done.value)
    return done
  }
  await retentionOf(db, { write }).runOnce()
  assert.deepEqual(steps, [200, 200, 200, 200, 200, 0])
})

test('a size that deleting cannot reach ends the run', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 300, 300)
  const done = await retentionOf(db, await startWriter(t, path), { maxBytes: 1 }).runOnce()
  assert.equal(done.deletedBySize, 300)
})

test('a run ends where writes fail, and the next one goes on', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  fill(db, NOW - 2 * HOUR_MS, 10)
  const away: Writer['write'] = async () => fail('audit_unavailable')
  assert.equal((await retentionOf(db, { write: away }).runOnce()).deletedByAge, 0)
  assert.equal(times(db).length, 10)
  assert.equal((await retentionOf(db, await startWriter(t, path)).runOnce()).deletedByAge, 10)
})

test('from 80 % of maxBytes on it warns, and again only after the size was below', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  const writer = await startWriter(t, path)
  fill(db, NOW - 1000, 1000)
  const used = usedBytesOf(db)
  const run = async (maxBytes: number, between: () => void) => {
    const log = recordedLog()
    const retention = retentionOf(db, writer, { maxBytes, log })
    await retention.runOnce()
    between()
    await retention.runOnce()
    return log.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields)
  }
  const nothing = () => undefined
  assert.deepEqual(await run(Math.floor(used / 0.79), nothing), [])
  const maxBytes = Math.floor(used / 0.8)
  assert.deepEqual(await run(maxBytes, nothing), [{ usedBytes: used, maxBytes }])

  const log = recordedLog()
  const retention = retentionOf(db, writer, { maxBytes, log })
  await retention.runOnce()
  db.exec('DELETE FROM audit_events')
  await retention.runOnce()
  fill(db, NOW - 1000, 1000)
  await retention.runOnce()
  const message = 'audit is above 80 percent of its maximum size'
  assert.deepEqual(
    log.lines.map((line) => line.message),
    [message, message],
  )
})

test('a stop ends a long run after the step under way', async (t) => {
  const db = open(t, migratedPath(t))
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let steps = 0
  let stopped: Promise<void> | undefined
  const write: Writer['write'] = async () => {
    steps += 1
    stopped ??= retention.stop()
    return { ok: true, value: 200 }
  }
  const retention = retentionOf(db, { write }, { maxBytes: 1 })
  retention.start()
  t.mock.timers.tick(10_000)
  await stopped
  assert.equal(steps, 1)
})

test('start runs every 10 s until stop', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let calls = 0
  const write: Writer['write'] = async () => {
    calls += 1
    return { ok: true, value: 0 }
  }
  const retention = retentionOf(db, { write })
  retention.start()
  retention.start()
  t.mock.timers.tick(10_000)
  await new Promise((resolve) => setImmediate(resolve))
  const perRun = calls
  assert.ok(perRun > 0)
  t.mock.timers.tick(10_000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(calls, 2 * perRun)
  await retention.stop()
  t.mock.timers.tick(60_000)
  assert.equal(calls, 2 * perRun)
})
