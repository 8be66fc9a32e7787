// Owns what would have to be different for a denied exchange to go on, in words and as a changed case.
// Must not say that it should be different: whoever reads it decides that.
import { nearest } from '../../config/problem.ts'
import type { Reason } from '../../oauth/reasons.ts'
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { Denial } from '../decision.ts'
import { withRule, withService } from '../edit.ts'
import type { Deny, Ruleset } from '../ruleset.ts'
import {
  type DeniedCase,
  type Found,
  inRuleset,
  type Repair,
  stop,
  withSubject,
} from './repair-case.ts'
import { noneJustified, notGiven, unjustified, withoutScopeCondition } from './repair-scopes.ts'
import { claimsRead, list, quoted } from './repair-words.ts'

/** What would have to be different for this one denial not to be. */
export function repairOf(denied: DeniedCase, denial: Denial): Repair {
  const { target, rule } = denial
  const repair =
    target === undefined ? undefined : REPAIRS[denial.reason]?.({ ...denied, denial, target, rule })
  return repair ?? withoutTarget(denied, denial)
}

type MakeRepair = (found: Found) => Repair | undefined

function withoutTarget({ ruleset, order }: DeniedCase, { reason, detail }: Denial): Repair {
  const { audiences, resources } = order.request
  switch (reason) {
    case 'target_missing':
      return stop('the request must name its target: `audience` or `resource`')
    case 'target_ambiguous':
      return stop(`the request must mean one service: ${detail}`)
    case 'target_unknown': {
      const asked = [...audiences, ...resources].find((one) => !isTarget(one, ruleset, order))
      const near = nearest(asked ?? '', knownTargets(ruleset, order))
      const hint = near === undefined ? '' : `; was \`${near}\` meant?`
      return stop(
        `a service must have the audience \`${asked}\`, or the request name another${hint}`,
      )
    }
    default:
      return stop(`what is refused must be different: ${detail}`)
  }
}

const isTarget = (name: string, ruleset: Ruleset, { caller }: TailorOrder): boolean =>
  ruleset.targets.has(name) || ruleset.services.has(`${caller.service.namespace}/${name}`)

function* knownTargets({ targets, services }: Ruleset, { caller }: TailorOrder): Generator<string> {
  const own = `${caller.service.namespace}/`
  for (const name of services.keys()) if (name.startsWith(own)) yield name.slice(own.length)
  yield* targets.keys()
}

const REPAIRS: Readonly<Partial<Record<Reason, MakeRepair>>> = {
  target_not_in_calls: ({ ruleset, order, target }) => {
    const { name, calls } = order.caller.service
    const edited = withService(ruleset, name, { calls: new Set(calls).add(target.name) })
    return {
      change: {
        what: `\`${name}\` must list \`${target.name}\` in \`calls\``,
        at: `${name} calls`,
      },
      after: inRuleset(order, edited),
    }
  },
  target_not_accepted: ({ order, target }) => {
    const { caller, subject } = order
    const others = [...target.rules.values()].map(({ from }) => from)
    const known = others.length === 0 ? 'it accepts nobody' : `it accepts ${list(others)}`
    return stop(
      `\`${target.name}\` must accept \`${caller.service.name}\` with tokens of \`${subject.issuer}\`: ${known}`,
      target.name,
    )
  },
  target_issuer_not_accepted: ({ order, target }) => {
    const { name, namespace } = order.caller.service
    const rules = [...target.rules.values()].filter(
      ({ from }) => from === name || from === `${namespace}/*`,
    )
    const issuers = list(rules.map(({ issuer }) => issuer))
    return stop(
      `the subject token must be of ${issuers}, or \`${target.name}\` accept those of \`${order.subject.issuer}\` from \`${name}\``,
      rules[0]?.id,
    )
  },
  target_denied: withoutDeny,
  deny_condition_met: withoutDeny,
  deny_condition_error: withoutDeny,
  actor_not_allowed: ({ ruleset, order, target, rule }) => {
    const issuer = order.actor?.issuer
    if (rule === undefined || issuer === undefined) return undefined
    const edited = withRule(ruleset, target.name, rule, {
      actors: new Set(rule.actors).add(issuer),
    })
    return {
      change: {
        what: `\`${rule.id}\` must list \`${issuer}\` in \`actors\`, or the request bring no actor token`,
        at: rule.id,
      },
      after: inRuleset(order, edited),
    }
  },
  act_may_act_mismatch: ({ ruleset, order }) => {
    const { actor, caller, subject } = order
    const who = actor === undefined ? caller.id : `${actor.sub} of ${actor.iss}`
    return {
      change: {
        what: `\`may_act\` of the subject token must name \`${who}\`, not \`${subject.mayAct?.sub}\``,
        at: undefined,
      },
      after: { ruleset, order: withSubject(order, { mayAct: undefined }) },
    }
  },
  act_impersonation_refused: ({ ruleset, order, target, rule }) =>
    rule && {
      change: {
        what: `\`${rule.id}\` must delegate, or no token say who acts: impersonation would hide it`,
        at: rule.id,
      },
      after: inRuleset(order, withRule(ruleset, target.name, rule, { act: 'delegate' })),
    },
  condition_false: withoutCondition,
  condition_error: withoutCondition,
  forward_audience_mismatch: ({ ruleset, order, target, rule }) => {
    const audiences = list(order.subject.audiences)
    const edited = withService(ruleset, target.name, {
      alsoAudiences: new Set([...target.alsoAudiences, ...order.subject.audiences]),
    })
    return {
      change: {
        what: `the subject token must be for ${list([target.audience, ...target.alsoAudiences])}, or \`${target.name}\` list ${audiences} in \`also_audiences\``,
        at: rule?.id,
      },
      after: inRuleset(order, edited),
    }
  },
  scope_unknown: notGiven,
  scope_not_justified: (found) => notGiven(found) ?? unjustified(found),
  scope_none_justified: noneJustified,
  scope_condition_failed: withoutScopeCondition,
  ctx_failed: ({ ruleset, order, target, denial }) => {
    const failed = [...target.ctx].find(([name]) => denial.detail.startsWith(`ctx.${name}: `))
    if (failed === undefined) return undefined
    const [name, entry] = failed
    const ctx = new Map(target.ctx)
    ctx.delete(name)
    const read = entry.kind === 'computed' ? claimsRead(entry.expression, order) : ''
    return {
      change: {
        what: `\`ctx.${name}\` of \`${target.name}\` must be computable${read}`,
        at: `${target.name} ctx ${name}`,
      },
      after: inRuleset(order, withService(ruleset, target.name, { ctx })),
    }
  },
}

function withoutDeny({ ruleset, order, target, denial }: Found): Repair | undefined {
  // The detail begins with the id: of two that begin alike the longer one is meant.
  const deny = target.denies
    .filter(({ id }) => denial.detail === id || denial.detail.startsWith(`${id}: `))
    .sort((a, b) => b.id.length - a.id.length)[0]
  if (deny === undefined) return undefined
  const denies = target.denies.filter((one) => one !== deny)
  return {
    change: {
      what: `${denyText(deny)}${deny.when ? claimsRead(deny.when, order) : ''}`,
      at: deny.id,
    },
    after: inRuleset(order, withService(ruleset, target.name, { denies })),
  }
}

const denyText = ({ id, when, from, issuer }: Deny): string => {
  if (when !== undefined) return `\`${id}\` must not match: ${quoted(when)} must be false`
  const whom = [
    ...(from === undefined ? [] : [`callers ${list(from)}`]),
    ...(issuer === undefined ? [] : [`tokens of \`${issuer}\``]),
  ]
  return `\`${id}\` must not be there: it denies ${whom.join(' with ') || 'everybody'}, whatever rules say`
}

function withoutCondition({ ruleset, order, target, rule }: Found): Repair | undefined {
  if (rule?.when === undefined) return undefined
  const { expression } = rule.when
  return {
    change: {
      what: `it must be true that ${quoted(expression)}${claimsRead(expression, order)}`,
      at: `${rule.id} when`,
    },
    after: inRuleset(order, withRule(ruleset, target.name, rule, { when: undefined })),
  }
}
