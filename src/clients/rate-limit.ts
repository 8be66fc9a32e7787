// Owns allowances: a token bucket per key, in bounded memory. Must not know what a key stands for.
//
// A full bucket says nothing that an absent one does not, so only full buckets are ever dropped: no
// flood of keys can reset the bucket of somebody who has used his up. Where there is no room for a
// new key, it shares one bucket with the other newcomers of its group, so a peer that invents keys
// slows only itself down.
import { fail, ok, type Result } from '../oauth/reasons.ts'

export interface RateLimitOptions {
  /** Sustained rate per key. */
  readonly perSecond: number
  /** How many may come at once after a pause; at least 1. */
  readonly burst: number
  /** Buckets altogether. */
  readonly maxKeys?: number
  /** Buckets in each named group; what names a group must not be the sender's to choose. Default 256. */
  readonly maxKeysPerGroup?: number
}

export interface RateLimit {
  /**
   * Takes one from the allowance of a key, or fails with `client_rate_limited` and the seconds after
   * which the next one is there. `now` in milliseconds. `group` is the peer that names the key, where
   * the key is its word only.
   */
  readonly take: (key: string, now: number, group?: string) => Result<void>
  /** Buckets in memory. */
  readonly size: () => number
}

/** About 4 MB of buckets; a mesh has fewer identities than that active within one burst. */
const DEFAULT_MAX_KEYS = 16_384
/** A peer that speaks for more subjects within one burst is a proxy, or invents them. */
const DEFAULT_MAX_KEYS_PER_GROUP = 256
const OK = ok(undefined)
/** How many old buckets each call looks at: more than one, so that the table shrinks under load. */
const SWEPT_PER_CALL = 2

interface Bucket {
  /** When the bucket will be full again, in milliseconds (GCRA's theoretical arrival time). */
  fullAt: number
  readonly group: string
}

/** Makes a rate limit. Throws where a number in the options makes none. */
export function createRateLimit(options: RateLimitOptions): RateLimit {
  const {
    perSecond,
    burst,
    maxKeys = DEFAULT_MAX_KEYS,
    maxKeysPerGroup = Math.min(DEFAULT_MAX_KEYS_PER_GROUP, maxKeys),
  } = options
  if (!(perSecond > 0) || !(burst >= 1) || !(maxKeys >= 1) || !(maxKeysPerGroup >= 1)) {
    throw new RangeError('a rate limit needs a rate, a burst and room for keys')
  }
  const costMs = 1000 / perSecond
  const capacityMs = costMs * burst
  // In order of last use: the head is the first to be full again.
  const buckets = new Map<string, Bucket>()
  const groupSizes = new Map<string, number>()
  const newcomers: Bucket = { fullAt: 0, group: '' }

  const drop = (name: string, group: string) => {
    buckets.delete(name)
    const left = (groupSizes.get(group) ?? 1) - 1
    if (left === 0) groupSizes.delete(group)
    else groupSizes.set(group, left)
  }

  const sweep = (now: number) => {
    let looked = 0
    for (const [name, bucket] of buckets) {
      if (looked === SWEPT_PER_CALL || bucket.fullAt > now) return
      drop(name, bucket.group)
      looked += 1
    }
  }

  const open = (name: string, group: string): Bucket | undefined => {
    if (buckets.size >= maxKeys) return undefined
    const bucket = { fullAt: 0, group }
    buckets.set(name, bucket)
    groupSizes.set(group, (groupSizes.get(group) ?? 0) + 1)
    return bucket
  }

  const bucketFor = (key: string, group: string): Bucket => {
    const name = nameOf(group, key)
    const own = buckets.get(name)
    if (own !== undefined) {
      buckets.delete(name)
      buckets.set(name, own)
      return own
    }
    if ((groupSizes.get(group) ?? 0) < (group === '' ? maxKeys : maxKeysPerGroup)) {
      const opened = open(name, group)
      if (opened !== undefined) return opened
    }
    return newcomersOf(group)
  }

  /** The group's shared bucket stands outside its allowance of keys, else it could find no room. */
  const newcomersOf = (group: string): Bucket => {
    const name = nameOf(group, undefined)
    return buckets.get(name) ?? open(name, group) ?? newcomers
  }

  const clock = steadyClock()
  return {
    take: (key, at, group = '') => {
      const now = clock(at)
      sweep(now)
      const bucket = bucketFor(key, group)
      const fullAt = Math.max(bucket.fullAt, now) + costMs
      const waitMs = fullAt - now - capacityMs
      if (waitMs > EPSILON_MS) return limited(waitMs)
      bucket.fullAt = fullAt
      return OK
    },
    size: () => buckets.size,
  }
}

/** Callers read the clock before they wait for others, so times come a little out of order. */
const MAX_DISORDER_MS = 60_000

/** Makes of a wall clock one that never runs backwards, and goes on where that one was set back. */
function steadyClock(): (now: number) => number {
  let offset = 0
  let last = Number.NEGATIVE_INFINITY
  return (now) => {
    if (now + offset < last - MAX_DISORDER_MS) offset = last - now
    last = Math.max(last, now + offset)
    return last
  }
}

/** Sums of fractions of a millisecond may miss by their rounding. */
const EPSILON_MS = 1e-6

const limited = (waitMs: number) =>
  fail('client_rate_limited', undefined, Math.max(1, Math.ceil(waitMs / 1000)))

/** One name per (group, key); the length in front keeps two pairs from running into each other. */
const nameOf = (group: string, key: string | undefined): string =>
  key === undefined ? `${group.length}:${group}` : `${group.length}:${group}:${key}`
