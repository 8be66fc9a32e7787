// Owns what is known of a token after its verification: the subject, the actor, the delegation chain.
// Must not verify anything; only verify-token.ts may make these values.
import type { TokenType } from '../oauth/names.ts'

/** One level of an `act` claim (RFC 8693 §4.1); identity claims only. */
export interface Act {
  readonly sub: string
  readonly iss?: string
  readonly act?: Act
}

/** A `may_act` claim (RFC 8693 §4.4); members that are not known refuse the token. */
export interface MayAct {
  readonly sub: string
  readonly iss?: string
}

/** The name of a trusted issuer in the issuers file, or `self` for tokens of this service. */
export type IssuerName = string
/** Reserved issuer name: tokens that this service issued. */
export const SELF: IssuerName = 'self'
/** Reserved issuer name: a workload's own SVID or service-account token, for jobs without a user. */
export const WORKLOAD: IssuerName = 'workload'

declare const verified: unique symbol

/** A verified subject token. */
export interface Subject {
  readonly [verified]: true
  readonly issuer: IssuerName
  readonly iss: string
  /** `sub` as the token has it. */
  readonly sub: string
  /** `sub` as we write it: `<subject_prefix>:<sub>`, unchanged for our own tokens. */
  readonly qualifiedSub: string
  readonly tokenType: TokenType
  /** The authorization server identifier(s) and resources the token names; never empty. */
  readonly audiences: readonly string[]
  /** What counts as a scope that the token brings (`scopes_from`); empty where it brings none. */
  readonly scopes: ReadonlySet<string>
  /** Seconds since the epoch. */
  readonly exp: number
  /** All claims of the token, unfiltered; frozen. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly act?: Act
  readonly mayAct?: MayAct
  /** Callers that this service authenticated, first caller first; empty for other issuers' tokens. */
  readonly chain: readonly string[]
  readonly jti?: string
  /** SHA-256 of the token, hex. */
  readonly tokenHash: string
}

/** A verified actor token. One that carries `act` or `may_act` is refused. */
export interface Actor {
  readonly [verified]: true
  readonly issuer: IssuerName
  readonly iss: string
  readonly sub: string
  readonly exp: number
  readonly jti?: string
  readonly tokenHash: string
}

/** Marks a value as verified. Call it in verify-token.ts and in tests, nowhere else. */
export const asVerified = <T extends Subject | Actor>(value: Omit<T, typeof verified>): T =>
  value as T
