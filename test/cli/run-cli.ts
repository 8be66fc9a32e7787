// Runs mesh-sts on a temporary folder with a small valid deployment, in this process or in one of its own.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after } from 'node:test'
import { runCommand } from '../../src/cli/commands.ts'

/** What a run left. */
export interface CliRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly cwd: string
  /** Instead of ours. */
  readonly env?: Readonly<Record<string, string>>
}

/** Runs one command line in this process, on real files; a process of its own takes ten times as long. */
export async function runCli(args: readonly string[], options: RunOptions): Promise<CliRun> {
  const output = { stdout: '', stderr: '' }
  const code = await runCommand(args, {
    stdout: (text) => {
      output.stdout += text
    },
    stderr: (text) => {
      output.stderr += text
    },
    env: options.env ?? {},
    cwd: options.cwd,
    now: Date.now,
    monotonic: () => performance.now(),
    isTty: false,
    columns: 120,
    signal: new AbortController().signal,
    packageFolder: process.cwd(),
  })
  return { code, ...output }
}

const MAIN = resolve(process.cwd(), 'dist/src/main.js')

/** Runs one command line as a process of its own. */
export function runProcess(args: readonly string[], options: RunOptions): Promise<CliRun> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, ['--enable-source-maps', MAIN, ...args], {
      cwd: options.cwd,
      env: { PATH: process.env.PATH ?? '', ...options.env },
    })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text
      })
    }
    child.on('error', failed)
    child.on('close', (code) => done({ code, ...output }))
  })
}

export const STS_YAML = `issuer: https://sts.boutique.example
listeners:
  token: {address: 127.0.0.1:0, client_auth: [xfcc]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}
trust_domains: [cluster.local]
client_auth:
  xfcc: {proxies: [127.0.0.6], mode: sanitize_set, self: spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts}
keys:
  algorithms: [ES256]
  encryption_keys: {current: k1, k1: k1.key}
store: {sqlite: sts.db}
issuers: issuers.yaml
rules: [rules]
`

export const ISSUERS_YAML = `corporate:
  issuer: https://login.corp.example
  jwks_uri: https://login.corp.example/keys
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: corp
`

export const RULES_YAML = `namespace: boutique
services:
  frontend:
    calls: [checkout]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place]
    accepts:
      - from: frontend
        issuer: corporate
        scopes: {checkout:place: [shop:buy]}
`

/** A temporary folder with a valid deployment, removed after the tests of the file. */
export function deployment(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-cli-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const all = {
    'sts.yaml': STS_YAML,
    'issuers.yaml': ISSUERS_YAML,
    'rules/boutique.yaml': RULES_YAML,
    ...files,
  }
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}
