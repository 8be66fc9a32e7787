// Owns the forecast: what will happen to the keys, and when, while the service runs without a break. Pure.
// Must not change anything.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { KeyPolicy } from './key-policy.ts'
import {
  applyTick,
  findKey,
  type KeyRecord,
  type KeyState,
  planTick,
  promotableAt,
  removableAt,
  signedEnoughAt,
} from './key-state.ts'

/** One event of the forecast. */
export interface KeyEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly algorithm: SigningAlgorithm
  /** Undefined for a key that does not exist yet. */
  readonly kid: string | undefined
  readonly event: 'published' | 'starts_signing' | 'stops_signing' | 'removed'
}

const EVENT_OF: Readonly<Record<KeyState, KeyEvent['event']>> = {
  next: 'published',
  active: 'starts_signing',
  retiring: 'stops_signing',
  gone: 'removed',
}

/** The next `count` events after `now`, in order of time. */
export function keyTimeline(
  keys: readonly KeyRecord[],
  policy: KeyPolicy,
  now: number,
  count: number,
): readonly KeyEvent[] {
  const events: KeyEvent[] = []
  const known = new Set(keys.map((key) => key.kid))
  let records = keys
  let at = now
  while (events.length < count) {
    const input = { keys: records, lastTickAt: at, now: at, policy, unusable: new Set<string>() }
    const plan = planTick(input)
    const created = plan.create.map((algorithm) => ({
      kid: `${algorithm} from ${at}`,
      algorithm,
    }))
    for (const move of plan.moves) {
      const key = records.find((record) => record.kid === move.kid)
      if (key === undefined) continue
      const kid = known.has(key.kid) ? key.kid : undefined
      events.push({ at, algorithm: key.algorithm, kid, event: EVENT_OF[move.to] })
    }
    for (const { algorithm } of created) {
      events.push({ at, algorithm, kid: undefined, event: 'published' })
    }
    // Ticks go on in between, so the bound on what an active key signs is always fresh.
    records = applyTick(input, plan, created)
    const due = nextDue(records, policy, at)
    if (due === undefined) break
    at = due
  }
  return events.slice(0, count)
}

/** The earliest time after `now` at which something is due. */
function nextDue(keys: readonly KeyRecord[], policy: KeyPolicy, now: number): number | undefined {
  const due = keys.flatMap((key) => dueAt(key, keys, policy)).filter((at) => at > now)
  return due.length === 0 ? undefined : Math.min(...due)
}

function dueAt(key: KeyRecord, keys: readonly KeyRecord[], policy: KeyPolicy): readonly number[] {
  if (key.state === 'retiring') return [removableAt(key, policy)]
  if (key.state === 'active') return [signedEnoughAt(key, policy)]
  if (key.state === 'gone') return []
  const active = findKey(keys, key.algorithm, 'active')
  const promotable = promotableAt(key, policy)
  return [active === undefined ? promotable : Math.max(promotable, signedEnoughAt(active, policy))]
}
