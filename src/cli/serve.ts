// Owns `serve`: a deployment is loaded whole, or nothing starts; it ends when the process is asked to.
// Must not compose the server (serve.ts does), nor make anything that is missing (init does).
import { join } from 'node:path'
import { checkFilesOfSettings } from '../compose/referenced-files.ts'
import { openLog } from '../log.ts'
import { type RunningServer, type ServerLog, StartError, startServer } from '../serve.ts'
import { StoreError } from '../store/store-error.ts'
import { CONFIG_OPTION, defineCommand } from './command.ts'
import { configFileOf, tellProblems } from './configured.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK } from './io.ts'
import { loadServedDeployment } from './served-deployment.ts'

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
      'Rules are read again when their files change, and on SIGHUP; where they have errors the last good ones serve, also after a restart.',
    ],
    options: { config: CONFIG_OPTION },
  },
  async (args, io) => {
    let readAgain: (() => void) | undefined
    // From the beginning: nobody who asks too early may end the process. The start reads them anyway.
    io.onReload?.(() => readAgain?.())
    const deployment = await loadServedDeployment(configFileOf(args.text('config'), io), io.env)
    const missing = deployment.ok ? checkFilesOfSettings(deployment.settings) : []
    tellProblems(io, [...deployment.problems, ...missing])
    if (!deployment.ok || missing.length > 0) {
      io.stderr('mesh-sts: not started: the configuration has errors\n')
      return EXIT_FAILED
    }
    const { settings, rules } = deployment
    // A log at level error would hide them.
    for (const name of settings.relaxations) io.stderr(`mesh-sts: relaxation is on: ${name}\n`)
    const output = openLog(settings.log.level, STDOUT)
    try {
      const server = await startServer(settings, {
        rules,
        log: output.log,
        writeLine: output.writeLine,
        logLinesLost: output.lost,
        migrationsFolder: join(io.packageFolder, 'migrations'),
        settleMs: io.isTty ? SETTLE_TTY_MS : SETTLE_MS,
      })
      output.flush()
      readAgain = () => void readRules(server, output.log)
      await untilStopped(server, io)
      return EXIT_OK
    } catch (error) {
      if (!(error instanceof StartError || error instanceof StoreError || isListenError(error)))
        throw error
      io.stderr(`mesh-sts: not started: ${error.message}\n`)
      return EXIT_FAILED
    } finally {
      readAgain = undefined
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

/** Whoever asks is told what came of it, also where that is nothing new. */
async function readRules({ rules }: RunningServer, log: ServerLog): Promise<void> {
  const result = await rules.reload()
  log.info({ result, ruleset: rules.status().hash }, 'rules read on request')
}

/** An address that cannot be listened on is the operator's to change. */
const isListenError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error &&
  ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')
