// Owns how findings are told to code review: SARIF 2.1.0 (OASIS). Must not read or write files.
import { isAbsolute, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Problem, printable } from '../../config/problem.ts'
import type { WaivedProblem } from '../../ruleset/check/check.ts'
import { FINDINGS, type FindingId, isFinding } from '../../ruleset/check/findings.ts'

/** What a log says beside the findings. */
export interface SarifContext {
  readonly version: string
  /** Absolute; files below it are named relative to it. */
  readonly cwd: string
  /** Absolute URL of the page of a finding. */
  readonly pageOf: (id: FindingId) => string
}

/** The log of one run: each finding, and those that are waived as suppressed. */
export function sarifOf(
  problems: readonly Problem[],
  waived: readonly WaivedProblem[],
  context: SarifContext,
): object {
  const ids = [...new Set([...problems, ...waived].map(idOf))].sort()
  const result = (problem: Problem) => resultOf(problem, ids, context)
  return {
    version: '2.1.0',
    $schema:
      'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    runs: [
      {
        tool: {
          driver: {
            name: 'mesh-sts rules check',
            version: context.version,
            rules: ids.map((id) => ({
              id,
              shortDescription: { text: FINDINGS[id].title },
              helpUri: context.pageOf(id),
              defaultConfiguration: { level: FINDINGS[id].severity },
            })),
          },
        },
        // Columns count UTF-16 code units, as editors do.
        columnKind: 'utf16CodeUnits',
        results: [
          ...problems.map(result),
          ...waived.map((problem) => ({
            ...result(problem),
            suppressions: [{ kind: 'inSource', justification: printable(problem.reason) }],
          })),
        ],
      },
    ],
  }
}

/** What is not about rules has no id of its own. */
const idOf = ({ id }: Problem): FindingId =>
  id !== undefined && isFinding(id) ? id : 'configuration-invalid'

function resultOf(problem: Problem, ids: readonly FindingId[], { cwd }: SarifContext): object {
  const { file, line, column, path, message, suggestion, severity } = problem
  const id = idOf(problem)
  const what = path === '' ? message : `${path}: ${message}`
  const hint = suggestion === undefined ? '' : `; did you mean \`${suggestion}\`?`
  const region = line === 0 ? {} : { region: { startLine: line, startColumn: column } }
  return {
    ruleId: id,
    ruleIndex: ids.indexOf(id),
    level: severity,
    message: { text: printable(`${what}${hint}`) },
    locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(file, cwd) }, ...region } }],
  }
}

/** Relative to the working directory, which is where code review looks from; else a file URL. */
function uriOf(file: string, cwd: string): string {
  const path = isAbsolute(file) ? relative(cwd, file) : file
  if (path.startsWith('..') || isAbsolute(path)) return pathToFileURL(file).href
  return path.split(sep).map(encodeURIComponent).join('/')
}
