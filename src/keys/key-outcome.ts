// Owns how work on signing keys ends for an operator: a value, or a problem and what to do about it.
// Must not name OAuth reasons: no caller of the token endpoint ever sees these.

/** Stable names; the command line prints them with --json. */
export type KeyProblem =
  | 'encryption_key_missing'
  | 'encryption_key_malformed'
  | 'encryption_key_unknown'
  | 'encryption_key_wrong'
  | 'keys_exist'
  | 'keys_missing'
  | 'key_unknown'
  | 'key_damaged'
  | 'last_key'
  | 'too_early'
  | 'too_many_keys'
  | 'emergency_required'
  | 'algorithm_not_configured'
  | 'changed_meanwhile'
  | 'store_unreadable'

/** A problem, and a sentence for the operator; never key material. */
export interface KeyFailure {
  readonly ok: false
  readonly problem: KeyProblem
  readonly message: string
}

export type KeyOutcome<T> = { readonly ok: true; readonly value: T } | KeyFailure

/** Wraps a success. */
export const done = <T>(value: T): KeyOutcome<T> => ({ ok: true, value })

/** Makes a failure. */
export const refuse = (problem: KeyProblem, message: string): KeyFailure => ({
  ok: false,
  problem,
  message,
})
