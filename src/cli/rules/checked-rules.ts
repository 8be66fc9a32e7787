// Owns the gathering of all that `rules check` tells: of the configuration, the rules, their tests and key files.
// Must not print; every finding comes from where its matter is owned.

import { readFileSync } from 'node:fs'
import { checkFilesOfRules, checkReferencedFiles } from '../../compose/referenced-files.ts'
import { loadSettings } from '../../config/load-settings.ts'
import { byPlace, type Problem } from '../../config/problem.ts'
import type { Settings } from '../../config/settings.ts'
import type { Budget } from '../../ruleset/check/budget.ts'
import { checkRules, type WaivedProblem } from '../../ruleset/check/check.ts'
import type { FindingId } from '../../ruleset/check/findings.ts'
import { checkPresenters } from '../../ruleset/check/presenters.ts'
import type { WrittenRules } from '../../ruleset/load.ts'
import { readTestFile } from '../../ruleset/rehearse/test-file.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import { loadRules } from '../deployment.ts'
import type { CliIo } from '../io.ts'
import { outsideOf } from './proof-world.ts'
import { surroundingsOf } from './surroundings.ts'
import { readTestSources } from './test-files.ts'
import { neversOf } from './test-nevers.ts'

/** Everything that was found. */
export interface CheckedDeployment {
  /** Where nothing keeps the rules from being loaded. */
  readonly ruleset: Ruleset | undefined
  /** Rule files that were read. */
  readonly files: readonly string[]
  readonly problems: readonly Problem[]
  readonly waived: readonly WaivedProblem[]
  readonly budgets: readonly Budget[]
  /** Of a token of this deployment; 0 where the configuration is not known. */
  readonly maxTokenCharacters: number
  /** What was not looked at, because of what was found. */
  readonly left: string | undefined
}

/** What is to be checked. */
export interface CheckOrder {
  readonly configFile: string
  readonly env: CliIo['env']
  /** Rule files and folders instead of those of the configuration; absolute. */
  readonly paths: readonly string[] | undefined
  /** Whether the key files of the configuration are read too. */
  readonly withFiles: boolean
}

/** Checks a deployment, or other rules against it. */
export function checkDeployment({
  configFile,
  env,
  paths,
  withFiles,
}: CheckOrder): CheckedDeployment {
  const texts = new Map<string, string>()
  const readFile = (path: string): string => {
    const text = readFileSync(path, 'utf8')
    texts.set(path, text)
    return text
  }
  const loaded = loadSettings({ configFile, env, readFile })
  const ofSettings = loaded.problems.map((problem) => ({ ...problem, id: settingsId(problem) }))
  if (!loaded.ok) {
    return { ...NOTHING, problems: ofSettings }
  }
  const { settings } = loaded
  const rules = loadRules(settings, paths)
  const { ruleset, files } = rules
  // What cannot be read may define any service.
  const isWhole = !rules.problems.some(({ id }) => id === FILE_UNREADABLE)
  const written = isWhole ? rules.written : { ...rules.written, services: undefined }
  const checked = checkRules(written, ruleset, {
    ...surroundingsOf(settings),
    ...outsideOf(settings),
  })
  const problems = [
    ...ofSettings,
    ...rules.problems,
    ...checked.findings,
    // Other rules than its own are perhaps not all rules of a deployment.
    ...(paths === undefined ? presentersOf(settings, texts, written) : []),
    ...keyFilesOf(settings, ruleset, withFiles),
    ...testsOf(settings, ruleset, paths),
  ]
  const { waived, budgets, left } = checked
  const { maxCharacters: maxTokenCharacters } = settings.tokens
  const sorted = problems.sort(byPlace)
  return { ruleset, files, problems: sorted, waived, budgets, maxTokenCharacters, left }
}

const NOTHING: CheckedDeployment = {
  ruleset: undefined,
  files: [],
  problems: [],
  waived: [],
  budgets: [],
  maxTokenCharacters: 0,
  left: 'the rules, because they depend on the configuration',
}

const FILE_UNREADABLE: FindingId = 'file-unreadable'

const settingsId = ({ severity }: Problem): FindingId =>
  severity === 'error' ? 'configuration-invalid' : 'configuration-doubtful'

function presentersOf(
  { issuersFile }: Settings,
  texts: ReadonlyMap<string, string>,
  { services }: WrittenRules,
): readonly Problem[] {
  if (services === undefined) return []
  return checkPresenters({ file: issuersFile, text: texts.get(issuersFile) ?? '' }, services)
}

function keyFilesOf(
  settings: Settings,
  ruleset: Ruleset | undefined,
  withFiles: boolean,
): readonly Problem[] {
  if (ruleset === undefined) return []
  const id: FindingId = 'key-file-unusable'
  const problems = withFiles ? checkReferencedFiles(settings, ruleset) : checkFilesOfRules(ruleset)
  return problems.map((problem) => ({ ...problem, id }))
}

/** Test files name services and issuers: without rules nothing can be said of them. */
function testsOf(
  settings: Settings,
  ruleset: Ruleset | undefined,
  paths: readonly string[] | undefined,
): readonly Problem[] {
  if (ruleset === undefined) return []
  const { sources, problems } = readTestSources(paths ?? settings.rules)
  const world = { ruleset, surroundings: surroundingsOf(settings) }
  const invalid: FindingId = 'test-invalid'
  return [
    ...problems.map((problem) => ({ ...problem, id: FILE_UNREADABLE })),
    ...sources.flatMap((source) => {
      const { set, problems: faults } = readTestFile(source, world)
      const nevers = set === undefined ? [] : neversOf(set, ruleset).problems
      return [...faults, ...nevers].map((problem) => ({ ...problem, id: invalid }))
    }),
  ]
}
