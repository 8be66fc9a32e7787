// Owns the measurement of loading rules: time and memory, in processes of their own, from 1,000 to 100,000 rules.
// Must not gate anything by time.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { LARGE, largeRuleset, type RulesetSize } from '../test/support/large-ruleset.ts'
import { type LoadReport, loadInProcess } from '../test/support/load-rules.ts'

const SIZES: readonly RulesetSize[] = [
  { services: 50, namespaces: 5, rulesPerService: 20 },
  { services: 400, namespaces: 20, rulesPerService: 25 },
  LARGE,
]
const REPEATS = 3

/** What the largest ruleset took. */
export interface RulesLoad {
  readonly seconds: number
  readonly megabytes: number
}

/** Prints a table. Beside each: what js-yaml alone takes to parse the same files, in this process. */
export async function rulesLoad(): Promise<RulesLoad> {
  const rows: Record<string, Record<string, number>> = {}
  let largest: RulesLoad = { seconds: Number.NaN, megabytes: Number.NaN }
  for (const size of SIZES) {
    const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
    try {
      const { best, yamlMs, megabytes } = await measure(folder, size)
      largest = { seconds: best.milliseconds / 1000, megabytes: best.peakMegabytes }
      rows[`${best.rules.toLocaleString('en')} rules`] = {
        'text MB': Number(megabytes.toFixed(1)),
        ms: best.milliseconds,
        'µs/rule': Math.round((best.milliseconds * 1000) / best.rules),
        'against js-yaml': Number((best.milliseconds / yamlMs).toFixed(2)),
        'peak MB': best.peakMegabytes,
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  console.log('\nLoading rules, each in a process of its own')
  console.table(rows)
  return largest
}

async function measure(folder: string, size: RulesetSize) {
  const files = largeRuleset(size)
  let megabytes = 0
  for (const { file, text } of files) {
    writeFileSync(join(folder, file), text)
    megabytes += text.length / 1e6
  }
  const reports: LoadReport[] = []
  let yamlMs = Number.POSITIVE_INFINITY
  // In turns and the best of several, so that noise meets both alike.
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    reports.push(await loadInProcess([folder]))
    const started = performance.now()
    for (const { text } of files) load(text)
    yamlMs = Math.min(yamlMs, performance.now() - started)
  }
  const [best] = reports.sort((a, b) => a.milliseconds - b.milliseconds)
  if (best === undefined || best.problems > 0) throw new Error(best?.first.join('\n'))
  return { best, yamlMs, megabytes }
}
