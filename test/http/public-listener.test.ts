import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import type { InjectOptions } from 'fastify'
import {
  buildPublicListener,
  type PublicListenerOptions,
  type PublishedJwks,
} from '../../src/http/public-listener.ts'
import { metadataPaths } from '../../src/oauth/metadata.ts'
import { answers, listening, parseAnswers, received } from '../support/token-listener.ts'

const JWKS: PublishedJwks = { body: '{"keys":[{"kty":"EC"}]}', etag: '"v1"', maxAgeSeconds: 300 }

function publicListener(t: TestContext, changes: Partial<PublicListenerOptions> = {}) {
  const observed: number[] = []
  const errors: string[] = []
  const app = buildPublicListener({
    jwks: () => JWKS,
    authorizationServer: { issuer: 'https://sts.example', kind: 'oauth' },
    openidConfiguration: { issuer: 'https://sts.example', kind: 'openid' },
    paths: metadataPaths('https://sts.example'),
    observeJwks: (status) => observed.push(status),
    log: { info: () => {}, warn: () => {}, error: (_fields, message) => errors.push(message) },
    ...changes,
  })
  t.after(() => app.close())
  const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.inject({ method: method as 'GET', url, headers })
  return { app, get, observed, errors }
}

describe('/.well-known/jwks.json', () => {
  const PATH = '/.well-known/jwks.json'

  it('P5 serves the set byte for byte, and lets it be cached', async (t) => {
    const { get, observed } = publicListener(t)
    const response = await get(PATH)
    assert.equal(response.statusCode, 200)
    assert.equal(response.body, JWKS.body)
    assert.equal(response.headers['content-type'], 'application/jwk-set+json')
    assert.equal(response.headers['cache-control'], 'public, max-age=300, stale-if-error=86400')
    assert.equal(response.headers.etag, '"v1"')
    assert.equal(response.headers['content-length'], String(JWKS.body.length))
    assert.deepEqual(observed, [200])
  })

  it('answers HEAD with the same headers and no body', async (t) => {
    const { get } = publicListener(t)
    const whole = await get(PATH)
    const head = await get(PATH, {}, 'HEAD')
    assert.equal(head.statusCode, 200)
    assert.equal(head.body, '')
    const { date: _a, ...expected } = whole.headers
    const { date: _b, ...headers } = head.headers
    assert.deepEqual(headers, expected)
  })

  for (const known of ['"v1"', 'W/"v1"', '"v0", "v1"', '*']) {
    it(`P5 answers 304 to If-None-Match: ${known}`, async (t) => {
      const { get, observed } = publicListener(t)
      for (const method of ['GET', 'HEAD']) {
        const response = await get(PATH, { 'if-none-match': known }, method)
        assert.equal(response.statusCode, 304)
        assert.equal(response.body, '')
        assert.equal(response.headers.etag, '"v1"')
        assert.equal(response.headers['cache-control'], 'public, max-age=300, stale-if-error=86400')
        assert.ok(!('content-length' in response.headers))
      }
      assert.deepEqual(observed, [304, 304])
    })
  }

  it('answers 200 where the client has another set', async (t) => {
    const { get } = publicListener(t)
    assert.equal((await get(PATH, { 'if-none-match': '"v0"' })).statusCode, 200)
  })

  it('field-6 #26 P5 answers 503 before the first set, even to a client who has one', async (t) => {
    let jwks: PublishedJwks | undefined
    const { get, observed } = publicListener(t, { jwks: () => jwks })
    for (const headers of [{}, { 'if-none-match': '*' }] as Record<string, string>[]) {
      const response = await get(PATH, headers)
      assert.equal(response.statusCode, 503)
      assert.equal(response.headers['retry-after'], '2')
      assert.equal(response.headers['cache-control'], 'no-store')
      assert.ok(!('etag' in response.headers))
      assert.deepEqual(response.json(), {
        error: 'temporarily_unavailable',
        error_description: 'no complete key set yet',
      })
    }
    jwks = JWKS
    assert.equal((await get(PATH)).statusCode, 200)
    assert.deepEqual(observed, [503, 503, 200])
  })

  for (const body of ['{"keys":[]}', '{}', 'null', '', '<html>', '{"keys":"x"}']) {
    it(`field-6 #26 P5 never passes on ${JSON.stringify(body)} as a set`, async (t) => {
      const { get, observed, errors } = publicListener(t, {
        jwks: () => ({ ...JWKS, body, etag: '"bad"' }),
      })
      assert.equal((await get(PATH)).statusCode, 503)
      assert.equal((await get(PATH)).statusCode, 503)
      assert.deepEqual(observed, [503, 503])
      assert.deepEqual(errors, ['key set is not fit to publish'])
    })
  }

  it('P5 serves the last fit set where a later one is not', async (t) => {
    let jwks = JWKS
    const { get } = publicListener(t, { jwks: () => jwks })
    await get(PATH)
    jwks = { ...JWKS, body: '{"keys":[]}', etag: '"bad"' }
    const response = await get(PATH)
    assert.equal(response.statusCode, 200)
    assert.equal(response.body, JWKS.body)
    assert.equal(response.headers.etag, '"v1"')
  })
})

describe('a public listener that is closing', () => {
  it('P5 still serves the set to whoever has begun to ask', async (t) => {
    const { app } = publicListener(t)
    const socket = (await listening(t, app))()
    const all = received(socket)
    const begun = once(app.server, 'connection').then(([serverSide]) => once(serverSide, 'data'))
    socket.write('GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n')
    await begun
    const closed = app.close()
    socket.write('\r\n')
    const [answer] = parseAnswers(await all)
    assert.equal(answer?.status, 200)
    assert.equal(answer.body, JWKS.body)
    assert.equal(answer.headers.get('connection'), 'close')
    await closed
  })
})

describe('metadata documents', () => {
  it('MD-07 MD-10 serves both, each cacheable under a tag of its own', async (t) => {
    const { get, observed } = publicListener(t)
    const tags = new Set()
    for (const [path, kind] of [
      ['/.well-known/oauth-authorization-server', 'oauth'],
      ['/.well-known/openid-configuration', 'openid'],
    ] as const) {
      const response = await get(path)
      assert.equal(response.statusCode, 200)
      assert.equal(response.headers['content-type'], 'application/json')
      assert.equal(response.headers['cache-control'], 'public, max-age=300')
      assert.deepEqual(response.json(), { issuer: 'https://sts.example', kind })
      const etag = String(response.headers.etag)
      assert.match(etag, /^"[\w-]{22}"$/)
      tags.add(etag)
      assert.equal((await get(path, { 'if-none-match': `"x", ${etag}` })).statusCode, 304)
    }
    assert.equal(tags.size, 2)
    assert.deepEqual(observed, [])
  })

  it('MD-01 serves every form of path of an issuer with a path', async (t) => {
    const paths = metadataPaths('https://sts.example/mesh/a')
    const { get } = publicListener(t, { paths })
    assert.equal((await get('/.well-known/oauth-authorization-server/mesh/a')).json().kind, 'oauth')
    assert.equal((await get('/mesh/a/.well-known/openid-configuration')).json().kind, 'openid')
    assert.equal((await get('/mesh/a/.well-known/jwks.json')).body, JWKS.body)
    assert.equal((await get('/.well-known/jwks.json')).body, JWKS.body)
  })
})

describe('everything else on the public listener', () => {
  const refused: [string, InjectOptions, number][] = [
    ['POST', { method: 'POST', url: '/.well-known/jwks.json', payload: 'x' }, 405],
    ['OPTIONS', { method: 'OPTIONS', url: '/.well-known/openid-configuration?x' }, 405],
    ['the token endpoint', { method: 'POST', url: '/token' }, 404],
    ['the root', { method: 'GET', url: '/' }, 404],
    ['a trailing slash', { method: 'GET', url: '/.well-known/jwks.json/' }, 404],
    [
      'a body of a type that is none',
      { method: 'POST', url: '/', headers: { 'content-type': 'x' }, payload: 'x' },
      400,
    ],
    ['a path that cannot be decoded', { method: 'GET', url: '/%zz' }, 400],
  ]
  for (const [name, request, status] of refused) {
    it(`refuses ${name} with ${status}`, async (t) => {
      const { app } = publicListener(t)
      const response = await app.inject(request)
      assert.equal(response.statusCode, status)
      assert.equal(response.headers['content-type'], 'application/json')
      assert.equal(response.headers['cache-control'], 'no-store')
      assert.equal(response.headers.allow, status === 405 ? 'GET, HEAD' : undefined)
      assert.deepEqual(Object.keys(response.json()), ['error', 'error_description'])
    })
  }

  it('P5 lets a new reader in, however many idle connections others hold', async (t) => {
    const maxConnections = 20
    const { app } = publicListener(t, { limits: { maxConnections } })
    const open = await listening(t, app)
    assert.ok(app.server.keepAliveTimeout <= 75_000)
    for (let reader = 0; reader < 3 * maxConnections; reader += 1) {
      const socket = open()
      const one = answers(socket, 1)
      socket.write('GET /.well-known/jwks.json HTTP/1.1\r\nHost: sts\r\n\r\n')
      assert.equal((await one)[0]?.body, JWKS.body, `reader ${reader}`)
    }
  })

  it('tells the log alone what failed', async (t) => {
    const { get, errors } = publicListener(t, {
      jwks: () => {
        throw new Error('sql: broken')
      },
    })
    const response = await get('/.well-known/jwks.json')
    assert.equal(response.statusCode, 500)
    assert.doesNotMatch(response.body, /sql/)
    assert.deepEqual(errors, ['public request failed'])
  })

  const broken: [string, string, number][] = [
    ['bytes that are no request', '\0\r\n\r\n', 400],
    ['headers too large', `GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['headers that do not end', 'GET / HTTP/1.1\r\n', 408],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ]
  for (const [name, bytes, status] of broken) {
    it(`refuses ${name} with ${status}`, async (t) => {
      const limits = { headersTimeoutMs: 30, requestTimeoutMs: 30, checkEveryMs: 10 }
      const { app } = publicListener(t, { limits })
      const socket = (await listening(t, app))()
      const all = received(socket)
      socket.write(bytes)
      const [answer, ...more] = parseAnswers(await all)
      assert.equal(answer?.status, status)
      assert.deepEqual(Object.keys(JSON.parse(answer.body)), ['error', 'error_description'])
      assert.equal(answer.headers.get('cache-control'), 'no-store')
      assert.equal(answer.headers.get('connection'), 'close')
      assert.deepEqual(more, [])
    })
  }
})
