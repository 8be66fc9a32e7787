// Owns what came out of an exploration: who can hold which scopes for whom, who can see which claims.
// Must not explore; of two ways to the same it keeps the one that is told first, which is a shortest.

import type { ServiceName } from '../ruleset.ts'
import type { Arrival, Exchange, ReachedToken } from './token.ts'

/** How a token came into somebody's hands: a root token as it is, or by an exchange. */
export interface Way {
  readonly from: ReachedToken | Exchange
  /** How the token came that is forwarded; undefined for a root token, and where nothing is forwarded. */
  readonly variant: Arrival | undefined
  /** Members of `embedded` that lead to the token, from the result or the forwarded token. */
  readonly path: readonly string[]
}

/** Scopes of a token that a service holds and another accepts. */
export interface Holding {
  readonly holder: ServiceName
  readonly target: ServiceName
  readonly scopes: ReadonlySet<string>
  readonly way: Way
}

/** A claim in a token that a service holds. */
export interface Sight {
  readonly service: ServiceName
  readonly claim: string
  readonly way: Way
}

/** What is known so far. */
export interface Facts {
  readonly hold: (holding: Holding) => void
  readonly see: (sight: Sight) => void
  /** A shortest way by which `holder` comes to a token with this scope that `target` accepts. */
  readonly obtains: (holder: ServiceName, target: ServiceName, scope: string) => Holding | undefined
  readonly sees: (service: ServiceName, claim: string) => Sight | undefined
  /** Each (holder, target) with all its scopes, and the way to each. */
  readonly holdings: () => Iterable<readonly [ServiceName, ServiceName, ReadonlyMap<string, Way>]>
  readonly sights: () => Iterable<Sight>
}

/** Requests that a way takes. */
export const depthOf = ({ from }: Way): number => ('depth' in from ? from.depth : 0)

/** Makes an empty collection. */
export function createFacts(): Facts {
  const holdings = new Map<ServiceName, Map<ServiceName, Holding[]>>()
  const sights = new Map<ServiceName, Map<string, Sight>>()
  return {
    hold(holding) {
      const { holder, target, scopes } = holding
      const ofHolder = entryOf(holdings, holder, () => new Map<ServiceName, Holding[]>())
      const known = entryOf(ofHolder, target, (): Holding[] => [])
      // What was told before is no longer than this.
      if (!known.some((other) => isSubset(scopes, other.scopes))) known.push(holding)
    },
    see(sight) {
      const ofService = entryOf(sights, sight.service, () => new Map<string, Sight>())
      if (!ofService.has(sight.claim)) ofService.set(sight.claim, sight)
    },
    obtains: (holder, target, scope) =>
      holdings
        .get(holder)
        ?.get(target)
        ?.find(({ scopes }) => scopes.has(scope)),
    sees: (service, claim) => sights.get(service)?.get(claim),
    *holdings() {
      for (const [holder, byTarget] of holdings) {
        for (const [target, known] of byTarget) yield [holder, target, waysOf(known)] as const
      }
    },
    *sights() {
      for (const ofService of sights.values()) yield* ofService.values()
    },
  }
}

function waysOf(holdings: readonly Holding[]): ReadonlyMap<string, Way> {
  const ways = new Map<string, Way>()
  for (const { scopes, way } of holdings) {
    for (const scope of scopes) if (!ways.has(scope)) ways.set(scope, way)
  }
  return ways
}

/** Whether all of `inner` is in `outer`. */
export function isSubset(inner: Iterable<string>, outer: ReadonlySet<string>): boolean {
  for (const item of inner) if (!outer.has(item)) return false
  return true
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
