// Owns the proof: whether what must never be can come about by any chain of exchanges, and by which.
// Must not read files or print.

import { type Assumption, assumptionsOf, conditionsOf, fulfil } from '../reach/conditions.ts'
import { depthOf, type Way } from '../reach/facts.ts'
import { type Goal, type Journey, journeyOf } from '../reach/journey.ts'
import { type Explored, explore } from '../reach/reach.ts'
import { canBring } from '../reach/roots.ts'
import { shrink } from '../reach/shrink.ts'
import type { Exchange, ReachedToken, World } from '../reach/token.ts'
import type { ServiceName } from '../ruleset.ts'
import type { Never } from './never.ts'
import { type Breach, breachOf, type Invariant } from './prove-exchange.ts'

/** A shortest chain of requests that leads to what must not be. */
export interface CounterExample {
  readonly journey: Journey
  /** Whoever ends up with it; several where `never` names a namespace. */
  readonly holders: readonly ServiceName[]
  readonly assumptions: readonly Assumption[]
  /** Whether the journey runs as it is; otherwise its conditions were only counted as possibly true. */
  readonly isFulfilled: boolean
}

/** An entry of `never` and what was found. */
export interface NeverVerdict {
  readonly never: Never
  readonly counterExample: CounterExample | undefined
}

/** What holds of all tokens, whatever the rules say. */
export interface InvariantVerdict {
  readonly invariant: Invariant
  readonly breach: Breach | undefined
  /** The requests that lead to it. */
  readonly journey: Journey | undefined
}

export interface Proof {
  readonly nevers: readonly NeverVerdict[]
  readonly invariants: readonly InvariantVerdict[]
  readonly explored: Explored
  /** Places of conditions that counted as possibly true, sorted. */
  readonly conditions: readonly string[]
}

/** A way, and what is at its end. */
interface WantedWay {
  readonly way: Way
  readonly wanted: Omit<Goal, 'path'>
}

const INVARIANTS: readonly Invariant[] = [
  'scopes-have-roots',
  'claims-are-listed',
  'lifetimes-shrink',
]

/** Whether everything holds, and all was looked at. */
export const holds = ({ nevers, invariants, explored }: Proof): boolean =>
  explored.complete &&
  nevers.every(({ counterExample }) => counterExample === undefined) &&
  invariants.every(({ breach }) => breach === undefined)

/** Proves entries of `never`, and that every token has its scopes, claims and lifetime from somewhere. */
export function prove(
  world: World,
  nevers: readonly Never[],
  options: { readonly maxExchanges?: number } = {},
): Proof {
  const breaches = new Map<Invariant, { readonly breach: Breach; readonly exchange: Exchange }>()
  const conditions = new Set<string>()
  const seen = new Set<string>()
  const rootBreaches = new Map<ReachedToken, Breach | undefined>()
  const breachOfRoot = ({ subject }: Exchange): Breach | undefined => {
    if (!rootBreaches.has(subject)) rootBreaches.set(subject, rootBreach(world, subject))
    return rootBreaches.get(subject)
  }
  const reach = explore(world, {
    ...options,
    asked: {
      scopes: nevers.flatMap((never) => (never.kind === 'obtains' ? [never.scope] : [])),
      claims: nevers.flatMap((never) => (never.kind === 'sees' ? [never.claim] : [])),
    },
    onExchange(exchange, tailored) {
      const breach = breachOf(tailored) ?? breachOfRoot(exchange)
      if (breach !== undefined && !breaches.has(breach.invariant)) {
        breaches.set(breach.invariant, { breach, exchange })
      }
      const { rule, target, caller } = exchange
      const key = `${caller.name} ${rule.id}`
      if (seen.has(key)) return
      seen.add(key)
      for (const { predicate } of conditionsOf(target, rule, caller)) conditions.add(predicate)
    },
  })
  return {
    nevers: nevers.map((never) => ({ never, counterExample: counterExampleOf(never) })),
    invariants: INVARIANTS.map((invariant) => {
      const found = breaches.get(invariant)
      const journey = found && journeyTo(found.exchange)
      return { invariant, breach: found?.breach, journey }
    }),
    explored: reach.explored,
    conditions: [...conditions].sort(),
  }

  function counterExampleOf(never: Never): CounterExample | undefined {
    const found = never.holders
      .flatMap(({ name }) => waysTo(never, name))
      .sort(
        (a, b) => depthOf(a.way) - depthOf(b.way) || (a.wanted.holder < b.wanted.holder ? -1 : 1),
      )
    const [first] = found
    if (first === undefined) return undefined
    const example = explain(world, first.way, first.wanted)
    return { ...example, holders: [...new Set(found.map(({ wanted }) => wanted.holder))] }
  }

  /** Shortest ways, one for each service that accepts the token. */
  function waysTo(never: Never, holder: ServiceName): readonly WantedWay[] {
    if (never.kind === 'sees') {
      const { claim } = never
      const sight = reach.facts.sees(holder, claim)
      return sight === undefined ? [] : [{ way: sight.way, wanted: { holder, claim } }]
    }
    const { scope, targets = [...world.ruleset.services.values()] } = never
    return targets.flatMap(({ name: target }) => {
      const holding = reach.facts.obtains(holder, target, scope)
      return holding === undefined ? [] : [{ way: holding.way, wanted: { holder, target, scope } }]
    })
  }
}

/** The least journey of a way, its conditions, and whether it runs without assuming them. */
export function explain(
  world: World,
  way: Way,
  wanted: Omit<Goal, 'path'>,
): Omit<CounterExample, 'holders'> {
  const least = shrink(world, journeyOf(way, wanted))
  const assumptions = assumptionsOf(world, least)
  const fulfilled = fulfil(world, least, assumptions)
  return { journey: fulfilled ?? least, assumptions, isFulfilled: fulfilled !== undefined }
}

/** A root token brings only what its issuer's `scopes_from` or a workload's grants give. */
function rootBreach(world: World, subject: ReachedToken): Breach | undefined {
  if (subject.arrival !== undefined) return undefined
  const issuer = world.issuers.get(subject.issuer)
  for (const scope of subject.scopes) {
    const isBrought =
      issuer === undefined
        ? subject.service?.grants.has(scope) === true
        : canBring(scope, issuer.scopesFrom)
    if (isBrought) continue
    return { invariant: 'scopes-have-roots', detail: `${subject.issuer} cannot bring ${scope}` }
  }
  return undefined
}

function journeyTo(exchange: Exchange): Journey {
  const way: Way = { from: exchange, variant: undefined, path: [] }
  return journeyOf(way, { holder: exchange.target.name })
}
