import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { jwksUrlSource } from '../../src/jwt/jwks-url.ts'
import type { KeySource } from '../../src/jwt/key-source.ts'
import type { TokenType } from '../../src/oauth/names.ts'
import type { Result } from '../../src/oauth/reasons.ts'
import type { Actor, Subject } from '../../src/subjects/subject.ts'
import { jwksOf, signJwt, startJwksServer, type TestKey } from '../support/jwt-fixtures.ts'
import {
  CORP_ISS,
  corpClaims,
  corpKey,
  corporate,
  frontend,
  makeVerifier,
  NOW,
  NOW_SECONDS,
  PARTNER_ISS,
  partner,
  partnerKey,
  SELF_ISS,
  selfClaims,
  selfKey,
} from '../support/token-verifier.ts'

const verifier = makeVerifier()
const FRONTEND_ID = 'spiffe://cluster.local/ns/boutique/sa/frontend'

interface Case {
  key?: TestKey
  claims?: Record<string, unknown>
  header?: Record<string, unknown>
  type?: TokenType
  presenter?: typeof frontend
}

const tokenOf = ({ key = corpKey, claims, header }: Case): string => {
  const base = key === selfKey ? selfClaims : corpClaims
  return signJwt(key, { ...base, ...claims }, header)
}
const subjectOf = (one: Case = {}, by = verifier): Promise<Result<Subject>> =>
  by.verifySubject(tokenOf(one), one.type ?? 'access_token', one.presenter ?? frontend, NOW)
const actorOf = (one: Case = {}): Promise<Result<Actor>> =>
  verifier.verifyActor(tokenOf(one), one.type ?? 'access_token', one.presenter ?? frontend, NOW)

const reasonOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.reason)

async function verified(one: Case = {}): Promise<Subject> {
  const result = await subjectOf(one)
  if (!result.ok) assert.fail(`${result.reason} ${result.detail}`)
  return result.value
}

test('a subject of another issuer has all that the exchange needs', async () => {
  const subject = await verified({
    claims: { realm_access: { roles: ['buyer'] }, email: 'a@x.example' },
  })
  const { claims, scopes, tokenHash, ...rest } = subject
  assert.deepEqual(rest, {
    issuer: 'corporate',
    iss: CORP_ISS,
    sub: 'alice',
    qualifiedSub: 'corp:alice',
    tokenType: 'access_token',
    audiences: ['https://api.shop.example'],
    exp: NOW_SECONDS + 3600,
    chain: [],
    jti: 'corp-jti',
  })
  assert.deepEqual([...scopes], ['shop:buy', 'shop:browse', 'role:buyer'])
  assert.equal(claims.email, 'a@x.example')
  assert.ok(Object.isFrozen(claims) && Object.isFrozen(claims.realm_access))
  const token = tokenOf({ claims: { realm_access: { roles: ['buyer'] }, email: 'a@x.example' } })
  assert.equal(tokenHash, createHash('sha256').update(token).digest('hex'))
})

test('a subject of our own keeps its sub, its chain and its act', async () => {
  const act = { sub: FRONTEND_ID, act: { sub: 'agent-7', iss: CORP_ISS } }
  const chain = [FRONTEND_ID]
  const subject = await verified({
    key: selfKey,
    claims: { act, chain, may_act: { sub: FRONTEND_ID } },
  })
  assert.equal(subject.issuer, 'self')
  assert.equal(subject.qualifiedSub, 'corp:alice')
  assert.deepEqual(subject.act, act)
  assert.deepEqual(subject.chain, chain)
  assert.deepEqual(subject.mayAct, { sub: FRONTEND_ID })
  assert.deepEqual([...subject.scopes], ['frontend:view'])
})

test('field-6 #1 act and may_act come from the token, whoever asks', async () => {
  const subject = await verified({ claims: { act: { sub: 'bot' }, may_act: { sub: FRONTEND_ID } } })
  assert.deepEqual(subject.act, { sub: 'bot', iss: CORP_ISS })
  assert.deepEqual(subject.mayAct, { sub: FRONTEND_ID })
})

test("P2 another issuer's chain is not ours", async () => {
  const subject = await verified({ claims: { chain: [FRONTEND_ID] } })
  assert.deepEqual(subject.chain, [])
  assert.equal(reasonOf(await subjectOf({ claims: { chain: 'anything' } })), 'ok')
})

test('field-6 #19 the same sub of two issuers is two subjects', async () => {
  const one = await verified()
  const claims = { iss: PARTNER_ISS }
  const two = await verified({ key: partnerKey, claims, header: { typ: 'JWT' }, type: 'jwt' })
  assert.equal(one.sub, two.sub)
  assert.notEqual(one.qualifiedSub, two.qualifiedSub)
})

test('P1 a token brings no scope where it has none', async () => {
  assert.equal((await verified({ claims: { scope: undefined } })).scopes.size, 0)
})

test('jti is optional', async () => {
  assert.equal('jti' in (await verified({ claims: { jti: undefined } })), false)
})

const LONG = 2048
/** Each changes one thing of a valid token; the end is the same for a subject and an actor. */
const REFUSED: readonly [name: string, change: Case, problem: string][] = [
  [
    'BCP-07 an issuer that is not trusted',
    { claims: { iss: 'https://evil.example' } },
    'issuer_not_trusted',
  ],
  ['BCP-07 iss with a slash more', { claims: { iss: `${CORP_ISS}/` } }, 'issuer_not_trusted'],
  [
    'BCP-07 iss in other case',
    { claims: { iss: 'https://LOGIN.corp.example' } },
    'issuer_not_trusted',
  ],
  ['no iss', { claims: { iss: undefined } }, 'claim_malformed'],
  ['iss as a list', { claims: { iss: [CORP_ISS] } }, 'claim_malformed'],
  ['BCP-07 the key of another trusted issuer', { key: partnerKey }, 'key_unknown'],
  ['BCP-07 our key under another iss', { key: selfKey, claims: { iss: CORP_ISS } }, 'key_unknown'],
  ['BCP-07 another key under our iss', { claims: { iss: SELF_ISS } }, 'algorithm_not_allowed'],
  [
    'BCP-01 an algorithm not allowed for the issuer',
    { key: { ...corpKey, alg: 'PS256' } },
    'algorithm_not_allowed',
  ],
  [
    'the key of another under the right kid',
    { key: { ...partnerKey, kid: 'corp-1', alg: 'ES256' } },
    'algorithm_not_allowed',
  ],
  ['TE-08 an ID token as access token', { header: { typ: 'JWT' } }, 'typ_not_accepted'],
  ['TE-08 an access token without typ', { header: { typ: undefined } }, 'typ_not_accepted'],
  [
    'CA-09 a client assertion',
    { header: { typ: 'client-authentication+jwt' } },
    'typ_not_accepted',
  ],
  ['BCP-11 a logout token', { header: { typ: 'logout+jwt' } }, 'typ_not_accepted'],
  ['TE-08 an access token as ID token', { type: 'id_token' }, 'typ_not_accepted'],
  ['TE-18 an ID token as jwt', { type: 'jwt', header: { typ: 'JWT' } }, 'typ_not_accepted'],
  [
    'TE-08 our own token as ID token',
    { key: selfKey, type: 'id_token', header: { typ: 'JWT' } },
    'type_not_accepted',
  ],
  [
    'TE-08 a type that the issuer does not issue',
    { key: partnerKey, claims: { iss: PARTNER_ISS }, header: { typ: 'JWT' } },
    'type_not_accepted',
  ],
  [
    'a logout token with typ JWT as ID token',
    {
      type: 'id_token',
      header: { typ: 'JWT' },
      claims: { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
    },
    'claim_malformed',
  ],
  ['no exp', { claims: { exp: undefined } }, 'claim_malformed'],
  ['exp is now', { claims: { exp: NOW_SECONDS } }, 'expired'],
  ['P1 exp within the skew', { claims: { exp: NOW_SECONDS - 1 } }, 'expired'],
  ['nbf beyond the skew', { claims: { nbf: NOW_SECONDS + 31 } }, 'not_yet_valid'],
  ['iat beyond the skew', { claims: { iat: NOW_SECONDS + 31 } }, 'not_yet_valid'],
  ['BCP-08 no aud', { claims: { aud: undefined } }, 'claim_malformed'],
  ['an empty aud', { claims: { aud: [] } }, 'claim_malformed'],
  [
    'field-6 #6 an aud of somebody else',
    { claims: { aud: 'https://other.example' } },
    'presenter_not_allowed',
  ],
  [
    'field-6 #6 our token for somebody else',
    { key: selfKey, claims: { aud: 'https://checkout.boutique.example' } },
    'presenter_not_allowed',
  ],
  [
    'field-6 #6 a presenter that is not listed',
    { presenter: { ...frontend, name: 'boutique/cart' } },
    'presenter_not_allowed',
  ],
  ['field-6 #22 a confirmation', { claims: { cnf: { jkt: 'x' } } }, 'confirmation_unsupported'],
  [
    'field-6 #22 a confirmation that is null',
    { claims: { cnf: null } },
    'confirmation_unsupported',
  ],
  ['no sub', { claims: { sub: undefined } }, 'claim_malformed'],
  ['an empty sub', { claims: { sub: '' } }, 'claim_malformed'],
  ['sub as a number', { claims: { sub: 1 } }, 'claim_malformed'],
  ['sub with a control character', { claims: { sub: 'a\r\nx: y' } }, 'claim_malformed'],
  [
    'sub that is too long with its prefix',
    { claims: { sub: 's'.repeat(LONG - 'corp:'.length + 1) } },
    'claim_malformed',
  ],
  ['jti as an object', { claims: { jti: {} } }, 'claim_malformed'],
  ['jti beyond the cap', { claims: { jti: 'j'.repeat(513) } }, 'claim_malformed'],
]
for (const [name, change, problem] of REFUSED) {
  test(`refused: ${name}`, async () => {
    assert.equal(reasonOf(await subjectOf(change)), `subject_token_${problem}`)
    assert.equal(reasonOf(await actorOf(change)), `actor_token_${problem}`)
  })
}

test('a token without a signature that fits is refused for its signature', async () => {
  const [header, payload] = tokenOf({}).split('.')
  const stolen = tokenOf({ claims: { sub: 'bob' } }).split('.')[2]
  const token = `${header}.${payload}.${stolen}`
  const result = await verifier.verifySubject(token, 'access_token', frontend, NOW)
  assert.equal(reasonOf(result), 'subject_token_signature_invalid')
})

for (const [name, change] of [
  ['TE-18 an access token as jwt', { type: 'jwt' }],
  ['TE-08 an ID token with typ JWT', { type: 'id_token', header: { typ: 'JWT' } }],
  ['TE-08 an ID token without typ', { type: 'id_token', header: { typ: undefined } }],
  ['TE-18 our own token as jwt', { key: selfKey, type: 'jwt' }],
  [
    'an issuer that writes no typ, where that is said',
    { key: partnerKey, claims: { iss: PARTNER_ISS }, header: { typ: undefined }, type: 'jwt' },
  ],
  [
    'several audiences, one of them known',
    { claims: { aud: ['https://x.example', 'https://api.shop.example'] } },
  ],
  [
    'nbf and iat at the end of the skew',
    { claims: { nbf: NOW_SECONDS + 30, iat: NOW_SECONDS + 30 } },
  ],
  ['exp in the next second', { claims: { exp: NOW_SECONDS + 1 } }],
  ['the longest sub', { claims: { sub: 's'.repeat(LONG - 'corp:'.length) } }],
  ['the longest sub of our own', { key: selfKey, claims: { sub: 's'.repeat(LONG) } }],
] as readonly [string, Case][]) {
  test(`accepted: ${name}`, async () => {
    assert.equal(reasonOf(await subjectOf(change)), 'ok')
    assert.equal(reasonOf(await actorOf(change)), 'ok')
  })
}

for (const [name, change, reason] of [
  ['field-6 #12 act is a text', { claims: { act: FRONTEND_ID } }, 'subject_token_act_malformed'],
  ['field-6 #12 act is null', { claims: { act: null } }, 'subject_token_act_malformed'],
  [
    'P2 act names us in another token',
    { claims: { act: { sub: FRONTEND_ID, iss: SELF_ISS } } },
    'subject_token_act_malformed',
  ],
  [
    'field-6 #13 act is too deep',
    {
      claims: {
        act: Array.from({ length: 11 }).reduce(
          (inner) => ({ sub: 'a', ...(inner ? { act: inner } : {}) }),
          undefined,
        ),
      },
    },
    'subject_token_act_too_deep',
  ],
  ['field-6 #2 may_act is a list', { claims: { may_act: [] } }, 'subject_token_may_act_malformed'],
  [
    'TE-23 may_act with another member',
    { claims: { may_act: { sub: 'a', aud: 'b' } } },
    'subject_token_may_act_malformed',
  ],
  [
    'our chain is a text',
    { key: selfKey, claims: { chain: FRONTEND_ID } },
    'subject_token_claim_malformed',
  ],
  ['the scope is an object', { claims: { scope: {} } }, 'subject_token_claim_malformed'],
] as readonly [string, Case, string][]) {
  test(`a subject refused: ${name}`, async () => {
    assert.equal(reasonOf(await subjectOf(change)), reason)
  })
}

test('an actor has what the decision needs', async () => {
  const result = await actorOf()
  assert.ok(result.ok)
  const { tokenHash, ...rest } = result.value
  assert.deepEqual(rest, {
    issuer: 'corporate',
    iss: CORP_ISS,
    sub: 'alice',
    exp: NOW_SECONDS + 3600,
    jti: 'corp-jti',
  })
  assert.match(tokenHash, /^[0-9a-f]{64}$/)
})

for (const claims of [
  { act: { sub: 'a' } },
  { act: null },
  { may_act: { sub: 'a' } },
  { may_act: 1 },
]) {
  test(`P2 an actor that is itself delegated is refused: ${JSON.stringify(claims)}`, async () => {
    assert.equal(reasonOf(await actorOf({ claims })), 'actor_token_delegated')
    assert.equal(reasonOf(await actorOf({ key: selfKey, claims })), 'actor_token_delegated')
  })
}

test('an issuer is looked up, and its rules are checked, before its keys are asked for', async () => {
  const asked: string[] = []
  const keys: KeySource = {
    current: () => {
      asked.push('current')
      return { version: '', keys: [] }
    },
    refreshed: () => assert.fail('asked'),
  }
  const by = makeVerifier([{ ...corporate, keys }])
  for (const change of [
    { claims: { iss: 'https://evil.example' } },
    { claims: { iss: PARTNER_ISS } },
    { header: { typ: 'JWT' } },
    { key: selfKey },
  ]) {
    await subjectOf(change, by)
  }
  assert.deepEqual(asked, [])
})

test('P4 an issuer that is down is an outage, and slows nobody who uses another', async () => {
  const server = await startJwksServer()
  after(() => server.close())
  const warned: string[] = []
  const clock = { ms: 0 }
  const keys = jwksUrlSource({
    from: { jwksUri: server.url },
    allowed: ALGORITHMS,
    monotonic: () => clock.ms,
    log: { info: () => undefined, warn: (_fields, message) => void warned.push(message) },
    allowHttp: true,
  })
  // The issuer accepts the request and never answers, until the test says so.
  const release = new Promise<() => void>((resolve) => {
    server.handle((_request, response) => resolve(() => void response.writeHead(503).end()))
  })
  const by = makeVerifier([{ ...corporate, keys }, partner])
  const waiting = subjectOf({}, by)
  const answer = await release
  const change: Case = {
    key: partnerKey,
    claims: { iss: PARTNER_ISS },
    header: { typ: 'JWT' },
    type: 'jwt',
  }
  assert.equal(reasonOf(await subjectOf(change, by)), 'ok')
  answer()
  assert.deepEqual(await waiting, {
    ok: false,
    reason: 'subject_token_issuer_unavailable',
    detail: 'answered 503',
    retryAfterSeconds: 10,
  })
  const again = await by.verifyActor(tokenOf({}), 'access_token', frontend, NOW)
  assert.deepEqual(again, {
    ok: false,
    reason: 'actor_token_issuer_unavailable',
    detail: 'answered 503',
    retryAfterSeconds: 10,
  })
  assert.equal(server.hits.length, 1)
  server.serve(jwksOf([corpKey]))
  clock.ms = 10_000
  assert.equal(reasonOf(await subjectOf({}, by)), 'ok')
  keys.close()
})

test('only the signature is cached: time, type and presenter are looked at every time', async () => {
  const token = tokenOf({})
  const ask = (type: TokenType, presenter = frontend, now = NOW) =>
    verifier.verifySubject(token, type, presenter, now).then(reasonOf)
  assert.equal(await ask('access_token'), 'ok')
  assert.equal(await ask('access_token', frontend, NOW + 3600_000), 'subject_token_expired')
  assert.equal(await ask('id_token'), 'subject_token_typ_not_accepted')
  const cart = { ...frontend, name: 'boutique/cart' }
  assert.equal(await ask('access_token', cart), 'subject_token_presenter_not_allowed')
  assert.equal(await ask('access_token'), 'ok')
})

test('two issuers with one iss, or one name, are a mistake in the making', () => {
  const message = 'two trusted issuers share a name or an iss'
  assert.throws(() => makeVerifier([corporate, { ...partner, iss: CORP_ISS }]), { message })
  assert.throws(() => makeVerifier([corporate, { ...partner, name: 'corporate' }]), { message })
  assert.throws(() => makeVerifier([{ ...partner, name: 'self' }]), { message })
  assert.throws(() => makeVerifier([{ ...partner, iss: SELF_ISS }]), { message })
})

test('P7 no failure repeats a part of the token', async () => {
  const changes = [
    ...REFUSED.map(([, change]) => change),
    { claims: { iss: 'x\u0000\u{1f600}'.repeat(500) } },
  ]
  for (const change of changes) {
    const result = await subjectOf(change)
    assert.ok(!result.ok)
    const detail = result.detail ?? ''
    assert.ok(detail.length <= 250)
    assert.match(detail, /^[\x20-\x7e]*$/)
    for (const part of tokenOf(change).split('.')) assert.equal(detail.includes(part), false)
  }
})

test('P4 property: any claims of a trusted issuer give a subject or a stable reason', async () => {
  const names = [
    'iss',
    'sub',
    'aud',
    'exp',
    'nbf',
    'iat',
    'jti',
    'scope',
    'act',
    'may_act',
    'cnf',
    'realm_access',
  ]
  const change = fc.dictionary(fc.constantFrom(...names), fc.jsonValue(), { maxKeys: 4 })
  await fc.assert(
    fc.asyncProperty(change, async (claims) => {
      const result = await subjectOf({ claims })
      if (!result.ok) {
        assert.match(result.reason, /^subject_token_/)
        return
      }
      const { value } = result
      assert.ok(value.exp > NOW_SECONDS)
      assert.ok(value.qualifiedSub.startsWith('corp:'))
      assert.ok(value.audiences.includes('https://api.shop.example'))
      assert.equal('act' in value, claims.act !== undefined)
    }),
  )
})

test('property: any text is refused or verified, never an exception', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (token) => {
      const result = await verifier.verifySubject(token, 'jwt', frontend, NOW)
      assert.match(reasonOf(result), /^subject_token_/)
    }),
  )
})
