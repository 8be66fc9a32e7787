// Owns the order in which listeners stop. Must not know signals (main.ts) or what a request does.
import type { FastifyInstance } from 'fastify'
import type { ListenerLog } from './exchange-log.ts'
import type { Phase } from './token-listener.ts'

export interface DrainOptions {
  /** How long this process serves on while it says that it is not ready: endpoints have to learn it. */
  readonly settleMs: number
  /** How long requests that are being served may still take, after that. */
  readonly graceMs: number
  /**
   * Resolves after so many milliseconds; injected, so that tests don't wait. Its timer should be
   * unref'd: open listeners and connections keep the process alive for as long as it matters.
   */
  readonly delay: (milliseconds: number) => Promise<void>
  readonly log: ListenerLog
}

export interface Listeners {
  readonly token: readonly FastifyInstance[]
  readonly public: FastifyInstance
  readonly admin: FastifyInstance
}

export interface Drain {
  /** For token listeners and readiness. */
  readonly phase: () => Phase
  /**
   * Stops in order: not ready and connections asked to leave; no new exchange; token listeners
   * closed, those inside finished or cut off after the grace period; then the key set, then admin.
   * May be called again: gives the same promise. Resolves when everything is closed.
   */
  readonly drain: (listeners: Listeners) => Promise<void>
}

/** Makes the drain of one process; `phase` is `serving` until `drain` is called. */
export function createDrain(options: DrainOptions): Drain {
  let phase: Phase = 'serving'
  let draining: Promise<void> | undefined

  const run = async (listeners: Listeners): Promise<void> => {
    phase = 'draining'
    options.log.info({ settle_ms: options.settleMs, grace_ms: options.graceMs }, 'draining')
    await options.delay(options.settleMs)
    phase = 'closing'
    await closeWithin(listeners.token, options)
    // P5: verifiers lose the key set last; metrics and probes tell of it until the end.
    await closeWithin([listeners.public], options)
    await closeWithin([listeners.admin], options)
    options.log.info({}, 'drained')
  }

  return {
    phase: () => phase,
    drain: (listeners) => {
      draining ??= run(listeners)
      return draining
    },
  }
}

/** Closes listeners; connections that are still busy after the grace period are cut off. */
async function closeWithin(apps: readonly FastifyInstance[], options: DrainOptions): Promise<void> {
  let closed = false
  const closing = Promise.all(apps.map((app) => app.close())).then(() => {
    closed = true
  })
  await Promise.race([closing, options.delay(options.graceMs)])
  if (!closed) {
    options.log.warn({}, 'grace period over, connections cut off')
    for (const app of apps) app.server.closeAllConnections()
  }
  await closing
}
