// Owns the list of commands and finding the one that was typed. Modules load when they are needed, so that
// a short command starts fast. Must not do a command's work.
import { nearest } from '../config/problem.ts'
import { type Command, tellUsage } from './command.ts'
import { type CliIo, EXIT_OK, EXIT_USAGE } from './io.ts'
import { alignTable } from './table.ts'
import { versionOf } from './version.ts'

interface Row {
  /** One word, or a group and a word. */
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Command>
}

const COMMANDS: readonly Row[] = [
  {
    name: 'dev',
    summary: 'Run a development profile on this machine, with everything it needs.',
    load: async () => (await import('./dev.ts')).dev,
  },
  {
    name: 'init',
    summary: 'Make the database and the first signing key.',
    load: async () => (await import('./init.ts')).init,
  },
  {
    name: 'serve',
    summary: 'Serve token exchanges, keys and metadata.',
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'migrate',
    summary: 'Bring the database to the schema of this version.',
    load: async () => (await import('./migrate.ts')).migrateCommand,
  },
  {
    name: 'backup',
    summary: 'Write a copy of the database while it is in use.',
    load: async () => (await import('./backup.ts')).backup,
  },
  {
    name: 'restore',
    summary: 'Make the database from a copy; its keys only verify.',
    load: async () => (await import('./restore.ts')).restore,
  },
  {
    name: 'keys list',
    summary: 'Show the signing keys.',
    load: async () => (await import('./keys-show.ts')).keysList,
  },
  {
    name: 'keys timeline',
    summary: 'Show what will happen to the keys, and when.',
    load: async () => (await import('./keys-show.ts')).keysTimeline,
  },
  {
    name: 'keys rotate',
    summary: 'Let the next key sign now.',
    load: async () => (await import('./keys-change.ts')).keysRotate,
  },
  {
    name: 'keys revoke',
    summary: 'Take a key out of use at once.',
    load: async () => (await import('./keys-change.ts')).keysRevoke,
  },
  {
    name: 'keys rewrap',
    summary: 'Encrypt private keys under the current key-encryption key.',
    load: async () => (await import('./keys-change.ts')).keysRewrap,
  },
  {
    name: 'rules init',
    summary: 'Draft a first ruleset from what exists.',
    load: async () => (await import('./rules/init.ts')).rulesInit,
  },
  {
    name: 'rules check',
    summary: 'Check the configuration, the issuers and the rules.',
    load: async () => (await import('./rules/check.ts')).rulesCheck,
  },
  {
    name: 'rules test',
    summary: 'Run the tests beside the rules.',
    load: async () => (await import('./rules/test.ts')).rulesTest,
  },
  {
    name: 'rules explain',
    summary: 'Explain a decision: the way to it, and what would have to be different.',
    load: async () => (await import('./rules/explain.ts')).rulesExplain,
  },
  {
    name: 'rules graph',
    summary: 'Draw who may exchange for whom, and with which scopes.',
    load: async () => (await import('./rules/graph.ts')).rulesGraph,
  },
  {
    name: 'rules prove',
    summary: 'Prove what must never be possible, over every chain of exchanges.',
    load: async () => (await import('./rules/prove.ts')).rulesProve,
  },
  {
    name: 'rules diff',
    summary: 'Tell what one ruleset makes possible that another does not.',
    load: async () => (await import('./rules/diff.ts')).rulesDiff,
  },
  {
    name: 'rules replay',
    summary: 'Decide what was recorded anew by other rules, and tell what would be different.',
    load: async () => (await import('./rules/replay.ts')).rulesReplay,
  },
  {
    name: 'rules unused',
    summary: 'Tell what of the rules was not used since a time.',
    load: async () => (await import('./rules/unused.ts')).rulesUnused,
  },
  {
    name: 'audit query',
    summary: 'Look up decisions.',
    load: async () => (await import('./audit-query.ts')).auditQuery,
  },
  {
    name: 'exchange',
    summary: 'Exchange a token and see what became of it.',
    load: async () => (await import('./exchange.ts')).exchangeCommand,
  },
]

/** Runs the command that the arguments name. Gives the exit code. */
export async function runCommand(args: readonly string[], io: CliIo): Promise<number> {
  const [first = '', second = ''] = args
  if (first === '' || first === '--help' || first === '-h' || first === 'help') {
    const write = first === '' ? io.stderr : io.stdout
    write(overview(COMMANDS))
    return first === '' ? EXIT_USAGE : EXIT_OK
  }
  if (first === '--version') {
    io.stdout(`${versionOf(io.packageFolder)}\n`)
    return EXIT_OK
  }
  const row = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`)
  if (row !== undefined) {
    const command = await row.load()
    return command(args.slice(row.name.split(' ').length), io)
  }
  return unknown(first, second, io)
}

function unknown(first: string, second: string, io: CliIo): number {
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
  if (group.length > 0 && (second === '--help' || second === '-h')) {
    io.stdout(overview(group))
    return EXIT_OK
  }
  if (group.length > 0) {
    const words = group.map(({ name }) => name.slice(first.length + 1))
    const near = second.startsWith('-') ? undefined : nearest(second, words)
    const what =
      second === '' ? `which of ${words.join(', ')}?` : `there is no "${first} ${second}"`
    tellUsage(io, what + didYouMean(near && `${first} ${near}`), `mesh-sts ${first}`)
    return EXIT_USAGE
  }
  const near = nearest(first, new Set(COMMANDS.map(({ name }) => name.split(' ')[0] ?? name)))
  tellUsage(io, `unknown command "${first}"${didYouMean(near)}`, 'mesh-sts')
  return EXIT_USAGE
}

const didYouMean = (near: string | undefined): string =>
  near === undefined ? '' : `; did you mean "${near}"?`

function overview(rows: readonly Row[]): string {
  const lines = alignTable(rows.map(({ name, summary }) => [`  ${name}`, summary]))
  return (
    'Usage: mesh-sts <command> [options]\n\n' +
    `Security token service for Istio meshes (RFC 8693).\n\nCommands:\n${lines}\n` +
    'Run "mesh-sts <command> --help" for the options of a command.\n'
  )
}
