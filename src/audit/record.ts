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
 * Gives `record`: resolves when all events are durable, or with `audit_unavailable`; then no token may
 * leave. A line goes to stdout only for what is durable, so the two can be compared.
 */
export function createAuditRecorder({
  writer,
  stdout,
}: AuditRecorderOptions): (events: readonly AuditEvent[]) => Promise<Result<void>> {
  const recordOne = async (event: AuditEvent): Promise<Result<void>> => {
    const row = toRow(event)
    const written = await writer.write('audit_event', row)
    if (!written.ok) return written
    stdout?.(row[1])
    return RECORDED
  }
  return async (events) => {
    const [first, ...others] = events
    if (first === undefined) return RECORDED
    if (others.length === 0) return recordOne(first)
    // Written in one go, so they share a commit.
    const written = await Promise.all(events.map(recordOne))
    return written.find((one) => !one.ok) ?? RECORDED
  }
}
