// Owns how a listening HTTP server is set up: its limits, its timeouts, TLS.
// Must not know routes or answers.
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'

/** What one connection may cost. Every listener uses these unless it is told otherwise. */
export interface ServerLimits {
  /** From the first byte of a request (or the connection) to the end of its headers. */
  readonly headersTimeoutMs: number
  /** From the first byte of a request to the end of its body: a slow body ends here. */
  readonly requestTimeoutMs: number
  /** How long an idle connection is kept. */
  readonly keepAliveTimeoutMs: number
  /** How often the two request timeouts are enforced. */
  readonly checkEveryMs: number
  /** All header lines of one request together. */
  readonly maxHeaderBytes: number
  readonly maxConnections: number
  /** From the connection to the end of its TLS handshake, where this server ends TLS. */
  readonly handshakeTimeoutMs: number
}

export const SERVER_LIMITS: ServerLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  // Longer than the minute after which most clients and proxies let go of an idle connection.
  keepAliveTimeoutMs: 75_000,
  checkEveryMs: 1_000,
  // XFCC with a chain of certificates in PEM, and room beside it; Node's own default.
  maxHeaderBytes: 16 * 1024,
  // A sidecar pools its connections; more than this many is not a mesh, it is a leak or an attack.
  maxConnections: 4096,
  // Node would wait for two minutes, in which nothing else limits a silent connection.
  handshakeTimeoutMs: 10_000,
}

/**
 * For a listener behind a sidecar only. Longer than the hour for which Envoy keeps an idle upstream
 * connection: if we closed first, a request sent in that moment would end as 503 in the sidecar.
 */
export const SIDECAR_KEEP_ALIVE_MS = 65 * 60_000

/** Part of `maxConnections` from which on idle connections make room: the rest is for new callers. */
const FULL_RATIO = 0.9

/**
 * Creates a server that is not yet listening. With `tls` it ends TLS itself, exactly as that says:
 * clients/tls-server.ts makes such options, and replaces them while the server runs.
 */
export function createServer(
  handler: RequestListener,
  limits: ServerLimits,
  tls: TlsOptions | undefined,
): Server {
  const http = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    insecureHTTPParser: false,
    // Node would answer a missing Host itself, in its own words; request-line.ts does it in ours.
    requireHostHeader: false,
  }
  const server =
    tls === undefined
      ? createHttpServer(http, handler)
      : createHttpsServer({ handshakeTimeout: limits.handshakeTimeoutMs, ...tls, ...http }, handler)
  server.maxConnections = limits.maxConnections
  makeRoom(server, limits.maxConnections)
  return server
}

/** P5: whoever holds connections and sends nothing on them must not shut out a new caller. */
function makeRoom(server: Server, maxConnections: number): void {
  const full = Math.ceil(maxConnections * FULL_RATIO)
  let open = 0
  server.on('connection', (socket: Socket) => {
    open += 1
    socket.once('close', () => {
      open -= 1
    })
    if (open >= full) server.closeIdleConnections()
  })
  // Connections that were busy when the last one came may be idle by now.
  server.on('drop', () => server.closeIdleConnections())
}
