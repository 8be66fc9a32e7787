// Owns how the findings of `rules check` are told to people and programs. Must not find anything.
import { formatProblem, type Problem, printable } from '../../config/problem.ts'
import { type Budget, TOKEN_LIMITS } from '../../ruleset/check/budget.ts'
import type { WaivedProblem } from '../../ruleset/check/check.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import { shownFile, tellProblems } from '../configured.ts'
import type { CliIo } from '../io.ts'
import { alignTable } from '../table.ts'
import type { CheckedDeployment } from './checked-rules.ts'

/** Counts of a check, as `--json` has them. */
export interface CheckSummary {
  readonly ok: boolean
  readonly errors: number
  readonly warnings: number
  readonly waived: number
  readonly files: readonly string[]
  /** What was not looked at, because of what was found. */
  readonly notChecked?: string
  readonly services?: number
  readonly rules?: number
  readonly hash?: string
}

/** Sums a check up; `strict` counts warnings as faults. */
export function summaryOf(checked: CheckedDeployment, isStrict: boolean): CheckSummary {
  const { ruleset, problems, waived, files, left } = checked
  const errors = count(problems, 'error')
  const warnings = count(problems, 'warning')
  return {
    ok: errors === 0 && !(isStrict && warnings > 0),
    errors,
    warnings,
    waived: waived.length,
    files,
    ...(left === undefined ? {} : { notChecked: left }),
    ...(ruleset === undefined ? {} : sizeOf(ruleset)),
  }
}

/** Findings to standard error, what is in order to standard output. */
export function tellCheck(
  io: CliIo,
  summary: CheckSummary,
  { problems, waived }: CheckedDeployment,
  withWaived: boolean,
): void {
  tellProblems(io, problems)
  if (withWaived) for (const each of waived) io.stderr(waivedLine(each, io))
  const faults = [
    amount(summary.errors, 'error'),
    amount(summary.warnings, 'warning'),
    ...(summary.waived > 0 ? [`${summary.waived} waived`] : []),
  ].join(', ')
  const left = summary.notChecked === undefined ? '' : `; not checked: ${summary.notChecked}`
  if (!summary.ok || summary.hash === undefined) {
    io.stderr(`${faults}${left}\n`)
    return
  }
  const what = `${amount(summary.services ?? 0, 'service')}, ${amount(summary.rules ?? 0, 'rule')}`
  const where = amount(summary.files.length, 'file')
  const isClean = problems.length + waived.length === 0
  io.stdout(`ok: ${what} in ${where}${isClean ? '' : ` (${faults})`}${left}\n`)
  io.stdout(`ruleset ${summary.hash}\n`)
}

function waivedLine({ reason, ...problem }: WaivedProblem, io: CliIo): string {
  const shown = { ...problem, file: shownFile(problem.file, io) }
  return `${formatProblem(shown)}: waived: ${printable(reason)}\n`
}

const count = (problems: readonly Problem[], severity: Problem['severity']): number =>
  problems.filter((problem) => problem.severity === severity).length

const amount = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : 's'}`

function sizeOf({ services, hash }: Ruleset): { services: number; rules: number; hash: string } {
  let rules = 0
  for (const service of services.values()) rules += service.rules.size
  return { services: services.size, rules, hash }
}

/** How large tokens may become, the largest first; `max` is `tokens.max_size`. */
export function budgetTable(budgets: readonly Budget[], max: number): string {
  const limits = [...TOKEN_LIMITS.map(({ characters }) => characters)]
  const rows = budgets.map(({ rule, characters, depth, hops }) => [
    rule,
    String(characters),
    String(depth),
    String(hops),
    sizeText(limits.find((limit) => characters <= limit)),
    characters <= max ? 'yes' : 'no',
  ])
  const heading = ['RULE', 'CHARACTERS', 'DEPTH', 'HOPS', 'FITS INTO', 'MINTED']
  return alignTable([heading, ...rows])
}

const KIB = 1024

const sizeText = (characters: number | undefined): string =>
  characters === undefined ? '-' : `${characters / KIB} KiB`
