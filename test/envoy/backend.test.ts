// What a backend's sidecar makes of a token: the shipped example policies, translated as istiod does, on a
// real Envoy. Tokens are signed here with the claims that the STS gives; exchange.test.ts uses the STS itself.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeCa } from '../support/certificates.ts'
import { type RunningEnvoy, startEnvoy } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import { appCluster, staticCluster } from '../support/envoy-config.ts'
import {
  callMesh,
  type EchoServer,
  type MeshAnswer,
  type MeshCall,
  meshIdentity,
  seenBy,
  spiffeIdOf,
  startEcho,
  startJwks,
} from '../support/envoy-mesh.ts'
import { loadManifests, sidecarListener } from '../support/istio-manifests.ts'
import { makeKey, signJwt } from '../support/jwt-fixtures.ts'

const envoyBinary = envoyForTests()
const TRUST_DOMAIN = 'cluster.local'
const ISSUER = 'https://sts.boutique.example'
const PAYMENT = spiffeIdOf(TRUST_DOMAIN, 'boutique', 'payment')
const CHECKOUT = spiffeIdOf(TRUST_DOMAIN, 'boutique', 'checkout')
const FRONTEND = spiffeIdOf(TRUST_DOMAIN, 'boutique', 'frontend')
const APP_PORT = 8080

type Claims = Readonly<Record<string, unknown>>

describe('backend sidecar with the shipped policies', envoyBinary.options, () => {
  const ca = makeCa(TRUST_DOMAIN)
  const checkout = meshIdentity(ca, CHECKOUT)
  const other = meshIdentity(ca, spiffeIdOf(TRUST_DOMAIN, 'boutique', 'adservice'))
  const key = makeKey('ES256', 'k1')
  const stranger = makeKey('ES256', 'k2')
  const jwks = JSON.stringify({ keys: [key.jwk] })
  let app: EchoServer
  let published: EchoServer
  let envoy: RunningEnvoy

  before(async () => {
    app = await startEcho()
    published = await startJwks(() => jwks)
    const payment = {
      namespace: 'boutique',
      app: 'payment',
      port: APP_PORT,
      identity: meshIdentity(ca, PAYMENT),
      cluster: 'app',
    }
    envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [
        sidecarListener({ ...payment, name: 'inline', jwks: () => ({ inline: jwks }) }),
        sidecarListener({ ...payment, name: 'remote', jwks: () => ({ cluster: 'sts' }) }),
      ],
      clusters: [appCluster('app', app.port), staticCluster('sts', published.port)],
    })
  })
  after(async () => {
    await envoy?.stop()
    await app?.stop()
    await published?.stop()
  })

  const nowSeconds = () => Math.floor(Date.now() / 1000)
  /** The claims of a token that checkout obtained for payment; a test changes one of them. */
  const claims = (change: Claims = {}): Claims => ({
    iss: ISSUER,
    sub: 'corp:alice',
    aud: 'https://payment.boutique.example',
    client_id: CHECKOUT,
    scope: 'payment:charge',
    iat: nowSeconds(),
    exp: nowSeconds() + 60,
    jti: 'b7c1',
    act: { sub: CHECKOUT, act: { sub: FRONTEND } },
    chain: [FRONTEND, CHECKOUT],
    ...change,
  })
  const token = (change: Claims = {}) => signJwt(key, claims(change))
  const call = (listener: string, bearer: string | undefined, more: Partial<MeshCall> = {}) =>
    callMesh({
      port: envoy.port(listener),
      tls: { rootPem: ca.certPem, certificate: checkout.certificate, server: PAYMENT },
      method: 'POST',
      path: '/charge',
      headers: bearer === undefined ? [] : ['authorization', `Bearer ${bearer}`],
      ...more,
    })
  const denied = (answer: MeshAnswer) => {
    assert.deepEqual([answer.status, answer.body], [403, 'RBAC: access denied'])
  }
  const refused = (answer: MeshAnswer, status: number, text: RegExp) => {
    assert.equal(answer.status, status, answer.body)
    assert.match(answer.body, text)
  }

  for (const listener of ['inline', 'remote']) {
    describe(`keys ${listener === 'inline' ? 'inlined by istiod' : 'fetched by Envoy'}`, () => {
      test('a good token reaches the application, still in Authorization', async () => {
        const bearer = token()
        const answer = await call(listener, bearer)
        assert.equal(answer.status, 200, answer.body)
        assert.deepEqual(seenBy(answer).headers.authorization, [`Bearer ${bearer}`])
      })

      test('no token: 403', async () => denied(await call(listener, undefined)))

      test('a foreign issuer: 401', async () => {
        const answer = await call(listener, token({ iss: 'https://login.corp.example' }))
        refused(answer, 401, /issuer is not configured/)
      })

      test('tampered claims: 401', async () => {
        const [header, , signature] = token().split('.')
        const payload = encode(claims({ scope: 'payment:charge payment:refund' }))
        const answer = await call(listener, `${header}.${payload}.${signature}`)
        refused(answer, 401, /verification fails/)
      })

      test('another key under our kid: 401', async () => {
        const answer = await call(listener, signJwt(stranger, claims(), { kid: 'k1' }))
        refused(answer, 401, /verification fails/)
      })

      test('an unknown kid: 401', async () => {
        refused(await call(listener, signJwt(key, claims(), { kid: 'k2' })), 401, /kid or alg/)
      })

      test('expired beyond the 60 s of skew: 401', async () => {
        const answer = await call(listener, token({ exp: nowSeconds() - 70 }))
        refused(answer, 401, /is expired/)
      })

      test('expired within the 60 s of skew: still 200', async () => {
        assert.equal((await call(listener, token({ exp: nowSeconds() - 30 }))).status, 200)
      })

      test("another service's audience: 403", async () => {
        const answer = await call(listener, token({ aud: 'checkout.boutique' }))
        refused(answer, 403, /Audiences in Jwt are not allowed/)
      })
    })
  }

  const policy = (name: string, change: Claims) =>
    test(`${name}: 403`, async () => denied(await call('inline', token(change))))
  policy('another scope', { scope: 'payment:refund' })
  policy('a scope that only begins alike', { scope: 'payment:chargeback' })
  policy('no scope', { scope: undefined })
  policy('another current actor', { act: { sub: FRONTEND } })
  policy('the right actor only further inside', { act: { sub: FRONTEND, act: { sub: CHECKOUT } } })
  policy('no act', { act: undefined })
  policy('a chain that began elsewhere', { chain: [CHECKOUT] })
  policy('a chain as one text', { chain: `${FRONTEND} ${CHECKOUT}` })
  policy('no sub', { sub: undefined })

  test('one scope among several is enough', async () => {
    const answer = await call('inline', token({ scope: 'payment:refund payment:charge' }))
    assert.equal(answer.status, 200)
  })

  test('a sub with slashes, such as a SPIFFE ID, passes', async () => {
    assert.equal((await call('inline', token({ sub: CHECKOUT }))).status, 200)
  })

  test('an audience that differs only by what Envoy cuts is still stopped by the policy', async () => {
    denied(await call('inline', token({ aud: 'payment.boutique.example' })))
  })

  test('another workload with the same token: 403', async () => {
    const tls = { rootPem: ca.certPem, certificate: other.certificate, server: PAYMENT }
    denied(await call('inline', token(), { tls }))
  })

  test('another method: 403', async () => denied(await call('inline', token(), { method: 'GET' })))

  test('no client certificate: no connection', async () => {
    const tls = { rootPem: ca.certPem, server: PAYMENT }
    await assert.rejects(call('inline', token(), { tls }))
  })
})

describe('ports of the STS with the shipped policies', envoyBinary.options, () => {
  const ca = makeCa(TRUST_DOMAIN)
  const STS = spiffeIdOf(TRUST_DOMAIN, 'mesh-sts', 'mesh-sts')
  const sts = meshIdentity(ca, STS)
  const checkout = meshIdentity(ca, CHECKOUT)
  const prometheus = meshIdentity(ca, spiffeIdOf(TRUST_DOMAIN, 'monitoring', 'prometheus'))
  let app: EchoServer
  let envoy: RunningEnvoy

  before(async () => {
    app = await startEcho()
    const all = loadManifests()
    const ports = { token: 8080, public: 8081, admin: 8082 }
    envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: Object.entries(ports).map(([name, port]) =>
        sidecarListener(
          { name, port, namespace: 'mesh-sts', app: 'mesh-sts', identity: sts, cluster: 'app' },
          all,
        ),
      ),
      clusters: [appCluster('app', app.port)],
    })
  })
  after(async () => {
    await envoy?.stop()
    await app?.stop()
  })

  const by = async (
    caller: typeof checkout | undefined,
    listener: string,
    method: string,
    path: string,
  ) => {
    const tls = caller && { rootPem: ca.certPem, certificate: caller.certificate, server: STS }
    return callMesh({ port: envoy.port(listener), ...(tls && { tls }), method, path })
  }

  test('P8 token port: a workload reaches POST /token with exactly one XFCC element, its own', async () => {
    const tls = { rootPem: ca.certPem, certificate: checkout.certificate, server: STS }
    const headers = ['x-forwarded-client-cert', `By=${STS};URI=${FRONTEND}`]
    const port = envoy.port('token')
    const answer = await callMesh({ port, tls, headers, method: 'POST', path: '/token' })
    const [line = ''] = seenBy(answer).headers['x-forwarded-client-cert'] ?? []
    assert.match(
      line,
      /^By=spiffe:[^,]*;URI=spiffe:\/\/cluster\.local\/ns\/boutique\/sa\/checkout$/,
    )
  })

  test('token port: other paths and methods are 403', async () => {
    assert.equal((await by(checkout, 'token', 'POST', '/metrics')).status, 403)
    assert.equal((await by(checkout, 'token', 'GET', '/token')).status, 403)
  })

  test('token port: without a mesh certificate there is no connection', async () => {
    await assert.rejects(by(undefined, 'token', 'POST', '/token'))
  })

  test('public port: istiod fetches the key set without a certificate', async () => {
    const answer = await by(undefined, 'public', 'GET', '/.well-known/jwks.json')
    assert.equal(answer.status, 200)
    assert.equal(seenBy(answer).headers['x-forwarded-client-cert'], undefined)
  })

  test('public port: a workload may come over mTLS', async () => {
    assert.equal((await by(checkout, 'public', 'GET', '/.well-known/jwks.json')).status, 200)
  })

  test('public port: nothing but the metadata', async () => {
    assert.equal((await by(undefined, 'public', 'POST', '/token')).status, 403)
    assert.equal((await by(undefined, 'public', 'GET', '/metrics')).status, 403)
    assert.equal((await by(undefined, 'public', 'GET', '/.well-known/../token')).status, 403)
  })

  test('admin port: Prometheus reads the metrics, and nothing else', async () => {
    assert.equal((await by(prometheus, 'admin', 'GET', '/metrics')).status, 200)
    assert.equal((await by(prometheus, 'admin', 'GET', '/decisions')).status, 403)
    assert.equal((await by(checkout, 'admin', 'GET', '/metrics')).status, 403)
  })
})

function encode(value: Claims): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
