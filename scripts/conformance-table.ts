// Owns docs/conformance.md: requirements joined with the tests that name them. `npm run docs` writes it.
// Must not hold requirements (requirements.ts) nor tests.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { NOT_SPOKEN, type Requirement, STANDARDS, type Standard } from './requirements.ts'
import { idsIn, namesWithIds, type TestName } from './test-names.ts'

/** The generated document. */
export const CONFORMANCE = { path: 'docs/conformance.md', text: conformancePage } as const

/** Ids that tests name and no standard has, and requirements that no test names. */
export function conformanceGaps(names: readonly TestName[]): {
  readonly unknown: readonly string[]
  readonly untested: readonly string[]
} {
  const requirements = STANDARDS.flatMap((standard) => standard.requirements)
  const known = new Set(requirements.map(({ id }) => id))
  const named = new Set(names.flatMap(({ name }) => requirementsIn(name)))
  return {
    unknown: [...named].filter((id) => !known.has(id)),
    untested: requirements
      .filter(({ id, notHere }) => notHere === undefined && !named.has(id))
      .map(({ id }) => id),
  }
}

/** The ids of requirements; promises and attacks have docs/security.md. */
const requirementsIn = (name: string): readonly string[] =>
  idsIn(name).filter((id) => id.includes('-') && !id.startsWith('field'))

function conformancePage(): string {
  const names = namesWithIds()
  const all = STANDARDS.flatMap((standard) => standard.requirements)
  const here = all.filter(({ notHere }) => notHere === undefined)
  return `# Conformance

<!-- Made by \`npm run docs\` from scripts/requirements.ts and the names of the tests. Edit those. -->

What the standards ask, line by line, in our own words, and the tests that hold the server to it. ${here.length} of
${all.length} lines are requirements on this service; each is named by at least one test, and a test fails where one is
not, or where a test names a line that is not here. The tests in \`test/e2e\` ask a running server over HTTP; each starts
from one valid request and changes one thing. A client and an issuer that others wrote (oauth4webapi, oidc-provider)
go through discovery, exchange and verification in test/e2e/independent-client.test.ts.

\`…\` in the name of a test stands for what a table fills in.

${STANDARDS.map((standard) => section(standard, names)).join('\n')}
## Standards next door

| standard | here |
|---|---|
${NOT_SPOKEN.map(([standard, instead]) => `| ${standard} | ${instead} |`).join('\n')}
`
}

function section({ title, requirements }: Standard, names: readonly TestName[]): string {
  const rows = requirements.map((requirement) => row(requirement, names))
  return `## ${title}

| id | level | section | what it says | tests |
|---|---|---|---|---|
${rows.join('\n')}
`
}

function row(
  { id, level, section, says, notHere }: Requirement,
  names: readonly TestName[],
): string {
  const tests = testList(names.filter(({ name }) => idsIn(name).includes(id)))
  const last = notHere === undefined ? tests : `none: ${notHere}`
  return `| ${id} | ${level} | ${section} | ${says} | ${last} |`
}

/** Tests by file, over HTTP first; for a cell of a table. */
export function testList(names: readonly TestName[]): string {
  const files = new Map<string, string[]>()
  const isBlackBox = ({ file }: TestName) => file.startsWith('test/e2e/')
  for (const { file, name } of [
    ...names.filter(isBlackBox),
    ...names.filter((one) => !isBlackBox(one)),
  ]) {
    const known = files.get(file)
    if (known === undefined) files.set(file, [name])
    else known.push(name)
  }
  return [...files].map(([file, inFile]) => `${file} › ${inFile.map(code).join('; ')}`).join('<br>')
}

/** A name as code, safe in a cell. */
function code(name: string): string {
  const fence = name.includes('`') ? '``' : '`'
  const pad = fence === '``' ? ' ' : ''
  return `${fence}${pad}${name.replaceAll('|', '\\|')}${pad}${fence}`
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) {
  writeFileSync(CONFORMANCE.path, CONFORMANCE.text())
}
