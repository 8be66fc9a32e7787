// Owns how a fault in a rule file is told before its position is known. Must not format or print.

/** A fault at a path of one file; load.ts turns the path into line and column. */
export interface RuleProblem {
  /** Index into the files that were compiled. */
  readonly file: number
  readonly path: readonly (string | number)[]
  readonly message: string
  /** What was probably meant. */
  readonly suggestion?: string
  readonly severity: 'error' | 'warning'
}
