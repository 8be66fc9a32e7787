// A token listener with fakes behind it, and raw connections to it.
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { ExchangeInput, ExchangeOutcome } from '../../src/exchange.ts'
import { createOverloadGuard } from '../../src/http/overload.ts'
import {
  buildTokenListener,
  type Phase,
  type TokenListenerOptions,
} from '../../src/http/token-listener.ts'
import { fail, ok, type Reason } from '../../src/oauth/reasons.ts'

/** What a request may send and get: a form that the fake exchange grants. */
export const FORM = 'grant_type=x&subject_token=secret-subject-token'
export const FORM_HEADERS = { 'content-type': 'application/x-www-form-urlencoded' }
export const TOKEN = {
  access_token: 'issued',
  issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  token_type: 'Bearer',
  expires_in: 300,
  scope: 'a b',
} as const

export interface Line {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

export interface Fixture {
  readonly app: FastifyInstance
  /** What reached the fake exchange. */
  readonly inputs: ExchangeInput[]
  /** What was refused before it. */
  readonly refused: { reason: Reason; peer: string }[]
  readonly observed: { outcome: ExchangeOutcome; seconds: number }[]
  readonly lines: Line[]
  phase: Phase
  /** Milliseconds on the fake stopwatch. */
  elapsed: number
}

/** An audit event as a granted exchange would have it. */
export const EVENT: AuditEvent = {
  decisionId: 'decision',
  parent: undefined,
  time: 0,
  outcome: 'granted',
  reason: undefined,
  detail: undefined,
  rulesetHash: 'ruleset-hash',
  caller: {
    id: 'spiffe://cluster.local/ns/boutique/sa/frontend',
    method: 'xfcc',
    peer: '127.0.0.1',
    listener: 'token',
    service: 'boutique/frontend',
    audience: 'frontend.boutique',
  },
  subject: {
    issuer: 'corporate',
    iss: 'https://login.corp.example',
    sub: 'alice',
    tokenType: 'access_token',
    audiences: [],
    scopes: [],
    exp: 0,
    act: undefined,
    mayAct: undefined,
    chain: [],
    jti: undefined,
    tokenHash: 'hash',
    claims: {},
    absentClaims: [],
  },
  actor: undefined,
  request: undefined,
  target: 'boutique/checkout',
  rule: 'boutique/checkout <- boutique/frontend [corporate]',
  wouldDeny: [],
  forwarded: false,
  issued: undefined,
  traceId: undefined,
  truncated: undefined,
}

/** Grants every form that parses, as `exchange` would answer. */
export async function grant(input: ExchangeInput): Promise<ExchangeOutcome> {
  if (!input.form.ok)
    return { decisionId: 'decision', result: input.form, event: undefined, embedded: [] }
  return { decisionId: 'decision', result: ok(TOKEN), event: EVENT, embedded: [] }
}

/** Denies with a reason, recorded like a denial of a known caller. */
export const deny =
  (reason: Reason, detail?: string, retryAfterSeconds?: number) =>
  async (): Promise<ExchangeOutcome> => ({
    decisionId: 'decision',
    result: fail(reason, detail, retryAfterSeconds),
    event: { ...EVENT, outcome: 'denied', reason, detail },
    embedded: [],
  })

/** Builds a listener; closed at the end of the test. */
export function tokenListener(
  t: TestContext,
  changes: Partial<TokenListenerOptions> = {},
): Fixture {
  const fixture = {
    inputs: [] as ExchangeInput[],
    refused: [] as Fixture['refused'],
    observed: [] as Fixture['observed'],
    lines: [] as Line[],
    phase: 'serving' as Phase,
    elapsed: 0,
  }
  const log =
    (level: Line['level']) =>
    (fields: object, message: string): void => {
      fixture.lines.push({ level, message, fields: fields as Record<string, unknown> })
    }
  const run = changes.exchange ?? grant
  const app = buildTokenListener({
    name: 'token',
    refuse: (reason, peer) => `refusal-${fixture.refused.push({ reason, peer })}`,
    observe: (outcome, seconds) => fixture.observed.push({ outcome, seconds }),
    overload: createOverloadGuard({ maxInFlight: 64, maxDelayMs: 1000, delayMs: () => 0 }),
    phase: () => fixture.phase,
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    stopwatch: () => fixture.elapsed,
    ...changes,
    exchange: (input) => {
      fixture.inputs.push(input)
      return run(input)
    },
  })
  t.after(() => app.close())
  return Object.assign(fixture, { app })
}

/** A promise and the way to keep it. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((keep) => {
    resolve = keep
  })
  return { promise, resolve }
}

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Listens on a port of its own; gives a way to open connections to it. */
export async function listening(
  t: TestContext,
  app: FastifyInstance,
): Promise<(options?: { readonly allowHalfOpen?: boolean }) => Socket> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.server.closeAllConnections())
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return (options = {}) => {
    const socket = connect({ port: address.port, host: '127.0.0.1', ...options })
    t.after(() => socket.destroy())
    return socket
  }
}

/** Collects what a connection receives until the other side closes it. */
export function received(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}

/** Resolves as soon as a connection has received so many whole answers. */
export function answers(socket: Socket, count: number): Promise<RawAnswer[]> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const parsed = parseAnswers(text)
      if (parsed.length >= count) resolve(parsed)
    })
    socket.on('error', reject)
    socket.on('end', () => reject(new Error(`ended after: ${text}`)))
  })
}

/** Splits received text into whole answers; each must have a Content-Length, interim ones have none. */
export function parseAnswers(text: string): RawAnswer[] {
  const parsed: RawAnswer[] = []
  let rest = text
  while (rest.includes('\r\n\r\n')) {
    const cut = rest.indexOf('\r\n\r\n')
    const [line = '', ...lines] = rest.slice(0, cut).split('\r\n')
    const headers = new Map(
      lines.map((header): [string, string] => {
        const colon = header.indexOf(':')
        return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()]
      }),
    )
    const length = Number(headers.get('content-length') ?? 0)
    const start = cut + 4
    if (rest.length < start + length) break
    parsed.push({
      status: Number(line.split(' ')[1]),
      headers,
      body: rest.slice(start, start + length),
    })
    rest = rest.slice(start + length)
  }
  return parsed
}
