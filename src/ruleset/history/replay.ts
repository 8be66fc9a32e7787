// Owns the replay of a recorded decision against other rules: the same, newly allowed, newly denied, changed, or
// undecidable. Must not guess what was not recorded, and must not decide: tailor does (P6).
import type { WholeDecision } from '../../audit/decisions.ts'
import type { AuditEvent } from '../../audit/event.ts'
import { type Tailored, type TailorOrder, tailor } from '../../tokens/tailor.ts'
import type { Evaluate } from '../decision.ts'
import { presenterRefusal } from '../rehearse/described-token.ts'
import type { Scene } from '../rehearse/scenario.ts'
import type { Service } from '../ruleset.ts'
import { callerServiceOf, type Recorded, recordedOrder } from './recorded.ts'
import { compareGrants, type Difference, type Given, SIZE_UNKNOWN } from './replay-differences.ts'

/** What a replay can find, in the order in which a person wants to know. */
export const REPLAY_CLASSES = [
  'newly_allowed',
  'newly_denied',
  'changed',
  'undecidable',
  'same',
  'not_about_rules',
] as const
export type ReplayClass = (typeof REPLAY_CLASSES)[number]

/** What became of one recorded decision. */
export interface Replayed {
  readonly class: ReplayClass
  /** `granted <scopes>`, `forwarded` or a reason; at least that where a change is not fully known, undefined where it cannot be said. */
  readonly now: string | undefined
  /** What a granted token has that it had not, and the other way round. */
  readonly differences: readonly Difference[]
  /** Predicates, rules and notes that say why, such that equal ones are the same cause. */
  readonly why: readonly string[]
  /** The details of one denial; they may name what this token brought. */
  readonly detail: string | undefined
  /** What in audit mode would have denied now, by its ids. */
  readonly wouldDeny: readonly string[]
  /** Whether it gives, or may give, something that it did not. */
  readonly gains: boolean
}

type Rules = Pick<Scene, 'ruleset' | 'surroundings'>
type Prepared = Extract<Recorded, { ok: true }>

const PLAIN = {
  now: undefined,
  differences: [],
  why: [],
  detail: undefined,
  wouldDeny: [],
  gains: false,
} as const
const SAME: Replayed = { ...PLAIN, class: 'same' }

/** Decides a recorded request anew. */
export function replay(recorded: WholeDecision, rules: Rules): Replayed {
  const { event } = recorded
  const replayed = replayFacts(recorded, rules)
  // The same rules decide the same, whatever the record leaves open.
  const isOwn = event.rulesetHash === rules.ruleset.hash
  return isOwn && replayed.class === 'undecidable'
    ? { ...replayed, class: 'same', gains: false }
    : replayed
}

/** How a record says it ended: `granted <scopes>`, `forwarded` or the reason. */
export function endOf({ outcome, reason, forwarded, issued }: AuditEvent): string {
  if (outcome === 'denied') return reason ?? 'denied'
  return forwarded ? 'forwarded' : grantText(issued?.scopes ?? [])
}

const grantText = (scopes: readonly string[]): string => `granted ${[...scopes].sort().join(' ')}`

function replayFacts(recorded: WholeDecision, rules: Rules): Replayed {
  const { event, inside } = recorded
  const prepared = recordedOrder(event, rules.ruleset, rules.surroundings, inside)
  if (!prepared.ok) {
    if (prepared.why === 'caller_unknown') return deniedNow(event, 'client_unknown')
    return neverDecided(event, rules)
  }
  if (UNRELATED.test(event.reason ?? '')) return { ...PLAIN, class: 'not_about_rules' }
  const { caller, subject } = prepared.order
  if (event.caller.method === 'private_key_jwt' && caller.service.clientKeysFile === undefined) {
    return deniedNow(event, 'client_assertion_not_registered', [
      `${caller.service.name} client_keys`,
    ])
  }
  const refusal = presenterRefusal('subject', subject, caller.service, rules.surroundings)
  if (refusal !== undefined) {
    return deniedNow(event, refusal.reason, [refusal.detail ?? caller.service.name])
  }
  return replayDecision(recorded, prepared, rules)
}

/** What happens whatever the rules say, after they were asked. */
const UNRELATED = /^(?:signing_key_|audit_|internal_)/

/** It was refused before anything was decided: only what the rules say of the caller can matter. */
function neverDecided(event: AuditEvent, { ruleset }: Rules): Replayed {
  const { reason = '', caller } = event
  const service = callerServiceOf(caller.id, ruleset)
  if (reason === 'client_unknown') {
    if (service === undefined) return { ...SAME, now: reason }
    return undecidable([`the caller is ${service.name} now; what it handed in was never verified`])
  }
  if (!reason.endsWith('_presenter_not_allowed')) return { ...PLAIN, class: 'not_about_rules' }
  if (service === undefined || isSamePresenter(event, service)) {
    return { ...SAME, now: reason }
  }
  const before = `${caller.service ?? caller.id} (${caller.audience ?? 'audience not recorded'})`
  return undecidable([
    `who presented the token was ${before} and is ${service.name} (${service.audience}) now`,
  ])
}

/** Who may present a token depends on the service's name (issuers file) and audience (our own tokens). */
const isSamePresenter = ({ caller }: AuditEvent, { name, audience }: Service): boolean =>
  caller.service === name && caller.audience === audience

function replayDecision(recorded: WholeDecision, prepared: Prepared, rules: Rules): Replayed {
  const { event } = recorded
  const { order, unrecorded } = prepared
  const decideBy = (evaluate: Evaluate) => tailor(rules.ruleset, order, { evaluate })
  const strict = decideBy(unrecorded.evaluate)
  const unread = [...unrecorded.missing(), ...unrecorded.missingInside()]
  const generous = unread.length === 0 ? strict : decideBy(unrecorded.evaluateGenerously)
  const cut = (event.truncated ?? []).filter((note) => !note.startsWith('subject.claims.'))
  if (generous.outcome === 'denied') {
    // Whatever the claims were that nobody recorded.
    const { reason, detail } = generous.failure
    if (!isCertain(reason, cut)) return undecidable(cut)
    const why = event.outcome === 'denied' ? [] : [causeOf(generous, prepared, rules)]
    return { ...deniedNow(event, reason, why, detail), wouldDeny: generous.decision.wouldDeny }
  }
  const open = [...cut, ...actorNotes(event, order.caller.service)]
  if (strict.outcome === 'denied') return undecidable([...open, ...unread.map(unreadNote)])
  // Claims that were not recorded are read, and it is granted either way.
  if (open.length > 0) return undecidable(open)
  const { wouldDeny } = strict.decision
  const now = strict.outcome === 'forwarded' ? 'forwarded' : grantText(strict.decision.scopes)
  if (event.outcome === 'denied') return { ...allowedNow(recorded, strict, now), wouldDeny }
  const still = stillGranted(recorded, order, { strict, generous })
  return still.class === 'undecidable' ? still : { ...still, now, wouldDeny }
}

const unreadNote = (claim: string): string => `claim ${claim} is read and was not recorded`

/** Denials that no further value of a list that was cut can turn into a grant. */
const DESPITE_LISTS = /^(?:target_|actor_|act_|forward_|mint_)/
const DESPITE_MORE_ASKED = /^scope_(?:unknown|not_justified)$/

function isCertain(reason: string, cut: readonly string[]): boolean {
  if (cut.length === 0 || DESPITE_LISTS.test(reason)) return true
  const isSubjectCut = cut.some((note) => note.startsWith('subject.scopes'))
  return DESPITE_MORE_ASKED.test(reason) && !isSubjectCut
}

/** Of actor tokens the audience is not recorded: it counts for as long as the caller is who it was. */
function actorNotes(event: AuditEvent, service: Service): readonly string[] {
  if (event.actor === undefined || isSamePresenter(event, service)) return []
  return [`the audience of the actor token was not recorded, and the caller is ${service.name} now`]
}

/** The predicate that failed; the rule where the rules had allowed. */
function causeOf(
  { decision, failure }: Extract<Tailored, { outcome: 'denied' }>,
  { order, unrecorded }: Prepared,
  { ruleset }: Rules,
): string {
  if (decision.allow && failure.reason !== 'embed_required_denied') return decision.rule.id
  let cause = decision.rule?.id ?? decision.target?.name ?? order.caller.service.name
  tailor(ruleset, order, {
    evaluate: unrecorded.evaluateGenerously,
    trace: ({ passed, predicate }) => {
      if (!passed) cause = predicate
    },
  })
  return cause
}

/** It was denied, and the rules grant it. */
function allowedNow({ event, inside }: WholeDecision, given: Given, now: string): Replayed {
  const { reason, detail = '' } = event
  const { rule, target } = given.decision
  const wasTooLarge =
    reason === 'mint_token_too_large' || (reason === 'embed_required_denied' && inside.length === 0)
  if (wasTooLarge) return undecidable([SIZE_UNKNOWN])
  const passesAgain = given.outcome === 'tailored' && target.claims.includes(detail)
  if (reason === 'mint_claim_malformed' && passesAgain) return { ...SAME, now: reason }
  return { ...PLAIN, class: 'newly_allowed', now, why: [rule.id], gains: true }
}

/** What is different either way is; what is only one way, or not recorded, may be. */
function stillGranted(
  recorded: WholeDecision,
  order: TailorOrder,
  { strict, generous }: { readonly strict: Given; readonly generous: Given },
): Replayed {
  const one = compareGrants(recorded, strict, order)
  const other = generous === strict ? one : compareGrants(recorded, generous, order)
  const isCommon = ({ text }: Difference) => other.differences.some((each) => each.text === text)
  const differences = one.differences.filter(isCommon)
  const varying = [...one.differences, ...other.differences].filter(
    ({ text }) => !differences.some((each) => each.text === text),
  )
  const open = [
    ...one.open,
    ...other.open,
    ...varying.map(({ text }) => `perhaps ${text}: a claim is read that was not recorded`),
  ]
  const why = [...new Set(open)]
  if (differences.length > 0) {
    const gains = why.length > 0 || differences.some(({ wider }) => wider)
    return { ...PLAIN, class: 'changed', differences, why, gains }
  }
  return why.length > 0 ? undecidable(why) : SAME
}

/** The rules deny it. */
function deniedNow(
  { outcome }: AuditEvent,
  now: string,
  why: readonly string[] = [],
  detail?: string,
): Replayed {
  if (outcome === 'denied') return { ...SAME, now }
  return { ...PLAIN, class: 'newly_denied', now, why, detail }
}

const undecidable = (why: readonly string[]): Replayed => ({
  ...PLAIN,
  class: 'undecidable',
  why,
  gains: true,
})
