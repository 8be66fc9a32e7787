// Owns reading the rules that the settings name: the one loader of `serve` and of every command.
// Must not print.
import { parseDuration } from '../config/duration.ts'
import type { Settings } from '../config/settings.ts'
import { type LoadedRuleset, loadRuleset, readRuleSources } from '../ruleset/load.ts'

/** Reads and compiles the rules of the settings; all problems at once. */
export function loadRulesOf(settings: Settings): LoadedRuleset {
  const { sources, problems } = readRuleSources(settings.rules)
  const loaded = loadRuleset(sources, {
    trustDomains: settings.trustDomains,
    issuers: settings.issuers.map(({ name }) => name),
    algorithms: settings.keys.algorithms,
    selfIss: settings.issuer,
    parseDuration,
  })
  const isUsable = problems.every(({ severity }) => severity !== 'error')
  return {
    ...loaded,
    ruleset: isUsable ? loaded.ruleset : undefined,
    problems: [...problems, ...loaded.problems],
  }
}
