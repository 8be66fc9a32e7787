// Owns how the end of a test run is told: failures with what happened, coverage, mutants, counts; as text and JSON.
// Must not run tests.
import { printable } from '../../config/problem.ts'
import type { FindPlace, Place } from '../../ruleset/places.ts'
import {
  COVERAGE_KINDS,
  type Coverage,
  type CoverageItem,
  type CoverageKind,
  percentOf,
} from '../../ruleset/rehearse/coverage.ts'
import type { MutantResult } from '../../ruleset/rehearse/mutate.ts'
import type { HopResult, TestResult } from '../../ruleset/rehearse/test-run.ts'
import { shownFile } from '../configured.ts'
import type { CliIo } from '../io.ts'
import { alignTable } from '../table.ts'
import type { JunitCase } from './junit.ts'
import { traceText } from './trace-text.ts'

/** Everything that a run gave. */
export interface TestReport {
  readonly results: readonly TestResult[]
  readonly coverage: Coverage
  /** Undefined where none were made. */
  readonly mutants: readonly MutantResult[] | undefined
  readonly findPlace: FindPlace
}

const INDENT = '  '

/** A failed test: what was expected, what came, and the way to it. */
export function failureText(result: TestResult, io: Pick<CliIo, 'cwd'>): string {
  const { test } = result
  const place = `${shownFile(test.file, io)}:${test.line}`
  return `${printable(`FAILED  ${place}  ${test.name}`)}\n${whyText(result)}`
}

function whyText({ test, hops }: TestResult): string {
  return hops
    .map((hop, at) => {
      if (hop.differences.length === 0) return ''
      const heading = test.kind === 'journey' ? `${INDENT}hop ${at + 1}\n` : ''
      const rows = hop.differences.flatMap(({ what, expected, actual }) => [
        [`${INDENT}${what}`, 'expected', expected],
        ['', 'actual', actual],
      ])
      return heading + alignTable(rows) + happened(hop)
    })
    .join('')
}

function happened({ rehearsal }: HopResult): string {
  if (rehearsal === undefined || rehearsal.trace.length === 0) return ''
  return `${INDENT}what happened\n${traceText(rehearsal.trace, INDENT.repeat(2))}`
}

/** `42 tests, 3 journeys, 0 failed` */
export function summaryText(results: readonly TestResult[]): string {
  const { tests, journeys, failed } = countsOf(results)
  return `${amount(tests, 'test')}, ${amount(journeys, 'journey')}, ${failed} failed`
}

const countsOf = (results: readonly TestResult[]) => ({
  tests: results.filter(({ test }) => test.kind === 'test').length,
  journeys: results.filter(({ test }) => test.kind === 'journey').length,
  failed: results.filter(({ passed }) => !passed).length,
})

const amount = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : 's'}`

/** One line with what is covered of each kind. */
export function coverageLine({ totals }: Coverage): string {
  const parts = COVERAGE_KINDS.map((kind) => {
    const { covered, total } = totals[kind]
    return `${kind}s ${covered}/${total} (${percentOf(totals[kind])} %)`
  })
  return `coverage: ${parts.join(', ')}`
}

/** The kinds of which less than so many percent is covered. */
export const below = ({ totals }: Coverage, percent: number): CoverageKind[] =>
  COVERAGE_KINDS.filter((kind) => percentOf(totals[kind]) < percent)

/** What no test saw, and where it stands. */
export function uncoveredText({ coverage, findPlace }: TestReport, io: Pick<CliIo, 'cwd'>): string {
  const rows = missingOf(coverage).map(({ kind, id, what }) => [
    kind,
    id,
    what,
    placeText(placeOf(id, findPlace), io),
  ])
  return rows.length === 0 ? '' : alignTable([['NEVER SEEN', '', '', ''], ...rows])
}

const missingOf = ({ items }: Coverage): CoverageItem[] => items.filter(({ covered }) => !covered)

/** Mutants that no test noticed, and how many there were. */
export function mutantsText(
  { mutants = [], findPlace }: TestReport,
  io: Pick<CliIo, 'cwd'>,
): string {
  const survived = survivorsOf(mutants)
  const rows = survived.map(({ mutant, looked }) => [
    mutant.id,
    mutant.what,
    placeText(placeOf(mutant.id, findPlace), io),
    looked === 0 ? 'no test looks at it' : `${amount(looked, 'test')} looked at it`,
  ])
  const noticed = mutants.length - survived.length
  const line = `mutants: ${mutants.length}, ${noticed} noticed, ${survived.length} survived\n`
  return rows.length === 0 ? line : alignTable([['SURVIVED', '', '', ''], ...rows]) + line
}

/** Mutants that no test noticed. */
export const survivorsOf = (mutants: readonly MutantResult[]): MutantResult[] =>
  mutants.filter(({ noticedBy }) => noticedBy === undefined)

/** The place of a part of the rules, else of the rule that it belongs to. */
export function placeOf(id: string, findPlace: FindPlace): Place | undefined {
  const [rule] = / <- [^ ]+ \[[^ ]+\]/.test(id) ? id.split(/(?<=\])\s/) : [id]
  return findPlace(id) ?? findPlace(rule ?? id)
}

/** `rules/boutique.yaml:12` */
export const placeText = (place: Place | undefined, io: Pick<CliIo, 'cwd'>): string =>
  place === undefined ? '' : `${shownFile(place.file, io)}:${place.line}`

/** The cases of a JUnit report. */
export function junitCases(results: readonly TestResult[], io: Pick<CliIo, 'cwd'>): JunitCase[] {
  return results.map((result) => ({
    name: result.test.name,
    file: shownFile(result.test.file, io),
    line: result.test.line,
    failure: result.passed ? undefined : firstDifference(result) + whyText(result),
  }))
}

function firstDifference({ hops }: TestResult): string {
  const [first] = hops.flatMap(({ differences }) => differences)
  return first === undefined
    ? ''
    : `${first.what}: expected ${first.expected}, actual ${first.actual}\n`
}

/** The report as JSON, with everything that is not in order. */
export function reportJson(report: TestReport, io: Pick<CliIo, 'cwd'>): object {
  const { results, coverage, mutants, findPlace } = report
  const where = (id: string) => {
    const place = placeOf(id, findPlace)
    return place === undefined ? {} : { file: shownFile(place.file, io), line: place.line }
  }
  return {
    ...countsOf(results),
    results: results.map(({ test, passed, hops }) => ({
      file: shownFile(test.file, io),
      line: test.line,
      name: test.name,
      kind: test.kind,
      passed,
      failures: hops.flatMap(({ differences, rehearsal }, at) =>
        differences.length === 0
          ? []
          : [{ hop: at + 1, differences, steps: rehearsal?.trace.map(({ step }) => step) ?? [] }],
      ),
    })),
    coverage: {
      totals: coverage.totals,
      missing: missingOf(coverage).map(({ kind, id, what }) => ({ kind, id, what, ...where(id) })),
    },
    ...(mutants && {
      mutants: {
        total: mutants.length,
        survived: survivorsOf(mutants).map(({ mutant: { id, what }, looked }) => ({
          id,
          what,
          looked,
          ...where(id),
        })),
      },
    }),
  }
}
