// Owns how black-box tests send requests: everything about a request can be changed, nothing is corrected.
// Must not know what an answer should be.
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import type { Scope } from './full-deployment.ts'

/** A request as it goes out; each has a connection of its own. */
export interface Sent {
  readonly url: string
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  /** The loopback address to come from. */
  readonly localAddress?: string
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string }
}

/** An answer as it came. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The members of a JSON body; empty where the body is none. */
  readonly body: Readonly<Record<string, unknown>>
}

/** Sends one request; rejects where the connection fails. */
export function send({
  url,
  method = 'GET',
  headers,
  body,
  localAddress,
  tls,
}: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      method,
      agent: false as const,
      ...(headers === undefined ? {} : { headers }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...tls,
    }
    const outgoing = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options)
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('error', reject)
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const { statusCode: status = 0, headers } = incoming
        resolve({ status, headers, text, body: membersOf(text) })
      })
    })
    outgoing.end(body)
  })
}

/** A raw connection to a listener; destroyed with the scope. */
export function rawSocket(scope: Scope, url: string): Socket {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => socket.destroy())
  scope.after(() => socket.destroy())
  return socket
}

/** The final answer that a connection receives, as soon as it is whole. */
export function rawAnswer(socket: Socket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const answer = parseAnswer(text)
      if (answer !== undefined) resolve(answer)
    })
    socket.on('close', () => reject(new Error(`closed after: ${text}`)))
  })
}

/** Undefined where it is not whole; interim answers (100 Continue) come before the final one. */
function parseAnswer(received: string): Answer | undefined {
  const text = received.replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+/, '')
  const cut = text.indexOf('\r\n\r\n')
  if (cut === -1) return undefined
  const [line = '', ...lines] = text.slice(0, cut).split('\r\n')
  const headers: IncomingHttpHeaders = {}
  for (const header of lines) {
    const colon = header.indexOf(':')
    headers[header.slice(0, colon).toLowerCase()] = header.slice(colon + 1).trim()
  }
  const body = text.slice(cut + 4)
  if (body.length < Number(headers['content-length'] ?? 0)) return undefined
  return { status: Number(line.split(' ')[1]), headers, text: body, body: membersOf(body) }
}

function membersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
