// Owns the way from a journey with everything to one with no more than it needs.
// Must not invent requests: it leaves out scopes, claims and audiences, and travels again.
import { type Hop, type Journey, type RootToken, travel } from './journey.ts'
import type { World } from './token.ts'

/** Gives the journey without anything that could be left out alone. It must arrive as it is. */
export function shrink(world: World, journey: Journey): Journey {
  // The root first: a chain that needs little is easier to believe than one that asks for little.
  const fromLittle = shrinkRoot(world, journey)
  return shrinkRoot(world, shrinkRequests(world, fromLittle))
}

function shrinkRequests(world: World, journey: Journey): Journey {
  const arrives = (other: Journey) => travel(world, other).arrived
  let least = askForScopes(world, journey)
  for (let at = least.hops.length - 1; at >= 0; at--) {
    const { scopes } = least.hops[at] ?? {}
    if (scopes === undefined) continue
    const before = least
    // A request that names no scope asks for all.
    const suffices = (some: readonly string[]) =>
      some.length > 0 && arrives(withHop(before, at, some))
    least = withHop(before, at, fewest(scopes, suffices))
  }
  return least
}

function shrinkRoot(world: World, journey: Journey): Journey {
  const arrives = (change: Partial<RootToken>, other = journey) =>
    travel(world, withRoot(other, change)).arrived
  const { root } = journey
  const scopes = fewest(root.scopes, (some) => arrives({ scopes: some }))
  const withScopes = withRoot(journey, { scopes })
  const audiences = fewest(
    root.audiences,
    (some) => mayPresentOneOf(world, journey, some) && arrives({ audiences: some }, withScopes),
  )
  const withAudiences = withRoot(withScopes, { audiences })
  const names = fewest(Object.keys(root.claims), (some) =>
    arrives({ claims: pick(root.claims, some) }, withAudiences),
  )
  return withRoot(withAudiences, { claims: pick(root.claims, names) })
}

/** Every request names what it gets, so that it can get less. */
function askForScopes(world: World, journey: Journey): Journey {
  const { results } = travel(world, journey)
  const hops = journey.hops.map((hop, at) => {
    const result = results[at]
    return result?.outcome === 'tailored' ? { ...hop, scopes: result.decision.scopes } : hop
  })
  return { ...journey, hops }
}

/** Whether the first caller, or without requests the holder, may hand in a token with these audiences. */
function mayPresentOneOf(
  world: World,
  { root, hops, goal }: Journey,
  audiences: readonly string[],
): boolean {
  const presentedBy = world.issuers.get(root.issuer)?.presentedBy
  if (presentedBy === undefined) {
    return audiences.some((audience) => world.workloadAudiences.includes(audience))
  }
  const presenter = hops[0]?.caller.name ?? goal.holder
  return audiences.some((audience) => presentedBy.get(audience)?.has(presenter) === true)
}

const withRoot = (journey: Journey, change: Partial<RootToken>): Journey => ({
  ...journey,
  root: { ...journey.root, ...change },
})

const withHop = (journey: Journey, at: number, scopes: Hop['scopes']): Journey => ({
  ...journey,
  hops: journey.hops.map((hop, index) => (index === at ? { ...hop, scopes } : hop)),
})

const pick = (claims: Readonly<Record<string, unknown>>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, claims[name]]))

/**
 * Leaves out halves, then quarters and so on while the rest still suffices (delta debugging): of thousands of
 * scopes a few are needed.
 */
function fewest<T>(all: readonly T[], suffices: (some: readonly T[]) => boolean): readonly T[] {
  let kept = all
  for (
    let size = Math.ceil(all.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < kept.length; ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (suffices(rest)) kept = rest
      else at += size
    }
  }
  return kept
}
