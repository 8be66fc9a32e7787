// Owns a running Envoy for tests: start on free ports, swap its listeners, ask its admin port, stop it by pid.
// Must not know what the listeners do (envoy-config.ts builds them).
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A member of Envoy's proto3 JSON; only Envoy itself knows the whole schema. */
export type EnvoyObject = { readonly [name: string]: unknown }

/** An Envoy listener or cluster, known by its name. */
export type NamedObject = EnvoyObject & { readonly name: string }

export interface EnvoyOptions {
  readonly binary: string
  readonly listeners: readonly NamedObject[]
  readonly clusters: readonly NamedObject[]
}

export interface RunningEnvoy {
  readonly pid: number
  /** The port that a listener got. */
  port(listener: string): number
  /** Replaces all listeners and waits until Envoy took them; throws with its reason where it refuses. */
  swapListeners(listeners: readonly NamedObject[]): Promise<void>
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 5000
const POLL_MS = 10

/**
 * Starts Envoy with port 0 everywhere and resolves when every listener serves. Listeners go through a
 * file-based LDS, as istiod's do, so that they can be swapped and a bad one is refused without an exit.
 */
export async function startEnvoy(options: EnvoyOptions): Promise<RunningEnvoy> {
  const folder = await mkdtemp(join(tmpdir(), 'envoy-'))
  const adminFile = join(folder, 'admin')
  const lds = join(folder, 'lds.json')
  await writeListeners(lds, options.listeners, 0)
  await writeFile(join(folder, 'bootstrap.json'), JSON.stringify(bootstrap(lds, options.clusters)))

  const child = spawn(
    options.binary,
    [
      ...['-c', join(folder, 'bootstrap.json'), '--admin-address-path', adminFile],
      ...['--concurrency', '1', '--disable-hot-restart', '--skip-deprecated-logs'],
      ...['--log-level', 'warning'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  // A test process that dies early takes its Envoy along.
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })

  const stop = async () => {
    await terminate(child)
    process.off('exit', killOnExit)
    await rm(folder, { recursive: true, force: true })
  }

  let admin = ''
  let ports = new Map<string, number>()
  let version = 0
  const getJson = async (path: string) => (await fetch(`${admin}${path}`)).json()
  /** A counter, 0 where it does not exist (yet). */
  const stat = async (name: string) => {
    const filter = `^${name.replaceAll('.', '\\.')}$`
    const answer = (await getJson(`/stats?format=json&filter=${encodeURIComponent(filter)}`)) as {
      stats: { value?: number }[]
    }
    return answer.stats[0]?.value ?? 0
  }
  const until = async (what: string, ready: () => Promise<boolean>) => {
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await ready())) {
      if (child.exitCode !== null) throw new Error(`envoy exited (${child.exitCode}):\n${log}`)
      if (performance.now() > deadline) throw new Error(`envoy: no ${what} in time:\n${log}`)
      await delay(POLL_MS)
    }
  }
  const readPorts = async (expected: readonly NamedObject[]) => {
    const answer = (await getJson('/listeners?format=json')) as ListenersAnswer
    ports = new Map(
      (answer.listener_statuses ?? []).map(({ name, local_address }) => [
        name,
        local_address.socket_address.port_value,
      ]),
    )
    return expected.every(({ name }) => (ports.get(name) ?? 0) !== 0)
  }

  try {
    await until('admin address', async () => {
      const address = await readFile(adminFile, 'utf8').catch(() => '')
      admin = `http://${address.trim()}`
      return address !== ''
    })
    await until('readiness', async () => {
      if ((await stat('listener_manager.lds.update_rejected')) > 0) {
        throw new Error(`envoy refused the listeners:\n${log}`)
      }
      return (await (await fetch(`${admin}/ready`)).text()).trim() === 'LIVE'
    })
    await until('listener', () => readPorts(options.listeners))
  } catch (error) {
    await stop()
    throw error
  }

  return {
    pid: child.pid ?? 0,
    port(listener) {
      const port = ports.get(listener)
      if (port === undefined) throw new Error(`envoy has no listener ${listener}`)
      return port
    },
    async swapListeners(listeners) {
      version += 1
      const successes = await stat('listener_manager.lds.update_success')
      const rejections = await stat('listener_manager.lds.update_rejected')
      await writeListeners(lds, listeners, version)
      await until('listener update', async () => {
        if ((await stat('listener_manager.lds.update_rejected')) > rejections) {
          throw new Error(`envoy refused the listeners:\n${log}`)
        }
        return (await stat('listener_manager.lds.update_success')) > successes
      })
      await until('listener', () => readPorts(listeners))
    },
    stop,
  }
}

/** What `envoy --mode validate` says of a configuration file: undefined when it is good. */
export async function validateEnvoyConfig(
  binary: string,
  file: string,
): Promise<string | undefined> {
  const child = spawn(binary, ['--mode', 'validate', '-c', file, '--log-level', 'warning'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const [code] = await once(child, 'close')
  return code === 0 ? undefined : log
}

interface ListenersAnswer {
  readonly listener_statuses?: readonly {
    readonly name: string
    readonly local_address: { readonly socket_address: { readonly port_value: number } }
  }[]
}

function bootstrap(lds: string, clusters: readonly NamedObject[]): EnvoyObject {
  return {
    // xDS by file needs a node.
    node: { id: 'test', cluster: 'test' },
    admin: { address: { socketAddress: { address: '127.0.0.1', portValue: 0 } } },
    dynamicResources: { ldsConfig: { resourceApiVersion: 'V3', pathConfigSource: { path: lds } } },
    staticResources: { clusters },
  }
}

/** Envoy watches for a rename; a file written in place could be read half. */
async function writeListeners(
  lds: string,
  listeners: readonly NamedObject[],
  version: number,
): Promise<void> {
  const type = 'type.googleapis.com/envoy.config.listener.v3.Listener'
  const resources = listeners.map((listener) => ({ '@type': type, ...listener }))
  await writeFile(`${lds}.new`, JSON.stringify({ versionInfo: String(version), resources }))
  await rename(`${lds}.new`, lds)
}

async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}
