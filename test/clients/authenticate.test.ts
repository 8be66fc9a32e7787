import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ClientAuthenticatorOptions,
  createClientAuthenticator,
} from '../../src/clients/authenticate.ts'
import type { ClientAuthMethod, ClientEvidence } from '../../src/clients/client.ts'
import { createRateLimit } from '../../src/clients/rate-limit.ts'
import { parseSpiffeId } from '../../src/clients/spiffe-id.ts'
import { workloadFail } from '../../src/clients/workload-proof.ts'
import { DEFAULT_XFCC_PROXIES } from '../../src/clients/xfcc.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import { JWT_BEARER_ASSERTION, JWT_SPIFFE_ASSERTION } from '../../src/oauth/names.ts'
import { fail, ok, type Reason } from '../../src/oauth/reasons.ts'
import type { ClientParameters } from '../../src/oauth/request.ts'
import { issueSvid, makeCa } from '../support/certificates.ts'
import { makeKey, signJwt } from '../support/jwt-fixtures.ts'
import { endOf, ISSUER, NOW, SECONDS, sourceOf } from './assertions.ts'

const CART = 'spiffe://cluster.local/ns/shop/sa/cart'
const VICTIM = 'spiffe://cluster.local/ns/shop/sa/victim'
const SIDECAR_PEER = 'spiffe://cluster.local/ns/istio-system/sa/gateway'
const SELF = parseSpiffeId('spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts')
assert.ok(SELF)
const SERVICE = 'shop/partner-batch'
const CLUSTER = 'https://kubernetes.default.svc'

const SPIFFE_KEY = makeKey('ES256', 'spiffe')
const CLUSTER_KEY = makeKey('ES256', 'cluster')
const SERVICE_KEY = makeKey('ES256', 'service')
const CA = makeCa('cluster.local')

const listeners = new Map<string, ReadonlySet<ClientAuthMethod>>([
  ['mesh', new Set(['xfcc', 'jwt_svid', 'kubernetes'])],
  ['tls', new Set(['mtls', 'jwt_svid'])],
  ['external', new Set(['private_key_jwt'])],
  ['cluster', new Set(['kubernetes'])],
  ['bearers', new Set(['kubernetes', 'private_key_jwt'])],
  ['sidecar', new Set(['xfcc'])],
  ['nobody', new Set()],
])

function authenticator(change: Partial<ClientAuthenticatorOptions> = {}) {
  const verifier = createSignatureVerifier({ cacheEntries: 100 })
  const used = new Set<string>()
  return createClientAuthenticator({
    methodsByListener: listeners,
    xfcc: {
      proxies: DEFAULT_XFCC_PROXIES,
      mode: 'sanitize_set',
      self: SELF ?? assert.fail(),
      trustDomains: new Set(['cluster.local']),
    },
    mtls: { trustDomain: 'cluster.local' },
    jwtSvid: {
      issuer: ISSUER,
      bundles: new Map([['cluster.local', sourceOf(SPIFFE_KEY)]]),
      verifier,
      skewSeconds: 30,
    },
    kubernetes: {
      issuer: CLUSTER,
      audience: ISSUER,
      trustDomain: 'cluster.local',
      verification: { kind: 'offline', keys: sourceOf(CLUSTER_KEY), verifier },
      skewSeconds: 30,
    },
    privateKeyJwt: {
      issuer: ISSUER,
      keysOf: (service) => (service === SERVICE ? sourceOf(SERVICE_KEY) : undefined),
      claimAssertionId: async (service, jti) => {
        if (used.has(`${service} ${jti}`)) return fail('client_assertion_replayed')
        used.add(`${service} ${jti}`)
        return ok(undefined)
      },
      verifier,
      skewSeconds: 30,
    },
    ...change,
  })
}

const xfcc = (uri: string) => `By=${SELF};Hash=${'ab'.repeat(32)};Subject="";URI=${uri}`

const svid = (claims: object = {}) => ({
  clientAssertionType: JWT_SPIFFE_ASSERTION,
  clientAssertion: signJwt(
    SPIFFE_KEY,
    { sub: CART, aud: ISSUER, exp: SECONDS + 300, ...claims },
    { typ: 'JWT' },
  ),
})

const accountToken = (claims: object = {}) => ({
  clientAssertionType: JWT_BEARER_ASSERTION,
  clientAssertion: signJwt(
    CLUSTER_KEY,
    {
      iss: CLUSTER,
      sub: 'system:serviceaccount:shop:cart',
      aud: [ISSUER],
      iat: SECONDS,
      exp: SECONDS + 3600,
      'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'cart' } },
      ...claims,
    },
    { typ: undefined },
  ),
})

const serviceAssertion = (claims: object = {}) => ({
  clientAssertionType: JWT_BEARER_ASSERTION,
  clientAssertion: signJwt(
    SERVICE_KEY,
    { iss: SERVICE, sub: SERVICE, aud: ISSUER, exp: SECONDS + 60, jti: 'j1', ...claims },
    { typ: 'JWT' },
  ),
})

function evidence(change: Partial<ClientEvidence> & { parameters?: ClientParameters } = {}) {
  return {
    listener: 'mesh',
    peerAddress: '127.0.0.6',
    xfccLines: [],
    authorizationLines: [],
    parameters: {},
    ...change,
  } satisfies ClientEvidence
}

const workload = (method: ClientAuthMethod, peer: string) => ({
  ok: true,
  value: { identity: { kind: 'workload', spiffeId: CART }, id: CART, method, peer },
})

test('each method ends in a client, and says how it came in', async () => {
  const check = authenticator()
  assert.deepEqual(
    await check(evidence({ xfccLines: [xfcc(CART)] }), NOW),
    workload('xfcc', '127.0.0.6'),
  )
  const peerCertificate = issueSvid(CA, CART).der
  assert.deepEqual(
    await check(
      evidence({ listener: 'tls', peerCertificate, peerAddress: '10.0.0.9' }),
      Date.now(),
    ),
    workload('mtls', '10.0.0.9'),
  )
  assert.deepEqual(
    await check(evidence({ parameters: svid() }), NOW),
    workload('jwt_svid', '127.0.0.6'),
  )
  assert.deepEqual(
    await check(evidence({ parameters: accountToken() }), NOW),
    workload('kubernetes', '127.0.0.6'),
  )
  assert.deepEqual(
    await check(evidence({ listener: 'external', parameters: serviceAssertion() }), NOW),
    {
      ok: true,
      value: {
        identity: { kind: 'registered', service: SERVICE },
        id: SERVICE,
        method: 'private_key_jwt',
        peer: '127.0.0.6',
      },
    },
  )
})

test('the peer’s address is written one way', async () => {
  const change = { xfccLines: [xfcc(CART)], peerAddress: '::ffff:127.0.0.6' }
  assert.deepEqual(await authenticator()(evidence(change), NOW), workload('xfcc', '127.0.0.6'))
})

test('XFCC is no second credential: beside an assertion it is recorded as the peer', async () => {
  const change = { xfccLines: [xfcc(SIDECAR_PEER)], parameters: svid() }
  assert.deepEqual(
    await authenticator()(evidence(change), NOW),
    workload('jwt_svid', `127.0.0.6 ${SIDECAR_PEER}`),
  )
})

test('a certificate beside an assertion is recorded as the peer', async () => {
  const peerCertificate = issueSvid(CA, SIDECAR_PEER).der
  // Certificates are made for the present, so here the assertion is too.
  const now = Date.now()
  const parameters = svid({ exp: Math.floor(now / 1000) + 300 })
  const change = { listener: 'tls', peerAddress: '10.0.0.9', peerCertificate, parameters }
  assert.deepEqual(
    await authenticator()(evidence(change), now),
    workload('jwt_svid', `10.0.0.9 ${SIDECAR_PEER}`),
  )
})

test('XFCC that does not count is not recorded beside an assertion', async () => {
  const wrong: readonly Partial<ClientEvidence>[] = [
    { xfccLines: [xfcc(VICTIM), xfcc(VICTIM)] },
    { xfccLines: [`${xfcc(VICTIM)},${xfcc(VICTIM)}`] },
    { xfccLines: [xfcc('spiffe://other.example/x')] },
    { xfccLines: ['"'] },
  ]
  for (const change of wrong) {
    const end = await authenticator()(evidence({ ...change, parameters: svid() }), NOW)
    assert.deepEqual(end, workload('jwt_svid', '127.0.0.6'))
  }
  const unpinned = { xfccLines: [xfcc(VICTIM)], peerAddress: '10.0.0.9', parameters: svid() }
  assert.deepEqual(await authenticator()(evidence(unpinned), NOW), workload('jwt_svid', '10.0.0.9'))
  const external = { listener: 'cluster', xfccLines: [xfcc(VICTIM)], parameters: accountToken() }
  assert.deepEqual(
    await authenticator()(evidence(external), NOW),
    workload('kubernetes', '127.0.0.6'),
  )
})

test('CA-07: client_id may repeat what was proved', async () => {
  const check = authenticator()
  const cases: readonly Partial<ClientEvidence>[] = [
    { xfccLines: [xfcc(CART)], parameters: { clientId: CART } },
    { parameters: { ...svid(), clientId: CART } },
    { parameters: { ...accountToken(), clientId: CART } },
    { listener: 'external', parameters: { ...serviceAssertion(), clientId: SERVICE } },
  ]
  for (const change of cases) assert.equal((await check(evidence(change), NOW)).ok, true)
})

test('on a listener with both kinds of jwt-bearer, iss tells which it is', async () => {
  const check = authenticator()
  const listener = 'bearers'
  assert.deepEqual(
    await check(evidence({ listener, parameters: accountToken() }), NOW),
    workload('kubernetes', '127.0.0.6'),
  )
  const batch = await check(evidence({ listener, parameters: serviceAssertion() }), NOW)
  assert.equal(batch.ok ? batch.value.method : batch.reason, 'private_key_jwt')
})

test('field-6 #25: SVIDs and account tokens are reusable; #14: a private_key_jwt is not', async () => {
  const check = authenticator()
  const [one, two, three] = [svid(), accountToken(), serviceAssertion()]
  for (let call = 0; call < 2; call += 1) {
    assert.equal((await check(evidence({ parameters: one }), NOW)).ok, true)
    assert.equal((await check(evidence({ parameters: two }), NOW)).ok, true)
  }
  const external = evidence({ listener: 'external', parameters: three })
  assert.equal((await check(external, NOW)).ok, true)
  assert.equal(endOf(await check(external, NOW)), 'client_assertion_replayed')
})

const BASIC = ['Basic Zm9vOmJhcg==']
const DENIED: Readonly<Record<string, readonly [Reason, Partial<ClientEvidence>]>> = {
  'P4: nothing': ['client_missing', {}],
  'a client_id proves nothing': ['client_missing', { parameters: { clientId: CART } }],
  'an Authorization header': ['client_authorization_not_supported', { authorizationLines: BASIC }],
  'an empty Authorization header': [
    'client_authorization_not_supported',
    { authorizationLines: [''] },
  ],
  'an Authorization header beside XFCC': [
    'client_authorization_not_supported',
    { authorizationLines: BASIC, xfccLines: [xfcc(CART)] },
  ],
  'an Authorization header beside an assertion': [
    'client_methods_several',
    { authorizationLines: BASIC, parameters: svid() },
  ],
  'an assertion of another type': [
    'client_assertion_type_unsupported',
    { parameters: { ...svid(), clientAssertionType: 'urn:ietf:params:oauth:x:saml2-bearer' } },
  ],
  'an assertion type in other letters': [
    'client_assertion_type_unsupported',
    { parameters: { ...svid(), clientAssertionType: JWT_SPIFFE_ASSERTION.toUpperCase() } },
  ],
  'an assertion without type': [
    'client_assertion_type_unsupported',
    { parameters: { clientAssertion: svid().clientAssertion } },
  ],
  'an assertion that is no JWT': [
    'client_assertion_malformed',
    { parameters: { ...svid(), clientAssertion: 'a.b' } },
  ],
  'an assertion that is too large': [
    'client_assertion_too_large',
    { parameters: { ...svid(), clientAssertion: 'a'.repeat(20_000) } },
  ],
  'no fallback: a bad assertion beside good XFCC': [
    'client_assertion_expired',
    { xfccLines: [xfcc(CART)], parameters: svid({ exp: SECONDS - 1 }) },
  ],
  'no fallback: a malformed assertion beside good XFCC': [
    'client_assertion_malformed',
    { xfccLines: [xfcc(CART)], parameters: { ...svid(), clientAssertion: 'x' } },
  ],
  'no fallback: an assertion of a method that is not enabled beside good XFCC': [
    'client_method_not_enabled',
    { listener: 'sidecar', xfccLines: [xfcc(CART)], parameters: svid() },
  ],
  'jwt_svid where it is not enabled': [
    'client_method_not_enabled',
    { listener: 'external', parameters: svid() },
  ],
  'jwt-bearer where none is enabled': [
    'client_method_not_enabled',
    { listener: 'tls', parameters: accountToken() },
  ],
  'kubernetes where only private_key_jwt is enabled': [
    'client_assertion_not_registered',
    { listener: 'external', parameters: accountToken() },
  ],
  'private_key_jwt where only kubernetes is enabled': [
    'client_assertion_issuer_not_trusted',
    { listener: 'cluster', parameters: serviceAssertion() },
  ],
  'P8: XFCC where it is not enabled': [
    'client_method_not_enabled',
    { listener: 'external', xfccLines: [xfcc(CART)] },
  ],
  'P8: XFCC on a listener that ends TLS itself': [
    'client_certificate_missing',
    { listener: 'tls', xfccLines: [xfcc(CART)] },
  ],
  'a certificate where mtls is not enabled': [
    'client_method_not_enabled',
    { peerCertificate: issueSvid(CA, CART).der },
  ],
  'P4: a listener without methods': [
    'client_method_not_enabled',
    { listener: 'nobody', xfccLines: [xfcc(CART)] },
  ],
  'P4: a listener that nobody knows': [
    'client_method_not_enabled',
    { listener: 'other', parameters: svid() },
  ],
  'P8: XFCC from a peer that is not pinned': [
    'client_xfcc_peer_not_trusted',
    { xfccLines: [xfcc(CART)], peerAddress: '10.0.0.9' },
  ],
  'an SVID as jwt-bearer': [
    'client_assertion_issuer_not_trusted',
    { parameters: { ...svid(), clientAssertionType: JWT_BEARER_ASSERTION } },
  ],
  'an account token as jwt-spiffe': [
    'client_spiffe_id_malformed',
    { parameters: { ...accountToken(), clientAssertionType: JWT_SPIFFE_ASSERTION } },
  ],
  'CA-07: another client_id beside XFCC': [
    'client_id_mismatch',
    { xfccLines: [xfcc(CART)], parameters: { clientId: VICTIM } },
  ],
  'CA-07: another client_id beside an SVID': [
    'client_id_mismatch',
    { parameters: { ...svid(), clientId: VICTIM } },
  ],
  'CA-07: another client_id beside an account token': [
    'client_id_mismatch',
    { parameters: { ...accountToken(), clientId: 'system:serviceaccount:shop:cart' } },
  ],
  'CA-07: another client_id beside a private_key_jwt': [
    'client_id_mismatch',
    { listener: 'external', parameters: { ...serviceAssertion(), clientId: VICTIM } },
  ],
}

for (const [name, [reason, change]] of Object.entries(DENIED)) {
  test(`refused: ${name}`, async () => {
    assert.equal(endOf(await authenticator()(evidence(change), NOW)), reason)
  })
}

test('attempts are limited by peer and unverified sub, before anything is verified', async () => {
  const attempts = createRateLimit({ perSecond: 1, burst: 2 })
  let verified = 0
  const verifier = createSignatureVerifier({ cacheEntries: 0 })
  const check = authenticator({
    attempts,
    jwtSvid: {
      issuer: ISSUER,
      bundles: new Map([['cluster.local', sourceOf(SPIFFE_KEY)]]),
      verifier: {
        verify: (...args) => {
          verified += 1
          return verifier.verify(...args)
        },
      },
      skewSeconds: 30,
    },
  })
  const forged = { ...svid(), clientAssertion: `${svid().clientAssertion.slice(0, -8)}AAAAAAAA` }
  const at = (change: Partial<ClientEvidence>) => check(evidence(change), NOW).then(endOf)

  const attack = { peerAddress: '10.0.0.66', parameters: forged }
  assert.equal(await at(attack), 'client_assertion_signature_invalid')
  assert.equal(await at(attack), 'client_assertion_signature_invalid')
  assert.equal(await at(attack), 'client_rate_limited')
  assert.equal(verified, 2)
  // Neither another peer nor another subject of the same peer is held up by that.
  assert.equal(typeof (await at({ peerAddress: '10.0.0.9', parameters: svid() })), 'object')
  const other = { peerAddress: '10.0.0.66', parameters: svid({ sub: VICTIM }) }
  assert.equal(typeof (await at(other)), 'object')
  // Behind one sidecar, peers are told apart by what it vouches for.
  for (const peer of [CART, SIDECAR_PEER]) {
    const change = { xfccLines: [xfcc(peer)], parameters: svid() }
    assert.equal(typeof (await at(change)), 'object')
    assert.equal(typeof (await at(change)), 'object')
    assert.equal(await at(change), 'client_rate_limited')
  }
})

test('a peer that invents subjects is held up all the same, and keeps little in memory', async () => {
  const attempts = createRateLimit({ perSecond: 1, burst: 1, maxKeysPerGroup: 4 })
  const check = authenticator({ attempts })
  let verified = 0
  for (let made = 0; made < 50; made += 1) {
    const sub = made % 2 === 0 ? `spiffe://cluster.local/x${made}` : `long${'x'.repeat(600)}${made}`
    const end = endOf(await check(evidence({ parameters: svid({ sub }) }), NOW))
    if (end !== 'client_rate_limited') verified += 1
  }
  assert.equal(verified, 4 + 1)
  assert.equal(attempts.size(), 4 + 1)
})

test('subjects that are too long, or none, share one bucket', async () => {
  const check = authenticator({ attempts: createRateLimit({ perSecond: 1, burst: 1 }) })
  const at = async (sub: unknown) =>
    endOf(await check(evidence({ parameters: svid({ sub }) }), NOW))
  const longest = `spiffe://cluster.local/${'x'.repeat(512 - 23)}`
  assert.equal(typeof (await at(longest)), 'object')
  assert.equal(await at(`${longest}y`).then((end) => typeof end), 'object')
  assert.equal(await at(`${longest}z`), 'client_rate_limited')
  assert.equal(await at(undefined), 'client_rate_limited')
  assert.equal(await at(7), 'client_rate_limited')
  assert.equal(await at(longest), 'client_rate_limited')
})

/** A flood of forged assertions that name the caller, from the address that it comes from itself. */
const forgedSvid = () => {
  const { clientAssertion, ...rest } = svid()
  return { ...rest, clientAssertion: `${clientAssertion.slice(0, -8)}AAAAAAAA` }
}

test('a flood in the name of a caller does not lock it out, where peers share an address', async () => {
  const check = authenticator({
    attempts: createRateLimit({ perSecond: 1, burst: 2 }),
    peerAttempts: createRateLimit({ perSecond: 1, burst: 20 }),
    provedAttempts: createRateLimit({ perSecond: 1, burst: 3 }),
  })
  const at = async (parameters: ClientParameters) =>
    endOf(await check(evidence({ parameters }), NOW))
  const seen = svid()
  assert.equal(typeof (await at(seen)), 'object')
  for (let sent = 0; sent < 5; sent += 1) {
    assert.equal(await at(forgedSvid()), 'client_assertion_signature_invalid')
  }
  // The name's own allowance is gone, the peer's is not: a new assertion of the caller passes.
  assert.equal(typeof (await at(svid({ exp: SECONDS + 301 }))), 'object')
  let verified = 0
  for (let sent = 0; sent < 50; sent += 1) {
    if ((await at(forgedSvid())) !== 'client_rate_limited') verified += 1
  }
  // One of each was taken by the assertions above, one more by the first five forged ones.
  assert.equal(verified, 22 - 7)
  assert.equal(await at(svid({ exp: SECONDS + 302 })), 'client_rate_limited')
  // What was accepted before passes even now, by an allowance that ends too.
  for (let sent = 0; sent < 3; sent += 1) assert.equal(typeof (await at(seen)), 'object')
  assert.equal(await at(seen), 'client_rate_limited')
})

test('a refused assertion earns no allowance of its own, nor does one of single use', async () => {
  const check = authenticator({
    attempts: createRateLimit({ perSecond: 1, burst: 1 }),
    provedAttempts: createRateLimit({ perSecond: 1, burst: 100 }),
  })
  const forged = evidence({ parameters: forgedSvid() })
  assert.equal(endOf(await check(forged, NOW)), 'client_assertion_signature_invalid')
  assert.equal(endOf(await check(forged, NOW)), 'client_rate_limited')
  const once = evidence({ listener: 'external', parameters: serviceAssertion() })
  assert.equal(typeof endOf(await check(once, NOW)), 'object')
  assert.equal(endOf(await check(once, NOW)), 'client_rate_limited')
})

test('a token review is asked no more often than the peer may', async () => {
  let asked = 0
  const check = authenticator({
    kubernetes: {
      issuer: CLUSTER,
      audience: ISSUER,
      trustDomain: 'cluster.local',
      verification: {
        kind: 'online',
        review: async () => {
          asked += 1
          return workloadFail('token_review_refused', 'no')
        },
      },
      skewSeconds: 30,
    },
    attempts: createRateLimit({ perSecond: 1, burst: 2, maxKeysPerGroup: 3 }),
    peerAttempts: createRateLimit({ perSecond: 1, burst: 5 }),
    provedAttempts: createRateLimit({ perSecond: 1, burst: 2 }),
  })
  for (let sent = 0; sent < 60; sent += 1) {
    const name = `cart${sent % 10}`
    const parameters = accountToken({
      sub: `system:serviceaccount:shop:${name}`,
      'kubernetes.io': { namespace: 'shop', serviceaccount: { name } },
    })
    await check(evidence({ parameters }), NOW)
  }
  // Three names and the newcomers, two each, then the peer's own.
  assert.equal(asked, 4 * 2 + 5)
})

for (const [name, listener, peerAddress, second] of [
  ['a pinned proxy tells peers apart, no xfcc among the methods', 'mesh', '127.0.0.6', 'object'],
  ['not what another address says', 'mesh', '10.0.0.66', 'client_rate_limited'],
  ['not what comes where TLS ends here', 'tls', '127.0.0.6', 'client_rate_limited'],
] as const) {
  test(`the group of an attempt: ${name}`, async () => {
    const check = authenticator({
      methodsByListener: new Map<string, ReadonlySet<ClientAuthMethod>>([
        ['mesh', new Set(['jwt_svid'])],
        ['tls', new Set(['mtls', 'jwt_svid'])],
      ]),
      attempts: createRateLimit({ perSecond: 1, burst: 1 }),
    })
    const at = async (peer: string) => {
      const change = { listener, peerAddress, xfccLines: [xfcc(peer)], parameters: svid() }
      return endOf(await check(evidence(change), NOW))
    }
    assert.equal(typeof (await at(VICTIM)), 'object')
    const end = await at(CART)
    assert.equal(typeof end === 'object' ? 'object' : end, second)
    assert.equal(await at(VICTIM), 'client_rate_limited')
  })
}

test('P4: a listener whose method is not configured means no start', () => {
  const empty = { methodsByListener: listeners }
  assert.throws(() => createClientAuthenticator(empty), /which is not configured/)
})

test('xfcc and mtls on one listener mean no start', () => {
  const methodsByListener = new Map([['token', new Set<ClientAuthMethod>(['xfcc', 'mtls'])]])
  assert.throws(() => authenticator({ methodsByListener }), /both xfcc and mtls/)
})
