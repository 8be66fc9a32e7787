// Owns what of a graph is shown: what lies on a path, and what was observed at it.
// Must stay pure, and must not know how a picture is written or where counts come from.
import { SELF } from '../../subjects/subject.ts'
import {
  compare,
  type EdgeCounts,
  type GraphEdge,
  type GraphSource,
  type GraphStray,
  group,
  type RuleGraph,
} from './model.ts'

/** Names that a person may mean by `word`: a service in full or by its short name, or an issuer. */
export function nodesNamed(graph: RuleGraph, word: string): readonly string[] {
  const services = graph.services.map(({ name }) => name)
  if (services.includes(word)) return [word]
  const short = services.filter((name) => name.endsWith(`/${word}`))
  return [...short, ...graph.issuers.filter((issuer) => issuer === word)]
}

/**
 * What lies on a path from one node, to another, or between them, and the nodes themselves. A path
 * follows a token: what was exchanged goes on as a token of ours, what was forwarded as its issuer's. It
 * stops where a deny always fires, and takes every scope along: what a chain of requests can really obtain
 * is another question.
 */
export function between(
  graph: RuleGraph,
  ends: { readonly from?: string | undefined; readonly to?: string | undefined },
): RuleGraph {
  const { from, to } = ends
  if (from === undefined && to === undefined) return graph
  const steps = [
    ...graph.sources.map(sourceStep),
    ...graph.edges.filter(({ denied }) => !denied).map(edgeStep),
  ]
  const ahead = from === undefined ? undefined : reach(from, steps)
  const behind = to === undefined ? undefined : reach(to, steps.map(turned))
  const isOn = (step: Step): boolean =>
    (ahead?.has(keyOf(step.from)) ?? true) && (behind?.has(keyOf(step.to)) ?? true)
  const edges = graph.edges.filter((edge) => isOn(edgeStep(edge)))
  const sources = graph.sources.filter((source) => isOn(sourceStep(source)))
  const strays = graph.strays.filter((stray) => from === stray.from || to === stray.to)
  const kept = new Set([from, to, ...[...edges, ...strays].flatMap((edge) => [edge.from, edge.to])])
  for (const source of sources) kept.add(source.issuer).add(source.to)
  return {
    ...graph,
    issuers: graph.issuers.filter((issuer) => kept.has(issuer)),
    services: graph.services.filter(({ name }) => kept.has(name)),
    sources,
    edges,
    strays,
    unusable: [],
  }
}

/** Somebody with a token of an issuer; an issuer itself has its own. */
interface Holder {
  readonly name: string
  readonly issuer: string
}

interface Step {
  readonly from: Holder
  readonly to: Holder
}

const sourceStep = ({ issuer, to }: GraphSource): Step => ({
  from: { name: issuer, issuer },
  to: { name: to, issuer },
})

const edgeStep = ({ from, to, issuer, forward }: GraphEdge): Step => ({
  from: { name: from, issuer },
  to: { name: to, issuer: forward ? issuer : SELF },
})

const turned = ({ from, to }: Step): Step => ({ from: to, to: from })

const keyOf = ({ name, issuer }: Holder): string => `${name}|${issuer}`

/** Who holds what, from where on `name` holds anything. */
function reach(name: string, steps: readonly Step[]): ReadonlySet<string> {
  const next = group(steps, ({ from }) => keyOf(from))
  const holders = steps.flatMap(({ from, to }) => [from, to])
  const reached = new Set(holders.filter((holder) => holder.name === name).map(keyOf))
  // A set hands out what is added while it is walked.
  for (const holder of reached) for (const { to } of next.get(holder) ?? []) reached.add(keyOf(to))
  return reached
}

/** What the audit counted of one rule and one caller. */
export interface ObservedUse extends EdgeCounts {
  /** Undefined where no rule came near. */
  readonly rule: string | undefined
  readonly caller: string
  readonly target: string
}

/** The graph with what was observed: counts at each edge, and requests that have none. */
export function withCounts(graph: RuleGraph, observed: readonly ObservedUse[]): RuleGraph {
  const keys = new Set(graph.edges.map(({ rule, from }) => `${rule}|${from}`))
  const names = new Set(graph.services.map(({ name }) => name))
  const counts = new Map<string, EdgeCounts>()
  const strays = new Map<string, GraphStray>()
  for (const use of observed) {
    const { rule, caller, target } = use
    const key = `${rule}|${caller}`
    if (keys.has(key)) counts.set(key, plus(counts.get(key) ?? NOTHING, use))
    else if (names.has(caller) && names.has(target)) {
      const ends = `${caller}|${target}`
      const { granted, denied } = plus(strays.get(ends) ?? NOTHING, use)
      strays.set(ends, { from: caller, to: target, granted, denied })
    }
  }
  return {
    ...graph,
    edges: graph.edges.map((edge) => ({
      ...edge,
      counts: counts.get(`${edge.rule}|${edge.from}`) ?? NOTHING,
    })),
    strays: [...strays.values()].sort((a, b) => compare(a.from, b.from) || compare(a.to, b.to)),
  }
}

const NOTHING: EdgeCounts = { granted: 0, embedded: 0, denied: 0, wouldDeny: 0 }

const plus = (a: Partial<EdgeCounts>, b: EdgeCounts): EdgeCounts => ({
  granted: (a.granted ?? 0) + b.granted,
  embedded: (a.embedded ?? 0) + b.embedded,
  denied: (a.denied ?? 0) + b.denied,
  wouldDeny: (a.wouldDeny ?? 0) + b.wouldDeny,
})
