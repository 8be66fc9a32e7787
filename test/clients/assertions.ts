// Owns what the tests of client assertions share: a time, key sources, a way to read an end.
// Must not hold tests.
import assert from 'node:assert/strict'
import { assertionFailure } from '../../src/clients/assertion.ts'
import type { ProvenWorkload, WorkloadResult } from '../../src/clients/workload-proof.ts'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { parseCompactJwt, type UnverifiedJwt } from '../../src/jwt/compact.ts'
import { parseKeySet } from '../../src/jwt/key-set.ts'
import type { KeySource } from '../../src/jwt/key-source.ts'
import type { Result } from '../../src/oauth/reasons.ts'
import { jwksOf, type TestKey } from '../support/jwt-fixtures.ts'

/** Milliseconds and seconds of one instant. */
export const NOW = 1_790_000_000_000
export const SECONDS = NOW / 1000

export const ISSUER = 'https://sts.example'

/** A source that always has these keys. */
export function sourceOf(...keys: readonly TestKey[]): KeySource {
  const set = parseKeySet(jwksOf(keys), ALGORITHMS)
  assert.ok('keys' in set)
  return { current: () => set, refreshed: async () => set }
}

/** A source that cannot be reached. */
export const OUTAGE: KeySource = {
  current: async () => ({ unavailable: 'no connection', retryAfterSeconds: 7 }),
  refreshed: async () => ({ unavailable: 'no connection', retryAfterSeconds: 7 }),
}

export function parsed(token: string): UnverifiedJwt {
  const jwt = parseCompactJwt(token)
  assert.ok(jwt.ok)
  return jwt.value
}

/** The value of a success, or the reason of a failure. */
export const endOf = <T>(result: Result<T>): T | string =>
  result.ok ? result.value : result.reason

/** Whom a workload's token proved, or what that is as a client's reason. */
export const provenOf = (result: WorkloadResult<ProvenWorkload>): string =>
  result.ok ? result.value.id : assertionFailure(result).reason
