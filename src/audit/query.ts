// Owns looking events up, with parameterised SQL only. Must not render them.
import type { Database } from '../store/database.ts'
import { timeOfDecisionId } from './decision-id.ts'
import type { AuditEvent } from './event.ts'
import { fromRow } from './row.ts'

/** All that are given must match; texts are compared exactly. */
export interface AuditFilters {
  /** Milliseconds since the epoch, both inclusive. */
  readonly since?: number
  readonly until?: number
  /** The caller's id (SPIFFE ID or service name) or its service. */
  readonly caller?: string
  /** `sub` of the subject token, or of the issued token. */
  readonly subject?: string
  /** Full name of the target service. */
  readonly target?: string
  readonly reason?: string
  readonly outcome?: AuditEvent['outcome']
  readonly decisionId?: string
  /** At most so many events; default: all. */
  readonly limit?: number
  /** Default `newest`. */
  readonly first?: 'newest' | 'oldest'
}

interface StoredRow {
  readonly seq: number
  readonly time: number
  readonly record: string
}

/**
 * Events are read so many at a time. An open cursor would keep the write-ahead log from being reused
 * for as long as somebody pages through its output.
 */
const PAGE_ROWS = 500
/** An event's time is its id's; room for a maker of events that reads the clock twice. */
const ID_SLACK_MS = 60_000

/** The events that match, one by one, ordered by time. Each page is a read of its own. */
export function* queryAudit(db: Database, filters: AuditFilters): Generator<AuditEvent, void> {
  const isNewestFirst = (filters.first ?? 'newest') === 'newest'
  const { conditions, parameters } = conditionsOf(filters)
  const [after, order] = isNewestFirst ? ['<', 'DESC'] : ['>', 'ASC']
  const page = db.prepare<[Record<string, string | number>], StoredRow>(
    `SELECT seq, time, record FROM audit_events
      WHERE ${[...conditions, `time ${after}= @time`, `(time ${after} @time OR seq ${after} @seq)`].join(' AND ')}
      ORDER BY time ${order}, seq ${order} LIMIT @rows`,
  )
  const end = isNewestFirst ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
  let last = { time: end, seq: end }
  for (let left = filters.limit ?? Number.MAX_SAFE_INTEGER; left > 0; ) {
    const rows = page.all({ ...parameters, ...last, rows: Math.min(left, PAGE_ROWS) })
    for (const { time, record } of rows) yield fromRow([time, record])
    const lastRow = rows.at(-1)
    if (lastRow === undefined || rows.length < PAGE_ROWS) return
    last = { time: lastRow.time, seq: lastRow.seq }
    left -= rows.length
  }
}

interface Conditions {
  readonly conditions: readonly string[]
  readonly parameters: Record<string, string | number>
}

/** SQL for each filter that can be given. Filters are never part of the text. */
const FILTER_SQL = {
  since: 'time >= @since',
  until: 'time <= @until',
  caller: '(caller = @caller OR service = @caller)',
  subject: '(subject = @subject OR issued_subject = @subject)',
  target: 'target = @target',
  reason: 'reason = @reason',
  outcome: 'outcome = @outcome',
  decisionId: 'decision_id = @decisionId',
} as const satisfies Record<Exclude<keyof AuditFilters, 'limit' | 'first'>, string>

function conditionsOf(filters: AuditFilters): Conditions {
  const conditions: string[] = []
  const parameters: Record<string, string | number> = {}
  for (const [name, sql] of Object.entries(FILTER_SQL)) {
    const value = filters[name as keyof typeof FILTER_SQL]
    if (value === undefined) continue
    conditions.push(sql)
    parameters[name] = value
  }
  // There is no index by id: the time in the id leads to its few neighbours.
  const time = filters.decisionId === undefined ? undefined : timeOfDecisionId(filters.decisionId)
  if (time !== undefined) {
    conditions.push('time BETWEEN @idFrom AND @idTo')
    parameters.idFrom = time - ID_SLACK_MS
    parameters.idTo = time + ID_SLACK_MS
  }
  return { conditions, parameters }
}
