// Owns `rules check`: everything that is wrong, or probably not meant, before `serve` meets it.
// Must not check anything itself.
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CONFIG_OPTION, defineCommand, JSON_OPTION } from '../command.ts'
import { configFileOf, tellFailure } from '../configured.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { versionOf } from '../version.ts'
import { budgetTable, summaryOf, tellCheck } from './check-report.ts'
import { type CheckedDeployment, checkDeployment } from './checked-rules.ts'
import { sarifOf } from './sarif.ts'

/** `mesh-sts rules check` */
export const rulesCheck = defineCommand(
  {
    name: 'rules check',
    summary: 'Check the configuration, the issuers file and the rules, as serve reads them.',
    details: [
      'Prints every error and warning with file, line, column and id; docs/findings has a page for each id.\n' +
        'Exits with 1 where one is an error, with --strict also where one is a warning.',
      'Rule files and folders that are named are checked instead of those of the configuration: a branch, say.\n' +
        'Where rules are reviewed the secrets of a deployment are not there: --files is for where it runs.',
    ],
    positionals: '[file or folder …]',
    options: {
      config: CONFIG_OPTION,
      strict: { help: 'Fail where there are warnings.' },
      waived: { help: 'Also tell what is waived, and why.' },
      budgets: { help: 'Tell how large the tokens of each rule may become.' },
      files: {
        help: 'Also read the files that the configuration names: keys, key sets, certificates.',
      },
      sarif: { value: '<file>', help: 'Write the findings there, for code review (SARIF 2.1.0).' },
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const paths = args.positionals.map((path) => resolve(io.cwd, path))
    const checked = checkDeployment({
      configFile: configFileOf(args.text('config'), io),
      env: io.env,
      paths: paths.length === 0 ? undefined : paths,
      withFiles: args.has('files'),
    })
    const summary = summaryOf(checked, args.has('strict'))
    if (args.has('json')) {
      const { problems, waived, budgets, maxTokenCharacters } = checked
      printJson(io, { ...summary, problems, waivedProblems: waived, budgets, maxTokenCharacters })
    } else {
      tellCheck(io, summary, checked, args.has('waived'))
      const { budgets, maxTokenCharacters } = checked
      if (args.has('budgets')) io.stdout(`\n${budgetTable(budgets, maxTokenCharacters)}`)
    }
    const file = args.text('sarif')
    const failure = file === undefined ? undefined : writeSarif(resolve(io.cwd, file), checked, io)
    if (failure !== undefined) return tellFailure(io, false, failure)
    return summary.ok ? EXIT_OK : EXIT_FAILED
  },
)

/** Why the file could not be written; undefined where it was. */
function writeSarif(
  file: string,
  { problems, waived }: CheckedDeployment,
  { cwd, packageFolder }: CliIo,
): { readonly problem: string; readonly message: string } | undefined {
  const log = sarifOf(problems, waived, {
    version: versionOf(packageFolder),
    cwd,
    pageOf: (id) => pathToFileURL(join(packageFolder, 'docs', 'findings', `${id}.md`)).href,
  })
  try {
    writeFileSync(file, `${JSON.stringify(log, null, 2)}\n`)
    return undefined
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    return { problem: 'sarif_not_written', message: `cannot write ${file} (${code})` }
  }
}
