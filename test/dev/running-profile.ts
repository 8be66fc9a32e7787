// Owns development profiles that tests run: as a process of its own, or inside the test.
// Must not hold assertions of any test.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { runCommand } from '../../src/cli/commands.ts'
import type { CliIo } from '../../src/cli/io.ts'
import { type DevelopmentAddresses, readAddresses } from '../../src/dev/profile.ts'

export const ROOT = process.cwd()
const MAIN = join(ROOT, 'dist', 'src', 'main.js')
const READY = 'Ctrl-C stops it.'

/** A folder that is gone after the test. */
export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-dev-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface StartedProcess {
  readonly folder: string
  readonly addresses: DevelopmentAddresses
  readonly child: ChildProcess
  /** Everything on standard output so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** Sends SIGINT as Ctrl-C does; gives the exit code. */
  readonly interrupt: () => Promise<number | null>
}

/** Other tests take free ports as well, between our choice and our use. */
const START_ATTEMPTS = 3

/** `mesh-sts dev` as a process, ready to answer. */
export async function startProcess(
  t: Pick<TestContext, 'after'>,
  folder: string,
  ...args: readonly string[]
): Promise<StartedProcess> {
  for (let attempt = 1; ; attempt++) {
    const started = await launch(t, folder, args)
    if (started.child.exitCode === null) return started
    const said = started.stderr()
    if (attempt === START_ATTEMPTS || !/used by another program/.test(said)) throw new Error(said)
  }
}

async function launch(
  t: Pick<TestContext, 'after'>,
  folder: string,
  args: readonly string[],
): Promise<StartedProcess> {
  const child = spawn(
    process.execPath,
    [MAIN, 'dev', '--port-base', '0', '--folder', folder, ...args],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const closed = once(child, 'close')
  const interrupt = async () => {
    if (child.exitCode === null) child.kill('SIGINT')
    await closed
    return child.exitCode
  }
  t.after(interrupt)
  let stdout = ''
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ready = new Promise<void>((done) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.includes(READY)) done()
    })
  })
  await Promise.race([ready, closed])
  const addresses = readAddresses(folder)
  if (addresses === undefined) throw new Error(stderr)
  return { folder, addresses, child, stdout: () => stdout, stderr: () => stderr, interrupt }
}

/** What a command wrote, and how it ended. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Surroundings of a command in this process; `written` collects. */
export function testIo(change: Partial<CliIo> = {}): {
  io: CliIo
  written: () => Omit<Ran, 'code'>
} {
  let stdout = ''
  let stderr = ''
  const io: CliIo = {
    stdout: (text) => {
      stdout += text
    },
    stderr: (text) => {
      stderr += text
    },
    env: {},
    cwd: ROOT,
    now: Date.now,
    monotonic: () => performance.now(),
    isTty: false,
    columns: 100,
    signal: new AbortController().signal,
    packageFolder: ROOT,
    ...change,
  }
  return { io, written: () => ({ stdout, stderr }) }
}

/** Runs a command in this process. */
export async function run(args: readonly string[], change: Partial<CliIo> = {}): Promise<Ran> {
  const { io, written } = testIo(change)
  const code = await runCommand(args, io)
  return { code, ...written() }
}

/** `mesh-sts dev` inside this process, ready to answer; it ends with the test. */
export async function startInside(
  t: Pick<TestContext, 'after'>,
  folder: string,
): Promise<DevelopmentAddresses> {
  for (let attempt = 1; ; attempt++) {
    const stop = new AbortController()
    const { io, written } = testIo({ signal: stop.signal })
    let ready = () => {}
    const banner = new Promise<void>((done) => {
      ready = done
    })
    const stdout = (text: string) => {
      if (text.includes(READY)) ready()
    }
    const ended = runCommand(['dev', '--port-base', '0', '--folder', folder], { ...io, stdout })
    t.after(async () => {
      stop.abort()
      await ended
    })
    const code = await Promise.race([banner, ended])
    if (typeof code !== 'number') break
    if (attempt === START_ATTEMPTS) throw new Error(written().stderr)
  }
  const addresses = readAddresses(folder)
  if (addresses === undefined) throw new Error(folder)
  return addresses
}

/** Runs shell text as a reader would paste it; `mesh-sts` is this build. Gives both outputs together. */
export async function paste(t: Pick<TestContext, 'after'>, script: string): Promise<string> {
  const text = script.replaceAll('npm run -s mesh-sts --', `"${process.execPath}" "${MAIN}"`)
  const child = spawn('sh', ['-c', `exec 2>&1\n${text}`], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: pathWithCurl(t) },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part
  })
  await once(child, 'close')
  return output
}

/** The real curl where there is one; else a few lines that do what the commands need of it. */
function pathWithCurl(t: Pick<TestContext, 'after'>): string {
  const path = process.env.PATH ?? ''
  if (spawnSync('curl', ['--version']).status === 0) return path
  const folder = temporaryFolder(t)
  const file = resolve(folder, 'curl')
  writeFileSync(
    file,
    `#!/usr/bin/env node
const args = process.argv.slice(2).filter((arg) => arg !== '-s')
const url = args.find((arg) => arg.startsWith('http'))
const body = args.filter((_, at) => args[at - 1] === '-d').join('&')
const type = 'application/x-www-form-urlencoded'
const init = body === '' ? {} : { method: 'POST', body, headers: { 'content-type': type } }
process.stdout.write(await (await fetch(url, init)).text())
`,
  )
  chmodSync(file, 0o755)
  return `${folder}${delimiter}${path}`
}

/** Replaces what differs from run to run; runs of spaces become two, because columns shift with it. */
export function normalised(text: string): string {
  return (
    text
      .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<jwt>')
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<id>')
      .replace(/\b[0-9a-f]{64}\b/g, '<sha256>')
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, '<time>')
      .replace(/\bkey [\w-]{43}\b/g, 'key <kid>')
      .replace(/^(subject\.exp|issued\.exp)\s+\d+$/gm, '$1  <seconds>')
      // A second may pass between two steps.
      .replace(/^[=~] iat /gm, '~ iat ')
      .replace(/has \w+ left/g, 'has <a while> left')
      .replace(/ {2,}/g, '  ')
      .replace(/[ \t]+$/gm, '')
      .trim()
  )
}
