// Owns which ruleset a server starts with: the one on disk, else the one that was stored last (P4).
// Must not read files; cli/deployment.ts does, with the loader that every command uses.
import { formatProblem, type Problem } from '../config/problem.ts'
import { loadRuleset, type RuleSource } from '../ruleset/load.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { type PackedRules, packRules, type StoredRules } from '../store/last-ruleset.ts'
import { brokenRules, MAX_TOLD } from './broken-rules.ts'
import { checkFilesOfRules } from './referenced-files.ts'
import type { RulesOptions } from './rules.ts'
import { type PlainRulesContext, rulesContext } from './rules-context.ts'

/** What a start found on disk. */
export interface FoundRules {
  /** Undefined where there is an error. */
  readonly ruleset: Ruleset | undefined
  readonly problems: readonly Problem[]
  readonly packed: PackedRules
  /** Of the files as they were read; undefined where they have to be read again. */
  readonly trace: string | undefined
}

/** The choice; without a ruleset there is nothing to serve, and the message says why. */
export type FirstRules =
  | ({ readonly ok: true } & Pick<RulesOptions, 'first' | 'broken' | 'unsaved'>)
  | { readonly ok: false; readonly message: string }

/** What was found by loading rules, with the key files that they name. */
export function foundRules(
  loaded: Pick<FoundRules, 'ruleset' | 'problems'> & {
    readonly sources: readonly RuleSource[]
    readonly trace: string
  },
): FoundRules {
  const missing = loaded.ruleset === undefined ? [] : checkFilesOfRules(loaded.ruleset)
  const packed = packRules(loaded.sources)
  const { ruleset, problems, trace } = loaded
  if (missing.length === 0) return { ruleset, problems, packed, trace }
  // The trace knows rule files only: the first look after the start finds out about the others.
  return { ruleset: undefined, problems: [...problems, ...missing], packed, trace: undefined }
}

/** Chooses. `now` in milliseconds since the epoch. */
export function firstRules(
  found: FoundRules,
  stored: StoredRules | undefined,
  context: PlainRulesContext,
  now: number,
): FirstRules {
  const { ruleset, packed, problems } = found
  if (ruleset !== undefined) {
    const { hash } = ruleset
    const isStored = stored?.digest === packed.digest && stored.hash === hash
    return {
      ok: true,
      first: { ruleset, digest: packed.digest, loadedAt: now },
      broken: undefined,
      unsaved: isStored ? undefined : { packed, hash, loadedAt: now },
    }
  }
  const last = fromStored(stored, context)
  if ('refused' in last) {
    return { ok: false, message: `the rules have errors, and ${last.refused}` }
  }
  return { ok: true, first: last, broken: brokenRules(problems), unsaved: undefined }
}

/**
 * The key files that it names are not checked: they were there, and what is not there now is an outage of
 * the one service that registered it, which a server that does not start would make one of all.
 */
function fromStored(
  stored: StoredRules | undefined,
  context: PlainRulesContext,
): RulesOptions['first'] | { readonly refused: string } {
  if (stored === undefined) return { refused: 'no earlier ruleset is stored' }
  const { digest, loadedAt } = stored
  const which = `the ruleset of ${new Date(loadedAt).toISOString()}, which was stored,`
  const sources = stored.sources()
  if (sources === undefined) return { refused: `${which} is damaged` }
  const { ruleset, problems } = loadRuleset(sources, rulesContext(context))
  if (ruleset !== undefined) return { ruleset, digest, loadedAt }
  const told = problems.slice(0, MAX_TOLD).map(formatProblem).join('\n')
  return { refused: `${which} has them as well:\n${told}` }
}
