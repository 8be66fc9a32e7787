import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Result } from '../../src/oauth/reasons.ts'
import {
  MAX_ACT_BYTES,
  MAX_ACT_DEPTH,
  parseAct,
  parseChain,
  parseMayAct,
} from '../../src/subjects/act.ts'
import type { Act } from '../../src/subjects/subject.ts'

const SELF = 'https://sts.boutique.example'
const CORP = 'https://login.corp.example'
const OWN = { iss: SELF, selfIss: SELF }
const FOREIGN = { iss: CORP, selfIss: SELF }
const FRONTEND = 'spiffe://cluster.local/ns/boutique/sa/frontend'

const reasonOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.reason)

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) assert.fail(result.reason)
  return result.value
}

const levels = (depth: number): unknown => {
  let act: object | undefined
  for (let at = 0; at < depth; at++) act = { sub: `s${at}`, ...(act === undefined ? {} : { act }) }
  return act
}

test('TE-20 our own chain is kept as it is, outermost first', () => {
  const act = { sub: FRONTEND, act: { sub: 'agent-7', iss: 'https://agents.example' } }
  assert.deepEqual(unwrap(parseAct(act, OWN)), act)
})

test('TE-19 members beside sub, iss and act are dropped', () => {
  const act = {
    sub: 'a',
    iss: CORP,
    exp: 1,
    aud: 'x',
    scope: 'root',
    client_id: 'c',
    act: { sub: 'b', nbf: 1 },
  }
  assert.deepEqual(unwrap(parseAct(act, OWN)), { sub: 'a', iss: CORP, act: { sub: 'b' } })
})

test("P2 another issuer's levels get its iss where they have none", () => {
  const act = {
    sub: 'a',
    act: { sub: 'b', iss: 'https://partner.example', act: { sub: FRONTEND } },
  }
  assert.deepEqual(unwrap(parseAct(act, FOREIGN)), {
    sub: 'a',
    iss: CORP,
    act: { sub: 'b', iss: 'https://partner.example', act: { sub: FRONTEND, iss: CORP } },
  })
})

test('P2 no level of another issuer may name ours', () => {
  const atTop = { sub: FRONTEND, iss: SELF }
  const inside = { sub: 'a', act: { sub: FRONTEND, iss: SELF } }
  for (const act of [atTop, inside]) {
    assert.equal(reasonOf(parseAct(act, FOREIGN)), 'subject_token_act_malformed')
    assert.equal(reasonOf(parseAct(act, OWN)), 'ok')
  }
})

test("no level of another issuer's token names ours in another spelling", () => {
  for (const iss of [
    `${SELF}/`,
    'https://STS.boutique.example',
    'HTTPS://sts.boutique.example',
    'http://sts.boutique.example',
    'sts.boutique.example/',
  ]) {
    const act = { sub: 'a', act: { sub: FRONTEND, iss } }
    assert.equal(reasonOf(parseAct(act, FOREIGN)), 'subject_token_act_malformed', iss)
    assert.equal(reasonOf(parseAct(act, OWN)), 'ok', iss)
  }
})

test('other issuers may be named: whose token it is vouches for its chain', () => {
  for (const iss of [CORP, `${CORP}/`, 'https://agents.example']) {
    assert.equal(reasonOf(parseAct({ sub: 'a', iss }, FOREIGN)), 'ok', iss)
  }
})

for (const [name, level] of [
  ['null', null],
  ['a text', FRONTEND],
  ['a list', [{ sub: FRONTEND }]],
  ['true', true],
  ['an empty object', {}],
  ['no sub', { iss: CORP }],
  ['an empty sub', { sub: '' }],
  ['a sub that is a number', { sub: 1 }],
  ['a sub with a control character', { sub: 'a\r\nb' }],
  ['a sub beyond the cap', { sub: 's'.repeat(2049) }],
  ['an iss that is null', { sub: 'a', iss: null }],
  ['an iss that is a list', { sub: 'a', iss: [CORP] }],
  ['an iss with a control character', { sub: 'a', iss: 'x\0' }],
] as const) {
  test(`field-6 #12 act refused: ${name}, at the top and inside`, () => {
    assert.equal(reasonOf(parseAct(level, FOREIGN)), 'subject_token_act_malformed')
    assert.equal(
      reasonOf(parseAct({ sub: 'a', act: level }, FOREIGN)),
      'subject_token_act_malformed',
    )
  })
}

test('an act that is not there is no act', () => {
  assert.equal(reasonOf(parseAct(undefined, OWN)), 'subject_token_act_malformed')
})

test('field-6 #13 the cap on levels', () => {
  assert.equal(reasonOf(parseAct(levels(MAX_ACT_DEPTH), FOREIGN)), 'ok')
  assert.equal(reasonOf(parseAct(levels(MAX_ACT_DEPTH + 1), FOREIGN)), 'subject_token_act_too_deep')
  assert.equal(reasonOf(parseAct(levels(10_000), FOREIGN)), 'subject_token_act_too_deep')
})

test('field-6 #13 the cap on bytes counts what will be written, iss included', () => {
  const overhead = JSON.stringify({
    sub: '',
    iss: CORP,
    act: { sub: '', iss: CORP, act: { sub: 'x', iss: CORP } },
  }).length
  const act = (bytes: number) => {
    const rest = bytes - overhead - 2000
    return { sub: 's'.repeat(2000), act: { sub: 's'.repeat(rest), act: { sub: 'x' } } }
  }
  assert.equal(reasonOf(parseAct(act(MAX_ACT_BYTES), FOREIGN)), 'ok')
  assert.equal(reasonOf(parseAct(act(MAX_ACT_BYTES + 1), FOREIGN)), 'subject_token_act_too_deep')
  const wide = { sub: 'ü'.repeat(2040), act: { sub: 'x' } }
  assert.equal(reasonOf(parseAct(wide, OWN)), 'subject_token_act_too_deep')
})

test('TE-23 may_act is a party: sub, and iss where it has one', () => {
  for (const party of [
    { sub: FRONTEND },
    { sub: 'agent-7', iss: 'https://agents.example' },
    { sub: FRONTEND, iss: SELF },
  ]) {
    assert.deepEqual(unwrap(parseMayAct(party)), party)
  }
})

for (const [name, value] of [
  ['null', null],
  ['a text', FRONTEND],
  ['a list', [{ sub: FRONTEND }]],
  ['no sub', { iss: CORP }],
  ['a sub that is a list', { sub: [FRONTEND] }],
  ['an iss that is null', { sub: FRONTEND, iss: null }],
  ['a member that we do not know', { sub: FRONTEND, client_id: 'c' }],
  ['a nested act', { sub: FRONTEND, act: { sub: 'x' } }],
  ['an audience', { sub: FRONTEND, aud: 'x' }],
] as const) {
  test(`TE-23 field-6 #2 may_act refused: ${name}`, () => {
    assert.equal(reasonOf(parseMayAct(value)), 'subject_token_may_act_malformed')
  })
}

test('chain is a list of plain texts, or absent', () => {
  assert.deepEqual(unwrap(parseChain(undefined)), [])
  assert.deepEqual(unwrap(parseChain([FRONTEND, 'b'])), [FRONTEND, 'b'])
  assert.equal(reasonOf(parseChain(Array.from({ length: 16 }, () => 'a'))), 'ok')
  const tooLong = Array.from({ length: 17 }, () => 'a')
  for (const value of [null, 'a', {}, [1], [''], ['a\n'], [['a']], tooLong]) {
    assert.equal(
      reasonOf(parseChain(value)),
      'subject_token_claim_malformed',
      JSON.stringify(value),
    )
  }
})

test('P2 property: what passes has an iss at every level, never ours, and every sub in its place', () => {
  const level = fc.record(
    {
      sub: fc.string({ minLength: 1, maxLength: 20 }),
      iss: fc.constantFrom(CORP, SELF, 'https://x.example'),
    },
    { requiredKeys: ['sub'] },
  )
  fc.assert(
    fc.property(fc.array(level, { minLength: 1, maxLength: 12 }), (parties) => {
      const act = parties.reduceRight<object | undefined>(
        (inner, party) => ({ ...party, ...(inner === undefined ? {} : { act: inner }) }),
        undefined,
      )
      const result = parseAct(act, FOREIGN)
      if (parties.length > MAX_ACT_DEPTH || parties.some((party) => party.iss === SELF)) {
        assert.equal(result.ok, false)
      }
      if (!result.ok) return
      let at: Act | undefined = result.value
      for (const party of parties) {
        assert.equal(at?.sub, party.sub)
        assert.equal(at?.iss, party.iss ?? CORP)
        at = at?.act
      }
      assert.equal(at, undefined)
    }),
  )
})

test('property: any JSON gives a result, never an exception', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      parseAct(value, FOREIGN)
      parseAct({ sub: 'a', act: value }, OWN)
      parseMayAct(value)
      parseChain(value)
    }),
  )
})
