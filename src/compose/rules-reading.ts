// Owns the main thread's end of a reading of rules: a thread for each, its memory and time, what it says.
// Must not judge what was read.
import { extname } from 'node:path'
import { constrainedMemory, memoryUsage } from 'node:process'
import { Worker } from 'node:worker_threads'
import type { PackedRules } from '../store/last-ruleset.ts'
import type { BrokenRules } from './broken-rules.ts'
import type { PlainRulesContext } from './rules-context.ts'
import type { RuleFileTexts } from './rules-transfer.ts'

/** What a thread is told. */
export interface ReadingRequest {
  readonly paths: readonly string[]
  readonly context: PlainRulesContext
  /** Digest of the files in force, where reading the same again is no news. */
  readonly inForce: string | undefined
}

/** What became of a reading. `trace` is that of the files as they were read (config/found-files.ts). */
export type Reading =
  /** The files in force. */
  | { readonly kind: 'unchanged'; readonly trace: string }
  /** They changed while they were read, each time. */
  | { readonly kind: 'unsettled' }
  | Rejected
  | {
      readonly kind: 'good'
      readonly trace: string
      readonly hash: string
      readonly packed: PackedRules
      readonly files: readonly string[]
      readonly rules: readonly RuleFileTexts[]
      readonly warnings: readonly string[]
    }

/** Rules that have errors, or could not be read to the end. */
interface Rejected extends BrokenRules {
  readonly kind: 'rejected'
  /** Undefined where the thread ended early. */
  readonly trace: string | undefined
  /** Key files that the rules name: `trace` knows them too. */
  readonly named: readonly string[]
}

/** A reading under way. */
export interface RulesReader {
  /** Never rejects. */
  readonly reading: Promise<Reading>
  /** Ends it early; then it is a rejected one. */
  readonly cancel: () => void
}

/** Beside the main thread's. It has room for 100,000 rules. */
const MAX_HEAP_MIB = 768
const MIN_HEAP_MIB = 64
/** Of what a container has left, for what is no heap. */
const HEAP_SHARE = 0.75
/** A hundred times what 10,000 rules take; no file, and no file system, may keep a thread for ever. */
const TIMEOUT_MS = 120_000

/** What a reading may take. */
export interface ReadingLimits {
  readonly heapMiB?: number
  readonly timeoutMs?: number
}

/**
 * Reads rules in a thread of its own, which ends with it and gives all its memory back. What takes more
 * than the limits is rejected.
 */
export function readInThread(request: ReadingRequest, limits: ReadingLimits = {}): RulesReader {
  const { heapMiB = heapLeftMiB(constrainedMemory(), memoryUsage.rss()), timeoutMs = TIMEOUT_MS } =
    limits
  const worker = new Worker(
    // The compiled file beside this one, or its source where Node runs that (22.18 and later).
    new URL(`./rules-thread${extname(import.meta.url)}`, import.meta.url),
    {
      workerData: request,
      name: 'rules-reader',
      resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    },
  )
  const cancel = () => void worker.terminate()
  const reading = new Promise<Reading>((resolve) => {
    const timer = setTimeout(() => {
      resolve(rejected(`reading the rules took longer than ${timeoutMs / 1000} s`))
      cancel()
    }, timeoutMs).unref()
    worker.on('message', resolve)
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const needs = `reading the rules takes more than ${heapMiB} MiB of memory`
      const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY'
      resolve(rejected(isMemory ? needs : `reading the rules failed: ${error.message}`))
    })
    worker.on('exit', () => {
      clearTimeout(timer)
      // Not heard where it said something before.
      resolve(rejected('reading the rules was ended early'))
    })
  })
  return { reading, cancel }
}

const rejected = (told: string): Rejected => ({
  kind: 'rejected',
  trace: undefined,
  named: [],
  errors: 1,
  told: [told],
})

/**
 * What a thread may take of a process that uses so many bytes: a container that runs out of memory loses
 * the whole process. Without a limit that is undefined, 0 or beyond all memory, by the version of Node.
 */
export function heapLeftMiB(limit: number | undefined, used: number): number {
  const left = (((limit || Number.POSITIVE_INFINITY) - used) / 1024 / 1024) * HEAP_SHARE
  return Math.max(MIN_HEAP_MIB, Math.min(MAX_HEAP_MIB, Math.floor(left)))
}
