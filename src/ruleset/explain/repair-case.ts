// Owns the case of a denied exchange, and copies of it in which one thing is different.
// Must not know what has to be different.
import { asVerified, type Subject } from '../../subjects/subject.ts'
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { Denial } from '../decision.ts'
import type { Rule, Ruleset, Service } from '../ruleset.ts'

/** One thing that would have to be different. */
export interface Change {
  /** A sentence without its full stop. */
  readonly what: string
  /** The part of the rules that it is about, as places.ts finds it; undefined where it is no part of them. */
  readonly at: string | undefined
}

/** A denied exchange, and the rules that denied it. */
export interface DeniedCase {
  readonly ruleset: Ruleset
  readonly order: TailorOrder
}

/** A change, and the exchange after it; undefined where nobody can know how it would go on. */
export interface Repair {
  readonly change: Change
  readonly after: DeniedCase | undefined
}

/** A case that came as far as its target. */
export interface Found extends DeniedCase {
  readonly denial: Denial
  readonly target: Service
  readonly rule: Rule | undefined
}

/** A change after which nothing can be said. */
export const stop = (what: string, at?: string): Repair => ({
  change: { what, at },
  after: undefined,
})

/** The order under changed rules: the caller is a part of them. */
export function inRuleset(order: TailorOrder, ruleset: Ruleset): DeniedCase {
  const service = ruleset.services.get(order.caller.service.name) ?? order.caller.service
  return { ruleset, order: { ...order, caller: { ...order.caller, service } } }
}

/** The order with a subject token that brings more scopes, or without `may_act`. */
export function withSubject(
  order: TailorOrder,
  change: { readonly scopes?: ReadonlySet<string>; readonly mayAct?: undefined },
): TailorOrder {
  const { mayAct, ...rest } = order.subject
  const kept = 'mayAct' in change || mayAct === undefined ? {} : { mayAct }
  const scopes = change.scopes ?? rest.scopes
  return { ...order, subject: asVerified<Subject>({ ...rest, ...kept, scopes }) }
}
