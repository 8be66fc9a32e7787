// Owns the conditions on the way of a journey, and a search for claims that make them come true.
// Must not choose the way.
import type { Tailored } from '../../tokens/tailor.ts'
import type { Allow } from '../decision.ts'
import type { Expression } from '../expression/expression.ts'
import { namesCaller } from '../rule-for.ts'
import type { Condition, Rule, Service } from '../ruleset.ts'
import { type Journey, type RootToken, travel } from './journey.ts'
import { canBring } from './roots.ts'
import type { World } from './token.ts'

/** What a condition counted as. */
export interface Assumption {
  /** Its place: `<rule id> when`, `<rule id> scope <scope> when`, `<deny id>`, `<service> ctx <name>`. */
  readonly predicate: string
  readonly expression: Expression
  readonly as: 'true' | 'false' | 'computed'
}

/** The conditions of everything that a rule may give to a caller. */
export function conditionsOf(
  target: Service,
  rule: Rule,
  caller: Pick<Service, 'name' | 'namespace'>,
  scopes: Iterable<string> = rule.scopes.keys(),
): readonly Assumption[] {
  const found: Assumption[] = []
  const enforced = (condition: Condition | undefined, predicate: string) => {
    if (condition?.mode !== 'enforce') return
    found.push({ predicate, expression: condition.expression, as: 'true' })
  }
  for (const { id, from, issuer, when, mode } of target.denies) {
    const concerns =
      (issuer === undefined || issuer === rule.issuer) &&
      (from === undefined || namesCaller(from, caller))
    if (when === undefined || mode === 'audit' || !concerns) continue
    found.push({ predicate: id, expression: when, as: 'false' })
  }
  enforced(rule.when, `${rule.id} when`)
  if (rule.forward) return found
  for (const scope of scopes)
    enforced(rule.scopes.get(scope)?.when, `${rule.id} scope ${scope} when`)
  for (const [name, entry] of target.ctx) {
    if (entry.kind !== 'computed') continue
    found.push({
      predicate: `${target.name} ctx ${name}`,
      expression: entry.expression,
      as: 'computed',
    })
  }
  return found
}

/** Conditions that a journey depends on, each once. */
export function assumptionsOf(world: World, journey: Journey): readonly Assumption[] {
  const { hops, goal } = journey
  const { results } = travel(world, journey)
  const found = new Map<string, Assumption>()
  for (const [at, { caller }] of hops.entries()) {
    const [result, next] = [results[at], results[at + 1]]
    if (result === undefined) continue
    // A token that is forwarded is still the one that the request before gave.
    const isLast = next === undefined || next.outcome === 'forwarded'
    const used = [...(hops[at + 1]?.uses ?? []), ...(isLast ? goal.path : [])]
    for (const one of conditionsOfResult(result, caller, used)) found.set(one.predicate, one)
  }
  return [...found.values()]
}

/** Of the result, of the tokens on the way inwards to the one that is used, and of those that are required. */
function conditionsOfResult(
  result: Tailored,
  caller: Service,
  used: readonly string[],
): readonly Assumption[] {
  if (result.outcome === 'denied') return []
  const { target, rule, scopes }: Allow = result.decision
  const own = conditionsOf(target, rule, caller, scopes)
  if (result.outcome === 'forwarded') return own
  const [next, ...inwards] = used
  const inner = result.children.flatMap(({ embed, tailored }) => {
    if (embed.member === next) return conditionsOfResult(tailored, target, inwards)
    return embed.required ? conditionsOfResult(tailored, target, []) : []
  })
  return [...own, ...inner]
}

/** Each try runs the whole journey; what is not found by then is left to a person. */
const MAX_TRIES = 2_000

/**
 * Looks for claims, and scopes beside those that are needed, with which the journey runs without any
 * assumption: values that its conditions name, `true`, `false` and absence. Undefined where none does.
 */
export function fulfil(
  world: World,
  journey: Journey,
  assumptions: readonly Assumption[],
): Journey | undefined {
  const { root } = journey
  const choices = choicesOf(journey, assumptions)
  const named = assumptions.flatMap(({ expression }) => literalsIn(expression).texts)
  const scopes = [...new Set([...root.scopes, ...named])].filter((scope) =>
    brings(world, root, scope),
  )
  for (const claims of combinations(choices)) {
    for (const brought of scopes.length > root.scopes.length
      ? [root.scopes, scopes]
      : [root.scopes]) {
      const tried = { ...journey, root: { ...root, scopes: brought, claims } }
      if (travel(world, tried, {}).arrived) return tried
    }
  }
  return undefined
}

const brings = (world: World, { issuer, workload }: RootToken, scope: string): boolean =>
  workload === undefined
    ? canBring(scope, world.issuers.get(issuer)?.scopesFrom ?? [])
    : workload.grants.has(scope)

/** A claim and what it could be. */
type Choice = readonly [claim: string, values: readonly unknown[]]

function choicesOf({ root, goal }: Journey, assumptions: readonly Assumption[]): readonly Choice[] {
  const needed = new Map<string, readonly unknown[]>(
    Object.entries(root.claims).map(([name, value]) => [name, [value]]),
  )
  for (const name of new Set(assumptions.flatMap(({ expression }) => expression.claims))) {
    const isOptional = name !== goal.claim && !needed.has(name)
    const values = valuesFor(name, assumptions)
    needed.set(name, isOptional ? [ABSENT, ...values] : values)
  }
  return [...needed].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** All combinations, up to {@link MAX_TRIES}. */
function* combinations(choices: readonly Choice[]): Generator<Readonly<Record<string, unknown>>> {
  const total = choices.reduce((product, [, { length }]) => product * length, 1)
  for (let number = 0; number < Math.min(total, MAX_TRIES); number++) {
    const claims: Record<string, unknown> = {}
    let rest = number
    for (const [name, values] of choices) {
      const value = values[rest % values.length]
      rest = Math.floor(rest / values.length)
      if (value !== ABSENT) claims[name] = value
    }
    yield claims
  }
}

const ABSENT = Symbol('absent')

/** What the expressions that read a claim compare with, alone and as a list. */
function valuesFor(name: string, assumptions: readonly Assumption[]): readonly unknown[] {
  const texts: string[] = []
  const numbers: number[] = []
  for (const { expression } of assumptions) {
    if (!expression.claims.includes(name)) continue
    const literals = literalsIn(expression)
    texts.push(...literals.texts)
    numbers.push(...literals.numbers.flatMap((number) => [number, number + 1]))
  }
  return [true, false, ...texts, ...texts.map((text) => [text]), ...numbers, texts, name]
}

function literalsIn({ source }: Expression): {
  readonly texts: readonly string[]
  readonly numbers: readonly number[]
} {
  const found = [...source.matchAll(LITERAL)]
  return {
    texts: found.flatMap(([, double, single]) => double ?? single ?? []),
    numbers: found.flatMap(([, , , number]) => (number === undefined ? [] : Number(number))),
  }
}

const LITERAL = /"([^"\\]*)"|'([^'\\]*)'|\b(\d{1,15})\b/g
