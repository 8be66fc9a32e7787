// Owns the registered names of the protocols spoken here. Must not hold logic.

/** RFC 8693 §2.1. */
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** RFC 8693 §3: the token types that are understood, by our short name. */
export const TOKEN_TYPES = {
  access_token: 'urn:ietf:params:oauth:token-type:access_token',
  id_token: 'urn:ietf:params:oauth:token-type:id_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const

/** Short name of a token type. */
export type TokenType = keyof typeof TOKEN_TYPES

/** RFC 7523 §2.2. */
export const JWT_BEARER_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** draft-ietf-oauth-spiffe-client-auth. */
export const JWT_SPIFFE_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'

/** The response header that carries the decision id on every answer of a token listener. */
export const DECISION_ID_HEADER = 'mesh-sts-decision-id'
