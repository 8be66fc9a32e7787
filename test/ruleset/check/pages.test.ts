// docs/findings: a page for each finding, whose wrong example has that finding alone and whose right one has none.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { FINDINGS, type FindingId } from '../../../src/ruleset/check/findings.ts'
import { deployment, runCli } from '../../cli/run-cli.ts'
import { check } from '../../support/checks.ts'

const FOLDER = 'docs/findings'
const IDS = Object.keys(FINDINGS) as FindingId[]

interface Example {
  readonly kind: 'wrong' | 'right'
  /** A file of a deployment; undefined for a rule file alone. */
  readonly file: string | undefined
  readonly text: string
}

function examplesOf(page: string): readonly Example[] {
  const blocks = page.matchAll(/^```yaml (wrong|right)(?: (\S+))?\n([\s\S]*?)^```$/gm)
  return [...blocks].map(([, kind, file, text = '']) => ({
    kind: kind === 'wrong' ? 'wrong' : 'right',
    file,
    text,
  }))
}

/** Ids that are found in examples of one kind, as several files of one ruleset. */
async function idsIn(examples: readonly Example[]): Promise<readonly (string | undefined)[]> {
  const [first] = examples
  if (first?.file === undefined) {
    return check(examples.map(({ text }) => text)).findings.map(({ id }) => id)
  }
  const cwd = deployment({ [first.file]: first.text })
  const { stdout } = await runCli(['rules', 'check', '--json'], { cwd })
  const { problems } = JSON.parse(stdout) as { problems: readonly { id?: string }[] }
  return problems.map(({ id }) => id)
}

describe('docs/findings', () => {
  it('has a page for each finding, and no other', () => {
    const pages = readdirSync(FOLDER).filter((name) => name !== 'README.md')
    assert.deepEqual(pages.sort(), IDS.map((id) => `${id}.md`).sort())
  })

  it('lists them all, with what they are, in README.md', () => {
    const listed = [
      ...readFileSync(`${FOLDER}/README.md`, 'utf8').matchAll(
        /^\| \[`([a-z-]+)`\]\(\1\.md\) \| (error|warning) \| (.*) \|$/gm,
      ),
    ].map(([, id, severity, title]) => ({ id, severity, title }))
    assert.deepEqual(
      listed,
      IDS.map((id) => ({ id, ...FINDINGS[id] })),
    )
  })

  for (const id of IDS) {
    it(id, async () => {
      const page = readFileSync(`${FOLDER}/${id}.md`, 'utf8')
      const { severity, title } = FINDINGS[id]
      assert.ok(page.startsWith(`# ${id}\n\n`))
      assert.ok(page.toLowerCase().includes(`${title.toLowerCase()} (${severity}).`), title)
      const examples = examplesOf(page)
      const wrong = examples.filter(({ kind }) => kind === 'wrong')
      const right = examples.filter(({ kind }) => kind === 'right')
      assert.ok(wrong.length > 0 && right.length > 0)
      assert.deepEqual([...new Set(await idsIn(wrong))], [id])
      assert.deepEqual(await idsIn(right), [])
    })
  }
})
