// Owns the way from a ruleset to its graph: which rules are edges, what each of them lets through.
// Must stay pure, and must not know how a graph is written.
import { SELF } from '../../subjects/subject.ts'
import { namesCaller, ruleFor } from '../rule-for.ts'
import type { Deny, Rule, Ruleset, Service, ServiceName } from '../ruleset.ts'
import {
  compare,
  type GraphDeny,
  type GraphEdge,
  type GraphService,
  type GraphSource,
  group,
  type RuleGraph,
} from './model.ts'

/** The graph of a ruleset. */
export function graphOf(ruleset: Ruleset): RuleGraph {
  const callers = callersOf(ruleset)
  const embedding = embeddingOf(ruleset)
  const edges: GraphEdge[] = []
  const unusable: string[] = []
  const services: GraphService[] = []
  for (const target of ruleset.services.values()) {
    const own: GraphEdge[] = []
    const unused = new Map([...target.rules.values()].map((rule) => [rule.id, rule]))
    const rulesFrom = group(target.rules.values(), ({ from }) => from)
    for (const caller of callers.get(target.name) ?? []) {
      for (const from of [caller.name, `${caller.namespace}/*`]) {
        for (const rule of rulesFrom.get(from) ?? []) {
          unused.delete(rule.id)
          own.push(edgeOf(target, rule, caller, embedding(target, rule, caller)))
        }
      }
    }
    services.push(serviceOf(target, own))
    edges.push(...own)
    unusable.push(...unused.keys())
  }
  return {
    hash: ruleset.hash,
    issuers: [...new Set(edges.map(({ issuer }) => issuer))].filter(isRoot).sort(compare),
    services: services.sort((a, b) => compare(a.name, b.name)),
    sources: sourcesOf(edges),
    edges: edges.sort(byEnds),
    strays: [],
    unusable: unusable.sort(compare),
  }
}

const byEnds = (a: GraphEdge, b: GraphEdge): number =>
  compare(a.from, b.from) || compare(a.to, b.to) || compare(a.issuer, b.issuer)

const isRoot = (issuer: string): boolean => issuer !== SELF

/** Callers by the targets that they list: without that half of the consent a rule is no edge. */
function callersOf(ruleset: Ruleset): ReadonlyMap<ServiceName, readonly Service[]> {
  const calls = [...ruleset.services.values()].flatMap((caller) =>
    [...caller.calls].map((target) => ({ target, caller })),
  )
  const groups = [...group(calls, ({ target }) => target)]
  return new Map(groups.map(([target, found]) => [target, found.map(({ caller }) => caller)]))
}

type Embedding = Pick<GraphEdge, 'embeds' | 'embeddedBy'>

/** What travels inside an edge's token, and inside whose token that one travels. */
function embeddingOf(
  ruleset: Ruleset,
): (target: Service, rule: Rule, caller: Service) => Embedding {
  const carried = [...ruleset.services.values()].flatMap(({ name, rules }) =>
    [...rules.values()].flatMap(({ id, embed }) => embed.map(({ to }) => ({ name, to, id }))),
  )
  const carriers = group(carried, ({ name, to }) => `${name}|${to}`)
  const known = new Map<string, number>()
  return (target, rule, caller) => ({
    embeds: rule.embed
      .map(({ to, required }) => ({ to, required, levels: levelsOf(ruleset, target, to, known) }))
      .sort((a, b) => compare(a.to, b.to)),
    embeddedBy:
      rule.issuer === SELF
        ? (carriers.get(`${caller.name}|${target.name}`) ?? []).map(({ id }) => id).sort(compare)
        : [],
  })
}

/** How many tokens lie inside one another from the one for `to` that `holder`'s token carries. */
function levelsOf(
  ruleset: Ruleset,
  holder: Service,
  to: ServiceName,
  known: Map<string, number>,
): number {
  const key = `${holder.name}|${to}`
  const found = known.get(key)
  if (found !== undefined) return found
  // Loading refuses circles; one in a value made by hand ends here.
  known.set(key, 1)
  const target = ruleset.services.get(to)
  const embed = target && ruleFor(target, holder, SELF)?.embed
  const inner = (embed ?? []).map((child) => levelsOf(ruleset, target ?? holder, child.to, known))
  const levels = 1 + Math.max(0, ...inner)
  known.set(key, levels)
  return levels
}

function edgeOf(target: Service, rule: Rule, caller: Service, embedding: Embedding): GraphEdge {
  const met = target.denies.filter(
    ({ from, issuer }) =>
      (issuer === undefined || issuer === rule.issuer) &&
      (from === undefined || namesCaller(from, caller)),
  )
  return {
    from: caller.name,
    to: target.name,
    rule: rule.id,
    issuer: rule.issuer,
    scopes: [...rule.scopes]
      .map(([scope, { mode, scopes, when }]) => ({
        scope,
        mode,
        from: [...scopes].sort(compare),
        when: when && { source: when.expression.source, mode: when.mode },
      }))
      .sort((a, b) => compare(a.scope, b.scope)),
    act: rule.act,
    actors: [...rule.actors].sort(compare),
    when: rule.when && { source: rule.when.expression.source, mode: rule.when.mode },
    forward: rule.forward,
    ...embedding,
    denies: met.filter(isNarrow).map(denyOf),
    denied: met.some(({ when, mode }) => when === undefined && mode === 'enforce'),
    lifetimeSeconds: rule.forward ? undefined : target.lifetimeSeconds,
  }
}

/** Whether a deny names somebody: it stands at the edges that it meets, others stand at the service. */
const isNarrow = ({ from, issuer }: Deny): boolean => from !== undefined || issuer !== undefined

const denyOf = ({ reason, mode, when, from, issuer }: Deny): GraphDeny => ({
  reason,
  mode,
  when: when?.source,
  from: from && [...from].sort(compare),
  issuer,
})

function serviceOf(service: Service, edges: readonly GraphEdge[]): GraphService {
  const { name, namespace, audience, external, clientKeysFile } = service
  const short = name.slice(namespace.length + 1)
  const shown = new Set(edges.flatMap(({ denies }) => denies.map(keyOf)))
  return {
    name,
    namespace,
    kind: external ? 'external' : clientKeysFile === undefined ? 'mesh' : 'outside',
    audience: audience === `${short}.${namespace}` ? undefined : audience,
    lifetimeSeconds: edges.some(({ forward }) => !forward) ? service.lifetimeSeconds : undefined,
    embeddable: service.embeddable,
    grants: [...service.grants].sort(compare),
    claims: [...service.claims].sort(compare),
    ctx: [...service.ctx.keys()].sort(compare),
    denies: service.denies.map(denyOf).filter((deny) => !shown.has(keyOf(deny))),
  }
}

const keyOf = (deny: GraphDeny): string => JSON.stringify(deny)

function sourcesOf(edges: readonly GraphEdge[]): readonly GraphSource[] {
  const sources = new Map<string, GraphSource>()
  for (const { issuer, from } of edges) {
    if (isRoot(issuer)) sources.set(`${issuer}|${from}`, { issuer, to: from })
  }
  return [...sources.values()].sort((a, b) => compare(a.issuer, b.issuer) || compare(a.to, b.to))
}
