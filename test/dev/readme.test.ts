// Owns the test that the README is true: its tour is pasted, and prints what the README says.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertPrints } from '../support/prints.ts'
import { paste, ROOT, run, startProcess, temporaryFolder } from './running-profile.ts'

/** docs/decisions/0011 */
const NODE_FLAGS = '--max-semi-space-size=4 --max-old-space-size=768'

const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Step {
  readonly commands: string
  readonly prints: string
}

/** Blocks marked `sh tour`, each with the block marked `prints` that follows. */
function tour(): readonly Step[] {
  const blocks = [...README.matchAll(/^```(\w+ (?:tour|prints))\n([\s\S]*?)^```$/gm)]
  const steps: Step[] = []
  for (let at = 0; at < blocks.length; at += 2) {
    const [commands, prints] = [blocks[at], blocks[at + 1]]
    assert.equal(commands?.[1], 'sh tour')
    assert.match(prints?.[1] ?? '', / prints$/)
    steps.push({ commands: commands?.[2] ?? '', prints: prints?.[2] ?? '' })
  }
  return steps
}

/** Stands between the outputs of two steps. */
const START_OF_STEP = '--- step ---'

test('README: the tour can be pasted and prints what it says', { timeout: 60_000 }, async (t) => {
  const dev = await startProcess(t, temporaryFolder(t))
  const { issuer, tokenEndpoint, identity } = dev.addresses
  const here = (text: string) =>
    text
      .replaceAll('http://127.0.0.1:8080/token', tokenEndpoint)
      .replaceAll('http://127.0.0.1:8081', issuer)
      .replaceAll('http://127.0.0.1:8083', identity)
      .replaceAll('.dev/', `${dev.folder}/`)
      .replaceAll('exchange --dev', `exchange --dev --folder ${dev.folder}`)
  const steps = tour()
  assert.ok(steps.length >= 5)

  // One shell for all: later steps use what earlier ones left. The decision id of the README is the last
  // one that was printed.
  const log = join(temporaryFolder(t), 'output')
  const script = steps
    .map(({ commands }) => {
      const last = `$(sed -n 's/^decision  //p' ${log} | tail -n 1)`
      const text = here(commands).replace(/--id [0-9a-f-]{36}/g, `--id ${last}`)
      return `echo '${START_OF_STEP}'\n{ ${text.trimEnd()}\n} > ${log}.step 2>&1\ncat ${log}.step | tee -a ${log}`
    })
    .join('\n')
  const outputs = (await paste(t, script)).split(`${START_OF_STEP}\n`).slice(1)
  assert.equal(outputs.length, steps.length)
  for (const [at, { prints }] of steps.entries()) {
    await t.test(`step ${at + 1}`, () => assertPrints(outputs[at] ?? '', here(prints)))
  }
})

test('README: the commands are those that there are', async () => {
  const { stdout } = await run(['--help'])
  const [, list = ''] = stdout.split('Commands:\n')
  const names = [...list.matchAll(/^ {2}(\S+(?: \S+)?) {2}/gm)].map(([, name]) => name)
  const [, table = ''] = README.split('## Commands')
  const told = [...(table.split('## Read on')[0] ?? '').matchAll(/^\| (`.*`) \|/gm)]
    .flatMap(([, cell = '']) => cell.split(', '))
    .map((cell) => cell.replaceAll('`', ''))
  assert.ok(names.length > 5)
  assert.deepEqual(told.sort(), [...names].sort())
})

test('README, rules/README: links lead somewhere, scripts exist', () => {
  for (const [file, folder] of [
    ['README.md', '.'],
    ['rules/README.md', 'rules'],
  ] as const) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert.ok(existsSync(join(ROOT, folder, link)), `${file}: ${link}`)
    }
  }
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  for (const [, script = ''] of README.matchAll(/npm run (?:-s )?([\w:-]+)/g)) {
    assert.ok(script in scripts, script)
  }
  assert.equal(scripts['mesh-sts'], `node ${NODE_FLAGS} dist/src/main.js`)
})
