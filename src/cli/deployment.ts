// Owns loading a deployment as a whole: settings, issuers and rules, by the loaders that every command shares.
// Must not print or start anything.
import { readFileSync } from 'node:fs'
import { parseDuration } from '../config/duration.ts'
import { loadSettings } from '../config/load-settings.ts'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/settings.ts'
import { type LoadedRuleset, loadRuleset, readRuleSources } from '../ruleset/load.ts'
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
  const rules = loadRules(settings)
  return { ...rules, settings, problems: [...loaded.problems, ...rules.problems] }
}

/** Loads rules against a deployment; `paths` are its own unless others are given. */
export function loadRules(settings: Settings, paths = settings.rules): LoadedRuleset {
  const { sources, problems } = readRuleSources(paths)
  const rules = loadRuleset(sources, {
    trustDomains: settings.trustDomains,
    issuers: settings.issuers.map(({ name }) => name),
    algorithms: settings.keys.algorithms,
    selfIss: settings.issuer,
    ownIdentity: settings.clientAuth.xfcc?.self,
    parseDuration,
  })
  const all = [...problems, ...rules.problems]
  const failed = all.some(({ severity }) => severity === 'error')
  return { ...rules, ruleset: failed ? undefined : rules.ruleset, problems: all }
}
