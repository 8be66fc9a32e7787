import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import {
  type ClosableKeySource,
  type JwksUrlOptions,
  jwksUrlSource,
} from '../../src/jwt/jwks-url.ts'
import { MAX_KEY_SET_BYTES } from '../../src/jwt/key-set.ts'
import type { KeySet, KeySourceOutage } from '../../src/jwt/key-source.ts'
import {
  type Handler,
  type JwksServer,
  jwksOf,
  makeKey,
  startJwksServer,
} from '../support/jwt-fixtures.ts'

const first = jwksOf([makeKey('ES256', 'first')])
const second = jwksOf([makeKey('ES256', 'second')])
const MINUTE = 60_000
const HOUR = 60 * MINUTE

let server: JwksServer
const open: ClosableKeySource[] = []
before(async () => {
  server = await startJwksServer()
})
afterEach(() => {
  for (const source of open.splice(0)) source.close()
})
after(() => server.close())

/** A source with a clock that the test turns, and a count of the requests that it causes. */
function setUp(handler: Handler | string, change: Partial<JwksUrlOptions> = {}) {
  if (typeof handler === 'string') server.serve(handler)
  else server.handle(handler)
  const clock = { ms: 1_000_000 }
  const logged: string[] = []
  const source = jwksUrlSource({
    from: { jwksUri: server.url },
    allowed: ALGORITHMS,
    monotonic: () => clock.ms,
    log: {
      info: (_fields, message) => void logged.push(message),
      warn: (fields, message) =>
        void logged.push(`${message}: ${(fields as { problem: string }).problem}`),
    },
    allowHttp: true,
    ...change,
  })
  open.push(source)
  const start = server.hits.length
  return { source, clock, logged, hits: () => server.hits.slice(start) }
}

const said = (answer: KeySet | KeySourceOutage): string =>
  'unavailable' in answer
    ? `${answer.unavailable}, retry after ${answer.retryAfterSeconds}`
    : answer.keys.map((key) => key.kid).join() || 'none'

const status =
  (code: number): Handler =>
  (_request, response) =>
    void response.writeHead(code).end('{}')
const html: Handler = (_request, response) =>
  void response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>')
const huge: Handler = (_request, response) => void response.end(' '.repeat(MAX_KEY_SET_BYTES + 1))
const silent: Handler = () => undefined
const redirect: Handler = (_request, response) =>
  void response.writeHead(302, { location: '/keys' }).end()

test('one fetch serves everybody who asks at once, and everybody later from memory', async () => {
  const { source, hits } = setUp(first)
  const asked = [
    ...Array.from({ length: 50 }, () => source.current()),
    ...Array.from({ length: 50 }, () => source.refreshed()),
  ]
  for (const answer of await Promise.all(asked)) assert.equal(said(answer), 'first')
  assert.equal(source.current() instanceof Promise, false)
  assert.deepEqual(hits(), ['GET /jwks'])
})

test('an old set is answered while its refresh runs beside it', async () => {
  const { source, clock, hits } = setUp(first)
  await source.current()
  clock.ms += 10 * MINUTE - 1
  source.current()
  assert.equal(hits().length, 1)
  clock.ms += 1
  server.serve(second)
  const held = source.current()
  assert.ok(!(held instanceof Promise))
  assert.equal(said(held), 'first')
  source.current()
  assert.equal(said(await source.refreshed()), 'second')
  assert.equal(said(await source.current()), 'second')
  assert.equal(hits().length, 2)
})

test('nothing is fetched before its time, nor while the issuer is known to fail', async () => {
  const { source, clock, logged } = setUp(first)
  await source.current()
  clock.ms += 10 * MINUTE - 1
  source.current()
  clock.ms += 1
  server.handle(status(503))
  source.current()
  await source.refreshed()
  clock.ms += 9_999
  source.current()
  // A fetch that had been started would now end as aborted, and be logged.
  source.close()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(logged, ['key set fetched', 'key set could not be fetched: answered 503'])
})

test('a set that nobody used for long is refreshed before it is used', async () => {
  const { source, clock } = setUp(first)
  await source.current()
  server.serve(second)
  clock.ms += 30 * MINUTE
  assert.equal(said(await source.current()), 'second')
  server.handle(status(503))
  clock.ms += 30 * MINUTE
  assert.equal(said(await source.current()), 'second')
  assert.equal(source.current() instanceof Promise, false)
})

test('P4 a failing issuer leaves the last set in use, up to its limit', async () => {
  const { source, clock, logged } = setUp(first)
  await source.current()
  server.handle(status(503))
  clock.ms += 24 * HOUR - 1
  assert.equal(said(await source.current()), 'first')
  clock.ms += 1
  assert.equal(said(await source.current()), 'answered 503, retry after 10')
  clock.ms += 10_000
  server.serve(second)
  assert.equal(said(await source.current()), 'second')
  assert.deepEqual(logged, [
    'key set fetched',
    'key set could not be fetched: answered 503',
    'key set fetched',
  ])
})

test('a dead issuer costs one request per window; windows grow to a minute', async () => {
  const { source, clock, hits } = setUp(status(500))
  let requests = 0
  for (const windowMs of [10_000, 20_000, 40_000, 60_000, 60_000]) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => source.current()))
    for (const answer of answers)
      assert.equal(said(answer), `answered 500, retry after ${windowMs / 1000}`)
    requests++
    clock.ms += windowMs - 1
    assert.equal(said(await source.current()), 'answered 500, retry after 1')
    assert.equal(said(await source.refreshed()), 'answered 500, retry after 1')
    assert.equal(hits().length, requests)
    clock.ms += 1
  }
  server.serve(first)
  assert.equal(said(await source.current()), 'first')
  server.handle(status(500))
  clock.ms += 10 * MINUTE
  source.current()
  assert.equal(said(await source.refreshed()), 'answered 500, retry after 10')
})

test('BCP-09 a flood of unknown kids causes one request per cool-down', async () => {
  const { source, clock, hits } = setUp(first)
  await source.current()
  clock.ms += 29_999
  for (let at = 0; at < 100; at++) assert.equal(said(await source.refreshed()), 'first')
  assert.equal(hits().length, 1)
  clock.ms += 1
  server.serve(second)
  const answers = await Promise.all(Array.from({ length: 100 }, () => source.refreshed()))
  for (const answer of answers) assert.equal(said(answer), 'second')
  assert.equal(hits().length, 2)
})

test('P4 an unknown kid at a dead issuer is an outage, and others go on', async () => {
  const { source, clock, hits } = setUp(first)
  await source.current()
  server.handle(status(503))
  clock.ms += 30_000
  assert.equal(said(await source.refreshed()), 'answered 503, retry after 10')
  assert.equal(said(await source.refreshed()), 'answered 503, retry after 10')
  assert.equal(source.current() instanceof Promise, false)
  assert.equal(hits().length, 2)
})

for (const [name, handler, problem] of [
  ['HTML with status 200', html, 'the document is refused: not JSON'],
  ['field-6 #26 an empty set', '{"keys":[]}', 'no usable key'],
  ['a huge document', huge, `answered with more than ${MAX_KEY_SET_BYTES} bytes`],
  ['silence', silent, 'no complete answer in time'],
  ['BCP-09 a redirect', redirect, 'answered with a redirect (302)'],
  ['204', status(204), 'answered 204'],
  ['404', status(404), 'answered 404'],
] as const) {
  test(`a failure like any other: ${name}`, async () => {
    const { source, clock } = setUp(handler, { timeoutMs: 80 })
    assert.equal(said(await source.current()), `${problem}, retry after 10`)
    clock.ms += 10_000
    server.serve(first)
    assert.equal(said(await source.current()), 'first')
    clock.ms += 10 * MINUTE
    if (typeof handler === 'string') server.serve(handler)
    else server.handle(handler)
    source.current()
    assert.equal(said(await source.refreshed()), `${problem}, retry after 10`)
    assert.equal(said(await source.current()), 'first')
  })
}

test('an issuer that flaps never takes the good set away', async () => {
  const { source, clock } = setUp(first)
  await source.current()
  for (let round = 0; round < 6; round++) {
    server.handle(round % 2 === 0 ? status(503) : html)
    clock.ms += 10 * MINUTE
    source.current()
    await source.refreshed()
    assert.equal(said(await source.current()), 'first')
  }
})

test('a set that did not change keeps its version and is logged once', async () => {
  const { source, clock, logged } = setUp(first)
  const before = await source.current()
  clock.ms += 30_000
  const later = await source.refreshed()
  assert.ok('version' in before && 'version' in later)
  assert.equal(later.version, before.version)
  assert.deepEqual(logged, ['key set fetched'])
})

test('http is refused unless it is permitted', async () => {
  const { source, hits } = setUp(first, { allowHttp: false })
  assert.equal(said(await source.current()), 'the URL is not https, retry after 10')
  assert.equal(hits().length, 0)
})

test('close ends a fetch that runs, and every later one', async () => {
  const { source, clock, hits } = setUp(silent)
  const loading = source.current()
  source.close()
  assert.equal(said(await loading), 'aborted, retry after 10')
  clock.ms += 10_000
  assert.equal(said(await source.current()), 'aborted, retry after 20')
  assert.ok(hits().length <= 1)
})

test('SP-03 SC-05 a bundle is polled by its refresh hint, within bounds', async () => {
  const bundle = (hint: number) =>
    jwksOf([{ ...makeKey('ES256', 'svid').jwk, use: 'jwt-svid' }], { spiffe_refresh_hint: hint })
  for (const [hint, use, intervalMs] of [
    [60, 'jwt-svid', 60_000],
    [1, 'jwt-svid', 30_000],
    [86_400, 'jwt-svid', 10 * MINUTE],
  ] as const) {
    const { source, clock, hits } = setUp(bundle(hint), { use })
    await source.current()
    clock.ms += intervalMs - 1
    source.current()
    assert.equal(hits().length, 1, `hint ${hint}`)
    clock.ms += 1
    source.current()
    await source.refreshed()
    assert.equal(hits().length, 2, `hint ${hint}`)
  }
})

test('SP-03 an empty bundle is a set', async () => {
  const { source } = setUp('{"keys":[]}', { use: 'jwt-svid' })
  assert.equal(said(await source.current()), 'none')
})

/** Answers discovery with a document, and the key set. */
const discovery =
  (document: object): Handler =>
  (request, response) =>
    void response.end(
      request.url?.endsWith('/.well-known/openid-configuration') ? JSON.stringify(document) : first,
    )

test('discovery finds the set of exactly this issuer', async () => {
  for (const issuer of [`${server.origin}/tenant`, `${server.origin}/tenant/`]) {
    const { source, hits } = setUp(discovery({ issuer, jwks_uri: server.url }), {
      from: { discoveryIssuer: issuer },
    })
    assert.equal(said(await source.current()), 'first')
    assert.deepEqual(hits(), ['GET /tenant/.well-known/openid-configuration', 'GET /jwks'])
  }
})

for (const [name, change, problem] of [
  [
    'another issuer',
    { issuer: 'https://evil.example' },
    'discovery: the document names another issuer',
  ],
  ['no issuer', { issuer: undefined }, 'discovery: the document names another issuer'],
  ['no jwks_uri', { jwks_uri: undefined }, 'discovery: the document has no jwks_uri'],
  ['a jwks_uri that is a list', { jwks_uri: ['x'] }, 'discovery: the document has no jwks_uri'],
  ['a jwks_uri on a file', { jwks_uri: 'file:///etc/passwd' }, 'the URL is not https'],
] as const) {
  test(`discovery refused: ${name}`, async () => {
    const issuer = server.origin
    const document = { issuer, jwks_uri: server.url, ...change }
    const { source } = setUp(discovery(document), { from: { discoveryIssuer: issuer } })
    assert.equal(said(await source.current()), `${problem}, retry after 10`)
  })
}

test('discovery that fails is an outage of the issuer', async () => {
  for (const [handler, problem] of [
    [status(500), 'discovery: answered 500'],
    [redirect, 'discovery: answered with a redirect (302)'],
    [html, 'discovery: the document is refused: not JSON'],
  ] as const) {
    const { source } = setUp(handler, { from: { discoveryIssuer: server.origin } })
    assert.equal(said(await source.current()), `${problem}, retry after 10`)
  }
})

test('a fetch that throws is a failure like any other: not the end of the source, nor of the process', async () => {
  server.serve(first)
  const clock = { ms: 1_000_000 }
  const logged: object[] = []
  let broken = true
  const source = jwksUrlSource({
    from: { jwksUri: server.url },
    allowed: ALGORITHMS,
    monotonic: () => clock.ms,
    log: { info: () => undefined, warn: (fields) => void logged.push(fields) },
    allowHttp: true,
    // Read at each fetch, within it. What it says may not be ours to repeat.
    get ca(): string {
      if (broken) throw new RangeError('secret')
      return ''
    },
  })
  open.push(source)
  const unavailable = { unavailable: 'unexpected RangeError', retryAfterSeconds: 10 }
  assert.deepEqual(await source.current(), unavailable)
  assert.deepEqual(await source.refreshed(), unavailable)
  broken = false
  clock.ms += 10_000
  assert.equal(said(await source.current()), 'first')

  // Beside a request nobody waits for the fetch: a rejection would be an unhandled one.
  broken = true
  clock.ms += 10 * MINUTE
  const held = source.current()
  assert.ok(!(held instanceof Promise))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(logged.length, 2)
  broken = false
  clock.ms += 10_000
  server.serve(second)
  source.current()
  assert.equal(said(await source.refreshed()), 'second')
})
