// Owns a token listener: POST /token over HTTP, and an OAuth answer for everything else that comes.
// Must not know what an exchange is made of; it hands the parsed form and the evidence on.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TlsOptions } from 'node:tls'
import formbody from '@fastify/formbody'
import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import type { ExchangeInput, ExchangeOutcome } from '../exchange.ts'
import { parseForm } from '../oauth/form.ts'
import { fail, type Reason, type Result, WIRE } from '../oauth/reasons.ts'
import { answerClientErrors } from './client-error.ts'
import { evidenceOf, type IdentityHeaders, peerAddressOf, readIdentityHeaders } from './evidence.ts'
import { createExchangeLog, type ListenerLog } from './exchange-log.ts'
import { challengeSchemeOf, refusalText, writeRefusal, writeToken } from './oauth-answer.ts'
import type { OverloadGuard } from './overload.ts'
import { createServer, SERVER_LIMITS, type ServerLimits, SIDECAR_KEEP_ALIVE_MS } from './server.ts'
import { traceIdOf } from './trace-parent.ts'

/**
 * `serving`; `draining`: still answers, and asks every client to leave its connection; `closing`:
 * starts no exchange any more.
 */
export type Phase = 'serving' | 'draining' | 'closing'

/** Three tokens of 8 KiB and their names; more is nobody's exchange. */
export const BODY_LIMIT_BYTES = 32 * 1024

const PATH = '/token'

export interface TokenListenerOptions {
  /** The listener's name: decides which client authentication counts (sts.yaml, listeners). */
  readonly name: string
  readonly exchange: (input: ExchangeInput) => Promise<ExchangeOutcome>
  /** Counts a request that never reached `exchange`, and gives it a decision id. */
  readonly refuse: (reason: Reason, peerAddress: string) => string
  /** Told of every exchange that ended; `seconds` from the body's arrival to the answer. */
  readonly observe: (outcome: ExchangeOutcome, seconds: number) => void
  /** Shared by all token listeners. */
  readonly overload: OverloadGuard
  readonly phase: () => Phase
  readonly log: ListenerLog
  /** Monotonic milliseconds. */
  readonly stopwatch: () => number
  /**
   * Makes this listener end TLS itself; see createServer. Without it a sidecar is in front, which
   * pools connections of many callers; with it each connection is one caller's.
   */
  readonly tls?: TlsOptions
  readonly limits?: Partial<ServerLimits>
}

/** Builds a token listener; the caller calls `listen` and `close`. */
export function buildTokenListener(options: TokenListenerOptions): FastifyInstance {
  const { name, phase, stopwatch } = options
  const exchangeLog = createExchangeLog(options.log, stopwatch)
  const leave = () => phase() !== 'serving'
  const behindSidecar = options.tls === undefined
  const limits: ServerLimits = {
    ...SERVER_LIMITS,
    ...(behindSidecar ? { keepAliveTimeoutMs: SIDECAR_KEEP_ALIVE_MS } : {}),
    ...options.limits,
  }

  /** Answers, counts and logs what never reaches `exchange`. */
  const refuse = (
    reason: Reason,
    request: IncomingMessage,
    response: ServerResponse,
    startedAt: number,
  ): void => {
    const peerAddress = peerAddressOf(request.socket)
    const decisionId = options.refuse(reason, peerAddress)
    const status = writeRefusal(response, { reason }, { decisionId, close: leave() })
    exchangeLog.refusal(reason, decisionId, {
      listener: name,
      peerAddress,
      traceId: traceIdOf(headerOf(request, 'traceparent')),
      status,
      durationMs: stopwatch() - startedAt,
    })
  }

  const runExchange = async (
    input: ExchangeInput,
    response: ServerResponse,
    startedAt: number,
  ): Promise<void> => {
    const factsOf = (status: number) => ({
      listener: name,
      peerAddress: input.evidence.peerAddress,
      traceId: input.traceId,
      status,
      durationMs: stopwatch() - startedAt,
    })
    try {
      const outcome = await options.exchange(input)
      const { decisionId, result } = outcome
      const scheme = challengeSchemeOf(input.evidence.authorizationLines[0])
      const status = result.ok ? 200 : WIRE[result.reason].status
      // P5: a stranger keeps no connection; behind a sidecar it is not the stranger's.
      const close = leave() || (status === 401 && !behindSidecar)
      const context = { decisionId, scheme, close }
      if (result.ok) writeToken(response, result.value, context)
      else writeRefusal(response, result, context)
      const facts = factsOf(status)
      options.observe(outcome, facts.durationMs / 1000)
      exchangeLog.exchange(outcome, facts)
    } catch (error) {
      const decisionId = options.refuse('internal_error', input.evidence.peerAddress)
      writeRefusal(response, { reason: 'internal_error' }, { decisionId, close: true })
      exchangeLog.failure(error, decisionId, factsOf(500))
    } finally {
      options.overload.leave()
    }
  }

  const answerToken = (
    request: IncomingMessage,
    response: ServerResponse,
    body: unknown,
  ): Promise<void> | undefined => {
    const startedAt = stopwatch()
    const headers = checkRequest(request)
    if (!headers.ok) return void refuse(headers.reason, request, response, startedAt)
    if (typeof body !== 'string' || body === '') {
      return void refuse('request_body_missing', request, response, startedAt)
    }
    if (phase() === 'closing') return void refuse('shutting_down', request, response, startedAt)
    if (!options.overload.enter()) return void refuse('overloaded', request, response, startedAt)
    const input = {
      form: parseForm(body),
      evidence: evidenceOf(name, request, headers.value),
      traceId: traceIdOf(headerOf(request, 'traceparent')),
    }
    return runExchange(input, response, startedAt)
  }

  // Answers are written to the raw response, exactly as RFC 6749 has them (Fastify would add a charset);
  // Fastify takes an ended response as sent, and what throws before that still gets its error handler.
  const app = fastify({
    // Our own line per exchange says more and costs less.
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    // Its answer would not be ours; `phase` says the same.
    return503OnClosing: false,
    serverFactory: (handler) => createServer(handler, limits, options.tls),
    // A path that cannot be decoded fails before any route or hook.
    frameworkErrors: (_error, request, reply) => {
      refuse('request_unreadable', request.raw, reply.raw, stopwatch())
    },
    clientErrorHandler: (error, socket) => onClientError(error, socket),
  })
  const onClientError = answerClientErrors(app.server, (reason, socket) => {
    const peerAddress = peerAddressOf(socket)
    const decisionId = options.refuse(reason, peerAddress)
    const facts = { listener: name, peerAddress, traceId: undefined, durationMs: 0 }
    exchangeLog.refusal(reason, decisionId, { ...facts, status: WIRE[reason].status })
    return refusalText({ reason }, { decisionId })
  })

  // Fastify brings parsers for JSON and text, and formbody one for forms that merges and decodes in
  // its own way; the text alone is handed on, so that there is one parser and it is ours.
  app.removeAllContentTypeParsers()
  app.register(formbody, { parser: (text) => text as unknown as Record<string, unknown> })

  app.post(PATH, (request, reply) => answerToken(request.raw, reply.raw, request.body))
  app.setNotFoundHandler((request, reply) => {
    refuse(misdirected(request.raw), request.raw, reply.raw, stopwatch())
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // The body broke off: its sender is gone, or client-error.ts has answered.
    if (request.raw.socket.writable === false) return
    const lost = request.is404 || pathOf(request.raw) !== PATH
    const reason = lost ? misdirected(request.raw) : reasonOf(error)
    refuse(reason, request.raw, reply.raw, stopwatch())
    if (reason === 'internal_error') options.log.error({ err: error }, 'request failed')
  })
  return app
}

/** Refuses what no exchange may have, before the form is parsed. */
function checkRequest(request: IncomingMessage): Result<IdentityHeaders> {
  // The router decodes, so `/%74oken` gets here; what guards the path in front of us may not.
  if (pathOf(request) !== PATH) return fail('request_not_found')
  // OA-10: whatever it is, it does not belong into a URL, and proxies log URLs.
  if (!WITHOUT_QUERY.test(request.url ?? '')) return fail('request_parameter_in_query')
  if (!isPlainUtf8Form(request)) return fail('request_media_type')
  return readIdentityHeaders(request)
}

const WITHOUT_QUERY = /^[^?#]*\??$/
const FORM = 'application/x-www-form-urlencoded'
const CHARSET = /;\s*charset\s*=\s*"?([^";\s]*)/i

/** TE-01: UTF-8. A compressed body, or one in another charset, would parse as something else. */
function isPlainUtf8Form(request: IncomingMessage): boolean {
  const { 'content-type': type, 'content-encoding': encoding } = request.headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return false
  if (type === undefined || type === FORM) return true
  const charset = CHARSET.exec(type)?.[1]
  return charset === undefined || charset.toLowerCase() === 'utf-8'
}

/** There is one path; whoever asks it otherwise than by POST is told so. */
function misdirected(request: IncomingMessage): Reason {
  return pathOf(request) === PATH && request.method !== 'POST'
    ? 'request_method_not_allowed'
    : 'request_not_found'
}

/** The path as sent, escapes and all; of the absolute form too (RFC 9112 §3.2.2). */
function pathOf({ url = '' }: IncomingMessage): string | undefined {
  return url === PATH ? PATH : /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(url)?.[1]
}

/** Fastify's own errors, by code: whatever a sender causes is a refusal, never a 500. */
function reasonOf(error: FastifyError): Reason {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'request_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'request_media_type'
  const { statusCode = 500 } = error
  return statusCode >= 400 && statusCode < 500 ? 'request_unreadable' : 'internal_error'
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}
