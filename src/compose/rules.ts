// Owns the ruleset in force while a server runs: when another takes its place, and what is stored of it.
// Must not read or check rules itself; what is not good in every part never serves.
import { traceFiles } from '../config/found-files.ts'
import type { Result } from '../oauth/reasons.ts'
import { compileParsedInSteps, isRuleFile } from '../ruleset/load.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { PackedRules } from '../store/last-ruleset.ts'
import { type Repeated, repeat } from '../store/repeat.ts'
import type { BrokenRules } from './broken-rules.ts'
import { type PlainRulesContext, rulesContext } from './rules-context.ts'
import {
  type Reading,
  type ReadingRequest,
  type RulesReader,
  readInThread,
} from './rules-reading.ts'
import { putTogether } from './rules-transfer.ts'

/** A set that serves, or served. */
export interface RulesInForce {
  readonly ruleset: Ruleset
  /** Of its files. */
  readonly digest: string
  /** When they were read, milliseconds since the epoch. */
  readonly loadedAt: number
}

/** A set as it is stored. */
export interface StorableRules {
  readonly packed: PackedRules
  readonly hash: string
  readonly loadedAt: number
}

export interface RulesOptions {
  /** Files and folders. */
  readonly paths: readonly string[]
  readonly context: PlainRulesContext
  readonly first: RulesInForce
  /** What is wrong on disk, where `first` is not from there. */
  readonly broken: BrokenRules | undefined
  /** The first set, where it is not stored yet. */
  readonly unsaved: StorableRules | undefined
  /** Trace of the files that the start read; undefined where they have to be read again. */
  readonly trace: string | undefined
  /** Resolves when the set is durable. */
  readonly save: (set: StorableRules) => Promise<Result<unknown>>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly log: RulesLog
  /** Default: a thread for each reading. */
  readonly read?: (request: ReadingRequest) => RulesReader
}

export interface RulesLog {
  readonly info: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

/** What a reload ends with. */
export type ReloadResult = 'applied' | 'rejected' | 'unchanged'

/** What is in force, for metrics and readiness. */
export interface RulesStatus {
  readonly hash: string
  readonly loadedAt: number
  /** How many errors the files on disk have; undefined where they are what serves. */
  readonly staleErrors: number | undefined
  readonly reloads: Readonly<Record<ReloadResult, number>>
}

export interface LiveRules {
  /** Ask once for each request: another set may serve the next. */
  readonly current: () => Ruleset
  readonly status: () => RulesStatus
  /** Looks at the files; reads them where this look and the last one saw the same change. */
  readonly look: () => Promise<void>
  /** Reads the files now; where they are being read, once more afterwards. Never rejects. */
  readonly reload: () => Promise<ReloadResult>
  /** Looks every second until `stop()`. */
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/**
 * Two looks have to agree, so a change serves within two seconds and what reading takes. Editors, `git`
 * and `rsync` write several files one after the other, and half of a change may well be a valid set.
 */
const LOOK_EVERY_MS = 1000

/** Makes the rules of a server that starts with the first set. */
export function createRules(options: RulesOptions): LiveRules {
  const { paths, context, now, log, read = readInThread } = options
  const reloads: Record<ReloadResult, number> = { applied: 0, rejected: 0, unchanged: 0 }
  let inForce = options.first
  let staleErrors = options.broken?.errors
  let unsaved = options.unsaved
  let isSaveFailureTold = false
  /** The trace of what was judged last, and of what the last look saw. */
  let judged = options.trace
  let looked: string | undefined
  /** Key files for whose sake the files on disk are broken. */
  let named: readonly string[] = []
  let reader: RulesReader | undefined
  let isStopping = false
  let running: Promise<ReloadResult> = Promise.resolve('unchanged')
  let next: Promise<ReloadResult> | undefined
  let repeated: Repeated | undefined

  if (options.broken !== undefined) refuse(options.broken)

  const traceNow = () => traceFiles([...paths, ...named], isRuleFile)

  /** What serves goes on serving. */
  function refuse({ errors, told }: BrokenRules): ReloadResult {
    staleErrors = errors
    const serving = { ruleset: inForce.ruleset.hash, loaded_at: isoTime(inForce.loadedAt) }
    log.error({ ...serving, errors, problems: told }, 'rules rejected, the last good ones serve')
    return 'rejected'
  }

  /** The files on disk serve from now on. Told where that is news. */
  function accept(set: RulesInForce, warnings: readonly string[]): ReloadResult {
    const before = inForce.ruleset.hash
    const ruleset = set.ruleset.hash
    const isNews = staleErrors !== undefined || ruleset !== before
    inForce = set
    staleErrors = undefined
    if (isNews) log.info({ ruleset, before, warnings }, 'rules applied')
    return ruleset === before ? 'unchanged' : 'applied'
  }

  async function judge(reading: Reading): Promise<ReloadResult> {
    if (reading.kind === 'unsettled') return 'unchanged'
    if (reading.kind === 'unchanged') return accept({ ...inForce, loadedAt: now() }, [])
    if (reading.kind === 'rejected') return refuse(reading)
    const { packed, hash, files, warnings } = reading
    const parsed = await putTogether(reading.rules, pause)
    const steps = compileParsedInSteps(parsed, files, rulesContext(context))
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) await pause()
    const { ruleset } = step.value
    // P6: the thread ran the same compiler on the same data.
    if (ruleset?.hash !== hash) throw new Error('two compilations of one set differ')
    const loadedAt = now()
    unsaved = { packed, hash, loadedAt }
    return accept({ ruleset, digest: packed.digest, loadedAt }, warnings)
  }

  async function readAndJudge(): Promise<ReloadResult> {
    const before = await traceNow()
    // While they are broken the same files are news: a key file that they name may be mended.
    const known = staleErrors === undefined ? inForce.digest : undefined
    reader = read({ paths, context, inForce: known })
    const reading = await reader.reading
    if (isStopping) return 'unchanged'
    named = reading.kind === 'rejected' ? reading.named : []
    if (reading.kind !== 'unsettled') judged = reading.trace ?? before
    return judge(reading)
  }

  async function attempt(): Promise<ReloadResult> {
    next = undefined
    if (isStopping) return 'unchanged'
    const result = await readAndJudge().catch((error: unknown) => {
      log.error({ err: error }, 'reload failed: this is a bug')
      return refuse({ errors: 1, told: [] })
    })
    reloads[result] += 1
    await save()
    return result
  }

  function reload(): Promise<ReloadResult> {
    next ??= running.then(attempt)
    running = next
    return next
  }

  /** Without it a restart with broken files would serve an older set, or none. */
  async function save(): Promise<void> {
    const set = unsaved
    if (set === undefined) return
    const { ok } = await options.save(set)
    if (ok && unsaved === set) unsaved = undefined
    if (!ok && !isSaveFailureTold) {
      log.error({ ruleset: set.hash }, 'ruleset not stored, tried again every second')
    }
    isSaveFailureTold = !ok
  }

  async function look(): Promise<void> {
    await save()
    const before = looked
    looked = await traceNow()
    if (looked !== judged && looked === before) await reload()
  }

  return {
    current: () => inForce.ruleset,
    status: () => {
      const { ruleset, loadedAt } = inForce
      return { hash: ruleset.hash, loadedAt, staleErrors, reloads }
    },
    look,
    reload,
    start() {
      repeated ??= repeat(look, LOOK_EVERY_MS, (error) =>
        log.error({ err: error }, 'looking at the rules failed'),
      )
    },
    async stop() {
      isStopping = true
      reader?.cancel()
      await repeated?.stop()
      await running
    },
  }
}

/** A turn of the event loop, in which requests that wait are served. */
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const isoTime = (milliseconds: number): string => new Date(milliseconds).toISOString()
