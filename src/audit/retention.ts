// Owns how long and how large the audit may become: the oldest goes first, in steps that keep nobody waiting.
// Must not write itself: the writer does, between the requests' writes.
import type { Database } from '../store/database.ts'
import { type Repeated, repeat } from '../store/repeat.ts'
import { createSettledClock } from '../store/settled-clock.ts'
import type { Writer } from '../store/writer.ts'
import type { WriteName } from '../store/writes.ts'

/** A few ms of one commit; the requests' writes go in between. */
const STEP_ROWS = 200
/** Faster than the steps can fall behind at thousands of events a second. */
const INTERVAL_MS = 10_000
const WARN_SHARE = 0.8
/** Deleting waits easily; long enough for somebody, or NTP, to set a wrong clock right. */
const SETTLE_MS = 3_600_000

export interface RetentionOptions {
  /** For reading sizes; may be read-only. */
  readonly db: Database
  readonly writer: Pick<Writer, 'write'>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that only pass: what is too old is not judged by a clock that jumps. */
  readonly monotonic: () => number
  readonly maxAgeMs: number
  /** Of the pages of the database that are in use; free ones are used again before the file grows. */
  readonly maxBytes: number
  readonly log: RetentionLog
}

export interface RetentionLog {
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

/** What one run did. */
export interface RetentionRun {
  readonly deletedByAge: number
  readonly deletedBySize: number
  readonly deletedRefusals: number
  /** After the run. */
  readonly usedBytes: number
}

export interface Retention {
  /**
   * Deletes what is too old, then the oldest until the size fits. Ends early where writes fail. By age
   * nothing is deleted in the first hour, nor until an hour after a jump of the clock.
   */
  readonly runOnce: () => Promise<RetentionRun>
  /** Runs every 10 s until `stop()`. */
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** The retention of the audit (`audit.retain`, `audit.max_size`). */
export function createRetention(options: RetentionOptions): Retention {
  const { db, writer, now, monotonic, maxAgeMs, maxBytes, log } = options
  const oldestEvent = db.prepare('SELECT min(time) FROM audit_events').pluck()
  const clock = createSettledClock({
    now,
    monotonic,
    settleMs: SETTLE_MS,
    onJump: (jumpMs) => log.warn({ jumpMs }, 'clock jump, audit retention by age held back'),
  })
  let isWarned = false
  let repeated: Repeated | undefined

  /** Repeats a step until it finds less than it may delete, or `until` holds. Gives the rows deleted. */
  const steps = async (
    name: WriteName,
    values: readonly number[],
    isEnough: () => boolean,
  ): Promise<number> => {
    for (let deleted = 0; ; ) {
      if (isEnough()) return deleted
      const done = await writer.write(name, [...values, STEP_ROWS])
      if (!done.ok) return deleted
      deleted += done.value
      if (done.value < STEP_ROWS) return deleted
    }
  }

  const warn = (usedBytes: number): void => {
    const isLarge = usedBytes >= WARN_SHARE * maxBytes
    if (isLarge && !isWarned) {
      log.warn({ usedBytes, maxBytes }, 'audit is above 80 percent of its maximum size')
    }
    isWarned = isLarge
  }

  const run = async (isStopping = () => false): Promise<RetentionRun> => {
    warn(usedBytesOf(db))
    const at = clock.read()
    // Nothing is older than this: while the clock is not believed, nothing is too old.
    const cutoff = at === undefined ? Number.NEGATIVE_INFINITY : at - maxAgeMs
    const deleteBefore = async (name: WriteName, time: number): Promise<number> =>
      time > 0 ? steps(name, [time], isStopping) : 0
    const deletedByAge = await deleteBefore('delete_events_before', cutoff)
    const fits = () => isStopping() || usedBytesOf(db) <= maxBytes
    const deletedBySize = await steps('delete_oldest_events', [], fits)
    // Counts go with the events of their time; strangers cannot push events out, their rows are bounded.
    const oldest = Number(oldestEvent.get() ?? 0)
    const horizon = deletedBySize > 0 ? Math.max(cutoff, oldest) : cutoff
    const deletedRefusals = await deleteBefore('delete_refusals_before', horizon)
    const done = { deletedByAge, deletedBySize, deletedRefusals, usedBytes: usedBytesOf(db) }
    if (deletedByAge + deletedBySize > 0) log.info(done, 'audit events deleted by retention')
    return done
  }

  return {
    runOnce: () => run(),
    start() {
      repeated ??= repeat(run, INTERVAL_MS, (error) =>
        log.error({ err: error }, 'audit retention failed'),
      )
    },
    async stop() {
      await repeated?.stop()
      repeated = undefined
    },
  }
}

/**
 * Bytes of pages that hold something. The file itself is not made smaller, which would cost a page map
 * and a copy for each page: free pages are used again, so the file stops growing.
 */
export function usedBytesOf(db: Database): number {
  const pragma = (name: string) => Number(db.pragma(name, { simple: true }))
  return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
}
