import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  audiencesOf,
  checkTimes,
  checkTyp,
  isPlainText,
  optionalText,
  requiredText,
  TYP_ABSENT,
} from '../../src/jwt/claims.ts'
import type { JwtResult } from '../../src/jwt/compact.ts'

const NOW_SECONDS = 1_800_000_000
const RULES = { now: NOW_SECONDS * 1000, skewSeconds: 30 }
const VALID = { exp: NOW_SECONDS + 60, nbf: NOW_SECONDS, iat: NOW_SECONDS }

const outcome = (result: JwtResult<unknown>): string =>
  result.ok ? 'ok' : `${result.problem}${result.detail === undefined ? '' : `: ${result.detail}`}`

test('times that hold are given back', () => {
  assert.deepEqual(checkTimes(VALID, RULES), { ok: true, value: VALID })
  assert.deepEqual(checkTimes({ exp: VALID.exp }, RULES), { ok: true, value: { exp: VALID.exp } })
})

const TIMES: readonly [name: string, change: object, problem: string][] = [
  ['no exp', { exp: undefined }, 'claim_malformed: exp is missing'],
  ['exp as text', { exp: '1800000060' }, 'claim_malformed: exp is not a time'],
  ['exp null', { exp: null }, 'claim_malformed: exp is not a time'],
  ['exp negative', { exp: -1 }, 'claim_malformed: exp is not a time'],
  ['exp NaN', { exp: Number.NaN }, 'claim_malformed: exp is not a time'],
  ['exp infinite', { exp: Number.POSITIVE_INFINITY }, 'claim_malformed: exp is not a time'],
  ['exp in milliseconds', { exp: 1_800_000_000_000 }, 'claim_malformed: exp is not a time'],
  ['exp is now', { exp: NOW_SECONDS }, `expired: exp ${NOW_SECONDS}`],
  ['exp within the skew ago', { exp: NOW_SECONDS - 1 }, `expired: exp ${NOW_SECONDS - 1}`],
  ['exp within this second', { exp: NOW_SECONDS + 0.9 }, `expired: exp ${NOW_SECONDS}`],
  ['nbf beyond the skew', { nbf: NOW_SECONDS + 31 }, `not_yet_valid: nbf ${NOW_SECONDS + 31}`],
  ['nbf a fraction beyond', { nbf: NOW_SECONDS + 30.1 }, `not_yet_valid: nbf ${NOW_SECONDS + 31}`],
  ['nbf as text', { nbf: 'now' }, 'claim_malformed: nbf is not a time'],
  ['iat beyond the skew', { iat: NOW_SECONDS + 31 }, `not_yet_valid: iat ${NOW_SECONDS + 31}`],
  ['iat as a list', { iat: [1] }, 'claim_malformed: iat is not a time'],
]
for (const [name, change, problem] of TIMES) {
  test(`CA-02 times refused: ${name}`, () => {
    assert.equal(outcome(checkTimes({ ...VALID, ...change }, RULES)), problem)
  })
}

test('the skew helps nbf and iat to its last second', () => {
  const claims = { ...VALID, nbf: NOW_SECONDS + 30, iat: NOW_SECONDS + 30 }
  assert.equal(outcome(checkTimes(claims, RULES)), 'ok')
})

test('iat is missing only where it is required', () => {
  const claims = { exp: VALID.exp }
  assert.equal(outcome(checkTimes(claims, RULES)), 'ok')
  assert.equal(
    outcome(checkTimes(claims, { ...RULES, requireIat: true })),
    'claim_malformed: iat is missing',
  )
})

test('CA-04 a lifetime is counted from iat, or from now', () => {
  const rules = { ...RULES, maxLifetimeSeconds: 60 }
  assert.equal(outcome(checkTimes(VALID, rules)), 'ok')
  const older = { ...VALID, iat: NOW_SECONDS - 1 }
  assert.equal(outcome(checkTimes(older, rules)), 'lifetime_too_long: 61 s')
  assert.equal(outcome(checkTimes({ exp: NOW_SECONDS + 60 }, rules)), 'ok')
  assert.equal(outcome(checkTimes({ exp: NOW_SECONDS + 61 }, rules)), 'lifetime_too_long: 61 s')
})

test('an inherited exp does not count', () => {
  const claims = Object.create({ exp: VALID.exp }) as Record<string, unknown>
  assert.equal(outcome(checkTimes(claims, RULES)), 'claim_malformed: exp is missing')
})

test('P1 property: a token accepted at a time has an exp after it', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 4e9 }), fc.nat(600), (exp, skewSeconds) => {
      const result = checkTimes({ exp }, { now: RULES.now, skewSeconds })
      assert.equal(result.ok, Math.floor(exp) > NOW_SECONDS)
      if (result.ok) assert.ok(result.value.exp <= exp)
    }),
  )
})

test('audiences are a text or a list of texts', () => {
  assert.deepEqual(audiencesOf({ aud: 'a' }), { ok: true, value: ['a'] })
  assert.deepEqual(audiencesOf({ aud: ['a', 'b'] }), { ok: true, value: ['a', 'b'] })
})

for (const [name, aud, problem] of [
  ['BCP-08 no audience', undefined, 'claim_malformed: aud is missing'],
  ['an empty list', [], 'claim_malformed: aud is empty'],
  ['an empty text', '', 'claim_malformed: aud is not a text or a list of texts'],
  ['a number among them', ['a', 1], 'claim_malformed: aud is not a text or a list of texts'],
  ['an object', { a: 1 }, 'claim_malformed: aud is not a text or a list of texts'],
  ['null', null, 'claim_malformed: aud is not a text or a list of texts'],
  ['a nested list', [['a']], 'claim_malformed: aud is not a text or a list of texts'],
  ['a control character', 'a\r\nb', 'claim_malformed: aud is not a text or a list of texts'],
  [
    'more than 32',
    Array.from({ length: 33 }, (_, at) => `a${at}`),
    'claim_malformed: aud has too many values',
  ],
] as const) {
  test(`audiences refused: ${name}`, () => {
    assert.equal(outcome(audiencesOf({ aud })), problem)
  })
}

const header = (typ?: string) => ({ alg: 'ES256', ...(typ === undefined ? {} : { typ }) }) as const

for (const typ of ['at+jwt', 'AT+JWT', 'at+JWT', 'application/at+jwt', 'Application/AT+jwt']) {
  test(`AT-08 BCP-10 typ ${typ} is at+jwt`, () => {
    assert.equal(outcome(checkTyp(header(typ), ['at+jwt'])), 'ok')
    assert.equal(outcome(checkTyp(header(typ), ['application/at+jwt'])), 'ok')
  })
}
for (const typ of ['JWT', '', 'at+jwt ', 'at+jwtx', 'x/at+jwt', 'application/application/at+jwt']) {
  test(`BCP-10 typ "${typ}" is not at+jwt`, () => {
    assert.equal(
      outcome(checkTyp(header(typ), ['at+jwt'])),
      'typ_not_accepted: typ is not among the accepted ones',
    )
  })
}
test('a token without typ is accepted only where that is said', () => {
  assert.equal(outcome(checkTyp(header(), ['at+jwt'])), 'typ_not_accepted: typ is missing')
  assert.equal(outcome(checkTyp(header(), [TYP_ABSENT])), 'ok')
  assert.match(outcome(checkTyp(header(TYP_ABSENT), [TYP_ABSENT])), /^typ_not_accepted/)
  assert.match(outcome(checkTyp(header('at+jwt'), [])), /^typ_not_accepted/)
})

test('plain text: not empty, within its cap, no control characters', () => {
  assert.ok(isPlainText('päth/ü'))
  assert.ok(isPlainText('abc', 3))
  for (const value of ['', 'abcd', 'a\0', 'a\n', 'a\x7f', 'a\x9b', 1, null, undefined, ['a']]) {
    assert.equal(isPlainText(value, 3), false, JSON.stringify(value))
  }
})

test('a text claim is required or optional, and always plain', () => {
  assert.deepEqual(requiredText({ sub: 'a' }, 'sub'), { ok: true, value: 'a' })
  assert.equal(outcome(requiredText({}, 'sub')), 'claim_malformed: sub is missing')
  assert.equal(outcome(requiredText({ sub: 1 }, 'sub')), 'claim_malformed: sub is not a plain text')
  assert.equal(
    outcome(requiredText({ sub: 'ab' }, 'sub', 1)),
    'claim_malformed: sub is not a plain text',
  )
  assert.equal(outcome(requiredText({}, 'toString')), 'claim_malformed: toString is missing')
  assert.deepEqual(optionalText({}, 'jti'), { ok: true, value: undefined })
  assert.equal(
    outcome(optionalText({ jti: {} }, 'jti')),
    'claim_malformed: jti is not a plain text',
  )
})
