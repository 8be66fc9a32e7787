// Owns every metric of this process; the only file that knows prom-client.
// Must not take a label value from a request: label sets are closed.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RecordedMethod } from '../audit/event.ts'
import { CLIENT_AUTH_METHODS } from '../clients/client.ts'
import { type ExchangeOutcome, STAGES, type Stage } from '../exchange.ts'
import { type Reason, WIRE } from '../oauth/reasons.ts'

/** A published signing key, for a gauge. */
export interface KeyAge {
  readonly algorithm: string
  readonly state: string
  readonly publishedAgeSeconds: number
}

/** The ruleset in force, and what became of others. */
export interface RulesetState {
  readonly hash: string
  /** When its files were read last, milliseconds since the epoch. */
  readonly loadedAt: number
  /** Undefined where the files on disk serve. */
  readonly staleErrors: number | undefined
  /** By result. */
  readonly reloads: Readonly<Record<string, number>>
}

/** What is read when somebody asks for metrics, so that nothing has to be told. */
export interface MetricsSources {
  readonly keys: () => readonly KeyAge[]
  /** Audit events that wait for their commit. */
  readonly auditQueueDepth: () => number
  readonly ruleset: () => RulesetState
  readonly inFlight: () => number
  /** Those that are on, by the names that the settings' schema closes. */
  readonly relaxations: readonly string[]
  /** Log lines that could not be written since the start. */
  readonly logLinesLost: () => number
}

export interface Metrics {
  /** An exchange that ended; refusals are counted by `refused` alone. */
  readonly exchange: (outcome: ExchangeOutcome, seconds: number) => void
  /** A request that was refused before its caller was known. */
  readonly refused: (reason: Reason) => void
  readonly stage: (stage: Stage, milliseconds: number) => void
  readonly jwksAnswer: (status: 200 | 304 | 503) => void
  readonly render: () => Promise<{ readonly contentType: string; readonly body: string }>
}

/** Seconds. An exchange takes about a millisecond; a key set that has to be fetched, up to 5 s. */
const EXCHANGE_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]
/** Seconds. A stage may be as short as a look-up. */
const STAGE_BUCKETS = [0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 5]

/** Makes the metrics of a process in a registry of their own. */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  const exchanges = new Counter({
    name: 'mesh_sts_exchanges_total',
    help: 'Exchanges of authenticated callers; reason is empty for those granted',
    labelNames: ['outcome', 'reason', 'method'],
    registers,
  })
  const refusals = new Counter({
    name: 'mesh_sts_refusals_total',
    help: 'Requests refused before their caller was known',
    labelNames: ['reason'],
    registers,
  })
  const embeddedTokens = new Counter({
    name: 'mesh_sts_embedded_tokens_total',
    help: 'Tokens that were decided to travel inside another',
    labelNames: ['outcome'],
    registers,
  })
  const wouldDeny = new Counter({
    name: 'mesh_sts_would_deny_total',
    help: 'Times that a predicate in audit mode would have denied; its id, as the rules give it',
    labelNames: ['predicate'],
    registers,
  })
  const jwksAnswers = new Counter({
    name: 'mesh_sts_jwks_answers_total',
    help: 'Answers of the key set endpoint',
    labelNames: ['status'],
    registers,
  })
  const durations = new Histogram({
    name: 'mesh_sts_exchange_duration_seconds',
    help: 'From the arrival of the body to the answer, for authenticated callers',
    buckets: EXCHANGE_BUCKETS,
    registers,
  })
  const stageDurations = new Histogram({
    name: 'mesh_sts_stage_duration_seconds',
    help: 'Time in each stage of an exchange',
    labelNames: ['stage'],
    buckets: STAGE_BUCKETS,
    registers,
  })
  registerGauges(registers, sources)
  registerRuleset(registers, sources)
  registerWarnings(registers, sources)

  startAtZero(exchanges, refusals, embeddedTokens, jwksAnswers, stageDurations)

  // Resolved once: labels() builds objects, and these are on the path of every exchange.
  const stages = new Map(STAGES.map((stage) => [stage, stageDurations.labels(stage)]))
  const granted = new Map<RecordedMethod, Counter.Internal>(
    CLIENT_AUTH_METHODS.map((method) => [method, exchanges.labels('granted', '', method)]),
  )
  const denied = remembered((reason: Reason, method: RecordedMethod) =>
    exchanges.labels('denied', reason, method),
  )
  const refusedBy = remembered((reason: Reason) => refusals.labels(reason))

  return {
    exchange: ({ event, embedded, result }, seconds) => {
      if (event === undefined) return
      durations.observe(seconds)
      for (const predicate of event.wouldDeny) wouldDeny.inc({ predicate })
      for (const child of embedded) {
        embeddedTokens.inc({ outcome: child.outcome })
        for (const predicate of child.wouldDeny) wouldDeny.inc({ predicate })
      }
      const { method } = event.caller
      if (result.ok) granted.get(method)?.inc()
      else denied(result.reason, method).inc()
    },
    refused: (reason) => refusedBy(reason).inc(),
    stage: (stage, milliseconds) => stages.get(stage)?.observe(milliseconds / 1000),
    jwksAnswer: (status) => jwksAnswers.labels(String(status)).inc(),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

/** What a request can be refused for before its caller is known. */
const REFUSAL = /^(?:request|client)_|^(?:overloaded|shutting_down|internal_error)$/

/** A series that begins with its first event hides that event from `rate()`. */
function startAtZero(
  exchanges: Counter<'outcome' | 'reason' | 'method'>,
  refusals: Counter<'reason'>,
  embeddedTokens: Counter<'outcome'>,
  jwksAnswers: Counter<'status'>,
  stageDurations: Histogram<'stage'>,
): void {
  for (const method of CLIENT_AUTH_METHODS) {
    exchanges.inc({ outcome: 'granted', reason: '', method }, 0)
  }
  for (const reason of Object.keys(WIRE)) {
    if (REFUSAL.test(reason)) refusals.inc({ reason }, 0)
  }
  for (const outcome of ['granted', 'denied']) embeddedTokens.inc({ outcome }, 0)
  for (const status of ['200', '304', '503']) jwksAnswers.inc({ status }, 0)
  for (const stage of STAGES) stageDurations.zero({ stage })
}

/** Remembers what a function makes of its labels; both sets are closed, so this is bounded. */
function remembered<Labels extends readonly string[], Child>(
  make: (...labels: Labels) => Child,
): (...labels: Labels) => Child {
  const children = new Map<string, Child>()
  return (...labels) => {
    const key = labels.join(' ')
    let child = children.get(key)
    if (child === undefined) {
      child = make(...labels)
      children.set(key, child)
    }
    return child
  }
}

function registerGauges(registers: Registry[], sources: MetricsSources): void {
  new Gauge({
    name: 'mesh_sts_key_published_age_seconds',
    help: 'How long each signing key has been in the key set; the oldest of a state',
    labelNames: ['alg', 'state'],
    registers,
    collect() {
      this.reset()
      for (const [labels, age] of oldest(sources.keys())) {
        const [alg = '', state = ''] = labels.split(' ')
        this.set({ alg, state }, age)
      }
    },
  })
  new Gauge({
    name: 'mesh_sts_audit_queue_depth',
    help: 'Audit events that wait for their commit',
    registers,
    collect() {
      this.set(sources.auditQueueDepth())
    },
  })
  new Gauge({
    name: 'mesh_sts_exchanges_in_flight',
    help: 'Exchanges that are running',
    registers,
    collect() {
      this.set(sources.inFlight())
    },
  })
}

function registerRuleset(registers: Registry[], { ruleset }: MetricsSources): void {
  new Gauge({
    name: 'mesh_sts_ruleset_info',
    help: 'Always 1; the hash is that of the ruleset in force',
    labelNames: ['hash'],
    registers,
    collect() {
      this.reset()
      this.set({ hash: ruleset().hash }, 1)
    },
  })
  new Gauge({
    name: 'mesh_sts_ruleset_stale',
    help: '1 where the rule files have errors and the last good ruleset serves in their place',
    registers,
    collect() {
      this.set(ruleset().staleErrors === undefined ? 0 : 1)
    },
  })
  new Gauge({
    name: 'mesh_sts_ruleset_loaded_timestamp_seconds',
    help: 'When the ruleset in force was last read from its files',
    registers,
    collect() {
      this.set(ruleset().loadedAt / 1000)
    },
  })
  new Counter({
    name: 'mesh_sts_ruleset_reloads_total',
    help: 'Readings of changed rule files since the start, by what became of them',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset()
      for (const [result, count] of Object.entries(ruleset().reloads)) this.inc({ result }, count)
    },
  })
}

/** What weakens a deployment or hides what happens in it, whatever its log's level is. */
function registerWarnings(registers: Registry[], sources: MetricsSources): void {
  const relaxations = new Gauge({
    name: 'mesh_sts_relaxation',
    help: 'Always 1; one series for each relaxation that is on',
    labelNames: ['name'],
    registers,
  })
  for (const name of sources.relaxations) relaxations.set({ name }, 1)
  new Counter({
    name: 'mesh_sts_log_lines_lost_total',
    help: 'Log lines that could not be written: the disk is full, or the reader gone or too slow',
    registers,
    collect() {
      this.reset()
      this.inc(sources.logLinesLost())
    },
  })
}

function oldest(keys: readonly KeyAge[]): ReadonlyMap<string, number> {
  const ages = new Map<string, number>()
  for (const { algorithm, state, publishedAgeSeconds } of keys) {
    const labels = `${algorithm} ${state}`
    ages.set(labels, Math.max(publishedAgeSeconds, ages.get(labels) ?? 0))
  }
  return ages
}
