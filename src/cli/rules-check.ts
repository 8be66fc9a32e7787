// Owns `rules check`: everything that would keep `serve` from starting or reloading, before it does.
// Must not check anything itself.
import type { Problem } from '../config/problem.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION } from './command.ts'
import { configFileOf, tellProblems } from './configured.ts'
import { loadDeployment } from './deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from './io.ts'
import { checkFilesOfRules, checkReferencedFiles } from './referenced-files.ts'

/** `mesh-sts rules check` */
export const rulesCheck = defineCommand(
  {
    name: 'rules check',
    summary: 'Check the configuration, the issuers file and the rules, as serve reads them.',
    details: [
      'Prints every problem with file, line and column. Exits with 1 where one is an error.\n' +
        'Where rules are reviewed the secrets of a deployment are not there: --files is for where it runs.',
    ],
    options: {
      config: CONFIG_OPTION,
      files: {
        help: 'Also read the files that the configuration names: keys, key sets, certificates.',
      },
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const configFile = configFileOf(args.text('config'), io)
    const { settings, ruleset, files, problems: found } = loadDeployment(configFile, io.env)
    const missing =
      settings === undefined || ruleset === undefined
        ? []
        : args.has('files')
          ? checkReferencedFiles(settings, ruleset)
          : checkFilesOfRules(ruleset)
    const problems = [...found, ...missing]
    const summary = {
      ok: ruleset !== undefined && missing.length === 0,
      errors: count(problems, 'error'),
      warnings: count(problems, 'warning'),
      rulesChecked: settings !== undefined,
      files,
      ...(ruleset === undefined ? {} : sizeOf(ruleset)),
    }
    if (args.has('json')) printJson(io, { ...summary, problems })
    else tellSummary(io, summary, problems)
    return summary.ok ? EXIT_OK : EXIT_FAILED
  },
)

interface Summary {
  readonly ok: boolean
  readonly errors: number
  readonly warnings: number
  readonly rulesChecked: boolean
  readonly files: readonly string[]
  readonly services?: number
  readonly rules?: number
  readonly hash?: string
}

function tellSummary(io: CliIo, summary: Summary, problems: readonly Problem[]): void {
  tellProblems(io, problems)
  const faults = `${amount(summary.errors, 'error')}, ${amount(summary.warnings, 'warning')}`
  if (!summary.rulesChecked) {
    io.stderr(`${faults}; the rules were not checked, because they depend on the configuration\n`)
  } else if (summary.ok) {
    const what = `${amount(summary.services ?? 0, 'service')}, ${amount(summary.rules ?? 0, 'rule')}`
    const where = amount(summary.files.length, 'file')
    const noise = problems.length === 0 ? '' : ` (${faults})`
    io.stdout(`ok: ${what} in ${where}${noise}\nruleset ${summary.hash ?? ''}\n`)
  } else {
    io.stderr(`${faults}\n`)
  }
}

const count = (problems: readonly Problem[], severity: Problem['severity']): number =>
  problems.filter((problem) => problem.severity === severity).length

const amount = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : 's'}`

function sizeOf(ruleset: Ruleset): { services: number; rules: number; hash: string } {
  let rules = 0
  for (const service of ruleset.services.values()) rules += new Set(service.rules.values()).size
  return { services: ruleset.services.size, rules, hash: ruleset.hash }
}
