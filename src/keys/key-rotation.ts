// Owns what an operator may do to the states of keys: plans of rotation, revocation and restore. Pure.
// Must not carry them out.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { done, type KeyOutcome, refuse } from './key-outcome.ts'
import { type KeyPolicy, MAX_PUBLISHED_KEYS } from './key-policy.ts'
import {
  applyMoves,
  extendSigning,
  findKey,
  isPublished,
  type KeyMove,
  type KeyRecord,
  newKey,
  promotableAt,
  shiftTimers,
} from './key-state.ts'

/** What there is, and what the operator's process can open. */
export interface RotationInput {
  readonly keys: readonly KeyRecord[]
  readonly lastTickAt: number | undefined
  readonly now: number
  readonly policy: KeyPolicy
  /** Keys whose private half does not open here. */
  readonly unusable: ReadonlySet<string>
}

/** Moves, and algorithms for which a new key is made that signs at once. */
export interface RotationPlan {
  readonly moves: readonly KeyMove[]
  readonly createActive: readonly SigningAlgorithm[]
}

/**
 * Plans that the next keys of `algorithms` take over now. Without `emergency` refused with the earliest time
 * while one of them is not published for the whole lead; with it, a missing or unusable one is replaced.
 */
export function planRotation(
  input: RotationInput,
  algorithms: readonly SigningAlgorithm[],
  emergency: boolean,
): KeyOutcome<RotationPlan> {
  const unknown = algorithms.find((algorithm) => !input.policy.algorithms.includes(algorithm))
  if (unknown !== undefined) {
    return refuse('algorithm_not_configured', `${unknown} is not among keys.algorithms`)
  }
  if (!input.keys.some(isPublished)) return noKeys()
  const refusal = emergency ? undefined : refuseEarly(input, algorithms)
  if (refusal !== undefined) return refusal

  const plans = algorithms.map((algorithm) => promoteNow(input, algorithm, 'retiring'))
  return withinCap(input, {
    moves: plans.flatMap((plan) => plan.moves),
    createActive: plans.flatMap((plan) => plan.createActive),
  })
}

/**
 * Plans that a key leaves the set now. An active one only with `emergency`, and its successor signs first;
 * the last key of the set never leaves without one.
 */
export function planRevocation(
  input: RotationInput,
  kid: string,
  emergency: boolean,
): KeyOutcome<RotationPlan> {
  const key = input.keys.find((candidate) => candidate.kid === kid && isPublished(candidate))
  if (key === undefined) return refuse('key_unknown', `no published key has the kid ${kid}`)
  if (key.state === 'active') {
    if (!emergency) {
      return refuse(
        'emergency_required',
        `${kid} signs now: rotate first, or revoke it with --emergency; verifiers go on accepting it until ` +
          'their next refresh (up to 60 min) and may not know its successor until then',
      )
    }
    return withinCap(input, promoteNow(input, key.algorithm, 'gone'))
  }
  if (input.keys.filter(isPublished).length === 1) {
    return refuse(
      'last_key',
      `${kid} is the only published key, and the set is never empty: rotate with --emergency first`,
    )
  }
  return done({ moves: [{ kid, to: 'gone' }], createActive: [] })
}

/** Carries out a plan. Time since the last tick does not count as served: nobody may be serving. */
export function applyRotation(
  input: RotationInput,
  plan: RotationPlan,
  created: readonly { readonly kid: string; readonly algorithm: SigningAlgorithm }[],
): readonly KeyRecord[] {
  const { now, policy } = input
  const signing = created.map((key) => newKey(key.kid, key.algorithm, now))
  const promotions = signing.map((key): KeyMove => ({ kid: key.kid, to: 'active' }))
  return [
    ...applyMoves(settle(input), plan.moves, now, policy),
    ...applyMoves(signing, promotions, now, policy),
  ]
}

/**
 * After a restore nobody knows what the lost database did after the backup: every key only verifies, for
 * the full tail from now, as if it had signed until now.
 */
export function applyRestore(input: RotationInput): readonly KeyRecord[] {
  const { now, policy } = input
  return settle(input).map((key): KeyRecord => {
    if (key.state === 'gone') return key
    const signed = extendSigning({ ...key, state: 'active' }, now, policy)
    return { ...signed, state: 'retiring', retiredAt: now }
  })
}

function settle({ keys, lastTickAt, now }: RotationInput): readonly KeyRecord[] {
  return lastTickAt === undefined ? keys : shiftTimers(keys, now - lastTickAt)
}

function refuseEarly(
  input: RotationInput,
  algorithms: readonly SigningAlgorithm[],
): KeyOutcome<never> | undefined {
  const settled = settle(input)
  let earliest = input.now
  for (const algorithm of algorithms) {
    const next = findKey(settled, algorithm, 'next')
    if (next === undefined) {
      return refuse(
        'too_early',
        `there is no next ${algorithm} key yet: a running service publishes one within a minute, and it may ` +
          'sign when the lead has passed',
      )
    }
    if (input.unusable.has(next.kid)) {
      return refuse(
        'encryption_key_wrong',
        `the next ${algorithm} key ${next.kid} does not open with the configured key-encryption keys: ` +
          'put the right file back, or rotate with --emergency to replace it',
      )
    }
    earliest = Math.max(earliest, promotableAt(next, input.policy))
  }
  if (earliest <= input.now) return undefined
  return refuse(
    'too_early',
    `verifiers may not know the next key yet: possible from ${new Date(earliest).toISOString()}, if the ` +
      'key set is served until then; with --emergency at once, and tokens are refused for up to 60 min',
  )
}

/** The successor signs from now; `to` is what becomes of the key that signed. */
function promoteNow(
  { keys, unusable }: RotationInput,
  algorithm: SigningAlgorithm,
  to: 'retiring' | 'gone',
): RotationPlan {
  const active = findKey(keys, algorithm, 'active')
  const next = findKey(keys, algorithm, 'next')
  const ends: readonly KeyMove[] = active === undefined ? [] : [{ kid: active.kid, to }]
  if (next === undefined) return { moves: ends, createActive: [algorithm] }
  // A next key never signed, so one that cannot be opened is not missed.
  return unusable.has(next.kid)
    ? { moves: [...ends, { kid: next.kid, to: 'gone' }], createActive: [algorithm] }
    : { moves: [...ends, { kid: next.kid, to: 'active' }], createActive: [] }
}

function withinCap(input: RotationInput, plan: RotationPlan): KeyOutcome<RotationPlan> {
  const leaving = plan.moves.filter((move) => move.to === 'gone').length
  const staying = input.keys.filter(isPublished).length - leaving
  if (staying + plan.createActive.length <= MAX_PUBLISHED_KEYS) return done(plan)
  return refuse(
    'too_many_keys',
    `${staying} keys are published, and ${MAX_PUBLISHED_KEYS} are the limit: wait until retiring keys have left`,
  )
}

function noKeys(): KeyOutcome<never> {
  return refuse('keys_missing', 'the database holds no signing key: run "mesh-sts init"')
}
