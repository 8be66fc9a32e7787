// Owns the thread that reads rules aside: files, syntax, shape, a first compilation. Run as a worker only.
// Must not write or log; the main thread decides what becomes of what was read.
import { parentPort, workerData } from 'node:worker_threads'
import { findFiles, joinTraces } from '../config/found-files.ts'
import { formatProblem, type Problem } from '../config/problem.ts'
import { isRuleFile, loadRuleset, readRuleSources } from '../ruleset/load.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { packRules } from '../store/last-ruleset.ts'
import { brokenRules, MAX_TOLD } from './broken-rules.ts'
import { checkFilesOfRules } from './referenced-files.ts'
import { rulesContext } from './rules-context.ts'
import type { Reading, ReadingRequest } from './rules-reading.ts'
import { takeApart } from './rules-transfer.ts'
import { readSettled } from './settled-reading.ts'

const request = workerData as ReadingRequest
const port = parentPort
if (port === null) throw new Error('this file is a worker')
port.postMessage(await readingOf(request))

async function readingOf({ paths, context, inForce }: ReadingRequest): Promise<Reading> {
  const read = await readSettled(paths, () => readRuleSources(paths))
  if (read === undefined) return { kind: 'unsettled' }
  const { trace } = read
  const packed = packRules(read.sources)
  const isWhole = !read.problems.some(isError)
  if (isWhole && packed.digest === inForce) return { kind: 'unchanged', trace }

  const { ruleset, files, written, ...loaded } = loadRuleset(read.sources, rulesContext(context))
  const problems = [...read.problems, ...loaded.problems]
  const named = ruleset === undefined ? [] : keyFilesOf(ruleset)
  const namedTrace = findFiles(named, isRuleFile).trace
  if (ruleset !== undefined) problems.push(...checkFilesOfRules(ruleset))
  if (ruleset === undefined || problems.some(isError)) {
    // Whoever mends a key file changes no rule file.
    return {
      kind: 'rejected',
      trace: joinTraces(trace, namedTrace),
      named,
      ...brokenRules(problems),
    }
  }
  return {
    kind: 'good',
    trace,
    hash: ruleset.hash,
    packed,
    files,
    rules: written.files.map(takeApart),
    warnings: problems.slice(0, MAX_TOLD).map(formatProblem),
  }
}

function keyFilesOf({ services }: Ruleset): string[] {
  return [...services.values()].flatMap(({ clientKeysFile }) => clientKeysFile ?? [])
}

function isError({ severity }: Problem): boolean {
  return severity === 'error'
}
