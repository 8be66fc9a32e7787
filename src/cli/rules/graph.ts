// Owns `rules graph`: from options to a graph, to where it is written.
// Must not know how a picture is written or laid out.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { usageSince } from '../../audit/usage.ts'
import { parseDuration } from '../../config/duration.ts'
import { nearest } from '../../config/problem.ts'
import { toDot } from '../../ruleset/graph/dot.ts'
import { graphOf } from '../../ruleset/graph/graph.ts'
import { isTooMuchForMermaid, toMermaid } from '../../ruleset/graph/mermaid.ts'
import type { RuleGraph } from '../../ruleset/graph/model.ts'
import { between, nodesNamed, withCounts } from '../../ruleset/graph/view.ts'
import { type Arguments, CONFIG_OPTION, defineCommand, UsageError } from '../command.ts'
import { configFileOf, tellFailure, tellProblems, withDatabase } from '../configured.ts'
import { loadDeployment } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { tooLarge, toSvg } from './graph-svg.ts'

const FORMATS = ['mermaid', 'dot', 'svg'] as const
type Format = (typeof FORMATS)[number]

const OPTIONS = {
  config: CONFIG_OPTION,
  from: { value: '<service>', help: 'Only what lies on a path from this service or issuer.' },
  to: { value: '<service>', help: 'Only what lies on a path to this service.' },
  format: { value: FORMATS.join('|'), help: 'How it is written. Default: mermaid.' },
  out: { value: '<file>', help: 'Write to a file instead of standard output.' },
  counts: { help: 'Show how often each edge was used, from the audit.' },
  since: { value: '<duration>', help: 'Count no longer back than 7d; implies --counts.' },
  json: { help: 'Print the graph as JSON for programs.' },
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts rules graph` */
export const rulesGraph = defineCommand(
  {
    name: 'rules graph',
    summary: 'Draw the rules: services, who may exchange for whom, and with which scopes.',
    details: [
      'A path of --from and --to follows edges, whatever their scopes: `rules prove` tells what a chain\n' +
        'of exchanges can obtain.',
    ],
    options: OPTIONS,
  },
  async (args, io) => {
    const isJson = args.has('json')
    const format = formatOf(args)
    const since = sinceOf(args, io.now())
    const config = args.text('config')
    const { ruleset, problems } = loadDeployment(configFileOf(config, io), io.env)
    if (ruleset === undefined) {
      if (isJson) printJson(io, { ok: false, problems })
      else tellProblems(io, problems)
      return EXIT_FAILED
    }
    const whole = graphOf(ruleset)
    const ends = { from: nodeOf(whole, args, 'from'), to: nodeOf(whole, args, 'to') }
    const draw = async (graph: RuleGraph) => write(between(graph, ends), { args, format, io })
    if (since === undefined) return draw(whole)
    return withDatabase({ config, isJson, readonly: true }, io, (db) =>
      draw(withCounts(whole, usageSince(db, since).edges)),
    )
  },
)

/** Undefined where JSON is asked for. */
function formatOf(args: Args): Format | undefined {
  const text = args.text('format')
  if (args.has('json')) {
    if (text !== undefined) throw new UsageError('--json and --format exclude each other')
    return undefined
  }
  const format = FORMATS.find((known) => known === (text ?? 'mermaid'))
  if (format === undefined) throw new UsageError(`--format must be ${FORMATS.join(', ')}`)
  return format
}

/** From when on is counted; undefined where nothing is. */
function sinceOf(args: Args, now: number): number | undefined {
  const text = args.text('since')
  if (text === undefined) return args.has('counts') ? 0 : undefined
  const ago = parseDuration(text)
  if (ago === undefined) throw new UsageError('--since must be a duration, such as 7d')
  return now - ago
}

function nodeOf(graph: RuleGraph, args: Args, option: 'from' | 'to'): string | undefined {
  const text = args.text(option)
  if (text === undefined) return undefined
  const [found, ...others] = nodesNamed(graph, text)
  if (found === undefined) {
    const names = [...graph.services.map(({ name }) => name), ...graph.issuers]
    const shorts = names.map((name) => name.slice(name.indexOf('/') + 1))
    const near = nearest(text, names) ?? nearest(text, shorts)
    const hint = near === undefined ? '' : `; did you mean ${near}?`
    throw new UsageError(`--${option}: there is no ${text}${hint}`)
  }
  if (others.length > 0) {
    throw new UsageError(`--${option}: which of ${[found, ...others].join(', ')}?`)
  }
  return found
}

interface Writing {
  readonly args: Args
  readonly format: Format | undefined
  readonly io: CliIo
}

async function write(graph: RuleGraph, { args, format, io }: Writing): Promise<number> {
  const fault = format === 'svg' ? tooLarge(graph) : undefined
  if (fault !== undefined) {
    const message = `${fault}: narrow it with --from and --to, or use --format dot and a layout of your own`
    return tellFailure(io, false, { problem: 'graph_too_large', message })
  }
  const text = await textOf(graph, format)
  const out = args.text('out')
  if (out === undefined) io.stdout(text)
  else {
    const failure = writeTo(resolve(io.cwd, out), text)
    if (failure !== undefined) return tellFailure(io, args.has('json'), failure)
  }
  if (format !== undefined) tellNotes(graph, format, text, io)
  return EXIT_OK
}

const textOf = async (graph: RuleGraph, format: Format | undefined): Promise<string> => {
  if (format === undefined) return `${JSON.stringify({ ok: true, ...graph })}\n`
  if (format === 'mermaid') return toMermaid(graph)
  return format === 'dot' ? toDot(graph) : toSvg(graph)
}

function writeTo(
  file: string,
  text: string,
): { readonly problem: string; readonly message: string } | undefined {
  try {
    writeFileSync(file, text)
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return {
      problem: 'out_unwritable',
      message: `cannot write ${file}: ${code ?? 'unknown error'}`,
    }
  }
}

/** What a person would miss in the picture. */
function tellNotes(graph: RuleGraph, format: Format, text: string, io: CliIo): void {
  if (graph.edges.length === 0) io.stderr('there is no edge to draw\n')
  const [rule, ...more] = graph.unusable
  if (rule !== undefined) {
    const others = more.length === 0 ? '' : ` and ${more.length} more`
    io.stderr(`not drawn, since no caller lists the target in calls: ${rule}${others}\n`)
  }
  if (format === 'mermaid' && isTooMuchForMermaid(graph, text)) {
    io.stderr('Mermaid draws this only where it is configured to: narrow it with --from and --to\n')
  }
}
