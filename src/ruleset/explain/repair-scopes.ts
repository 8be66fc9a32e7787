// Owns what would have to be different where a scope is not given.
// Must not look at targets, denies or delegation.
import { nearest } from '../../config/problem.ts'
import { withRule } from '../edit.ts'
import { isJustified } from '../justify.ts'
import type { Justification, Rule } from '../ruleset.ts'
import { type Found, inRuleset, type Repair, stop, withSubject } from './repair-case.ts'
import { claimsRead, list, quoted } from './repair-words.ts'

/** A scope that the rule never gives; the exchange goes on as if it had not been asked. */
export function notGiven({ ruleset, order, target, rule }: Found): Repair | undefined {
  const { scopes } = order.request
  if (rule === undefined || rule.forward) return undefined
  const missing = scopes?.find((scope) => !rule.scopes.has(scope))
  if (missing === undefined) return undefined
  const isKnown = target.scopes.has(missing)
  const near = nearest(missing, target.scopes)
  const hint = near === undefined || isKnown ? '' : `; was \`${near}\` meant?`
  const others = scopes?.filter((scope) => scope !== missing) ?? []
  return {
    change: {
      what: isKnown
        ? `\`${rule.id}\` must give \`${missing}\`, with what justifies it: it gives ${list(rule.scopes.keys())}`
        : `\`${target.name}\` must have a scope \`${missing}\`, or the request not ask for it: it has ${list(target.scopes)}${hint}`,
      at: isKnown ? rule.id : target.name,
    },
    after:
      others.length === 0
        ? undefined
        : { ruleset, order: { ...order, request: { ...order.request, scopes: others } } },
  }
}

/** The first scope that is asked and that the token does not justify; it goes on as if the token did. */
export function unjustified({ ruleset, order, rule }: Found): Repair | undefined {
  if (rule === undefined) return undefined
  for (const scope of order.request.scopes ?? []) {
    const justification: Pick<Justification, 'mode' | 'scopes'> = rule.forward
      ? { mode: 'all', scopes: [scope] }
      : (rule.scopes.get(scope) ?? { mode: 'any', scopes: [] })
    const { mode, scopes } = justification
    if (isJustified(justification, order.subject.scopes)) continue
    const missing = scopes.filter((one) => !order.subject.scopes.has(one))
    const brought = mode === 'all' ? missing : missing.slice(0, 1)
    const also = missing.length < scopes.length ? ' as well' : ''
    return {
      change: {
        what: `the subject token must bring ${list(missing, mode === 'all' ? 'and' : 'or')}${also}, for \`${scope}\``,
        at: `${rule.id} scope ${scope}`,
      },
      after: {
        ruleset,
        order: withSubject(order, { scopes: new Set([...order.subject.scopes, ...brought]) }),
      },
    }
  }
  return undefined
}

const needsOf = ({ scopes }: Rule): string =>
  [...scopes]
    .map(
      ([scope, { mode, scopes: needed }]) =>
        `\`${scope}\` needs ${list(needed, mode === 'all' ? 'and' : 'or')}`,
    )
    .join(', ')

/** Nothing was asked and nothing is justified: there are as many ways out as scopes. */
export function noneJustified({ rule }: Found): Repair | undefined {
  if (rule === undefined) return undefined
  const needs = needsOf(rule)
  return stop(
    `the subject token must bring what justifies a scope of \`${rule.id}\`: ${needs}`,
    rule.id,
  )
}

/** The condition of a scope that was asked. */
export function withoutScopeCondition(found: Found): Repair | undefined {
  const { ruleset, order, target, rule, denial } = found
  const scope = order.request.scopes?.find((one) => denial.detail.startsWith(`${one}: `))
  const justification = rule?.scopes.get(scope ?? '')
  if (rule === undefined || scope === undefined || justification?.when === undefined)
    return undefined
  const { expression } = justification.when
  const scopes = new Map(rule.scopes).set(scope, { ...justification, when: undefined })
  return {
    change: {
      what: `for \`${scope}\` it must be true that ${quoted(expression)}${claimsRead(expression, order)}`,
      at: `${rule.id} scope ${scope}`,
    },
    after: inRuleset(order, withRule(ruleset, target.name, rule, { scopes })),
  }
}
