// Owns `dev`: the development profile from its folder to its last breath, and what it says on the way.
// Must not build anything itself; src/dev/ does.
import { join, relative, resolve } from 'node:path'
import { formatProblem } from '../config/problem.ts'
import { banner, commandPrefix, DEFAULT_FOLDER } from '../dev/banner.ts'
import { developmentLog } from '../dev/log.ts'
import { nativeModuleProblem } from '../dev/native-module.ts'
import { choosePorts, DEFAULT_PORT_BASE, MAX_PORT_BASE } from '../dev/ports.ts'
import { foreignFolder, prepareProfile, removeFolder } from '../dev/profile.ts'
import { type RunningProfile, runProfile } from '../dev/run-profile.ts'
import { StartError } from '../serve.ts'
import { StoreError } from '../store/store-error.ts'
import { type Arguments, defineCommand, UsageError } from './command.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK } from './io.ts'
import { loadServedDeployment } from './served-deployment.ts'

type Option = 'port-base' | 'folder' | 'rules' | 'fresh'

export const dev = defineCommand<Option>(
  {
    name: 'dev',
    summary: 'Run a development profile on loopback: everything real, credentials made by itself.',
    details: [
      'Makes a configuration, keys, a database, an identity provider and a SPIFFE trust domain in a folder, serves rules, and prints commands to paste. A second start uses the folder again.',
    ],
    options: {
      'port-base': {
        value: '<port>',
        help: `First of four ports on 127.0.0.1; 0 lets the system choose. Default: ${DEFAULT_PORT_BASE}.`,
      },
      folder: { value: '<folder>', help: `Where everything is kept. Default: ${DEFAULT_FOLDER}.` },
      rules: {
        value: '<folder>',
        help: 'Rules to serve. Default: those that are shipped.',
      },
      fresh: { help: 'Remove that folder first, with its keys and its audit.' },
    },
  },
  async (args, io) => {
    const base = portBase(args)
    const problem = nativeModuleProblem()
    if (problem !== undefined) return refuse(io, problem)
    const folder = resolve(io.cwd, args.text('folder') ?? DEFAULT_FOLDER)
    const foreign = foreignFolder(folder)
    if (foreign !== undefined) return refuse(io, `${foreign.refused}; choose another --folder`)
    const ports = await choosePorts(base)
    if ('taken' in ports) return refuse(io, portTaken(ports.taken))
    if (args.has('fresh')) removeFolder(folder)

    const rulesFolder = resolve(io.cwd, args.text('rules') ?? join(io.packageFolder, 'rules'))
    const profile = await prepareProfile({ folder, ports, rules: rulesFolder })
    // The environment is left out: a profile is the same for everybody.
    const deployment = await loadServedDeployment(profile.configFile, {})
    // Whoever writes rules wants to see their errors, not the last set without them.
    if (!deployment.ok || deployment.rules.ruleset === undefined) {
      const told = deployment.problems.map(formatProblem)
      return refuse(io, ['the profile has errors', ...told].join('\n'))
    }
    const { settings, rules } = deployment
    const log = developmentLog(io.stderr, io.now)
    const running = await start(io, () =>
      runProfile({
        profile,
        settings,
        rules,
        identityPort: ports.identity,
        log,
        migrationsFolder: join(io.packageFolder, 'migrations'),
        now: io.now,
      }),
    )
    if (running === undefined) return EXIT_FAILED
    io.stdout(
      banner({
        addresses: profile.addresses,
        relaxations: settings.relaxations,
        folder: typedFrom(io.cwd, folder),
        rules: typedFrom(io.cwd, rulesFolder),
        command: commandPrefix(io),
      }),
    )
    log.speak()
    await aborted(io.signal)
    await running.stop()
    io.stdout('stopped\n')
    return EXIT_OK
  },
)

/** A folder as it is typed from another: relative where it lies inside. */
function typedFrom(cwd: string, folder: string): string {
  const path = relative(cwd, folder)
  return path.startsWith('..') ? folder : path
}

function portBase(args: Arguments<Option>): number {
  const text = args.text('port-base')
  if (text === undefined) return DEFAULT_PORT_BASE
  const base = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(base <= MAX_PORT_BASE)) {
    throw new UsageError(`--port-base takes a number from 0 to ${MAX_PORT_BASE}`)
  }
  return base
}

const portTaken = (port: number): string =>
  `port ${port} on 127.0.0.1 is used by another program; choose others: npm start -- --port-base 9080`

function refuse(io: CliIo, message: string): number {
  io.stderr(`mesh-sts: not started: ${message}\n`)
  return EXIT_FAILED
}

async function start(
  io: CliIo,
  run: () => Promise<RunningProfile>,
): Promise<RunningProfile | undefined> {
  try {
    return await run()
  } catch (error) {
    const { code, port } = error as NodeJS.ErrnoException & { port?: number }
    if (code === 'EADDRINUSE') refuse(io, portTaken(port ?? 0))
    else if (error instanceof StartError || error instanceof StoreError) refuse(io, error.message)
    else throw error
    return undefined
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
