import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { createOverloadGuard } from '../../src/http/overload.ts'
import { BODY_LIMIT_BYTES, type TokenListenerOptions } from '../../src/http/token-listener.ts'
import { type Reason, WIRE } from '../../src/oauth/reasons.ts'
import {
  deferred,
  deny,
  EVENT,
  FORM,
  FORM_HEADERS,
  grant,
  TOKEN,
  tokenListener,
} from '../support/token-listener.ts'

const VALID = {
  method: 'POST',
  url: '/token',
  headers: FORM_HEADERS,
  payload: FORM,
} as const satisfies InjectOptions

/** What RFC 6749 §5.1 wants on whatever a token endpoint answers. */
function assertTokenHeaders(response: LightMyRequestResponse, decisionId: string): void {
  assert.equal(response.headers['content-type'], 'application/json')
  assert.equal(response.headers['cache-control'], 'no-store')
  assert.equal(response.headers.pragma, 'no-cache')
  assert.equal(response.headers['mesh-sts-decision-id'], decisionId)
}

function assertRefusal(response: LightMyRequestResponse, reason: Reason, decisionId: string): void {
  const wire = WIRE[reason]
  assert.equal(response.statusCode, wire.status)
  assertTokenHeaders(response, decisionId)
  if (response.raw.req.method === 'HEAD') return
  assert.deepEqual(response.json(), {
    error: wire.error,
    error_description: wire.description,
    decision_id: decisionId,
  })
}

describe('POST /token', () => {
  it('TE-09 TE-11 TE-12 OA-04 answers a granted exchange', async (t) => {
    const { app, inputs, refused } = tokenListener(t)
    const response = await app.inject(VALID)
    assert.equal(response.statusCode, 200)
    assertTokenHeaders(response, 'decision')
    assert.deepEqual(response.json(), TOKEN)
    assert.equal(response.headers.connection, 'keep-alive')
    assert.deepEqual(refused, [])
    const [input] = inputs
    assert.ok(input?.form.ok)
    assert.deepEqual(
      [...input.form.value],
      [
        ['grant_type', ['x']],
        ['subject_token', ['secret-subject-token']],
      ],
    )
    assert.deepEqual(input.evidence, {
      listener: 'token',
      peerAddress: '127.0.0.1',
      xfccLines: [],
      authorizationLines: [],
    })
    assert.equal(input.traceId, undefined)
  })

  it('hands on the headers that identify, as they came', async (t) => {
    const { app, inputs } = tokenListener(t)
    const headers = {
      ...FORM_HEADERS,
      'X-Forwarded-Client-Cert': 'By=a;URI=b',
      authorization: 'Bearer x',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }
    await app.inject({ ...VALID, headers })
    assert.deepEqual(inputs[0]?.evidence.xfccLines, ['By=a;URI=b'])
    assert.deepEqual(inputs[0]?.evidence.authorizationLines, ['Bearer x'])
    assert.equal(inputs[0]?.traceId, '0af7651916cd43dd8448eb211c80319c')
  })

  it('hands a form that does not parse on as its failure, to be counted there', async (t) => {
    const { app, inputs, refused } = tokenListener(t)
    const response = await app.inject({ ...VALID, payload: 'a=%00' })
    assertRefusal(response, 'request_form_malformed', 'decision')
    assert.deepEqual(inputs[0]?.form, { ok: false, reason: 'request_form_malformed' })
    assert.deepEqual(refused, [])
  })

  it('OA-10 sees a query without parameters as none', async (t) => {
    const { app } = tokenListener(t)
    assert.equal((await app.inject({ ...VALID, url: '/token?' })).statusCode, 200)
  })

  for (const type of [
    'application/x-www-form-urlencoded; charset=utf-8',
    'application/x-www-form-urlencoded;charset="UTF-8"',
    'APPLICATION/X-WWW-FORM-URLENCODED',
    'Application/X-WWW-Form-Urlencoded; Charset=Utf-8',
  ]) {
    it(`TE-01 takes ${type}`, async (t) => {
      const { app } = tokenListener(t)
      const response = await app.inject({ ...VALID, headers: { 'content-type': type } })
      assert.equal(response.statusCode, 200)
    })
  }

  it('takes a body up to the limit', async (t) => {
    const { app } = tokenListener(t)
    const payload = `${FORM}&pad=`.padEnd(BODY_LIMIT_BYTES, 'x')
    assert.equal((await app.inject({ ...VALID, payload })).statusCode, 200)
  })
})

describe('whose connection it is', () => {
  const TLS = { tls: {} }

  it('outlasts the hour for which a sidecar keeps an idle connection', (t) => {
    assert.ok(tokenListener(t).app.server.keepAliveTimeout > 3_600_000)
  })

  it('P5 keeps an idle connection of a caller for a minute or so', (t) => {
    const { keepAliveTimeout } = tokenListener(t, TLS).app.server
    assert.ok(keepAliveTimeout >= 60_000 && keepAliveTimeout <= 75_000, `${keepAliveTimeout}`)
  })

  const cases: [string, Partial<TokenListenerOptions>, string][] = [
    ['a stranger leaves', { ...TLS, exchange: deny('client_missing') }, 'close'],
    [
      'a known caller who is denied stays',
      { ...TLS, exchange: deny('grant_type_unsupported') },
      'keep-alive',
    ],
    ['a granted one stays', TLS, 'keep-alive'],
    ['a stranger behind a sidecar', { exchange: deny('client_missing') }, 'keep-alive'],
  ]
  for (const [name, changes, connection] of cases) {
    it(`P5 ${name}: ${connection}`, async (t) => {
      const response = await tokenListener(t, changes).app.inject(VALID)
      assert.equal(response.headers.connection, connection)
    })
  }
})

describe('what never reaches the exchange', () => {
  const type = (value: string) => ({ headers: { 'content-type': value } })
  const refused: [string, InjectOptions, Reason][] = [
    [
      'OA-10 a parameter in the query',
      { url: '/token?subject_token=x' },
      'request_parameter_in_query',
    ],
    ['OA-10 a second question mark', { url: '/token??' }, 'request_parameter_in_query'],
    ['TE-01 JSON', { ...type('application/json'), payload: '{}' }, 'request_media_type'],
    ['TE-01 text', type('text/plain'), 'request_media_type'],
    ['TE-01 multipart', type('multipart/form-data; boundary=x'), 'request_media_type'],
    ['TE-01 a media type that is none', type('form'), 'request_media_type'],
    [
      'TE-01 two media types',
      type('application/x-www-form-urlencoded, text/plain'),
      'request_media_type',
    ],
    [
      'TE-01 another charset',
      type('application/x-www-form-urlencoded; charset=utf-16'),
      'request_media_type',
    ],
    [
      'TE-01 another charset, quoted',
      type('application/x-www-form-urlencoded; CHARSET="latin1"'),
      'request_media_type',
    ],
    ['TE-01 no media type', { headers: {} }, 'request_media_type'],
    [
      'a compressed body',
      { headers: { ...FORM_HEADERS, 'content-encoding': 'gzip' } },
      'request_media_type',
    ],
    [
      'a body too large',
      { payload: `${FORM}&pad=`.padEnd(BODY_LIMIT_BYTES + 1, 'x') },
      'request_too_large',
    ],
    ['a trailing slash', { url: '/token/' }, 'request_not_found'],
    ['a double slash', { url: '//token' }, 'request_not_found'],
    ['other case', { url: '/Token' }, 'request_not_found'],
    ['another path', { url: '/introspect' }, 'request_not_found'],
    [
      'another path with a body that nobody reads',
      { url: '/x', ...type('application/json'), payload: '{' },
      'request_not_found',
    ],
    [
      'another path with a media type that is none',
      { url: '/x', ...type('form') },
      'request_not_found',
    ],
    ['a path that cannot be decoded', { url: '/%zz' }, 'request_unreadable'],
  ]
  for (const [name, change, reason] of refused) {
    it(`refuses ${name}`, async (t) => {
      const fixture = tokenListener(t)
      const response = await fixture.app.inject({ ...VALID, ...change })
      assertRefusal(response, reason, 'refusal-1')
      assert.deepEqual(fixture.refused, [{ reason, peer: '127.0.0.1' }])
      assert.deepEqual(fixture.inputs, [])
      assert.deepEqual(fixture.observed, [])
    })
  }

  for (const headers of [{}, FORM_HEADERS, { ...FORM_HEADERS, 'content-length': '0' }]) {
    it(`refuses a request without body, headers ${JSON.stringify(headers)}`, async (t) => {
      const fixture = tokenListener(t)
      const response = await fixture.app.inject({ method: 'POST', url: '/token', headers })
      assertRefusal(response, 'request_body_missing', 'refusal-1')
      assert.deepEqual(fixture.inputs, [])
    })
  }

  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND']) {
    it(`OA-01 refuses ${method} and says what is allowed`, async (t) => {
      const fixture = tokenListener(t)
      const response = await fixture.app.inject({
        method: method as 'GET',
        url: '/token?subject_token=x',
      })
      assertRefusal(response, 'request_method_not_allowed', 'refusal-1')
      assert.equal(response.headers.allow, 'POST')
    })
  }

  it('refuses new exchanges while closing, and asks to leave while draining', async (t) => {
    const fixture = tokenListener(t)
    fixture.phase = 'draining'
    const granted = await fixture.app.inject(VALID)
    assert.equal(granted.statusCode, 200)
    assert.equal(granted.headers.connection, 'close')
    fixture.phase = 'closing'
    const refused = await fixture.app.inject(VALID)
    assertRefusal(refused, 'shutting_down', 'refusal-1')
    assert.equal(refused.headers['retry-after'], '1')
    assert.equal(refused.headers.connection, 'close')
  })

  it('refuses what is too much at once, at once, and recovers', async (t) => {
    const held = deferred()
    const full = deferred()
    const fixture = tokenListener(t, {
      overload: createOverloadGuard({ maxInFlight: 2, maxDelayMs: 1000, delayMs: () => 0 }),
      exchange: async (input) => {
        if (fixture.inputs.length === 2) full.resolve()
        await held.promise
        return grant(input)
      },
    })
    const send = async () => fixture.app.inject(VALID)
    const first = [send(), send()]
    await full.promise
    const third = await send()
    assertRefusal(third, 'overloaded', 'refusal-1')
    assert.equal(third.headers['retry-after'], '1')
    held.resolve()
    for (const response of await Promise.all(first)) assert.equal(response.statusCode, 200)
    assert.equal((await send()).statusCode, 200)
  })
})

describe('answers of the exchange', () => {
  const inject = (t: TestContext, exchange: TokenListenerOptions['exchange'], headers = {}) =>
    tokenListener(t, { exchange }).app.inject({
      ...VALID,
      headers: { ...FORM_HEADERS, ...headers },
    })

  for (const reason of Object.keys(WIRE) as Reason[]) {
    it(`TE-14 TE-15 TE-16 OA-05 P10 answers ${reason} with its fixed text`, async (t) => {
      const response = await inject(t, deny(reason, 'detail for operators'))
      assertRefusal(response, reason, 'decision')
      assert.ok(!response.body.includes('operators'))
      assert.ok(!response.body.includes(reason) || WIRE[reason].description.includes(reason))
      const { status } = WIRE[reason]
      assert.equal('www-authenticate' in response.headers, status === 401)
      assert.equal('retry-after' in response.headers, status === 429 || status === 503)
    })
  }

  const schemes: [string | undefined, string][] = [
    [undefined, 'Bearer realm="mesh-sts"'],
    ['Basic Y2xpZW50OnNlY3JldA==', 'Basic realm="mesh-sts"'],
    ['basic x', 'Basic realm="mesh-sts"'],
    ['BEARER x', 'Bearer realm="mesh-sts"'],
    ['DPoP x', 'DPoP realm="mesh-sts"'],
    ['dpop', 'DPoP realm="mesh-sts"'],
    ['Negotiate x', 'Bearer realm="mesh-sts"'],
    ['BasicX y', 'Bearer realm="mesh-sts"'],
    ['"><script>', 'Bearer realm="mesh-sts"'],
    ['', 'Bearer realm="mesh-sts"'],
  ]
  for (const [authorization, challenge] of schemes) {
    it(`OA-05 challenges ${authorization} with ${challenge}`, async (t) => {
      const headers = authorization === undefined ? {} : { authorization }
      const response = await inject(t, deny('client_missing'), headers)
      assert.equal(response.headers['www-authenticate'], challenge)
    })
  }

  const waits: [number | undefined, string][] = [
    [undefined, '1'],
    [30, '30'],
    [0.2, '1'],
    [0, '1'],
    [1.5, '2'],
  ]
  for (const [seconds, header] of waits) {
    it(`P4 says Retry-After: ${header} for ${seconds} s`, async (t) => {
      const outage = await inject(t, deny('subject_token_issuer_unavailable', undefined, seconds))
      assertRefusal(outage, 'subject_token_issuer_unavailable', 'decision')
      assert.equal(outage.headers['retry-after'], header)
      const limited = await inject(t, deny('client_rate_limited', undefined, seconds))
      assert.equal(limited.headers['retry-after'], header)
    })
  }

  it('answers a bug with internal_error, and tells the log alone', async (t) => {
    const overload = createOverloadGuard({ maxInFlight: 1, maxDelayMs: 1000, delayMs: () => 0 })
    const fixture = tokenListener(t, {
      overload,
      exchange: async () => {
        throw new Error('sql: secret path')
      },
    })
    const response = await fixture.app.inject(VALID)
    assertRefusal(response, 'internal_error', 'refusal-1')
    assert.doesNotMatch(response.body, /sql|secret|\.ts|at /)
    assert.deepEqual(fixture.refused, [{ reason: 'internal_error', peer: '127.0.0.1' }])
    const [line] = fixture.lines
    assert.equal(line?.level, 'error')
    assert.equal(line.fields.decision_id, 'refusal-1')
    assert.match(String((line.fields.err as Error).stack), /sql: secret path/)
    assert.equal(overload.inFlight(), 0)
  })
})

describe('a bug in the listener itself', () => {
  it('is answered and told like any other', async (t) => {
    const broken = () => {
      throw new Error('sql: secret path')
    }
    const overload = { enter: broken, leave: () => {}, inFlight: () => 0 }
    const fixture = tokenListener(t, { overload })
    const response = await fixture.app.inject(VALID)
    assertRefusal(response, 'internal_error', 'refusal-1')
    assert.doesNotMatch(response.body, /sql/)
    assert.ok(fixture.lines.some(({ level }) => level === 'error'))
  })
})

describe('a bug behind the answer', () => {
  it('is told, and leaves the answer as it was', async (t) => {
    const fixture = tokenListener(t, {
      observe: () => {
        throw new Error('a measure fails')
      },
    })
    const response = await fixture.app.inject(VALID)
    assert.equal(response.statusCode, 200)
    assert.deepEqual(response.json(), TOKEN)
    assert.deepEqual(
      fixture.lines.map(({ message }) => message),
      ['exchange failed'],
    )
  })
})

describe('the line and the measure of an exchange', () => {
  it('tells one line for a grant', async (t) => {
    const fixture = tokenListener(t, {
      exchange: async () => {
        fixture.elapsed += 12.3456
        return {
          decisionId: 'decision',
          result: { ok: true, value: TOKEN },
          event: EVENT,
          embedded: [],
        }
      },
    })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await fixture.app.inject({ ...VALID, headers: { ...FORM_HEADERS, traceparent } })
    assert.deepEqual(fixture.lines, [
      {
        level: 'info',
        message: 'exchange',
        fields: {
          decision_id: 'decision',
          outcome: 'granted',
          reason: undefined,
          detail: undefined,
          client: 'spiffe://cluster.local/ns/boutique/sa/frontend',
          client_method: 'xfcc',
          subject_issuer: 'corporate',
          target: 'boutique/checkout',
          rule: 'boutique/checkout <- boutique/frontend [corporate]',
          ruleset: 'ruleset-hash',
          listener: 'token',
          peer: '127.0.0.1',
          trace_id: '0af7651916cd43dd8448eb211c80319c',
          status: 200,
          duration_ms: 12.35,
        },
      },
    ])
    assert.equal(fixture.observed.length, 1)
    assert.equal(fixture.observed[0]?.seconds, 0.0123456)
  })

  it('P10 tells the reason and the detail of a denial', async (t) => {
    const fixture = tokenListener(t, { exchange: deny('scope_not_justified', 'checkout:place') })
    await fixture.app.inject(VALID)
    const [line] = fixture.lines
    assert.equal(line?.level, 'info')
    assert.equal(line.fields.outcome, 'denied')
    assert.equal(line.fields.reason, 'scope_not_justified')
    assert.equal(line.fields.detail, 'checkout:place')
    assert.equal(line.fields.status, 400)
    assert.equal(line.fields.client_method, 'xfcc')
  })

  it('P3 tells a grant that could not be recorded as what the caller got', async (t) => {
    const fixture = tokenListener(t, {
      exchange: async () => ({
        decisionId: 'decision',
        result: { ok: false, reason: 'audit_unavailable' },
        event: EVENT,
        embedded: [],
      }),
    })
    const response = await fixture.app.inject(VALID)
    assertRefusal(response, 'audit_unavailable', 'decision')
    assert.equal(fixture.lines[0]?.fields.outcome, 'denied')
    assert.equal(fixture.lines[0]?.fields.reason, 'audit_unavailable')
  })

  it('P3 limits the lines of callers that nobody knows, and says how many are missing', async (t) => {
    const fixture = tokenListener(t)
    for (let i = 0; i < 30; i++) await fixture.app.inject({ ...VALID, url: '/x' })
    for (let i = 0; i < 5; i++) await fixture.app.inject({ ...VALID, payload: '%' })
    assert.equal(fixture.lines.length, 20)
    assert.equal(fixture.refused.length, 30)
    await fixture.app.inject(VALID)
    assert.equal(fixture.lines.at(-1)?.fields.outcome, 'granted')
    fixture.elapsed += 1000
    await fixture.app.inject({ ...VALID, url: '/x' })
    await fixture.app.inject({ ...VALID, url: '/x' })
    const [first, second] = fixture.lines.slice(-2)
    assert.equal(first?.fields.lines_suppressed, 15)
    assert.equal(first.fields.outcome, 'refused')
    assert.equal(first.fields.reason, 'request_not_found')
    assert.ok(!('lines_suppressed' in (second?.fields ?? {})))
  })

  it('P7 writes nothing of what was sent into lines or refusals', async (t) => {
    const fixture = tokenListener(t)
    const secret = 'c2VjcmV0LXRva2Vu'
    const headers = { ...FORM_HEADERS, authorization: `Bearer ${secret}`, cookie: secret }
    for (const change of [
      {},
      { url: `/token?subject_token=${secret}` },
      { url: `/${secret}` },
      { url: `/%zz${secret}` },
      { payload: `subject_token=${secret}&x=%00` },
      { headers: { ...headers, 'content-type': secret } },
      { headers: { ...headers, traceparent: secret } },
    ]) {
      const response = await fixture.app.inject({ ...VALID, headers, ...change })
      assert.ok(!JSON.stringify([response.headers, response.body]).includes(secret))
    }
    assert.ok(!JSON.stringify(fixture.lines).includes(secret))
    assert.equal(fixture.lines.length, 7)
  })
})

describe('hostile requests', () => {
  it('never 500, always JSON, no-store and a decision id', async (t) => {
    const { app } = tokenListener(t)
    const methods = fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'OPTIONS')
    const paths = fc.oneof(
      fc.constantFrom('/token', '/token?', '/token/', '/token?a=b', '/', '/%', '/%00', '/token%00'),
      fc.webPath().map((path) => `/${path}`),
    )
    const types = fc.oneof(
      fc.constantFrom(
        'application/x-www-form-urlencoded',
        'application/x-www-form-urlencoded; charset=utf-8',
        'application/x-www-form-urlencoded;;;',
        'application/json',
        '',
      ),
      fc.string({ unit: fc.constantFrom(...'abc/;= "+,') }),
    )
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
      fc
        .constantFrom('%', '&'.repeat(5000), 'a=%00', 'a=\0', '=', 'a=1&a=1')
        .map((text) => Buffer.from(text)),
    )
    await fc.assert(
      fc.asyncProperty(methods, paths, types, bodies, async (method, url, type, payload) => {
        const headers = { 'content-type': type }
        const response = await app.inject({ method: method as 'POST', url, headers, payload })
        assert.notEqual(response.statusCode, 500)
        assert.equal(response.headers['content-type'], 'application/json')
        assert.equal(response.headers['cache-control'], 'no-store')
        const id = response.headers['mesh-sts-decision-id']
        assert.match(String(id), /^(decision|refusal-\d+)$/)
        if (response.statusCode !== 200) assert.equal(response.json().decision_id, id)
      }),
      { numRuns: 400 },
    )
  })
})
