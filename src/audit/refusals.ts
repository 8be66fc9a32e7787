// Owns the counts of requests that were refused before a caller was known or admitted (P3).
// Must not grow with what strangers send: peers and minutes are bounded.
import type { Failure, Reason } from '../oauth/reasons.ts'
import { type Repeated, repeat } from '../store/repeat.ts'
import type { Writer } from '../store/writer.ts'

/**
 * Bounds the rows that strangers can cause: with two dozen bytes of key each, 128 a minute are some
 * 10 MB a day in the worst case, whatever the number of their addresses.
 */
const MAX_PEERS_PER_MINUTE = 128
/** Minutes that are kept; where the database took nothing for longer, the oldest is lost, and said to be. */
const MAX_MINUTES = 60
const MINUTE_MS = 60_000
/** What a crash loses at most. */
const FLUSH_INTERVAL_MS = 5000
/** Stands for every peer beyond the bound. */
export const OTHER_PEERS = 'other'

export interface RefusalCounterOptions {
  readonly writer: Pick<Writer, 'write'>
  /** Default 128. */
  readonly maxPeersPerMinute?: number
  readonly log: RefusalLog
}

export interface RefusalLog {
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

export interface RefusalCounter {
  /** Counts one refusal in memory; `now` in ms since the epoch. Cheap, and never fails. */
  readonly count: (failure: Failure, peer: string, now: number) => void
  /** Writes what was counted since; what cannot be written is kept for the next time. */
  readonly flush: () => Promise<void>
  /** Flushes every 5 s until `stop()`, which flushes once more. */
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** Counts of one minute; a peer that was counted stays known until the minute is dropped. */
interface Minute {
  readonly peers: Set<string>
  /** By reason, then peer. */
  readonly counts: Map<Reason, Map<string, number>>
}

/** A counter that loses at most its last interval when the process dies. */
export function createRefusalCounter(options: RefusalCounterOptions): RefusalCounter {
  const { writer, log, maxPeersPerMinute = MAX_PEERS_PER_MINUTE } = options
  const minutes = new Map<number, Minute>()
  let repeated: Repeated | undefined

  const minuteOf = (start: number): Minute => {
    const known = minutes.get(start)
    if (known !== undefined) return known
    if (minutes.size >= MAX_MINUTES) dropOldest()
    const minute: Minute = { peers: new Set(), counts: new Map() }
    minutes.set(start, minute)
    return minute
  }

  const dropOldest = (): void => {
    const oldest = Math.min(...minutes.keys())
    const lost = entriesOf(minutes.get(oldest)).reduce((sum, [, , count]) => sum + count, 0)
    minutes.delete(oldest)
    if (lost > 0) log.warn({ lost, minute: oldest }, 'refusal counts lost')
  }

  const add = (start: number, reason: Reason, peer: string, count: number): void => {
    const { peers, counts } = minuteOf(start)
    const isKnown = peers.has(peer) || peers.size < maxPeersPerMinute
    if (isKnown) peers.add(peer)
    const name = isKnown ? peer : OTHER_PEERS
    const byPeer = counts.get(reason)
    if (byPeer === undefined) counts.set(reason, new Map([[name, count]]))
    else byPeer.set(name, (byPeer.get(name) ?? 0) + count)
  }

  const flush = async (): Promise<void> => {
    const writes: Promise<void>[] = []
    for (const [start, minute] of minutes) {
      for (const [reason, peer, count] of entriesOf(minute)) {
        writes.push(
          writer.write('add_refusals', [start, reason, peer, count]).then((done) => {
            if (!done.ok) add(start, reason, peer, count)
          }),
        )
      }
      // It keeps its peers: the bound is for the minute, not for each flush.
      minute.counts.clear()
    }
    await Promise.all(writes)
  }

  return {
    count: (failure, peer, now) => add(now - (now % MINUTE_MS), failure.reason, peer, 1),
    flush,
    start() {
      repeated ??= repeat(flush, FLUSH_INTERVAL_MS, (error) =>
        log.error({ err: error }, 'refusal counts not written'),
      )
    },
    async stop() {
      await repeated?.stop()
      repeated = undefined
      await flush()
    },
  }
}

function entriesOf(minute: Minute | undefined): [Reason, string, number][] {
  return [...(minute?.counts ?? [])].flatMap(([reason, byPeer]) =>
    [...byPeer].map(([peer, count]): [Reason, string, number] => [reason, peer, count]),
  )
}
