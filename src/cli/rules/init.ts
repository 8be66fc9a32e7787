// Owns `rules init`: from what is given to a draft, from the draft to files.
// Must not draft anything itself; a draft that would not load never leaves it.
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Problem } from '../../config/problem.ts'
import { planDraft } from '../../ruleset/draft/plan.ts'
import type { Plan } from '../../ruleset/draft/planned.ts'
import { type DraftFile, draftFiles, draftText } from '../../ruleset/draft/text.ts'
import { loadRuleset } from '../../ruleset/load.ts'
import type { Database } from '../../store/database.ts'
import { defineCommand, UsageError } from '../command.ts'
import { readSettings, shownFile, tellFailure, tellProblems, withDatabase } from '../configured.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import {
  type Args,
  type Base,
  baseOf,
  type Given,
  type Looked,
  look,
  OPTIONS,
  readArguments,
} from './init-inputs.ts'
import { reportOf, tellDecisions, tellSummary } from './init-report.ts'
import { writeNewFiles } from './new-files.ts'

/** `mesh-sts rules init` */
export const rulesInit = defineCommand(
  {
    name: 'rules init',
    summary: 'Draft a first ruleset from what exists. A draft grants nothing until it is decided.',
    details: [
      'An edge is caller:target or caller:target=scope,scope, with names such as boutique/frontend. Edges,\n' +
        'policies and the audit may be given together. What a person must decide is marked DECIDE in the\n' +
        'draft, and told on standard error.',
    ],
    positionals: '[<edge>...]',
    options: OPTIONS,
  },
  async (args, io) => {
    const given = readArguments(args, io.now())
    const call = { config: args.text('config'), isJson: args.has('json'), readonly: true }
    if (args.has('from-audit')) {
      return withDatabase(call, io, (db, settings) =>
        draft({ args, io, given, base: baseOf(settings), db }),
      )
    }
    if (call.config === undefined) return draft({ args, io, given, base: baseOf(undefined) })
    const settings = readSettings(call.config, io, call.isJson)
    return settings === undefined ? EXIT_FAILED : draft({ args, io, given, base: baseOf(settings) })
  },
)

interface Drafting {
  readonly args: Args
  readonly io: CliIo
  readonly given: Given
  readonly base: Base
  readonly db?: Database
}

interface Drafted {
  readonly file: DraftFile
  readonly text: string
}

function draft({ args, io, given, base, db }: Drafting): number {
  const isJson = args.has('json')
  const { context, ruleset } = base
  if (ruleset === undefined) return tellFaults(io, isJson, base.problems)
  const looked = look(given, { context, ruleset }, { io, db })
  if ('problems' in looked) return tellFaults(io, isJson, looked.problems)
  const { trustDomains, ownIdentity, selfIss } = context
  const [trustDomain = ''] = trustDomains
  const plan = planDraft(looked.seen, { trustDomain, ownIdentity, selfIss, ruleset })
  const files = draftFiles(plan, looked.sources).map((file) => ({ file, text: draftText(file) }))
  if (files.length === 0) return tellNothing(io, isJson, plan)
  const faults = faultsOf(base, files)
  return faults.length > 0 ? tellFaults(io, isJson, faults) : write(args, io, files, looked)
}

/** Questions are told even where no file could hold them. */
function tellNothing(io: CliIo, isJson: boolean, { questions }: Plan): number {
  const nothing = {
    problem: 'nothing_seen',
    message: 'nothing was seen that a rule file could hold',
  }
  if (!isJson) {
    tellDecisions(
      io,
      questions.map(({ text }) => text),
    )
    return tellFailure(io, isJson, nothing)
  }
  printJson(io, { ok: false, ...nothing, decisions: questions })
  return EXIT_FAILED
}

function tellFaults(io: CliIo, isJson: boolean, problems: readonly Problem[]): number {
  if (isJson) printJson(io, { ok: false, problems })
  else tellProblems(io, problems)
  return EXIT_FAILED
}

/** What `rules check` would call an error with the draft beside the rules that are there. */
function faultsOf({ context, sources }: Base, files: readonly Drafted[]): readonly Problem[] {
  const drafts = files.map(({ file, text }) => ({ file: `draft of ${file.namespace}`, text }))
  const { problems } = loadRuleset([...sources, ...drafts], context)
  return problems.filter(({ severity }) => severity === 'error')
}

function write(args: Args, io: CliIo, files: readonly Drafted[], looked: Looked): number {
  const isJson = args.has('json')
  const paths = pathsOf(args.text('out'), files, io)
  const named = files.map((each, index) => {
    const path = paths?.[index]
    return path === undefined ? each : { ...each, path }
  })
  const [first, ...others] = files
  if (paths === undefined && !isJson && first !== undefined) {
    if (others.length > 0) throw new UsageError(oneFileEach(files, 'give --out <folder>/'))
    io.stdout(first.text)
  }
  const failure = writeNewFiles(
    named.flatMap((each) => ('path' in each ? [{ path: each.path, text: each.text }] : [])),
  )
  if (failure !== undefined) return tellFailure(io, isJson, failure)
  if (isJson) {
    printJson(io, reportOf(looked, named))
    return EXIT_OK
  }
  tellSummary(
    io,
    looked,
    files.map(({ file }) => file),
  )
  for (const path of paths ?? []) io.stderr(`written: ${shownFile(path, io)}\n`)
  return EXIT_OK
}

/** Where each file goes; undefined where none is asked for. */
function pathsOf(
  out: string | undefined,
  files: readonly Drafted[],
  io: CliIo,
): readonly string[] | undefined {
  if (out === undefined) return undefined
  const path = resolve(io.cwd, out)
  if (!out.endsWith('/') && !isFolder(path)) {
    if (files.length > 1) throw new UsageError(oneFileEach(files, 'write --out as a folder/'))
    return [path]
  }
  return files.map(({ file }) => join(path, `${file.namespace}.yaml`))
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

const oneFileEach = (files: readonly Drafted[], what: string): string =>
  `a rule file holds one namespace, and these are ${files.map(({ file }) => file.namespace).join(', ')}: ${what}`
