import assert from 'node:assert/strict'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type JsonRequest, requestJson } from '../../src/jwt/https-json.ts'
import { issueSvid, makeCa } from '../support/certificates.ts'
import { type Handler, type JwksServer, startJwksServer } from '../support/jwt-fixtures.ts'

let server: JwksServer
before(async () => {
  server = await startJwksServer()
})
after(() => server.close())

const ask = (change: Partial<JsonRequest> = {}) =>
  requestJson({
    url: server.url,
    method: 'GET',
    timeoutMs: 5000,
    maxBytes: 100,
    allowHttp: true,
    ...change,
  })

async function problemOf(handler: Handler, change?: Partial<JsonRequest>): Promise<string> {
  server.handle(handler)
  const response = await ask(change)
  return response.ok ? 'ok' : response.problem
}

test('a GET gives status and text', async () => {
  server.serve('{"keys":[]}')
  assert.deepEqual(await ask(), { ok: true, status: 200, text: '{"keys":[]}' })
})

test('a POST sends its body and headers', async () => {
  const seen: unknown[] = []
  server.handle((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { authorization, accept } = request.headers
      const type = request.headers['content-type']
      const coding = request.headers['accept-encoding']
      seen.push(
        request.method,
        authorization,
        accept,
        type,
        coding,
        Buffer.concat(chunks).toString(),
      )
      response.writeHead(201).end('{}')
    })
  })
  const headers = { authorization: 'Bearer x' }
  const response = await ask({ method: 'POST', body: '{"ä":1}', headers })
  assert.deepEqual(response, { ok: true, status: 201, text: '{}' })
  assert.deepEqual(seen, [
    'POST',
    'Bearer x',
    'application/json',
    'application/json',
    'identity',
    '{"ä":1}',
  ])
})

test('a status that is no success is given, not judged', async () => {
  server.handle((_request, response) => void response.writeHead(503).end('down'))
  assert.deepEqual(await ask(), { ok: true, status: 503, text: 'down' })
})

for (const status of [301, 302, 303, 307, 308]) {
  test(`BCP-09 a redirect (${status}) is not followed`, async () => {
    const hits = server.hits.length
    const problem = await problemOf((_request, response) => {
      response.writeHead(status, { location: `${server.origin}/elsewhere` }).end()
    })
    assert.equal(problem, `answered with a redirect (${status})`)
    assert.equal(server.hits.length, hits + 1)
  })
}

test('the cap on bytes holds with and without a content length', async () => {
  const fits: Handler = (_request, response) => void response.end('x'.repeat(100))
  const declared: Handler = (_request, response) => void response.end('x'.repeat(101))
  const endless: Handler = (_request, response) => {
    const write = () => {
      while (response.write('x'.repeat(50)));
      response.once('drain', write)
    }
    write()
  }
  assert.equal(await problemOf(fits), 'ok')
  assert.equal(await problemOf(declared), 'answered with more than 100 bytes')
  assert.equal(await problemOf(endless), 'answered with more than 100 bytes')
})

test('the time-out is for the whole: silence, and a drip of bytes', async () => {
  const silent: Handler = () => undefined
  const dripping: Handler = (_request, response) => {
    const timer = setInterval(() => response.write('x'), 5)
    response.on('close', () => clearInterval(timer))
  }
  const timeoutMs = 60
  assert.equal(await problemOf(silent, { timeoutMs }), 'no complete answer in time')
  assert.equal(await problemOf(dripping, { timeoutMs }), 'no complete answer in time')
})

test('a compressed answer is refused before it is read', async () => {
  const problem = await problemOf((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}'))
  })
  assert.equal(problem, 'answered with a content encoding that was not asked for')
})

test('BCP-06 text that is not UTF-8 is refused', async () => {
  const problem = await problemOf((_request, response) => void response.end(Buffer.of(0xff, 0xfe)))
  assert.equal(problem, 'answered with text that is not UTF-8')
})

test('an answer that breaks off is a problem', async () => {
  const cut: Handler = (_request, response) => {
    response.writeHead(200, { 'content-length': 50 })
    response.write('{"keys"', () => response.destroy())
  }
  assert.equal(await problemOf(cut), 'connection failed: ECONNRESET')
  const dropped: Handler = (request) => void request.socket.destroy()
  assert.equal(await problemOf(dropped), 'connection failed: ECONNRESET')
})

test('headers beyond their cap are a problem', async () => {
  const problem = await problemOf((_request, response) => {
    response.writeHead(200, { 'x-large': 'x'.repeat(20_000) }).end('{}')
  })
  assert.equal(problem, 'connection failed: HPE_HEADER_OVERFLOW')
})

test('what is no HTTP, and nobody at all', async () => {
  const tcp = createTcpServer((socket) => {
    socket.end('SSH-2.0\r\n', () => socket.destroy())
  })
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(tcp.address() as AddressInfo).port}/`
  const talking = await ask({ url })
  assert.match(talking.ok ? 'ok' : talking.problem, /^connection failed: HPE_/)
  await new Promise((resolve) => tcp.close(resolve))
  assert.deepEqual(await ask({ url }), { ok: false, problem: 'connection failed: ECONNREFUSED' })
})

test('an aborted request ends at once, also before it starts', async () => {
  const controller = new AbortController()
  const problem = await problemOf(() => controller.abort(), { signal: controller.signal })
  assert.equal(problem, 'aborted')
  const later = await problemOf(() => assert.fail('sent'), { signal: controller.signal })
  assert.equal(later, 'aborted')
})

for (const [url, problem] of [
  ['http://127.0.0.1/', 'the URL is not https'],
  ['file:///etc/passwd', 'the URL is not https'],
  ['ftp://127.0.0.1/', 'the URL is not https'],
  ['https://user:password@127.0.0.1/', 'the URL holds credentials'],
  ['https://user@127.0.0.1/', 'the URL holds credentials'],
  ['nowhere', 'not a URL'],
] as const) {
  test(`a URL is refused: ${url}`, async () => {
    assert.deepEqual(await ask({ url, allowHttp: false }), { ok: false, problem })
  })
}

test('https trusts the given authority only, and the name must fit', async () => {
  const ca = makeCa('cluster.local')
  const { certPem, keyPem } = issueSvid(ca, 'spiffe://cluster.local/ns/x/sa/y', {
    ips: ['127.0.0.1'],
  })
  const tls = createTlsServer({ cert: certPem, key: keyPem }, (_request, response) => {
    response.end('{}')
  })
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve))
  const { port } = tls.address() as AddressInfo
  const url = `https://127.0.0.1:${port}/`
  const tlsAsk = (change: Partial<JsonRequest>) => ask({ url, allowHttp: false, ...change })
  try {
    assert.deepEqual(await tlsAsk({ ca: ca.certPem }), { ok: true, status: 200, text: '{}' })
    const stranger = await tlsAsk({ ca: makeCa('cluster.local').certPem })
    assert.match(
      stranger.ok ? 'ok' : stranger.problem,
      /^connection failed: [A-Z_]*(CERT|ISSUER|SIGNATURE)/,
    )
    const system = await tlsAsk({})
    assert.match(
      system.ok ? 'ok' : system.problem,
      /^connection failed: [A-Z_]*(CERT|ISSUER|SIGNATURE)/,
    )
    const named = await tlsAsk({ ca: ca.certPem, url: `https://localhost:${port}/` })
    assert.deepEqual(named, {
      ok: false,
      problem: 'connection failed: ERR_TLS_CERT_ALTNAME_INVALID',
    })
  } finally {
    tls.closeAllConnections()
    await new Promise((resolve) => tls.close(resolve))
  }
})
