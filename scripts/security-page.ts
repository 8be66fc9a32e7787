// Owns the generated parts of docs/security.md: tests of each promise, the table of attacks. `npm run docs` writes them.
// Must not change a word between them: those are written by hand.
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ATTACKS } from './attacks.ts'
import { testList } from './conformance-table.ts'
import { idsIn, namesWithIds, type TestName } from './test-names.ts'

const PATH = 'docs/security.md'

/** The document with its generated parts made anew. */
export const SECURITY = { path: PATH, text: securityPage } as const

export const PROMISES = ['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7', 'P8', 'P9', 'P10'] as const

/** Promises and attacks that no test names, and numbers of attacks that nobody knows. */
export function securityGaps(names: readonly TestName[]): {
  readonly unknown: readonly string[]
  readonly untested: readonly string[]
} {
  const named = new Set(names.flatMap(({ name }) => idsIn(name)))
  const attacks = ATTACKS.map(({ number }) => attackId(number))
  const asked = ATTACKS.filter(({ notHere }) => notHere === undefined)
  return {
    unknown: [...named].filter((id) => id.startsWith('field-6') && !attacks.includes(id)),
    untested: [...PROMISES, ...asked.map(({ number }) => attackId(number))].filter(
      (id) => !named.has(id),
    ),
  }
}

const attackId = (number: number): string => `field-6 #${number}`
const testsOf = (id: string, names: readonly TestName[]): readonly TestName[] =>
  names.filter(({ name }) => idsIn(name).includes(id))

function securityPage(): string {
  const names = namesWithIds()
  const text = readFileSync(PATH, 'utf8')
  return PROMISES.reduce(
    (page, id) => withPart(page, `tests of ${id}`, promiseTests(id, names)),
    withPart(text, 'attacks', attackTable(names)),
  )
}

/** Replaces what stands between the two marks of a part. Throws where a mark is missing. */
export function withPart(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}, made by npm run docs -->\n`, `<!-- end of ${name} -->\n`]
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from === -1 || to < from) throw new Error(`${PATH} has no place for: ${name}`)
  return `${page.slice(0, from + begin.length)}${content}${page.slice(to)}`
}

function promiseTests(id: string, names: readonly TestName[]): string {
  const found = testsOf(id, names)
  const lines = testList(found).split('<br>')
  return `
<details><summary>Tests (${found.length})</summary>

${lines.map((line) => `- ${line}`).join('\n')}

</details>

`
}

function attackTable(names: readonly TestName[]): string {
  const rows = ATTACKS.map(({ number, attack, foundIn, here, notHere }) => {
    const tests =
      notHere === undefined ? testList(testsOf(attackId(number), names)) : `none: ${notHere}`
    return `| ${number} | ${attack} | ${foundIn} | ${here} | ${tests} |`
  })
  return `
| # | attack or defect | found in | here | tests |
|---|---|---|---|---|
${rows.join('\n')}

`
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) {
  writeFileSync(PATH, SECURITY.text())
}
