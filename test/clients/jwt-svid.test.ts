import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJwtSvid, type JwtSvidOptions } from '../../src/clients/jwt-svid.ts'
import type { Algorithm } from '../../src/jwt/algorithms.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { makeKey, signJwt, signRaw, type TestKey } from '../support/jwt-fixtures.ts'
import { ISSUER, NOW, OUTAGE, parsed, provenOf, SECONDS, sourceOf } from './assertions.ts'

const KEY = makeKey('ES256', 'own')
const OTHER_KEY = makeKey('ES256', 'other')
const CART = 'spiffe://cluster.local/ns/default/sa/cart'

const OPTIONS: JwtSvidOptions = {
  issuer: ISSUER,
  bundles: new Map([
    ['cluster.local', sourceOf(KEY)],
    ['other.example', sourceOf(OTHER_KEY)],
    ['down.example', OUTAGE],
  ]),
  verifier: createSignatureVerifier({ cacheEntries: 100 }),
  skewSeconds: 30,
}
const CLAIMS = { sub: CART, aud: [ISSUER], exp: SECONDS + 300, iat: SECONDS }

interface Change {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: TestKey
  readonly options?: Partial<JwtSvidOptions>
  readonly now?: number
}

async function authenticate(change: Change = {}) {
  const { key = KEY, header, claims, options, now = NOW } = change
  const token = signJwt(key, { ...CLAIMS, ...claims }, { typ: 'JWT', ...header })
  return createJwtSvid({ ...OPTIONS, ...options })(parsed(token), now)
}

const answer = async (change?: Change) => provenOf(await authenticate(change))

test('SC-01, SP-02: a JWT-SVID names the caller', async () => {
  assert.equal(await answer(), CART)
})

test('SC-03: iss, jti, iat and nbf are optional, and iss leads nowhere', async () => {
  assert.equal(await answer({ claims: { iat: undefined } }), CART)
  const claims = { iss: 'https://spire.example', jti: '1', nbf: SECONDS }
  assert.equal(await answer({ claims }), CART)
})

test('SP-02: aud may be a string, typ may be JWT, JOSE or absent, kid may be absent', async () => {
  assert.equal(await answer({ claims: { aud: ISSUER } }), CART)
  for (const typ of ['JWT', 'JOSE', undefined])
    assert.equal(await answer({ header: { typ } }), CART)
  assert.equal(await answer({ header: { kid: undefined } }), CART)
})

for (const alg of ['RS256', 'PS384', 'ES512'] satisfies Algorithm[]) {
  test(`SP-02: ${alg} is accepted`, async () => {
    const key = makeKey(alg, 'own')
    const options = { bundles: new Map([['cluster.local', sourceOf(key)]]) }
    assert.equal(await answer({ key, options }), CART)
  })
}

test('field-6 #25: an SVID is presented many times until it expires', async () => {
  const token = parsed(signJwt(KEY, { ...CLAIMS, jti: 'same' }, { typ: 'JWT' }))
  const check = createJwtSvid(OPTIONS)
  for (let call = 0; call < 3; call += 1) assert.equal(provenOf(await check(token, NOW)), CART)
  // The signature is remembered by then; the time is looked at all the same.
  assert.equal(provenOf(await check(token, NOW + 300_000)), 'client_assertion_expired')
})

const DENIED: Readonly<Record<string, readonly [Reason, Change]>> = {
  'SC-02: another audience': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: ['https://other.example'] } },
  ],
  'SC-02: our audience and another': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [ISSUER, 'https://other.example'] } },
  ],
  'SC-02: our audience twice': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [ISSUER, ISSUER] } },
  ],
  'CA-08: the token endpoint as audience': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [`${ISSUER}/token`] } },
  ],
  'CA-03: an audience that differs by a slash': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [`${ISSUER}/`] } },
  ],
  'SP-02: no audience': ['client_assertion_claim_malformed', { claims: { aud: undefined } }],
  'an empty list of audiences': ['client_assertion_claim_malformed', { claims: { aud: [] } }],
  'SP-02: no exp': ['client_assertion_claim_malformed', { claims: { exp: undefined } }],
  expired: ['client_assertion_expired', { claims: { exp: SECONDS } }],
  'not yet valid': ['client_assertion_not_yet_valid', { claims: { nbf: SECONDS + 31 } }],
  'SP-02: no sub': ['client_assertion_claim_malformed', { claims: { sub: undefined } }],
  'a sub that is a list': ['client_assertion_claim_malformed', { claims: { sub: [CART] } }],
  'a sub that is no SPIFFE ID': ['client_spiffe_id_malformed', { claims: { sub: 'cart' } }],
  'a sub that is a trust domain alone': [
    'client_spiffe_id_malformed',
    { claims: { sub: 'spiffe://cluster.local' } },
  ],
  'field-6 #23: a trust domain that is not allowed': [
    'client_trust_domain_not_allowed',
    { claims: { sub: 'spiffe://evil.example/ns/default/sa/cart' } },
  ],
  'SC-05: an ID of one trust domain, signed by the keys of another': [
    'client_assertion_key_unknown',
    { key: OTHER_KEY },
  ],
  'SC-05: the same with a kid that both have': [
    'client_assertion_signature_invalid',
    { key: OTHER_KEY, header: { kid: 'own' } },
  ],
  'another header member': ['client_assertion_header_not_accepted', { header: { cty: 'JWT' } }],
  'SP-02: another typ': ['client_assertion_typ_not_accepted', { header: { typ: 'at+jwt' } }],
  'WI-01: a WIT-SVID': ['client_assertion_typ_not_accepted', { header: { typ: 'wit+jwt' } }],
  'SP-02: EdDSA, even where the bundle has such a key': [
    'client_assertion_algorithm_not_allowed',
    {
      key: makeKey('EdDSA', 'ed'),
      options: { bundles: new Map([['cluster.local', sourceOf(makeKey('EdDSA', 'ed'))]]) },
    },
  ],
  'a bundle that cannot be had': [
    'client_assertion_issuer_unavailable',
    { claims: { sub: 'spiffe://down.example/x' } },
  ],
  'no bundle: nobody': ['client_trust_domain_not_allowed', { options: { bundles: new Map() } }],
}

for (const [name, [reason, change]] of Object.entries(DENIED)) {
  test(`refused: ${name}`, async () => {
    assert.equal(await answer(change), reason)
  })
}

test('P4: an outage says when to come back', async () => {
  const result = await authenticate({ claims: { sub: 'spiffe://down.example/x' } })
  assert.equal(result.ok ? undefined : result.retryAfterSeconds, 7)
})

test('a signature over other claims is none', async () => {
  const [header] = signJwt(KEY, CLAIMS, { typ: 'JWT' }).split('.')
  const [, payload] = signJwt(KEY, { ...CLAIMS, sub: `${CART}x` }, { typ: 'JWT' }).split('.')
  const [, , signature] = signJwt(KEY, CLAIMS, { typ: 'JWT' }).split('.')
  const check = createJwtSvid(OPTIONS)
  const end = await check(parsed(`${header}.${payload}.${signature}`), NOW)
  assert.equal(provenOf(end), 'client_assertion_signature_invalid')
})

test('a header member hidden by spelling is seen', async () => {
  const header = '{"alg":"ES256","kid":"own","typ":"JWT","\\u0078":1}'
  const token = signRaw(header, JSON.stringify(CLAIMS), KEY)
  const end = await createJwtSvid(OPTIONS)(parsed(token), NOW)
  assert.equal(provenOf(end), 'client_assertion_header_not_accepted')
})
