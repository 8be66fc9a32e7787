// Owns the difference of two rulesets: what becomes possible and by which chain, what no longer is.
// Must not read files or print.

import { depthOf, type Way } from '../reach/facts.ts'
import { type Goal, type Journey, journeyOf } from '../reach/journey.ts'
import { type Explored, explore, type Reach } from '../reach/reach.ts'
import { shrink } from '../reach/shrink.ts'
import type { World } from '../reach/token.ts'
import type { ServiceName } from '../ruleset.ts'
import { compareEdge, type Easing } from './edges.ts'
import { lostClaims, reversedBy } from './reversals.ts'
import { CLAIMS, compareGrants, compareIssuers, compareService } from './services.ts'

/** Scopes of one service that another comes to hold by one chain. */
export interface ScopesGained {
  readonly holder: ServiceName
  readonly target: ServiceName
  readonly scopes: readonly string[]
  readonly requests: number
  /** A shortest way to the first of them; undefined beyond {@link MAX_EXPLAINED}. */
  readonly journey: Journey | undefined
}

/** Claims that a service comes to see by one chain. */
export interface ClaimsGained {
  readonly service: ServiceName
  readonly claims: readonly string[]
  readonly requests: number
  readonly journey: Journey | undefined
}

/** What one ruleset has over another. */
export interface Surplus {
  readonly scopes: readonly ScopesGained[]
  readonly claims: readonly ClaimsGained[]
  /** `caller → target [issuer]`: exchanges that are possible at all. */
  readonly edges: readonly string[]
  /** What it asks less strictly, where tokens get. */
  readonly eased: readonly Easing[]
}

export interface RulesDiff {
  readonly gained: Surplus
  readonly lost: Surplus
  /** Whether both were looked at as a whole. */
  readonly complete: boolean
  readonly explored: { readonly before: Explored; readonly after: Explored }
}

/** More chains than that are not read; the facts are told all the same. */
export const MAX_EXPLAINED = 200

/** Compares two rulesets, each with the issuers that it is for. */
export function diffRules(
  before: World,
  after: World,
  options: { readonly maxExchanges?: number } = {},
): RulesDiff {
  const asked = { scopes: [], claims: [...claimsIn(before), ...claimsIn(after)] }
  const [old, young] = [before, after].map((world) => explore(world, { ...options, asked })) as [
    Reach,
    Reach,
  ]
  const gained = surplus(young, old)
  const lost = surplus(old, young)
  const reversed = reversedBy(young, {
    claims: lostClaims(before, after),
    scopes: lost.scopes.length > 0 || lost.eased.some(({ what }) => what.startsWith('scope ')),
    life: lost.eased.some(({ what }) => what === 'lifetime'),
  })
  return {
    gained: { ...gained, eased: merged([...gained.eased, ...reversed]) },
    lost: backwards(lost),
    complete: old.explored.complete && young.explored.complete,
    explored: { before: old.explored, after: young.explored },
  }
}

/** What is tightened is told from old to new as well; what cannot be compared is told once. */
function backwards({ eased, ...rest }: Surplus): Surplus {
  const turned = eased
    .filter(({ kind }) => kind === 'eased')
    .map((easing) => ({ ...easing, before: easing.after, after: easing.before }))
  return { ...rest, eased: turned }
}

/** Whether anything is, or may be, allowed that was not. */
export const allowsMore = ({ gained, complete }: RulesDiff): boolean =>
  !complete || !isEmpty(gained)

export const isEmpty = ({ scopes, claims, edges, eased }: Surplus): boolean =>
  scopes.length + claims.length + edges.length + eased.length === 0

/** Both are asked about the claims of either: who holds an issuer's token sees all of them. */
const claimsIn = ({ ruleset }: World): readonly string[] =>
  [...ruleset.services.values()].flatMap(({ claims, readClaims }) => [...claims, ...readClaims])

function surplus(more: Reach, less: Reach): Surplus {
  const explainer = createExplainer(more.world)
  const claims = claimsOver(more, less, explainer)
  const told = new Set(
    claims.flatMap(({ service, claims: seen }) => seen.map((claim) => `${service} ${claim}`)),
  )
  const isTold = ({ where, what, after }: Easing) =>
    what === CLAIMS && told.has(`${where} ${after}`)
  return {
    scopes: scopesOver(more, less, explainer),
    claims,
    edges: [...more.edges]
      .filter(([key]) => !less.edges.has(key))
      .map(([, { caller, target, rule }]) => `${caller.name} → ${target.name} [${rule.issuer}]`)
      .sort(),
    eased: easedIn(more, less.world).filter((easing) => !isTold(easing)),
  }
}

type Explain = (way: Way, wanted: Omit<Goal, 'path'>) => Journey | undefined

function createExplainer(world: World): Explain {
  let left = MAX_EXPLAINED
  return (way, wanted) => (left-- > 0 ? shrink(world, journeyOf(way, wanted)) : undefined)
}

function scopesOver(more: Reach, less: Reach, explain: Explain): readonly ScopesGained[] {
  const gained: ScopesGained[] = []
  for (const [holder, target, ways] of more.facts.holdings()) {
    const byWay = new Map<Way, string[]>()
    for (const [scope, way] of ways) {
      if (less.facts.obtains(holder, target, scope) !== undefined) continue
      byWay.set(way, [...(byWay.get(way) ?? []), scope])
    }
    for (const [way, scopes] of byWay) {
      const journey = explain(way, { holder, target, scope: scopes[0] ?? '' })
      gained.push({ holder, target, scopes, requests: depthOf(way), journey })
    }
  }
  return gained.sort((a, b) =>
    compare([a.holder, a.target, ...a.scopes], [b.holder, b.target, ...b.scopes]),
  )
}

function claimsOver(more: Reach, less: Reach, explain: Explain): readonly ClaimsGained[] {
  const byService = new Map<string, { service: ServiceName; way: Way; claims: string[] }>()
  for (const { service, claim, way } of more.facts.sights()) {
    if (less.facts.sees(service, claim) !== undefined) continue
    // Claims that come along together are told together.
    const key = `${service} ${JSON.stringify(hopsOf(way, { holder: service, claim }))}`
    const known = byService.get(key)
    if (known === undefined) byService.set(key, { service, way, claims: [claim] })
    else known.claims.push(claim)
  }
  return [...byService.values()]
    .map(({ service, way, claims }) => {
      const journey = explain(way, { holder: service, claim: claims[0] ?? '' })
      return { service, claims, requests: depthOf(way), journey }
    })
    .sort((a, b) => compare([a.service, ...a.claims], [b.service, ...b.claims]))
}

const hopsOf = (way: Way, wanted: Omit<Goal, 'path'>) => {
  const { root, hops, goal } = journeyOf(way, wanted)
  return [
    root.issuer,
    hops.map(({ caller, target, uses }) => [caller.name, target.name, uses]),
    goal.path,
  ]
}

const compare = (a: readonly string[], b: readonly string[]): number => {
  const [one, other] = [a.join(' '), b.join(' ')]
  return one < other ? -1 : one > other ? 1 : 0
}

/** What `more` asks less strictly than `less`, over the edges that tokens go over. */
function easedIn(more: Reach, less: World): readonly Easing[] {
  const found: Easing[] = []
  const add = (easings: readonly Easing[]) => void found.push(...easings)
  const services = new Set<ServiceName>()
  for (const exchange of more.edges.values()) {
    services.add(exchange.caller.name).add(exchange.target.name)
    add(compareEdge(less, exchange))
    if (exchange.rule.issuer === 'workload') add(compareGrants(less, exchange))
  }
  for (const name of services) {
    const [old, young] = [less, more.world].map(({ ruleset }) => ruleset.services.get(name))
    if (old !== undefined && young !== undefined) add(compareService(old, young))
  }
  add(compareIssuers(less, more.world))
  return merged(found)
}

/** Sorted; what is the same for several callers once. */
function merged(easings: readonly Easing[]): readonly Easing[] {
  const found = new Map<string, Easing>()
  for (const easing of easings) {
    const key = JSON.stringify([easing.where, easing.what, easing.before, easing.after])
    const callers = new Set([...(found.get(key)?.callers ?? []), ...easing.callers])
    found.set(key, { ...easing, callers: [...callers].sort() })
  }
  return [...found.values()].sort((a, b) =>
    compare([a.where, a.what, a.after ?? ''], [b.where, b.what, b.after ?? '']),
  )
}
