// Group commit, back-pressure and recovery of the writer, on real files and a real thread.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { toRow } from '../../src/audit/row.ts'
import { openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'
import { createWriter, type Writer } from '../../src/store/writer.ts'
import type { WriterThreadData } from '../../src/store/writes.ts'
import {
  granted,
  MIGRATIONS,
  migratedPath,
  NOW,
  open,
  recordedLog,
  startWriter,
  until,
} from '../support/audit-store.ts'

const record = (writer: Writer) => writer.write('audit_event', toRow(granted()))
const records = (writer: Writer, count: number) =>
  Promise.all(Array.from({ length: count }, () => record(writer)))

/** Commits in a write-ahead log: frames that tell the database's size (sqlite.org/fileformat2 §4.1). */
function commitsIn(path: string): number {
  const wal = readFileSync(`${path}-wal`)
  const frameBytes = 24 + wal.readUInt32BE(8)
  let commits = 0
  for (let at = 32; at + 24 <= wal.length; at += frameBytes) {
    const isThisLog = wal.readUInt32BE(at + 8) === wal.readUInt32BE(16)
    if (isThisLog && wal.readUInt32BE(at + 4) > 0) commits += 1
  }
  return commits
}

test('P3 a write is durable for others when it resolves', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const db = open(t, path)
  const count = db.prepare('SELECT count(*) FROM audit_events').pluck()
  for (let written = 1; written <= 20; written++) {
    const result = await record(writer)
    assert.deepEqual(result, { ok: true, value: 1 })
    assert.equal(count.get(), written)
  }
})

test('P3 each commit is synced: the thread opens its connection with synchronous=FULL', (t) => {
  const db = open(t, migratedPath(t))
  assert.equal(db.pragma('synchronous', { simple: true }), 2)
})

test('writes of one turn share commits: the first few, and all the rest', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const before = commitsIn(path)
  const results = await records(writer, 100)
  assert.ok(results.every((result) => result.ok))
  assert.equal(commitsIn(path) - before, 2)
})

test('a few writes of one turn share one commit', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const before = commitsIn(path)
  assert.ok((await records(writer, 5)).every((result) => result.ok))
  assert.equal(commitsIn(path) - before, 1)
})

test('writes that arrive during a commit share the next one', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  const before = commitsIn(path)
  // 32 loops, each starting its next write when the last one is durable: 320 writes.
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let round = 0; round < 10; round++) assert.ok((await record(writer)).ok)
    }),
  )
  const commits = commitsIn(path) - before
  assert.ok(commits >= 10 && commits <= 40, `${commits} commits`)
})

test('a write that fails takes none of its batch with it, and the writer stays writable', async (t) => {
  const path = migratedPath(t)
  const log = recordedLog()
  const writer = await startWriter(t, path, { log })
  const [before, broken, after] = await Promise.all([
    record(writer),
    // minute is NOT NULL
    writer.write('add_refusals', [null, 'client_missing', '10.0.0.1', 1]),
    record(writer),
  ])
  assert.ok(before.ok && after.ok)
  assert.ok(!broken.ok)
  assert.equal(broken.reason, 'audit_unavailable')
  assert.equal(broken.detail, 'write failed: SQLITE_CONSTRAINT_NOTNULL')
  assert.equal(open(t, path).prepare('SELECT count(*) FROM audit_events').pluck().get(), 2)
  assert.equal(writer.writable(), true)
  assert.ok(log.lines.some(({ message }) => message === 'audit write refused'))
})

test('beyond maxPending writes fail at once, and those that wait are not lost', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path, { maxPending: 10, busyTimeoutMs: 10_000 })
  const db = open(t, path)
  db.exec('BEGIN IMMEDIATE')
  const accepted = records(writer, 10)
  assert.equal(writer.pending(), 10)
  assert.equal(writer.writable(), false)
  const refused = await record(writer)
  assert.ok(!refused.ok)
  assert.equal(refused.reason, 'audit_unavailable')
  assert.equal(refused.detail, 'too many writes are waiting')
  assert.equal(refused.retryAfterSeconds, 1)
  db.exec('COMMIT')
  assert.ok((await accepted).every((result) => result.ok))
  assert.equal(writer.pending(), 0)
  assert.equal(writer.writable(), true)
})

test('a lock that is held for too long fails writes; released, the writer recovers unasked', async (t) => {
  const path = migratedPath(t)
  const log = recordedLog()
  const writer = await startWriter(t, path, { busyTimeoutMs: 20, probeIntervalMs: 5, log })
  const db = open(t, path)
  db.exec('BEGIN IMMEDIATE')
  const start = performance.now()
  const locked = await record(writer)
  assert.ok(performance.now() - start < 4000, 'less than the 5 s of any other connection')
  assert.ok(!locked.ok)
  assert.equal(locked.reason, 'audit_unavailable')
  assert.equal(locked.detail, 'write failed: SQLITE_BUSY')
  assert.equal(writer.writable(), false)
  db.exec('COMMIT')
  await until(() => writer.writable())
  assert.ok((await record(writer)).ok)
  const told = log.lines.map(({ message }) => message)
  assert.deepEqual(told, ['audit writes succeed', 'audit writes fail', 'audit writes succeed'])
})

test('a full database fails writes, keeps what needs no space, and recovers when rows are deleted', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path, { maxBytes: 400_000, probeIntervalMs: 5 })
  const db = open(t, path)
  const count = db.prepare('SELECT count(*) FROM audit_events').pluck()
  const big = () => writer.write('audit_event', [NOW, JSON.stringify({ pad: 'x'.repeat(5000) })])
  let last = await big()
  while (last.ok) last = await big()
  assert.equal(last.reason, 'audit_unavailable')
  assert.equal(last.detail, 'write failed: SQLITE_FULL')
  assert.equal(writer.writable(), false)

  const rows = Number(count.get())
  const [first, deleted, second] = await Promise.all([
    writer.write('audit_event', [NOW, JSON.stringify({ pad: 'x'.repeat(500_000) })]),
    writer.write('delete_oldest_events', [20]),
    writer.write('claim_assertion', ['a', NOW]),
  ])
  assert.equal(first.ok, false)
  assert.deepEqual(deleted, { ok: true, value: 20 })
  assert.deepEqual(second, { ok: true, value: 1 })
  assert.equal(count.get(), rows - 20)

  await until(() => writer.writable())
  assert.ok((await big()).ok)
})

test('a probe leaves nothing behind', async (t) => {
  const path = migratedPath(t)
  await startWriter(t, path)
  assert.equal(open(t, path).prepare('SELECT count(*) FROM used_assertions').pluck().get(), 0)
})

test('a table that is missing fails writes; back again, the writer recovers', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path, { probeIntervalMs: 5 })
  const db = open(t, path)
  db.exec('ALTER TABLE used_assertions RENAME TO elsewhere')
  const failed = await writer.write('claim_assertion', ['a', NOW])
  assert.ok(!failed.ok)
  assert.equal(failed.reason, 'audit_unavailable')
  assert.equal(writer.writable(), false)
  db.exec('ALTER TABLE elsewhere RENAME TO used_assertions')
  await until(() => writer.writable())
  assert.deepEqual(await writer.write('claim_assertion', ['a', NOW]), { ok: true, value: 1 })
})

/** Starts the product's thread and keeps a hand on it. */
function threads(): { all: Worker[]; start: (data: WriterThreadData) => Worker } {
  const all: Worker[] = []
  const file = join(process.cwd(), 'dist/src/store/writer-thread.js')
  return {
    all,
    start: (data) => {
      const thread = new Worker(file, { workerData: data })
      all.push(thread)
      return thread
    },
  }
}

test('the thread dies: what is under way and what waits fails, later writes succeed on a new thread', async (t) => {
  const path = migratedPath(t)
  const { all, start } = threads()
  const log = recordedLog()
  const writer = await startWriter(t, path, { startThread: start, restartDelayMs: 5, log })
  // A batch with an unknown write is a bug that ends the thread.
  all[0]!.postMessage([99])
  const underWay = record(writer)
  await new Promise((resolve) => setImmediate(resolve))
  const waiting = record(writer)
  assert.equal(writer.pending(), 2)
  for (const result of [await underWay, await waiting]) {
    assert.ok(!result.ok)
    assert.equal(result.reason, 'audit_unavailable')
    assert.equal(result.detail, 'the writer thread is not running')
  }
  assert.equal(writer.pending(), 0)
  assert.equal(writer.writable(), false)
  await until(() => writer.writable())
  assert.equal(all.length, 2)
  assert.ok((await record(writer)).ok)
  assert.equal(open(t, path).prepare('SELECT count(*) FROM audit_events').pluck().get(), 1)
  const told = log.lines.map(({ message }) => message)
  assert.ok(
    told.includes('audit writer thread failed') && told.includes('audit writer thread ended'),
  )
})

test('the thread is terminated: writes fail at once until a new thread runs', async (t) => {
  const { all, start } = threads()
  const writer = await startWriter(t, migratedPath(t), { startThread: start, restartDelayMs: 5 })
  await all[0]!.terminate()
  const refused = await record(writer)
  assert.ok(!refused.ok)
  assert.equal(refused.reason, 'audit_unavailable')
  assert.equal(refused.detail, 'the writer thread is not running')
  await until(() => writer.writable())
  assert.ok((await record(writer)).ok)
})

test('close while the thread is down ends at once and starts no other', async (t) => {
  const { all, start } = threads()
  const writer = await startWriter(t, migratedPath(t), { startThread: start, restartDelayMs: 5 })
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await all[0]!.terminate()
  await writer.close()
  t.mock.timers.tick(60_000)
  assert.equal(all.length, 1)
})

test('a database that cannot be opened fails writes; once it is there, the writer recovers', async (t) => {
  const path = join(dirname(migratedPath(t)), 'later.db')
  const log = recordedLog()
  const writer = createWriter({ path, log, restartDelayMs: 5 })
  t.after(() => writer.close())
  const failed = await record(writer)
  assert.ok(!failed.ok)
  assert.equal(failed.reason, 'audit_unavailable')
  assert.equal(writer.writable(), false)
  assert.ok(log.lines.some(({ message }) => message === 'audit writer thread failed'))
  const db = openDatabase(path, { create: true })
  migrate(db, MIGRATIONS, NOW)
  db.close()
  await until(() => writer.writable())
  assert.ok((await record(writer)).ok)
})

test('a database without the schema is not written to', async (t) => {
  const path = join(dirname(migratedPath(t)), 'empty.db')
  openDatabase(path, { create: true }).close()
  const writer = createWriter({ path, log: recordedLog(), restartDelayMs: 60_000 })
  const failed = await record(writer)
  assert.ok(!failed.ok)
  assert.equal(failed.detail, 'the writer thread is not running')
  assert.equal(writer.writable(), false)
  await writer.close()
})

test('a commit that hangs makes the writer unwritable until it ends', async (t) => {
  const path = migratedPath(t)
  let now = 0
  const writer = await startWriter(t, path, { stopwatch: () => now, busyTimeoutMs: 10_000 })
  const db = open(t, path)
  db.exec('BEGIN IMMEDIATE')
  const underWay = record(writer)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(writer.writable(), true)
  now = 10_001
  assert.equal(writer.writable(), false)
  db.exec('COMMIT')
  assert.ok((await underWay).ok)
  assert.equal(writer.writable(), true)
})

test('close finishes what is queued, ends the thread, and takes no more', async (t) => {
  const path = migratedPath(t)
  const { all, start } = threads()
  const writer = await startWriter(t, path, { startThread: start })
  const ended = once(all[0]!, 'exit')
  const queued = records(writer, 50)
  const closed = Promise.all([writer.close(), writer.close()])
  const late = await record(writer)
  assert.ok(!late.ok)
  assert.equal(late.detail, 'the writer is closed')
  assert.equal(writer.writable(), false)
  assert.ok((await queued).every((result) => result.ok))
  await closed
  assert.deepEqual(await ended, [0])
  assert.equal(open(t, path).prepare('SELECT count(*) FROM audit_events').pluck().get(), 50)
})

test('close gives up on a thread that hangs, without terminating it inside SQLite', async (t) => {
  const hung = `const { parentPort } = require('node:worker_threads')
    parentPort.on('message', () => undefined)
    parentPort.postMessage('ready')`
  const thread = new Worker(hung, { eval: true })
  t.after(() => thread.terminate())
  const writer = createWriter({ path: '', log: recordedLog(), startThread: () => thread })
  await once(thread, 'message')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let isClosed = false
  const closed = writer.close().then(() => {
    isClosed = true
  })
  t.mock.timers.tick(9999)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isClosed, false)
  t.mock.timers.tick(1)
  await closed
})

test('close during the start still writes what was queued', async (t) => {
  const path = migratedPath(t)
  const writer = createWriter({ path, log: recordedLog() })
  const queued = records(writer, 3)
  await writer.close()
  assert.ok((await queued).every((result) => result.ok))
})

test('a wrong number of values is a bug and throws before it can shift the rest of a batch', async (t) => {
  const writer = await startWriter(t, migratedPath(t))
  assert.throws(() => writer.write('audit_event', [NOW]), /wrong number of values/)
})
