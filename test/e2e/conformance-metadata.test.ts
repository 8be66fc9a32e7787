// RFC 8414, OpenID Connect Discovery and the key set: what a running server says about itself.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ISSUER } from './full-configuration.ts'
import {
  problemsOf,
  refusedAtLoad,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { send } from './http-client.ts'
import { granted, refused } from './outcome.ts'

const METADATA = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

describe('conformance of the metadata', () => {
  const full = sharedFullDeployment()
  const get = (path: string) => send({ url: `${full().publicUrl}${path}` })

  it('MD-01 SB-08 the document stands at the path of RFC 8414', async () => {
    assert.equal((await get(METADATA)).status, 200)
  })
  it('MD-01 with a path in the issuer it stands between host and path', async (t) => {
    const issuer = 'https://sts.boutique.example/mesh'
    const other = await startFullDeployment(t, { settings: { issuer } })
    const { status, body } = await send({ url: `${other.publicUrl}${METADATA}/mesh` })
    assert.deepEqual([status, body.issuer], [200, issuer])
    const { claims } = await granted(other)
    assert.equal(claims.iss, issuer)
  })
  it('MD-02 its issuer is the iss of tokens, to the byte', async () => {
    const { body } = await get(METADATA)
    const { claims } = await granted(full())
    assert.deepEqual([body.issuer, claims.iss], [ISSUER, ISSUER])
  })
  for (const [issuer, problem] of [
    ['http://sts.boutique.example', /^must be https /],
    ['https://sts.boutique.example?x', /^must hold no query /],
    ['https://sts.boutique.example#x', /^must hold no fragment /],
    ['https://sts.boutique.example/', /^must not end in a slash/],
  ] as const) {
    it(`MD-02 OA-09 the issuer ${issuer} is refused at load`, (t) => {
      refusedAtLoad(t, { settings: { issuer: `'${issuer}'` } }, problem)
    })
  }
  it('MD-03 OA-09 the token endpoint is there, https, without fragment', async (t) => {
    const { body } = await get(METADATA)
    assert.equal(body.token_endpoint, `${ISSUER}/token`)
    const other = `${ISSUER}/oauth/token`
    assert.deepEqual(problemsOf(t, { settings: { token_endpoint: other } }), [])
    refusedAtLoad(t, { settings: { token_endpoint: `'${other}#x'` } }, /^must hold no fragment /)
    refusedAtLoad(t, { settings: { token_endpoint: 'token' } }, /^must be an absolute https URL/)
  })
  it('MD-04 no list is empty, and response_types_supported is left out with the endpoint that has none', async () => {
    for (const path of [METADATA, OPENID]) {
      const { body } = await get(path)
      assert.equal('response_types_supported' in body, false)
      for (const [name, value] of Object.entries(body)) {
        if (Array.isArray(value)) assert.notEqual(value.length, 0, name)
      }
    }
  })
  it('MD-04 no endpoint is named that does not exist', async () => {
    const { body } = await get(METADATA)
    const endpoints = Object.keys(body).filter((name) => name.endsWith('_endpoint'))
    assert.deepEqual(endpoints, ['token_endpoint'])
  })
  it('MD-05 algorithms of assertions are listed, none is not, RS256 is', async () => {
    const algorithms = (await get(METADATA)).body.token_endpoint_auth_signing_alg_values_supported
    assert.ok(Array.isArray(algorithms))
    assert.deepEqual(
      [algorithms.includes('none'), algorithms.includes('RS256'), algorithms.includes('HS256')],
      [false, true, false],
    )
  })
  it('MD-06 AT-09 every published key says that it is for signatures, and shows nothing private', async () => {
    const { body, headers } = await get('/.well-known/jwks.json')
    const keys = body.keys as Record<string, unknown>[]
    assert.equal(headers['content-type'], 'application/jwk-set+json')
    assert.ok(keys.length >= 2)
    for (const key of keys) {
      assert.equal(key.use, 'sig')
      for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.equal(name in key, false)
    }
    assert.deepEqual([...new Set(keys.map((key) => key.alg))].sort(), ['ES256', 'RS256'])
    assert.equal(new Set(keys.map((key) => key.kid)).size, keys.length)
  })
  it('MD-07 documents are 200 and JSON', async () => {
    for (const path of [METADATA, OPENID]) {
      const { status, headers } = await get(path)
      assert.deepEqual([status, headers['content-type']], [200, 'application/json'])
    }
  })
  it('MD-08 the ways to authenticate are those of the listeners', async () => {
    const { body } = await get(METADATA)
    assert.deepEqual(body.token_endpoint_auth_methods_supported, [
      'private_key_jwt',
      'spiffe_jwt',
      'spiffe_x509',
      'tls_client_auth',
    ])
    // Basic is the default of RFC 8414 where the list is absent; it does not exist here.
    const basic = { headers: { authorization: 'Basic eDp5' } }
    await refused(full(), basic, 'client_authorization_not_supported')
  })
  it('MD-09 token exchange is the grant', async () => {
    const { body } = await get(METADATA)
    assert.deepEqual(body.grant_types_supported, [
      'urn:ietf:params:oauth:grant-type:token-exchange',
    ])
  })
  it('MD-10 the OpenID document names the same issuer and keys', async () => {
    const [one, other] = [(await get(METADATA)).body, (await get(OPENID)).body]
    assert.deepEqual([other.issuer, other.jwks_uri], [one.issuer, one.jwks_uri])
    assert.equal(one.jwks_uri, `${ISSUER}/.well-known/jwks.json`)
  })
})
