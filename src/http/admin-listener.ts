// Owns the admin listener's probes and metrics. Must not decide what is healthy; checks are handed in.
import type { TlsOptions } from 'node:tls'
import fastify, { type FastifyInstance } from 'fastify'
import { answerClientErrors } from './client-error.ts'
import type { ListenerLog } from './exchange-log.ts'
import { plainRefusalText, writePlain, writePlainRefusal } from './plain-answer.ts'
import { createServer, SERVER_LIMITS, type ServerLimits } from './server.ts'

/** Whether one thing that serving needs is there. `detail` is shown: never secrets or paths of keys. */
export interface Health {
  readonly ok: boolean
  readonly detail?: string
}

export interface AdminListenerOptions {
  /** By name, such as `rules_loaded`, `store_writable`, `active_key_published`. */
  readonly checks: Readonly<Record<string, () => Health | Promise<Health>>>
  /** True as soon as this process means to stop: then it is not ready, whatever the checks say. */
  readonly isDraining: () => boolean
  /** The text of /metrics. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  readonly log: ListenerLog
  readonly checkTimeoutMs?: number
  readonly tls?: TlsOptions
  readonly limits?: Partial<ServerLimits>
}

/** Below the second that kubelet waits by default: an answer that says what hangs beats silence. */
const CHECK_TIMEOUT_MS = 800
const NO_STORE = { 'cache-control': 'no-store' }
const JSON_HEADERS = { ...NO_STORE, 'content-type': 'application/json' }
const PATHS = new Set(['/livez', '/readyz', '/metrics'])
const LIMITS: ServerLimits = { ...SERVER_LIMITS, maxConnections: 256 }

/**
 * Builds the admin listener; the caller may add routes, then calls `listen` and `close`.
 * /livez asks nothing but this process; /readyz gives every check by name, 503 where one fails.
 */
export function buildAdminListener(options: AdminListenerOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: true,
    serverFactory: (handler) =>
      createServer(handler, { ...LIMITS, ...options.limits }, options.tls),
    frameworkErrors: (_error, _request, reply) => {
      writePlainRefusal(reply.raw, 'unreadable')
    },
    clientErrorHandler: (error, socket) => onClientError(error, socket),
  })
  const onClientError = answerClientErrors(app.server, (reason) => plainRefusalText(reason))

  app.get('/livez', (_request, reply) => {
    writePlain(reply.raw, 200, JSON_HEADERS, '{"status":"alive"}')
  })
  app.get('/readyz', async (_request, reply) => {
    const readiness = await readinessOf(options)
    writePlain(
      reply.raw,
      readiness.status === 'ready' ? 200 : 503,
      JSON_HEADERS,
      JSON.stringify(readiness),
    )
  })
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await options.metrics()
    writePlain(reply.raw, 200, { ...NO_STORE, 'content-type': contentType }, body)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    writePlainRefusal(reply.raw, PATHS.has(path) ? 'method' : 'not_found')
  })
  app.setErrorHandler((error, _request, reply) => {
    options.log.error({ err: error }, 'admin request failed')
    writePlainRefusal(reply.raw, 'failed')
  })
  return app
}

interface Readiness {
  readonly status: 'ready' | 'not_ready' | 'draining'
  readonly checks: Readonly<Record<string, Health>>
}

async function readinessOf(options: AdminListenerOptions): Promise<Readiness> {
  const timeoutMs = options.checkTimeoutMs ?? CHECK_TIMEOUT_MS
  const results = await Promise.all(
    Object.entries(options.checks).map(
      async ([name, check]) => [name, await healthOf(name, check, timeoutMs, options.log)] as const,
    ),
  )
  // No check at all says nothing about readiness, so it is not ready (P4).
  const healthy = results.length > 0 && results.every(([, { ok }]) => ok)
  const status = options.isDraining() ? 'draining' : healthy ? 'ready' : 'not_ready'
  return { status, checks: Object.fromEntries(results) }
}

/** A check that throws or hangs has failed; what it threw goes to the log only. */
async function healthOf(
  name: string,
  check: () => Health | Promise<Health>,
  timeoutMs: number,
  log: ListenerLog,
): Promise<Health> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Health>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, detail: 'no answer in time' }), timeoutMs)
  })
  try {
    return await Promise.race([check(), late])
  } catch (error) {
    log.warn({ check: name, err: error }, 'readiness check failed')
    return { ok: false, detail: 'the check failed' }
  } finally {
    clearTimeout(timer)
  }
}
