// Owns how durations are written. Must not know what they are for.

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** One number and one unit: `1h30m` has two spellings too many. */
const DURATION = /^([1-9][0-9]{0,8})(ms|s|m|h|d)$/

/** Gives milliseconds for `500ms`, `30s`, `5m`, `2h` or `30d`, or undefined. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
}

/** Writes milliseconds in the largest unit that needs no fraction. */
export function formatDuration(milliseconds: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (milliseconds >= UNITS[unit] && milliseconds % UNITS[unit] === 0) {
      return `${milliseconds / UNITS[unit]}${unit}`
    }
  }
  return `${milliseconds}ms`
}
