// Owns the picture of a ruleset as a value: services, issuers, the edges that can be used, what was observed.
// Must stay pure, and must not know how it is made or written.
import type { ConditionMode, Rule, ServiceName } from '../ruleset.ts'

/** A ruleset as nodes and edges. Lists are sorted, so that equal rulesets give equal pictures. */
export interface RuleGraph {
  /** Of the ruleset. */
  readonly hash: string
  readonly issuers: readonly string[]
  readonly services: readonly GraphService[]
  /** Which services hand in tokens of which issuer. */
  readonly sources: readonly GraphSource[]
  readonly edges: readonly GraphEdge[]
  /** What the audit has beside the edges; empty without counts. */
  readonly strays: readonly GraphStray[]
  /** Rules that are no edge, since no caller lists the target in `calls`. */
  readonly unusable: readonly string[]
}

export interface GraphService {
  readonly name: ServiceName
  readonly namespace: string
  /** `external` is only a target, `outside` only a caller that proves itself by keys. */
  readonly kind: 'mesh' | 'external' | 'outside'
  /** Undefined where it is the default, `<name>.<namespace>`. */
  readonly audience: string | undefined
  /** Of tokens for it; undefined where none can be obtained. */
  readonly lifetimeSeconds: number | undefined
  readonly embeddable: boolean
  readonly grants: readonly string[]
  /** Subject claims that it sees. */
  readonly claims: readonly string[]
  /** Members of its tokens' claim `ctx`. */
  readonly ctx: readonly string[]
  /** Denies of every caller and issuer, and those that meet no edge. */
  readonly denies: readonly GraphDeny[]
}

export interface GraphSource {
  readonly issuer: string
  readonly to: ServiceName
}

export interface GraphCondition {
  readonly source: string
  readonly mode: ConditionMode
}

export interface GraphDeny {
  readonly reason: string
  readonly mode: ConditionMode
  /** Undefined means always. */
  readonly when: string | undefined
  /** Sorted; undefined means every caller. */
  readonly from: readonly string[] | undefined
  readonly issuer: string | undefined
}

export interface GraphScope {
  readonly scope: string
  readonly mode: 'any' | 'all'
  /** Scopes of the subject token. */
  readonly from: readonly string[]
  readonly when: GraphCondition | undefined
}

/** One caller's use of one rule: a rule for `namespace/*` is as many edges as it has callers. */
export interface GraphEdge {
  readonly from: ServiceName
  readonly to: ServiceName
  /** The rule's id. */
  readonly rule: string
  readonly issuer: string
  readonly scopes: readonly GraphScope[]
  readonly act: Rule['act']
  readonly actors: readonly string[]
  readonly when: GraphCondition | undefined
  /** The subject token itself is handed on; else a new one is issued. */
  readonly forward: boolean
  /** Tokens inside the one that is issued; `levels` is how deep they lie inside one another. */
  readonly embeds: readonly {
    readonly to: ServiceName
    readonly required: boolean
    readonly levels: number
  }[]
  /** Rules whose tokens carry this edge's token along. */
  readonly embeddedBy: readonly string[]
  /** Denies that name this caller or issuer. */
  readonly denies: readonly GraphDeny[]
  /** One of the denies always fires, here or for every caller: the edge is shut. */
  readonly denied: boolean
  /** Of the issued token; undefined where the subject token is forwarded. */
  readonly lifetimeSeconds: number | undefined
  /** Undefined without an overlay. */
  readonly counts?: EdgeCounts
}

/** What the audit has of an edge. */
export interface EdgeCounts {
  /** With those that were embedded. */
  readonly granted: number
  readonly embedded: number
  readonly denied: number
  /** Granted, though something in audit mode would have denied. */
  readonly wouldDeny: number
}

/** Requests between two services for which there is no edge. */
export interface GraphStray {
  readonly from: ServiceName
  readonly to: ServiceName
  /** By a ruleset that is gone. */
  readonly granted: number
  readonly denied: number
}

/** By code units: the same everywhere, whatever the locale. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Items by a key of each. */
export function group<T>(items: Iterable<T>, keyOf: (item: T) => string): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [item])
    else known.push(item)
  }
  return groups
}
