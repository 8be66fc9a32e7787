import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkKeyPolicy,
  DEFAULT_PUBLISH_BEFORE_MS,
  DEFAULT_SIGN_FOR_MS,
  jwksMaxAgeSeconds,
  type KeyPolicy,
  MIN_PUBLISH_BEFORE_MS,
  staleAfterMs,
  tailMs,
} from '../../src/keys/key-policy.ts'
import { HOUR, MINUTE, POLICY, SECOND } from './fixture.ts'

test('P5: the defaults are sound: two hours of lead, a day of signing', () => {
  const policy = {
    ...POLICY,
    publishBeforeMs: DEFAULT_PUBLISH_BEFORE_MS,
    signForMs: DEFAULT_SIGN_FOR_MS,
  }
  assert.deepEqual(checkKeyPolicy(policy), [])
  assert.equal(policy.publishBeforeMs, 2 * HOUR)
  assert.equal(policy.signForMs, 24 * HOUR)
  assert.equal(staleAfterMs(policy), HOUR)
})

test('P5: the tail outlives the longest token, the skew of Envoy and the slowest refresh', () => {
  assert.equal(tailMs({ ...POLICY, maxTokenLifetimeMs: 10 * MINUTE }), (10 + 1 + 60) * MINUTE)
})

const cases: readonly [string, Partial<KeyPolicy>, RegExp, boolean][] = [
  [
    'a lead below istiod’s worst refresh',
    { publishBeforeMs: MIN_PUBLISH_BEFORE_MS - 1 },
    /at least 65 min/,
    true,
  ],
  ['a tail below it', { verifierRefreshMs: HOUR - 1 }, /60 min more/, true],
  ['no algorithm', { algorithms: [] }, /no signing algorithm/, false],
  ['an algorithm twice', { algorithms: ['ES256', 'ES256'] }, /twice/, false],
  [
    'a successor later than the end',
    { signForMs: 2 * HOUR - 1 },
    /sign for at least as long/,
    false,
  ],
  ['a time that is no number', { maxTokenLifetimeMs: Number.NaN }, /positive/, false],
  ['a time of nothing', { maxTokenLifetimeMs: 0 }, /positive/, false],
  ['a fraction', { maxTokenLifetimeMs: 1.5 }, /positive/, false],
]
for (const [name, change, says, isRelaxable] of cases) {
  test(`refused: ${name}`, () => {
    const policy = { ...POLICY, ...change }
    const problems = checkKeyPolicy(policy)
    assert.equal(problems.length, 1, problems.join())
    assert.match(problems[0] ?? '', says)
    const relaxed = checkKeyPolicy(policy, { allowShortKeyLead: true })
    assert.deepEqual(relaxed, isRelaxable ? [] : problems)
  })
}

test('the least lead that is sound', () => {
  assert.deepEqual(checkKeyPolicy({ ...POLICY, publishBeforeMs: 65 * MINUTE }), [])
})

test('caches may hold the set for five minutes, or a quarter of a short lead', () => {
  assert.equal(jwksMaxAgeSeconds(POLICY), 300)
  assert.equal(jwksMaxAgeSeconds({ ...POLICY, publishBeforeMs: 10 * SECOND }), 2)
})
