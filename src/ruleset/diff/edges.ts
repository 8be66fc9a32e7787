// Owns the comparison of what two rulesets ask of a request: what is eased, and what cannot be compared.
// Must not explore: which edges are worth comparing, the caller says.
import { describeNeed } from '../justify.ts'
import type { Exchange, World } from '../reach/token.ts'
import { namesCaller, ruleFor } from '../rule-for.ts'
import type { Condition, Deny, Justification, Rule, Service } from '../ruleset.ts'

/** One thing that a ruleset asks less strictly than another, or that nobody can compare. */
export interface Easing {
  /** A rule, a service or an issuer. */
  readonly where: string
  readonly what: string
  /** Undefined where there was nothing of it. */
  readonly before: string | undefined
  readonly after: string | undefined
  /** `eased` surely asks for less; of `changed` nobody can say. */
  readonly kind: 'eased' | 'changed'
  /** Callers that it concerns, where a rule is for several. */
  readonly callers: readonly string[]
}

/** Notes an easing of one place. */
export type Note = (
  what: string,
  before: string | undefined,
  after: string | undefined,
  kind?: Easing['kind'],
) => void

/** Collects easings of one place. */
export function notesOf(where: string, callers: readonly string[] = []) {
  const found: Easing[] = []
  const note: Note = (what, before, after, kind = 'eased') =>
    found.push({ where, what, before, after, kind, callers })
  return { found, note }
}

/** What an edge asks less than before. Gives nothing where there was no such edge. */
export function compareEdge(before: World, { caller, target, rule }: Exchange): readonly Easing[] {
  const oldTarget = before.ruleset.services.get(target.name)
  const oldCaller = before.ruleset.services.get(caller.name)
  if (oldTarget === undefined || oldCaller === undefined) return []
  const oldRule = ruleFor(oldTarget, oldCaller, rule.issuer)
  if (oldRule === undefined) return []
  const { found, note } = notesOf(rule.id, [caller.name])
  compareConditions(oldRule.when, rule.when, 'when', note)
  compareScopes(oldRule, rule, note)
  compareSharing(oldRule, rule, note)
  compareEmbeds(oldRule, rule, note)
  compareDenies(deniesFor(oldTarget, oldCaller, rule), deniesFor(target, caller, rule), note)
  return found
}

function compareConditions(
  before: Condition | undefined,
  after: Condition | undefined,
  what: string,
  note: Note,
): void {
  if (before?.mode !== 'enforce') return
  const { source } = before.expression
  if (after === undefined) note(what, source, undefined)
  else if (after.mode === 'audit') note(what, source, `${after.expression.source} (mode: audit)`)
  else if (after.expression.source !== source) {
    note(what, source, after.expression.source, 'changed')
  }
}

function compareScopes(before: Rule, after: Rule, note: Note): void {
  for (const [scope, justification] of after.scopes) {
    const old = before.scopes.get(scope)
    if (old === undefined) note(`scope ${scope}`, undefined, describeNeed(justification))
    else {
      if (isWeaker(old, justification)) {
        note(`scope ${scope}`, describeNeed(old), describeNeed(justification))
      }
      compareConditions(old.when, justification.when, `scope ${scope} when`, note)
    }
  }
}

/** Whether something justifies that did not: a least set of scopes in which no least set of before is. */
export function isWeaker(before: Justification, after: Justification): boolean {
  const old = leastSets(before)
  return leastSets(after).some(
    (set) => !old.some((other) => other.every((one) => set.includes(one))),
  )
}

const leastSets = ({ mode, scopes }: Justification): readonly (readonly string[])[] =>
  mode === 'all' ? [scopes] : scopes.map((scope) => [scope])

function compareSharing(before: Rule, after: Rule, note: Note): void {
  if (after.forward && !before.forward) note('forward', undefined, 'the token itself is handed on')
  if (after.act !== before.act) {
    // Impersonating leaves no trace; delegating takes tokens that carry act, which the other refuses.
    note('act', before.act, after.act, after.act === 'impersonate' ? 'eased' : 'changed')
  }
  for (const issuer of after.actors) {
    if (!before.actors.has(issuer)) note('actors', undefined, issuer)
  }
}

function compareEmbeds(before: Rule, after: Rule, note: Note): void {
  for (const { to } of after.embed) {
    if (!before.embed.some((embed) => embed.to === to)) note('embed', undefined, to)
  }
  for (const { to, required } of before.embed) {
    const now = after.embed.find((embed) => embed.to === to)
    if (!required || now?.required === true) continue
    // Where the token inside is denied, nothing was given, and now the rest is.
    note('embed', `${to}, required`, now && `${to}, left out where it is denied`)
  }
}

const deniesFor = (target: Service, caller: Service, { issuer }: Rule): readonly Deny[] =>
  target.denies.filter(
    (deny) =>
      deny.mode === 'enforce' &&
      (deny.issuer === undefined || deny.issuer === issuer) &&
      (deny.from === undefined || namesCaller(deny.from, caller)),
  )

function compareDenies(before: readonly Deny[], after: readonly Deny[], note: Note): void {
  for (const { reason, when } of before) {
    const stays = after.some((deny) => deny.when === undefined || deny.when.source === when?.source)
    if (stays) continue
    const same = after.find((deny) => deny.reason === reason)
    const kind = same === undefined || when === undefined ? 'eased' : 'changed'
    note(`deny ${reason}`, when?.source ?? 'always', same?.when?.source, kind)
  }
}
