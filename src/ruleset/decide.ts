// Owns the decision (P6): may this caller, with this subject token, obtain these scopes for this target?
// Must stay pure and total: no I/O, clock, randomness or logger; the default is deny and a deny always wins.
import type { Reason } from '../oauth/reasons.ts'
import { type Course, deny, type Place } from './course.ts'
import { computeCtx } from './ctx.ts'
import type { DecideOptions, Decision, Denial, Evaluate, Facts, Step } from './decision.ts'
import { checkDelegation } from './delegation.ts'
import { describeNeed, isJustified, listed, quoted, shown } from './justify.ts'
import { namesCaller, ruleFor } from './rule-for.ts'
import type { Condition, Deny, Justification, Rule, Ruleset, Service } from './ruleset.ts'

const LIVE: Evaluate = (expression, facts) => expression.evaluate(facts)

/**
 * Decides one exchange by direct look-up. The order of checks is the order in which an operator reads
 * them: target, consent of both sides, denies, delegation, condition, scopes, computed claims.
 */
export function decide(ruleset: Ruleset, facts: Facts, options: DecideOptions = {}): Decision {
  const { trace: tell, evaluate = LIVE } = options
  const trace = tell && ((step: Step) => tell(step, facts))
  const course: Course = { facts, trace, evaluate, wouldDeny: [] }
  const target = resolveTarget(ruleset, course)
  if ('allow' in target) return target
  const rule = checkConsent(course, target)
  if ('allow' in rule) return rule
  const at: Place = { target, rule }
  return (
    checkDenies(course, at) ??
    checkDelegation(course, at) ??
    checkCondition(course, at) ??
    (rule.forward ? forward(course, at) : grantScopes(course, at))
  )
}

/** All audiences and resources that are given must mean one service (design: one target, one aud). */
function resolveTarget(ruleset: Ruleset, course: Course): Service | Denial {
  const { request, caller } = course.facts
  let target: Service | undefined
  const refuse = (reason: Reason, detail: string): Denial => {
    course.trace?.({ predicate: 'target', kind: 'target', passed: false, detail, audited: false })
    return deny(course, reason, detail)
  }
  const several = (one: Service, other: Service) =>
    refuse('target_ambiguous', `${one.name} and ${other.name} are asked at once`)
  for (const audience of request.audiences) {
    const named =
      ruleset.targets.get(audience) ??
      ruleset.services.get(`${caller.service.namespace}/${audience}`)
    if (named === undefined) {
      return refuse('target_unknown', `no service has audience ${quoted(audience)}`)
    }
    if (target !== undefined && target !== named) return several(target, named)
    target = named
  }
  for (const resource of request.resources) {
    const named = ruleset.targets.get(resource)
    if (named === undefined || named.audience !== resource) {
      return refuse('target_unknown', `no service has resource ${quoted(resource)}`)
    }
    if (target !== undefined && target !== named) return several(target, named)
    target = named
  }
  if (target === undefined) {
    return refuse('target_missing', 'neither audience nor resource is given')
  }
  course.trace?.({
    predicate: `target ${target.name}`,
    kind: 'target',
    passed: true,
    detail: `${[...request.audiences, ...request.resources].map(quoted).join(' and ')} means ${target.name}`,
    audited: false,
  })
  return target
}

/** Both sides: the caller lists the target, the target has a rule for the caller and the issuer. */
function checkConsent(course: Course, target: Service): Rule | Denial {
  const { caller, subject } = course.facts
  const calls = caller.service.calls.has(target.name)
  course.trace?.({
    predicate: `${caller.service.name} calls ${target.name}`,
    kind: 'calls',
    passed: calls,
    detail: `${caller.service.name} ${calls ? 'lists' : 'does not list'} ${target.name} in calls`,
    audited: false,
  })
  if (!calls) {
    const detail = `${caller.service.name} does not list ${target.name} in calls`
    return deny(course, 'target_not_in_calls', detail, { target })
  }
  const rule = ruleFor(target, caller.service, subject.issuer)
  const denial = rule === undefined ? notAccepted(course, target) : undefined
  course.trace?.({
    predicate: rule?.id ?? `${target.name} accepts ${caller.service.name} [${subject.issuer}]`,
    kind: 'rule',
    passed: rule !== undefined,
    detail: denial?.detail ?? `${target.name} has this rule for ${caller.service.name}`,
    audited: false,
  })
  return rule ?? denial ?? notAccepted(course, target)
}

function notAccepted(course: Course, target: Service): Denial {
  const { caller, subject } = course.facts
  const { name, namespace } = caller.service
  let nearest: Rule | undefined
  for (const rule of target.rules.values()) {
    const isCallers = rule.from === name || rule.from === `${namespace}/*`
    // By id, so that the order in which rules are written changes nothing of what is told.
    if (isCallers && (nearest === undefined || rule.id < nearest.id)) nearest = rule
  }
  if (nearest !== undefined) {
    const detail = `${target.name} accepts ${name} with tokens of ${nearest.issuer}, not of ${subject.issuer}`
    return deny(course, 'target_issuer_not_accepted', detail, { target, rule: nearest })
  }
  return deny(course, 'target_not_accepted', `${target.name} has no rule for ${name}`, { target })
}

/** A deny wins over every rule; one whose condition is in error counts as met. */
function checkDenies(course: Course, at: Place): Denial | undefined {
  const { caller, subject } = course.facts
  for (const candidate of at.target.denies) {
    if (candidate.issuer !== undefined && candidate.issuer !== subject.issuer) continue
    if (candidate.from !== undefined && !namesCaller(candidate.from, caller.service)) continue
    const met = meets(course, candidate)
    const audited = candidate.mode === 'audit'
    course.trace?.({
      predicate: candidate.id,
      kind: 'deny',
      passed: met === undefined || audited,
      detail: met?.detail ?? `${shown(candidate.when?.source ?? '')} is false`,
      audited: audited && met !== undefined,
    })
    if (met === undefined) continue
    if (!audited) return deny(course, met.reason, met.detail, at)
    course.wouldDeny.push(candidate.id)
  }
  return undefined
}

function meets(
  { facts, evaluate }: Course,
  candidate: Deny,
): { readonly reason: Reason; readonly detail: string } | undefined {
  const { when, id } = candidate
  if (when === undefined) return { reason: 'target_denied', detail: id }
  const result = evaluate(when, facts, 'deny')
  if (!result.ok) return { reason: 'deny_condition_error', detail: `${id}: ${result.message}` }
  if (result.value === false) return undefined
  return { reason: 'deny_condition_met', detail: `${id}: ${shown(when.source)} is true` }
}

function checkCondition(course: Course, at: Place): Denial | undefined {
  const { when, id } = at.rule
  if (when === undefined) return undefined
  const failed = fails(course, when, `${id} when`, 'when')
  if (failed === undefined) return undefined
  const reason = failed.isError ? 'condition_error' : 'condition_false'
  return deny(course, reason, failed.detail, at)
}

/** Undefined where a condition holds, or is in audit mode and only noted. */
function fails(
  course: Course,
  { expression, mode }: Condition,
  predicate: string,
  role: 'when' | 'scope_when',
): { readonly isError: boolean; readonly detail: string } | undefined {
  const result = course.evaluate(expression, course.facts, role)
  const holds = result.ok && result.value === true
  const audited = mode === 'audit' && !holds
  const outcome = result.ok ? `is ${holds}` : `is in error: ${result.message}`
  const detail = `${shown(expression.source)} ${outcome}`
  course.trace?.({ predicate, kind: role, passed: holds || audited, detail, audited })
  if (audited) course.wouldDeny.push(predicate)
  return holds || audited ? undefined : { isError: !result.ok, detail }
}

/** The token itself is handed on, so all that it carries must be for the target, and what is asked be in it. */
function forward(course: Course, at: Place): Decision {
  const { subject, request } = course.facts
  const { target, rule } = at
  const passed = subject.audiences.some(
    (audience) => audience === target.audience || target.alsoAudiences.has(audience),
  )
  const detail = `the token is ${passed ? '' : 'not '}for ${target.audience} or one of also_audiences`
  const predicate = `${rule.id} forward`
  course.trace?.({ predicate, kind: 'forward', passed, detail, audited: false })
  if (!passed) return deny(course, 'forward_audience_mismatch', detail, at)
  const missing = request.scopes?.find((scope) => !subject.scopes.has(scope))
  if (missing !== undefined) {
    const brings = `${quoted(missing)} is asked; the token brings ${listed(subject.scopes)}`
    course.trace?.({
      predicate: `${rule.id} scope ${missing}`,
      kind: 'scope',
      passed: false,
      detail: brings,
      audited: false,
    })
    return deny(course, 'scope_not_justified', brings, at)
  }
  const { wouldDeny } = course
  return { allow: true, target, rule, scopes: [...subject.scopes], ctx: undefined, wouldDeny }
}

/** Never a silent narrowing: all that is asked is granted, or nothing is. */
function grantScopes(course: Course, at: Place): Decision {
  const { request, subject } = course.facts
  const { target, rule } = at
  if (request.scopes !== undefined) {
    for (const scope of request.scopes) {
      const refused = refuses(course, at, scope)
      if (refused !== undefined) return refused
    }
    return compute(course, at, request.scopes)
  }
  const scopes: string[] = []
  for (const [scope, justification] of rule.scopes) {
    if (unjustified(course, rule, scope, justification) === undefined) scopes.push(scope)
  }
  if (scopes.length > 0) return compute(course, at, scopes)
  const brings = `the subject token brings ${listed(subject.scopes)}`
  return deny(course, 'scope_none_justified', brings, { target, rule })
}

/** Why a scope that was asked for is not given; undefined where it is. */
function refuses(course: Course, at: Place, scope: string): Denial | undefined {
  const { target, rule } = at
  const justification = rule.scopes.get(scope)
  if (justification === undefined) {
    const isKnown = target.scopes.has(scope)
    const detail = isKnown
      ? `the rule gives no ${scope}`
      : `${target.name} has no scope ${quoted(scope)}`
    const predicate = `${rule.id} scope ${scope}`
    course.trace?.({ predicate, kind: 'scope', passed: false, detail, audited: false })
    return deny(course, isKnown ? 'scope_not_justified' : 'scope_unknown', detail, at)
  }
  const fault = unjustified(course, rule, scope, justification)
  return fault && deny(course, fault.reason, fault.detail, at)
}

function unjustified(
  course: Course,
  rule: Rule,
  scope: string,
  justification: Justification,
): { readonly reason: Reason; readonly detail: string } | undefined {
  const { subject } = course.facts
  const passed = isJustified(justification, subject.scopes)
  if (course.trace !== undefined || !passed) {
    const detail = `${scope} needs ${describeNeed(justification)}; the subject token brings ${listed(subject.scopes)}`
    const predicate = `${rule.id} scope ${scope}`
    course.trace?.({ predicate, kind: 'scope', passed, detail, audited: false })
    if (!passed) return { reason: 'scope_not_justified', detail }
  }
  if (justification.when === undefined) return undefined
  const predicate = `${rule.id} scope ${scope} when`
  const failed = fails(course, justification.when, predicate, 'scope_when')
  return failed && { reason: 'scope_condition_failed', detail: `${scope}: ${failed.detail}` }
}

/** An error in a computed claim denies. */
function compute(course: Course, at: Place, scopes: readonly string[]): Decision {
  const computed = computeCtx(course, at.target)
  if (!computed.ok) return deny(course, 'ctx_failed', computed.detail, at)
  return { allow: true, ...at, scopes, ctx: computed.ctx, wouldDeny: course.wouldDeny }
}
