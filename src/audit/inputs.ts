// Owns which claims of a subject token are recorded: those that the target's conditions read, and no token bytes (P7).
// Must not decide anything.
import { mayHoldToken } from '../oauth/request.ts'
import type { Service } from '../ruleset/ruleset.ts'
import type { Subject } from '../subjects/subject.ts'

/** As JSON; conditions compare short values, and an identity could write long ones into the audit. */
export const MAX_CLAIM_CHARACTERS = 256

/** What a replay needs of the subject's claims. */
export interface RecordedClaims {
  readonly claims: Readonly<Record<string, unknown>>
  /** Of the claims that are read or listed, those that are not there. */
  readonly absentClaims: readonly string[]
  /** Names of claims that are read and were not recorded: too long, or such that a token could be inside. */
  readonly leftOut: readonly string[]
}

/**
 * Picks the claims that `target` reads; none where no target was found. Of those that it only lists, what
 * is missing is noted: other rules that list them would pass nothing either.
 */
export function recordedClaims(
  { claims }: Pick<Subject, 'claims'>,
  target: Pick<Service, 'readClaims' | 'claims'> | undefined,
): RecordedClaims {
  const recorded: Record<string, unknown> = {}
  const absentClaims: string[] = []
  const leftOut: string[] = []
  for (const name of target?.readClaims ?? []) {
    if (!Object.hasOwn(claims, name)) absentClaims.push(name)
    else if (isRecordable(claims[name])) recorded[name] = claims[name]
    else leftOut.push(name)
  }
  for (const name of target?.claims ?? []) {
    if (target?.readClaims.includes(name)) continue
    if (!Object.hasOwn(claims, name)) absentClaims.push(name)
    // It is not passed on, though it is there.
    else if (claims[name] === null) recorded[name] = null
  }
  return { claims: recorded, absentClaims, leftOut }
}

function isRecordable(value: unknown): boolean {
  const text = JSON.stringify(value)
  return text.length <= MAX_CLAIM_CHARACTERS && !mayHoldToken(text)
}
