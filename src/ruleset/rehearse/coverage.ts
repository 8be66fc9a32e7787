// Owns what tests have seen of a ruleset: its rules, the scopes that they give, and both ends of each predicate.
// Must not run tests.
import type { Minted } from '../../tokens/mint.ts'
import type { Allow } from '../decision.ts'
import type { Justification, Rule, Ruleset, Service } from '../ruleset.ts'
import type { TracedStep } from './rehearsal.ts'
import type { HopResult, TestResult } from './test-run.ts'
import { alwaysForwarded, alwaysJustified } from './varying.ts'

/** What is counted apart. */
export const COVERAGE_KINDS = ['rule', 'scope', 'predicate'] as const
export type CoverageKind = (typeof COVERAGE_KINDS)[number]

/** One thing that a test should see. docs/rules-test.md says what each is. */
export interface CoverageItem {
  readonly kind: CoverageKind
  /** As in a trace: of a rule, a deny, `<rule> when`, `<rule> scope <scope>` … */
  readonly id: string
  /** What should be seen of it: `granted`, `false`, `justified by shop:buy alone` … */
  readonly what: string
  readonly covered: boolean
}

export interface Coverage {
  readonly items: readonly CoverageItem[]
  readonly totals: Readonly<
    Record<CoverageKind, { readonly covered: number; readonly total: number }>
  >
}

/** What tests saw of the rules of some namespaces; of all where none are given. Only what passed counts. */
export function coverageOf(
  results: readonly TestResult[],
  ruleset: Ruleset,
  namespaces?: ReadonlySet<string>,
): Coverage {
  const seen = new Set<string>()
  const justifications = justificationsOf(ruleset)
  for (const { hops, passed } of results) {
    if (passed) for (const hop of hops) noteHop(hop, justifications, seen)
  }
  const items: CoverageItem[] = []
  for (const service of ruleset.services.values()) {
    if (namespaces !== undefined && !namespaces.has(service.namespace)) continue
    for (const [kind, id, what] of itemsOf(service, ruleset)) {
      items.push({ kind, id, what, covered: seen.has(keyOf(id, what)) })
    }
  }
  const count = (kind: CoverageKind) => {
    const ofKind = items.filter((item) => item.kind === kind)
    return { total: ofKind.length, covered: ofKind.filter(({ covered }) => covered).length }
  }
  return {
    items,
    totals: { rule: count('rule'), scope: count('scope'), predicate: count('predicate') },
  }
}

/** Whole percents, rounded down: 100 means all. Nothing to see is all of it. */
export const percentOf = ({
  covered,
  total,
}: {
  readonly covered: number
  readonly total: number
}): number => (total === 0 ? 100 : Math.floor((covered * 100) / total))

const keyOf = (id: string, what: string): string => `${id}\n${what}`

type Item = readonly [kind: CoverageKind, id: string, what: string]

const GRANTED = 'granted'
const HOLDS = 'true'
const FAILS = 'false'
const FIRES = 'fires'
const QUIET = 'does not fire'
const REFUSED = 'refused'

const ends = (id: string, whats: readonly string[]): Item[] =>
  whats.map((what) => ['predicate', id, what] as const)

function itemsOf(service: Service, ruleset: Ruleset): Item[] {
  return [
    ...[...service.rules.values()].flatMap((rule) => itemsOfRule(rule, service, ruleset)),
    ...service.denies.flatMap(({ id, when }) =>
      ends(id, when === undefined ? [FIRES] : [FIRES, QUIET]),
    ),
    ...[...service.ctx]
      .filter(([, { kind }]) => kind === 'computed')
      .flatMap(([name]) => ends(`${service.name} ctx ${name}`, [HOLDS])),
  ]
}

function itemsOfRule(rule: Rule, target: Service, ruleset: Ruleset): Item[] {
  return [
    ['rule', rule.id, GRANTED],
    ...(rule.when === undefined ? [] : ends(`${rule.id} when`, [HOLDS, FAILS])),
    ...(rule.forward && !alwaysForwarded(rule, target, ruleset)
      ? ends(`${rule.id} forward`, [HOLDS, FAILS])
      : []),
    ...ends(
      `${rule.id} actors`,
      [...rule.actors].map((issuer) => `taken of ${issuer}`),
    ),
    ...ends(
      rule.id,
      rule.embed.map(({ to }) => `with ${to} inside`),
    ),
    ...[...rule.scopes].flatMap(([scope, justification]): Item[] => {
      const id = scopeId(rule, scope)
      const conditional = justification.when !== undefined
      return [
        ['scope', id, GRANTED],
        ...(alwaysJustified(rule, justification, ruleset) ? [] : ends(id, endsOf(justification))),
        ...(conditional ? ends(`${id} when`, [HOLDS, FAILS]) : []),
      ]
    }),
  ]
}

const scopeId = (rule: Rule, scope: string): string => `${rule.id} scope ${scope}`
const byAlone = (scope: string): string => `justified by ${scope} alone`
const without = (scope: string): string => `refused without ${scope} alone`

/** Each alternative must be seen to do by itself, each part of an `all` to be missed. */
function endsOf({ mode, scopes }: Justification): string[] {
  if (scopes.length === 1) return [byAlone(scopes[0] ?? ''), REFUSED]
  return mode === 'any' ? [...scopes.map(byAlone), REFUSED] : ['justified', ...scopes.map(without)]
}

function justificationsOf({ services }: Ruleset): ReadonlyMap<string, Justification> {
  const all = new Map<string, Justification>()
  for (const service of services.values()) {
    for (const rule of service.rules.values()) {
      for (const [scope, one] of rule.scopes) all.set(scopeId(rule, scope), one)
    }
  }
  return all
}

function noteHop(
  { rehearsal }: HopResult,
  justifications: ReadonlyMap<string, Justification>,
  seen: Set<string>,
): void {
  if (rehearsal === undefined) return
  for (const traced of rehearsal.trace) {
    for (const what of endsSeen(traced, justifications))
      seen.add(keyOf(traced.step.predicate, what))
  }
  const { result } = rehearsal
  if (!result.ok) return
  if (result.value.kind === 'minted') noteMinted(result.value.decision, result.value.minted, seen)
  else seen.add(keyOf(result.value.decision.rule.id, GRANTED))
}

function noteMinted({ rule, scopes }: Allow, { children }: Minted, seen: Set<string>): void {
  seen.add(keyOf(rule.id, GRANTED))
  for (const scope of scopes) seen.add(keyOf(scopeId(rule, scope), GRANTED))
  for (const { child, minted } of children) {
    const { decision } = child.tailored
    if (!minted.ok || !decision.allow) continue
    seen.add(keyOf(rule.id, `with ${child.embed.to} inside`))
    noteMinted(decision, minted.value, seen)
  }
}

/** Which ends of a predicate a step shows; one in audit mode passes and says what it found. */
function endsSeen(
  { step, facts }: TracedStep,
  justifications: ReadonlyMap<string, Justification>,
): readonly string[] {
  const holds = step.passed && !step.audited
  switch (step.kind) {
    case 'deny':
      return [holds ? QUIET : FIRES]
    case 'actor':
      return holds ? [`taken of ${facts.actor?.issuer}`] : []
    case 'scope': {
      const justification = justifications.get(step.predicate)
      return justification === undefined
        ? []
        : scopeEnds(justification, facts.subject.scopes, holds)
    }
    default:
      return [holds ? HOLDS : FAILS]
  }
}

function scopeEnds(
  { scopes }: Justification,
  brings: ReadonlySet<string>,
  holds: boolean,
): readonly string[] {
  const there = scopes.filter((scope) => brings.has(scope))
  const missing = scopes.filter((scope) => !brings.has(scope))
  if (holds) return there.length === 1 ? ['justified', ...there.map(byAlone)] : ['justified']
  return missing.length === 1 ? [REFUSED, ...missing.map(without)] : [REFUSED]
}
