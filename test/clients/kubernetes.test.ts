import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKubernetes, type KubernetesOptions } from '../../src/clients/kubernetes.ts'
import { type WorkloadResult, workloadFail } from '../../src/clients/workload-proof.ts'
import { jwtOk } from '../../src/jwt/compact.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { makeKey, signJwt, type TestKey } from '../support/jwt-fixtures.ts'
import { NOW, OUTAGE, parsed, provenOf, SECONDS, sourceOf } from './assertions.ts'

const KEY = makeKey('ES256', 'cluster')
const OTHER_KEY = makeKey('ES256', 'other')
const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const AUDIENCE = 'https://sts.example'
const SUB = 'system:serviceaccount:shop:cart'
const CART = 'spiffe://cluster.local/ns/shop/sa/cart'

const verifier = createSignatureVerifier({ cacheEntries: 100 })
const OPTIONS: KubernetesOptions = {
  issuer: ISSUER,
  audience: AUDIENCE,
  trustDomain: 'cluster.local',
  verification: { kind: 'offline', keys: sourceOf(KEY), verifier },
  skewSeconds: 30,
}
const BOUND = {
  namespace: 'shop',
  node: { name: 'node-1', uid: 'b2' },
  pod: { name: 'cart-7d', uid: 'c3' },
  serviceaccount: { name: 'cart', uid: 'a1' },
  warnafter: SECONDS + 3607,
}
/** As the API server writes them. */
const CLAIMS = {
  iss: ISSUER,
  sub: SUB,
  aud: [AUDIENCE],
  exp: SECONDS + 3600,
  iat: SECONDS,
  nbf: SECONDS,
  jti: '3f1e',
  'kubernetes.io': BOUND,
}

interface Change {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: TestKey
  readonly options?: Partial<KubernetesOptions>
}

function tokenOf({ key = KEY, claims, header }: Change = {}) {
  return parsed(signJwt(key, { ...CLAIMS, ...claims }, { typ: undefined, ...header }))
}

async function answer(change: Change = {}) {
  const check = createKubernetes({ ...OPTIONS, ...change.options })
  return provenOf(await check(tokenOf(change), NOW))
}

test('A service-account token names the workload that Istio gives the account', async () => {
  assert.equal(await answer(), CART)
})

test('what may differ', async () => {
  const allowed: readonly Change[] = [
    { claims: { aud: AUDIENCE } },
    { header: { typ: 'JWT' } },
    { claims: { jti: undefined, nbf: undefined } },
    { claims: { exp: SECONDS + 7200 } },
    { claims: { 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'cart' } } } },
    { key: makeKey('RS256', 'rsa'), options: offline(makeKey('RS256', 'rsa')) },
  ]
  for (const change of allowed) assert.equal(await answer(change), CART, JSON.stringify(change))
})

test('a name with dots, as Kubernetes allows for accounts', async () => {
  const claims = {
    sub: 'system:serviceaccount:shop:cart.v2',
    'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'cart.v2' } },
  }
  assert.equal(await answer({ claims }), `${CART}.v2`)
})

test('field-6 #25: the token is presented many times until it expires', async () => {
  const check = createKubernetes(OPTIONS)
  const token = tokenOf()
  for (let call = 0; call < 3; call += 1) assert.equal(provenOf(await check(token, NOW)), CART)
  assert.equal(provenOf(await check(token, NOW + 3_600_000)), 'client_assertion_expired')
})

function offline(key: TestKey): Partial<KubernetesOptions> {
  return { verification: { kind: 'offline', keys: sourceOf(key), verifier } }
}

/** A token of another account, consistent in itself. */
const account = (namespace: string, name: string) => ({
  sub: `system:serviceaccount:${namespace}:${name}`,
  'kubernetes.io': { namespace, serviceaccount: { name } },
})

const DENIED: Readonly<Record<string, readonly [Reason, Change]>> = {
  'another cluster’s issuer': [
    'client_assertion_issuer_not_trusted',
    { claims: { iss: 'https://kubernetes.default.svc' } },
  ],
  'no issuer': ['client_assertion_issuer_not_trusted', { claims: { iss: undefined } }],
  'another key': ['client_assertion_key_unknown', { key: OTHER_KEY }],
  'another key under the cluster’s kid': [
    'client_assertion_signature_invalid',
    { key: OTHER_KEY, header: { kid: 'cluster' } },
  ],
  'an algorithm that no API server signs with': [
    'client_assertion_algorithm_not_allowed',
    { key: makeKey('PS256', 'pss'), options: offline(makeKey('PS256', 'pss')) },
  ],
  'P4: keys that cannot be had': [
    'client_assertion_issuer_unavailable',
    { options: { verification: { kind: 'offline', keys: OUTAGE, verifier } } },
  ],
  'field-6 #23: the API server’s own audience': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [ISSUER] } },
  ],
  'field-6 #23: no audience': ['client_assertion_claim_malformed', { claims: { aud: undefined } }],
  'field-6 #23: ours among others, who could present it here': [
    'client_assertion_audience_not_accepted',
    { claims: { aud: [AUDIENCE, 'vault'] } },
  ],
  expired: [
    'client_assertion_expired',
    { claims: { iat: SECONDS - 3600, nbf: undefined, exp: SECONDS } },
  ],
  'not yet valid': ['client_assertion_not_yet_valid', { claims: { nbf: SECONDS + 31 } }],
  'a token that lives for a year': [
    'client_assertion_lifetime_too_long',
    { claims: { exp: SECONDS + 31_536_000 } },
  ],
  'a second longer than the default': [
    'client_assertion_lifetime_too_long',
    { claims: { exp: SECONDS + 7201 } },
  ],
  'a life longer than configured': [
    'client_assertion_lifetime_too_long',
    { options: { maxLifetimeSeconds: 3599 } },
  ],
  'no iat: its lifetime is unknown': [
    'client_assertion_claim_malformed',
    { claims: { iat: undefined } },
  ],
  'no exp': ['client_assertion_claim_malformed', { claims: { exp: undefined } }],
  'a user instead of a service account': [
    'client_assertion_claim_malformed',
    { claims: { sub: 'system:node:shop:cart' } },
  ],
  'another system': [
    'client_assertion_claim_malformed',
    { claims: { sub: 'other:serviceaccount:shop:cart' } },
  ],
  'a sub with a fifth part': ['client_assertion_claim_malformed', { claims: { sub: `${SUB}:x` } }],
  'a sub without a name': [
    'client_assertion_claim_malformed',
    { claims: { sub: 'system:serviceaccount:shop' } },
  ],
  'no sub': ['client_assertion_claim_malformed', { claims: { sub: undefined } }],
  'no kubernetes.io: another kind of token, or a legacy one': [
    'client_assertion_claim_malformed',
    { claims: { 'kubernetes.io': undefined } },
  ],
  'kubernetes.io is a text': [
    'client_assertion_claim_malformed',
    { claims: { 'kubernetes.io': 'shop' } },
  ],
  'kubernetes.io of another namespace': [
    'client_assertion_claim_malformed',
    { claims: { 'kubernetes.io': { ...BOUND, namespace: 'bank' } } },
  ],
  'kubernetes.io of another account': [
    'client_assertion_claim_malformed',
    { claims: { 'kubernetes.io': { ...BOUND, serviceaccount: { name: 'admin' } } } },
  ],
  'kubernetes.io without an account': [
    'client_assertion_claim_malformed',
    { claims: { 'kubernetes.io': { ...BOUND, serviceaccount: null } } },
  ],
  'a namespace that shifts the path': [
    'client_assertion_claim_malformed',
    { claims: account('shop/sa/admin', 'cart') },
  ],
  'a name that is two dots': [
    'client_assertion_claim_malformed',
    { claims: account('shop', '..') },
  ],
  'a name in capitals': ['client_assertion_claim_malformed', { claims: account('shop', 'Cart') }],
  'an empty namespace': ['client_assertion_claim_malformed', { claims: account('', 'cart') }],
  'an empty name': ['client_assertion_claim_malformed', { claims: account('shop', '') }],
  'another typ': ['client_assertion_typ_not_accepted', { header: { typ: 'at+jwt' } }],
}

for (const [name, [reason, change]] of Object.entries(DENIED)) {
  test(`refused: ${name}`, async () => {
    assert.equal(await answer(change), reason)
  })
}

/** The online kind, with the answer that a review gives. */
function online(result: WorkloadResult<void>) {
  const asked: string[] = []
  const verification: KubernetesOptions['verification'] = {
    kind: 'online',
    review: async (jwt, sub) => {
      asked.push(`${jwt.hash} ${sub}`)
      return result
    },
  }
  return { asked, verification }
}

test('online: the API server is asked about the token and its sub', async () => {
  const { asked, verification } = online(jwtOk(undefined))
  assert.equal(await answer({ options: { verification } }), CART)
  assert.deepEqual(asked, [`${asked[0]?.split(' ')[0]} ${SUB}`])
})

for (const problem of ['token_review_refused', 'token_review_unavailable'] as const) {
  test(`online: client_${problem} is the end`, async () => {
    const { verification } = online(workloadFail(problem, 'it says'))
    assert.equal(await answer({ options: { verification } }), `client_${problem}`)
  })
}

test('online: the API server is not asked about a token whose claims refuse it', async () => {
  for (const [name, [reason, change]] of Object.entries(DENIED)) {
    if (change.key !== undefined || change.options?.verification !== undefined) continue
    const { asked, verification } = online(jwtOk(undefined))
    const end = await answer({ ...change, options: { ...change.options, verification } })
    assert.equal(end, reason, name)
    assert.deepEqual(asked, [], name)
  }
})
