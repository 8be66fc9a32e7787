// Owns decision ids: UUIDv7 (RFC 9562 §5.7), so that an id says when, and sorts by it.
// Must not read the clock.

/** One call to the random source serves 680 ids: a system call an id would cost more than the rest. */
const POOL_BYTES = 4096
const TAIL_HEX = 12
/** RFC 9562 §6.2 method 1: 26 bits count within a millisecond, half of them left for counting. */
const COUNTER_START_MASK = 0x1ffffff

/**
 * Gives a maker of ids for one process. An id holds the time that it is made with, exactly, whatever
 * the clock did before: queries find rows by it. Ids made with the same time increase. 48 random bits
 * and a random start of the counter keep processes apart.
 */
export function createDecisionIds(
  randomBytes: (size: number) => Buffer,
): (nowMs: number) => string {
  let pool = ''
  let used = 0
  const take = (hexDigits: number): string => {
    if (used + hexDigits > pool.length) {
      pool = randomBytes(POOL_BYTES).toString('hex')
      used = 0
    }
    used += hexDigits
    return pool.slice(used - hexDigits, used)
  }

  let lastMs = -1
  let counter = 0
  let timeText = ''
  return (nowMs) => {
    if (nowMs === lastMs) {
      counter += 1
    } else {
      lastMs = nowMs
      counter = Number.parseInt(take(8), 16) & COUNTER_START_MASK
      const hex = nowMs.toString(16).padStart(12, '0')
      timeText = `${hex.slice(0, 8)}-${hex.slice(8)}`
    }
    const high = (0x7000 | (counter >>> 14)).toString(16)
    const low = (0x8000 | (counter & 0x3fff)).toString(16)
    return `${timeText}-${high}-${low}-${take(TAIL_HEX)}`
  }
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** The time that an id was made with, ms since the epoch; undefined where the text is not a UUIDv7. */
export function timeOfDecisionId(id: string): number | undefined {
  return UUID_V7.test(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined
}
