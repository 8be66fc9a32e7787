// Owns the explanation of a recorded decision: what was decided, and what these rules decide on the same facts.
// Must say what the record leaves open, and must not guess it.
import type { AuditEvent } from '../../audit/event.ts'
import { type Recorded, recordedOrder } from '../history/recorded.ts'
import { presenterRefusal } from '../rehearse/described-token.ts'
import { type Rehearsal, rehearseOrder } from '../rehearse/rehearsal.ts'
import type { Scene } from '../rehearse/scenario.ts'
import { type Explanation, explainRehearsal } from './explain.ts'

/** A record, explained. */
export interface RecordedExplanation {
  readonly event: AuditEvent
  /** Hash of the rules that explain it. */
  readonly rulesetHash: string
  /** Undefined where there is nothing to decide on; `why` says why. */
  readonly explanation: Explanation | undefined
  readonly why: Extract<Recorded, { ok: false }>['why'] | undefined
  /** What the record lacks to decide it now; nothing where it can be decided. */
  readonly undecidable: readonly string[]
  /** What it lacks only for the tokens inside. */
  readonly openInside: readonly string[]
}

/** Explains a recorded decision by rules that need not be those that decided. */
export function explainRecorded(
  event: AuditEvent,
  scene: Pick<Scene, 'ruleset' | 'surroundings'>,
): RecordedExplanation {
  const { ruleset, surroundings } = scene
  const known = { event, rulesetHash: ruleset.hash }
  const recorded = recordedOrder(event, ruleset, surroundings)
  if (!recorded.ok) {
    return { ...known, explanation: undefined, why: recorded.why, undecidable: [], openInside: [] }
  }
  const { order, unrecorded } = recorded
  const rehearsal =
    refusedNow(event, order, scene) ?? rehearseOrder(order, scene, unrecorded.evaluate)
  // What was read before anything is repaired is what the decision depends on.
  const missing = unrecorded.missing()
  const openInside = unrecorded.missingInside()
  const isInsideDecisive =
    !rehearsal.result.ok && rehearsal.result.reason === 'embed_required_denied'
  return {
    ...known,
    explanation: explainRehearsal(rehearsal, scene, unrecorded.evaluate),
    why: undefined,
    undecidable: [
      ...(event.truncated ?? []).filter((note) => !note.startsWith('subject.claims.')),
      ...missing.map(claimText),
      ...(isInsideDecisive ? openInside.map(claimText) : []),
    ],
    openInside: isInsideDecisive ? [] : openInside.map(claimText),
  }
}

const claimText = (name: string): string => `subject.claims.${name}: not recorded`

/** Nobody hands in what travels inside another token; of actor tokens the audience is not recorded. */
function refusedNow(
  { parent }: AuditEvent,
  order: NonNullable<Rehearsal['order']>,
  { surroundings }: Pick<Scene, 'surroundings'>,
): Rehearsal | undefined {
  if (parent !== undefined) return undefined
  const failure = presenterRefusal('subject', order.subject, order.caller.service, surroundings)
  if (failure === undefined) return undefined
  const refusals = [{ stage: 'subject' as const, failure }]
  return { result: failure, stage: 'subject', refusals, order, tailored: undefined, trace: [] }
}
