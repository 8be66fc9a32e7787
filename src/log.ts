// Owns the operational log: pino, JSON lines on one stream that the audit's lines may share.
// Must not be handed tokens; the redaction here is a second net (P7).
import { pino } from 'pino'
import type { ServerLog } from './serve.ts'

/** A log whose lines are written in batches; `close` writes what is left. */
export interface ProcessLog {
  readonly log: ServerLog
  /** Writes one line as it is. */
  readonly writeLine: (line: string) => void
  readonly flush: () => void
  readonly close: () => void
}

/** One write serves some dozens of exchanges; a crash loses log lines, never audit rows. */
const BATCH_BYTES = 8192
/** How long a line may wait for others. */
const FLUSH_EVERY_MS = 250
/** Names under which no token is logged; if one were, it would not be seen. */
const REDACTED = [
  'subject_token',
  'actor_token',
  'access_token',
  'client_assertion',
  'authorization',
]

/** Opens the log on a file descriptor (1 is standard output). */
export function openLog(level: string, fd: number): ProcessLog {
  const destination = pino.destination({ fd, sync: false, minLength: BATCH_BYTES })
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      redact: REDACTED,
    },
    destination,
  )
  const timer = setInterval(() => destination.flush(), FLUSH_EVERY_MS)
  timer.unref()
  return {
    log: logger,
    writeLine: (line) => void destination.write(`${line}\n`),
    flush: () => destination.flush(),
    close: () => {
      clearInterval(timer)
      destination.flushSync()
      destination.end()
    },
  }
}
