// Owns what `keys` of the settings means for the state machine. Must not know keys.
import type { Settings } from '../config/settings.ts'
import type { KeyPolicy } from '../keys/key-policy.ts'
import { MAX_LIFETIME_SECONDS } from '../ruleset/schema.ts'

/** The times that the settings give the keys. */
export const keyPolicyOf = ({ keys }: Pick<Settings, 'keys'>): KeyPolicy => ({
  algorithms: keys.algorithms,
  publishBeforeMs: keys.publishBeforeMs,
  signForMs: keys.signForMs,
  maxTokenLifetimeMs: MAX_LIFETIME_SECONDS * 1000,
})
