// Owns the queue of hot-path writes: what arrives together is posted together, and told when durable (P3).
// Must not know what is written, nor touch SQLite: the thread does.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type Failure, fail, ok, type Result } from '../oauth/reasons.ts'
import {
  type BatchAnswer,
  CLOSE,
  FAILED,
  READY,
  type SqlValue,
  WRITE_CODES,
  WRITES,
  type WriteName,
  type WriterThreadData,
} from './writes.ts'

/** Some hundred ms of work for one disk and a few MB of memory; more would only time out later. */
const MAX_PENDING = 4096
/** From so many on, the thread commits while this turn of the loop still makes others: both are busy. */
const EARLY_WRITES = 8
/** Shorter than a caller's patience; another process's group commit takes a few ms. */
const BUSY_TIMEOUT_MS = 2000
/** Often enough to come back soon, rare enough not to spin when the database cannot be opened. */
const RESTART_DELAY_MS = 1000
const PROBE_INTERVAL_MS = 1000
/** A commit that takes longer than any lock may: the disk hangs. */
const STALL_MS = 10_000
/** What is left of a shutdown's patience for a disk that hangs. */
const CLOSE_TIMEOUT_MS = 10_000

export interface WriterOptions {
  /** The database file; migrated. */
  readonly path: string
  readonly log: WriterLog
  /** Writes that may wait or be under way; beyond it they fail at once. Default 4096. */
  readonly maxPending?: number
  /** How long a commit waits for another process's lock. Default 2 s. */
  readonly busyTimeoutMs?: number
  /** A hard cap of the file's size, the net under audit/retention.ts. Default: none. */
  readonly maxBytes?: number
  /** How long after its death the thread is started again. Default 1 s. */
  readonly restartDelayMs?: number
  /** How often a writer that failed tries whether it can write again. Default 1 s. */
  readonly probeIntervalMs?: number
  readonly startThread?: (data: WriterThreadData) => Worker
  /** Monotonic milliseconds. */
  readonly stopwatch?: () => number
}

export interface WriterLog {
  readonly info: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

/** The one way by which a request changes the database. */
export interface Writer {
  /**
   * Queues a write. Resolves with the number of rows that it changed once that is durable, otherwise
   * with `audit_unavailable`; then it may or may not have happened. Never rejects; throws where the
   * number of values is wrong.
   */
  readonly write: (name: WriteName, values: readonly SqlValue[]) => Promise<Result<number>>
  /** Whether a write is expected to succeed now. It finds out by itself when that changes back. */
  readonly writable: () => boolean
  /** Writes that wait or are under way. */
  readonly pending: () => number
  /** Takes no more, finishes what is queued, ends the thread. */
  readonly close: () => Promise<void>
}

type State = 'starting' | 'idle' | 'committing' | 'down'
type Settle = (result: Result<number>) => void

const RETRY_AFTER_SECONDS = 1
const unavailable = (detail: string): Failure =>
  fail('audit_unavailable', detail, RETRY_AFTER_SECONDS)
const FULL = unavailable('too many writes are waiting')
const DOWN = unavailable('the writer thread is not running')
const CLOSED = unavailable('the writer is closed')

/** Starts the writer thread and its queue. The thread keeps the process alive until `close()`. */
export function createWriter(options: WriterOptions): Writer {
  const { path, log, maxPending = MAX_PENDING, startThread = startWriterThread } = options
  const { busyTimeoutMs = BUSY_TIMEOUT_MS, restartDelayMs = RESTART_DELAY_MS } = options
  const { probeIntervalMs = PROBE_INTERVAL_MS, stopwatch = () => performance.now() } = options
  const threadData: WriterThreadData = { path, busyTimeoutMs, maxBytes: options.maxBytes }

  let state: State = 'starting'
  let thread = start()
  let isHealthy = false
  let isScheduled = false
  let committingSince = 0
  let timer: NodeJS.Timeout | undefined
  // The next batch: its values, and who waits for it; then who waits for the batch under way.
  let values: SqlValue[] = []
  let waiting: Settle[] = []
  let committing: readonly Settle[] = []
  let closing: Promise<void> | undefined
  let onEnd: () => void = () => undefined

  function start(): Worker {
    const started = startThread(threadData)
    started.on('message', (message: typeof READY | BatchAnswer) => {
      if (message === READY) probe()
      else settle(message)
      state = 'idle'
      proceed()
    })
    started.on('error', (error) => log.error({ err: error }, 'audit writer thread failed'))
    started.on('exit', end)
    return started
  }

  function enqueue(name: WriteName, row: readonly SqlValue[]): Promise<Result<number>> {
    values.push(WRITE_CODES[name])
    for (const value of row) values.push(value)
    return new Promise((resolve) => {
      waiting.push(resolve)
      if (state !== 'idle') return
      if (waiting.length >= EARLY_WRITES) return proceed()
      if (isScheduled) return
      // After the events of this turn of the loop: requests that arrived together share a commit.
      isScheduled = true
      setImmediate(() => {
        isScheduled = false
        proceed()
      })
    })
  }

  /** Posts what waits; what arrives until the answer comes makes the next batch. */
  function proceed(): void {
    if (state !== 'idle') return
    if (waiting.length > 0) {
      state = 'committing'
      committingSince = stopwatch()
      committing = waiting
      const batch = values
      waiting = []
      values = []
      thread.postMessage(batch)
    } else if (closing !== undefined) {
      thread.postMessage(CLOSE)
    }
  }

  function settle(answer: BatchAnswer): void {
    const settled = committing
    committing = []
    setHealth(answer)
    settled.forEach((resolve, index) => {
      const changes = answer.changes[index] ?? FAILED
      resolve(changes === FAILED ? unavailable(`write failed: ${answer.error}`) : ok(changes))
    })
  }

  function setHealth({ broken, error }: BatchAnswer): void {
    if (error !== undefined && !broken) log.error({ code: error }, 'audit write refused')
    if (broken && isHealthy) log.error({ code: error }, 'audit writes fail')
    if (error === undefined && !isHealthy) log.info({}, 'audit writes succeed')
    if (broken) {
      isHealthy = false
      later(probeIntervalMs, probe)
    } else if (error === undefined) {
      isHealthy = true
    }
  }

  /** Without it a replica that is out of service for its full disk would never see a write again. */
  function probe(): void {
    if (closing !== undefined || state === 'down') return
    void enqueue('probe_grow', [])
    void enqueue('probe_shrink', [])
  }

  function end(): void {
    state = 'down'
    isHealthy = false
    const lost = [...committing, ...waiting]
    committing = []
    waiting = []
    values = []
    for (const resolve of lost) resolve(DOWN)
    clearTimeout(timer)
    timer = undefined
    if (closing !== undefined) {
      onEnd()
      return
    }
    log.error({ lost: lost.length }, 'audit writer thread ended')
    later(restartDelayMs, () => {
      state = 'starting'
      thread = start()
    })
  }

  /** One timer serves both: a thread that is down is not probed. */
  function later(delayMs: number, task: () => void): void {
    if (timer !== undefined || closing !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      task()
    }, delayMs).unref()
  }

  function close(): Promise<void> {
    closing ??= new Promise((resolve) => {
      clearTimeout(timer)
      if (state === 'down') return resolve()
      onEnd = () => {
        clearTimeout(hung)
        resolve()
      }
      // Not terminated: a thread that is ended inside SQLite can take the process down with an abort.
      const hung = setTimeout(() => {
        thread.unref()
        resolve()
      }, CLOSE_TIMEOUT_MS)
      // After the assignment to `closing`, which proceed() reads.
      setImmediate(proceed)
    })
    return closing
  }

  return {
    write(name, row) {
      if (row.length !== WRITES[name].parameters) throw new Error(`${name}: wrong number of values`)
      if (closing !== undefined) return Promise.resolve(CLOSED)
      if (state === 'down') return Promise.resolve(DOWN)
      if (waiting.length + committing.length >= maxPending) return Promise.resolve(FULL)
      return enqueue(name, row)
    },
    writable: () =>
      isHealthy &&
      closing === undefined &&
      (state === 'idle' || (state === 'committing' && stopwatch() - committingSince < STALL_MS)) &&
      waiting.length + committing.length < maxPending,
    pending: () => waiting.length + committing.length,
    close,
  }
}

/** The compiled file beside this one, or its source where Node runs that (22.18 and later). */
function startWriterThread(data: WriterThreadData): Worker {
  const file = new URL(`./writer-thread${extname(import.meta.url)}`, import.meta.url)
  return new Worker(file, { workerData: data, name: 'audit-writer' })
}
