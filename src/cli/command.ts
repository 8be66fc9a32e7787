// Owns how a command is described, how its arguments are read and how its help looks.
// Must not know any command.
import { parseArgs } from 'node:util'
import { nearest, printable } from '../config/problem.ts'
import { type CliIo, EXIT_OK, EXIT_USAGE } from './io.ts'
import { alignTable } from './table.ts'

/** Runs with the arguments after its name; gives the exit code. */
export type Command = (args: readonly string[], io: CliIo) => Promise<number>

/** An option; without `value` it is a switch. */
export interface OptionSpec {
  /** What stands for the value in help, such as `<file>`. */
  readonly value?: string
  readonly help: string
}

/** A command's description; help is made from it. */
export interface CommandSpec<Name extends string> {
  /** As typed, without `mesh-sts`. */
  readonly name: string
  /** One sentence. */
  readonly summary: string
  /** Further paragraphs of help. */
  readonly details?: readonly string[]
  /** What stands for the positional arguments in help; none are taken where it is absent. */
  readonly positionals?: string
  readonly options: Readonly<Record<Name, OptionSpec>>
}

/** The arguments of one call. */
export interface Arguments<Name extends string> {
  readonly text: (name: Name) => string | undefined
  readonly has: (name: Name) => boolean
  readonly positionals: readonly string[]
}

/** Thrown by a command for arguments that are well-formed and mean nothing. */
export class UsageError extends Error {}

/** Options that several commands take. */
export const CONFIG_OPTION: OptionSpec = {
  value: '<file>',
  help: 'Configuration file. Default: $STS_CONFIG, else sts.yaml.',
}
export const JSON_OPTION: OptionSpec = { help: 'Print JSON for programs.' }

/** Makes a command: reads arguments, answers `--help`, tells what is wrong with them. */
export function defineCommand<Name extends string>(
  spec: CommandSpec<Name>,
  run: (args: Arguments<Name>, io: CliIo) => Promise<number>,
): Command {
  return async (args, io) => {
    if (args.includes('--help') || args.includes('-h')) {
      io.stdout(helpOf(spec))
      return EXIT_OK
    }
    try {
      return await run(readArguments(spec, args), io)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      tellUsage(io, error.message, `mesh-sts ${spec.name}`)
      return EXIT_USAGE
    }
  }
}

/** Says what was wrong with a command line and where help is. */
export function tellUsage(io: CliIo, message: string, command: string): void {
  io.stderr(`mesh-sts: ${printable(message)}\nRun "${command} --help" for help.\n`)
}

function readArguments<Name extends string>(
  spec: CommandSpec<Name>,
  args: readonly string[],
): Arguments<Name> {
  const specs: Readonly<Record<string, OptionSpec>> = spec.options
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  // Not strict: its words have no suggestions. What it would refuse is refused here.
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const values = new Map<string, string | true>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    values.set(token.name, checkOption(specs, token))
  }
  if (spec.positionals === undefined && positionals[0] !== undefined) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positionals[0])}`)
  }
  return {
    text: (name) => {
      const value = values.get(name)
      return value === true ? undefined : value
    },
    has: (name) => values.has(name),
    positionals,
  }
}

function checkOption(
  specs: Readonly<Record<string, OptionSpec>>,
  token: { readonly name: string; readonly rawName: string; readonly value?: string | undefined },
): string | true {
  const known = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined
  if (known === undefined || !token.rawName.startsWith('--')) {
    const near = nearest(token.name, Object.keys(specs))
    const hint = near === undefined ? '' : `; did you mean --${near}?`
    throw new UsageError(`unknown option ${token.rawName}${hint}`)
  }
  if (known.value === undefined) {
    if (token.value !== undefined) throw new UsageError(`--${token.name} takes no value`)
    return true
  }
  if (token.value === undefined || token.value === '') {
    throw new UsageError(`--${token.name} needs a value: --${token.name} ${known.value}`)
  }
  return token.value
}

function helpOf<Name extends string>(spec: CommandSpec<Name>): string {
  const options: Record<string, OptionSpec> = { ...spec.options, help: { help: 'Print this.' } }
  const rows = Object.entries(options).map(([name, { value, help }]) => [
    `  --${name}${value === undefined ? '' : ` ${value}`}`,
    help,
  ])
  const usage = `mesh-sts ${spec.name} [options]${spec.positionals === undefined ? '' : ` ${spec.positionals}`}`
  const details = (spec.details ?? []).map((paragraph) => `${paragraph}\n\n`).join('')
  return `Usage: ${usage}\n\n${spec.summary}\n\n${details}Options:\n${alignTable(rows)}`
}
