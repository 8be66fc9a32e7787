// Owns the checks of rules and calls as the two halves of one consent, and of denies that leave nothing of a rule.
// Must not look at claims or tokens.
import { WORKLOAD } from '../../subjects/subject.ts'
import type { Path } from '../compile/compilation.ts'
import { namesCaller, ruleFor } from '../rule-for.ts'
import type { Deny, Rule, Service } from '../ruleset.ts'
import {
  type Checking,
  canPresent,
  usersOf,
  type WrittenRule,
  type WrittenService,
} from './checking.ts'

/** Finds edges with one half. Gives the rules that are of no use as they are: why they are is told. */
export function checkEdges(checking: Checking): ReadonlySet<Rule> {
  const useless = new Set<Rule>()
  const issuersOf = issuersOfRules()
  for (const written of checking.written) {
    const always = written.service.denies.filter(
      ({ when, mode }) => when === undefined && mode === 'enforce',
    )
    for (const rule of written.rules) {
      if (checkHalves(rule, checking) || checkShadow(rule, always, checking)) useless.add(rule.rule)
    }
    checkCalls(written, issuersOf, checking)
  }
  return useless
}

/** Whether something was found. */
function checkHalves(written: WrittenRule, checking: Checking): boolean {
  const { rule, target, draft, fromPath, path, entry } = written
  const users = usersOf(checking, rule, target)
  if (users.length === 0) {
    const message = rule.from.endsWith('/*')
      ? `no service of ${rule.from} lists ${target.name} in calls, so this rule gives nothing`
      : `${rule.from} does not list ${target.name} in calls, so this rule gives nothing to it`
    checking.report(draft, fromPath, 'rule-without-call', message)
    return true
  }
  if (users.some((caller) => canPresent(checking, caller, rule.issuer))) return false
  const message =
    rule.issuer === WORKLOAD
      ? `${rule.from} has no grants, so as itself it brings nothing`
      : `presented_by of issuer ${rule.issuer} does not name ${rule.from}`
  const at: Path = entry.issuer === undefined ? path : [...path, 'issuer']
  checking.report(draft, at, 'presenter-missing', message)
  return true
}

/** Whether denies without condition meet every caller of a rule. */
function checkShadow(
  { rule, target, draft, fromPath }: WrittenRule,
  always: readonly Deny[],
  checking: Checking,
): boolean {
  if (always.length === 0) return false
  const denyOf = (caller: Service) =>
    always.find(
      ({ from, issuer }) =>
        (issuer === undefined || issuer === rule.issuer) &&
        (from === undefined || namesCaller(from, caller)),
    )
  const denies = usersOf(checking, rule, target).map(denyOf)
  if (denies.includes(undefined)) return false
  const message = `${denies[0]?.id} meets everybody whom this rule lets in`
  checking.report(draft, fromPath, 'rule-shadowed', message)
  return true
}

/** Issuers of a target's rules, once for each target: many services may call it. */
function issuersOfRules(): (target: Service) => Iterable<string> {
  const known = new Map<Service, ReadonlySet<string>>()
  return (target) => {
    const issuers =
      known.get(target) ?? new Set([...target.rules.values()].map(({ issuer }) => issuer))
    known.set(target, issuers)
    return issuers
  }
}

function checkCalls(
  { service, draft }: WrittenService,
  issuersOf: (target: Service) => Iterable<string>,
  { services, report }: Checking,
): void {
  for (const [at, name] of [...service.calls].entries()) {
    const target = services.get(name)
    if (target === undefined) continue
    if ([...issuersOf(target)].some((issuer) => ruleFor(target, service, issuer))) continue
    const message = `${name} has no rule for ${service.name}, so this call obtains nothing`
    report(draft, ['calls', at], 'call-without-rule', message)
  }
}
