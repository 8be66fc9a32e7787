// Owns what a process says about its signing keys: ready or not and why, for probes, metrics and people. Pure.
// Must not hold key material.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { KeyFailure } from './key-outcome.ts'
import type { KeyPolicy } from './key-policy.ts'
import { findKey, type KeyRecord } from './key-state.ts'
import type { LoadedKeys } from './loaded-keys.ts'

/** Why a process is not ready. */
export type KeysUnready =
  | 'keys_not_loaded'
  | 'keys_missing'
  | 'key_damaged'
  | 'key_store_stale'
  | 'private_key_unusable'

/** One moment's answer. */
export interface KeyStatus {
  readonly ready: boolean
  /** Undefined when ready. */
  readonly reason: KeysUnready | undefined
  /** Sentences for operators; a ready process may have some too. */
  readonly warnings: readonly string[]
  /** Milliseconds since the last tick that went through; undefined before the first. */
  readonly ageMs: number | undefined
  /** The algorithms that can sign now. */
  readonly signing: readonly SigningAlgorithm[]
  readonly keys: readonly KeyRecord[]
}

export interface KeyStatusInput {
  readonly loaded: LoadedKeys | undefined
  readonly lastFailure: KeyFailure | undefined
  readonly policy: KeyPolicy
  readonly ageMs: number
  readonly staleAfterMs: number
}

/**
 * Tells the status. A process that only waits for a lead to pass (after a restore, or for an algorithm that
 * is new) is ready: it must be reachable to publish the key that will sign.
 */
export function keyStatus(input: KeyStatusInput): KeyStatus {
  const { loaded, lastFailure, policy, ageMs } = input
  const failures = lastFailure === undefined ? [] : [lastFailure.message]
  if (loaded === undefined) {
    const reason = lastFailure?.problem
    return {
      ready: false,
      reason: reason === 'keys_missing' || reason === 'key_damaged' ? reason : 'keys_not_loaded',
      warnings: failures,
      ageMs: undefined,
      signing: [],
      keys: [],
    }
  }
  const reason = unreadyReason(input, loaded)
  const stale = ageMs > input.staleAfterMs
  return {
    ready: reason === undefined,
    reason,
    warnings: [
      ...failures,
      ...loaded.troubles.map((trouble) => trouble.message),
      ...policy.algorithms.flatMap((algorithm) => waiting(loaded, algorithm)),
    ],
    ageMs: Number.isFinite(ageMs) ? ageMs : undefined,
    signing: stale ? [] : [...loaded.signers.keys()],
    keys: loaded.records,
  }
}

function unreadyReason(input: KeyStatusInput, loaded: LoadedKeys): KeysUnready | undefined {
  if (input.ageMs > input.staleAfterMs) return 'key_store_stale'
  const unusable = input.policy.algorithms.some((algorithm) => {
    const active = findKey(loaded.records, algorithm, 'active')
    return active !== undefined && loaded.unusable.has(active.kid)
  })
  return unusable ? 'private_key_unusable' : undefined
}

function waiting(loaded: LoadedKeys, algorithm: SigningAlgorithm): readonly string[] {
  if (findKey(loaded.records, algorithm, 'active') !== undefined) return []
  return [
    `no ${algorithm} key signs yet: the next one has to be published for the whole lead first, or ` +
      'promote it at once with "mesh-sts keys rotate --emergency"',
  ]
}
