// Owns what is different between a token that was issued and the one that other rules would give.
// Must not decide; of claims whose values were not recorded it knows at most that they were there.

import { ctxHashOf } from '../../audit/ctx-hash.ts'
import type { WholeDecision } from '../../audit/decisions.ts'
import type { AuditEvent } from '../../audit/event.ts'
import type { Act } from '../../subjects/subject.ts'
import type { IssuedClaims } from '../../tokens/minted.ts'
import type { Tailored, TailoredChild, TailorOrder } from '../../tokens/tailor.ts'
import type { Service } from '../ruleset.ts'

/** One thing that is different. */
export interface Difference {
  /** Such as `claim +email`, or `inside boutique/payment: scope -payment:charge`. */
  readonly text: string
  /** Whether it gives something that was not given. */
  readonly wider: boolean
}

export interface Comparison {
  readonly differences: readonly Difference[]
  /** What the record does not say, and so may be different. */
  readonly open: readonly string[]
}

/** What would be given. */
export type Given = Exclude<Tailored, { outcome: 'denied' }>
type OwnToken = Extract<Tailored, { outcome: 'tailored' }>
type Issued = NonNullable<AuditEvent['issued']>

/** Whether the subject token has a claim; `null` is there and does not pass. */
type Presence = 'yes' | 'null' | 'no' | 'unknown'

interface Comparing {
  readonly events: readonly AuditEvent[]
  readonly presenceOf: (claim: string) => Presence
  /** Whether the record says what the claim was, or that it was absent. */
  readonly isKnown: (claim: string) => boolean
  /** Before each text: in which token. */
  readonly path: string
  readonly differences: Difference[]
  readonly open: string[]
}

/** Compares what was granted with what would be. */
export function compareGrants(
  { event, inside }: WholeDecision,
  now: Given,
  order: TailorOrder,
): Comparison {
  const differences: Difference[] = []
  const open: string[] = []
  const presenceOf = (claim: string) => presenceIn(event, order, claim)
  const isKnown = (claim: string) =>
    Object.hasOwn(order.subject.claims, claim) ||
    event.subject?.absentClaims.includes(claim) === true
  const comparing = { events: inside, presenceOf, isKnown, path: '', differences, open }
  if (event.forwarded || now.outcome === 'forwarded') compareForwards(event, now, comparing)
  else if (event.issued === undefined) open.push('what was issued was not recorded')
  else compareTokens(event, event.issued, now, comparing)
  return { differences, open }
}

function compareForwards(event: AuditEvent, now: Given, { differences }: Comparing): void {
  const isForward = now.outcome === 'forwarded'
  if (event.forwarded && isForward) {
    const { name } = now.decision.target
    if (name === event.target) return
    differences.push({ text: `target ${event.target ?? 'unknown'} → ${name}`, wider: true })
    return
  }
  const text = isForward ? 'its own token → the subject token' : 'the subject token → its own token'
  differences.push({ text, wider: isForward })
}

function compareTokens(then: AuditEvent, issued: Issued, now: OwnToken, at: Comparing): void {
  const { claims } = now.built
  if (issued.aud !== claims.aud) tell(at, `aud ${issued.aud} → ${claims.aud}`, true)
  if (issued.sub !== claims.sub) tell(at, 'sub differs', true)
  compareNames(at, 'scope', issued.scopes, claims.scope.split(' '))
  compareNames(at, 'claim', issued.claims, passedBy(now, at))
  compareNames(at, 'ctx', issued.ctx, ctxOf(now, at))
  compareCtx(at, issued, now)
  compareActs(at, issued, claims)
  if (claims.exp > issued.exp) tell(at, 'lives longer', true)
  if (claims.exp < issued.exp) tell(at, 'lives shorter', false)
  compareInside(then, issued, now, at)
}

function compareNames(
  at: Comparing,
  what: string,
  then: readonly string[],
  now: readonly string[],
): void {
  const [before, after] = [new Set(then), new Set(now)]
  for (const name of after) if (!before.has(name)) tell(at, `${what} +${name}`, true)
  for (const name of before) if (!after.has(name)) tell(at, `${what} -${name}`, false)
}

/** The claims that pass now, as far as it is known that the token has them. */
function passedBy({ decision: { target } }: OwnToken, at: Comparing): readonly string[] {
  const unknown = target.claims.filter((name) => at.presenceOf(name) === 'unknown')
  for (const name of unknown) tellOpen(at, target, 'lists', name)
  return target.claims.filter((name) => at.presenceOf(name) === 'yes')
}

function ctxOf({ decision: { target } }: OwnToken, at: Comparing): readonly string[] {
  const names: string[] = []
  for (const [name, entry] of target.ctx) {
    const presence = entry.kind === 'claim' ? at.presenceOf(entry.claim) : 'yes'
    if (presence === 'yes' || presence === 'null') names.push(name)
    if (entry.kind === 'claim' && presence === 'unknown') {
      tellOpen(at, target, `has in ctx.${name}`, entry.claim)
    }
  }
  return names
}

/** The same members with other values: a claim of the user under that name, another constant. */
function compareCtx(at: Comparing, issued: Issued, now: OwnToken): void {
  const { ctx } = now.built.claims
  const names = Object.keys(ctx ?? {})
  if (names.join('\n') !== issued.ctx.join('\n') || issued.ctxHash === ctxHashOf(ctx)) return
  const reads = [...now.decision.target.ctx.values()].flatMap((entry) =>
    entry.kind === 'computed' ? entry.expression.claims : entry.kind === 'claim' ? entry.claim : [],
  )
  if (issued.ctxHash === undefined || !reads.every(at.isKnown)) {
    at.open.push('what was in ctx was not recorded')
  } else tell(at, 'ctx holds other values', true)
}

function compareActs(at: Comparing, then: Issued, now: IssuedClaims): void {
  const [before, after] = [actText(then.act), actText(now.act)]
  if (before === after && then.chain.join('\n') === (now.chain ?? []).join('\n')) return
  // Without `act` nobody can tell any more who asked for whom.
  if (now.act === undefined) tell(at, 'act dropped', true)
  else tell(at, then.act === undefined ? 'act added' : 'act differs', then.act !== undefined)
}

function actText(act: Act | undefined): string {
  const levels: string[] = []
  for (let level = act; level !== undefined; level = level.act) {
    levels.push(`${level.iss ?? ''} ${level.sub}`)
  }
  return levels.join('\n')
}

function compareInside(then: AuditEvent, issued: Issued, now: OwnToken, at: Comparing): void {
  const records = new Map<string, AuditEvent>()
  for (const event of at.events) {
    if (event.parent === then.decisionId) records.set(event.request?.audiences[0] ?? '', event)
  }
  const granted = [...records].filter(([, { outcome }]) => outcome === 'granted')
  if (granted.length !== issued.embedded.length) {
    at.open.push('the records of the tokens inside are not complete')
    return
  }
  const isInside = ({ tailored }: TailoredChild) => tailored.outcome === 'tailored'
  const inside = new Map(now.children.filter(isInside).map((child) => [child.embed.to, child]))
  for (const [to] of granted) if (!inside.has(to)) tell(at, `inside -${to}`, false)
  for (const [to, child] of inside) compareChild(to, records.get(to), { child, parent: now }, at)
}

function compareChild(
  to: string,
  then: AuditEvent | undefined,
  { child, parent }: { readonly child: TailoredChild; readonly parent: OwnToken },
  at: Comparing,
): void {
  if (then?.reason === 'mint_token_too_large') at.open.push(SIZE_UNKNOWN)
  else if (then?.issued === undefined) tell(at, `inside +${to}`, true)
  else if (child.tailored.outcome === 'tailored') {
    const listed = new Set(parent.decision.target.claims)
    const presenceOf = (claim: string): Presence => {
      const presence = listed.has(claim) ? at.presenceOf(claim) : 'no'
      return presence === 'null' ? 'no' : presence
    }
    const path = `${at.path}inside ${to}: `
    compareTokens(then, then.issued, child.tailored, { ...at, presenceOf, path })
  }
}

/** Of a token that was too large it is not recorded how large its parts were. */
export const SIZE_UNKNOWN = 'a token was too large, and what makes its size was not recorded'

/** A claim that passed was there; one that was left out of the record for its length, too. */
function presenceIn(event: AuditEvent, { subject }: TailorOrder, claim: string): Presence {
  if (Object.hasOwn(subject.claims, claim)) return subject.claims[claim] === null ? 'null' : 'yes'
  if (event.subject?.absentClaims.includes(claim) === true) return 'no'
  if (event.issued?.claims.includes(claim) === true) return 'yes'
  return event.truncated?.includes(leftOutNote(claim)) === true ? 'yes' : 'unknown'
}

/** As the audit notes it. */
const leftOutNote = (claim: string): string => `subject.claims.${claim}: left out`

const tell = ({ differences, path }: Comparing, text: string, wider: boolean): void =>
  void differences.push({ text: `${path}${text}`, wider })

const tellOpen = ({ open, path }: Comparing, target: Service, what: string, claim: string): void =>
  void open.push(
    `${path}${target.name} ${what} ${claim}; whether the token has it was not recorded`,
  )
