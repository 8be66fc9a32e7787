// Owns times on a command line. Must not know what they are for.
import { parseDuration } from '../../config/duration.ts'
import { UsageError } from '../command.ts'

/** `2026-11-23`, or with a time and a zone: a time without a zone would mean the reader's, not UTC. */
const ISO_TIME =
  /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/** Milliseconds since the epoch of a time, or of so long ago; undefined where nothing is given. */
export function timeOption(
  option: string,
  text: string | undefined,
  now: number,
): number | undefined {
  if (text === undefined) return undefined
  const ago = parseDuration(text)
  if (ago !== undefined) return now - ago
  const time = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(time)) return time
  throw new UsageError(
    `--${option} must be a duration such as 2h, or a time such as 2026-11-23T10:00Z`,
  )
}
