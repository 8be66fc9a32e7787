// Owns who may act for whom: actor tokens, impersonation and `may_act` (RFC 8693 §4.1, §4.4).
// Must not look at scopes or conditions.
import { type Course, deny, type Place } from './course.ts'
import type { Denial, Facts } from './decision.ts'

/** Actor tokens, `may_act` and impersonation; from what the tokens carry, not from what is asked (P2). */
export function checkDelegation(course: Course, at: Place): Denial | undefined {
  const { actor } = course.facts
  if (actor !== undefined) {
    const passed = at.rule.actors.has(actor.issuer)
    const detail = `actors ${passed ? 'lists' : 'does not list'} issuer ${actor.issuer}`
    const predicate = `${at.rule.id} actors`
    course.trace?.({ predicate, kind: 'actor', passed, detail, audited: false })
    if (!passed) return deny(course, 'actor_not_allowed', detail, at)
  }
  return checkImpersonation(course, at) ?? checkMayAct(course, at)
}

/** A token that says for whom somebody acts never leaves without it. */
function checkImpersonation(course: Course, at: Place): Denial | undefined {
  if (at.rule.act !== 'impersonate') return undefined
  const what = actingIn(course.facts)
  const detail = `impersonation with ${what ?? 'nobody in between'}`
  const predicate = `${at.rule.id} act`
  course.trace?.({ predicate, kind: 'act', passed: what === undefined, detail, audited: false })
  return what === undefined ? undefined : deny(course, 'act_impersonation_refused', detail, at)
}

function actingIn({ subject, actor }: Facts): string | undefined {
  if (actor !== undefined) return 'an actor token'
  if (subject.act !== undefined) return 'act'
  return subject.mayAct === undefined ? undefined : 'may_act'
}

/** `may_act` must name who acts: the actor token's subject, or without one the caller (RFC 8693 §4.4). */
function checkMayAct(course: Course, at: Place): Denial | undefined {
  const { subject, actor, caller, selfIss } = course.facts
  const { mayAct } = subject
  if (mayAct === undefined) return undefined
  // Without `iss` it names somebody of its own issuer, or the caller itself.
  const passed =
    actor === undefined
      ? mayAct.sub === caller.id && (mayAct.iss === undefined || mayAct.iss === selfIss)
      : mayAct.sub === actor.sub && (mayAct.iss ?? subject.iss) === actor.iss
  const who = actor === undefined ? 'the caller' : 'the actor token'
  const detail = `may_act ${passed ? 'names' : 'does not name'} ${who}`
  const predicate = `${at.rule.id} may_act`
  course.trace?.({ predicate, kind: 'may_act', passed, detail, audited: false })
  return passed ? undefined : deny(course, 'act_may_act_mismatch', detail, at)
}
