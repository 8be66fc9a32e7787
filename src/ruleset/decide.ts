// Owns the decision (P6): may this caller, with this subject token, obtain these scopes for this target?
// Must stay pure and total: no I/O, clock, randomness or logger; the default is deny and a deny always wins.
import type { Reason } from '../oauth/reasons.ts'
import type { Decision, Denial, Facts } from './decision.ts'
import type { Justification, Rule, Ruleset, Service } from './ruleset.ts'

/**
 * Decides one exchange by direct look-up. The order of checks is the order in which an operator reads
 * them: target, consent of both sides, denies, delegation, scopes.
 */
export function decide(ruleset: Ruleset, facts: Facts): Decision {
  const target = resolveTarget(ruleset, facts)
  if ('allow' in target) return target
  const { caller, subject } = facts

  if (!caller.service.calls.has(target.name)) {
    return deny(
      'target_not_in_calls',
      `${caller.service.name} does not list ${target.name} in calls`,
      target,
    )
  }
  const rule = ruleFor(target, caller.service, subject.issuer)
  if (rule === undefined) return notAccepted(target, caller.service, subject.issuer)
  const denied = target.denies.find(
    (candidate) =>
      (candidate.issuer === undefined || candidate.issuer === subject.issuer) &&
      (candidate.from === undefined || names(candidate.from, caller.service)),
  )
  if (denied !== undefined) {
    return deny('target_denied', `${target.name} denies: ${denied.reason}`, target, rule)
  }
  return checkDelegation(facts, target, rule) ?? grantScopes(facts, target, rule)
}

function deny(reason: Reason, detail: string, target?: Service, rule?: Rule): Denial {
  return { allow: false, reason, detail, target, rule }
}

/** All audiences and resources that are given must mean one service (design: one target, one aud). */
function resolveTarget(ruleset: Ruleset, { request, caller }: Facts): Service | Denial {
  let target: Service | undefined
  for (const audience of request.audiences) {
    const named =
      ruleset.targets.get(audience) ??
      ruleset.services.get(`${caller.service.namespace}/${audience}`)
    if (named === undefined)
      return deny('target_unknown', `no service has audience ${quote(audience)}`)
    if (target !== undefined && target !== named) return severalTargets(target, named)
    target = named
  }
  for (const resource of request.resources) {
    const named = ruleset.targets.get(resource)
    if (named === undefined || named.audience !== resource) {
      return deny('target_unknown', `no service has resource ${quote(resource)}`)
    }
    if (target !== undefined && target !== named) return severalTargets(target, named)
    target = named
  }
  return target ?? deny('target_missing', 'neither audience nor resource is given')
}

function severalTargets(one: Service, other: Service): Denial {
  return deny('target_ambiguous', `${one.name} and ${other.name} are asked at once`)
}

/** At most one rule exists per (from, issuer): a glob and a name that overlap are load errors. */
function ruleFor(target: Service, caller: Service, issuer: string): Rule | undefined {
  return (
    target.rules.get(`${caller.name}|${issuer}`) ??
    target.rules.get(`${caller.namespace}/*|${issuer}`)
  )
}

function notAccepted(target: Service, caller: Service, issuer: string): Denial {
  for (const rule of target.rules.values()) {
    if (rule.from === caller.name || rule.from === `${caller.namespace}/*`) {
      return deny(
        'target_issuer_not_accepted',
        `${target.name} accepts ${caller.name} with tokens of ${rule.issuer}, not of ${issuer}`,
        target,
        rule,
      )
    }
  }
  return deny('target_not_accepted', `${target.name} has no rule for ${caller.name}`, target)
}

const names = (from: ReadonlySet<string>, caller: Service): boolean =>
  from.has(caller.name) || from.has(`${caller.namespace}/*`)

/** Actor tokens, `may_act` and impersonation; from what the tokens carry, not from what is asked (P2). */
function checkDelegation(facts: Facts, target: Service, rule: Rule): Denial | undefined {
  const { subject, actor } = facts
  if (actor !== undefined && !rule.actors.has(actor.issuer)) {
    return deny('actor_not_allowed', `actors does not list issuer ${actor.issuer}`, target, rule)
  }
  if (rule.act === 'impersonate' && (subject.act ?? subject.mayAct ?? actor) !== undefined) {
    const what =
      actor !== undefined ? 'an actor token' : subject.act !== undefined ? 'act' : 'may_act'
    return deny('act_impersonation_refused', `impersonation with ${what}`, target, rule)
  }
  return checkMayAct(facts, target, rule)
}

/** `may_act` must name who acts: the actor token's subject, or without one the caller (RFC 8693 §4.4). */
function checkMayAct(facts: Facts, target: Service, rule: Rule): Denial | undefined {
  const { subject, actor, caller } = facts
  const { mayAct } = subject
  if (mayAct === undefined) return undefined
  // Without `iss` it names somebody of its own issuer, or the caller itself.
  const named =
    actor === undefined
      ? mayAct.sub === caller.id && (mayAct.iss === undefined || mayAct.iss === facts.selfIss)
      : mayAct.sub === actor.sub && (mayAct.iss ?? subject.iss) === actor.iss
  if (named) return undefined
  const who = actor === undefined ? 'the caller' : 'the actor token'
  return deny('act_may_act_mismatch', `may_act does not name ${who}`, target, rule)
}

/** Never a silent narrowing: all that is asked is granted, or nothing is. */
function grantScopes({ request, subject }: Facts, target: Service, rule: Rule): Decision {
  if (request.scopes === undefined) {
    const scopes: string[] = []
    for (const [scope, justification] of rule.scopes) {
      if (isJustified(justification, subject.scopes)) scopes.push(scope)
    }
    if (scopes.length > 0) return { allow: true, target, rule, scopes }
    return deny(
      'scope_none_justified',
      `the subject token brings ${list(subject.scopes)}`,
      target,
      rule,
    )
  }
  for (const scope of request.scopes) {
    if (!target.scopes.has(scope)) {
      return deny('scope_unknown', `${target.name} has no scope ${quote(scope)}`, target, rule)
    }
    const justification = rule.scopes.get(scope)
    if (justification === undefined) {
      return deny('scope_not_justified', `the rule gives no ${scope}`, target, rule)
    }
    if (!isJustified(justification, subject.scopes)) {
      const needs = `${justification.mode} of ${justification.scopes.join(' ')}`
      return deny(
        'scope_not_justified',
        `${scope} needs ${needs}; the subject token brings ${list(subject.scopes)}`,
        target,
        rule,
      )
    }
  }
  return { allow: true, target, rule, scopes: request.scopes }
}

function isJustified({ mode, scopes }: Justification, brings: ReadonlySet<string>): boolean {
  const has = (scope: string) => brings.has(scope)
  return mode === 'all' ? scopes.length > 0 && scopes.every(has) : scopes.some(has)
}

const MAX_QUOTED = 120
const quote = (text: string): string => JSON.stringify(text.slice(0, MAX_QUOTED))
const list = (scopes: ReadonlySet<string>): string =>
  scopes.size === 0 ? 'no scope' : [...scopes].join(' ').slice(0, MAX_QUOTED)
