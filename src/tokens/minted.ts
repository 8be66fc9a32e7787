// Owns what goes into a token and what comes out: the order, the claims (RFC 9068 §2.2, RFC 8693 §4), the result.
// Must not build or sign them.
import type { Allow, Facts } from '../ruleset/decision.ts'
import type { Act, Actor, Subject } from '../subjects/subject.ts'

/** All that a token is made of. */
export interface MintOrder {
  readonly decision: Allow
  readonly subject: Subject
  readonly actor: Actor | undefined
  readonly caller: Facts['caller']
  /** This deployment's issuer URL. */
  readonly issuer: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly jti: string
  /** What the claim `ruleset` says; undefined where tokens do not carry it. */
  readonly rulesetHash: string | undefined
}

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
  /** Renamed, constant and computed claims. */
  ctx?: Readonly<Record<string, unknown>>
  /** Tokens for the next hops, by the name of the service within this one's namespace, else its full name. */
  embedded?: Readonly<Record<string, string>>
  /** Hash of the rules that decided. */
  ruleset?: string
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
