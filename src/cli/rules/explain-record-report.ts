// Owns how the explanation of a recorded decision is told: what was recorded, by which rules, and what holds now.
// Must not explain.
import type { AuditEvent } from '../../audit/event.ts'
import type { RecordedExplanation } from '../../ruleset/explain/explain-recorded.ts'
import { alignTable, timeText } from '../table.ts'
import { explanationJson, explanationText, outcomeOf, type Telling } from './explain-report.ts'

/** As much of a hash as people compare. */
const HASH_CHARACTERS = 12

/** The explanation as text; `telling` is undefined where there is nothing to decide on. */
export function recordText(recorded: RecordedExplanation, telling: Telling | undefined): string {
  const { event, why, rulesetHash, openInside } = recorded
  const head = alignTable([
    ['decision', `${event.decisionId} of ${timeText(event.time)}`],
    ['recorded', endOf(event)],
    ...(event.detail === undefined ? [] : [['detail', event.detail]]),
    ...(event.parent === undefined ? [] : [['decided with', event.parent]]),
    ['ruleset', rulesText(event.rulesetHash, rulesetHash)],
    ...(telling === undefined ? [] : [['now', comparison(event, telling)]]),
    ...openInside.map((note) => ['not known inside', note]),
  ])
  if (telling !== undefined) return `${head}\n${explanationText(telling)}`
  return `${head}\n${why === undefined ? '' : WHY[why](event)}\n`
}

const WHY: Readonly<
  Record<NonNullable<RecordedExplanation['why']>, (event: AuditEvent) => string>
> = {
  never_decided: ({ reason }) =>
    `It was refused before anything was decided${stageOf(reason)}. See docs/errors.md#${reason}`,
  caller_unknown: ({ caller }) =>
    `These rules have no service with the identity ${caller.id}: it would be refused as client_unknown. See docs/errors.md#client_unknown`,
}

/** Where on its way a request was, by the family of the reason. */
function stageOf(reason: AuditEvent['reason']): string {
  if (reason === undefined) return ''
  if (reason.startsWith('client_')) return ', when it was asked who calls'
  if (
    /^(?:subject_token_(?:type_)?(?:missing|type_unsupported)|request|grant|audience|resource|scope)/.test(
      reason,
    )
  )
    return ', when the request was read'
  if (reason.startsWith('subject_token_')) return ', when the subject token was verified'
  return reason.startsWith('actor_token_') ? ', when the actor token was verified' : ''
}

const endOf = ({ outcome, reason, issued, forwarded }: AuditEvent): string => {
  if (outcome === 'denied') return `denied, ${reason}`
  return forwarded
    ? 'granted, the subject token itself'
    : `granted, ${issued?.scopes.join(' ') ?? ''}`
}

function rulesText(then: string, now: string): string {
  const short = (hash: string) => hash.slice(0, HASH_CHARACTERS)
  if (then === now) return `${short(then)}, the same as now`
  return `${short(then)} decided; what follows is by ${short(now)}, the rules of now`
}

/** Reasons that come after the decision, from what the record cannot hold. */
const LATER = /^(?:mint_|signing_key_|audit_|internal_)/

function comparison(event: AuditEvent, telling: Telling): string {
  const outcome = outcomeOf(telling)
  const { result } = telling.explanation.rehearsal
  if (outcome === 'undecidable') return 'it cannot be decided: the record does not say enough'
  if (event.outcome === 'denied' && LATER.test(event.reason ?? '') && result.ok) {
    return `the rules grant it; it was refused after the decision (docs/errors.md#${event.reason})`
  }
  if (agrees(event, telling)) return 'the same'
  return result.ok ? 'it is granted' : `it is denied, ${result.reason}`
}

function agrees(event: AuditEvent, { explanation }: Telling): boolean {
  const { result } = explanation.rehearsal
  if (!result.ok) return event.outcome === 'denied' && event.reason === result.reason
  if (event.outcome === 'denied') return false
  if (result.value.kind === 'forwarded') return event.forwarded
  const scopes = result.value.minted.token.claims.scope
  return [...(event.issued?.scopes ?? [])].sort().join(' ') === scopes.split(' ').sort().join(' ')
}

/** The explanation as JSON. */
export function recordJson(recorded: RecordedExplanation, telling: Telling | undefined): object {
  const { event, why, rulesetHash, openInside } = recorded
  return {
    decision: {
      id: event.decisionId,
      time: new Date(event.time).toISOString(),
      outcome: event.outcome,
      reason: event.reason,
      detail: event.detail,
      parent: event.parent,
      ruleset_hash: event.rulesetHash,
    },
    ruleset_hash: rulesetHash,
    ...(why === undefined ? {} : { not_explained: why }),
    ...(openInside.length === 0 ? {} : { undecidable_inside: openInside }),
    ...(telling === undefined
      ? {}
      : {
          same: outcomeOf(telling) !== 'undecidable' && agrees(event, telling),
          now: explanationJson(telling),
        }),
  }
}
