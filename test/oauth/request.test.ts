import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseForm } from '../../src/oauth/form.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../src/oauth/names.ts'
import { type Reason, type Result, WIRE } from '../../src/oauth/reasons.ts'
import {
  checkRepeats,
  parseClientParameters,
  parseTokenRequest,
  type TokenRequest,
} from '../../src/oauth/request.ts'

type Change = Record<string, string | string[] | undefined>

/** As short as a signed token can be. */
const A_SIGNATURE = 'mHs5'.repeat(20)
const A_TOKEN = `eyJhbGciOiJFUzI1NiJ9.e30.${A_SIGNATURE}`

const VALID = {
  grant_type: TOKEN_EXCHANGE_GRANT,
  subject_token: 'header.payload.signature',
  subject_token_type: TOKEN_TYPES.access_token,
  audience: 'checkout',
}

/** The valid request with one change, through the whole of what a form goes through. */
function read(change: Change): Result<TokenRequest> {
  const pairs = Object.entries({ ...VALID, ...change }).flatMap(([name, value]) =>
    [value ?? []].flat().map((one): [string, string] => [name, one]),
  )
  const form = parseForm(new URLSearchParams(pairs).toString())
  assert.ok(form.ok)
  const checked = checkRepeats(form.value)
  return checked.ok ? parseTokenRequest(checked.value) : checked
}

function value(change: Change = {}): TokenRequest {
  const request = read(change)
  assert.ok(request.ok, request.ok ? '' : request.reason)
  return request.value
}

describe('parseTokenRequest', () => {
  it('TE-01 TE-02 reads the smallest request', () => {
    assert.deepEqual(value(), {
      subjectToken: 'header.payload.signature',
      subjectTokenType: 'access_token',
      audiences: ['checkout'],
      resources: [],
      requestedTokenType: 'access_token',
    })
  })

  it('reads everything that a request can have', () => {
    const all = value({
      subject_token_type: TOKEN_TYPES.id_token,
      actor_token: 'actor',
      actor_token_type: TOKEN_TYPES.jwt,
      audience: ['checkout', 'https://checkout.example'],
      resource: 'https://checkout.example/api?tenant=1',
      scope: 'checkout:place checkout:quote',
      requested_token_type: TOKEN_TYPES.jwt,
    })
    assert.deepEqual(all, {
      subjectToken: 'header.payload.signature',
      subjectTokenType: 'id_token',
      actorToken: { token: 'actor', type: 'jwt' },
      audiences: ['checkout', 'https://checkout.example'],
      resources: ['https://checkout.example/api?tenant=1'],
      scopes: ['checkout:place', 'checkout:quote'],
      requestedTokenType: 'jwt',
    })
  })

  const refused: [string, Change, Reason][] = [
    ['TE-01 no grant type', { grant_type: undefined }, 'grant_type_missing'],
    ['OA-02 an empty grant type', { grant_type: '' }, 'grant_type_missing'],
    ['OA-07 another grant', { grant_type: 'client_credentials' }, 'grant_type_unsupported'],
    [
      'a grant in other case',
      { grant_type: TOKEN_EXCHANGE_GRANT.toUpperCase() },
      'grant_type_unsupported',
    ],
    ['TE-02 no subject token', { subject_token: undefined }, 'subject_token_missing'],
    ['field-6 #7 an empty subject token', { subject_token: '' }, 'subject_token_missing'],
    [
      'TE-02 no subject token type',
      { subject_token_type: undefined },
      'subject_token_type_missing',
    ],
    [
      'TE-17 an unknown subject token type',
      { subject_token_type: 'jwt' },
      'subject_token_type_unsupported',
    ],
    [
      'TE-17 SAML',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' },
      'subject_token_type_unsupported',
    ],
    [
      'a refresh token',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
      'subject_token_type_unsupported',
    ],
    [
      'a type that objects inherit',
      { subject_token_type: '__proto__' },
      'subject_token_type_unsupported',
    ],
    ['TE-03 an actor token without type', { actor_token: 'a' }, 'actor_token_type_missing'],
    [
      'TE-03 an actor type without token',
      { actor_token_type: TOKEN_TYPES.jwt },
      'actor_token_type_without_token',
    ],
    [
      'an unknown actor type',
      { actor_token: 'a', actor_token_type: 'x' },
      'actor_token_type_unsupported',
    ],
    [
      'TE-07 an ID token asked for',
      { requested_token_type: TOKEN_TYPES.id_token },
      'requested_token_type_unsupported',
    ],
    [
      'TE-07 an unknown type asked for',
      { requested_token_type: 'x' },
      'requested_token_type_unsupported',
    ],
    ['TE-04 RI-01 a resource that is not absolute', { resource: '/api' }, 'resource_malformed'],
    [
      'TE-04 RI-01 a resource with a fragment',
      { resource: 'https://a.example/#x' },
      'resource_malformed',
    ],
    ['RI-01 a resource with a space', { resource: 'https://a.example/ b' }, 'resource_malformed'],
    ['RI-01 a resource with a quote', { resource: 'https://a.example/"' }, 'resource_malformed'],
    ['RI-01 a resource outside ASCII', { resource: 'https://é.example/' }, 'resource_malformed'],
    ['RI-02 a scheme alone', { resource: 'https:' }, 'resource_malformed'],
    [
      'RI-02 one bad resource among good ones',
      { resource: ['https://a.example', 'b'] },
      'resource_malformed',
    ],
    [
      'too many resources',
      { resource: Array<string>(9).fill('https://a.example') },
      'resource_malformed',
    ],
    [
      'a resource too long',
      { resource: `https://a.example/${'a'.repeat(500)}` },
      'resource_malformed',
    ],
    ['too many audiences', { audience: Array<string>(9).fill('checkout') }, 'audience_malformed'],
    ['an audience too long', { audience: 'a'.repeat(513) }, 'audience_malformed'],
    ['an audience with a space', { audience: 'check out' }, 'audience_malformed'],
    ['an audience with a look-alike', { audience: 'сheckout' }, 'audience_malformed'],
    ['an audience that writes backwards', { audience: 'a\u202eb' }, 'audience_malformed'],
    ['one bad audience among good ones', { audience: ['checkout', 'é'] }, 'audience_malformed'],
    ['a scope of spaces', { scope: '  ' }, 'scope_malformed'],
    ['a scope with a quote', { scope: 'a"b' }, 'scope_malformed'],
    ['a scope with a backslash', { scope: 'a\\b' }, 'scope_malformed'],
    ['a scope outside ASCII', { scope: 'é' }, 'scope_malformed'],
    ['a scope that is longer than any', { scope: `${'a:'.repeat(64)}a` }, 'scope_malformed'],
    // P7: what is mixed up with a token is recorded nowhere.
    ['a token as audience', { audience: A_TOKEN }, 'audience_malformed'],
    [
      'a token within a resource',
      { resource: `https://a.example/?${A_TOKEN}` },
      'resource_malformed',
    ],
    ['a token as scope', { scope: `checkout:place ${A_SIGNATURE}` }, 'scope_malformed'],
    [
      'too many scopes',
      { scope: Array.from({ length: 65 }, (_, i) => `s${i}`).join(' ') },
      'scope_malformed',
    ],
  ]
  for (const [name, change, reason] of refused) {
    it(`refuses ${name}`, () => {
      const request = read(change)
      assert.ok(!request.ok)
      assert.equal(request.reason, reason)
    })
  }

  it('OA-03 refuses each parameter that is repeated, but audience and resource', () => {
    const single = [
      'grant_type',
      'subject_token',
      'subject_token_type',
      'actor_token',
      'actor_token_type',
      'requested_token_type',
      'scope',
      'client_id',
      'client_assertion',
      'client_assertion_type',
      'client_secret',
      'unknown',
    ]
    for (const name of single) {
      const request = read({ [name]: ['a', 'a'] })
      assert.ok(!request.ok)
      assert.equal(request.reason, 'request_parameter_repeated', name)
    }
    assert.deepEqual(value({ audience: ['a', 'b'] }).audiences, ['a', 'b'])
    assert.equal(
      value({ resource: ['https://a.example', 'https://b.example'] }).resources.length,
      2,
    )
  })

  it('OA-02 ignores unknown parameters', () => {
    assert.deepEqual(value({ foo: 'bar', client_secret: 'x', __proto__x: 'y' }), value())
  })

  it('OA-02 takes every optional parameter as absent when it is empty', () => {
    const empty = {
      actor_token: '',
      actor_token_type: '',
      requested_token_type: '',
      scope: '',
      resource: '',
    }
    assert.deepEqual(value(empty), value())
    assert.deepEqual(value({ audience: '' }).audiences, [])
  })

  it('TE-18 takes a JWT subject under either name', () => {
    assert.equal(value({ subject_token_type: TOKEN_TYPES.jwt }).subjectTokenType, 'jwt')
  })

  it('asks for each scope once, and takes as many as the cap', () => {
    assert.deepEqual(value({ scope: ' a  b a ' }).scopes, ['a', 'b'])
    const long = `${'a:'.repeat(63)}ab`
    assert.deepEqual(value({ scope: long }).scopes, [long])
    assert.deepEqual(value({ audience: 'a'.repeat(79) }).audiences, ['a'.repeat(79)])
    const many = Array.from({ length: 64 }, (_, i) => `s${i}`)
    assert.deepEqual(value({ scope: many.join(' ') }).scopes, many)
  })

  it('takes as many and as long targets as the caps', () => {
    assert.equal(value({ audience: Array<string>(8).fill('a.'.repeat(256)) }).audiences.length, 8)
    assert.equal(value({ resource: Array<string>(8).fill('urn:a') }).resources.length, 8)
  })

  it('never throws on any form, and gives a known reason', () => {
    const names = fc.constantFrom(
      ...Object.keys(VALID),
      'resource',
      'scope',
      'actor_token',
      'actor_token_type',
      'requested_token_type',
    )
    const values = fc.oneof(
      fc.string(),
      fc.constantFrom(...Object.values(VALID), ...Object.values(TOKEN_TYPES)),
    )
    fc.assert(
      fc.property(fc.dictionary(names, fc.array(values, { maxLength: 3 })), (change) => {
        const form = new Map(Object.entries(change).filter(([, list]) => list.length > 0))
        const request = parseTokenRequest(form)
        if (!request.ok) assert.ok(request.reason in WIRE)
        else assert.ok(request.value.subjectToken !== '')
      }),
      { numRuns: 500 },
    )
  })
})

describe('parseClientParameters', () => {
  const parse = (body: string) => {
    const form = parseForm(body)
    assert.ok(form.ok)
    return parseClientParameters(form.value)
  }

  it('reads what is there', () => {
    assert.deepEqual(parse('a=1'), { ok: true, value: {} })
    assert.deepEqual(parse('client_id=c&client_assertion=a&client_assertion_type=t'), {
      ok: true,
      value: { clientId: 'c', clientAssertion: 'a', clientAssertionType: 't' },
    })
  })

  it('CA-01 refuses half an assertion', () => {
    assert.deepEqual(parse('client_assertion=a'), {
      ok: false,
      reason: 'client_assertion_type_missing',
    })
    assert.deepEqual(parse('client_assertion=a&client_assertion_type='), {
      ok: false,
      reason: 'client_assertion_type_missing',
    })
    assert.deepEqual(parse('client_assertion_type=t'), {
      ok: false,
      reason: 'client_assertion_missing',
    })
  })
})
