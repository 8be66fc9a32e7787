// Owns one bounded request to another server: a JSON text out and in, nothing followed, nothing unlimited.
// Must not interpret what comes back, nor retry, nor cache.
import {
  type Agent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'

export interface JsonRequest {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  /** JSON text; sent as application/json. */
  readonly body?: string
  /** PEM of the only certificate authorities to trust; the system's where it is absent. */
  readonly ca?: string
  /** For the whole exchange, from the connection to the last byte. */
  readonly timeoutMs: number
  /** Of the response's body. */
  readonly maxBytes: number
  /** Permits plain http, for development on loopback. */
  readonly allowHttp: boolean
  /** Aborts the request. */
  readonly signal?: AbortSignal
  /** For callers that keep connections; without one every request has its own. */
  readonly agent?: Agent
}

/** A complete answer with any status but a redirect, or what went wrong in words fit for a log. */
export type JsonResponse =
  | { readonly ok: true; readonly status: number; readonly text: string }
  | { readonly ok: false; readonly problem: string }

/** Response headers beyond this end the request; key servers send below 2 KiB. */
const MAX_HEADER_BYTES = 16 * 1024

/** Whether a URL may be asked: https, or http where that is permitted, without credentials in it. */
function checkUrl(url: string, allowHttp: boolean): URL | string {
  if (!URL.canParse(url)) return 'not a URL'
  const parsed = new URL(url)
  if (parsed.protocol !== 'https:' && !(allowHttp && parsed.protocol === 'http:')) {
    return 'the URL is not https'
  }
  if (parsed.username !== '' || parsed.password !== '') return 'the URL holds credentials'
  return parsed
}

/**
 * Sends one request and reads its answer whole. Never rejects. Redirects are not followed (RFC 8725 §3.10)
 * and count as problems, as does a compressed body (its size would be known only after the work).
 */
export function requestJson(request: JsonRequest): Promise<JsonResponse> {
  const url = checkUrl(request.url, request.allowHttp)
  if (typeof url === 'string') return Promise.resolve(problem(url))
  return new Promise((resolve) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send(url, optionsOf(request))
    const settle = (response: JsonResponse): void => {
      clearTimeout(timer)
      request.signal?.removeEventListener('abort', abort)
      resolve(response)
      outgoing.destroy()
    }
    const timer = setTimeout(() => settle(problem('no complete answer in time')), request.timeoutMs)
    const abort = (): void => settle(problem('aborted'))
    if (request.signal?.aborted === true) abort()
    request.signal?.addEventListener('abort', abort, { once: true })
    outgoing.on('error', (error) => settle(problem(`connection failed: ${codeOf(error)}`)))
    outgoing.on('response', (incoming) => readAnswer(incoming, request.maxBytes, settle))
    outgoing.end(request.body)
  })
}

const problem = (text: string): JsonResponse => ({ ok: false, problem: text })

function optionsOf(request: JsonRequest): RequestOptions {
  const headers: OutgoingHttpHeaders = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    ...request.headers,
  }
  if (request.body !== undefined) {
    headers['content-type'] = 'application/json'
    headers['content-length'] = Buffer.byteLength(request.body)
  }
  return {
    method: request.method,
    headers,
    agent: request.agent ?? false,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Said explicitly, so that no environment variable turns it off.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(request.ca === undefined ? {} : { ca: request.ca }),
  }
}

/** An error's code: its message may hold addresses or text of the other side. */
function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'unknown'
}

function readAnswer(
  incoming: IncomingMessage,
  maxBytes: number,
  settle: (response: JsonResponse) => void,
): void {
  const status = incoming.statusCode ?? 0
  const refused = refusalOf(incoming, status)
  if (refused !== undefined) {
    settle(problem(refused))
    return
  }
  const chunks: Buffer[] = []
  let bytes = 0
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > maxBytes) settle(problem(`answered with more than ${maxBytes} bytes`))
    else chunks.push(chunk)
  })
  incoming.on('error', (error) => settle(problem(`connection failed: ${codeOf(error)}`)))
  incoming.on('end', () => {
    const text = decodeUtf8(Buffer.concat(chunks, bytes))
    if (text === undefined) settle(problem('answered with text that is not UTF-8'))
    else settle({ ok: true, status, text })
  })
}

function refusalOf(incoming: IncomingMessage, status: number): string | undefined {
  if (status >= 300 && status < 400) return `answered with a redirect (${status})`
  const encoding = incoming.headers['content-encoding'] ?? 'identity'
  return encoding.toLowerCase() === 'identity'
    ? undefined
    : 'answered with a content encoding that was not asked for'
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
