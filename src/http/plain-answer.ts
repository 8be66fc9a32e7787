// Owns JSON answers of the public and the admin listener, which know no decisions.
// Must not put on the wire what a caller sent.
import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Reason } from '../oauth/reasons.ts'

const REFUSALS = {
  not_found: { status: 404, error: 'not_found', description: 'there is nothing at this path' },
  method: { status: 405, error: 'invalid_request', description: 'only GET and HEAD work here' },
  unreadable: { status: 400, error: 'invalid_request', description: 'the request is malformed' },
  timeout: { status: 408, error: 'invalid_request', description: 'the request was too slow' },
  headers: { status: 431, error: 'invalid_request', description: 'the headers are too large' },
  failed: { status: 500, error: 'server_error', description: 'the service failed' },
  no_keys: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'no complete key set yet',
  },
} as const

/** Why a request on the public or the admin listener is not served. */
export type PlainRefusal = keyof typeof REFUSALS

/** Writes a body with its length; Node leaves the body out where the request was HEAD. */
export function writePlain(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

/** Writes a refusal; never cached, so that no cache outlives the cause. */
export function writePlainRefusal(
  response: ServerResponse,
  refusal: PlainRefusal,
  headers: OutgoingHttpHeaders = {},
): void {
  writePlain(response, REFUSALS[refusal].status, headersOf(refusal, headers), bodyOf(refusal))
}

/** A refusal as bytes, for what never became a request. */
export function plainRefusalText(reason: Reason): string {
  const refusal = connectionRefusalOf(reason)
  const { status } = REFUSALS[refusal]
  const body = bodyOf(refusal)
  const headers = { ...headersOf(refusal, {}), connection: 'close', 'content-length': body.length }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`
}

function connectionRefusalOf(reason: Reason): PlainRefusal {
  switch (reason) {
    case 'request_timeout':
      return 'timeout'
    case 'request_header_too_large':
      return 'headers'
    case 'request_method_not_allowed':
      return 'method'
    default:
      return 'unreadable'
  }
}

const bodyOf = (refusal: PlainRefusal): string => {
  const { error, description } = REFUSALS[refusal]
  return JSON.stringify({ error, error_description: description })
}

const headersOf = (refusal: PlainRefusal, more: OutgoingHttpHeaders): OutgoingHttpHeaders => ({
  'content-type': 'application/json',
  'cache-control': 'no-store',
  ...(refusal === 'method' ? { allow: 'GET, HEAD' } : {}),
  ...more,
})
