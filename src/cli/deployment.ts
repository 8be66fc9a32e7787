// Owns loading a deployment as a whole: settings, issuers and rules, by the loaders that every command shares.
// Must not print or start anything.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseDuration } from '../config/duration.ts'
import type { Problem } from '../config/problem.ts'
import { loadSettings, type Settings } from '../config/settings.ts'
import { loadRuleset, readRuleSources } from '../ruleset/load.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { CliIo } from './io.ts'

/** What was found; `ruleset` and `settings` are there where they have no error. */
export interface Deployment {
  readonly settings: Settings | undefined
  readonly ruleset: Ruleset | undefined
  /** Of all files, errors and warnings. */
  readonly problems: readonly Problem[]
}

/** The configuration file that a command line, the environment or the default names; absolute. */
export const configFileOf = (
  option: string | undefined,
  { env, cwd }: Pick<CliIo, 'env' | 'cwd'>,
): string => resolve(cwd, option ?? env.STS_CONFIG ?? 'sts.yaml')

/** Loads sts.yaml, the issuers file and the rules. */
export function loadDeployment(configFile: string, env: CliIo['env']): Deployment {
  const loaded = loadSettings({ configFile, env, readFile: (path) => readFileSync(path, 'utf8') })
  if (!loaded.ok) return { settings: undefined, ruleset: undefined, problems: loaded.problems }
  const { settings } = loaded
  const rules = loadRules(settings, settings.rules)
  return { settings, ruleset: rules.ruleset, problems: [...loaded.problems, ...rules.problems] }
}

/** Loads the rules of some paths against a deployment. */
export function loadRules(
  settings: Settings,
  paths: readonly string[],
): { readonly ruleset: Ruleset | undefined; readonly problems: readonly Problem[] } {
  const { sources, problems } = readRuleSources(paths)
  const rules = loadRuleset(sources, {
    trustDomains: settings.trustDomains,
    issuers: settings.issuers.map(({ name }) => name),
    algorithms: settings.keys.algorithms,
    selfIss: settings.issuer,
    parseDuration,
  })
  const all = [...problems, ...rules.problems]
  const failed = all.some(({ severity }) => severity === 'error')
  return { ruleset: failed ? undefined : rules.ruleset, problems: all }
}
