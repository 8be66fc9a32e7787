// Owns putting events together again that were recorded of one request. Must not read a database.
import type { AuditEvent } from './event.ts'

/** A request: its own event, and those of the tokens that were decided along with it. */
export interface WholeDecision {
  readonly event: AuditEvent
  readonly inside: readonly AuditEvent[]
}

/**
 * Requests of events that come ordered by time, either way. Those of one request have one time, so no more
 * than one millisecond is held. What lost its own event to retention is left out.
 */
export function* wholeDecisions(events: Iterable<AuditEvent>): Generator<WholeDecision, void> {
  let held: AuditEvent[] = []
  for (const event of events) {
    if (held[0] !== undefined && held[0].time !== event.time) {
      yield* wholesIn(held)
      held = []
    }
    held.push(event)
  }
  yield* wholesIn(held)
}

function* wholesIn(events: readonly AuditEvent[]): Generator<WholeDecision, void> {
  const children = new Map<string, AuditEvent[]>()
  for (const event of events) {
    if (event.parent === undefined) continue
    const siblings = children.get(event.parent) ?? []
    siblings.push(event)
    children.set(event.parent, siblings)
  }
  const insideOf = (event: AuditEvent): AuditEvent[] =>
    (children.get(event.decisionId) ?? []).flatMap((child) => [child, ...insideOf(child)])
  for (const event of events) {
    if (event.parent === undefined) yield { event, inside: insideOf(event) }
  }
}
