// Owns the checks that ask what tokens could ever exist: rules, scopes and embedded tokens that nobody can have.
// Must not explore by itself; reach.ts does, as `rules prove` sees it.
import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import type { Tailored } from '../../tokens/tailor.ts'
import { isJustified } from '../justify.ts'
import { explore } from '../reach/reach.ts'
import { ruleFor } from '../rule-for.ts'
import type { Justification, Rule, Ruleset, Service } from '../ruleset.ts'
import { type Checking, canPresent, usersOf, type WrittenRule } from './checking.ts'
import { rootCauses } from './root-causes.ts'

/** Some seconds; a ruleset for which that is not enough is left to `rules prove`. */
const MAX_EXCHANGES = 200_000

/** What was found to be possible. */
interface Reached {
  /** Scopes that a rule gave; a rule that forwards gives none. */
  readonly given: Map<Rule, Set<string>>
  /** Services whose tokens were put into the token of a rule. */
  readonly embedded: Map<Rule, Set<string>>
  /** Scopes that tokens for a service can have. */
  readonly held: Map<Service, Set<string>>
  /** Services that can hold a token without `act`. */
  readonly undelegated: Set<Service>
}

/**
 * Finds rules, scopes and embedded tokens that no chain of exchanges leads to; of those that follow from one
 * another only the first. `useless` rules are told by other checks. Gives false where it was too much to look at.
 */
export function checkReachability(
  checking: Checking,
  ruleset: Ruleset,
  useless: ReadonlySet<Rule>,
  maxExchanges: number = MAX_EXCHANGES,
): boolean {
  const reached = reachedIn(checking, ruleset, maxExchanges)
  if (reached === undefined) return false
  const written = checking.written.flatMap(({ rules }) => rules)
  const causes = new Map<string, readonly string[]>()
  for (const each of written) noteCauses(checking, each, reached, useless, causes)
  const roots = rootCauses(causes)
  for (const each of written) {
    const { rule } = each
    if (!reached.given.has(rule)) {
      if (roots.has(rule.id) && !useless.has(rule)) tellRule(checking, each, reached)
      continue
    }
    for (const scope of rule.scopes.keys()) {
      if (roots.has(keyOf(rule, scope))) tellScope(checking, each, scope)
    }
    checkEmbeds(checking, each, reached)
  }
  return true
}

function reachedIn(
  { context }: Checking,
  ruleset: Ruleset,
  maxExchanges: number,
): Reached | undefined {
  const reached: Reached = {
    given: new Map(),
    embedded: new Map(),
    held: new Map(),
    undelegated: new Set(),
  }
  const { explored } = explore(
    { ...context, ruleset },
    {
      maxExchanges,
      onExchange: (_exchange, tailored) => note(reached, tailored),
    },
  )
  return explored.complete ? reached : undefined
}

function note(reached: Reached, tailored: Tailored): void {
  if (tailored.outcome === 'denied') return
  const { rule, target, scopes } = tailored.decision
  const given = into(reached.given, rule)
  if (tailored.outcome === 'forwarded') return
  for (const scope of scopes) {
    given.add(scope)
    into(reached.held, target).add(scope)
  }
  if (tailored.built.claims.act === undefined) reached.undelegated.add(target)
  const embedded = into(reached.embedded, rule)
  for (const { embed, tailored: child } of tailored.children) {
    if (child.outcome === 'tailored') embedded.add(embed.to)
    note(reached, child)
  }
}

function into<K>(map: Map<K, Set<string>>, key: K): Set<string> {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = new Set<string>()
  map.set(key, made)
  return made
}

/** What of a rule was not reached, each with what else was not reached and would be needed for it. */
function noteCauses(
  checking: Checking,
  { rule, target }: WrittenRule,
  reached: Reached,
  useless: ReadonlySet<Rule>,
  causes: Map<string, readonly string[]>,
): void {
  const given = reached.given.get(rule)
  if (given === undefined) {
    causes.set(rule.id, useless.has(rule) ? [] : withoutWhichRule(checking, rule, target, reached))
  }
  for (const [scope, justification] of rule.scopes) {
    if (given?.has(scope) === true) continue
    const because =
      given === undefined
        ? [rule.id]
        : withoutWhichScope(checking, rule, target, justification, reached)
    causes.set(keyOf(rule, scope), because)
  }
}

/** Where no caller has a token of its own, the rules that would give it one; else what its scopes need. */
function withoutWhichRule(
  checking: Checking,
  rule: Rule,
  target: Service,
  reached: Reached,
): readonly string[] {
  if (rule.issuer !== SELF) return []
  const users = usersOf(checking, rule, target)
  if (!users.some((user) => reached.held.has(user))) {
    return users
      .flatMap(({ rules }) => [...rules.values()])
      .filter(({ forward }) => !forward)
      .map(({ id }) => id)
  }
  const needs = [...rule.scopes.values()].map((justification) =>
    withoutWhichScope(checking, rule, target, justification, reached),
  )
  // A scope that could be justified is kept back by something else.
  return needs.every((need) => need.length > 0) ? needs.flat() : []
}

/** Where no caller has what a scope needs: what would give it. */
function withoutWhichScope(
  checking: Checking,
  rule: Rule,
  target: Service,
  justification: Justification,
  { held }: Reached,
): readonly string[] {
  if (rule.issuer !== SELF) return []
  const users = usersOf(checking, rule, target)
  const brings = new Set(users.flatMap((user) => [...(held.get(user) ?? [])]))
  if (isJustified(justification, brings)) return []
  return justification.scopes
    .filter((needed) => !brings.has(needed))
    .flatMap((needed) => users.flatMap((user) => giving(user, needed)))
}

function tellRule(checking: Checking, written: WrittenRule, reached: Reached): void {
  const { rule, target, draft, path, entry } = written
  const users = usersOf(checking, rule, target)
  const hasTokens = users.some((user) => reached.held.has(user))
  if (rule.issuer === SELF && !hasTokens) {
    const message = `this rule takes tokens that this service issued to ${rule.from}, and there are none`
    const meant = entry.issuer === undefined ? issuerMeant(checking, users) : undefined
    checking.report(draft, path, 'rule-unreachable', message, meant && `issuer: ${meant}`)
    return
  }
  checking.report(draft, path, 'rule-unreachable', whyNot(checking, rule, users, reached))
}

/** The one other issuer whose tokens the callers may hand in. */
function issuerMeant(checking: Checking, users: readonly Service[]): string | undefined {
  const [meant, ...others] = [...checking.context.issuers.keys(), WORKLOAD].filter((issuer) =>
    users.some((user) => canPresent(checking, user, issuer)),
  )
  return others.length === 0 ? meant : undefined
}

function whyNot(
  { context }: Checking,
  rule: Rule,
  users: readonly Service[],
  { undelegated }: Reached,
): string {
  if (rule.issuer === WORKLOAD && context.workloadAudiences.length === 0) {
    return "no workload's own token is accepted here: client_auth has neither jwt_svid nor kubernetes"
  }
  if (rule.forward) {
    return `no token that ${rule.from} can hand in is for the audience of this service or one of also_audiences`
  }
  const isDelegated = rule.issuer === SELF && !users.some((user) => undelegated.has(user))
  if (rule.act === 'impersonate' && isDelegated) {
    return `every token for ${rule.from} carries act, and impersonation refuses those`
  }
  const required = rule.embed.filter((embed) => embed.required).map(({ to }) => to)
  const inside =
    required.length === 0 ? '' : ` together with what it must embed (${required.join(', ')})`
  return `no token that ${rule.from} can hand in gives any of its scopes${inside}`
}

function tellScope(
  { report }: Checking,
  { rule, draft, path, entry }: WrittenRule,
  scope: string,
): void {
  const place = Array.isArray(entry.scopes) ? entry.scopes.indexOf(scope) : scope
  const message = `no token that ${rule.from} can hand in justifies ${scope}`
  report(draft, [...path, 'scopes', place], 'scope-unreachable', message)
}

const keyOf = (rule: Rule, scope: string): string => `${rule.id} ${scope}`

/** What would give a service a scope; a scope of its own that no rule gives is told as `scope-never-given`. */
function giving({ scopes, rules }: Service, scope: string): readonly string[] {
  const all = [...rules.values()]
  const found = all.filter((rule) => rule.scopes.has(scope))
  if (found.length > 0) return found.map((rule) => keyOf(rule, scope))
  return scopes.has(scope) && !all.some(({ forward }) => forward) ? [NEVER_GIVEN] : []
}

const NEVER_GIVEN = 'never given'

function checkEmbeds(
  { services, report }: Checking,
  { rule, target, draft, path, entry }: WrittenRule,
  reached: Reached,
): void {
  const own = `${target.namespace}/`
  for (const [at, written] of (entry.embed ?? []).entries()) {
    const reference = typeof written === 'string' ? written : written.to
    const to = reference.includes('/') ? reference : own + reference
    const service = services.get(to)
    const child = service && ruleFor(service, target, SELF)
    if (child === undefined || !reached.given.has(child)) continue
    if (reached.embedded.get(rule)?.has(to) === true) continue
    const message = `nothing that ${rule.id} gives is enough for ${child.id}: this token is always left out`
    report(draft, [...path, 'embed', at], 'embed-unreachable', message)
  }
}
