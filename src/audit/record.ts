// Owns P3's order: an event is durable first, then told. Must not decide what happens without it.
import { ok, type Result } from '../oauth/reasons.ts'
import type { Writer } from '../store/writer.ts'
import type { AuditEvent } from './event.ts'
import { toRow } from './row.ts'

export interface AuditRecorderOptions {
  readonly writer: Pick<Writer, 'write'>
  /** Takes one JSON line without its end for each durable event (docs/audit.md). */
  readonly stdout?: (line: string) => void
}

const RECORDED = ok(undefined)

/**
 * Gives `record`: resolves when the event is durable, or with `audit_unavailable`; then no token may
 * leave. A line goes to stdout only for what is durable, so the two can be compared.
 */
export function createAuditRecorder({
  writer,
  stdout,
}: AuditRecorderOptions): (event: AuditEvent) => Promise<Result<void>> {
  return async (event) => {
    const row = toRow(event)
    const written = await writer.write('audit_event', row)
    if (!written.ok) return written
    stdout?.(row[1])
    return RECORDED
  }
}
