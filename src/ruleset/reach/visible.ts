// Owns what a token shows to whoever holds it, and which services let it in. Must not build tokens.
import type { Tailored } from '../../tokens/tailor.ts'
import { envoyAudience } from '../names.ts'
import type { Service } from '../ruleset.ts'

type Minted = Extract<Tailored, { outcome: 'tailored' }>

/** Subject claims that a token shows: those that pass, and those that its `ctx` is made of. */
export function shownBy(tailored: Minted): ReadonlySet<string> {
  return new Set([...tailored.built.passedClaims, ...readIntoCtx(tailored)])
}

/** A computed member may say anything about the claims that it reads. */
export function readIntoCtx({ decision, order }: Minted): readonly string[] {
  const { target, ctx } = decision
  const { claims } = order.subject
  const read: string[] = []
  for (const [name, entry] of target.ctx) {
    if (ctx === undefined || !Object.hasOwn(ctx, name)) continue
    if (entry.kind === 'claim') read.push(entry.claim)
    if (entry.kind === 'computed') read.push(...entry.expression.claims)
  }
  return read.filter((claim) => Object.hasOwn(claims, claim))
}

/** Audiences by which a service's sidecar lets tokens in, as Envoy compares them. */
export const acceptedBy = ({ audience, alsoAudiences }: Service): ReadonlySet<string> =>
  new Set([audience, ...alsoAudiences].map(envoyAudience))

/** Whether a service's sidecar lets a token with these audiences in, if it trusts the issuer. */
export function acceptsOneOf(service: Service, audiences: readonly string[]): boolean {
  const accepted = acceptedBy(service)
  return audiences.some((audience) => accepted.has(envoyAudience(audience)))
}
