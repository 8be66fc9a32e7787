// Owns what a draft is made of: entries, the lines in force, the rules to be ticked, the questions.
// Must not decide what is in it, nor how it is written.
import type { SpiffeId } from '../../clients/spiffe-id.ts'
import type { ServiceName } from '../ruleset.ts'
import type { Question } from './observed.ts'
import type { EntryStatus } from './place.ts'

/** A line of a list; one that is not in force is written behind a `#`. */
export interface PlannedItem {
  readonly text: string
  readonly inForce: boolean
  readonly note?: string
}

/** A scope of a rule that somebody may tick. */
export interface PlannedScope {
  readonly scope: string
  /** All of them together; none where a person has to say which. */
  readonly justification: readonly string[]
  readonly note?: string
}

/** A rule that somebody may tick. */
export interface PlannedRule {
  readonly from: ServiceName
  /** Undefined where a person has to say it. */
  readonly issuer: string | undefined
  /** None where a person has to say which. */
  readonly scopes: readonly PlannedScope[]
  readonly question: string
}

/** An entry of a drafted file. */
export interface PlannedService {
  readonly name: ServiceName
  readonly status: EntryStatus
  /** Where it is not the default one. */
  readonly identity: SpiffeId | undefined
  readonly scopes: readonly PlannedItem[]
  readonly calls: readonly PlannedItem[]
  readonly rules: readonly PlannedRule[]
  readonly questions: readonly string[]
}

/** All entries, and the questions that belong to none. */
export interface Plan {
  readonly services: readonly PlannedService[]
  readonly questions: readonly Question[]
}
