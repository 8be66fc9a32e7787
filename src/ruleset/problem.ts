// Owns how a fault in a rule file is told before its position is known. Must not format or print.
import type { FindingId } from './check/findings.ts'

/** A fault at a path of one file; load.ts turns the path into line and column. */
export interface RuleProblem {
  /** Index into the files that were compiled. */
  readonly file: number
  readonly path: readonly (string | number)[]
  /** Stable; docs/findings has a page for it. */
  readonly id: FindingId
  readonly message: string
  /** What was probably meant. */
  readonly suggestion?: string
  readonly severity: 'error' | 'warning'
  /** Characters into the text at the path: where in an expression. */
  readonly offset?: number
}
