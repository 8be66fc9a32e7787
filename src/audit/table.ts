// Owns how events look in a terminal. Must not know a terminal: width and colour are arguments.
import type { AuditEvent } from './event.ts'

export interface TableOptions {
  /** Characters a line. */
  readonly width: number
  /** ANSI colour for the outcome; off unless asked for. */
  readonly color?: boolean
}

interface Column {
  readonly title: string
  readonly text: (event: AuditEvent) => string
  /** Never narrower than this, however narrow the terminal. */
  readonly min: number
  readonly max: number
  /** Which part of a text that is too long says the most. */
  readonly keep: 'start' | 'end'
  /** What people look for and copy: never shortened. */
  readonly whole?: true
}

/** `2026-11-23T10:15:30.123Z`: to the second it tells enough, the id tells the rest. */
const TIME_CHARACTERS = 19
const UUID_CHARACTERS = 36

const COLUMNS: readonly Column[] = [
  {
    title: 'TIME',
    text: ({ time }) => new Date(time).toISOString().slice(0, TIME_CHARACTERS).replace('T', ' '),
    min: TIME_CHARACTERS,
    max: TIME_CHARACTERS,
    keep: 'start',
  },
  { title: 'OUTCOME', text: (event) => event.outcome, min: 7, max: 7, keep: 'start' },
  {
    title: 'REASON',
    text: (event) => event.reason ?? '',
    min: 8,
    max: 64,
    keep: 'start',
    whole: true,
  },
  {
    title: 'CALLER',
    text: ({ caller }) => caller.service ?? caller.id,
    min: 8,
    max: 60,
    keep: 'end',
  },
  { title: 'SUBJECT', text: ({ subject }) => subject?.sub ?? '', min: 8, max: 60, keep: 'start' },
  { title: 'TARGET', text: ({ target }) => target ?? '', min: 8, max: 60, keep: 'end' },
  {
    title: 'SCOPES',
    text: ({ issued, request }) => (issued?.scopes ?? request?.scopes ?? []).join(' '),
    min: 8,
    max: 60,
    keep: 'start',
  },
  {
    title: 'DECISION',
    text: (event) => event.decisionId,
    min: UUID_CHARACTERS,
    max: UUID_CHARACTERS,
    keep: 'end',
    whole: true,
  },
]

const GAP = '  '
const ELLIPSIS = '…'
const RED = '\u001b[31m'
const GREEN = '\u001b[32m'
const PLAIN = '\u001b[39m'
const OUTCOME_COLUMN = 1

/**
 * The table's lines: a heading, then one line an event. Columns shrink to fit the width, the widest
 * first, never the reason and the decision id; below the sum of their least widths lines are longer than the terminal.
 */
export function renderAuditTable(
  events: readonly AuditEvent[],
  { width, color = false }: TableOptions,
): readonly string[] {
  const rows = events.map((event) => COLUMNS.map((column) => escapeControls(column.text(event))))
  const widths = fit(rows, width)
  const heading = lineOf(
    COLUMNS.map((column) => column.title),
    widths,
  )
  return [
    heading.trimEnd(),
    ...rows.map((row, index) => {
      const cells = row.map((text, at) => cut(text, widths[at] ?? 0, COLUMNS[at]?.keep ?? 'start'))
      const line = lineOf(cells, widths)
      return (color ? tint(line, widths, events[index]?.outcome) : line).trimEnd()
    }),
  ]
}

/** One event in full: a line for each member, lists joined by spaces. */
export function renderAuditEvent(jsonLine: string): readonly string[] {
  const members = membersOf(JSON.parse(jsonLine), '')
  const width = Math.max(...members.map(([name]) => name.length))
  return members.map(([name, text]) => `${name.padEnd(width)}${GAP}${escapeControls(text)}`)
}

function membersOf(value: unknown, name: string): readonly (readonly [string, string])[] {
  if (Array.isArray(value)) return [[name, value.join(' ')]]
  if (typeof value !== 'object' || value === null) return [[name, String(value)]]
  return Object.entries(value).flatMap(([key, member]) =>
    membersOf(member, name === '' ? key : `${name}.${key}`),
  )
}

/** Control, format and line-separating characters could move the cursor or hide text. */
const CONTROLS = /[\p{C}\p{Zl}\p{Zp}]/gu

/** Makes text from outside safe to print: `\u{1b}` for an escape character. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`)
}

function fit(rows: readonly (readonly string[])[], width: number): readonly number[] {
  const widths = COLUMNS.map(({ title, min, max }, at) => {
    const needed = Math.max(title.length, ...rows.map((row) => lengthOf(row[at] ?? '')))
    return Math.max(min, Math.min(max, needed))
  })
  for (;;) {
    const excess =
      widths.reduce((sum, each) => sum + each, GAP.length * (widths.length - 1)) - width
    if (excess <= 0) return widths
    const widest = widestThatShrinks(widths)
    if (widest === undefined) return widths
    widths[widest] = (widths[widest] ?? 0) - 1
  }
}

function widestThatShrinks(widths: readonly number[]): number | undefined {
  let found: number | undefined
  for (const [at, { min, whole }] of COLUMNS.entries()) {
    const width = widths[at] ?? 0
    if (width <= min || whole === true) continue
    if (found === undefined || width > (widths[found] ?? 0)) found = at
  }
  return found
}

const lengthOf = (text: string): number => [...text].length

function cut(text: string, width: number, keep: 'start' | 'end'): string {
  const characters = [...text]
  if (characters.length <= width) return text
  return keep === 'start'
    ? characters.slice(0, width - 1).join('') + ELLIPSIS
    : ELLIPSIS + characters.slice(1 - width).join('')
}

function lineOf(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((text, at) => text + ' '.repeat(Math.max(0, (widths[at] ?? 0) - lengthOf(text))))
    .join(GAP)
}

/** All cells before the outcome are ASCII of fixed width, so it is cut out by position. */
function tint(
  line: string,
  widths: readonly number[],
  outcome: AuditEvent['outcome'] | undefined,
): string {
  const from = (widths[0] ?? 0) + GAP.length
  const to = from + (widths[OUTCOME_COLUMN] ?? 0)
  const ansi = outcome === 'granted' ? GREEN : RED
  return line.slice(0, from) + ansi + line.slice(from, to) + PLAIN + line.slice(to)
}
