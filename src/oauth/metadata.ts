// Owns what this issuer publishes about itself: RFC 8414 metadata, and the OpenID document that
// istiod reads. Must not serve anything, nor name an endpoint that does not exist.
import type { ClientAuthMethod } from '../clients/client.ts'
import type { Algorithm, SigningAlgorithm } from '../jwt/algorithms.ts'
import { TOKEN_EXCHANGE_GRANT } from './names.ts'

/** What the documents are made of. */
export interface MetadataFacts {
  /** Exactly as in `iss` (MD-02). */
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly jwksUri: string
  /** Of all token listeners together. */
  readonly clientAuthMethods: readonly ClientAuthMethod[]
  /** Accepted on client assertions; needed where a method takes one (MD-05). */
  readonly clientAssertionAlgorithms: readonly Algorithm[]
  readonly signingAlgorithms: readonly SigningAlgorithm[]
}

/** A metadata document, ready for JSON. */
export type MetadataDocument = Readonly<Record<string, string | readonly string[]>>

/**
 * Registered names of our methods. XFCC is an X.509-SVID over TLS that the sidecar ends: the client
 * does the same as for `mtls`, so it is told the same (draft-ietf-oauth-spiffe-client-auth §4).
 * A projected service-account token travels as a jwt-bearer assertion, which is private_key_jwt.
 */
const AUTH_METHODS: Readonly<Record<ClientAuthMethod, readonly string[]>> = {
  xfcc: ['spiffe_x509'],
  mtls: ['spiffe_x509', 'tls_client_auth'],
  jwt_svid: ['spiffe_jwt'],
  kubernetes: ['private_key_jwt'],
  private_key_jwt: ['private_key_jwt'],
}

const TAKES_ASSERTION: ReadonlySet<ClientAuthMethod> = new Set([
  'jwt_svid',
  'kubernetes',
  'private_key_jwt',
])

/**
 * The RFC 8414 document. Throws where it would be empty in a list whose default is wrong for us:
 * configuration has ruled that out.
 *
 * `response_types_supported` is left out: RFC 8414 §2 requires it and §3.2 forbids empty lists, and
 * there is no authorization endpoint to have response types (erratum 7793).
 */
export function authorizationServerMetadata(facts: MetadataFacts): MetadataDocument {
  const methods = [...new Set(facts.clientAuthMethods.flatMap((method) => AUTH_METHODS[method]))]
  // MD-08: absent means client_secret_basic, which does not exist here.
  if (methods.length === 0) throw new Error('no client authentication method to publish')
  const takesAssertion = facts.clientAuthMethods.some((method) => TAKES_ASSERTION.has(method))
  if (takesAssertion && facts.clientAssertionAlgorithms.length === 0) {
    throw new Error('no client assertion algorithm to publish')
  }
  return {
    issuer: facts.issuer,
    token_endpoint: facts.tokenEndpoint,
    jwks_uri: facts.jwksUri,
    // MD-09: absent means authorization_code and implicit.
    grant_types_supported: [TOKEN_EXCHANGE_GRANT],
    token_endpoint_auth_methods_supported: methods.sort(),
    ...(takesAssertion
      ? {
          token_endpoint_auth_signing_alg_values_supported: [
            ...facts.clientAssertionAlgorithms,
          ].sort(),
        }
      : {}),
  }
}

/**
 * The OpenID Connect Discovery document: istiod reads `jwks_uri` from it where a
 * RequestAuthentication gives none (MD-10), and libraries for resource servers read which algorithms
 * to expect. We issue no ID tokens; like Kubernetes, we say here how our tokens are signed.
 */
export function openidConfiguration(facts: MetadataFacts): MetadataDocument {
  return {
    ...authorizationServerMetadata(facts),
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...facts.signingAlgorithms].sort(),
  }
}

/** Where each document stands on this issuer's host; several, where readers build paths differently. */
export interface MetadataPaths {
  readonly authorizationServer: readonly string[]
  readonly openidConfiguration: readonly string[]
  readonly jwks: readonly string[]
}

const WELL_KNOWN = '/.well-known/'

/**
 * Paths for an issuer URL. RFC 8414 §3.1 puts the well-known part before the issuer's path (MD-01),
 * OpenID Connect Discovery §4 after it; a proxy may cut the issuer's path, so the root has all, too.
 */
export function metadataPaths(issuer: string): MetadataPaths {
  const { pathname } = new URL(issuer)
  const path = pathname.endsWith('/') ? pathname.slice(0, -1) : pathname
  const inFront = (name: string) => `${WELL_KNOWN}${name}${path}`
  const behind = (name: string) => `${path}${WELL_KNOWN}${name}`
  const root = (name: string) => `${WELL_KNOWN}${name}`
  const unique = (...paths: string[]) => [...new Set(paths)]
  const server = 'oauth-authorization-server'
  const openid = 'openid-configuration'
  return {
    authorizationServer: unique(inFront(server), root(server)),
    openidConfiguration: unique(behind(openid), inFront(openid), root(openid)),
    jwks: unique(behind('jwks.json'), root('jwks.json')),
  }
}
