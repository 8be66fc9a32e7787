// Owns P1 and P2 at the mint: whatever the rules and the decision said, a token that would widen is not signed.
// Must not trust decide.ts or claims.ts; it derives every bound anew from the subject and the target.
import { isJustified } from '../ruleset/justify.ts'
import type { Act } from '../subjects/subject.ts'
import type { IssuedClaims, MintOrder } from './minted.ts'

declare const attenuated: unique symbol
/** Claims that passed {@link attenuate}: the only ones a signer takes. */
export type AttenuatedClaims = IssuedClaims & { readonly [attenuated]: true }

/** The registered and own claims; a target's list can never name them. */
export const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  'iss',
  'sub',
  'aud',
  'exp',
  'nbf',
  'iat',
  'jti',
  'act',
  'may_act',
  'cnf',
  'client_id',
  'azp',
  'chain',
  'embedded',
  'ctx',
  'ruleset',
  'scope',
  'scp',
  'permission',
  'typ',
  'sid',
  'nonce',
  'at_hash',
  'c_hash',
  'events',
  'txn',
  'authorization_details',
  '__proto__',
  'constructor',
  'prototype',
])

/** Thrown where a token would break a promise: a bug in this service, never a caller's fault. */
export class AttenuationError extends Error {}

/**
 * Checks claims against the subject, the actor, the caller and the target.
 * Gives the same object, branded; throws {@link AttenuationError} where it would widen anything.
 */
export function attenuate(claims: IssuedClaims, order: MintOrder): AttenuatedClaims {
  const { subject, actor, decision, caller } = order
  const { target, rule } = decision
  const nowSeconds = Math.floor(order.now / 1000)

  holds(target.rules.get(`${rule.from}|${subject.issuer}`) === rule, 'rule')
  holds(claims.iss === order.issuer, 'iss')
  holds(claims.sub === subject.qualifiedSub, 'sub')
  holds(claims.aud === target.audience, 'aud')
  holds(claims.client_id === caller.id, 'client_id')
  holds(!rule.forward, 'a forwarded token is minted')
  holds(claims.ruleset === order.rulesetHash, 'ruleset')
  holds(claims.exp > nowSeconds && claims.iat === nowSeconds, 'iat')
  holds(claims.exp <= subject.exp, 'exp against the subject token')
  holds(actor === undefined || claims.exp <= actor.exp, 'exp against the actor token')
  holds(claims.exp <= nowSeconds + target.lifetimeSeconds, 'exp against the target')
  checkScopes(claims.scope, order)
  checkClaims(claims, order)
  checkCtx(claims.ctx, order)
  checkEmbedded(claims.embedded, order)
  checkDelegation(claims, order)
  return claims as AttenuatedClaims
}

function holds(condition: boolean, what: string): void {
  if (!condition) throw new AttenuationError(`a token would break its bounds: ${what}`)
}

/** Each scope is the target's and is justified by what the subject token brings. */
function checkScopes(scope: string, { decision, subject }: MintOrder): void {
  const scopes = scope.split(' ')
  for (const name of scopes) {
    const justification = decision.rule.scopes.get(name)
    holds(justification !== undefined && decision.target.scopes.has(name), `scope ${name}`)
    const justified = justification !== undefined && isJustified(justification, subject.scopes)
    holds(justified, `scope ${name}`)
  }
  holds(new Set(scopes).size === scopes.length, 'scope repeated')
}

const OWN_CLAIMS = new Set([
  'iss',
  'sub',
  'aud',
  'client_id',
  'scope',
  'iat',
  'exp',
  'jti',
  'act',
  'chain',
  'ctx',
  'embedded',
  'ruleset',
])

/** Nothing but our own claims and what the target lists, each as the subject token has it. */
function checkClaims(claims: IssuedClaims, { decision, subject }: MintOrder): void {
  for (const name of Object.keys(claims)) {
    if (OWN_CLAIMS.has(name)) continue
    holds(decision.target.claims.includes(name) && !RESERVED_CLAIMS.has(name), `claim ${name}`)
    holds(claims[name] === subject.claims[name], `claim ${name} changed`)
  }
}

/** Only members that the target declares; what is renamed or constant is exactly that. */
function checkCtx(ctx: IssuedClaims['ctx'], { decision, subject }: MintOrder): void {
  for (const [name, value] of Object.entries(ctx ?? {})) {
    const entry = decision.target.ctx.get(name)
    holds(entry !== undefined, `ctx.${name}`)
    if (entry?.kind === 'value') holds(value === entry.value, `ctx.${name} changed`)
    if (entry?.kind === 'claim') {
      holds(value === ownClaim(subject, entry.claim), `ctx.${name} changed`)
    }
  }
}

/** Each embedded token went through here itself, with this one as its subject; only the rule's may be inside. */
function checkEmbedded(embedded: IssuedClaims['embedded'], { decision }: MintOrder): void {
  const members = new Set(decision.rule.embed.map(({ member }) => member))
  for (const member of Object.keys(embedded ?? {})) {
    holds(members.has(member), `embedded ${member}`)
  }
}

const ownClaim = ({ claims }: MintOrder['subject'], name: string): unknown =>
  Object.hasOwn(claims, name) ? claims[name] : undefined

/** A token that carries `act` never leaves without it, and the caller goes outermost (P2). */
function checkDelegation(claims: IssuedClaims, order: MintOrder): void {
  const { subject, actor, caller, decision } = order
  if (decision.rule.act === 'impersonate') {
    holds(
      subject.act === undefined && subject.mayAct === undefined && actor === undefined,
      'impersonation of a delegated subject',
    )
    holds(claims.act === undefined && claims.chain === undefined, 'act in an impersonation')
    return
  }
  holds(claims.act?.sub === caller.id && claims.act.iss === caller.iss, 'act.sub')
  const inner = claims.act?.act
  const prior = actor === undefined ? inner : inner?.act
  holds(
    actor === undefined || (inner?.sub === actor.sub && inner.iss === actor.iss),
    'act of the actor',
  )
  holds(sameAct(prior, subject.act), 'prior act')
  const { chain } = claims
  holds(chain?.length === subject.chain.length + 1 && chain.at(-1) === caller.id, 'chain')
  holds(
    subject.chain.every((caller, index) => chain?.[index] === caller),
    'prior chain',
  )
}

function sameAct(one: Act | undefined, other: Act | undefined): boolean {
  let [a, b] = [one, other]
  while (a !== undefined && b !== undefined) {
    if (a.sub !== b.sub || a.iss !== b.iss) return false
    ;[a, b] = [a.act, b.act]
  }
  return a === b
}
