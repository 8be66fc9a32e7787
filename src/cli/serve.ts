// Owns `serve`: a deployment is loaded whole, or nothing starts; it ends when the process is asked to.
// Must not compose the server (serve.ts does), nor make anything that is missing (init does).
import { join } from 'node:path'
import { openLog } from '../log.ts'
import { type RunningServer, StartError, startServer } from '../serve.ts'
import { StoreError } from '../store/store-error.ts'
import { CONFIG_OPTION, defineCommand } from './command.ts'
import { configFileOf, tellProblems } from './configured.ts'
import { loadDeployment } from './deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK } from './io.ts'
import { checkReferencedFiles } from './referenced-files.ts'

/** Endpoints of a Kubernetes service learn within seconds that a pod stops being ready. */
const SETTLE_MS = 5000
/** Beyond a terminal nobody routes by readiness: a person's Ctrl-C ends at once. */
const SETTLE_TTY_MS = 0
const STDOUT = 1

export const serve = defineCommand(
  {
    name: 'serve',
    summary: 'Serve token exchanges, keys and metadata.',
    details: [
      'Starts only where everything is there and right: run "mesh-sts init" once before, and "mesh-sts rules check" after every change.',
    ],
    options: { config: CONFIG_OPTION },
  },
  async (args, io) => {
    const {
      settings,
      ruleset,
      problems: found,
    } = loadDeployment(configFileOf(args.text('config'), io), io.env)
    const missing =
      settings === undefined || ruleset === undefined ? [] : checkReferencedFiles(settings, ruleset)
    tellProblems(io, [...found, ...missing])
    if (settings === undefined || ruleset === undefined || missing.length > 0) {
      io.stderr('mesh-sts: not started: the configuration has errors\n')
      return EXIT_FAILED
    }
    // A log at level error would hide them.
    for (const name of settings.relaxations) io.stderr(`mesh-sts: relaxation is on: ${name}\n`)
    const output = openLog(settings.log.level, STDOUT)
    try {
      const server = await startServer(settings, {
        ruleset,
        log: output.log,
        writeLine: output.writeLine,
        logLinesLost: output.lost,
        migrationsFolder: join(io.packageFolder, 'migrations'),
        settleMs: io.isTty ? SETTLE_TTY_MS : SETTLE_MS,
      })
      output.flush()
      await untilStopped(server, io)
      return EXIT_OK
    } catch (error) {
      if (!(error instanceof StartError || error instanceof StoreError || isListenError(error)))
        throw error
      io.stderr(`mesh-sts: not started: ${error.message}\n`)
      return EXIT_FAILED
    } finally {
      await output.close()
      const lost = output.lost()
      if (lost > 0) io.stderr(`mesh-sts: ${lost} log lines could not be written\n`)
    }
  },
)

/** Resolves when the process was asked to stop and everything is closed. */
export function untilStopped(
  server: RunningServer,
  { signal }: Pick<CliIo, 'signal'>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => void server.stop().then(resolve, reject)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** An address that cannot be listened on is the operator's to change. */
const isListenError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error &&
  ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')
