// Owns the verification of subject and actor tokens, in reading order; the only maker of Subject and Actor.
// Must not decide what a verified token may be exchanged for.
import {
  audiencesOf,
  checkTimes,
  checkTyp,
  MAX_IDENTIFIER_CHARACTERS,
  optionalText,
  ownClaim,
  requiredText,
  TYP_ABSENT,
} from '../jwt/claims.ts'
import { type JwtFailure, parseCompactJwt, type UnverifiedJwt } from '../jwt/compact.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import type { TokenType } from '../oauth/names.ts'
import { type Failure, fail, ok, type Result } from '../oauth/reasons.ts'
import { readDelegation } from './act.ts'
import { mayPresent, type Presenter } from './presenter.ts'
import { scopesOf } from './scopes-from.ts'
import { type Actor, asVerified, type Subject, WORKLOAD } from './subject.ts'
import { MAX_JTI_CHARACTERS, type TrustedIssuer } from './trusted-issuer.ts'
import { createWorkloadTokens, type WorkloadProofs } from './workload-token.ts'

export interface TokenVerifierOptions {
  /** This service as an issuer (trusted-issuer.ts `ownIssuer`). */
  readonly self: TrustedIssuer
  /** Everybody else; names and `iss` values are distinct. */
  readonly issuers: readonly TrustedIssuer[]
  /** How workloads prove who they are; none of their own tokens is accepted where there is nothing. */
  readonly workloads: WorkloadProofs
  readonly signatures: SignatureVerifier
  /** Allowed on `nbf` and `iat` for clocks that run ahead; never on `exp`. */
  readonly clockSkewSeconds: number
}

/** The ports of exchange.ts. `now` is in milliseconds since the epoch. */
export interface TokenVerifier {
  /** Fails with `subject_token_*`; `subject_token_issuer_unavailable` is an outage with retryAfterSeconds. */
  verifySubject(
    token: string,
    type: TokenType,
    presenter: Presenter,
    now: number,
  ): Promise<Result<Subject>>
  /** Fails with `actor_token_*`; a token that is itself delegated is `actor_token_delegated`. */
  verifyActor(
    token: string,
    type: TokenType,
    presenter: Presenter,
    now: number,
  ): Promise<Result<Actor>>
}

type Role = 'subject_token' | 'actor_token'

/** What subject and actor tokens have in common once verified. */
interface VerifiedToken {
  readonly issuer: TrustedIssuer
  readonly jwt: UnverifiedJwt
  readonly sub: string
  readonly audiences: readonly string[]
  readonly exp: number
  readonly jti: string | undefined
}

/** OpenID Connect sets no `typ` for ID tokens, most write JWT; an access token's type never passes. */
const ID_TOKEN_TYP = ['JWT', TYP_ABSENT] as const

/** Creates the verifier. Throws where two issuers share a name or an `iss`: then a token's issuer is not certain. */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { workloads } = options
  const all = [options.self, ...options.issuers]
  const issuers = new Map(all.map((issuer) => [issuer.iss, issuer]))
  const names = new Set([WORKLOAD, ...all.map((issuer) => issuer.name)])
  if (issuers.size < all.length || names.size <= all.length) {
    throw new Error('two trusted issuers share a name or an iss')
  }
  if (workloads.kubernetes !== undefined && issuers.has(workloads.kubernetes.issuer)) {
    throw new Error("the cluster's issuer is a trusted issuer too")
  }
  const workloadTokenOf = createWorkloadTokens(workloads, (iss) => issuers.has(iss))

  async function verify(
    role: Role,
    jwt: UnverifiedJwt,
    type: TokenType,
    presenter: Presenter,
    now: number,
  ): Promise<Result<VerifiedToken>> {
    // The issuer comes from a fixed map, before anything is asked of a network (RFC 8725 §3.8).
    const iss = requiredText(jwt.claims, 'iss')
    if (!iss.ok) return refuse(role, iss)
    const issuer = issuers.get(iss.value)
    if (issuer === undefined)
      return fail(`${role}_issuer_not_trusted`, `iss ${printable(iss.value)}`)

    const kind = checkKind(role, issuer, type, jwt)
    if (!kind.ok) return kind
    const signature = await options.signatures.verify(jwt, issuer.keys, issuer.algorithms)
    if (!signature.ok) return refuse(role, signature)
    // OpenID Connect Back-Channel Logout §2.4: with `typ` JWT only `events` tells a logout token apart.
    if (type === 'id_token' && ownClaim(jwt.claims, 'events') !== undefined) {
      return fail(`${role}_claim_malformed`, 'an ID token has no events')
    }
    return validate(role, issuer, jwt, presenter, now)
  }

  function validate(
    role: Role,
    issuer: TrustedIssuer,
    jwt: UnverifiedJwt,
    presenter: Presenter,
    now: number,
  ): Result<VerifiedToken> {
    const { claims } = jwt
    const times = checkTimes(claims, { now, skewSeconds: options.clockSkewSeconds })
    if (!times.ok) return refuse(role, times)
    const audiences = audiencesOf(claims)
    if (!audiences.ok) return refuse(role, audiences)
    if (!mayPresent(issuer, audiences.value, presenter)) {
      return fail(
        `${role}_presenter_not_allowed`,
        `${presenter.name} with a token of ${issuer.name}`,
      )
    }
    // Bound to a key whose possession nobody proved here (RFC 7800 §3.1).
    if (claims.cnf !== undefined) return fail(`${role}_confirmation_unsupported`)
    const sub = requiredText(claims, 'sub', maxSubCharacters(issuer))
    if (!sub.ok) return refuse(role, sub)
    const jti = optionalText(claims, 'jti', MAX_JTI_CHARACTERS)
    if (!jti.ok) return refuse(role, jti)
    return ok({
      issuer,
      jwt,
      sub: sub.value,
      audiences: audiences.value,
      exp: times.value.exp,
      jti: jti.value,
    })
  }

  return {
    async verifySubject(token, type, presenter, now) {
      const parsed = parseCompactJwt(token)
      if (!parsed.ok) return refuse('subject_token', parsed)
      const jwt = parsed.value
      const verifyWorkload = workloadTokenOf(jwt.claims)
      if (verifyWorkload !== undefined) return verifyWorkload(jwt, type, presenter, now)
      const verified = await verify('subject_token', jwt, type, presenter, now)
      return verified.ok ? subjectOf(verified.value, type, options.self.iss) : verified
    },
    async verifyActor(token, type, presenter, now) {
      const parsed = parseCompactJwt(token)
      if (!parsed.ok) return refuse('actor_token', parsed)
      const jwt = parsed.value
      if (workloadTokenOf(jwt.claims) !== undefined) {
        return fail('actor_token_issuer_not_trusted', 'the caller itself is always an actor')
      }
      const verified = await verify('actor_token', jwt, type, presenter, now)
      return verified.ok ? actorOf(verified.value) : verified
    },
  }
}

/** The type that the request says against what the issuer issues and what the header says. */
function checkKind(
  role: Role,
  issuer: TrustedIssuer,
  type: TokenType,
  jwt: UnverifiedJwt,
): Result<void> {
  if (!acceptsType(issuer, type))
    return fail(`${role}_type_not_accepted`, `${issuer.name}: ${type}`)
  const typ = checkTyp(jwt.header, type === 'id_token' ? ID_TOKEN_TYP : issuer.accessTokenTyp)
  return typ.ok ? ok(undefined) : refuse(role, typ)
}

/** RFC 8693 §3: `jwt` names the format only, so it is another name for an access token here. */
const acceptsType = (issuer: TrustedIssuer, type: TokenType): boolean =>
  issuer.tokenTypes.has(type) || (type === 'jwt' && issuer.tokenTypes.has('access_token'))

/** With its prefix a subject is not longer than what we accept in a token of our own. */
const maxSubCharacters = ({ subjectPrefix }: TrustedIssuer): number =>
  MAX_IDENTIFIER_CHARACTERS - (subjectPrefix === undefined ? 0 : subjectPrefix.length + 1)

function refuse(role: Role, { problem, detail, retryAfterSeconds }: JwtFailure): Failure {
  if (problem === 'lifetime_too_long' || problem === 'audience_not_accepted') {
    throw new Error(`${problem} is for assertions; no check of this file asks for it`)
  }
  return fail(`${role}_${problem}`, detail, retryAfterSeconds)
}

/** Outside text for a log: short, printable ASCII. */
const printable = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')

function subjectOf(
  verified: VerifiedToken,
  tokenType: TokenType,
  selfIss: string,
): Result<Subject> {
  const { issuer, jwt, sub } = verified
  const scopes = scopesOf(jwt.claims, issuer.scopesFrom)
  if (!scopes.ok) return refuse('subject_token', scopes)
  const delegation = readDelegation(jwt.claims, { iss: issuer.iss, selfIss })
  if (!delegation.ok) return delegation
  return ok(
    asVerified<Subject>({
      issuer: issuer.name,
      iss: issuer.iss,
      sub,
      qualifiedSub: issuer.subjectPrefix === undefined ? sub : `${issuer.subjectPrefix}:${sub}`,
      tokenType,
      audiences: verified.audiences,
      scopes: scopes.value,
      exp: verified.exp,
      claims: jwt.claims,
      ...delegation.value,
      ...(verified.jti === undefined ? {} : { jti: verified.jti }),
      tokenHash: jwt.hash,
    }),
  )
}

function actorOf({ issuer, jwt, sub, exp, jti }: VerifiedToken): Result<Actor> {
  if (jwt.claims.act !== undefined || jwt.claims.may_act !== undefined) {
    return fail('actor_token_delegated', 'it has act or may_act')
  }
  return ok(
    asVerified<Actor>({
      issuer: issuer.name,
      iss: issuer.iss,
      sub,
      exp,
      ...(jti === undefined ? {} : { jti }),
      tokenHash: jwt.hash,
    }),
  )
}
