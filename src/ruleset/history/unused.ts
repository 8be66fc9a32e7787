// Owns what of a ruleset was not used, by what the audit counted. Must not read the audit, and must not say what
// should be removed: a rule for the end of the year is used once a year.
import type { Usage } from '../../audit/usage.ts'
import { WORKLOAD } from '../../subjects/subject.ts'
import { ruleFor } from '../rule-for.ts'
import type { Rule, Ruleset, Service } from '../ruleset.ts'

/** What can be unused. */
export const UNUSED_KINDS = [
  'rule',
  'forward',
  'scope',
  'embed',
  'calls',
  'claim',
  'grant',
] as const
export type UnusedKind = (typeof UNUSED_KINDS)[number]

/** One part of the rules that no granted exchange needed. */
export interface UnusedPart {
  readonly kind: UnusedKind
  /** The service under which it stands. */
  readonly service: string
  /** The rule's id; for a scope and an embed, the rule that has it. */
  readonly rule: string | undefined
  /** The scope, the embedded or called service, the claim or the grant. */
  readonly name: string | undefined
  /** Where it stands, as places.ts names it. */
  readonly place: string
  /** How often it was tried and denied; only for rules. */
  readonly denied: number
}

export interface Unused {
  /** By kind, then by service and name. */
  readonly parts: readonly UnusedPart[]
  /** Denies that neither denied nor, in audit mode, would have: for information, a deny that is quiet may be a good one. */
  readonly quietDenies: readonly string[]
}

/** Compares a ruleset with what was used of it. */
export function unusedOf({ services }: Ruleset, usage: Usage): Unused {
  const used = indexOf(usage)
  const parts: UnusedPart[] = []
  for (const service of services.values()) {
    for (const rule of service.rules.values()) parts.push(...unusedOfRule(service, rule, used))
    parts.push(...unusedOfService(service, services, used))
  }
  const fired = new Set([...usage.denies, ...usage.predicates].map(({ predicate }) => predicate))
  const denies = [...services.values()].flatMap((service) => service.denies.map(({ id }) => id))
  return {
    parts: parts.sort(byKind),
    quietDenies: denies.filter((id) => !fired.has(id)).sort(),
  }
}

/** What was used, to be looked up. */
interface Used {
  readonly rules: ReadonlySet<string>
  /** Rule → how often it came nearest to a denial. */
  readonly denied: ReadonlyMap<string, number>
  /** `<rule> <scope>`, `<rule> <member>`, `<caller> <target>`, `<target> <claim>`, `<rule> <caller>`. */
  readonly scopes: ReadonlySet<string>
  readonly embeds: ReadonlySet<string>
  readonly calls: ReadonlySet<string>
  readonly claims: ReadonlySet<string>
  readonly callers: ReadonlySet<string>
}

/** Neither names nor ids hold a line feed. */
const pair = (one: string, other: string): string => `${one}\n${other}`

function indexOf({ edges, scopes, claims, embeds }: Usage): Used {
  const granted = edges.filter((edge) => edge.granted > 0)
  const denied = new Map<string, number>()
  for (const { rule = '', denied: count } of edges) {
    denied.set(rule, (denied.get(rule) ?? 0) + count)
  }
  return {
    rules: new Set(granted.map(({ rule = '' }) => rule)),
    denied,
    scopes: new Set(scopes.map(({ rule, scope }) => pair(rule, scope))),
    embeds: new Set(embeds.map(({ rule, member }) => pair(rule, member))),
    calls: new Set(granted.map(({ caller, target }) => pair(caller, target))),
    claims: new Set(claims.map(({ target, claim }) => pair(target, claim))),
    callers: new Set(granted.map(({ rule = '', caller }) => pair(rule, caller))),
  }
}

/** Of a rule that was not used at all, its parts say nothing new. */
function unusedOfRule(service: Service, rule: Rule, used: Used): UnusedPart[] {
  const common = { service: service.name, rule: rule.id, denied: 0 }
  if (!used.rules.has(rule.id)) {
    const kind = rule.forward ? 'forward' : 'rule'
    const denied = used.denied.get(rule.id) ?? 0
    return [{ ...common, kind, name: undefined, place: rule.id, denied }]
  }
  const scopes = [...rule.scopes.keys()].filter((scope) => !used.scopes.has(pair(rule.id, scope)))
  const embeds = rule.embed.filter(({ member }) => !used.embeds.has(pair(rule.id, member)))
  return [
    ...scopes.map((name): UnusedPart => {
      return { ...common, kind: 'scope', name, place: `${rule.id} scope ${name}` }
    }),
    ...embeds.map(({ to }): UnusedPart => {
      return { ...common, kind: 'embed', name: to, place: rule.id }
    }),
  ]
}

function unusedOfService(
  service: Service,
  services: Ruleset['services'],
  used: Used,
): UnusedPart[] {
  const { name: own } = service
  const common = { service: own, rule: undefined, denied: 0 }
  const calls = [...service.calls].filter((target) => !used.calls.has(pair(own, target)))
  const claims = service.claims.filter((claim) => !used.claims.has(pair(own, claim)))
  const grants = [...service.grants].filter((grant) => !isGrantUsed(service, grant, services, used))
  return [
    ...calls.map((name): UnusedPart => {
      return { ...common, kind: 'calls', name, place: `${own} calls` }
    }),
    ...claims.map((name): UnusedPart => ({ ...common, kind: 'claim', name, place: own })),
    ...grants.map((name): UnusedPart => ({ ...common, kind: 'grant', name, place: own })),
  ]
}

/**
 * Whether something was granted that the grant can justify, by a rule that this caller used with its own
 * token; a forwarded token brings all of them.
 */
function isGrantUsed(
  caller: Service,
  grant: string,
  services: Ruleset['services'],
  used: Used,
): boolean {
  for (const name of caller.calls) {
    const target = services.get(name)
    const rule = target && ruleFor(target, caller, WORKLOAD)
    if (rule === undefined || !used.callers.has(pair(rule.id, caller.name))) continue
    if (rule.forward) return true
    for (const [scope, justification] of rule.scopes) {
      const isNeeded = justification.scopes.includes(grant)
      if (isNeeded && used.scopes.has(pair(rule.id, scope))) return true
    }
  }
  return false
}

function byKind(a: UnusedPart, b: UnusedPart): number {
  const [kindA, kindB] = [a, b].map(({ kind }) => UNUSED_KINDS.indexOf(kind))
  if (kindA !== kindB) return (kindA ?? 0) - (kindB ?? 0)
  return textOf(a) < textOf(b) ? -1 : 1
}

const textOf = ({ service, rule, name }: UnusedPart): string =>
  `${service}\n${rule ?? ''}\n${name ?? ''}`
