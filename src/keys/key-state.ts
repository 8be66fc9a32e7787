// Owns the life of a signing key: next (published) → active (signs) → retiring (published) → gone. Pure.
// Must not read a clock, touch key material or know the database.
//
// Time here is time in which the set was served. Wall clocks jump and services stand still, so each tick
// compares the time with that of the last tick: where it went backwards or further than the tolerance, the
// tick moves nothing and pushes the timers of all living keys by the difference. A lead or a tail therefore
// never passes by a jump or during an outage; it only becomes longer. `signsUntil` alone is never pushed:
// it is compared with `exp`, which verifiers read by their own clocks.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import {
  type KeyPolicy,
  MAX_PUBLISHED_KEYS,
  staleAfterMs,
  TICK_TOLERANCE_MS,
  tailMs,
  VERIFIER_SKEW_MS,
} from './key-policy.ts'

export const KEY_STATES = ['next', 'active', 'retiring', 'gone'] as const
export type KeyState = (typeof KEY_STATES)[number]

/** One key's state and timers, all in ms since the epoch. */
export interface KeyRecord {
  /** RFC 7638 thumbprint. */
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly state: KeyState
  readonly createdAt: number
  /** Timers, pushed by unserved time. */
  readonly publishedAt: number
  readonly activatedAt: number | undefined
  readonly retiredAt: number | undefined
  readonly removedAt: number | undefined
  /** No token that it signed expires later; a process refuses to sign beyond what is stored here. */
  readonly signsUntil: number | undefined
}

/** One step of one key. */
export interface KeyMove {
  readonly kid: string
  readonly to: KeyState
}

/** What a tick looks at. */
export interface TickInput {
  readonly keys: readonly KeyRecord[]
  /** Undefined where the record of it was lost: then nothing counts as served since any key's last timer. */
  readonly lastTickAt: number | undefined
  readonly now: number
  readonly policy: KeyPolicy
  /** Keys whose private half this process cannot open: it promotes none of them. */
  readonly unusable: ReadonlySet<string>
}

/** What a tick does. */
export interface TickPlan {
  /** Ms by which the timers of living keys are pushed. */
  readonly shiftMs: number
  /** At most one per key. */
  readonly moves: readonly KeyMove[]
  /** Algorithms that need a new next key. */
  readonly create: readonly SigningAlgorithm[]
}

/** Whether the key is in the published set. */
export const isPublished = (key: KeyRecord): boolean => key.state !== 'gone'

/** A key that is published from `now` on. */
export function newKey(kid: string, algorithm: SigningAlgorithm, now: number): KeyRecord {
  return {
    kid,
    algorithm,
    state: 'next',
    createdAt: now,
    publishedAt: now,
    activatedAt: undefined,
    retiredAt: undefined,
    removedAt: undefined,
    signsUntil: undefined,
  }
}

/** When a next key has been published for the whole lead. */
export function promotableAt(key: KeyRecord, policy: KeyPolicy): number {
  return key.publishedAt + policy.publishBeforeMs
}

/** When an active key has signed for long enough. */
export function signedEnoughAt(key: KeyRecord, policy: KeyPolicy): number {
  return (key.activatedAt ?? key.publishedAt) + policy.signForMs
}

/** When a retiring key may leave: after the tail, and after the last token that it may have signed. */
export function removableAt(key: KeyRecord, policy: KeyPolicy): number {
  const tailEnds = (key.retiredAt ?? key.publishedAt) + tailMs(policy)
  return Math.max(tailEnds, (key.signsUntil ?? 0) + VERIFIER_SKEW_MS)
}

/** The one key of an algorithm that is in a state of which there is one. */
export function findKey(
  keys: readonly KeyRecord[],
  algorithm: SigningAlgorithm,
  state: 'next' | 'active',
): KeyRecord | undefined {
  return keys.find((key) => key.algorithm === algorithm && key.state === state)
}

/** Plans one tick. Where nothing is published it plans nothing: only `init` makes a first key. */
export function planTick(input: TickInput): TickPlan {
  const shiftMs = unservedMs(input)
  if (shiftMs !== undefined) return { shiftMs, moves: [], create: [] }
  const living = input.keys.filter(isPublished)
  if (living.length === 0) return { shiftMs: 0, moves: [], create: [] }

  const promotions = input.policy.algorithms.flatMap((algorithm) => planPromotion(input, algorithm))
  const unconfigured = living.flatMap((key) => planUnconfigured(input, key))
  const retired = living.filter(
    (key) => key.state === 'retiring' && input.now >= removableAt(key, input.policy),
  )
  const removals = retired.map((key): KeyMove => ({ kid: key.kid, to: 'gone' }))
  const moves = keepOne(living, [...promotions, ...unconfigured, ...removals])
  return { shiftMs: 0, moves, create: missingNextKeys(living, moves, input.policy) }
}

/** Carries out a plan with the keys that were made for it. Gives every key's new record. */
export function applyTick(
  input: TickInput,
  plan: TickPlan,
  created: readonly { readonly kid: string; readonly algorithm: SigningAlgorithm }[],
): readonly KeyRecord[] {
  const { now, policy } = input
  const shifted = shiftTimers(input.keys, plan.shiftMs).map((key) =>
    extendSigning(key, now, policy),
  )
  return [
    ...applyMoves(shifted, plan.moves, now, policy),
    ...created.map((key) => newKey(key.kid, key.algorithm, now)),
  ]
}

/** Pushes the timers of all published keys. */
export function shiftTimers(keys: readonly KeyRecord[], ms: number): readonly KeyRecord[] {
  if (ms === 0) return keys
  return keys.map((key) =>
    key.state === 'gone'
      ? key
      : {
          ...key,
          publishedAt: key.publishedAt + ms,
          activatedAt: key.activatedAt === undefined ? undefined : key.activatedAt + ms,
          retiredAt: key.retiredAt === undefined ? undefined : key.retiredAt + ms,
        },
  )
}

/** Carries out moves at a time. */
export function applyMoves(
  keys: readonly KeyRecord[],
  moves: readonly KeyMove[],
  now: number,
  policy: KeyPolicy,
): readonly KeyRecord[] {
  const targets = new Map(moves.map((move) => [move.kid, move.to]))
  return keys.map((key) => {
    const to = targets.get(key.kid)
    return to === undefined ? key : moveKey(key, to, now, policy)
  })
}

/**
 * An active key may sign tokens that expire until a lifetime after the last moment at which a process that
 * lost the store still signs. Stored before it is used; never taken back, for such tokens may be out there.
 */
export function extendSigning(key: KeyRecord, now: number, policy: KeyPolicy): KeyRecord {
  if (key.state !== 'active') return key
  const bound = now + policy.maxTokenLifetimeMs + staleAfterMs(policy) + TICK_TOLERANCE_MS
  return { ...key, signsUntil: Math.max(bound, key.signsUntil ?? 0) }
}

function moveKey(key: KeyRecord, to: KeyState, now: number, policy: KeyPolicy): KeyRecord {
  switch (to) {
    case 'next':
      throw new Error('a key cannot become next again')
    case 'active':
      return extendSigning({ ...key, state: to, activatedAt: now }, now, policy)
    case 'retiring':
      return { ...key, state: to, retiredAt: now }
    case 'gone':
      return { ...key, state: to, removedAt: now }
  }
}

/** How long nobody is known to have served the set, or by how far the clock jumped; undefined: neither. */
function unservedMs({ keys, lastTickAt, now }: TickInput): number | undefined {
  if (lastTickAt === undefined) {
    const timers = keys
      .filter(isPublished)
      .flatMap((key) => [key.publishedAt, key.activatedAt ?? 0, key.retiredAt ?? 0])
    return timers.length === 0 ? 0 : now - Math.max(...timers)
  }
  const elapsed = now - lastTickAt
  return elapsed < 0 || elapsed > TICK_TOLERANCE_MS ? elapsed : undefined
}

function planPromotion(input: TickInput, algorithm: SigningAlgorithm): readonly KeyMove[] {
  const { keys, now, policy, unusable } = input
  const next = findKey(keys, algorithm, 'next')
  if (next === undefined || unusable.has(next.kid) || now < promotableAt(next, policy)) return []
  const active = findKey(keys, algorithm, 'active')
  if (active === undefined) return [{ kid: next.kid, to: 'active' }]
  if (now < signedEnoughAt(active, policy)) return []
  return [
    { kid: active.kid, to: 'retiring' },
    { kid: next.kid, to: 'active' },
  ]
}

/**
 * Keys of an algorithm that is configured no more end without haste: during a rolling change of the
 * configuration old and new processes work on one database, and must not undo each other's work.
 */
function planUnconfigured(input: TickInput, key: KeyRecord): readonly KeyMove[] {
  const { keys, now, policy } = input
  if (policy.algorithms.includes(key.algorithm)) return []
  if (key.state === 'active' && now >= signedEnoughAt(key, policy)) {
    return [{ kid: key.kid, to: 'retiring' }]
  }
  if (key.state === 'next' && findKey(keys, key.algorithm, 'active') === undefined) {
    return [{ kid: key.kid, to: 'gone' }]
  }
  return []
}

/** A set that was published is never empty again: Envoy refuses a whole listener for an empty one. */
function keepOne(living: readonly KeyRecord[], moves: readonly KeyMove[]): readonly KeyMove[] {
  const leaving = moves.filter((move) => move.to === 'gone').length
  return leaving < living.length ? moves : moves.filter((move) => move.to !== 'gone')
}

function missingNextKeys(
  living: readonly KeyRecord[],
  moves: readonly KeyMove[],
  policy: KeyPolicy,
): readonly SigningAlgorithm[] {
  const moved = new Set(moves.map((move) => move.kid))
  const leaving = moves.filter((move) => move.to === 'gone').length
  const missing = policy.algorithms.filter((algorithm) => {
    const next = findKey(living, algorithm, 'next')
    return next === undefined || moved.has(next.kid)
  })
  return missing.slice(0, Math.max(0, MAX_PUBLISHED_KEYS - (living.length - leaving)))
}
