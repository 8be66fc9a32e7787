// Owns `audit query`: from options to filters, from events to a table or JSON lines.
// Must not write SQL.

import { toJsonLine } from '../audit/json-line.ts'
import { type AuditFilters, queryAudit } from '../audit/query.ts'
import { renderAuditEvent, renderAuditTable } from '../audit/table.ts'
import { nearest } from '../config/problem.ts'
import { WIRE } from '../oauth/reasons.ts'
import type { Database } from '../store/database.ts'
import { type Arguments, CONFIG_OPTION, defineCommand, UsageError } from './command.ts'
import { tellFailure, withDatabase } from './configured.ts'
import { type CliIo, EXIT_OK } from './io.ts'
import { timeOption } from './rules/time-option.ts'

const DEFAULT_LIMIT = 50
/** A table is laid out as a whole, so it is kept in memory; JSON lines have no limit of their own. */
const MAX_TABLE_ROWS = 10_000

const OPTIONS = {
  config: CONFIG_OPTION,
  id: { value: '<id>', help: 'One decision in full; callers find the id in their answer.' },
  since: { value: '<time>', help: 'Not before: 30m, 2h, 7d ago, or 2026-11-23T10:00Z.' },
  until: { value: '<time>', help: 'Not after; written like --since.' },
  caller: { value: '<name>', help: 'SPIFFE ID or service name of the caller.' },
  subject: { value: '<sub>', help: 'sub of the token that was handed in or issued.' },
  target: { value: '<service>', help: 'Full name of the target service.' },
  outcome: { value: 'granted|denied', help: 'Only these.' },
  reason: { value: '<reason>', help: 'Only denials for this reason.' },
  limit: { value: '<n>', help: `How many, or all. Default: ${DEFAULT_LIMIT}.` },
  'oldest-first': { help: 'Default is newest first.' },
  json: { help: 'Print one JSON object a line.' },
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts audit query` */
export const auditQuery = defineCommand(
  {
    name: 'audit query',
    summary: 'Look up decisions. All filters that are given must match.',
    options: OPTIONS,
  },
  async (args, io) => {
    const filters = filtersOf(args, io.now())
    const isJson = args.has('json')
    const call = { config: args.text('config'), isJson, readonly: true }
    return withDatabase(call, io, (db) => {
      if (isJson) return printLines(db, filters, io)
      return filters.decisionId === undefined
        ? printTable(db, filters, io)
        : printOne(db, filters, io)
    })
  },
)

function printLines(db: Database, filters: AuditFilters, io: CliIo): number {
  for (const event of queryAudit(db, filters)) {
    if (io.signal.aborted) break
    io.stdout(`${toJsonLine(event)}\n`)
  }
  return EXIT_OK
}

function printTable(db: Database, filters: AuditFilters, io: CliIo): number {
  const limit = Math.min(filters.limit ?? MAX_TABLE_ROWS, MAX_TABLE_ROWS)
  const events = [...queryAudit(db, { ...filters, limit })]
  if (events.length === 0) {
    io.stderr('no decision matches\n')
    return EXIT_OK
  }
  const color = io.isTty && io.env.NO_COLOR === undefined
  // What is piped into a file or a filter is not shortened.
  const width = io.isTty ? io.columns : Number.POSITIVE_INFINITY
  io.stdout(`${renderAuditTable(events, { width, color }).join('\n')}\n`)
  if (events.length === limit) io.stderr(`the first ${limit}; there may be more (--limit)\n`)
  return EXIT_OK
}

function printOne(db: Database, filters: AuditFilters, io: CliIo): number {
  for (const event of queryAudit(db, filters)) {
    io.stdout(`${renderAuditEvent(toJsonLine(event)).join('\n')}\n`)
    return EXIT_OK
  }
  const message =
    'there is no such decision: it may be older than audit.retain, or the request was refused before its caller was known'
  return tellFailure(io, false, { problem: 'decision_unknown', message })
}

function filtersOf(args: Args, now: number): AuditFilters {
  const limit = limitOf(args.text('limit'))
  const outcome = outcomeOf(args.text('outcome'))
  const filters = {
    decisionId: args.text('id'),
    since: timeOption('since', args.text('since'), now),
    until: timeOption('until', args.text('until'), now),
    caller: args.text('caller'),
    subject: args.text('subject'),
    target: args.text('target'),
    reason: reasonOf(args.text('reason')),
    outcome,
    limit,
    first: args.has('oldest-first') ? ('oldest' as const) : undefined,
  }
  const given = Object.entries(filters).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return DEFAULT_LIMIT
  if (text === 'all') return undefined
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new UsageError('--limit must be a number, or all')
  return Number(text)
}

function outcomeOf(text: string | undefined): AuditFilters['outcome'] {
  if (text === undefined || text === 'granted' || text === 'denied') return text
  throw new UsageError('--outcome must be granted or denied')
}

function reasonOf(text: string | undefined): string | undefined {
  if (text === undefined || Object.hasOwn(WIRE, text)) return text
  const near = nearest(text, Object.keys(WIRE))
  throw new UsageError(
    `there is no reason ${text}${near === undefined ? '' : `; did you mean ${near}?`}`,
  )
}
