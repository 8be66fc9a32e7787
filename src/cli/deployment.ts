// Owns loading a deployment as a whole: settings, issuers and rules, by the loaders that every command shares.
// Must not print or start anything.
import { readFileSync } from 'node:fs'
import { plainContextOf, rulesContext } from '../compose/rules-context.ts'
import { loadSettings } from '../config/load-settings.ts'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/settings.ts'
import {
  type LoadedRuleset,
  loadRuleset,
  type RuleSources,
  type RulesContext,
  readRuleSources,
} from '../ruleset/load.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { CliIo } from './io.ts'

/** What was found; `ruleset` and `settings` are there where they have no error. */
export interface Deployment {
  readonly settings: Settings | undefined
  readonly ruleset: Ruleset | undefined
  /** Rule files that were read. */
  readonly files: readonly string[]
  /** Of all files, errors and warnings. */
  readonly problems: readonly Problem[]
}

/** Loads sts.yaml, the issuers file and the rules; rules need settings, so they come second. */
export function loadDeployment(configFile: string, env: CliIo['env']): Deployment {
  const loaded = loadSettings({ configFile, env, readFile: (path) => readFileSync(path, 'utf8') })
  if (!loaded.ok) {
    return { settings: undefined, ruleset: undefined, files: [], problems: loaded.problems }
  }
  const { settings } = loaded
  const { ruleset, files, problems } = loadRules(settings)
  return { settings, ruleset, files, problems: [...loaded.problems, ...problems] }
}

/** Rules that were loaded, and what they were loaded from. */
interface LoadedRules extends LoadedRuleset, Pick<RuleSources, 'sources' | 'trace'> {}

/** Loads rules against a deployment; `paths` are its own unless others are given. */
export function loadRules(settings: Settings, paths = settings.rules): LoadedRules {
  const { sources, problems, trace } = readRuleSources(paths)
  const rules = loadRuleset(sources, ruleContext(settings))
  const all = [...problems, ...rules.problems]
  const failed = all.some(({ severity }) => severity === 'error')
  return { ...rules, ruleset: failed ? undefined : rules.ruleset, problems: all, sources, trace }
}

/** What rules of a deployment are compiled against. */
export const ruleContext = (settings: Settings): RulesContext =>
  rulesContext(plainContextOf(settings))
