// Owns the two ends of a sidecar in tests: an application that tells what reached it, and a caller with a
// mesh certificate. Must not know Envoy's configuration.
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  request,
} from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ConnectionOptions, PeerCertificate } from 'node:tls'
import { issueSvid, type TestCa, type TestCertificate } from './certificates.ts'
import type { MeshIdentity } from './envoy-config.ts'

/** A workload's SPIFFE ID as Istio writes it. */
export function spiffeIdOf(trustDomain: string, namespace: string, account: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`
}

/** A workload of the mesh that `ca` is the root of. */
export function meshIdentity(ca: TestCa, spiffeId: string): MeshIdentity {
  return {
    certificate: issueSvid(ca, spiffeId),
    rootPem: ca.certPem,
    trustDomain: ca.trustDomain,
  }
}

/** What an application got to see of a request. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly remoteAddress: string
  /** One entry per header line, names in lower case. */
  readonly headers: Readonly<Record<string, readonly string[]>>
}

export interface EchoServer {
  readonly port: number
  stop(): Promise<void>
}

/** Stands in for an application: answers 200 with a SeenRequest. */
export function startEcho(): Promise<EchoServer> {
  return startServer((incoming, response) => {
    const seen: SeenRequest = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      remoteAddress: incoming.socket.remoteAddress ?? '',
      headers: headerLines(incoming),
    }
    incoming.resume()
    incoming.on('end', () => response.end(JSON.stringify(seen)))
  })
}

/** Publishes a key set at whatever path is asked. */
export function startJwks(jwks: () => string): Promise<EchoServer> {
  return startServer((_incoming, response) => {
    response.setHeader('content-type', 'application/jwk-set+json').end(jwks())
  })
}

/** Any stand-in server on a free port of loopback. */
export async function startServer(handler: RequestListener): Promise<EchoServer> {
  const server = createServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A caller's side of mTLS. */
export interface MeshTls {
  readonly rootPem: string
  /** Undefined: TLS without a client certificate. */
  readonly certificate?: Pick<TestCertificate, 'certPem' | 'keyPem'> | undefined
  /** The SPIFFE ID that the server has to have. */
  readonly server: string
  /** Default: what a sidecar offers. */
  readonly alpn?: readonly string[]
}

export interface MeshCall {
  readonly port: number
  /** Undefined: no TLS at all. */
  readonly tls?: MeshTls | undefined
  /** Default: the system's choice. */
  readonly localAddress?: string
  readonly method?: string
  readonly path?: string
  /** Flat list of names and values, sent as they are. */
  readonly headers?: readonly string[]
  readonly body?: string
}

export interface MeshAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Makes one request on a connection of its own; rejects where the connection is refused. */
export async function callMesh(call: MeshCall): Promise<MeshAnswer> {
  const target = {
    host: '127.0.0.1',
    port: call.port,
    method: call.method ?? 'GET',
    path: call.path ?? '/',
    headers: ['host', 'service.test', ...(call.headers ?? [])],
    agent: false as const,
    ...(call.localAddress !== undefined && { localAddress: call.localAddress }),
  }
  const { tls } = call
  const outgoing =
    tls === undefined
      ? request(target)
      : requestTls({
          ...target,
          ca: tls.rootPem,
          ...(tls.certificate && { cert: tls.certificate.certPem, key: tls.certificate.keyPem }),
          ALPNProtocols: [...(tls.alpn ?? ['istio-http/1.1'])],
          servername: '',
          checkServerIdentity: (_host, peer) => checkSpiffeId(peer, tls.server),
        } satisfies ConnectionOptions & RequestOptions as RequestOptions)
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
  outgoing.end(call.body)
  const [response] = await answered
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode ?? 0, headers: response.headers, body }
}

/** What the echo server saw of a call that it answered. */
export function seenBy(answer: MeshAnswer): SeenRequest {
  return JSON.parse(answer.body) as SeenRequest
}

function checkSpiffeId(peer: PeerCertificate, expected: string): Error | undefined {
  return peer.subjectaltname === `URI:${expected}`
    ? undefined
    : new Error(`server is ${peer.subjectaltname}, not ${expected}`)
}

function headerLines(incoming: IncomingMessage): Record<string, string[]> {
  const lines: Record<string, string[]> = {}
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const name = (incoming.rawHeaders[i] ?? '').toLowerCase()
    lines[name] = [...(lines[name] ?? []), incoming.rawHeaders[i + 1] ?? '']
  }
  return lines
}
