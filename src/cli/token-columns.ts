// Owns how a comparison of two tokens looks in a terminal: two columns, as wide as there is room.
// Must stay pure: the width and whether there is colour are arguments.
import { printable } from '../config/problem.ts'
import type { Change, DiffRow } from './token-diff.ts'

export interface ColumnsOptions {
  /** Characters in a line. */
  readonly width: number
  readonly colour: boolean
}

/** Narrower terminals get lines of this width and wrap them themselves. */
const MIN_WIDTH = 60
/** Wider lines are hard to follow with the eyes. */
const MAX_WIDTH = 160
const GAP = 2

/** Every change has a sign of its own, so nothing is said by colour alone. */
const SIGNS: Readonly<Record<Change, string>> = {
  kept: '=',
  changed: '~',
  added: '+',
  dropped: '-',
  withheld: '.',
}
const COLOURS: Readonly<Record<Change, string>> = {
  kept: '',
  changed: '\u001b[33m',
  added: '\u001b[32m',
  dropped: '\u001b[31m',
  withheld: '\u001b[2m',
}
const DIM = '\u001b[2m'
const RESET = '\u001b[0m'

/** Writes rows as lines: sign, claim, before, after; reasons stand below, indented. */
export function tokenColumns(rows: readonly DiffRow[], options: ColumnsOptions): string[] {
  const width = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, options.width))
  const names = rows.map(({ claim }) => printable(claim).length)
  const nameWidth = Math.min(20, Math.max(5, ...names))
  const valueWidth = Math.floor((width - 2 - nameWidth - 2 * GAP) / 2)
  const line = (sign: string, name: string, before: string, after: string): string =>
    `${sign} ${name.padEnd(nameWidth)}${' '.repeat(GAP)}${before.padEnd(valueWidth)}${' '.repeat(GAP)}${after}`.trimEnd()
  const paint = (colour: string, text: string): string =>
    options.colour && colour !== '' ? `${colour}${text}${RESET}` : text

  const lines = [line(' ', 'claim', 'before', 'after')]
  let last: string | undefined
  for (const row of joined(rows)) {
    const before = cell(row.before, valueWidth)
    const after = cell(row.change === 'withheld' ? withheld(row) : row.after, valueWidth)
    const name = cell([row.claim === last ? '' : row.claim], nameWidth)
    last = row.claim
    const height = Math.max(name.length, before.length, after.length)
    for (let at = 0; at < height; at++) {
      const sign = at === 0 ? SIGNS[row.change] : ' '
      const text = line(sign, name[at] ?? '', before[at] ?? '', after[at] ?? '')
      lines.push(paint(COLOURS[row.change], text))
    }
    lines.push(...reason(row, nameWidth, width).map((text) => paint(DIM, text)))
  }
  return lines
}

/** Scopes that share one fate and one reason become one entry. */
function joined(rows: readonly DiffRow[]): readonly DiffRow[] {
  const entries: DiffRow[] = []
  for (const row of rows) {
    const last = entries.at(-1)
    const isSame = row.scope !== undefined && last?.change === row.change && last.why === row.why
    if (!isSame || last === undefined || row.change === 'withheld') entries.push(row)
    else {
      const before = [...last.before, ...row.before]
      entries[entries.length - 1] = { ...last, before, after: [...last.after, ...row.after] }
    }
  }
  return entries
}

/** The explanation of the signs. */
export const SIGNS_LEGEND = '= kept   ~ changed   + added   - dropped   . not granted'

/** A withheld scope is in neither token; its name still has to be read. */
const withheld = ({ scope }: DiffRow): readonly string[] =>
  scope === undefined ? [] : [`(${scope})`]

function cell(values: readonly string[], width: number): string[] {
  return values.flatMap((value) => wrapHard(printable(value), width))
}

function reason({ why }: DiffRow, nameWidth: number, width: number): string[] {
  if (why === undefined) return []
  const indent = ' '.repeat(2 + nameWidth + GAP)
  const words = wrapWords(printable(why), width - indent.length - 2)
  return words.map((text, at) => `${indent}${at === 0 ? '› ' : '  '}${text}`)
}

/** Cuts after a slash or a comma near the column's end, else there: values have no spaces to cut at. */
function wrapHard(text: string, width: number): string[] {
  const lines: string[] = []
  for (let at = 0; at < text.length; ) {
    const end = at + width
    const last = end - 1
    const mark = Math.max(text.lastIndexOf('/', last), text.lastIndexOf(',', last))
    const cut = end < text.length && mark >= at + width / 2 ? mark + 1 : end
    lines.push(text.slice(at, cut))
    at = cut
  }
  return lines.length === 0 ? [''] : lines
}

function wrapWords(text: string, width: number): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of text.split(' ').flatMap((long) => wrapHard(long, width))) {
    if (current !== '' && current.length + 1 + word.length > width) {
      lines.push(current)
      current = word
    } else current = current === '' ? word : `${current} ${word}`
  }
  return [...lines, current]
}
