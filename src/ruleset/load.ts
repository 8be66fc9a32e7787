// Owns the way from rule files on disk to a compiled ruleset; every fault has file, line and column.
// Must not hold rules of the language: schema.ts and compile.ts do.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Problem, pathText } from '../config/problem.ts'
import { parseYaml, type YamlDocument } from '../config/yaml.ts'
import { problemsOfZod, safeParse } from '../config/zod-problems.ts'
import type { CompileContext } from './compilation.ts'
import { compileRuleset } from './compile.ts'
import type { Ruleset } from './ruleset.ts'
import { LATER_KEYS, type RuleFile, RuleFileSchema } from './schema.ts'

/** What a load gives: a ruleset only where no problem is an error. */
export interface LoadedRuleset {
  readonly ruleset: Ruleset | undefined
  readonly problems: readonly Problem[]
  readonly files: readonly string[]
}

/** A file of rules and its text. */
export interface RuleSource {
  readonly file: string
  readonly text: string
}

/**
 * Reads `*.yaml` and `*.yml` of folders (recursively) and single files.
 * Gives a problem where a path is missing or no rule file is found (P4: missing means no start).
 */
export function readRuleSources(paths: readonly string[]): {
  readonly sources: readonly RuleSource[]
  readonly problems: readonly Problem[]
} {
  const problems: Problem[] = []
  const files = new Set<string>()
  for (const path of paths) {
    try {
      if (statSync(path).isDirectory()) for (const file of ruleFilesIn(path)) files.add(file)
      else files.add(path)
    } catch {
      problems.push(noPlace(path, 'cannot read this file or folder of rules'))
    }
  }
  const sources: RuleSource[] = []
  for (const file of [...files].sort()) {
    if (/\.test\.ya?ml$/.test(file)) {
      const message = 'tests of rules are not supported by this version'
      problems.push({ ...noPlace(file, message), severity: 'warning' })
      continue
    }
    try {
      sources.push({ file, text: readFileSync(file, 'utf8') })
    } catch {
      problems.push(noPlace(file, 'cannot read this file'))
    }
  }
  if (sources.length === 0 && problems.length === 0) {
    problems.push(noPlace(paths.join(', '), 'no rule file (*.yaml) is here'))
  }
  return { sources, problems }
}

/** Kubernetes mounts a ConfigMap as links beside `..data` folders, which are not read twice. */
function ruleFilesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.')) return []
    const path = join(folder, entry.name)
    if (statSync(path).isDirectory()) return ruleFilesIn(path)
    return /\.ya?ml$/.test(entry.name) ? [path] : []
  })
}

const noPlace = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  path: '',
  message,
  severity: 'error',
})

/** Parses and compiles sources; all faults at once. */
export function loadRuleset(
  sources: readonly RuleSource[],
  context: Omit<CompileContext, 'resolveFile'>,
): LoadedRuleset {
  const documents: YamlDocument[] = []
  const parsed: RuleFile[] = []
  const problems: Problem[] = []
  for (const { file, text } of sources) {
    const yaml = parseYaml(text, file)
    if (!yaml.ok) {
      problems.push(...yaml.problems)
      continue
    }
    const result = safeParse(RuleFileSchema, yaml.document.value)
    if (!result.success) {
      problems.push(...problemsOfZod(yaml.document, result.error, RuleFileSchema).map(sayLater))
      continue
    }
    documents.push(yaml.document)
    parsed.push(result.data)
  }
  const compiled = compileRuleset(parsed, {
    ...context,
    resolveFile: (file, path) => resolve(dirname(documents[file]?.file ?? '.'), path),
  })
  // A file that did not parse would make its services unknown to the others: only its own faults help.
  const foreign = problems.length > 0
  for (const { file, path, ...problem } of foreign ? [] : compiled.problems) {
    const document = documents[file]
    if (document === undefined) continue
    const place = document.positionOf(path, whatIsShown(document.value, path))
    problems.push({ file: document.file, ...place, path: pathText(path), ...problem })
  }
  problems.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column)
  return {
    ruleset: problems.some(({ severity }) => severity === 'error') ? undefined : compiled.ruleset,
    problems,
    files: sources.map(({ file }) => file),
  }
}

/** A fault of a whole mapping or list is shown at its key, any other at the value. */
function whatIsShown(value: unknown, path: readonly (string | number)[]): 'key' | 'value' {
  let at: unknown = value
  for (const step of path) at = (at as Record<string | number, unknown> | undefined)?.[step]
  return typeof at === 'object' && typeof path.at(-1) === 'string' ? 'key' : 'value'
}

/** Keys that a later version knows are no typing errors. */
function sayLater(problem: Problem): Problem {
  const key = /([a-z_]+)$/.exec(problem.path)?.[1]
  if (key === undefined || !LATER_KEYS.has(key) || !problem.message.includes('unknown key')) {
    return problem
  }
  const { suggestion: _, ...rest } = problem
  return { ...rest, message: `\`${key}\` is not supported by this version` }
}
