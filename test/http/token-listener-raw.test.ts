// The token listener on real connections: what HTTP libraries would never send.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { ExchangeOutcome } from '../../src/exchange.ts'
import type { TokenListenerOptions } from '../../src/http/token-listener.ts'
import { ok, type Reason, WIRE } from '../../src/oauth/reasons.ts'
import {
  answers,
  deferred,
  EVENT,
  type Fixture,
  FORM,
  grant,
  listening,
  parseAnswers,
  type RawAnswer,
  received,
  TOKEN,
  tokenListener,
} from '../support/token-listener.ts'

async function start(
  t: TestContext,
  changes: Partial<TokenListenerOptions> = {},
): Promise<Fixture & { open: Awaited<ReturnType<typeof listening>> }> {
  const fixture = tokenListener(t, changes)
  return Object.assign(fixture, { open: await listening(t, fixture.app) })
}

/** A valid request, closing afterwards, with one line of its head changed or added. */
function request(change: { line?: string; headers?: string[]; body?: string } = {}): string {
  const body = change.body ?? FORM
  const lines = [
    change.line ?? 'POST /token HTTP/1.1',
    ...(change.headers ?? [
      'Host: sts',
      'Content-Type: application/x-www-form-urlencoded',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

const HEADERS = ['Host: sts', 'Content-Type: application/x-www-form-urlencoded']
const LENGTH = `Content-Length: ${FORM.length}`

function assertRefused(answer: RawAnswer | undefined, reason: Reason, id = 'refusal-1'): void {
  assert.ok(answer, 'no answer')
  const { status, error, description } = WIRE[reason]
  assert.equal(answer.status, status, answer.body)
  assert.equal(answer.headers.get('content-type'), 'application/json')
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  assert.equal(answer.headers.get('pragma'), 'no-cache')
  assert.equal(answer.headers.get('mesh-sts-decision-id'), id)
  assert.deepEqual(JSON.parse(answer.body), {
    error,
    error_description: description,
    decision_id: id,
  })
}

/** Sends bytes and gives all that comes back until the listener closes. */
async function exchange(open: () => Socket, bytes: string | Buffer): Promise<RawAnswer[]> {
  const socket = open()
  const all = received(socket)
  socket.write(bytes)
  return parseAnswers(await all)
}

/** Sends bytes and gives the first answer, without waiting for the connection's end. */
async function first(open: () => Socket, bytes: string | Buffer): Promise<RawAnswer | undefined> {
  const socket = open()
  const one = answers(socket, 1)
  socket.write(bytes)
  const [answer] = await one
  socket.destroy()
  return answer
}

describe('requests that are unusual but sound', () => {
  const sound: [string, string][] = [
    ['as usual', request()],
    ['HTTP/1.0 with length', request({ line: 'POST /token HTTP/1.0' })],
    [
      'HTTP/1.0 without Host',
      request({ line: 'POST /token HTTP/1.0', headers: [...HEADERS.slice(1), LENGTH] }),
    ],
    ['absolute form (RFC 9112 §3.2.2)', request({ line: 'POST http://sts/token HTTP/1.1' })],
    [
      'chunked',
      request({
        headers: [...HEADERS, 'Transfer-Encoding: chunked'],
        body: `5\r\n${FORM.slice(0, 5)}\r\n${(FORM.length - 5).toString(16)};ext=1\r\n${FORM.slice(5)}\r\n0\r\nTrailer: x\r\n\r\n`,
      }),
    ],
    [
      'an Upgrade that nobody offers',
      request({ headers: [...HEADERS, LENGTH, 'Connection: Upgrade', 'Upgrade: h2c'] }),
    ],
    ['an expectation that nobody knows', request({ headers: [...HEADERS, LENGTH, 'Expect: tea'] })],
    [
      'header names in any case',
      request({
        headers: ['hOST: sts', 'content-TYPE: application/x-www-form-urlencoded', LENGTH],
      }),
    ],
  ]
  for (const [name, bytes] of sound) {
    it(`answers ${name}`, async (t) => {
      const { open, inputs, refused } = await start(t)
      const answer = await first(open, bytes)
      assert.equal(answer?.status, 200, answer?.body)
      assert.deepEqual(JSON.parse(answer.body), TOKEN)
      const [input] = inputs
      assert.ok(input?.form.ok)
      assert.deepEqual(input.form.value.get('subject_token'), ['secret-subject-token'])
      assert.deepEqual(refused, [])
    })
  }

  it('closes after HTTP/1.0', async (t) => {
    const { open } = await start(t)
    const [answer] = await exchange(open, request({ line: 'POST /token HTTP/1.0' }))
    assert.equal(answer?.status, 200)
  })

  it('asks for the body where the sender waits for that', async (t) => {
    const { open } = await start(t)
    const socket = open()
    const both = answers(socket, 2)
    socket.write(request({ headers: [...HEADERS, LENGTH, 'Expect: 100-continue'], body: '' }))
    await once(socket, 'data')
    socket.write(FORM)
    assert.deepEqual(
      (await both).map(({ status }) => status),
      [100, 200],
    )
  })

  it('takes a body in pieces', async (t) => {
    const { open } = await start(t)
    const socket = open()
    const one = answers(socket, 1)
    for (const byte of request()) {
      if (!socket.write(byte)) await once(socket, 'drain')
    }
    assert.equal((await one)[0]?.status, 200)
  })

  it('answers pipelined requests in their order', async (t) => {
    const waiting: (() => void)[] = []
    const { open } = await start(t, {
      exchange: (input) =>
        new Promise<ExchangeOutcome>((resolve) => {
          const decisionId = input.form.ok ? (input.form.value.get('n')?.[0] ?? '') : ''
          waiting.push(() => resolve({ decisionId, result: ok(TOKEN), event: EVENT, embedded: [] }))
          // The later ones finish first.
          if (waiting.length === 3) for (const finish of waiting.toReversed()) finish()
        }),
    })
    const socket = open()
    const three = answers(socket, 3)
    socket.write(['1', '2', '3'].map((n) => request({ body: `n=${n}` })).join(''))
    assert.deepEqual(
      (await three).map(({ headers }) => headers.get('mesh-sts-decision-id')),
      ['1', '2', '3'],
    )
  })
})

describe('pipelined behind an exchange', () => {
  /** Holds the exchange until the server has seen what comes behind it. */
  async function behind(t: TestContext, bytes: string) {
    const seen = deferred()
    const fixture = await start(t, {
      exchange: async (input) => {
        await seen.promise
        return grant(input)
      },
    })
    const socket = fixture.open()
    const all = received(socket)
    const upgrade = once(fixture.app.server, 'connect')
    socket.write(request() + request() + bytes)
    await upgrade
    seen.resolve()
    return { ...fixture, all: parseAnswers(await all) }
  }

  it('CONNECT is refused in its turn', async (t) => {
    const { all, refused } = await behind(t, 'CONNECT sts:443 HTTP/1.1\r\nHost: sts\r\n\r\n')
    assert.deepEqual(
      all.map(({ status }) => status),
      [200, 200, 405],
    )
    assert.deepEqual(JSON.parse(all[0]?.body ?? ''), TOKEN)
    assert.deepEqual(JSON.parse(all[1]?.body ?? ''), TOKEN)
    assertRefused(all[2], 'request_method_not_allowed')
    assert.deepEqual(refused, [{ reason: 'request_method_not_allowed', peer: '127.0.0.1' }])
  })

  it('what follows CONNECT is discarded', async (t) => {
    const connection = 'CONNECT sts:443 HTTP/1.1\r\nHost: sts\r\n\r\n'
    const { all, inputs } = await behind(t, connection + request().repeat(3))
    assert.equal(all.length, 3)
    assert.equal(inputs.length, 2)
  })

  it('an Upgrade is a request like others', async (t) => {
    const { open } = await start(t)
    const socket = open()
    const two = answers(socket, 2)
    const upgrade = [...HEADERS, LENGTH, 'Connection: Upgrade', 'Upgrade: websocket']
    socket.write(request() + request({ line: 'PUT /token HTTP/1.1', headers: upgrade }))
    const [first, second] = await two
    assert.equal(first?.status, 200)
    assertRefused(second, 'request_method_not_allowed')
  })
})

describe('more connections than the listener takes', () => {
  it('P5 those that became idle make room once a caller was turned away', {
    timeout: 10_000,
  }, async (t) => {
    const maxConnections = 20
    const full = deferred()
    const finish = deferred()
    const { open, inputs } = await start(t, {
      limits: { maxConnections },
      exchange: async (input) => {
        if (inputs.length === maxConnections) full.resolve()
        await finish.promise
        return grant(input)
      },
    })
    const send = (): { readonly answer: Promise<RawAnswer[]>; readonly socket: Socket } => {
      const socket = open()
      const answer = answers(socket, 1)
      socket.write(request())
      return { answer, socket }
    }
    const busy = Array.from({ length: maxConnections }, send)
    await full.promise
    finish.resolve()
    for (const { answer } of busy) assert.equal((await answer)[0]?.status, 200)
    const closed = busy.map(({ socket }) => once(socket, 'close'))
    const turnedAway = send()
    await assert.rejects(turnedAway.answer)
    await Promise.all(closed)
    assert.equal((await send().answer)[0]?.status, 200)
  })
})

describe('evidence from the wire', () => {
  it('field-6 #16 P8 hands on every line of an identity header', async (t) => {
    const { open, inputs } = await start(t)
    const identity = [
      'X-Forwarded-Client-Cert: a',
      'x-forwarded-client-cert: b,c',
      'Authorization: Basic x',
      'authorization: Bearer y',
    ]
    await first(open, request({ headers: [...HEADERS, LENGTH, ...identity] }))
    assert.deepEqual(inputs[0]?.evidence.xfccLines, ['a', 'b,c'])
    assert.deepEqual(inputs[0]?.evidence.authorizationLines, ['Basic x', 'Bearer y'])
  })

  it('P8 does not lose a second identity header behind a thousand others', async (t) => {
    const { open, refused, inputs } = await start(t)
    const many = Array.from({ length: 1500 }, () => 'a: b')
    const lines = [
      'X-Forwarded-Client-Cert: forged',
      ...HEADERS,
      LENGTH,
      ...many,
      'X-Forwarded-Client-Cert: real',
    ]
    assertRefused(await first(open, request({ headers: lines })), 'request_header_too_large')
    assert.deepEqual(refused, [{ reason: 'request_header_too_large', peer: '127.0.0.1' }])
    assert.deepEqual(inputs, [])
  })

  it('takes as many header lines as the cap and no more', async (t) => {
    const { open } = await start(t)
    const lines = (count: number) => [...HEADERS, LENGTH, ...Array<string>(count - 3).fill('a: b')]
    assert.equal((await first(open, request({ headers: lines(128) })))?.status, 200)
    assertRefused(await first(open, request({ headers: lines(129) })), 'request_header_too_large')
  })

  it('writes the peer of a dual-stack socket as IPv4', async (t) => {
    const fixture = tokenListener(t)
    const response = await fixture.app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: FORM,
      remoteAddress: '::ffff:10.1.2.3',
    })
    assert.equal(response.statusCode, 200)
    assert.equal(fixture.inputs[0]?.evidence.peerAddress, '10.1.2.3')
  })
})

describe('requests that are not HTTP, or too much of it', () => {
  const refusedRequests: [string, string | Buffer, Reason][] = [
    ['bytes that are no request', '\x16\x03\x01\x02\x00\x01\x00', 'request_unreadable'],
    ['a request line without version', 'POST /token\r\n\r\n', 'request_unreadable'],
    ['another protocol', 'POST /token HTTP/9.9\r\nHost: a\r\n\r\n', 'request_unreadable'],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'request_unreadable'],
    ['NUL in the path', request({ line: 'POST /tok\0en HTTP/1.1' }), 'request_unreadable'],
    [
      'NUL in a header',
      request({ headers: [...HEADERS, LENGTH, 'X: a\0b'] }),
      'request_unreadable',
    ],
    [
      'a space before the colon',
      request({ headers: [...HEADERS, LENGTH, 'X-Forwarded-Client-Cert : a'] }),
      'request_unreadable',
    ],
    [
      'a folded header line',
      request({ headers: [...HEADERS, LENGTH, 'X-Forwarded-Client-Cert: a', ' b: c'] }),
      'request_unreadable',
    ],
    ['a bare line feed', 'POST /token HTTP/1.1\nHost: a\nX: b\n\n', 'request_unreadable'],
    [
      'Content-Length and Transfer-Encoding',
      request({ headers: [...HEADERS, LENGTH, 'Transfer-Encoding: chunked'], body: '0\r\n\r\n' }),
      'request_unreadable',
    ],
    [
      'two lengths',
      request({ headers: [...HEADERS, LENGTH, 'Content-Length: 3'] }),
      'request_unreadable',
    ],
    [
      'a length that is no number',
      request({ headers: [...HEADERS, 'Content-Length: 1x'] }),
      'request_unreadable',
    ],
    [
      'a negative length',
      request({ headers: [...HEADERS, 'Content-Length: -1'] }),
      'request_unreadable',
    ],
    [
      'an encoding that is not chunked',
      request({ headers: [...HEADERS, 'Transfer-Encoding: gzip'] }),
      'request_unreadable',
    ],
    [
      'a chunk size that is none',
      request({ headers: [...HEADERS, 'Transfer-Encoding: chunked'], body: 'zz\r\n' }),
      'request_unreadable',
    ],
    [
      'headers beyond 16 KiB',
      request({ headers: [...HEADERS, LENGTH, `X: ${'a'.repeat(17_000)}`] }),
      'request_header_too_large',
    ],
    [
      'a path beyond 16 KiB',
      request({ line: `POST /${'a'.repeat(17_000)} HTTP/1.1` }),
      'request_header_too_large',
    ],
    ['CONNECT', 'CONNECT sts:443 HTTP/1.1\r\nHost: sts\r\n\r\n', 'request_method_not_allowed'],
  ]
  for (const [name, bytes, reason] of refusedRequests) {
    it(`refuses ${name}, closes, counts and tells it`, async (t) => {
      const { open, refused, inputs, lines } = await start(t)
      const all = await exchange(open, bytes)
      assert.equal(all.length, 1)
      assertRefused(all[0], reason)
      assert.equal(all[0]?.headers.get('connection'), 'close')
      assert.deepEqual(refused, [{ reason, peer: '127.0.0.1' }])
      assert.deepEqual(inputs, [])
      assert.equal(lines.length, 1)
      assert.equal(lines[0]?.fields.reason, reason)
      assert.equal(lines[0].fields.decision_id, 'refusal-1')
    })
  }

  it('refuses headers beyond what it is told to take', async (t) => {
    const { open } = await start(t, { limits: { maxHeaderBytes: 4096 } })
    const large = `X: ${'a'.repeat(5000)}`
    const [answer] = await exchange(open, request({ headers: [...HEADERS, LENGTH, large] }))
    assertRefused(answer, 'request_header_too_large')
  })

  const refusedByUs: [string, string, Reason][] = [
    [
      'HTTP/1.1 without Host (RFC 9112 §3.2)',
      request({ headers: [...HEADERS.slice(1), LENGTH] }),
      'request_unreadable',
    ],
    ['two Hosts', request({ headers: [...HEADERS, 'Host: other', LENGTH] }), 'request_unreadable'],
    [
      'a path that cannot be decoded',
      request({ line: 'POST /%zz HTTP/1.1' }),
      'request_unreadable',
    ],
    [
      'a fragment',
      request({ line: 'POST /token#subject_token=a HTTP/1.1' }),
      'request_parameter_in_query',
    ],
    [
      'another path in absolute form',
      request({ line: 'POST http://sts/ HTTP/1.1' }),
      'request_not_found',
    ],
    [
      'another method in absolute form',
      request({ line: 'GET http://sts/token?a=b HTTP/1.1' }),
      'request_method_not_allowed',
    ],
    ['an escaped path', request({ line: 'POST /%74oken HTTP/1.1' }), 'request_not_found'],
    [
      'an escaped path in absolute form',
      request({ line: 'POST http://sts/tok%65n HTTP/1.1' }),
      'request_not_found',
    ],
    [
      'an escaped path with a query',
      request({ line: 'POST /%74oken?a=b HTTP/1.1' }),
      'request_not_found',
    ],
    [
      'an escaped path, whatever is wrong with its body',
      request({
        line: 'POST /%74oken HTTP/1.1',
        headers: ['Host: sts', 'Content-Type: text/plain', LENGTH],
      }),
      'request_not_found',
    ],
    ['a method of WebDAV', request({ line: 'LOCK /token HTTP/1.1' }), 'request_method_not_allowed'],
    ['the server itself', request({ line: 'OPTIONS * HTTP/1.1' }), 'request_not_found'],
    [
      'a chunked body too large',
      request({
        headers: [...HEADERS, 'Transfer-Encoding: chunked'],
        body: `9000\r\n${'a'.repeat(0x9000)}\r\n0\r\n\r\n`,
      }),
      'request_too_large',
    ],
  ]
  for (const [name, bytes, reason] of refusedByUs) {
    it(`refuses ${name}`, async (t) => {
      const { open, refused, inputs } = await start(t)
      assertRefused(await first(open, bytes), reason)
      assert.deepEqual(refused, [{ reason, peer: '127.0.0.1' }])
      assert.deepEqual(inputs, [])
    })
  }

  it('reads a body that was too large to its end, so that the answer arrives', async (t) => {
    const { open, refused } = await start(t)
    const socket = open()
    const two = answers(socket, 2)
    const body = 'a'.repeat(1_000_000)
    socket.write(request({ body }) + request())
    const [large, next] = await two
    assertRefused(large, 'request_too_large')
    assert.equal(next?.status, 200)
    assert.equal(refused.length, 1)
  })

  const hostileForms: [string, string | Buffer, Reason][] = [
    [
      'bytes that are not UTF-8',
      Buffer.from([...Buffer.from('a='), 0xff, 0xfe]),
      'request_form_malformed',
    ],
    ['NUL', Buffer.from('a=\0'), 'request_form_malformed'],
    ['an escaped NUL', 'a=%00', 'request_form_malformed'],
    [
      'thousands of parameters',
      Array.from({ length: 4000 }, (_, i) => `p${i}=1`)
        .join('&')
        .slice(0, 32_000),
      'request_too_many_parameters',
    ],
  ]
  for (const [name, body, reason] of hostileForms) {
    it(`hands on the refusal of a form with ${name}`, async (t) => {
      const { open, inputs } = await start(t)
      const length = `Content-Length: ${Buffer.byteLength(body)}`
      const head = request({ headers: [...HEADERS, length], body: '' })
      const answer = await first(open, Buffer.concat([Buffer.from(head), Buffer.from(body)]))
      assertRefused(answer, reason, 'decision')
      const [input] = inputs
      assert.ok(input && !input.form.ok)
      assert.equal(input.form.reason, reason)
    })
  }
})

describe('slow and broken connections', () => {
  const limits = { headersTimeoutMs: 40, requestTimeoutMs: 80, checkEveryMs: 10 }
  const slow: [string, string][] = [
    ['headers that do not end', 'POST /token HTTP/1.1\r\nHost: a\r\n'],
    [
      'a body that does not arrive',
      request({ headers: [...HEADERS, 'Content-Length: 100'], body: '' }),
    ],
    ['a body that stops', request({ headers: [...HEADERS, 'Content-Length: 1000'] })],
    [
      'chunks that stop',
      request({ headers: [...HEADERS, 'Transfer-Encoding: chunked'], body: '5\r\nabc' }),
    ],
  ]
  for (const [name, bytes] of slow) {
    it(`ends ${name}, once`, async (t) => {
      const { open, refused, inputs, lines, app } = await start(t, { limits })
      const [connection] = await Promise.all([
        once(app.server, 'connection'),
        exchange(open, bytes).then((all) => {
          assert.equal(all.length, 1)
          assertRefused(all[0], 'request_timeout')
          assert.equal(all[0]?.headers.get('connection'), 'close')
        }),
      ])
      const [socket] = connection as [Socket]
      if (!socket.destroyed) await once(socket, 'close')
      assert.deepEqual(refused, [{ reason: 'request_timeout', peer: '127.0.0.1' }])
      assert.equal(lines.length, 1)
      assert.deepEqual(inputs, [])
    })
  }

  it('refuses a body that its sender ends too early', async (t) => {
    const { open, refused, lines } = await start(t)
    const socket = open()
    const all = received(socket)
    socket.end(request({ headers: [...HEADERS, 'Content-Length: 1000'] }))
    assertRefused(parseAnswers(await all)[0], 'request_unreadable')
    assert.deepEqual(refused, [{ reason: 'request_unreadable', peer: '127.0.0.1' }])
    assert.equal(lines.length, 1)
  })

  it('outlives a sender who is gone', async (t) => {
    const { open, refused, inputs, app } = await start(t)
    const connection = once(app.server, 'connection')
    const socket = open()
    socket.write(request({ headers: [...HEADERS, 'Content-Length: 1000'] }), () =>
      socket.resetAndDestroy(),
    )
    const [serverSide] = (await connection) as [Socket]
    if (!serverSide.destroyed) await new Promise((resolve) => serverSide.once('close', resolve))
    assert.equal((await first(open, request()))?.status, 200)
    assert.ok(refused.every(({ reason }) => reason === 'request_unreadable'))
    assert.ok(refused.length <= 1)
    assert.equal(inputs.length, 1)
  })

  it('records and tells an exchange whose caller did not wait for it', async (t) => {
    const entered = deferred()
    const gone = deferred()
    const told = deferred()
    const { open, lines } = await start(t, {
      exchange: async (input) => {
        entered.resolve()
        await gone.promise
        return grant(input)
      },
      observe: () => told.resolve(),
    })
    const socket = open()
    socket.write(request())
    await entered.promise
    socket.destroy()
    gone.resolve()
    await told.promise
    await Promise.resolve()
    assert.equal(lines[0]?.fields.outcome, 'granted')
  })

  it('answers a pipelined request before it refuses the garbage behind it', async (t) => {
    const entered = deferred()
    const finish = deferred()
    const { open, refused } = await start(t, {
      exchange: async (input) => {
        entered.resolve()
        await finish.promise
        return grant(input)
      },
    })
    const socket = open()
    const all = received(socket)
    socket.write(`${request()}\0garbage\r\n\r\n`)
    await entered.promise
    assert.deepEqual(refused, [])
    finish.resolve()
    const [granted, garbage, ...more] = parseAnswers(await all)
    assert.equal(granted?.status, 200)
    assertRefused(garbage, 'request_unreadable')
    assert.deepEqual(more, [])
  })

  it('answers a pipelined request before it refuses the broken body behind it', async (t) => {
    const entered = deferred()
    const finish = deferred()
    const { open, refused } = await start(t, {
      exchange: async (input) => {
        entered.resolve()
        await finish.promise
        return grant(input)
      },
    })
    const socket = open()
    const all = received(socket)
    const broken = request({ headers: [...HEADERS, 'Transfer-Encoding: chunked'], body: 'zz\r\n' })
    socket.write(request() + broken)
    await entered.promise
    assert.deepEqual(refused, [])
    finish.resolve()
    const [granted, second, ...more] = parseAnswers(await all)
    assert.equal(granted?.status, 200)
    assertRefused(second, 'request_unreadable')
    assert.deepEqual(more, [])
  })

  it('answers and counts once a sender who does not stop, then cuts it off', async (t) => {
    const { open, refused, lines, app } = await start(t)
    const cutOff = new Promise((resolve) => {
      app.server.once('connection', (serverSide: Socket) => serverSide.once('close', resolve))
    })
    const socket = open({ allowHalfOpen: true })
    const all = received(socket)
    socket.on('error', () => {})
    socket.write('\0\r\n\r\n')
    const [answer, ...more] = parseAnswers(await all)
    assertRefused(answer, 'request_unreadable')
    assert.deepEqual(more, [])
    const answered = performance.now()
    for (let i = 0; i < 10; i++) await new Promise((resolve) => socket.write('\0', resolve))
    await cutOff
    // Not at once: a reset could take the answer with it.
    assert.ok(performance.now() - answered > 900)
    assert.equal(refused.length, 1)
    assert.equal(lines.length, 1)
  })

  it('gives one answer where a body breaks after its refusal', async (t) => {
    const { open, refused } = await start(t)
    const socket = open()
    const all = received(socket)
    const one = answers(socket, 1)
    const head = request({
      headers: ['Host: a', 'Content-Type: text/plain', 'Transfer-Encoding: chunked'],
      body: '',
    })
    socket.write(head)
    assertRefused((await one)[0], 'request_media_type')
    socket.write('zz\r\n')
    assert.equal(parseAnswers(await all).length, 1)
    assert.equal(refused.length, 1)
  })

  it('never leaves random bytes without a refusal in our words', async (t) => {
    const { open } = await start(t, { limits })
    const piece = fc.oneof(
      fc.constantFrom(
        'POST /token HTTP/1.1\r\n',
        'Host: a\r\n',
        'Content-Length: 5\r\n',
        '\r\n',
        'Transfer-Encoding: chunked\r\n',
        'GET / HTTP/1.1\r\n',
        'a=b&c',
        '0\r\n\r\n',
        '\0',
        'Content-Type: application/x-www-form-urlencoded\r\n',
      ),
      fc.string({ unit: 'binary', maxLength: 10 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 8 }), async (pieces) => {
        const bytes = Buffer.from(pieces.join(''), 'latin1')
        if (bytes.length === 0) return
        const answer = await first(open, bytes)
        assert.notEqual(answer?.status, 500)
        assert.equal(answer?.headers.get('content-type'), 'application/json')
        assert.equal(answer?.headers.get('cache-control'), 'no-store')
        assert.ok(answer?.headers.get('mesh-sts-decision-id'))
      }),
      { numRuns: 25 },
    )
  })
})
