// Owns what is configured about an issuer whose tokens are accepted. Must not read configuration nor verify anything.
import type { Algorithm } from '../jwt/algorithms.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { TokenType } from '../oauth/names.ts'
import type { ServiceName } from '../ruleset/ruleset.ts'
import type { ScopeSource } from './scopes-from.ts'
import { type IssuerName, SELF } from './subject.ts'

/** RFC 9068 §2.1: the `typ` of access tokens, unless an issuer is known to write another. */
export const ACCESS_TOKEN_TYP = 'at+jwt'

/** Identifiers of tokens in use are below 100 characters. */
export const MAX_JTI_CHARACTERS = 512

/** An issuer, and everything that its tokens are checked against. Empty lists accept nothing. */
export interface TrustedIssuer {
  readonly name: IssuerName
  /** Compared exactly with `iss`. */
  readonly iss: string
  readonly keys: KeySource
  readonly algorithms: readonly Algorithm[]
  readonly tokenTypes: ReadonlySet<TokenType>
  /** Accepted `typ` of its access tokens; may hold TYP_ABSENT (jwt/claims.ts). */
  readonly accessTokenTyp: readonly string[]
  /**
   * Audience of a token to the services that may present it; or `audience`: the service that the token
   * is for, as it is with our own tokens.
   */
  readonly presentedBy: ReadonlyMap<string, ReadonlySet<ServiceName>> | 'audience'
  /** What counts as a scope that its tokens bring. */
  readonly scopesFrom: readonly ScopeSource[]
  /** Put before `sub` so that subjects of two issuers never collide; undefined for our own tokens only. */
  readonly subjectPrefix: string | undefined
}

/** This service as an issuer: only `at+jwt`, presented by the service it was issued for, `sub` unchanged. */
export function ownIssuer(
  iss: string,
  keys: KeySource,
  algorithms: readonly Algorithm[],
): TrustedIssuer {
  return {
    name: SELF,
    iss,
    keys,
    algorithms,
    tokenTypes: new Set(['access_token', 'jwt']),
    accessTokenTyp: [ACCESS_TOKEN_TYP],
    presentedBy: 'audience',
    scopesFrom: [{ path: ['scope'], prefix: '' }],
    subjectPrefix: undefined,
  }
}
