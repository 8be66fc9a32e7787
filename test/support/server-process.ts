// Owns `mesh-sts serve` as a process of its own: its start, what it says, its end.
// Must not load it, nor know what it should answer.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import type { RunningServer } from '../../src/serve.ts'

/** A server that says that it serves. */
export interface ServerProcess {
  readonly child: ChildProcess
  readonly tokenUrl: string
  readonly publicUrl: string
  readonly adminUrl: string
  /** Its log so far, one entry a line. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** Sends a signal; gives what the process ended with. */
  readonly end: (
    signal: 'SIGKILL' | 'SIGTERM',
  ) => Promise<[code: number | null, signal: string | null]>
}

const MAIN = join(process.cwd(), 'dist/src/main.js')

/** Starts the server of a configuration, and waits until it serves; it is killed with the scope. */
export async function startServerProcess(
  scope: Pick<TestContext, 'after'>,
  config: string,
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>
  scope.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const log: Record<string, unknown>[] = []
  const serving = new Promise<RunningServer['addresses']>((resolve, reject) => {
    createInterface({ input: child.stdout })
      .on('line', (line) => {
        const entry = JSON.parse(line) as Record<string, unknown>
        log.push(entry)
        if (entry.message === 'serving') resolve(entry.addresses as RunningServer['addresses'])
      })
      .on('close', () => reject(new Error(`it ended without serving: ${JSON.stringify(log)}`)))
  })
  const addresses = await serving
  const urlOf = ({ port }: { port: number }) => `http://127.0.0.1:${port}`
  return {
    child,
    tokenUrl: `${urlOf(addresses.token)}/token`,
    publicUrl: urlOf(addresses.public),
    adminUrl: urlOf(addresses.admin),
    log,
    end: (signal) => {
      child.kill(signal)
      return exited
    },
  }
}
