// Owns the `never` entries of a test file with their places: what they mean, and what is wrong with them.
// Must not prove anything.
import { type Problem, pathText } from '../../config/problem.ts'
import type { YamlDocument } from '../../config/yaml.ts'
import { type Never, type NeverProblem, resolveNever } from '../../ruleset/prove/never.ts'
import type { TestSet } from '../../ruleset/rehearse/test-file.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'

/** What a file says must never be. */
export interface FoundNevers {
  readonly nevers: readonly {
    readonly never: Never
    readonly line: number
    readonly column: number
  }[]
  readonly problems: readonly Problem[]
}

/** Resolves the names in `never` of a test file against rules. */
export function neversOf(set: TestSet, ruleset: Ruleset): FoundNevers {
  const nevers: FoundNevers['nevers'][number][] = []
  const problems: Problem[] = []
  for (const [at, entry] of (set.never ?? []).entries()) {
    const path = ['never', at]
    const resolved = resolveNever(entry, set.namespace, ruleset)
    problems.push(...resolved.problems.map((fault) => placed(fault, path, set.document)))
    if (resolved.never === undefined) continue
    nevers.push({ never: resolved.never, ...set.document.positionOf(path) })
  }
  return { nevers, problems }
}

function placed(
  { path, message, suggestion, severity }: NeverProblem,
  entry: readonly (string | number)[],
  document: YamlDocument,
): Problem {
  const full = [...entry, ...path]
  return {
    file: document.file,
    ...document.positionOf(full),
    path: pathText(full),
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
    severity,
  }
}
