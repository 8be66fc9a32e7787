// Owns a run of hostile inputs over the parsers: in a thread of its own, watched from outside, so that an input
// that never ends is found and named.
// Must not know what a parser promises.
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { PARSERS, type ParserName, type ParserTarget } from './parser-targets.ts'
import { createRandom } from './random.ts'

/** How many inputs of which parser, or for how long. */
export interface ParserPlan {
  readonly parser: ParserName
  readonly seed: number
  readonly from: number
  readonly inputs: number
}

/** What a run came to. */
export interface ParserReport {
  readonly parser: ParserName
  readonly inputs: number
  readonly accepted: number
  readonly seconds: number
  /** The input that took longest. */
  readonly slowestIndex: number
  readonly slowestMs: number
}

/** An input that broke a promise. */
export interface Finding {
  readonly parser: ParserName
  readonly seed: number
  readonly index: number
  readonly input: unknown
  readonly problem: string
}

/** No input of these sizes takes a second on the slowest machine; a hang takes for ever. */
const HANG_MS = 60_000
const LOOK_EVERY_MS = 1000

/** The input of an index: the same in every run. */
export const inputOf = (parser: ParserName, seed: number, index: number): unknown =>
  PARSERS[parser].generate(createRandom(parser, seed, index))

/** Runs a plan in a thread. Gives the report, or the finding at which it ended. */
export function runParser(plan: ParserPlan): Promise<ParserReport | Finding> {
  const at = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL(import.meta.url), { workerData: { plan, at } })
  return new Promise((resolve, reject) => {
    let [seenIndex, seenAt] = [-1, performance.now()]
    const watch = setInterval(() => {
      const index = Atomics.load(at, 0)
      if (index !== seenIndex) [seenIndex, seenAt] = [index, performance.now()]
      if (performance.now() - seenAt < HANG_MS) return
      const { parser, seed } = plan
      const input = inputOf(parser, seed, index)
      end({ parser, seed, index, input, problem: `no end within ${HANG_MS} ms` })
    }, LOOK_EVERY_MS)
    const end = (outcome: ParserReport | Finding) => {
      clearInterval(watch)
      void worker.terminate()
      resolve(outcome)
    }
    worker.on('message', end)
    worker.on('error', (error) => {
      clearInterval(watch)
      reject(error)
    })
  })
}

/** Members of the prototypes that every value has. */
const prototypes = (): unknown =>
  [Object.prototype, Array.prototype, Function.prototype, String.prototype].map((one) =>
    Reflect.ownKeys(one),
  )

function run({ parser, seed, from, inputs }: ParserPlan, at: Int32Array): ParserReport | Finding {
  const { generate, check } = PARSERS[parser] as ParserTarget
  const before = prototypes()
  const started = performance.now()
  let [accepted, slowestIndex, slowestMs] = [0, from, 0]
  for (let index = from; index < from + inputs; index++) {
    Atomics.store(at, 0, index)
    const input = generate(createRandom(parser, seed, index))
    const startedAt = performance.now()
    try {
      if (check(input as never)) accepted++
    } catch (error) {
      return { parser, seed, index, input, problem: inspect(error, { depth: 4 }) }
    }
    const milliseconds = performance.now() - startedAt
    if (milliseconds > slowestMs) [slowestIndex, slowestMs] = [index, milliseconds]
  }
  const seconds = (performance.now() - started) / 1000
  const report = { parser, inputs, accepted, seconds, slowestIndex, slowestMs }
  try {
    assert.deepEqual(prototypes(), before)
    assert.deepEqual(Object.keys({}), [])
    return report
  } catch (error) {
    return { parser, seed, index: from, input: undefined, problem: `prototypes: ${error}` }
  }
}

if (!isMainThread) {
  const { plan, at } = workerData as { plan: ParserPlan; at: Int32Array }
  parentPort?.postMessage(run(plan, at))
}
