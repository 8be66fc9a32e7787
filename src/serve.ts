// Owns the composition of a running server: adapters built from settings, listeners opened, everything closed.
// Must not hold rules of any room; exchange.ts shows what a request goes through.
import { randomBytes, randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { createDecisionIds } from './audit/decision-id.ts'
import { createAuditRecorder } from './audit/record.ts'
import { createRefusalCounter } from './audit/refusals.ts'
import { createRetention } from './audit/retention.ts'
import { createRateLimit } from './clients/rate-limit.ts'
import { CLOCK_SKEW_SECONDS, composeClients } from './compose/clients.ts'
import { keyPolicyOf } from './compose/key-policy.ts'
import { type ListenerParts, openListeners } from './compose/listeners.ts'
import { composeSubjects } from './compose/subjects.ts'
import type { ListenAddress } from './config/scalars.ts'
import type { Settings } from './config/settings.ts'
import { type ExchangePorts, exchange } from './exchange.ts'
import { createDrain } from './http/drain.ts'
import { createMetrics } from './http/metrics.ts'
import { createOverloadGuard, MAX_EVENT_LOOP_DELAY_MS, watchEventLoop } from './http/overload.ts'
import { createSignatureVerifier } from './jwt/verify-signature.ts'
import { readEncryptionKeys } from './keys/encryption-key-files.ts'
import { createSigningKeys, type SigningKeys } from './keys/signing-keys.ts'
import { fail } from './oauth/reasons.ts'
import type { Ruleset } from './ruleset/ruleset.ts'
import { openDatabase } from './store/database.ts'
import { checkMigrated } from './store/migrations.ts'
import { createUsedAssertions } from './store/used-assertions.ts'
import { createWriter } from './store/writer.ts'

/** Where a server says what happens; messages are constant, data go into the object. */
export interface ServerLog {
  readonly info: (data: object, message: string) => void
  readonly warn: (data: object, message: string) => void
  readonly error: (data: object, message: string) => void
}

/** What a server needs besides its settings. */
export interface ServerDependencies {
  readonly ruleset: Ruleset
  readonly log: ServerLog
  /** Takes the JSON lines of the audit, where `audit.stdout` asks for them. */
  readonly writeLine: (line: string) => void
  readonly migrationsFolder: string
  /** Lines that the log could not write, for a metric. Default: none. */
  readonly logLinesLost?: () => number
  /** Milliseconds since the epoch; a test's clock. */
  readonly now?: () => number
  /** How long a stopping server says that it is not ready before it closes anything. Default 0. */
  readonly settleMs?: number
}

/** A server that answers. Addresses say the ports that were chosen for port 0. */
export interface RunningServer {
  readonly addresses: {
    readonly token: ListenAddress
    readonly tokenMtls: ListenAddress | undefined
    readonly tokenExternal: ListenAddress | undefined
    readonly public: ListenAddress
    readonly admin: ListenAddress
  }
  readonly keys: Pick<SigningKeys, 'tick' | 'status'>
  /** Drains and closes everything; may be called again. */
  readonly stop: () => Promise<void>
}

/** A start that cannot succeed until an operator does something; the message says what. */
export class StartError extends Error {}

/** Recently verified subject tokens and assertions; about 250 bytes each. */
const VERIFIED_TOKENS = 20_000
/** Requests that are being served may take so long after a stop. */
const GRACE_MS = 10_000
/** Ticks run on the event loop: one that finds the store locked is made up for by the next. */
const KEY_STORE_BUSY_MS = 250

/**
 * Starts a server. Rejects with StartError (or StoreError) where something is missing: a database, a
 * key, a key-encryption key; nothing is made silently.
 */
export async function startServer(
  settings: Settings,
  dependencies: ServerDependencies,
): Promise<RunningServer> {
  const { log, ruleset, now = Date.now } = dependencies
  const closers: (() => void | Promise<void>)[] = []
  const onClose = (close: () => void | Promise<void>) => void closers.unshift(close)
  try {
    return await compose(settings, { ...dependencies, now }, onClose, async () => {
      for (const close of closers) await close()
    })
  } catch (error) {
    for (const close of closers) await close()
    log.error({ err: error, ruleset: ruleset.hash }, 'start failed')
    throw error
  }
}

async function compose(
  settings: Settings,
  dependencies: ServerDependencies & { readonly now: () => number },
  onClose: (close: () => void | Promise<void>) => void,
  closeAll: () => Promise<void>,
): Promise<RunningServer> {
  const { log, now } = dependencies
  const stopwatch = () => performance.now()
  const ruleset = () => dependencies.ruleset
  for (const relaxation of settings.relaxations) log.warn({ relaxation }, 'relaxation is on')

  // The store: one connection for keys and retention, one thread for everything on the hot path.
  const db = openDatabase(settings.store.sqlite, { busyTimeoutMs: KEY_STORE_BUSY_MS })
  onClose(() => void db.close())
  checkMigrated(db, dependencies.migrationsFolder)
  const writer = createWriter({ path: settings.store.sqlite, log })
  onClose(() => writer.close())

  // Signing keys.
  const encryptionKeys = readEncryptionKeys({
    current: settings.keys.encryptionKeys.current,
    files: settings.keys.encryptionKeys.files,
  })
  if (!encryptionKeys.ok) throw new StartError(encryptionKeys.message)
  const keys = createSigningKeys({
    db,
    policy: keyPolicyOf(settings),
    encryptionKeys: encryptionKeys.value,
    now,
    monotonic: stopwatch,
    log,
  })
  const started = await keys.start()
  onClose(() => keys.stop())
  if (!started.ok) throw new StartError(started.message)

  // Who is calling, what they hand in.
  const verifier = createSignatureVerifier({ cacheEntries: VERIFIED_TOKENS })
  const sources = {
    monotonic: stopwatch,
    log,
    allowHttp: settings.relaxations.includes('allow_http_issuers'),
    onClose,
  }
  const usedAssertions = createUsedAssertions({
    writer,
    skewSeconds: CLOCK_SKEW_SECONDS,
    now,
    monotonic: stopwatch,
    log,
  })
  usedAssertions.start()
  onClose(() => usedAssertions.stop())
  const authenticateClient = composeClients(settings, {
    ...sources,
    verifier,
    ruleset,
    usedAssertions,
  })
  const { verifySubject, verifyActor } = composeSubjects(
    settings,
    verifier,
    keys.keySource,
    sources,
  )
  const callers = createRateLimit({
    perSecond: settings.limits.perCallerPerSecond,
    burst: settings.limits.burst,
  })

  // What is recorded and measured.
  const refusals = createRefusalCounter({ writer, log })
  refusals.start()
  onClose(() => refusals.stop())
  const retention = createRetention({
    db,
    writer,
    now,
    monotonic: stopwatch,
    maxAgeMs: settings.audit.retainMs,
    maxBytes: settings.audit.maxBytes,
    log,
  })
  retention.start()
  onClose(() => retention.stop())
  const loop = watchEventLoop(stopwatch)
  onClose(loop.stop)
  const overload = createOverloadGuard({
    maxInFlight: settings.limits.concurrentExchanges,
    maxDelayMs: MAX_EVENT_LOOP_DELAY_MS,
    delayMs: loop.delayMs,
  })
  const metrics = createMetrics({
    keys: () =>
      keys.status().keys.map(({ algorithm, state, publishedAt }) => ({
        algorithm,
        state,
        publishedAgeSeconds: (now() - publishedAt) / 1000,
      })),
    auditQueueDepth: writer.pending,
    rulesetHash: () => ruleset().hash,
    inFlight: overload.inFlight,
    relaxations: settings.relaxations,
    logLinesLost: dependencies.logLinesLost ?? (() => 0),
  })

  const newDecisionId = createDecisionIds(randomBytes)
  const ports: ExchangePorts = {
    now,
    newDecisionId,
    newTokenId: randomUUID,
    issuer: settings.issuer,
    ruleset,
    authenticateClient,
    admitCaller: (client, at) => callers.take(client.id, at),
    verifySubject,
    verifyActor,
    sign: keys.sign,
    record: createAuditRecorder({
      writer,
      ...(settings.audit.stdout ? { stdout: dependencies.writeLine } : {}),
    }),
    countRefusal: (failure, peer, at) => {
      refusals.count(failure, peer, at)
      metrics.refused(failure.reason)
    },
    reportBug: (error, decisionId) =>
      log.error({ err: error, decision_id: decisionId }, 'exchange failed: this is a bug'),
    observeStage: metrics.stage,
    stopwatch,
  }
  const drain = createDrain({
    settleMs: dependencies.settleMs ?? 0,
    graceMs: GRACE_MS,
    delay: (milliseconds) =>
      new Promise((resolve) => void setTimeout(resolve, milliseconds).unref()),
    log,
  })
  const parts: ListenerParts = {
    exchange: (input) => exchange(input, ports),
    refuse: (reason, peer) => {
      const at = now()
      ports.countRefusal(fail(reason), peer, at)
      return newDecisionId(at)
    },
    checks: {
      rules_loaded: () => ({ ok: true, detail: ruleset().hash.slice(0, 12) }),
      store_writable: () => ({ ok: writer.writable() }),
      active_key_published: () => {
        // Waiting out the lead after a restore: keys are published, none signs, nothing can be exchanged.
        const { ready, reason, signing } = keys.status()
        const detail = reason ?? (signing.length === 0 ? 'no_key_signs_yet' : undefined)
        return { ok: detail === undefined && ready, ...(detail === undefined ? {} : { detail }) }
      },
    },
    jwks: keys.jwks,
    drain,
    overload,
    metrics,
    stopwatch,
    log,
    onClose,
  }
  const listeners = await openListeners(settings, parts)
  log.info({ ruleset: ruleset().hash, addresses: listeners.addresses }, 'serving')

  let stopping: Promise<void> | undefined
  return {
    addresses: listeners.addresses,
    keys,
    stop: () => {
      stopping ??= drain.drain(listeners.apps).then(closeAll)
      return stopping
    },
  }
}
