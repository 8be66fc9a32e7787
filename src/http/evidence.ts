// Owns what a raw HTTP request shows about its sender: header lines as received, peer, certificate.
// Must not verify any of it, nor read the body.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ClientEvidence } from '../clients/client.ts'
import { fail, ok, type Result } from '../oauth/reasons.ts'

/**
 * Envoy's own default is 100, so nothing that a sidecar lets through has more. Node drops lines past
 * the thousandth in silence, which could hide a second identity header: so it stays far below that.
 */
export const MAX_HEADER_LINES = 128

/** Identity headers, one entry per line as received: Node's merged `headers` would hide repeats. */
export interface IdentityHeaders {
  readonly xfccLines: readonly string[]
  readonly authorizationLines: readonly string[]
}

const NONE: readonly string[] = []

/**
 * Reads the identity headers from the raw lines.
 * Fails with `request_header_too_large` (too many lines) or `request_unreadable` (not
 * exactly one Host, RFC 9112 §3.2; HTTP/1.0 may have none).
 */
export function readIdentityHeaders(request: IncomingMessage): Result<IdentityHeaders> {
  const { rawHeaders } = request
  if (rawHeaders.length > 2 * MAX_HEADER_LINES) return fail('request_header_too_large')
  const hosts = linesOf(rawHeaders, 'host').length
  const hostless = hosts === 0 && request.httpVersion === '1.0'
  if (hosts !== 1 && !hostless) return fail('request_unreadable')
  return ok({
    xfccLines: linesOf(rawHeaders, 'x-forwarded-client-cert'),
    authorizationLines: linesOf(rawHeaders, 'authorization'),
  })
}

/** Values of every line of a header; `rawHeaders` alternates names and values. */
function linesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  let values: string[] | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const line = rawHeaders[i] ?? ''
    // Lengths first: nearly every line is another header, and needs no lower-casing.
    if (line.length !== name.length || line.toLowerCase() !== name) continue
    values ??= []
    values.push(rawHeaders[i + 1] ?? '')
  }
  return values ?? NONE
}

/** All the evidence of a request but its form parameters. */
export function evidenceOf(
  listener: string,
  request: IncomingMessage,
  headers: IdentityHeaders,
): Omit<ClientEvidence, 'parameters'> {
  const { xfccLines, authorizationLines } = headers
  const peerAddress = peerAddressOf(request.socket)
  const peerCertificate = verifiedCertificateOf(request.socket)
  return peerCertificate === undefined
    ? { listener, peerAddress, xfccLines, authorizationLines }
    : { listener, peerAddress, xfccLines, authorizationLines, peerCertificate }
}

/** The socket's remote address, IPv4-mapped IPv6 as IPv4; `unknown` once the socket is gone. */
export function peerAddressOf(socket: Socket): string {
  const address = socket.remoteAddress ?? 'unknown'
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** What TLS said of a socket at its first handshake: a connection is one identity for its whole life. */
const certificates = new WeakMap<Socket, Uint8Array | typeof NO_CERTIFICATE>()
const NO_CERTIFICATE = Symbol('no verified certificate')

function verifiedCertificateOf(socket: Socket): Uint8Array | undefined {
  if (!isTls(socket)) return undefined
  const known = certificates.get(socket)
  if (known !== undefined) return known === NO_CERTIFICATE ? undefined : known
  // `authorized` is false without a certificate, and for one that does not chain to the bundle.
  const certificate = socket.authorized ? socket.getPeerX509Certificate()?.raw : undefined
  certificates.set(socket, certificate ?? NO_CERTIFICATE)
  return certificate
}

interface VerifiedTlsSocket extends Socket {
  readonly authorized: boolean
  getPeerX509Certificate(): { readonly raw: Buffer } | undefined
}

const isTls = (socket: Socket): socket is VerifiedTlsSocket =>
  'encrypted' in socket && socket.encrypted === true
