// Owns counting what was used: rules, scopes, claims, what audit mode found. Counted in SQL.
// Must not know rulesets: what of one was not used is for its readers to find.
import type { Database } from '../store/database.ts'

/** What happened since a time. Decisions without a known caller or target are in none of it. */
export interface Usage {
  /** By rule, caller and target. */
  readonly edges: readonly EdgeUsage[]
  /** Scopes that were granted, by rule and target. A forwarded token's are not among them. */
  readonly scopes: readonly ScopeUsage[]
  /** Claims that were passed on, by target. */
  readonly claims: readonly ClaimUsage[]
  /** What in audit mode would have denied, by its id. */
  readonly predicates: readonly PredicateUsage[]
  /** Tokens that were put into others, by the rule that embedded them. */
  readonly embeds: readonly EmbedUsage[]
  /** Denies that ended a request, by their ids. */
  readonly denies: readonly PredicateUsage[]
  /** By the hash of the rules that decided. */
  readonly rulesets: readonly RulesetUsage[]
}

export interface EdgeUsage {
  /** The rule that decided or came nearest; undefined where none did. */
  readonly rule: string | undefined
  /** Full service names. */
  readonly caller: string
  readonly target: string
  /** With those that were embedded. */
  readonly granted: number
  readonly embedded: number
  readonly denied: number
  /** Granted, though something in audit mode would have denied. */
  readonly wouldDeny: number
  /** Of the last grant, milliseconds since the epoch; undefined where there was none. */
  readonly lastGranted: number | undefined
}

interface Used {
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly last: number
}

export interface ScopeUsage extends Used {
  readonly rule: string
  readonly target: string
  readonly scope: string
}

export interface ClaimUsage extends Used {
  readonly target: string
  readonly claim: string
}

export interface PredicateUsage extends Used {
  readonly predicate: string
}

export interface EmbedUsage extends Used {
  readonly rule: string
  /** Its member of the claim `embedded`. */
  readonly member: string
}

export interface RulesetUsage extends Used {
  readonly hash: string
  /** Milliseconds since the epoch. */
  readonly first: number
}

/**
 * Rows are grouped so many at a time: a read that lasts keeps the write-ahead log from being reused. What
 * is grouped by comes from rulesets, so however many rows there are, groups are few.
 */
const PAGE_ROWS = 20_000

interface Group {
  readonly rule: string | null
  readonly caller: string
  readonly target: string
  readonly outcome: 'granted' | 'denied'
  readonly embedded: 0 | 1
  /** JSON lists. */
  readonly scopes: string | null
  readonly claims: string | null
  readonly wouldDeny: string | null
  readonly inside: string | null
  /** The deny that ended it. */
  readonly deny: string | null
  readonly hash: string
  readonly count: number
  readonly first: number
  readonly last: number
}

/** What was used since a time (milliseconds since the epoch, inclusive). */
export function usageSince(db: Database, since: number): Usage {
  const bounds = db.prepare<[number], { first: number | null; last: number | null }>(
    'SELECT min(seq) AS first, max(seq) AS last FROM audit_events WHERE time >= ?',
  )
  const page = db.prepare<[{ since: number; from: number; to: number }], Group>(
    `SELECT record ->> '$.rule' AS rule, service AS caller, target, outcome,
            record ->> '$.caller.method' = 'embedded' AS embedded,
            record -> '$.issued.scopes' AS scopes, record -> '$.issued.claims' AS claims,
            record -> '$.would_deny' AS wouldDeny, record -> '$.issued.embedded' AS inside,
            CASE WHEN reason IN ('target_denied', 'deny_condition_met', 'deny_condition_error')
              THEN substr(record ->> '$.detail', 1, instr((record ->> '$.detail') || ':', ':') - 1)
            END AS deny,
            record ->> '$.ruleset_hash' AS hash,
            count(*) AS count, min(time) AS first, max(time) AS last
       FROM audit
      WHERE seq >= @from AND seq < @to AND time >= @since
        AND service IS NOT NULL AND target IS NOT NULL
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11`,
  )
  const tally = newTally()
  const { first, last } = bounds.get(since) ?? { first: null, last: null }
  for (let from = first ?? 0; last !== null && from <= last; from += PAGE_ROWS) {
    for (const group of page.iterate({ since, from, to: from + PAGE_ROWS })) add(tally, group)
  }
  return {
    edges: sorted(tally.edges),
    scopes: sorted(tally.scopes),
    claims: sorted(tally.claims),
    predicates: sorted(tally.predicates),
    embeds: sorted(tally.embeds),
    denies: sorted(tally.denies),
    rulesets: sorted(tally.rulesets),
  }
}

interface Tally {
  readonly edges: Map<string, EdgeUsage>
  readonly scopes: Map<string, ScopeUsage>
  readonly claims: Map<string, ClaimUsage>
  readonly predicates: Map<string, PredicateUsage>
  readonly embeds: Map<string, EmbedUsage>
  readonly denies: Map<string, PredicateUsage>
  readonly rulesets: Map<string, RulesetUsage>
}

const newTally = (): Tally => ({
  edges: new Map(),
  scopes: new Map(),
  claims: new Map(),
  predicates: new Map(),
  embeds: new Map(),
  denies: new Map(),
  rulesets: new Map(),
})

function add(tally: Tally, group: Group): void {
  const { caller, target } = group
  const rule = group.rule ?? undefined
  const wouldDeny = listOf(group.wouldDeny)
  const key = keyOf(target, caller, rule ?? '')
  const edge = tally.edges.get(key) ?? { ...UNUSED, rule, caller, target }
  tally.edges.set(key, plus(edge, group, wouldDeny.length > 0))
  if (rule !== undefined) {
    for (const scope of listOf(group.scopes)) {
      count(tally.scopes, keyOf(target, scope, rule), { rule, target, scope }, group)
    }
    for (const member of listOf(group.inside)) {
      count(tally.embeds, keyOf(rule, member), { rule, member }, group)
    }
  }
  for (const claim of listOf(group.claims)) {
    count(tally.claims, keyOf(target, claim), { target, claim }, group)
  }
  for (const predicate of wouldDeny) count(tally.predicates, predicate, { predicate }, group)
  const { deny, hash } = group
  if (deny !== null) count(tally.denies, deny, { predicate: deny }, group)
  const first = Math.min(tally.rulesets.get(hash)?.first ?? group.first, group.first)
  count(tally.rulesets, hash, { hash, first }, group)
}

const UNUSED = { granted: 0, embedded: 0, denied: 0, wouldDeny: 0, lastGranted: undefined }

function plus(edge: EdgeUsage, group: Group, wouldDeny: boolean): EdgeUsage {
  if (group.outcome === 'denied') return { ...edge, denied: edge.denied + group.count }
  return {
    ...edge,
    granted: edge.granted + group.count,
    embedded: edge.embedded + (group.embedded === 1 ? group.count : 0),
    wouldDeny: edge.wouldDeny + (wouldDeny ? group.count : 0),
    lastGranted: Math.max(edge.lastGranted ?? 0, group.last),
  }
}

function count<T>(tally: Map<string, T & Used>, key: string, what: T, group: Group): void {
  const known = tally.get(key)
  tally.set(key, {
    ...what,
    count: (known?.count ?? 0) + group.count,
    last: Math.max(known?.last ?? 0, group.last),
  })
}

/** None of the parts holds a line feed: names, scopes and rule ids are one line. */
const keyOf = (...parts: readonly string[]): string => parts.join('\n')

const listOf = (json: string | null): readonly string[] =>
  json === null ? [] : (JSON.parse(json) as string[])

/** By key, so that the same rows give the same lists. */
const sorted = <T>(tally: ReadonlyMap<string, T>): readonly T[] =>
  [...tally].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
