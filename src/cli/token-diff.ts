// Owns what became of a token in an exchange: claim by claim, scope by scope, and why.
// Must stay pure, and must not verify anything: it compares what others have verified.
import { formatDuration } from '../config/duration.ts'
import type { Justification, Rule, Service } from '../ruleset/ruleset.ts'
import { RESERVED_CLAIMS } from '../tokens/attenuation.ts'

export type Claims = Readonly<Record<string, unknown>>

/** What happened to a claim or a scope. `withheld`: the target has it, this token does not. */
export type Change = 'kept' | 'changed' | 'added' | 'dropped' | 'withheld'

/** One line of the comparison. Values are lists of lines of text; empty where there is none. */
export interface DiffRow {
  readonly claim: string
  /** The scope that a line about one scope is about. */
  readonly scope?: string
  readonly change: Change
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly why: string | undefined
}

/** The tokens, and what is known of how one became the other. */
export interface DiffInput {
  readonly before: Claims
  readonly after: Claims
  /** Scopes that were asked for; undefined where all that is justified was. */
  readonly asked: readonly string[] | undefined
  /** The edge that decided, where the rules are at hand; reasons are inferred from the tokens otherwise. */
  readonly edge: { readonly target: Service; readonly rule: Rule } | undefined
}

/** The order in which people read a token; what is not here follows in the order of the subject token. */
const ORDER = ['iss', 'sub', 'aud', 'client_id', 'scope', 'iat', 'exp', 'jti', 'act', 'chain']

/** Compares the subject token with what was issued. */
export function diffTokens(input: DiffInput): readonly DiffRow[] {
  const names = new Set([...ORDER, ...Object.keys(input.before), ...Object.keys(input.after)])
  return [...names].flatMap((name) => {
    if (name === 'scope') return diffScopes(input)
    const row = diffClaim(name, input)
    return row === undefined ? [] : [row]
  })
}

function diffClaim(name: string, input: DiffInput): DiffRow | undefined {
  const [one, other] = [claimOf(input.before, name), claimOf(input.after, name)]
  if (one === undefined && other === undefined) return withheldClaim(name, input)
  const before = linesOf(name, one, input.before)
  const after = linesOf(name, other, input.after)
  const change = changeOf(one, other)
  return { claim: name, change, before, after, why: whyClaim(name, change, input) }
}

/** An impersonating exchange leaves no trace of its caller; that is worth a line. */
function withheldClaim(name: string, { edge }: DiffInput): DiffRow | undefined {
  if (name !== 'act' || edge?.rule.act !== 'impersonate') return undefined
  const why = 'the rule says act: impersonate: the caller acts as the subject, not for it'
  return { claim: name, change: 'withheld', before: [], after: [], why }
}

const claimOf = (claims: Claims, name: string): unknown =>
  Object.hasOwn(claims, name) ? claims[name] : undefined

function changeOf(before: unknown, after: unknown): Change {
  if (before === undefined) return 'added'
  if (after === undefined) return 'dropped'
  return JSON.stringify(before) === JSON.stringify(after) ? 'kept' : 'changed'
}

const TIMES: ReadonlySet<string> = new Set(['iat', 'exp', 'nbf', 'auth_time'])

/** A claim as people read it: times as times, `act` one actor a line, lists one item a line. */
function linesOf(name: string, value: unknown, claims: Claims): string[] {
  if (value === undefined) return []
  if (TIMES.has(name) && typeof value === 'number') return [timeText(name, value, claims)]
  if (name === 'act') return actorsOf(value)
  if (name === 'embedded') return embeddedOf(value)
  if (Array.isArray(value) && value.length > 0) return value.map(textOf)
  return [textOf(value)]
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value)

function timeText(name: string, seconds: number, { iat }: Claims): string {
  const date = new Date(seconds * 1000)
  const at = Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace('.000', '')
  return name === 'exp' && typeof iat === 'number' ? `${at} (${lifeText(seconds - iat)})` : at
}

const lifeText = (seconds: number): string =>
  seconds > 0 ? formatDuration(Math.round(seconds) * 1000) : `${seconds}s`

/** P7: whoever reads a terminal may send what stands there, so it is said which tokens these are. */
const embeddedOf = (value: unknown): string[] =>
  typeof value === 'object' && value !== null
    ? Object.keys(value).map((member) => `${member} (a token)`)
    : ['(a token)']

/** Outermost first, which is the current actor (RFC 8693 §4.1). */
function actorsOf(act: unknown): string[] {
  const lines: string[] = []
  let level: unknown = act
  while (typeof level === 'object' && level !== null && 'sub' in level) {
    const iss = 'iss' in level ? ` (of ${textOf(level.iss)})` : ''
    lines.push(`${textOf(level.sub)}${iss}`)
    level = 'act' in level ? level.act : undefined
  }
  return lines.length === 0 ? [textOf(act)] : lines
}

/** Why claims of our own are as they are, for each way in which they can have changed. */
const OWN: Readonly<Record<string, Partial<Record<Change, string>>>> = {
  iss: { changed: 'this service issued it; its verifiers trust this issuer alone' },
  sub: {
    changed: "the issuer's subject_prefix stands before it: no two issuers' subjects are one",
  },
  aud: { changed: 'one target, so one audience' },
  client_id: { changed: 'who asked for this token', added: 'who asked for this token' },
  act: {
    added: 'who acts for the subject now',
    changed: 'who acts now, written outermost; earlier actors stay inside',
  },
  chain: {
    added: 'callers that this service authenticated, first caller first',
    changed: 'callers that this service authenticated, first caller first',
  },
  embedded: { added: 'tokens for the next hops, minted along by their own rules' },
  ctx: { added: 'what the target has renamed, set or computed' },
  may_act: { dropped: 'it named who may act, was checked, and is never copied' },
}

function whyClaim(name: string, change: Change, input: DiffInput): string | undefined {
  if (name === 'exp') return whyExpiry(input)
  if (name === 'sub' && change === 'changed' && isWorkload(input.after.sub)) {
    return 'the SPIFFE ID that the service account has in the mesh'
  }
  const own = OWN[name]?.[change]
  if (own !== undefined) return own
  if (RESERVED_CLAIMS.has(name)) {
    return change === 'dropped' ? 'never copied from one token into another' : undefined
  }
  const target = input.edge?.target.name ?? 'the target'
  if (change === 'dropped') {
    const listed = input.edge?.target.claims.includes(name) === true
    return listed ? undefined : `${target} does not list it in claims`
  }
  return change === 'kept' ? `${target} lists it in claims` : undefined
}

/** Only a workload's own token becomes one: no issuer's subject_prefix is `spiffe`. */
const isWorkload = (sub: unknown): boolean => typeof sub === 'string' && sub.startsWith('spiffe://')

/** P1: the least of what the subject token has left and what the target allows. */
function whyExpiry({ before, after, edge }: DiffInput): string | undefined {
  const [had, has, issued] = [before.exp, after.exp, after.iat]
  if (typeof had !== 'number' || typeof has !== 'number' || typeof issued !== 'number') {
    return undefined
  }
  const left = `the subject token has ${lifeText(had - issued)} left`
  if (edge === undefined) {
    return has < had ? `${left}; the target allows less` : `${left}, and nothing may outlive it`
  }
  const allowed = `${edge.target.name} allows ${lifeText(edge.target.lifetimeSeconds)}`
  return `least of: ${left}, ${allowed}`
}

/** Scopes one by one: the subject token's, the granted ones, then what could have been had. */
function diffScopes(input: DiffInput): DiffRow[] {
  const before = scopesOf(input.before)
  const after = scopesOf(input.after)
  const target = input.edge?.target.name ?? 'the target'
  const row = (scope: string, change: Change, why: string | undefined): DiffRow => ({
    claim: 'scope',
    scope,
    change,
    before: before.includes(scope) ? [scope] : [],
    after: after.includes(scope) ? [scope] : [],
    why,
  })
  return [
    ...before
      .filter((scope) => !after.includes(scope))
      .map((scope) => row(scope, 'dropped', whyDropped(scope, target, input))),
    ...after.map((scope) =>
      row(scope, before.includes(scope) ? 'kept' : 'added', whyGranted(scope, before, input)),
    ),
    ...withheldScopes(after, before, input).map(([scope, why]) => row(scope, 'withheld', why)),
  ]
}

function whyDropped(scope: string, target: string, { edge }: DiffInput): string {
  if (edge?.target.scopes.has(scope) === true) return 'not asked for'
  return edge === undefined ? `not granted for ${target}` : `${target} has no such scope`
}

/** The claim `scope` as a list (RFC 8693 §4.2); some issuers write it as one. */
export function scopesOf({ scope }: Claims): readonly string[] {
  if (typeof scope === 'string') return scope.split(' ').filter((part) => part !== '')
  return Array.isArray(scope) ? scope.filter((part) => typeof part === 'string') : []
}

function whyGranted(
  scope: string,
  before: readonly string[],
  { edge }: DiffInput,
): string | undefined {
  const justification = edge?.rule.scopes.get(scope)
  if (justification === undefined) return undefined
  const { mode, scopes } = justification
  const has = scopes.filter((justifying) => before.includes(justifying))
  // The subject token may bring scopes in other claims too (scopes_from).
  if (has.length === 0) return `granted: justified by ${needText(justification)}`
  const others = mode === 'any' && scopes.length > has.length ? ` (${needText(justification)})` : ''
  return `granted: justified by ${has.join(' and ')}${others}`
}

const needText = ({ mode, scopes }: Justification): string =>
  scopes.length === 1 ? (scopes[0] ?? '') : `${mode} of ${scopes.join(', ')}`

/** Scopes of the target that the token does not have, and why. */
function withheldScopes(
  after: readonly string[],
  before: readonly string[],
  { edge, asked }: DiffInput,
): (readonly [string, string])[] {
  if (edge === undefined) return []
  const missing = [...edge.target.scopes].filter(
    (scope) => !after.includes(scope) && !before.includes(scope),
  )
  return missing.map((scope) => {
    const justification = edge.rule.scopes.get(scope)
    if (justification === undefined) return [scope, `no rule gives it to ${edge.rule.from}`]
    if (asked === undefined) return [scope, `not justified: needs ${needText(justification)}`]
    return [scope, `not asked for (needs ${needText(justification)})`]
  })
}
