// Owns an event as a row of audit_events. Must not run SQL.
import type { AuditEvent } from './event.ts'
import { fromJsonLine, toJsonLine } from './json-line.ts'

/** The values of the write `audit_event`; the view `audit` reads the searched members out of the record. */
export type AuditRow = readonly [time: number, record: string]

/** The row of an event; {@link fromRow} gives the event back. */
export const toRow = (event: AuditEvent): AuditRow => [event.time, toJsonLine(event)]

/** The event of a row. Throws where its record is not JSON: the database is damaged. */
export const fromRow = ([, record]: AuditRow): AuditEvent => fromJsonLine(record)
