// Owns what one decision carries along on its way, and how it ends in a denial.
// Must not check anything.
import type { Reason } from '../oauth/reasons.ts'
import type { Denial, Evaluate, Facts, Step } from './decision.ts'
import type { Rule, Service } from './ruleset.ts'

/** The facts and options of one decision, and what audit mode has found so far. */
export interface Course {
  readonly facts: Facts
  readonly trace: ((step: Step) => void) | undefined
  readonly evaluate: Evaluate
  readonly wouldDeny: string[]
}

/** The target and the rule, once both are found. */
export interface Place {
  readonly target: Service
  readonly rule: Rule
}

/** A denial, with what was found so far. */
export function deny(
  { wouldDeny }: Pick<Course, 'wouldDeny'>,
  reason: Reason,
  detail: string,
  { target, rule }: Partial<Place> = {},
): Denial {
  return { allow: false, reason, detail, target, rule, wouldDeny }
}
