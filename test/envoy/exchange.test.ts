// The whole way on real parts: caller → Envoy (mTLS, XFCC) → STS → token → backend's Envoy (jwt_authn, RBAC).
// Configuration, rules and policies are the shipped ones (deploy/istio).
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../src/oauth/names.ts'
import { makeCa } from '../support/certificates.ts'
import { type RunningEnvoy, startEnvoy } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import {
  appCluster,
  type MeshIdentity,
  meshCluster,
  outboundListener,
  staticCluster,
} from '../support/envoy-config.ts'
import {
  callMesh,
  type EchoServer,
  type MeshCall,
  meshIdentity,
  seenBy,
  spiffeIdOf,
  startEcho,
} from '../support/envoy-mesh.ts'
import { type ShippedSts, startShippedSts } from '../support/envoy-sts.ts'
import { sidecarListener } from '../support/istio-manifests.ts'
import { makeKey, signJwt } from '../support/jwt-fixtures.ts'

const envoyBinary = envoyForTests()
const TRUST_DOMAIN = 'cluster.local'
const spiffeId = (account: string) => spiffeIdOf(TRUST_DOMAIN, 'boutique', account)
const STS = spiffeIdOf(TRUST_DOMAIN, 'mesh-sts', 'mesh-sts')
const IDP = 'https://login.corp.example'
const JWKS_PATH = '/.well-known/jwks.json'

describe('exchange through Envoy, end to end', envoyBinary.options, () => {
  const ca = makeCa(TRUST_DOMAIN)
  const frontend = meshIdentity(ca, spiffeId('frontend'))
  const checkout = meshIdentity(ca, spiffeId('checkout'))
  const idpKey = makeKey('ES256', 'idp-1')
  let sts: ShippedSts
  let app: EchoServer
  let stsSidecar: RunningEnvoy
  let backend: RunningEnvoy

  before(async () => {
    sts = await startShippedSts(idpKey)
    app = await startEcho()
    const { token, public: published, admin } = sts.server.addresses
    const clusters = { token: token.port, public: published.port, admin: admin.port }
    const ports = { token: 8080, public: 8081, admin: 8082 }
    stsSidecar = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: Object.entries(ports).map(([name, port]) =>
        sidecarListener({
          name,
          port,
          namespace: 'mesh-sts',
          app: 'mesh-sts',
          identity: meshIdentity(ca, STS),
          cluster: name,
        }),
      ),
      clusters: Object.entries(clusters).map(([name, port]) => appCluster(name, port)),
    })
    // istiod's way: fetch without a mesh certificate, then inline.
    const jwks = await callMesh({ port: stsSidecar.port('public'), path: JWKS_PATH })
    assert.equal(jwks.status, 200)
    const payment = {
      namespace: 'boutique',
      app: 'payment',
      port: 8080,
      identity: meshIdentity(ca, spiffeId('payment')),
      cluster: 'app',
    }
    backend = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [
        sidecarListener({ ...payment, name: 'inline', jwks: () => ({ inline: jwks.body }) }),
        sidecarListener({ ...payment, name: 'remote', jwks: () => ({ cluster: 'sts' }) }),
      ],
      clusters: [appCluster('app', app.port), staticCluster('sts', stsSidecar.port('public'))],
    })
  })
  after(async () => {
    await backend?.stop()
    await stsSidecar?.stop()
    await app?.stop()
    await sts?.stop()
  })

  const userToken = () => {
    const now = Math.floor(Date.now() / 1000)
    return signJwt(idpKey, {
      iss: IDP,
      sub: 'alice',
      aud: 'https://api.shop.example',
      scope: 'shop:browse shop:buy',
      iat: now,
      exp: now + 600,
    })
  }
  const mtls = (caller: MeshIdentity, server: string) => ({
    rootPem: ca.certPem,
    certificate: caller.certificate,
    server,
  })
  const exchange = (
    caller: MeshIdentity,
    subjectToken: string,
    form: Readonly<Record<string, string>>,
    more: Partial<MeshCall> = {},
  ) => {
    const { headers = [], ...rest } = more
    return callMesh({
      port: stsSidecar.port('token'),
      tls: mtls(caller, STS),
      method: 'POST',
      path: '/token',
      headers: ['content-type', 'application/x-www-form-urlencoded', ...headers],
      body: new URLSearchParams({
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: subjectToken,
        subject_token_type: TOKEN_TYPES.access_token,
        ...form,
      }).toString(),
      ...rest,
    })
  }
  const granted = async (answer: ReturnType<typeof exchange>) => {
    const { status, body } = await answer
    assert.equal(status, 200, body)
    return (JSON.parse(body) as { access_token: string }).access_token
  }
  const refused = async (answer: ReturnType<typeof exchange>, status: number, error: string) => {
    const { status: actual, body } = await answer
    assert.deepEqual([actual, JSON.parse(body).error], [status, error])
  }
  const forCheckout = () =>
    granted(exchange(frontend, userToken(), { audience: 'boutique/checkout' }))
  const forPayment = async () =>
    granted(exchange(checkout, await forCheckout(), { audience: 'boutique/payment' }))
  const pay = (caller: MeshIdentity, bearer: string, listener = 'inline') =>
    callMesh({
      port: backend.port(listener),
      tls: mtls(caller, spiffeId('payment')),
      method: 'POST',
      path: '/charge',
      headers: ['authorization', `Bearer ${bearer}`],
    })

  for (const listener of ['inline', 'remote']) {
    test(`field-6 #24 two hops, then the backend accepts the token (keys ${listener})`, async () => {
      const bearer = await forPayment()
      const answer = await pay(checkout, bearer, listener)
      assert.equal(answer.status, 200, answer.body)
      assert.deepEqual(seenBy(answer).headers.authorization, [`Bearer ${bearer}`])
    })
  }

  test('P1 P2 the token holds what the policy asks for, and no more', async () => {
    const claims = claimsOf(await forPayment())
    const { iss, sub, aud, scope, client_id, act, chain } = claims
    assert.deepEqual(
      { iss, sub, aud, scope, client_id, act, chain },
      {
        iss: sts.issuer,
        sub: 'corp:alice',
        aud: 'https://payment.boutique.example',
        scope: 'payment:charge',
        client_id: spiffeId('checkout'),
        act: { sub: spiffeId('checkout'), act: { sub: spiffeId('frontend') } },
        chain: [spiffeId('frontend'), spiffeId('checkout')],
      },
    )
  })

  test('a token for checkout is no token for payment: 403', async () => {
    assert.equal((await pay(checkout, await forCheckout())).status, 403)
  })

  test("the user's token itself is refused: 401", async () => {
    assert.equal((await pay(checkout, userToken())).status, 401)
  })

  test('another workload with the right token: 403', async () => {
    assert.equal((await pay(frontend, await forPayment())).status, 403)
  })

  test('field-6 #16 a forged XFCC does not change who asks', async () => {
    const headers = ['x-forwarded-client-cert', `By=${STS};URI=${spiffeId('frontend')}`]
    // checkout may not present the user's token, whatever it claims to be.
    const form = { audience: 'boutique/checkout' }
    await refused(exchange(checkout, userToken(), form, { headers }), 400, 'invalid_request')
    await granted(exchange(frontend, userToken(), form, { headers }))
  })

  test('P8 plaintext XFCC around the sidecar, from another loopback address, is nobody', async () => {
    const form = { audience: 'boutique/checkout' }
    const headers = [
      'x-forwarded-client-cert',
      `By=${STS};Hash=${'0'.repeat(64)};URI=${spiffeId('frontend')}`,
    ]
    const { token } = sts.server.addresses
    const around = { port: token.port, tls: undefined, localAddress: '127.0.0.9', headers }
    await refused(exchange(frontend, userToken(), form, around), 401, 'invalid_client')
  })

  test('a target that the caller may not reach: invalid_target', async () => {
    const answer = exchange(frontend, userToken(), { audience: 'boutique/payment' })
    await refused(answer, 400, 'invalid_target')
  })

  test('a scope that nothing justifies: invalid_scope', async () => {
    const form = { audience: 'boutique/checkout', scope: 'checkout:place payment:charge' }
    await refused(exchange(frontend, userToken(), form), 400, 'invalid_scope')
  })

  test('a caller behind its own sidecar exchanges by plain HTTP', async () => {
    const outbound = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [outboundListener({ name: 'outbound', cluster: 'sts' })],
      clusters: [meshCluster('sts', stsSidecar.port('token'), frontend, STS)],
    })
    try {
      const form = { audience: 'boutique/checkout' }
      const plain = { port: outbound.port('outbound'), tls: undefined }
      await granted(exchange(frontend, userToken(), form, plain))
    } finally {
      await outbound.stop()
    }
  })

  test('the metadata names the key set that the policies name', async () => {
    const answer = await callMesh({
      port: stsSidecar.port('public'),
      path: '/.well-known/oauth-authorization-server',
    })
    assert.equal(new URL(JSON.parse(answer.body).jwks_uri).pathname, JWKS_PATH)
  })
})

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
