// Owns the shape of an issued token's claims (RFC 9068 §2.2, RFC 8693 §4). Must not build or sign them.
import type { Act } from '../subjects/subject.ts'

/** The claims of a token that leaves this service. */
export interface IssuedClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string
  readonly client_id: string
  readonly scope: string
  readonly iat: number
  readonly exp: number
  readonly jti: string
  act?: Act
  chain?: readonly string[]
  /** Subject claims that the target lists. */
  readonly [claim: string]: unknown
}

/** A signed token and what the audit and the response say of it. */
export interface MintedToken {
  readonly token: string
  readonly kid: string
  readonly claims: IssuedClaims
  /** Names of the subject claims that passed. */
  readonly passedClaims: readonly string[]
}
