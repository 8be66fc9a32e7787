// Owns what is known of the calling workload: the evidence before, the client after authentication.
// Must not verify anything itself.
import type { ClientParameters } from '../oauth/request.ts'
import type { SpiffeId } from './spiffe-id.ts'

/** The ways to prove who is calling (docs/configuration.md, client_auth). */
export const CLIENT_AUTH_METHODS = [
  'xfcc',
  'mtls',
  'jwt_svid',
  'kubernetes',
  'private_key_jwt',
] as const
export type ClientAuthMethod = (typeof CLIENT_AUTH_METHODS)[number]

/** Everything a request shows about its sender; none of it is verified. */
export interface ClientEvidence {
  /** The listener's name; decides which methods count. */
  readonly listener: string
  /** The socket's remote address, IPv4-mapped IPv6 written as IPv4. */
  readonly peerAddress: string
  /** X-Forwarded-Client-Cert, one entry per header line as received. */
  readonly xfccLines: readonly string[]
  /** Authorization, one entry per header line as received. */
  readonly authorizationLines: readonly string[]
  /** DER of the client certificate of a TLS connection that this process ended and verified. */
  readonly peerCertificate?: Uint8Array
  readonly parameters: ClientParameters
}

/**
 * An authenticated caller. The first four methods give a workload, private_key_jwt the service that
 * registered the key; nothing after authentication depends on the method, except the audit.
 */
export interface Client {
  readonly identity:
    | { readonly kind: 'workload'; readonly spiffeId: SpiffeId }
    | { readonly kind: 'registered'; readonly service: string }
  /** client_id: the SPIFFE ID, or the full service name. */
  readonly id: string
  readonly method: ClientAuthMethod
  /** How the connection came in, for the audit: the address, and the XFCC identity beside an assertion. */
  readonly peer: string
}
