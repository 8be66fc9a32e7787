// Owns mutants: rulesets in which one predicate is dropped or weakened, which some test should notice.
// Must stay pure; rulesets are copied, never changed.
import { withRule, withService } from '../edit.ts'
import type { Deny, Embed, Justification, Rule, Ruleset, Service } from '../ruleset.ts'
import type { Surroundings } from './surroundings.ts'
import { runTest, type TestResult } from './test-run.ts'
import { alwaysJustified } from './varying.ts'

/** A change that gives more, or denies less. */
export interface Mutant {
  /** The part that is changed, as in a trace. */
  readonly id: string
  /** The change in words. */
  readonly what: string
  /** Only tests that looked at this predicate can end otherwise. */
  readonly seenIn: string
  readonly make: (ruleset: Ruleset) => Ruleset
}

/** A mutant and whether a test noticed it. */
export interface MutantResult {
  readonly mutant: Mutant
  /** The first test that ended otherwise; undefined where the mutant survived. */
  readonly noticedBy: string | undefined
  /** How many tests looked at the predicate at all. */
  readonly looked: number
}

/** Runs, for each mutant, those tests that look at what it changes, until one fails. All must pass before. */
export function runMutants(
  results: readonly TestResult[],
  ruleset: Ruleset,
  surroundings: Surroundings,
  namespaces?: ReadonlySet<string>,
): readonly MutantResult[] {
  const lookers = lookersOf(results)
  return mutantsOf(ruleset, scopesOf(results), namespaces).map((mutant) => {
    const tests = lookers.get(mutant.seenIn) ?? []
    const mutated = tests.length === 0 ? ruleset : mutant.make(ruleset)
    const noticed = tests.find(({ test }) => !runTest(test, mutated, surroundings).passed)
    return { mutant, noticedBy: noticed?.test.name, looked: tests.length }
  })
}

/** Every mutant of the rules of some namespaces; of all where none are given. Predicates in audit mode have none. */
export function mutantsOf(
  ruleset: Ruleset,
  scopesBrought: ReadonlySet<string>,
  namespaces?: ReadonlySet<string>,
): readonly Mutant[] {
  // One list for all of them: there are as many as scopes.
  const brought = [...scopesBrought]
  return [...ruleset.services.values()]
    .filter(({ namespace }) => namespaces?.has(namespace) ?? true)
    .flatMap((service) => [
      ...[...service.rules.values()].flatMap((rule) =>
        mutantsOfRule(service, rule, ruleset, brought),
      ),
      ...service.denies
        .filter(({ mode }) => mode === 'enforce')
        .map((deny) => withoutDeny(service, deny)),
    ])
}

function mutantsOfRule(
  service: Service,
  rule: Rule,
  rules: Ruleset,
  brought: readonly string[],
): Mutant[] {
  const mutants: Mutant[] = []
  const add = (id: string, what: string, seenIn: string, change: Partial<Rule>) =>
    mutants.push({
      id,
      what,
      seenIn,
      make: (ruleset) => withRule(ruleset, service.name, rule, change),
    })
  if (rule.when?.mode === 'enforce') {
    add(`${rule.id} when`, 'the condition is dropped', `${rule.id} when`, { when: undefined })
  }
  for (const [scope, justification] of rule.scopes) {
    const id = `${rule.id} scope ${scope}`
    const changed = (change: Partial<Justification>) => ({
      scopes: new Map(rule.scopes).set(scope, { ...justification, ...change }),
    })
    if (justification.when?.mode === 'enforce') {
      add(`${id} when`, 'the condition is dropped', `${id} when`, changed({ when: undefined }))
    }
    if (alwaysJustified(rule, justification, rules)) continue
    add(id, 'any scope justifies it', id, changed({ mode: 'any', scopes: brought }))
    if (justification.mode === 'all' && justification.scopes.length > 1) {
      for (const one of justification.scopes) {
        const scopes = justification.scopes.filter((other) => other !== one)
        add(id, `${one} is not needed`, id, changed({ scopes }))
      }
    }
  }
  for (const embed of rule.embed) {
    if (!embed.required) continue
    const optional = (one: Embed): Embed => (one === embed ? { ...one, required: false } : one)
    add(rule.id, `the token for ${embed.to} is not required`, rule.id, {
      embed: rule.embed.map(optional),
    })
  }
  return mutants
}

const withoutDeny = (service: Service, deny: Deny): Mutant => ({
  id: deny.id,
  what: 'the deny is dropped',
  seenIn: deny.id,
  make: (ruleset) =>
    withService(ruleset, service.name, { denies: service.denies.filter((one) => one !== deny) }),
})

/** Predicates → tests that looked at them. */
function lookersOf(results: readonly TestResult[]): ReadonlyMap<string, readonly TestResult[]> {
  const lookers = new Map<string, Set<TestResult>>()
  for (const result of results) {
    for (const { rehearsal } of result.hops) {
      for (const { step } of rehearsal?.trace ?? []) {
        const known = lookers.get(step.predicate)
        if (known === undefined) lookers.set(step.predicate, new Set([result]))
        else known.add(result)
      }
    }
  }
  return new Map([...lookers].map(([predicate, tests]) => [predicate, [...tests]]))
}

/** All scopes that the tests' tokens bring: a justification by any of them asks for nothing. */
function scopesOf(results: readonly TestResult[]): ReadonlySet<string> {
  const scopes = new Set<string>()
  for (const { hops } of results) {
    for (const { rehearsal } of hops) {
      for (const { facts } of rehearsal?.trace ?? []) {
        for (const scope of facts.subject.scopes) scopes.add(scope)
      }
    }
  }
  return scopes
}
