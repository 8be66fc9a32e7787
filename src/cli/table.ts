// Owns aligned columns and relative times in a terminal. Must not know what they show.
import { printable } from '../config/problem.ts'

/** Lines of aligned columns, each ended by a line feed; the last column is not padded. */
export function alignTable(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(printable))
  const widths: number[] = []
  for (const row of shown) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length)
    })
  }
  return shown
    .map(
      (row) =>
        `${row
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** `2026-11-23 10:15:30Z`. */
export function timeText(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z`
}

const STEPS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** `in 2h 5m`, `3d 1h ago`, `now`: two units, so that it is read at a glance. */
export function relativeTime(at: number, now: number): string {
  const distance = Math.abs(at - now)
  const first = STEPS.findIndex(([, size]) => distance >= size)
  const [, least] = STEPS[Math.min(first + 1, STEPS.length - 1)] ?? STEPS[3]
  // Rounded before it is split, so that 59 min 59 s is an hour.
  let rest = Math.round(distance / least) * least
  const parts: string[] = []
  for (const [unit, size] of first === -1 ? [] : STEPS) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
  }
  if (parts.length === 0) return 'now'
  return at > now ? `in ${parts.join(' ')}` : `${parts.join(' ')} ago`
}
