// Owns how an answer of a token listener is written: status, headers, JSON (RFC 6749 §5.1, §5.2).
// Must not decide anything, nor put on the wire what a caller sent.
import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import type { TokenResponse } from '../exchange.ts'
import { DECISION_ID_HEADER } from '../oauth/names.ts'
import { type Reason, WIRE, type WireAnswer } from '../oauth/reasons.ts'

/** A refusal as its answer needs it. */
export interface Refused {
  readonly reason: Reason
  readonly retryAfterSeconds?: number
}

/** What else an answer depends on besides its reason. */
export interface AnswerContext {
  readonly decisionId: string
  /** Scheme of the Authorization header that the client used, if it did. */
  readonly scheme?: ChallengeScheme | undefined
  /** Asks the client to leave this connection. */
  readonly close?: boolean
}

/** The schemes that a challenge may name; what a caller sent is never echoed. */
export type ChallengeScheme = 'Basic' | 'Bearer' | 'DPoP'

/** Long enough for a queue to drain, short enough to be worth waiting for. */
const DEFAULT_RETRY_AFTER_SECONDS = 1

/** RFC 6749 §5.1: no-store and no-cache on everything that comes from a token endpoint. */
const FIXED_HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  pragma: 'no-cache',
} as const

const bodies = new Map<string, string>(
  Object.entries(WIRE).map(([reason, wire]: [string, WireAnswer]) => {
    const fixed = JSON.stringify({ error: wire.error, error_description: wire.description })
    return [reason, `${fixed.slice(0, -1)},"decision_id":`]
  }),
)

/** Gives the scheme to challenge with (OA-05): the one that was used, where it is a known one. */
export function challengeSchemeOf(authorization: string | undefined): ChallengeScheme | undefined {
  if (authorization === undefined) return undefined
  switch (/^[A-Za-z]{1,8}/.exec(authorization)?.[0].toLowerCase()) {
    case 'basic':
      return 'Basic'
    case 'dpop':
      return 'DPoP'
    default:
      return 'Bearer'
  }
}

/** Writes a granted exchange. */
export function writeToken(
  response: ServerResponse,
  token: TokenResponse,
  context: AnswerContext,
): void {
  write(response, 200, headersOf(context), JSON.stringify(token))
}

/** Writes a refusal; gives its status. */
export function writeRefusal(
  response: ServerResponse,
  refused: Refused,
  context: AnswerContext,
): WireAnswer['status'] {
  const { status } = WIRE[refused.reason]
  write(response, status, refusalHeaders(refused, context), refusalBody(refused, context))
  return status
}

/** The same refusal as bytes, for a connection whose request could not be parsed; always closes. */
export function refusalText(refused: Refused, context: AnswerContext): string {
  const { status } = WIRE[refused.reason]
  const body = refusalBody(refused, context)
  const headers = {
    ...refusalHeaders(refused, { ...context, close: true }),
    'content-length': Buffer.byteLength(body),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`
}

function refusalBody(refused: Refused, context: AnswerContext): string {
  return `${bodies.get(refused.reason)}${JSON.stringify(context.decisionId)}}`
}

function refusalHeaders(refused: Refused, context: AnswerContext): OutgoingHttpHeaders {
  const { status } = WIRE[refused.reason]
  const headers = headersOf(context)
  if (status === 401) {
    // RFC 9110 §15.5.2: never a 401 without a challenge.
    headers['www-authenticate'] = `${context.scheme ?? 'Bearer'} realm="mesh-sts"`
  } else if (status === 405) {
    headers.allow = 'POST'
  } else if (status === 429 || status === 503) {
    headers['retry-after'] = String(retryAfterOf(refused))
  }
  return headers
}

const retryAfterOf = ({ retryAfterSeconds }: Refused): number =>
  Math.max(1, Math.ceil(retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS))

function headersOf(context: AnswerContext): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { ...FIXED_HEADERS }
  headers[DECISION_ID_HEADER] = context.decisionId
  if (context.close === true) headers.connection = 'close'
  return headers
}

function write(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
): void {
  // The client may be gone, or a timeout may have answered already.
  if (response.headersSent || response.destroyed) return
  headers['content-length'] = Buffer.byteLength(body)
  response.writeHead(status, headers)
  response.end(body)
}
