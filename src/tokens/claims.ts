// Owns how the claims of a token are built from a decision (RFC 9068 §2.2, RFC 8693 §4).
// Must not decide what is allowed; attenuation.ts checks the result again before anything is signed.
import { fail, ok, type Result } from '../oauth/reasons.ts'
import type { Act, Actor, Subject } from '../subjects/subject.ts'
import type { IssuedClaims, MintOrder } from './minted.ts'

/** Levels of `act` in a token, the caller's included; what is deeper is refused, never cut (P2). */
export const MAX_ACT_DEPTH = 10

/** Claims as built, and the names of the subject claims among them. */
export interface BuiltClaims {
  readonly claims: IssuedClaims
  readonly passedClaims: readonly string[]
}

/**
 * Builds the claims of an allowed exchange. Fails with `mint_subject_expiring` where less than a
 * second of validity is left, `act_chain_too_deep`, or `mint_claim_malformed` where a claim that would
 * pass holds a control character (Envoy answers 503 to every request with such a token) or a number that
 * would be another one in our token.
 */
export function buildClaims(order: MintOrder): Result<BuiltClaims> {
  const { decision, subject, actor, caller } = order
  const nowSeconds = Math.floor(order.now / 1000)
  const exp = expiryOf(nowSeconds + decision.target.lifetimeSeconds, subject, actor)
  if (exp <= nowSeconds) return fail('mint_subject_expiring')

  const delegation = delegationOf(order)
  if (delegation.act !== undefined && depthOf(delegation.act) > MAX_ACT_DEPTH) {
    return fail('act_chain_too_deep')
  }
  const claims: Record<string, unknown> & IssuedClaims = {
    iss: order.issuer,
    sub: subject.qualifiedSub,
    aud: decision.target.audience,
    client_id: caller.id,
    scope: decision.scopes.join(' '),
    iat: nowSeconds,
    exp,
    jti: order.jti,
  }
  if (delegation.act !== undefined) claims.act = delegation.act
  if (delegation.chain !== undefined) claims.chain = delegation.chain
  if (order.rulesetHash !== undefined) claims.ruleset = order.rulesetHash

  const passed = passClaims(claims, order)
  if (!passed.ok) return passed
  const { ctx } = decision
  if (ctx !== undefined && Object.keys(ctx).length > 0) {
    if (!canPass(ctx)) return fail('mint_claim_malformed', 'ctx')
    claims.ctx = ctx
  }
  return ok({ claims, passedClaims: passed.value })
}

/** Adds the subject claims that the target lists; gives their names. */
function passClaims(
  claims: Record<string, unknown>,
  { decision, subject }: MintOrder,
): Result<readonly string[]> {
  const passedClaims: string[] = []
  for (const name of decision.target.claims) {
    const value = Object.hasOwn(subject.claims, name) ? subject.claims[name] : undefined
    // What is ours is never overwritten, even if a list named it.
    if (value === undefined || value === null || Object.hasOwn(claims, name)) continue
    if (!canPass(value)) return fail('mint_claim_malformed', name)
    claims[name] = value
    passedClaims.push(name)
  }
  return ok(passedClaims)
}

/** P1: no skew is added and no lifetime outlives what was handed in. */
function expiryOf(wanted: number, subject: Subject, actor: Actor | undefined): number {
  return Math.floor(Math.min(wanted, subject.exp, actor?.exp ?? Number.POSITIVE_INFINITY))
}

/**
 * The caller outermost, an actor token's subject directly inside it, then the prior `act` (P2).
 * `chain` names only callers that this service authenticated, first caller first.
 */
function delegationOf(order: MintOrder): { act?: Act; chain?: readonly string[] } {
  const { subject, actor, caller } = order
  if (order.decision.rule.act === 'impersonate') return {}
  const prior = subject.act === undefined ? {} : { act: subject.act }
  const inner = actor === undefined ? prior : { act: { iss: actor.iss, sub: actor.sub, ...prior } }
  const own = caller.iss === undefined ? { sub: caller.id } : { iss: caller.iss, sub: caller.id }
  return { act: { ...own, ...inner }, chain: [...subject.chain, caller.id] }
}

/** Levels of an `act` claim. */
export function depthOf(act: Act): number {
  let depth = 0
  for (let level: Act | undefined = act; level !== undefined; level = level.act) depth++
  return depth
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/
const MAX_CLAIM_DEPTH = 8

function canPass(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return !CONTROL.test(value)
  if (typeof value === 'number') return isExact(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth === MAX_CLAIM_DEPTH) return false
  return Object.entries(value).every(
    ([key, member]) => !CONTROL.test(key) && canPass(member, depth + 1),
  )
}

/**
 * RFC 7493 §2.2: beyond 2^53 two integers are read as one, and `1e400` as infinity, which JSON cannot write.
 * Such a number would leave as the id of somebody else.
 */
const isExact = (value: number): boolean =>
  Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
