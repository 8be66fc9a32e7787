// Owns `rules test`: the tests beside the rules, run against the rules as serve reads them.
// Must not decide what a test means; src/ruleset does.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Problem } from '../../config/problem.ts'
import type { Settings } from '../../config/settings.ts'
import { readRuleSources } from '../../ruleset/load.ts'
import { placesOf } from '../../ruleset/places.ts'
import { coverageOf } from '../../ruleset/rehearse/coverage.ts'
import { runMutants } from '../../ruleset/rehearse/mutate.ts'
import { readTestFile } from '../../ruleset/rehearse/test-file.ts'
import { casesOf, runTest, type TestCase } from '../../ruleset/rehearse/test-run.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import {
  type Arguments,
  CONFIG_OPTION,
  defineCommand,
  JSON_OPTION,
  UsageError,
} from '../command.ts'
import { configFileOf, tellFailure, tellProblems } from '../configured.ts'
import { loadDeployment } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { junitXml } from './junit.ts'
import { surroundingsOf } from './surroundings.ts'
import { readTestSources } from './test-files.ts'
import {
  below,
  coverageLine,
  failureText,
  junitCases,
  mutantsText,
  reportJson,
  summaryText,
  survivorsOf,
  type TestReport,
  uncoveredText,
} from './test-report.ts'

const OPTIONS = {
  config: CONFIG_OPTION,
  filter: { value: '<words>', help: 'Only tests whose names hold all of these words.' },
  coverage: { help: 'Tell what no test saw, and where it stands.' },
  'coverage-min': {
    value: '<percent>',
    help: 'Fail where less is covered of rules, of scopes or of predicates.',
  },
  mutate: { help: 'Weaken each predicate in turn and tell those that no test notices.' },
  junit: { value: '<file>', help: 'Write a JUnit report there.' },
  json: JSON_OPTION,
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts rules test` */
export const rulesTest = defineCommand(
  {
    name: 'rules test',
    summary: 'Run the tests beside the rules (*.test.yaml).',
    details: [
      'Nothing is asked of a server: the rules decide as they would there. docs/rules-test.md has the format.\n' +
        'Exits with 1 where a test fails, a mutant survives, or too little is covered.',
    ],
    positionals: '[file or folder …]',
    options: OPTIONS,
  },
  async (args, io) => {
    const least = percentOption(args.text('coverage-min'))
    const configFile = configFileOf(args.text('config'), io)
    const { settings, ruleset, problems } = loadDeployment(configFile, io.env)
    if (settings === undefined || ruleset === undefined) return refuse(problems, args, io)
    if (!args.has('json')) tellProblems(io, problems)
    const found = findTests(args, settings, ruleset, io)
    if (found.problems.length > 0) return refuse(found.problems, args, io)
    if (found.cases.length === 0) return tellNone(args, io)
    const report = run(args, settings, ruleset, found)
    return writeJunit(report, args, io) ?? tell(report, least, args, io)
  },
)

/** Undefined where it is written, or none is asked for. */
function writeJunit({ results }: TestReport, args: Args, io: CliIo): number | undefined {
  const file = args.text('junit')
  if (file === undefined) return undefined
  try {
    writeFileSync(resolve(io.cwd, file), junitXml(junitCases(results, io)))
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const message = `cannot write ${file} (${code})`
    return tellFailure(io, args.has('json'), { problem: 'junit_not_written', message })
  }
}

function percentOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const percent = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
  if (percent <= 100) return percent
  throw new UsageError('--coverage-min is a whole number from 0 to 100')
}

function refuse(problems: readonly Problem[], args: Args, io: CliIo): number {
  if (args.has('json')) printJson(io, { ok: false, problems })
  else tellProblems(io, problems)
  return EXIT_FAILED
}

interface Found {
  readonly cases: readonly TestCase[]
  /** Of the files that were named; undefined where all are meant. */
  readonly namespaces: ReadonlySet<string> | undefined
  readonly problems: readonly Problem[]
}

function findTests(args: Args, settings: Settings, ruleset: Ruleset, io: CliIo): Found {
  const named = args.positionals.map((path) => resolve(io.cwd, path))
  const { sources, problems } = readTestSources(named.length === 0 ? settings.rules : named)
  const world = { ruleset, surroundings: surroundingsOf(settings) }
  const read = sources.map((source) => readTestFile(source, world))
  const sets = read.flatMap(({ set }) => (set === undefined ? [] : [set]))
  const words = args.text('filter')?.toLowerCase().split(/\s+/) ?? []
  const matches = ({ name }: TestCase) => words.every((word) => name.toLowerCase().includes(word))
  return {
    cases: sets.flatMap(casesOf).filter(matches),
    namespaces: named.length === 0 ? undefined : new Set(sets.map(({ namespace }) => namespace)),
    problems: [...problems, ...read.flatMap((one) => one.problems)],
  }
}

function tellNone(args: Args, io: CliIo): number {
  const filter = args.text('filter')
  const message =
    filter === undefined
      ? 'there is no test: write one in a file *.test.yaml beside the rules (docs/rules-test.md)'
      : `no test has all of these words in its name: ${filter}`
  return tellFailure(io, args.has('json'), { problem: 'no_tests', message })
}

function run(
  args: Args,
  settings: Settings,
  ruleset: Ruleset,
  { cases, namespaces }: Found,
): TestReport {
  const surroundings = surroundingsOf(settings)
  const results = cases.map((test) => runTest(test, ruleset, surroundings))
  const passed = results.every((result) => result.passed)
  return {
    results,
    coverage: coverageOf(results, ruleset, namespaces),
    // A test that fails already would notice every mutant.
    mutants:
      args.has('mutate') && passed
        ? runMutants(results, ruleset, surroundings, namespaces)
        : undefined,
    findPlace: placesOf(readRuleSources(settings.rules).sources, ruleset),
  }
}

function tell(report: TestReport, least: number | undefined, args: Args, io: CliIo): number {
  const { results, coverage, mutants } = report
  const short = least === undefined ? [] : below(coverage, least)
  const ok =
    results.every(({ passed }) => passed) &&
    short.length === 0 &&
    survivorsOf(mutants ?? []).length === 0
  if (args.has('json')) {
    printJson(io, { ok, ...reportJson(report, io) })
    return ok ? EXIT_OK : EXIT_FAILED
  }
  for (const result of results) {
    if (!result.passed) io.stdout(`${failureText(result, io)}\n`)
  }
  if (args.has('coverage') || short.length > 0) io.stdout(uncoveredText(report, io))
  if (mutants !== undefined) io.stdout(mutantsText(report, io))
  else if (args.has('mutate')) io.stdout('mutants: none were made, because tests fail\n')
  io.stdout(`${coverageLine(coverage)}\n${summaryText(results)}\n`)
  if (short.length > 0) {
    io.stderr(
      `less than ${least} % is covered of ${short.map((kind) => `${kind}s`).join(' and ')}\n`,
    )
  }
  return ok ? EXIT_OK : EXIT_FAILED
}
