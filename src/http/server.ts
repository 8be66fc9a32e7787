// Owns how a listening HTTP server is set up: its limits, its timeouts, TLS.
// Must not know routes or answers.
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
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
}

export const SERVER_LIMITS: ServerLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  // Longer than the hour for which Envoy keeps an idle upstream connection: if we closed first, a
  // request sent in that moment would end as 503 in the sidecar.
  keepAliveTimeoutMs: 65 * 60_000,
  checkEveryMs: 1_000,
  // XFCC with a chain of certificates in PEM, and room beside it; Node's own default.
  maxHeaderBytes: 16 * 1024,
  // A sidecar pools its connections; more than this many is not a mesh, it is a leak or an attack.
  maxConnections: 4096,
}

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
      : createHttpsServer({ ...tls, ...http }, handler)
  server.maxConnections = limits.maxConnections
  return server
}
