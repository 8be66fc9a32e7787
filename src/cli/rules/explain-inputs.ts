// Owns what `rules explain` is given: its options, and the request that they describe.
// Must not explain.

import { resolve } from 'node:path'
import { readBoundedFile } from '../../config/bounded-file.ts'
import { parseYaml, type YamlDocument } from '../../config/yaml.ts'
import { parseJsonObject } from '../../jwt/strict-json.ts'
import { type Arguments, CONFIG_OPTION, JSON_OPTION, UsageError } from '../command.ts'
import type { CliIo } from '../io.ts'

/** The options of the command. */
export const OPTIONS = {
  config: CONFIG_OPTION,
  decision: { value: '<id>', help: 'A recorded decision; callers find the id in their answer.' },
  request: { value: '<file>', help: 'A request in a file, written as a test is (YAML or JSON).' },
  caller: { value: '<service>', help: 'Who calls: a service, or a SPIFFE ID.' },
  audience: { value: '<service>', help: 'The target, by its name or its audience.' },
  resource: { value: '<uri>', help: 'The target, by its audience URI.' },
  scope: { value: '<scopes>', help: 'Scopes that are asked. Default: all that is justified.' },
  issuer: {
    value: '<name>',
    help: 'Whose subject token: an issuer, self or workload. Default: self.',
  },
  'subject-scope': { value: '<scopes>', help: 'The scopes that the subject token brings.' },
  claims: { value: '<json>', help: 'Its other claims, as a JSON object.' },
  sub: { value: '<sub>', help: 'Its sub.' },
  aud: { value: '<audience>', help: 'Its aud. Default: one that the caller may present.' },
  act: { value: '<subs>', help: 'Who acts in it, the outermost first, with commas between.' },
  'may-act': { value: '<sub>', help: 'Who alone may act.' },
  chain: { value: '<subs>', help: 'Its chain, the first caller first, with commas between.' },
  exp: { value: '<duration>', help: 'How long it still lives. Default: 1h.' },
  'actor-issuer': { value: '<name>', help: 'With --actor-sub: an actor token comes along.' },
  'actor-sub': { value: '<sub>', help: 'With --actor-issuer: its sub.' },
  now: { value: '<time>', help: 'When, in UTC: 2026-01-02T03:04:05Z. Default: now.' },
  json: JSON_OPTION,
} as const

/** Its arguments. */
export type Args = Arguments<keyof typeof OPTIONS>

/** What is to be explained. */
export type Input =
  | { readonly kind: 'decision'; readonly id: string }
  | { readonly kind: 'request'; readonly document: YamlDocument }

const REQUEST_OPTIONS = Object.keys(OPTIONS).filter(
  (name) => !['config', 'decision', 'request', 'json'].includes(name),
) as (keyof typeof OPTIONS)[]

/** How a request on the command line is called in problems. */
const COMMAND_LINE = 'the command line'

/** Reads what is given; one of the three ways. */
export function inputOf(args: Args, io: CliIo): Input {
  const id = args.text('decision')
  const file = args.text('request')
  const given = REQUEST_OPTIONS.filter((name) => args.has(name))
  const ways = [id, file, given[0]].filter((way) => way !== undefined)
  if (ways.length === 0) {
    throw new UsageError('say what to explain: --decision, --request, or --caller and --audience')
  }
  if (ways.length > 1)
    throw new UsageError('--decision, --request and the other options exclude each other')
  if (id !== undefined) return { kind: 'decision', id }
  if (file !== undefined) return { kind: 'request', document: documentOf(file, io) }
  return { kind: 'request', document: commandLine(args, io) }
}

/** One request and its token's claims. */
const MAX_REQUEST_BYTES = 1024 * 1024

function documentOf(file: string, io: CliIo): YamlDocument {
  let text: string
  try {
    text = readBoundedFile(resolve(io.cwd, file), MAX_REQUEST_BYTES).toString('utf8')
  } catch (error) {
    throw new UsageError(`cannot read ${file} (${(error as NodeJS.ErrnoException).code})`)
  }
  const yaml = parseYaml(text, file)
  if (yaml.ok) return yaml.document
  const [first] = yaml.problems
  throw new UsageError(`${file}:${first?.line}:${first?.column}: ${first?.message}`)
}

/** The options as a file would say them, so that both are checked alike; they have no lines. */
function commandLine(args: Args, io: CliIo): YamlDocument {
  if (args.text('caller') === undefined) throw new UsageError('--caller is needed: who calls')
  const actor = { issuer: args.text('actor-issuer'), sub: args.text('actor-sub') }
  const value = withoutAbsent({
    caller: args.text('caller'),
    subject: withoutAbsent({
      issuer: args.text('issuer') ?? 'self',
      sub: args.text('sub'),
      aud: args.text('aud'),
      scope: args.text('subject-scope'),
      claims: claimsOf(args.text('claims')),
      act: args.text('act')?.split(','),
      may_act: args.text('may-act'),
      chain: args.text('chain')?.split(','),
      exp: args.text('exp'),
    }),
    actor: actor.issuer === undefined && actor.sub === undefined ? undefined : withoutAbsent(actor),
    request: withoutAbsent({
      audience: args.text('audience'),
      resource: args.text('resource'),
      scope: args.text('scope'),
    }),
    now: args.text('now') ?? new Date(io.now()).toISOString(),
  })
  const nowhere = { positionOf: () => ({ line: 0, column: 0 }), lineAt: () => '' }
  return { file: COMMAND_LINE, value, ...nowhere }
}

function claimsOf(text: string | undefined): unknown {
  if (text === undefined) return undefined
  const parsed = parseJsonObject(text)
  if (!parsed.ok) throw new UsageError(`--claims is ${parsed.detail}`)
  return { ...parsed.value }
}

const withoutAbsent = (members: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
