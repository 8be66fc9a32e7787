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
import { type FoundRules, firstRules } from './compose/first-rules.ts'
import { keyPolicyOf } from './compose/key-policy.ts'
import { type ListenerParts, openListeners } from './compose/listeners.ts'
import { createRules, type LiveRules, type RulesStatus } from './compose/rules.ts'
import { plainContextOf } from './compose/rules-context.ts'
import { composeSubjects } from './compose/subjects.ts'
import { composeWorkloads } from './compose/workloads.ts'
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
import { type Database, openDatabase } from './store/database.ts'
import { readStoredRules } from './store/last-ruleset.ts'
import { checkMigrated } from './store/migrations.ts'
import { createUsedAssertions } from './store/used-assertions.ts'
import { createWriter, type Writer } from './store/writer.ts'

/** Where a server says what happens; messages are constant, data go into the object. */
export interface ServerLog {
  readonly info: (data: object, message: string) => void
  readonly warn: (data: object, message: string) => void
  readonly error: (data: object, message: string) => void
}

/** What a server needs besides its settings. */
export interface ServerDependencies {
  /** As they were found on disk; where they have errors, those that were stored last serve. */
  readonly rules: FoundRules
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
  readonly rules: Pick<LiveRules, 'look' | 'reload' | 'status'>
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
 * key, a key-encryption key, rules; nothing is made silently.
 */
export async function startServer(
  settings: Settings,
  dependencies: ServerDependencies,
): Promise<RunningServer> {
  const { log, rules, now = Date.now } = dependencies
  const closers: (() => void | Promise<void>)[] = []
  const onClose = (close: () => void | Promise<void>) => void closers.unshift(close)
  try {
    return await compose(settings, { ...dependencies, now }, onClose, async () => {
      for (const close of closers) await close()
    })
  } catch (error) {
    for (const close of closers) await close()
    log.error({ err: error, ruleset: rules.ruleset?.hash }, 'start failed')
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
  for (const relaxation of settings.relaxations) log.warn({ relaxation }, 'relaxation is on')

  // The store: one connection for keys and retention, one thread for everything on the hot path.
  const db = openDatabase(settings.store.sqlite, { busyTimeoutMs: KEY_STORE_BUSY_MS })
  onClose(() => void db.close())
  checkMigrated(db, dependencies.migrationsFolder)
  const writer = createWriter({ path: settings.store.sqlite, log })
  onClose(() => writer.close())

  const rules = openRules(settings, dependencies, db, writer)
  onClose(() => rules.stop())
  const ruleset = rules.current

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
  const workloads = composeWorkloads(settings, { ...sources, verifier })
  const authenticateClient = composeClients(settings, {
    ...sources,
    verifier,
    workloads,
    ruleset,
    usedAssertions,
  })
  const { verifySubject, verifyActor } = composeSubjects(settings, verifier, keys.keySource, {
    ...sources,
    workloads,
  })
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
    ruleset: rules.status,
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
    mintTools: { sign: keys.sign, maxTokenCharacters: settings.tokens.maxCharacters },
    rulesetClaim: settings.tokens.rulesetClaim,
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
      rules_loaded: () => ({ ok: true, detail: rulesDetail(rules.status()) }),
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
  rules.start()
  log.info({ ruleset: ruleset().hash, addresses: listeners.addresses }, 'serving')

  let stopping: Promise<void> | undefined
  return {
    addresses: listeners.addresses,
    keys,
    rules,
    stop: () => {
      stopping ??= drain.drain(listeners.apps).then(closeAll)
      return stopping
    },
  }
}

function openRules(
  settings: Settings,
  { rules: found, log, now }: ServerDependencies & { readonly now: () => number },
  db: Database,
  writer: Pick<Writer, 'write'>,
): LiveRules {
  const context = plainContextOf(settings)
  const chosen = firstRules(found, readStoredRules(db), context, now())
  if (!chosen.ok) throw new StartError(chosen.message)
  return createRules({
    ...chosen,
    paths: settings.rules,
    context,
    trace: found.trace,
    save: ({ packed, hash, loadedAt }) =>
      writer.write('save_ruleset', [packed.digest, hash, loadedAt, packed.bytes]),
    now,
    log,
  })
}

/** Stale rules serve: whether that is an emergency is not for the load balancer to say. */
function rulesDetail({ hash, staleErrors }: RulesStatus): string {
  const serving = hash.slice(0, 12)
  return staleErrors === undefined ? serving : `stale: ${staleErrors} errors, serving ${serving}`
}
