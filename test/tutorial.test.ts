// docs/tutorial.md and docs/rules-commands.md are followed step by step; the tutorial ends with what ships.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { load } from 'js-yaml'
import { blocksOf, follow } from './support/followed-page.ts'

const TUTORIAL = readFileSync('docs/tutorial.md', 'utf8')
const COMMANDS = readFileSync('docs/rules-commands.md', 'utf8')

for (const [name, page, setup] of [
  ['the tutorial', TUTORIAL, 1],
  ['the page of commands', COMMANDS, 0],
] as const) {
  test(`${name}: every block is followed, but for what makes mesh-sts a command; links lead somewhere`, () => {
    assert.equal(blocksOf(page).length, (page.match(/^```\w/gm) ?? []).length - setup)
    for (const [, link = ''] of page.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert.ok(existsSync(join('docs', link)), link)
    }
  })
}

test('the tutorial: from an empty folder to the rules that ship', {
  timeout: 300_000,
}, async (t) => {
  let compared = 0
  await follow(t, blocksOf(TUTORIAL), {
    step: (name, run) => t.test(name, run),
    after({ text }, folder, output) {
      if (!text.includes('"$MESH_STS/rules"')) return
      assertShipped(folder, output)
      compared += 1
    },
  })
  assert.equal(compared, 1)
})

test('the commands of the rules, on those that ship', { timeout: 300_000 }, (t) =>
  follow(t, blocksOf(COMMANDS), { step: (name, run) => t.test(name, run) }),
)

test('the page of commands has every one', async () => {
  const names = [...readFileSync('src/cli/commands.ts', 'utf8').matchAll(/name: '(rules \w+)'/g)]
  assert.ok(names.length >= 8)
  for (const [, name = ''] of names) {
    assert.ok(COMMANDS.includes(`| \`${name}\``), `${name} in the table`)
    assert.match(COMMANDS, new RegExp(`^mesh-sts ${name} `, 'm'), `${name} is run`)
  }
})

/** The rules that were written are those that ship, but for comments and how they are laid out. */
function assertShipped(folder: string, printed: string): void {
  const hashes = [...printed.matchAll(/^ruleset (\S{64})$/gm)].map(([, hash]) => hash)
  assert.equal(hashes.length, 2)
  assert.equal(hashes[0], hashes[1])
  const files = (path: string) => readdirSync(path).filter((name) => /^[^.]+\.yaml$/.test(name))
  assert.deepEqual(files(join(folder, 'rules')), files('rules'))
  for (const name of files('rules')) {
    const read = (path: string) => load(readFileSync(path, 'utf8'))
    assert.deepEqual(read(join(folder, 'rules', name)), read(join('rules', name)), name)
  }
}
