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
  const page = db.prepare<[Record<string, string | number>], StoredRow>(
    `SELECT seq, time, record FROM audit
      WHERE ${[...conditions, ...(isNewestFirst ? BEFORE_LAST : AFTER_LAST)].join(' AND ')} LIMIT @rows`,
  )
  let { from, to } = boundsOf(filters)
  const end = isNewestFirst ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER
  let [lastTime, lastSeq] = [end, end]
  for (let left = filters.limit ?? Number.MAX_SAFE_INTEGER; left > 0; ) {
    const rows = Math.min(left, PAGE_ROWS)
    const found = page.all({ ...parameters, from, to, lastTime, lastSeq, rows })
    for (const { time, record } of found) yield fromRow([time, record])
    const last = found.at(-1)
    if (last === undefined || found.length < PAGE_ROWS) return
    lastTime = last.time
    lastSeq = last.seq
    if (isNewestFirst) to = lastTime
    else from = lastTime
    left -= found.length
  }
}

// One lower and one upper bound of time, whatever the filters are: of several SQLite takes any for the
// index and reads all rows up to it. Then what lies behind the last row that was read.
const IN_RANGE = 'time BETWEEN @from AND @to'
const BEFORE_LAST = [
  IN_RANGE,
  '(time < @lastTime OR seq < @lastSeq) ORDER BY time DESC, seq DESC',
] as const
const AFTER_LAST = [
  IN_RANGE,
  '(time > @lastTime OR seq > @lastSeq) ORDER BY time ASC, seq ASC',
] as const

/** SQL for each filter but the time. What is asked for is never part of the text. */
const FILTER_SQL = {
  caller: '(caller = @caller OR service = @caller)',
  subject: '(subject = @subject OR issued_subject = @subject)',
  target: 'target = @target',
  reason: 'reason = @reason',
  outcome: 'outcome = @outcome',
  decisionId: 'decision_id = @decisionId',
} as const satisfies Partial<Record<keyof AuditFilters, string>>

interface Conditions {
  readonly conditions: readonly string[]
  readonly parameters: Readonly<Record<string, string>>
}

function conditionsOf(filters: AuditFilters): Conditions {
  const conditions: string[] = []
  const parameters: Record<string, string> = {}
  for (const [name, sql] of Object.entries(FILTER_SQL)) {
    const value = filters[name as keyof typeof FILTER_SQL]
    if (value === undefined) continue
    conditions.push(sql)
    parameters[name] = value
  }
  return { conditions, parameters }
}

function boundsOf({ since, until, decisionId }: AuditFilters): { from: number; to: number } {
  // There is no index by id: the time in the id leads to its few neighbours.
  const time = decisionId === undefined ? undefined : timeOfDecisionId(decisionId)
  const [idFrom, idTo] = time === undefined ? [] : [time - ID_SLACK_MS, time + ID_SLACK_MS]
  return {
    from: Math.max(since ?? 0, idFrom ?? 0),
    to: Math.min(until ?? Number.MAX_SAFE_INTEGER, idTo ?? Number.MAX_SAFE_INTEGER),
  }
}

/** When the oldest event that is kept was recorded; undefined where there is none. */
export function oldestEvent(db: Database): number | undefined {
  const row = db
    .prepare<[], { oldest: number | null }>('SELECT min(time) AS oldest FROM audit_events')
    .get()
  return row?.oldest ?? undefined
}
