// Owns the tests of the development profile's identity provider and trust domain, over HTTP.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createLocalJWKSet, errors, importJWK, type JSONWebKeySet, jwtVerify } from 'jose'
import { startCredentialsServer } from '../../src/dev/credentials-server.ts'
import { developmentKey } from '../../src/dev/development-key.ts'
import { createIdentityProvider } from '../../src/dev/identity-provider.ts'
import { createTrustDomain } from '../../src/dev/trust-domain.ts'
import { parseKeySet } from '../../src/jwt/key-set.ts'
import { temporaryFolder } from './running-profile.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const ISSUER = 'http://127.0.0.1:8083'
const STS = 'http://127.0.0.1:8081'

async function startServer(t: TestContext) {
  const folder = temporaryFolder(t)
  const key = (name: string, algorithm: 'RS256' | 'ES256') =>
    developmentKey(join(folder, name), algorithm)
  const now = () => NOW
  let ids = 0
  const server = await startCredentialsServer({
    port: 0,
    identityProvider: createIdentityProvider({
      issuer: ISSUER,
      key: await key('idp', 'RS256'),
      unpublishedKey: await key('other', 'RS256'),
      now,
      newTokenId: () => `id-${++ids}`,
    }),
    trustDomain: createTrustDomain({
      name: 'cluster.local',
      key: await key('td', 'ES256'),
      audience: STS,
      now,
    }),
  })
  t.after(server.stop)
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init)
    return { status: response.status, text: await response.text() }
  }
  return { ...server, get }
}

test('a user token is fresh, typed, and verifies with the published keys', async (t) => {
  const { get } = await startServer(t)
  const jwks: JSONWebKeySet = JSON.parse((await get('/jwks.json')).text)
  const [one, two] = [(await get('/user/alice')).text, (await get('/user/alice')).text]
  assert.notEqual(one, two)
  const { payload, protectedHeader } = await jwtVerify(one.trim(), createLocalJWKSet(jwks), {
    currentDate: new Date(NOW),
    issuer: ISSUER,
    audience: 'https://api.shop.example',
    typ: 'at+jwt',
    algorithms: ['RS256'],
  })
  assert.equal(protectedHeader.kid, jwks.keys[0]?.kid)
  assert.equal(payload.sub, 'alice')
  assert.equal(payload.scope, 'shop:browse shop:buy shop:verified')
  assert.equal(payload.exp, NOW / 1000 + 600)
  for (const claim of ['email', 'email_verified', 'phone_number', 'address', 'amr']) {
    assert.ok(claim in payload, claim)
  }
  assert.deepEqual(
    JSON.parse((await get('/.well-known/openid-configuration')).text).jwks_uri,
    `${ISSUER}/jwks.json`,
  )
})

test('mallory names the published key and has not signed with it', async (t) => {
  const { get } = await startServer(t)
  const jwks: JSONWebKeySet = JSON.parse((await get('/jwks.json')).text)
  const forged = (await get('/user/mallory')).text.trim()
  const options = { currentDate: new Date(NOW) }
  await assert.rejects(
    jwtVerify(forged, createLocalJWKSet(jwks), options),
    errors.JWSSignatureVerificationFailed,
  )
})

test('SP-02, SP-03: a JWT-SVID for any workload, and a bundle that the service reads', async (t) => {
  const { get } = await startServer(t)
  const bundle = (await get('/bundle.json')).text
  const parsed = parseKeySet(bundle, ['ES256'], { use: 'jwt-svid' })
  assert.ok('keys' in parsed)
  assert.deepEqual(parsed.skipped, [])
  const svid = (await get('/svid/boutique/frontend')).text.trim()
  const key = await importJWK(JSON.parse(bundle).keys[0], 'ES256')
  const { payload, protectedHeader } = await jwtVerify(svid, key, { currentDate: new Date(NOW) })
  assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ'])
  assert.equal(payload.sub, 'spiffe://cluster.local/ns/boutique/sa/frontend')
  assert.equal(payload.aud, STS)
  assert.equal(payload.exp, NOW / 1000 + 300)
})

test('no private member is published', async (t) => {
  const { get } = await startServer(t)
  for (const path of ['/jwks.json', '/bundle.json']) {
    for (const key of JSON.parse((await get(path)).text).keys) {
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi']) assert.ok(!(member in key), member)
    }
  }
})

test('what is not there is 404 and gives nothing', async (t) => {
  const { get } = await startServer(t)
  for (const path of [
    '/',
    '/user',
    '/user/nobody',
    '/user/alice/x',
    '/user/__proto__',
    '/svid/boutique',
    '/svid/boutique/a/b',
    '/svid/boutique/%2e%2e',
    '/svid//frontend',
  ]) {
    const { status, text } = await get(path)
    assert.equal(status, 404, path)
    assert.doesNotMatch(text, /eyJ/)
  }
  assert.equal((await get('/user/alice', { method: 'POST' })).status, 405)
})

test('a browser that was sent here under another name gets nothing', async (t) => {
  const { port } = await startServer(t)
  const status = await new Promise((resolve, reject) => {
    const options = {
      port,
      host: '127.0.0.1',
      path: '/user/alice',
      headers: { host: 'evil.example' },
    }
    request(options, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
  assert.equal(status, 403)
})
