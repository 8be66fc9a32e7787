// Owns how much of a denied exchange is recorded (P3): who is refused must not push older events out.
// Must not touch what was granted.
import type { AuditEvent } from './event.ts'

/** Of each list, as JSON; more than any request that is meant to succeed names. */
export const MAX_DENIED_LIST_BYTES = 1024
/** What stays of a first value that is too long alone: JSON writes a character in 6 bytes at most. */
const CUT_CHARACTERS = 160

/** Gives the event as it is recorded: of a denial, lists that the caller chose are bounded, and it says which. */
export function boundDenied(event: AuditEvent): AuditEvent {
  if (event.outcome === 'granted') return event
  const notes: string[] = [...(event.truncated ?? [])]
  const bound = (name: string, values: readonly string[]): readonly string[] => {
    const kept = boundList(values)
    if (kept === values) return values
    const isCut = kept[0] !== values[0]
    const missing = values.length - kept.length
    notes.push(
      `${name}: ${isCut ? 'first value cut, ' : ''}${missing} of ${values.length} left out`,
    )
    return kept
  }
  const { subject, request } = event
  const bounded = {
    ...event,
    request: request && {
      ...request,
      audiences: bound('request.audiences', request.audiences),
      resources: bound('request.resources', request.resources),
      scopes: request.scopes && bound('request.scopes', request.scopes),
    },
    subject: subject && { ...subject, scopes: bound('subject.scopes', subject.scopes) },
  }
  return notes.length === (event.truncated?.length ?? 0) ? event : { ...bounded, truncated: notes }
}

/** The values that fit, from the first on; the same list where all do. */
function boundList(values: readonly string[]): readonly string[] {
  let bytes = 0
  for (const [at, value] of values.entries()) {
    // The comma or bracket counts too, else empty values would cost nothing.
    bytes += Buffer.byteLength(JSON.stringify(value)) + 1
    if (bytes <= MAX_DENIED_LIST_BYTES) continue
    return at === 0 ? [value.slice(0, CUT_CHARACTERS)] : values.slice(0, at)
  }
  return values
}
