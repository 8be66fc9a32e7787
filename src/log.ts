// Owns the operational log: pino, JSON lines on one stream that the audit's lines may share.
// Must not be handed tokens; the redaction here is a second net (P7).
import { pino } from 'pino'
import { openLineWriter } from './line-writer.ts'
import type { ServerLog } from './serve.ts'

/** A log whose lines are written in batches; `close` writes what is left. Nothing here throws or rejects. */
export interface ProcessLog {
  readonly log: ServerLog
  /** Writes one line as it is. */
  readonly writeLine: (line: string) => void
  readonly flush: () => void
  /** Takes a second at most; lines that could not be written by then are lost. */
  readonly close: () => Promise<void>
  /** Lines that were lost so far: a full disk, a reader that is gone or too slow. */
  readonly lost: () => number
}

/** Names under which no token is logged; if one were, it would not be seen. */
const REDACTED = [
  'subject_token',
  'actor_token',
  'access_token',
  'client_assertion',
  'authorization',
]

/** Opens the log on a file descriptor (1 is standard output), which stays open. */
export function openLog(level: string, fd: number): ProcessLog {
  // A crash loses log lines that wait, never audit rows.
  const writer = openLineWriter(fd)
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      redact: REDACTED,
    },
    writer,
  )
  return {
    log: logger,
    writeLine: (line) => writer.write(`${line}\n`),
    flush: writer.flush,
    close: writer.close,
    lost: writer.lost,
  }
}
