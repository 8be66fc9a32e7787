// Owns `npm run fuzz`: the same hostile inputs as in the gate, with other seeds, for as long as somebody likes.
//   npm run fuzz -- --seconds 60 --seed 7 --only xfcc --only http
// Must not judge by itself: parser-run.ts and http-run.ts do. Exits with 1 at a finding.
import type { TestContext } from 'node:test'
import { parseArgs } from 'node:util'
import { startDeployment } from '../support/deployment.ts'
import { HOSTILE_FILES } from './deployment-model.ts'
import { runHttp } from './http-run.ts'
import { type Finding, runParser } from './parser-run.ts'
import { PARSERS, type ParserName } from './parser-targets.ts'

const HTTP = 'http'
const TARGETS: readonly string[] = [...Object.keys(PARSERS), HTTP]
/** A deployment keeps all that it logged, for the search of tokens in it. */
const REQUESTS_PER_DEPLOYMENT = 5000
/** One look at every parser takes about half a minute. */
const DEFAULT_SECONDS = 60
const FIRST_ROUND = 500
const TELL_EVERY_MS = 5000

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
})
const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
const seconds = Number(values.seconds ?? DEFAULT_SECONDS)
const targets = values.only ?? TARGETS
const unknown = targets.filter((target) => !TARGETS.includes(target))
if (unknown.length > 0 || !Number.isSafeInteger(seed) || !(seconds > 0)) {
  console.error(`usage: --seconds N --seed N --only ${TARGETS.join('|')}`)
  process.exit(2)
}
console.log(`seed ${seed}, ${seconds} s for ${targets.join(' ')}`)

for (const target of targets) {
  const end = performance.now() + (seconds / targets.length) * 1000
  const finding =
    target === HTTP ? await fuzzHttp(end) : await fuzzParser(target as ParserName, end)
  if (finding === undefined) continue
  console.error(finding)
  process.exit(1)
}
console.log('no finding')

/** Rounds of inputs, each twice as many, until the time is over. */
async function fuzzParser(parser: ParserName, end: number): Promise<string | undefined> {
  const totals = { inputs: 0, accepted: 0, seconds: 0, slowestMs: 0, slowestIndex: 0 }
  let toldAt = performance.now()
  for (let inputs = FIRST_ROUND; inputs > 0; ) {
    const outcome = await runParser({ parser, seed, from: totals.inputs, inputs })
    if ('problem' in outcome) return told(outcome)
    totals.inputs += outcome.inputs
    totals.accepted += outcome.accepted
    totals.seconds += outcome.seconds
    if (outcome.slowestMs > totals.slowestMs) {
      totals.slowestMs = outcome.slowestMs
      totals.slowestIndex = outcome.slowestIndex
    }
    const leftMs = Math.max(0, end - performance.now())
    const perSecond = totals.inputs / totals.seconds
    inputs = Math.ceil(Math.min(2 * inputs, (Math.min(leftMs, TELL_EVERY_MS) / 1000) * perSecond))
    if (leftMs > 0 && performance.now() - toldAt < TELL_EVERY_MS) continue
    toldAt = performance.now()
    const { accepted, slowestMs, slowestIndex } = totals
    console.log(
      `${parser.padEnd(12)} ${totals.inputs} inputs, ${Math.round(perSecond)}/s, ` +
        `${((100 * accepted) / totals.inputs).toFixed(1)} % accepted, ` +
        `slowest ${slowestMs.toFixed(1)} ms (input ${slowestIndex})`,
    )
  }
  return undefined
}

function told({ parser, seed: found, index, input, problem }: Finding): string {
  return `${parser}: seed ${found}, input ${index}: ${JSON.stringify(input)}\n${problem}`
}

/** One deployment after another, each with a seed of its own. */
async function fuzzHttp(end: number): Promise<string | undefined> {
  let requests = 0
  let granted = 0
  const started = performance.now()
  for (let round = 0; round === 0 || performance.now() < end; round++) {
    const closers: (() => unknown)[] = []
    try {
      const scope = { after: (close: () => unknown) => void closers.unshift(close) }
      const deployment = await startDeployment(scope as unknown as TestContext, HOSTILE_FILES)
      const report = await runHttp(deployment, {
        seed: seed + round,
        goesOn: (sent) => sent < REQUESTS_PER_DEPLOYMENT && performance.now() < end,
        connections: 6,
      })
      requests += report.requests
      granted += report.granted.length
    } catch (error) {
      const cause =
        error instanceof Error ? `${error.message}\n${error.cause ?? error.stack}` : error
      return `http: seed ${seed + round}: ${cause}`
    } finally {
      for (const close of closers) await close()
    }
  }
  const perSecond = Math.round(requests / ((performance.now() - started) / 1000))
  console.log(
    `${HTTP.padEnd(12)} ${requests} requests, ${perSecond}/s, ${((100 * granted) / requests).toFixed(1)} % granted`,
  )
  return undefined
}
