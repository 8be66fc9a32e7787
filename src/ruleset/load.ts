// Owns the way from rule files on disk to a compiled ruleset; every fault has file, line and column.
// Must not hold rules of the language: schema.ts and compile.ts do.
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type FoundFile, findFiles, TooManyEntries } from '../config/found-files.ts'
import { byPlace, type Problem, pathText } from '../config/problem.ts'
import { type DecodedText, decodeUtf8 } from '../config/utf8.ts'
import { countMarks, parseYaml, type YamlDocument } from '../config/yaml.ts'
import { problemsOfZod, safeParse } from '../config/zod-problems.ts'
import type { FindingId } from './check/findings.ts'
import type { CompileContext } from './compile/compilation.ts'
import { type CompiledRules, compileInSteps, compileRuleset } from './compile/compile.ts'
import type { RuleProblem } from './problem.ts'
import type { Ruleset, Service, ServiceName } from './ruleset.ts'
import { type RuleFile, RuleFileSchema } from './schema.ts'

/** What a load gives: a ruleset only where no problem is an error. */
export interface LoadedRuleset {
  readonly ruleset: Ruleset | undefined
  readonly problems: readonly Problem[]
  readonly files: readonly string[]
  /** The rules as they are written, for whoever has something to say of them. */
  readonly written: WrittenRules
}

/** Parsed rule files; a path leads into the file of that index. */
export interface WrittenRules {
  readonly files: readonly RuleFile[]
  /**
   * As far as they could be compiled, also where some have faults: to be looked at, never to decide.
   * Undefined where a file could not be read: then it is not known what the others refer to.
   */
  readonly services: ReadonlyMap<ServiceName, Service> | undefined
  /** What keeps these rules from being a ruleset. */
  readonly faults: readonly RuleProblem[]
  /** Turns what is said of a path into what is said of a place in a file. */
  readonly locate: (problem: RuleProblem) => Problem
}

/** A file of rules and its text. */
export interface RuleSource {
  readonly file: string
  readonly text: string
}

/** What a reading of files and folders gives. */
export interface RuleSources {
  readonly sources: readonly RuleSource[]
  readonly problems: readonly Problem[]
  /** Of the files just before they were read (config/found-files.ts). */
  readonly trace: string
}

/** All rule files together: four of the largest that are parsed. It bounds what a reading, and a copy, takes. */
export const MAX_RULES_BYTES = 64 * 1024 * 1024

/** Values of all rule files together: 100,000 rules have about three million. It bounds what a ruleset takes. */
const MAX_RULES_MARKS = 6_000_000

/**
 * Reads `*.yaml` and `*.yml` of folders (recursively) and single files.
 * Gives a problem where a path is missing or no rule file is found (P4: missing means no start).
 */
export function readRuleSources(paths: readonly string[]): RuleSources {
  const { files, failed, trace } = findFiles(paths, isRuleFile)
  const problems: Problem[] = failed.map(({ path, error }) => {
    const why = error instanceof TooManyEntries ? ': too much is in it' : ''
    return noPlace(path, `cannot read this file or folder of rules${why}`)
  })
  const sources: RuleSource[] = []
  let bytes = 0
  for (const { path: file, stats } of files) {
    bytes += Number(stats.size)
    if (bytes > MAX_RULES_BYTES) {
      const message = `the rule files have more than ${MAX_RULES_BYTES / 1024 / 1024} MiB together`
      problems.push(noPlace(file, message))
      break
    }
    const decoded = textOf({ path: file, stats })
    if (decoded === undefined) problems.push(noPlace(file, 'cannot read this file'))
    else if (decoded.ok) sources.push({ file, text: decoded.text })
    else problems.push({ ...noPlace(file, decoded.message), ...decoded.at })
  }
  if (sources.length === 0 && problems.length === 0) {
    problems.push(noPlace(paths.join(', '), 'no rule file (*.yaml) is here'))
  }
  return { sources, problems, trace }
}

/** The text of a file; undefined where it cannot be read. A FIFO would keep the reader for ever. */
function textOf({ path, stats }: FoundFile): DecodedText | undefined {
  if (!stats.isFile()) return undefined
  try {
    return decodeUtf8(readFileSync(path))
  } catch {
    return undefined
  }
}

/** Which files of a folder are rules. */
export const isRuleFile = (name: string): boolean => /\.ya?ml$/.test(name) && !isTestFile(name)

/** Tests and invariants stand beside the rules; `rules test` and `rules prove` read them. */
export const isTestFile = (file: string): boolean => /\.test\.ya?ml$/.test(file)

const YAML_INVALID: FindingId = 'yaml-invalid'
const SHAPE_INVALID: FindingId = 'shape-invalid'
const FILE_UNREADABLE: FindingId = 'file-unreadable'

const noPlace = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  path: '',
  id: FILE_UNREADABLE,
  message,
  severity: 'error',
})

/** What rules are compiled against; paths in a rule file are taken from its own folder. */
export type RulesContext = Omit<CompileContext, 'resolveFile'>

/** Compiles rules that were parsed; `files` are the names of theirs, in the same order. */
const compileParsed = (
  rules: readonly RuleFile[],
  files: readonly string[],
  context: RulesContext,
): CompiledRules => compileRuleset(rules, inFolders(files, context))

/** The same, a service at a time. */
export const compileParsedInSteps = (
  rules: readonly RuleFile[],
  files: readonly string[],
  context: RulesContext,
): Generator<void, CompiledRules, void> => compileInSteps(rules, inFolders(files, context))

const inFolders = (files: readonly string[], context: RulesContext): CompileContext => ({
  ...context,
  resolveFile: (file, path) => resolve(dirname(files[file] ?? '.'), path),
})

/** Parses and compiles sources; all faults at once. */
export function loadRuleset(sources: readonly RuleSource[], context: RulesContext): LoadedRuleset {
  const documents: YamlDocument[] = []
  const parsed: RuleFile[] = []
  const problems: Problem[] = []
  let marks = 0
  for (const { file, text } of sources) {
    marks += countMarks(text)
    if (marks > MAX_RULES_MARKS) {
      problems.push(noPlace(file, 'the rule files hold too many values together'))
      break
    }
    const yaml = parseYaml(text, file)
    if (!yaml.ok) {
      problems.push(...yaml.problems.map((problem) => ({ id: YAML_INVALID, ...problem })))
      continue
    }
    const result = safeParse(RuleFileSchema, yaml.document.value)
    if (!result.success) {
      const faults = problemsOfZod(yaml.document, result.error, RuleFileSchema)
      problems.push(...faults.map((problem) => ({ id: SHAPE_INVALID, ...problem })))
      continue
    }
    documents.push(yaml.document)
    parsed.push(result.data)
  }
  const compiled = compileParsed(
    parsed,
    documents.map(({ file }) => file),
    context,
  )
  // A file that did not parse would make its services unknown to the others: only its own faults help.
  const foreign = problems.length > 0
  const locate = locator(documents)
  if (!foreign) problems.push(...compiled.problems.map(locate))
  problems.sort(byPlace)
  return {
    ruleset: problems.some(({ severity }) => severity === 'error') ? undefined : compiled.ruleset,
    problems,
    files: sources.map(({ file }) => file),
    written: {
      files: parsed,
      services: foreign ? undefined : compiled.services,
      faults: compiled.problems,
      locate,
    },
  }
}

function locator(documents: readonly YamlDocument[]): WrittenRules['locate'] {
  return ({ file, path, offset, ...problem }) => {
    const document = documents[file]
    if (document === undefined) return { ...noPlace('', problem.message), ...problem }
    const place = document.positionOf(path, whatIsShown(document.value, path))
    const further = offset === undefined ? 0 : offsetIn(document, place, offset)
    const column = place.column + further
    return { file: document.file, ...place, column, path: pathText(path), ...problem }
  }
}

/**
 * How far right of its beginning a place within a text stands: a quoted text begins one character later.
 * A text that is folded or runs over lines is pointed at as a whole.
 */
function offsetIn(
  { lineAt }: YamlDocument,
  place: { readonly line: number; readonly column: number },
  offset: number,
): number {
  const rest = lineAt(place.line).slice(place.column - 1)
  if (/^[|>]/.test(rest)) return 0
  const start = /^["']/.test(rest) ? 1 : 0
  return start + offset < rest.length ? start + offset : 0
}

/** A fault of a whole mapping or list is shown at its key, any other at the value. */
function whatIsShown(value: unknown, path: readonly (string | number)[]): 'key' | 'value' {
  let at: unknown = value
  for (const step of path) at = (at as Record<string | number, unknown> | undefined)?.[step]
  return typeof at === 'object' && typeof path.at(-1) === 'string' ? 'key' : 'value'
}
