// Owns what one exchange would give, before anything is signed: the decision, the claims, the embedded tokens.
// Must stay pure: a live exchange, a test, an explanation, a proof and a replay all come through here (P6).
import { type Failure, fail } from '../oauth/reasons.ts'
import { decide } from '../ruleset/decide.ts'
import type { Allow, DecideOptions, Decision, Facts } from '../ruleset/decision.ts'
import type { Embed, Ruleset } from '../ruleset/ruleset.ts'
import { type Actor, asVerified, SELF, type Subject } from '../subjects/subject.ts'
import { type BuiltClaims, buildClaims } from './claims.ts'
import type { IssuedClaims, MintOrder } from './minted.ts'

/** What an exchange starts from, once caller, subject and actor are verified. */
export interface TailorOrder {
  readonly caller: Facts['caller']
  readonly subject: Subject
  readonly actor: Actor | undefined
  readonly request: Facts['request']
  /** This deployment's issuer URL. */
  readonly issuer: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly newTokenId: () => string
  /** Whether tokens say which rules decided. */
  readonly rulesetClaim: boolean
}

/** What would be given: nothing, the subject token itself, or a token of ours with tokens inside. */
export type Tailored =
  | {
      readonly outcome: 'denied'
      readonly decision: Decision
      readonly failure: Failure
      /** The embedded token for whose sake all was denied. */
      readonly children: readonly TailoredChild[]
    }
  | { readonly outcome: 'forwarded'; readonly decision: Allow }
  | {
      readonly outcome: 'tailored'
      readonly decision: Allow
      readonly order: MintOrder
      readonly built: BuiltClaims
      readonly children: readonly TailoredChild[]
    }

/** A token that travels inside another, or why it does not. */
export interface TailoredChild {
  readonly embed: Embed
  readonly order: TailorOrder
  readonly tailored: Tailored
}

/**
 * Decides an exchange, builds the claims and, where the rule embeds, does the same for each next hop as
 * if that hop had asked with the parent as its subject token. A child that is denied is left out, unless
 * it is required: then all is denied with `embed_required_denied`.
 */
export function tailor(ruleset: Ruleset, order: TailorOrder, options?: DecideOptions): Tailored {
  const { caller, subject, actor, request, issuer, now } = order
  const facts: Facts = { caller, subject, actor, request, selfIss: issuer, now }
  const decision = decide(ruleset, facts, options)
  if (!decision.allow) {
    const failure = fail(decision.reason, decision.detail)
    return { outcome: 'denied', decision, failure, children: [] }
  }
  if (decision.rule.forward) return { outcome: 'forwarded', decision }

  const mintOrder: MintOrder = {
    decision,
    subject,
    actor,
    caller,
    issuer,
    now,
    jti: order.newTokenId(),
    rulesetHash: order.rulesetClaim ? ruleset.hash : undefined,
  }
  const built = buildClaims(mintOrder)
  if (!built.ok) return { outcome: 'denied', decision, failure: built, children: [] }
  const children: TailoredChild[] = []
  for (const embed of decision.rule.embed) {
    const childOrder = childOrderOf(order, decision, built.value.claims, embed)
    const tailored = tailor(ruleset, childOrder, options)
    const child = { embed, order: childOrder, tailored }
    if (tailored.outcome === 'denied' && embed.required) {
      const detail = `the required token for ${embed.to}: ${tailored.failure.reason}`
      const failure = fail('embed_required_denied', detail)
      return { outcome: 'denied', decision, failure, children: [child] }
    }
    children.push(child)
  }
  return { outcome: 'tailored', decision, order: mintOrder, built: built.value, children }
}

/** The next hop asks for the embedded token's target, with the parent token, for all that is justified. */
function childOrderOf(
  parent: TailorOrder,
  { target }: Allow,
  claims: IssuedClaims,
  embed: Embed,
): TailorOrder {
  const [id = ''] = target.identities
  return {
    ...parent,
    caller: { service: target, id, iss: undefined },
    subject: subjectOf(claims),
    actor: undefined,
    request: { audiences: [embed.to], resources: [], scopes: undefined },
  }
}

/** Our own token as the subject that it will be. Its hash is not known before its children are inside. */
export function subjectOf(claims: IssuedClaims): Subject {
  return asVerified<Subject>({
    issuer: SELF,
    iss: claims.iss,
    sub: claims.sub,
    qualifiedSub: claims.sub,
    tokenType: 'access_token',
    audiences: [claims.aud],
    scopes: new Set(claims.scope.split(' ')),
    exp: claims.exp,
    claims,
    chain: claims.chain ?? [],
    jti: claims.jti,
    tokenHash: '',
    ...(claims.act === undefined ? {} : { act: claims.act }),
  })
}
