// Owns how large a token may become, as an upper bound that is known before anybody asks for one.
// Must not mint; the hard cap is where tokens are minted.
import { SELF } from '../../subjects/subject.ts'
import { MAX_ACT_DEPTH } from '../../tokens/claims.ts'
import { unsignedToken } from '../rehearse/surroundings.ts'
import { ruleFor } from '../rule-for.ts'
import type { CtxEntry, Rule, Service } from '../ruleset.ts'
import { type CheckContext, type Checking, spread, usersOf } from './checking.ts'

/**
 * What is not known before a token is asked for is counted with these; a token with larger values is
 * larger than its budget, and refused where it passes the cap.
 */
export const ASSUMED = {
  /** `sub` with its prefix: an e-mail address or a UUID. */
  sub: 64,
  /** The value of one claim that is passed on, renamed or computed, as JSON. */
  claim: 128,
  /** What stands for `*` in an identity: a name of Kubernetes. */
  segment: 63,
} as const

/** Where tokens meet limits on their way, in characters; the cap of the deployment comes beside them. */
export const TOKEN_LIMITS = [
  { characters: 4096, what: "Envoy's cache of verified tokens" },
  { characters: 8192, what: 'the headers of many servers' },
  { characters: 16_384, what: "Node's headers" },
  { characters: 61_440, what: "Envoy's headers" },
] as const

/** The largest token of a rule. */
export interface Budget {
  readonly rule: string
  /** Levels of tokens inside. */
  readonly depth: number
  /** Callers in `chain`, at most. */
  readonly hops: number
  readonly characters: number
}

/** What the budgets of one ruleset share. */
interface Course {
  readonly checking: Checking
  /** Callers that can stand in a token for each service. */
  readonly hops: ReadonlyMap<Service, number>
  /** Characters of the longest `client_id`. */
  readonly clientId: number
}

/** Budgets of all rules that mint, the largest first. There must be no circle of embedding. */
export function budgetsOf(checking: Checking): readonly Budget[] {
  const course: Course = { checking, hops: hopsOf(checking), clientId: longestId(checking) }
  const budgets: Budget[] = []
  for (const target of checking.services.values()) {
    for (const rule of target.rules.values()) {
      if (rule.forward) continue
      const hops = hopsWith(rule, hopsBefore(course, rule, target))
      budgets.push({ rule: rule.id, hops, ...sizeOf(course, target, rule, hops) })
    }
  }
  return budgets.sort((a, b) => b.characters - a.characters || (a.rule < b.rule ? -1 : 1))
}

/** Reports rules whose tokens may pass a limit that matters. */
export function checkBudgets(checking: Checking, budgets: readonly Budget[]): void {
  const [cache] = TOKEN_LIMITS
  const { maxTokenCharacters } = checking.context
  const large = new Map(
    budgets
      .filter(({ characters }) => characters > Math.min(cache.characters, maxTokenCharacters))
      .map((budget) => [budget.rule, budget]),
  )
  if (large.size === 0) return
  for (const written of checking.written) {
    for (const { rule, draft, path, entry } of written.rules) {
      const budget = large.get(rule.id)
      if (budget === undefined) continue
      const at = entry.embed === undefined ? path : [...path, 'embed']
      const size = `up to ${budget.characters} characters, ${budget.depth} levels of tokens inside`
      if (budget.characters > maxTokenCharacters) {
        const message = `${size}; this deployment mints ${maxTokenCharacters} at most (tokens.max_size)`
        checking.report(draft, at, 'budget-over-cap', message)
      } else {
        checking.report(
          draft,
          at,
          'budget-over-cache',
          `${size}, more than fits into ${over(budget)}`,
        )
      }
    }
  }
}

const over = ({ characters }: Budget): string =>
  TOKEN_LIMITS.filter((limit) => characters > limit.characters)
    .map((limit) => `${limit.what} (${limit.characters})`)
    .join(' and ')

function sizeOf(
  course: Course,
  target: Service,
  rule: Rule,
  hops: number,
): Pick<Budget, 'characters' | 'depth'> {
  const { context, services } = course.checking
  let depth = 0
  const embedded: Record<string, string> = {}
  for (const { to, member } of rule.embed) {
    const child = services.get(to)
    const childRule = child && ruleFor(child, target, SELF)
    if (child === undefined || childRule === undefined) continue
    const inside = sizeOf(course, child, childRule, hopsWith(childRule, hops))
    depth = Math.max(depth, inside.depth + 1)
    embedded[member] = text(inside.characters)
  }
  const claims = { ...largestClaims(course, target, rule, hops), embedded }
  const { length: characters } = unsignedToken(claims, target.algorithm ?? context.algorithm)
  return { characters, depth }
}

/** A token with the longest of everything; only its length counts. */
function largestClaims(
  { checking: { context }, clientId }: Course,
  target: Service,
  rule: Rule,
  hops: number,
): object {
  const id = text(clientId)
  const actor = rule.actors.size === 0 ? {} : { act: actorToken(context, rule) }
  const act = nested(id, hops, actor)
  return {
    iss: context.issuer,
    sub: text(ASSUMED.sub),
    aud: target.audience,
    client_id: id,
    scope: [...rule.scopes.keys()].join(' '),
    iat: SECONDS,
    exp: SECONDS,
    jti: text(UUID),
    ...act,
    chain: Array.from({ length: hops }, () => id),
    ...(context.rulesetClaim ? { ruleset: text(SHA256_HEX) } : {}),
    ...Object.fromEntries(target.claims.map((claim) => [claim, json(ASSUMED.claim)])),
    ctx: Object.fromEntries([...target.ctx].map(([name, entry]) => [name, ctxValue(entry)])),
  }
}

const SECONDS = 9_999_999_999
const UUID = 36
const SHA256_HEX = 64

const text = (length: number): string => 'x'.repeat(length)
/** A text that takes so many characters with its quotes. */
const json = (length: number): string => text(length - 2)

const ctxValue = (entry: CtxEntry): unknown =>
  entry.kind === 'value' ? entry.value : json(ASSUMED.claim)

const actorToken = ({ issuers }: CheckContext, { actors }: Rule): object => ({
  iss: text(Math.max(0, ...[...actors].map((name) => issuers.get(name)?.iss.length ?? 0))),
  sub: text(ASSUMED.sub),
})

function nested(sub: string, levels: number, inner: object): object {
  let act: object = inner
  for (let level = 0; level < levels; level++) act = { act: { sub, ...act } }
  return act
}

/** The longest identity or name of whoever can be in a chain. */
function longestId({ services }: Checking): number {
  let longest = 0
  for (const { identities, name, calls } of services.values()) {
    if (calls.size === 0) continue
    for (const id of [...identities, name]) {
      const stars = id.split('*').length - 1
      longest = Math.max(longest, id.length + stars * (ASSUMED.segment - 1))
    }
  }
  return longest
}

const hopsWith = ({ act }: Rule, before: number): number =>
  act === 'impersonate' ? 0 : Math.min(MAX_ACT_DEPTH, before + 1)

/** Callers in the tokens that are handed in under a rule; those of other issuers name none of ours. */
function hopsBefore({ checking, hops }: Course, rule: Rule, target: Service): number {
  if (rule.issuer !== SELF) return 0
  let longest = 0
  for (const user of usersOf(checking, rule, target)) {
    longest = Math.max(longest, hops.get(user) ?? 0)
  }
  return longest
}

/** The longest way of exchanges to each service. */
function hopsOf(checking: Checking): ReadonlyMap<Service, number> {
  const hops = new Map<Service, number>()
  for (const target of checking.services.values()) {
    for (const rule of target.rules.values()) {
      if (rule.issuer === SELF || rule.forward) continue
      hops.set(target, Math.max(hops.get(target) ?? 0, hopsWith(rule, 0)))
    }
  }
  spread(checking, hops.keys(), (caller, target, rule) => {
    const callers = hopsWith(rule, hops.get(caller) ?? 0)
    if (callers <= (hops.get(target) ?? -1)) return false
    hops.set(target, callers)
    return true
  })
  return hops
}
