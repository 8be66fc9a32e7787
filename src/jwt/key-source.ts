// Owns what a verifier needs from a set of public keys, wherever the set comes from.
// Must not fetch or read anything.
import type { KeyObject } from 'node:crypto'
import type { Algorithm } from './algorithms.ts'

/** One public key, usable with exactly one algorithm (RFC 8725 §3.1). */
export interface VerificationKey {
  /** Undefined where the set gives none; then the key is tried for tokens without a kid. */
  readonly kid: string | undefined
  readonly algorithm: Algorithm
  readonly key: KeyObject
}

/** An immutable set; `version` changes whenever the content does (part of the signature cache key). */
export interface KeySet {
  readonly version: string
  readonly keys: readonly VerificationKey[]
}

/** Why no set could be had. */
export interface KeySourceOutage {
  readonly unavailable: string
  readonly retryAfterSeconds: number
}

/**
 * Where a set of keys comes from: a file, a URL, a trust bundle, our own signing keys.
 * `current` answers at once from memory while it can; `refreshed` is asked when a kid is unknown and
 * answers the same set during a cool-down, so that random kids cause no traffic.
 */
export interface KeySource {
  current(): KeySet | Promise<KeySet | KeySourceOutage>
  refreshed(): Promise<KeySet | KeySourceOutage>
}

/** Where key sources report what nobody waits for; messages are constant texts. */
export interface KeySourceLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
