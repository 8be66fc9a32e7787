// Owns whether the wall clock may be believed where something is deleted by age.
// Must not delete, and must not wait: it says what it knows at each reading.

/** Steps of NTP and slow rounds are smaller; a clock that is wrong by less deletes that much early at most. */
const TOLERANCE_MS = 60_000

export interface SettledClockOptions {
  /** Milliseconds since the epoch; may jump. */
  readonly now: () => number
  /** Milliseconds that only pass; their start means nothing. */
  readonly monotonic: () => number
  /** How long both have to agree, at the start and after every jump, before the wall clock is believed. */
  readonly settleMs: number
  /** Told once, until the clock has settled again: by how much the wall clock is ahead of what passed. */
  readonly onJump: (jumpMs: number) => void
}

export interface SettledClock {
  /** Milliseconds since the epoch, or undefined while they are not to be believed. Ask before each use. */
  readonly read: () => number | undefined
}

/**
 * A wall clock that is believed only after it has moved with monotonic time for `settleMs`. Both are
 * compared since the last disagreement, so that many small steps count as one large one.
 */
export function createSettledClock(options: SettledClockOptions): SettledClock {
  const { now, monotonic, settleMs, onJump } = options
  let since = { wall: now(), passed: monotonic() }
  let lastWall = since.wall
  let isTold = false
  return {
    read() {
      const wall = now()
      const passed = monotonic()
      const jumpMs = wall - since.wall - (passed - since.passed)
      const isBackwards = wall < lastWall
      lastWall = wall
      if (isBackwards || Math.abs(jumpMs) > TOLERANCE_MS) {
        since = { wall, passed }
        if (!isTold) onJump(jumpMs)
        isTold = true
        return undefined
      }
      if (passed - since.passed < settleMs) return undefined
      isTold = false
      return wall
    },
  }
}
