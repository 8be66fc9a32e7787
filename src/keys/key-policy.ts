// Owns the times that keys live by, and the minimums below which rotation breaks verifiers (P5). Pure.
// Must not read configuration.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** When keys are published, sign and leave. */
export interface KeyPolicy {
  /** Each has its own warm key; the first is the deployment's default. */
  readonly algorithms: readonly SigningAlgorithm[]
  /** The lead: how long a key is published before it signs. */
  readonly publishBeforeMs: number
  /** How long a key signs before the next takes over. */
  readonly signForMs: number
  /** No token lives longer; a key stays published for at least this long after it stopped signing. */
  readonly maxTokenLifetimeMs: number
  /** The slowest verifier's refresh, which the tail leaves room for; {@link VERIFIER_REFRESH_MS} unless told. */
  readonly verifierRefreshMs?: number
}

/** What the settings are when nothing is said: two hours survive istiod's worst refresh twice over. */
export const DEFAULT_PUBLISH_BEFORE_MS = 2 * HOUR_MS
export const DEFAULT_SIGN_FOR_MS = 24 * HOUR_MS

/**
 * istiod reads every key set of the mesh on one ticker, which backs off to 60 min while any of them fails
 * (istio pilot/pkg/model/jwks_resolver.go); the rest is the push to the proxies.
 */
export const VERIFIER_REFRESH_MS = 60 * MINUTE_MS
export const MIN_PUBLISH_BEFORE_MS = VERIFIER_REFRESH_MS + 5 * MINUTE_MS

/** Envoy's jwt_authn accepts a token for this long after its exp. */
export const VERIFIER_SKEW_MS = MINUTE_MS

/** A second read of the clock further away than this from the first is a jump, or nobody served meanwhile. */
export const TICK_TOLERANCE_MS = MINUTE_MS

/** How often a process looks after the keys: a quarter of the tolerance, so that one slow tick is no jump. */
export const TICK_EVERY_MS = 15_000

/** Far above what any rotation needs; istiod inlines every key into every proxy. */
export const MAX_PUBLISHED_KEYS = 32

/** Longest that a cache may hold the set: what Envoy holds it for when it fetches itself. */
const MAX_JWKS_AGE_MS = 5 * MINUTE_MS

/** How long a key stays published after it signed for the last time. */
export function tailMs(policy: KeyPolicy): number {
  const refresh = policy.verifierRefreshMs ?? VERIFIER_REFRESH_MS
  return policy.maxTokenLifetimeMs + VERIFIER_SKEW_MS + refresh
}

/** After this long without reading the store a process signs no more (P5). */
export function staleAfterMs(policy: KeyPolicy): number {
  return Math.floor(policy.publishBeforeMs / 2)
}

/** Cache-Control of the key set; a fraction of the lead, so that caches cost little of it. */
export function jwksMaxAgeSeconds(policy: KeyPolicy): number {
  return Math.floor(Math.min(MAX_JWKS_AGE_MS, policy.publishBeforeMs / 4) / 1000)
}

/**
 * Checks a policy. Gives one sentence per problem, none when it is sound. `allowShortKeyLead` is for tests
 * and development only: with it verifiers will meet keys that they do not know yet.
 */
export function checkKeyPolicy(
  policy: KeyPolicy,
  options: { readonly allowShortKeyLead?: boolean } = {},
): readonly string[] {
  const problems: string[] = []
  if (policy.algorithms.length === 0) problems.push('no signing algorithm is configured')
  if (new Set(policy.algorithms).size !== policy.algorithms.length) {
    problems.push('a signing algorithm is listed twice')
  }
  const refresh = policy.verifierRefreshMs ?? VERIFIER_REFRESH_MS
  const times = [policy.publishBeforeMs, policy.signForMs, policy.maxTokenLifetimeMs, refresh]
  if (!times.every((time) => Number.isSafeInteger(time) && time > 0)) {
    problems.push('every time must be a positive number of milliseconds')
  }
  if (policy.signForMs < policy.publishBeforeMs) {
    problems.push('a key must sign for at least as long as its successor is published before')
  }
  if (options.allowShortKeyLead === true) return problems
  if (policy.publishBeforeMs < MIN_PUBLISH_BEFORE_MS) {
    problems.push(
      `keys must be published for at least ${MIN_PUBLISH_BEFORE_MS / MINUTE_MS} min before they sign: ` +
        'istiod may read the key set only every 60 min',
    )
  }
  if (refresh < VERIFIER_REFRESH_MS) {
    problems.push(
      `keys must stay published for ${VERIFIER_REFRESH_MS / MINUTE_MS} min more than tokens live`,
    )
  }
  return problems
}
