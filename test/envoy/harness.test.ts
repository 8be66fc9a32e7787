// What a sidecar hands to the STS (XFCC, mTLS, source address), on a real Envoy with a stand-in application.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { issueSvid, makeCa, type TestCertificate } from '../support/certificates.ts'
import { type RunningEnvoy, startEnvoy } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import {
  appCluster,
  inboundListener,
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

const envoyBinary = envoyForTests()
const TRUST_DOMAIN = 'cluster.local'
const STS = spiffeIdOf(TRUST_DOMAIN, 'mesh-sts', 'mesh-sts')
const CART = spiffeIdOf(TRUST_DOMAIN, 'boutique', 'cart')
const VICTIM = spiffeIdOf(TRUST_DOMAIN, 'boutique', 'frontend')

describe('sidecar in front of the STS', envoyBinary.options, () => {
  const ca = makeCa(TRUST_DOMAIN)
  const sts = meshIdentity(ca, STS)
  const cart = issueSvid(ca, CART)
  let app: EchoServer
  let envoy: RunningEnvoy

  const inbound = (name: string, more: Partial<Parameters<typeof inboundListener>[0]>) =>
    inboundListener({ name, identity: sts, mtls: 'STRICT', cluster: 'app', ...more })
  const listeners = [
    inbound('sanitize_set', { xfcc: 'SANITIZE_SET' }),
    inbound('append_forward', { xfcc: 'APPEND_FORWARD' }),
    inbound('permissive', { mtls: 'PERMISSIVE' }),
    inbound('plain', { mtls: 'DISABLE' }),
  ]

  before(async () => {
    app = await startEcho()
    envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners,
      clusters: [appCluster('app', app.port)],
    })
  })
  after(async () => {
    await envoy?.stop()
    await app?.stop()
  })

  /** One request by `certificate`; a test changes one thing of it. */
  const call = (
    listener: string,
    certificate: TestCertificate | undefined,
    more: Partial<MeshCall> = {},
  ) =>
    callMesh({
      port: envoy.port(listener),
      tls: { rootPem: ca.certPem, certificate, server: STS },
      ...more,
    })
  const xfccOf = async (answer: ReturnType<typeof call>) =>
    seenBy(await answer).headers['x-forwarded-client-cert']
  const element = (certificate: TestCertificate, subject: string, uri: string, dns = '') =>
    `By=${STS};Hash=${fingerprint(certificate)};Subject="${subject}";URI=${uri}${dns}`

  for (const mode of ['sanitize_set', 'append_forward']) {
    test(`${mode}: one element in Envoy's order, Subject empty as Istio's certificates`, async () => {
      assert.deepEqual(await xfccOf(call(mode, cart)), [element(cart, '', CART)])
    })

    test(`${mode}: Subject is RFC 2253 text between quotes, DNS comes last`, async () => {
      const odd = issueSvid(ca, CART, {
        subject: { organization: 'a"b,c;d\\' },
        dns: ['cart.boutique', 'cart'],
      })
      assert.deepEqual(await xfccOf(call(mode, odd)), [
        element(odd, 'O=a\\"b\\,c\\;d\\\\', CART, ';DNS=cart.boutique;DNS=cart'),
      ])
    })

    test(`${mode}: the application is dialled from 127.0.0.6`, async () => {
      assert.equal(seenBy(await call(mode, cart)).remoteAddress, '127.0.0.6')
    })

    test(`${mode}: no client certificate, no connection`, async () => {
      await assert.rejects(call(mode, undefined), /certificate required|ECONNRESET/)
    })

    test(`${mode}: a certificate of another root is refused`, async () => {
      await assert.rejects(
        call(mode, issueSvid(makeCa(TRUST_DOMAIN), CART)),
        /unknown ca|decrypt error|ECONNRESET/,
      )
    })

    test(`${mode}: a certificate of another trust domain is refused`, async () => {
      await assert.rejects(
        call(mode, issueSvid(ca, spiffeIdOf('other.example', 'boutique', 'cart'))),
        /bad certificate|certificate unknown|unknown ca|ECONNRESET/,
      )
    })

    test(`${mode}: plaintext to the mTLS port is refused`, async () => {
      await assert.rejects(callMesh({ port: envoy.port(mode) }), /ECONNRESET|socket hang up/)
    })
  }

  const forged = `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${VICTIM}`

  test('field-6 #16 sanitize_set: a forged element is replaced', async () => {
    const headers = ['x-forwarded-client-cert', forged]
    assert.deepEqual(await xfccOf(call('sanitize_set', cart, { headers })), [
      element(cart, '', CART),
    ])
  })

  test('field-6 #16 append_forward: a forged element stays in front of our own', async () => {
    const headers = ['x-forwarded-client-cert', forged]
    assert.deepEqual(await xfccOf(call('append_forward', cart, { headers })), [
      `${forged},${element(cart, '', CART)}`,
    ])
  })

  test('append_forward: several forged lines arrive as one', async () => {
    const headers = ['X-Forwarded-Client-Cert', forged, 'x-forwarded-client-cert', 'URI=x']
    assert.deepEqual(await xfccOf(call('append_forward', cart, { headers })), [
      `${forged},URI=x,${element(cart, '', CART)}`,
    ])
  })

  test('append_forward: a forged JSON array turns the header into JSON', async () => {
    const headers = ['x-forwarded-client-cert', '[]']
    const [line] = (await xfccOf(call('append_forward', cart, { headers }))) ?? []
    assert.match(line ?? '', /^\[,\{"by":\["spiffe:/)
  })

  test('append_forward: an unescaped URI SAN forges a whole last element', async () => {
    const smuggled = `${CART},${forged}`
    const odd = issueSvid(ca, smuggled)
    const [line] = (await xfccOf(call('append_forward', odd))) ?? []
    assert.ok(line?.endsWith(`,${forged}`), line)
  })

  test('P8 sanitize_set: the same certificate gives more than one element, which the STS refuses', async () => {
    const odd = issueSvid(ca, `${CART},${forged}`)
    const [line] = (await xfccOf(call('sanitize_set', odd))) ?? []
    assert.equal(line?.split(',By=').length, 2)
  })

  test('permissive: plaintext arrives without XFCC, even with a forged one', async () => {
    const answer = callMesh({
      port: envoy.port('permissive'),
      headers: ['x-forwarded-client-cert', forged],
    })
    assert.equal(await xfccOf(answer), undefined)
  })

  test('permissive: a mesh peer (ALPN istio) is authenticated', async () => {
    assert.deepEqual(await xfccOf(call('permissive', cart)), [element(cart, '', CART)])
  })

  test('permissive: other TLS finds no filter chain', async () => {
    const tls = { rootPem: ca.certPem, certificate: cart, server: STS, alpn: ['http/1.1'] }
    await assert.rejects(
      call('permissive', cart, { tls }),
      /ECONNRESET|socket (hang up|disconnected)/,
    )
  })

  test('disabled mTLS: plaintext passes, a forged XFCC does not', async () => {
    const answer = callMesh({
      port: envoy.port('plain'),
      headers: ['x-forwarded-client-cert', forged],
    })
    assert.equal(await xfccOf(answer), undefined)
  })

  test('a caller behind its own sidecar needs no certificate in the application', async () => {
    const certificate = issueSvid(ca, CART)
    const identity = { ...meshIdentity(ca, CART), certificate }
    const outbound = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [outboundListener({ name: 'outbound', cluster: 'sts' })],
      clusters: [meshCluster('sts', envoy.port('sanitize_set'), identity, STS)],
    })
    try {
      const answer = callMesh({ port: outbound.port('outbound') })
      assert.deepEqual(await xfccOf(answer), [element(certificate, '', CART)])
    } finally {
      await outbound.stop()
    }
  })
})

describe('the Envoy harness itself', envoyBinary.options, () => {
  const identity = meshIdentity(makeCa(TRUST_DOMAIN), STS)
  const plain = inboundListener({ name: 'in', identity, mtls: 'DISABLE', cluster: 'app' })

  test('swaps listeners without a restart and keeps the port', async () => {
    const app = await startEcho()
    const envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [plain],
      clusters: [staticCluster('app', app.port)],
    })
    try {
      const port = envoy.port('in')
      assert.equal((await callMesh({ port })).status, 200)
      await envoy.swapListeners([inboundListener({ ...strict(), cluster: 'app' })])
      assert.equal(envoy.port('in'), port)
      await assert.rejects(callMesh({ port }))
    } finally {
      await envoy.stop()
      await app.stop()
    }
  })

  test('tells why Envoy refuses a listener, and leaves nothing running', async () => {
    const bad = { ...plain, filterChains: [{ filters: [{ name: 'no.such.filter' }] }] }
    await assert.rejects(
      startEnvoy({ binary: envoyBinary.binary, listeners: [bad], clusters: [] }),
      /refused the listeners[\s\S]*no\.such\.filter/,
    )
  })

  test('stops by pid', async () => {
    const envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [],
      clusters: [],
    })
    process.kill(envoy.pid, 0)
    await envoy.stop()
    assert.throws(() => process.kill(envoy.pid, 0), { code: 'ESRCH' })
  })

  const strict = () => ({ name: 'in', identity, mtls: 'STRICT' as const })
})

function fingerprint(certificate: TestCertificate): string {
  const { fingerprint256 } = new X509Certificate(certificate.certPem)
  return fingerprint256.replaceAll(':', '').toLowerCase()
}
