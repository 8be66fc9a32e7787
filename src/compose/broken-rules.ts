// Owns what is kept and told of rules that cannot serve. Must not judge them.
import { formatProblem, type Problem } from '../config/problem.ts'

/** Rules on disk that cannot serve. */
export interface BrokenRules {
  readonly errors: number
  /** The first of them, formatted. */
  readonly told: readonly string[]
}

/** A log line is no place for more; `rules check` tells all. */
export const MAX_TOLD = 20

/** What is told of a set with these problems; warnings are left out. */
export function brokenRules(problems: readonly Problem[]): BrokenRules {
  const errors = problems.filter(({ severity }) => severity === 'error')
  return { errors: errors.length, told: errors.slice(0, MAX_TOLD).map(formatProblem) }
}
