// A process that does nothing but load rules: prints what that took, as JSON. Arguments: files or folders.
import { formatProblem } from '../../src/config/problem.ts'
import { loadRuleset, readRuleSources } from '../../src/ruleset/load.ts'
import { CONTEXT } from './rules.ts'

const started = performance.now()
const read = readRuleSources(process.argv.slice(2))
const loaded = loadRuleset(read.sources, CONTEXT)
const milliseconds = performance.now() - started
const problems = [...read.problems, ...loaded.problems]
let rules = 0
for (const service of loaded.ruleset?.services.values() ?? []) rules += service.rules.size
console.log(
  JSON.stringify({
    milliseconds: Math.round(milliseconds),
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
    services: loaded.ruleset?.services.size ?? 0,
    rules,
    hash: loaded.ruleset?.hash ?? '',
    problems: problems.length,
    first: problems.slice(0, 3).map(formatProblem),
    longest: Math.max(0, ...problems.map((problem) => formatProblem(problem).length)),
  }),
)
