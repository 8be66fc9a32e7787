import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ClaimAssertionId,
  createPrivateKeyJwt,
  type PrivateKeyJwtOptions,
} from '../../src/clients/private-key-jwt.ts'
import type { KeySource } from '../../src/jwt/key-source.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import { fail, ok, type Reason } from '../../src/oauth/reasons.ts'
import { makeKey, signJwt, type TestKey } from '../support/jwt-fixtures.ts'
import { endOf, ISSUER, NOW, OUTAGE, parsed, SECONDS, sourceOf } from './assertions.ts'

const KEY = makeKey('ES256', 'batch')
const PARTNER_KEY = makeKey('ES256', 'partner')
const SERVICE = 'boutique/partner-batch'
const KEYS = new Map<string, KeySource>([
  [SERVICE, sourceOf(KEY)],
  ['boutique/other', sourceOf(PARTNER_KEY)],
  ['boutique/down', OUTAGE],
])
const CLAIMS = {
  iss: SERVICE,
  sub: SERVICE,
  aud: ISSUER,
  exp: SECONDS + 60,
  iat: SECONDS,
  jti: 'j1',
}

/** A replay store as the real one answers, in memory; it remembers what it was asked. */
function createReplayStore() {
  const asked: { service: string; jti: string; expiresAtSeconds: number }[] = []
  const used = new Set<string>()
  const claim: ClaimAssertionId = async (service, jti, expiresAtSeconds) => {
    asked.push({ service, jti, expiresAtSeconds })
    if (used.has(`${service}\n${jti}`)) return fail('client_assertion_replayed')
    used.add(`${service}\n${jti}`)
    return ok(undefined)
  }
  return { asked, claim }
}

interface Change {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: TestKey
  readonly clientId?: string
}

function authenticator(options: Partial<PrivateKeyJwtOptions> = {}) {
  const store = createReplayStore()
  const check = createPrivateKeyJwt({
    issuer: ISSUER,
    keysOf: (service) => KEYS.get(service),
    claimAssertionId: store.claim,
    verifier: createSignatureVerifier({ cacheEntries: 100 }),
    skewSeconds: 30,
    ...options,
  })
  const present = async ({ claims, header, key = KEY, clientId }: Change = {}, now = NOW) => {
    const typ = 'client-authentication+jwt'
    const token = signJwt(key, { ...CLAIMS, ...claims }, { typ, ...header })
    return check(parsed(token), now, clientId)
  }
  return { present, asked: store.asked }
}

test('CA-01, CA-02: the key that a service registered names the service', async () => {
  const { present, asked } = authenticator()
  assert.equal(endOf(await present()), SERVICE)
  assert.deepEqual(asked, [{ service: SERVICE, jti: 'j1', expiresAtSeconds: SECONDS + 60 }])
})

test('CA-07, CA-08, CA-09: what may differ', async () => {
  const allowed: readonly Change[] = [
    { claims: { aud: [ISSUER] } },
    { header: { typ: 'JWT' } },
    { header: { typ: undefined } },
    { claims: { iat: undefined } },
    { claims: { exp: SECONDS + 300 } },
    { claims: { iat: SECONDS + 30, exp: SECONDS + 330 } },
    { claims: { nbf: SECONDS } },
    { clientId: SERVICE },
  ]
  for (const change of allowed) {
    assert.equal(endOf(await authenticator().present(change)), SERVICE, JSON.stringify(change))
  }
})

test('CA-06: RS256 is accepted, and EdDSA', async () => {
  for (const alg of ['RS256', 'EdDSA'] as const) {
    const key = makeKey(alg, 'batch')
    const { present } = authenticator({ keysOf: () => sourceOf(key) })
    assert.equal(endOf(await present({ key })), SERVICE)
  }
})

test('CA-04, field-6 #14: an assertion is good once', async () => {
  const { present } = authenticator()
  assert.equal(endOf(await present()), SERVICE)
  assert.equal(endOf(await present()), 'client_assertion_replayed')
  // The same jti in an assertion that differs otherwise.
  const again = await present({ claims: { exp: SECONDS + 61 } })
  assert.equal(endOf(again), 'client_assertion_replayed')
  assert.equal(endOf(await present({ claims: { jti: 'j2' } })), SERVICE)
})

test('field-6 #14: of many at the same time one is let through', async () => {
  const { present } = authenticator()
  const ends = await Promise.all(Array.from({ length: 20 }, () => present()))
  assert.equal(ends.filter((end) => end.ok).length, 1)
})

test('two services may use the same jti', async () => {
  const { present } = authenticator()
  assert.equal(endOf(await present()), SERVICE)
  const other = { iss: 'boutique/other', sub: 'boutique/other' }
  assert.equal(endOf(await present({ key: PARTNER_KEY, claims: other })), 'boutique/other')
})

test('P4: a replay store that cannot say is an outage', async () => {
  const { present } = authenticator({
    claimAssertionId: async () => fail('client_assertion_replay_store_unavailable', 'busy', 1),
  })
  assert.deepEqual(await present(), {
    ok: false,
    reason: 'client_assertion_replay_store_unavailable',
    detail: 'busy',
    retryAfterSeconds: 1,
  })
})

const DENIED: Readonly<Record<string, readonly [Reason, Change]>> = {
  'a service without keys': [
    'client_assertion_not_registered',
    { claims: { iss: 'boutique/cart', sub: 'boutique/cart' } },
  ],
  'a workload’s SPIFFE ID': [
    'client_assertion_not_registered',
    { claims: { iss: 'spiffe://cluster.local/x', sub: 'spiffe://cluster.local/x' } },
  ],
  'CA-02: no iss': ['client_assertion_claim_malformed', { claims: { iss: undefined } }],
  'CA-02: no sub': ['client_assertion_claim_malformed', { claims: { sub: undefined } }],
  'CA-02: sub is another service': [
    'client_assertion_claim_malformed',
    { claims: { sub: 'boutique/other' } },
  ],
  'signed by another service’s key': ['client_assertion_key_unknown', { key: PARTNER_KEY }],
  'the same with our kid': [
    'client_assertion_signature_invalid',
    { key: PARTNER_KEY, header: { kid: 'batch' } },
  ],
  'keys that cannot be had': [
    'client_assertion_issuer_unavailable',
    { claims: { iss: 'boutique/down', sub: 'boutique/down' } },
  ],
  'CA-08: no aud': ['client_assertion_claim_malformed', { claims: { aud: undefined } }],
  'CA-08: the token endpoint as audience': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: `${ISSUER}/token` } },
  ],
  'CA-08: our issuer and another audience': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [ISSUER, 'https://other.example'] } },
  ],
  'CA-03: an audience that differs by case': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: 'https://STS.example' } },
  ],
  'CA-02: no exp': ['client_assertion_claim_malformed', { claims: { exp: undefined } }],
  'CA-02: expired': ['client_assertion_expired', { claims: { iat: SECONDS - 60, exp: SECONDS } }],
  'CA-02: not yet valid': ['client_assertion_not_yet_valid', { claims: { nbf: SECONDS + 31 } }],
  'an iat ahead of every clock': [
    'client_assertion_not_yet_valid',
    { claims: { iat: SECONDS + 31 } },
  ],
  'CA-04: a life longer than 300 s': [
    'client_assertion_lifetime_too_long',
    { claims: { exp: SECONDS + 301 } },
  ],
  'CA-04: exp too far ahead, without iat': [
    'client_assertion_lifetime_too_long',
    { claims: { iat: undefined, exp: SECONDS + 301 } },
  ],
  'CA-04: a long life, half of it over': [
    'client_assertion_lifetime_too_long',
    { claims: { iat: SECONDS - 3000, exp: SECONDS + 60 } },
  ],
  'CA-04: no jti': ['client_assertion_claim_malformed', { claims: { jti: undefined } }],
  'an empty jti': ['client_assertion_claim_malformed', { claims: { jti: '' } }],
  'a jti of a size that none has': [
    'client_assertion_claim_malformed',
    { claims: { jti: 'j'.repeat(257) } },
  ],
  'CA-09: an access token': ['client_assertion_typ_not_accepted', { header: { typ: 'at+jwt' } }],
  'CA-07: another client_id': ['client_id_mismatch', { clientId: 'boutique/other' }],
}

for (const [name, [reason, change]] of Object.entries(DENIED)) {
  test(`refused, and nothing is spent: ${name}`, async () => {
    const { present, asked } = authenticator()
    assert.equal(endOf(await present(change)), reason)
    assert.deepEqual(asked, [])
    assert.equal(endOf(await present()), SERVICE)
  })
}
