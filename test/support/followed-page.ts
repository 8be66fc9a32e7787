// Owns following a page of docs/ from an empty folder: its files are written, its edits made, its commands run,
// and what they print compared. Must not know what any page says.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ROOT, startProcess, temporaryFolder } from '../dev/running-profile.ts'
import { assertPrints } from './prints.ts'

/**
 * A fenced block. `write` is a file, its name in the first line; `edit` a diff for one, likewise; `run` a command;
 * `serve` a profile that is started; `prints` what the last command printed, or after `soon` comes to print.
 */
interface Block {
  readonly does: string
  readonly text: string
  /** Line in the page. */
  readonly line: number
}

const BLOCK = /^```\w+ (run|soon|serve|prints|write|edit)\n([\s\S]*?)^```$/gm

/** The blocks of a page that are followed. */
export const blocksOf = (page: string): readonly Block[] =>
  [...page.matchAll(BLOCK)].map(({ 1: does = '', 2: text = '', index }) => ({
    does,
    text,
    line: page.slice(0, index).split('\n').length,
  }))

/** What a command printed, on both outputs. */
interface Ran {
  readonly output: string
  readonly succeeded: boolean
}

/** Rules that are changed serve within seconds; a busy machine gets longer. */
const SOON_MS = 30_000

interface FollowOptions {
  /** Runs one block as a test; from the file of the test, so that it is reported there. */
  readonly step: (name: string, follow: () => Promise<void>) => Promise<void>
  /** Sees the folder after each block, and what was printed last. */
  readonly after?: (block: Block, folder: string, output: string) => void
}

/** Follows a page from its first block to its last. */
export async function follow(
  t: Pick<TestContext, 'after'>,
  blocks: readonly Block[],
  options: FollowOptions,
): Promise<void> {
  const folder = temporaryFolder(t)
  const shell = createShell(t, folder)
  let output = ''
  let printed = ''

  const run = async (text: string, isCompared: boolean) => {
    const ran = await shell(withDecision(text, printed))
    output = ran.output
    printed += output
    // Where the page does not say what is printed, all is well.
    if (!isCompared) assert.ok(ran.succeeded, output)
  }
  const step = async (at: number, { does, text }: Block) => {
    if (does === 'write') write(join(folder, fileOf(text)), text)
    if (does === 'edit') edit(join(folder, fileOf(text)), text)
    if (does === 'serve') await startProcess(t, join(folder, '.dev'), ...servedRules(text, folder))
    if (does === 'run') await run(text, blocks[at + 1]?.does === 'prints')
    if (does !== 'prints') return
    const command = blocks[at - 1]
    if (command?.does === 'soon') await eventually(() => shell(command.text), text)
    else assertPrints(output, text)
  }
  for (const [at, block] of blocks.entries()) {
    await options.step(`line ${block.line}: ${block.does}`, () => step(at, block))
    options.after?.(block, folder, output)
  }
}

/** `# <file>` or `@@ <file>` */
const fileOf = (text: string): string => text.split(/\s/, 2)[1] ?? ''

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** Makes the edits of a diff whose hunks have no numbers: each is found by its lines, in one place only. */
function edit(file: string, diff: string): void {
  let text = readFileSync(file, 'utf8')
  for (const hunk of diff.split(/^@@.*\n/m).slice(1)) {
    const lines = hunk.split(/(?<=\n)/)
    const without = (sign: string) =>
      lines
        .filter((line) => !line.startsWith(sign))
        .map((line) => line.slice(1))
        .join('')
    const parts = text.split(without('+'))
    assert.equal(parts.length, 2, `${parts.length - 1} places in ${file} for\n${hunk}`)
    text = parts.join(without('-'))
  }
  writeFileSync(file, text)
}

/** `mesh-sts dev` is started from the project, so its folder of rules is told in full. */
function servedRules(command: string, folder: string): readonly string[] {
  const [, rules] = /--rules (\S+)/.exec(command) ?? []
  return rules === undefined ? [] : ['--rules', join(folder, rules)]
}

/** The page has the id of another decision: here it is the one that was printed last. */
const withDecision = (command: string, printed: string): string => {
  const [, id = ''] = [...printed.matchAll(/^decision {2}(\S+)$/gm)].at(-1) ?? []
  return command.replace(/--decision [0-9a-f-]{36}/, `--decision ${id}`)
}

/** Runs text as a reader would paste it, with this build as `mesh-sts`; gives both outputs together. */
function createShell(t: Pick<TestContext, 'after'>, cwd: string): (text: string) => Promise<Ran> {
  const bin = temporaryFolder(t)
  const program = join(bin, 'mesh-sts')
  writeFileSync(
    program,
    `#!/bin/sh\nexec "${process.execPath}" "$MESH_STS/dist/src/main.js" "$@"\n`,
  )
  chmodSync(program, 0o755)
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, MESH_STS: ROOT }
  return (text) =>
    new Promise((done) => {
      execFile('sh', ['-c', `exec 2>&1\n${text}`], { cwd, env }, (failed, output) =>
        done({ output, succeeded: failed === null }),
      )
    })
}

/** Asserts what a command comes to print. */
async function eventually(run: () => Promise<Ran>, expected: string): Promise<void> {
  const deadline = Date.now() + SOON_MS
  for (;;) {
    const { output } = await run()
    try {
      assertPrints(output, expected)
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await delay(200)
    }
  }
}
