// Owns committing a batch of writes in one transaction, losing none for the sake of another.
// Must not know threads, nor what the writes mean.
import type { Statement } from 'better-sqlite3'
import type { Database } from './database.ts'
import {
  type Batch,
  type BatchAnswer,
  FAILED,
  type SqlValue,
  WRITE_NAMES,
  WRITES,
} from './writes.ts'

const FULL = 'SQLITE_FULL'
/** Not SQLite's: a value that cannot be bound. */
const UNKNOWN = 'unknown'
/** Faults of one statement: the next one can well succeed. Everything else is the file or the machine. */
const STATEMENT_FAULTS = ['SQLITE_CONSTRAINT', 'SQLITE_MISMATCH', 'SQLITE_TOOBIG', UNKNOWN]

interface PreparedWrite {
  readonly statement: Statement
  readonly parameters: number
}

/** The course of one batch. */
interface Progress {
  readonly changes: number[]
  error: string | undefined
  broken: boolean
}

/**
 * Prepares every write. Gives a function that commits a batch: when it returns, what succeeded is
 * durable (the connection syncs each commit). It does not throw: failures are in the answer.
 * Throws at once where the schema lacks what a write needs.
 */
export function createGroupCommit(db: Database): (batch: Batch) => BatchAnswer {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  const prepared: readonly PreparedWrite[] = WRITE_NAMES.map((name) => ({
    statement: db.prepare(WRITES[name].sql),
    parameters: WRITES[name].parameters,
  }))

  const note = (progress: Progress, error: unknown): void => {
    progress.error = codeOf(error)
    progress.broken ||= !STATEMENT_FAULTS.some((fault) => progress.error?.startsWith(fault))
  }

  /** A failed statement undoes itself alone; only where SQLite ended the transaction is all lost. */
  const runOne = (
    write: PreparedWrite,
    values: readonly SqlValue[],
    progress: Progress,
  ): boolean => {
    try {
      progress.changes.push(write.statement.run(values).changes)
    } catch (error) {
      note(progress, error)
      progress.changes.push(FAILED)
    }
    return db.inTransaction
  }

  /** Gives whether the transaction held; a failed one leaves nothing. */
  const together = (calls: readonly Call[], progress: Progress): boolean => {
    try {
      begin.run()
      for (const [write, values] of calls) if (!runOne(write, values, progress)) return false
      commit.run()
      return true
    } catch (error) {
      note(progress, error)
      if (db.inTransaction) rollback.run()
      return false
    }
  }

  /** Each in its own transaction, until something else than space is missing. */
  const apart = (calls: readonly Call[]): Progress => {
    const progress = start()
    for (const call of calls) {
      const single = start()
      const held = together([call], single)
      progress.changes.push(held ? (single.changes[0] ?? FAILED) : FAILED)
      progress.error = single.error ?? progress.error
      progress.broken ||= single.broken
      if (!held && single.error !== FULL) break
    }
    return progress
  }

  return (batch) => {
    const calls = readCalls(batch, prepared)
    const all = start()
    if (together(calls, all)) return answerOf(all, calls.length)
    // A full database ends the whole transaction because of one insert. What frees space, or needs
    // none, must not go down with it. A lock or a broken disk would only be met again.
    return answerOf(all.error === FULL ? apart(calls) : { ...all, changes: [] }, calls.length)
  }
}

type Call = readonly [write: PreparedWrite, values: readonly SqlValue[]]

function readCalls(batch: Batch, prepared: readonly PreparedWrite[]): readonly Call[] {
  const calls: Call[] = []
  for (let at = 0; at < batch.length; ) {
    const write = prepared[Number(batch[at])]
    if (write === undefined) throw new Error('a batch holds a write that does not exist')
    calls.push([write, batch.slice(at + 1, at + 1 + write.parameters)])
    at += 1 + write.parameters
  }
  return calls
}

const start = (): Progress => ({ changes: [], error: undefined, broken: false })

/** Whatever was not committed failed. */
function answerOf({ changes, error, broken }: Progress, length: number): BatchAnswer {
  return {
    changes: Array.from({ length }, (_, index) => changes[index] ?? FAILED),
    broken,
    ...(error === undefined ? {} : { error }),
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : UNKNOWN
}
