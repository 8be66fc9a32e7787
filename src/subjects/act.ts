// Owns the delegation claims of a token that is handed in: `act`, `may_act` (RFC 8693 §4.1, §4.4) and our `chain`. Pure.
// Must not decide who may act.
import { type Claims, isPlainText } from '../jwt/claims.ts'
import { fail, ok, type Result } from '../oauth/reasons.ts'
import { envoyAudience } from '../ruleset/names.ts'
import type { Act, MayAct, Subject } from './subject.ts'

/** Longer than any call graph is deep; the exchange adds one level at a time. */
export const MAX_ACT_DEPTH = 10
/** Half of what a minted token may measure. */
export const MAX_ACT_BYTES = 4096
const MAX_CHAIN = 16
const MAY_ACT_MEMBERS: ReadonlySet<string> = new Set(['iss', 'sub'])

/** Whose token it is that carries the claims. */
export interface ActOrigin {
  /** `iss` of the token. */
  readonly iss: string
  /** Our own issuer URL; levels of our own tokens are kept as they are. */
  readonly selfIss: string
}

/** What a token says of who acts for its subject. */
type Delegation = Pick<Subject, 'chain'> & { readonly act?: Act; readonly mayAct?: MayAct }

/** P2: what a token says of its actors is read from the token, whatever the request looks like. */
export function readDelegation(claims: Claims, origin: ActOrigin): Result<Delegation> {
  const { act: actClaim, may_act: mayActClaim, chain: chainClaim } = claims
  const act = actClaim === undefined ? undefined : parseAct(actClaim, origin)
  if (act?.ok === false) return act
  const mayAct = mayActClaim === undefined ? undefined : parseMayAct(mayActClaim)
  if (mayAct?.ok === false) return mayAct
  // Another issuer's `chain` is only a claim of that name.
  const chain = parseChain(origin.iss === origin.selfIss ? chainClaim : undefined)
  if (!chain.ok) return chain
  return ok({
    chain: chain.value,
    ...(act === undefined ? {} : { act: act.value }),
    ...(mayAct === undefined ? {} : { mayAct: mayAct.value }),
  })
}

/** What a reader takes an issuer for: without scheme, letter case and a slash at the end. */
const issuerForm = (iss: string): string => envoyAudience(iss.toLowerCase())

/**
 * Reads an `act` claim, keeping `sub` and `iss` of each level; `exp`, `aud` and the like mean nothing
 * there. In another issuer's token each level gets that issuer's `iss` where it has none, and no level
 * may name ours, however it is spelt: only we say whom we authenticated (P2). Other issuers may be named:
 * whose token it is vouches for its chain, and no inner level authorises anybody (TE-20).
 * Fails with `subject_token_act_malformed` or `subject_token_act_too_deep` (levels or bytes).
 */
export function parseAct(value: unknown, origin: ActOrigin): Result<Act> {
  const isForeign = origin.iss !== origin.selfIss
  const levels: { sub: string; iss?: string }[] = []
  for (let level = value; level !== undefined; level = level.act) {
    if (levels.length === MAX_ACT_DEPTH) {
      return fail('subject_token_act_too_deep', `more than ${MAX_ACT_DEPTH} levels`)
    }
    if (!isObject(level)) return fail('subject_token_act_malformed', 'a level is no object')
    const named = parseParty(level)
    if (named === undefined) {
      return fail('subject_token_act_malformed', 'sub or iss of a level is no plain text')
    }
    if (isForeign && namesUs(named.iss, origin)) {
      return fail('subject_token_act_malformed', "a level of another issuer's token names ours")
    }
    levels.push(isForeign ? { sub: named.sub, iss: named.iss ?? origin.iss } : named)
  }
  const act = levels.reduceRight<Act | undefined>(
    (inner, level) => (inner === undefined ? level : { ...level, act: inner }),
    undefined,
  )
  if (act === undefined) return fail('subject_token_act_malformed', 'there is no level')
  if (Buffer.byteLength(JSON.stringify(act)) > MAX_ACT_BYTES) {
    return fail('subject_token_act_too_deep', `more than ${MAX_ACT_BYTES} bytes`)
  }
  return ok(act)
}

/** Whether a level of another issuer's token claims that we said it. */
const namesUs = (iss: string | undefined, origin: ActOrigin): boolean =>
  iss !== undefined && issuerForm(iss) === issuerForm(origin.selfIss)

/**
 * Reads a `may_act` claim: `sub`, and `iss` where it has one. Any other member refuses the token: it may
 * restrict who acts in a way that we would not honour. Fails with `subject_token_may_act_malformed`.
 */
export function parseMayAct(value: unknown): Result<MayAct> {
  if (!isObject(value)) return fail('subject_token_may_act_malformed', 'it is no object')
  if (Object.keys(value).some((name) => !MAY_ACT_MEMBERS.has(name))) {
    return fail('subject_token_may_act_malformed', 'it has a member that is not known')
  }
  const named = parseParty(value)
  return named === undefined
    ? fail('subject_token_may_act_malformed', 'sub or iss is no plain text')
    : ok(named)
}

/** Reads `chain` of our own token: callers that we authenticated. Fails with `subject_token_claim_malformed`. */
export function parseChain(value: unknown): Result<readonly string[]> {
  if (value === undefined) return ok([])
  if (
    !Array.isArray(value) ||
    value.length > MAX_CHAIN ||
    !value.every((one) => isPlainText(one))
  ) {
    return fail('subject_token_claim_malformed', 'chain is no list of plain texts')
  }
  return ok(value)
}

function parseParty(members: Claims): { sub: string; iss?: string } | undefined {
  const { sub, iss } = members
  if (!isPlainText(sub)) return undefined
  if (iss === undefined) return { sub }
  return isPlainText(iss) ? { sub, iss } : undefined
}

const isObject = (value: unknown): value is Claims =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
