// Owns the pages that show commands and what they print, run on the shipped rules: `npm run docs` fills them,
// a test compares them. Must not hold what a page says beside that.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { AuditEvent } from '../src/audit/event.ts'
import { recordedClaims } from '../src/audit/inputs.ts'
import { createAuditRecorder } from '../src/audit/record.ts'
import { runCommand } from '../src/cli/commands.ts'
import { loadDeployment } from '../src/cli/deployment.ts'
import { prepareProfile } from '../src/dev/profile.ts'
import type { Ruleset } from '../src/ruleset/ruleset.ts'
import { openDatabase } from '../src/store/database.ts'
import { migrate } from '../src/store/migrations.ts'
import { createWriter } from '../src/store/writer.ts'

/**
 * In a page: `sh example` is run, the next `text prints` is its output (with a number, so many lines of it),
 * `yaml <name>` is a file beside it.
 */
const PAGES = [
  'docs/rules-test.md',
  'docs/rules-explain.md',
  'docs/rules-prove.md',
  'docs/rules-diff.md',
] as const

const BLOCK = /^```(?:sh (example)|text prints( \d+)?|yaml (\S+))\n([\s\S]*?)^```$/gm
/** The folder of the profile, as pages write it. */
const PROFILE = '.dev'

/** Each page as it should be. */
export async function commandPages(): Promise<{ readonly path: string; readonly text: string }[]> {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-pages-'))
  try {
    await prepare(join(folder, PROFILE))
    const pages: { path: string; text: string }[] = []
    for (const path of PAGES) {
      pages.push({ path, text: await filled(readFileSync(path, 'utf8'), folder) })
    }
    return pages
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function filled(page: string, folder: string): Promise<string> {
  let text = ''
  let output = ''
  let last = 0
  for (const match of page.matchAll(BLOCK)) {
    const [block, example, lines, file, inside = ''] = match
    if (file !== undefined) writeFileSync(join(folder, file), inside)
    if (example !== undefined) output = await run(inside.trim(), folder)
    const isOutput = example === undefined && file === undefined
    text += page.slice(last, match.index) + (isOutput ? printed(output, lines ?? '') : block)
    last = match.index + block.length
  }
  return text + page.slice(last)
}

function printed(output: string, lines: string): string {
  const all = output.split('\n')
  const shown =
    lines === ''
      ? output
      : `${all.slice(0, Number(lines)).join('\n')}\n${all.length > Number(lines) + 1 ? '…\n' : ''}`
  return `\`\`\`text prints${lines}\n${shown}\`\`\``
}

/** Runs a line of a page: what it names in the folder is there, and is told as the page names it. */
async function run(line: string, folder: string): Promise<string> {
  const [program, ...args] = words(line)
  if (program !== 'mesh-sts') throw new Error(`not a command of ours: ${line}`)
  let output = ''
  const write = (text: string) => {
    output += text
  }
  const inFolder = (arg: string) => (/^\.dev\/|\.yaml$/.test(arg) ? join(folder, arg) : arg)
  await runCommand(args.map(inFolder), {
    stdout: write,
    stderr: write,
    env: {},
    cwd: process.cwd(),
    now: () => NOW,
    monotonic: () => 0,
    isTty: false,
    columns: 100,
    signal: new AbortController().signal,
    packageFolder: process.cwd(),
  })
  return output.replaceAll(`${folder}/`, '')
}

/** Words of a shell line; quotes keep spaces. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '')

/** When the commands run, and when the decision of the pages was made. */
const NOW = Date.UTC(2026, 10, 23, 3, 27, 43)

async function prepare(folder: string): Promise<void> {
  const profile = await prepareProfile({
    folder,
    ports: { token: 8080, public: 8081, admin: 8082, identity: 8083 },
    rules: join(process.cwd(), 'rules'),
  })
  const { settings, ruleset } = loadDeployment(profile.configFile, {})
  if (settings === undefined || ruleset === undefined)
    throw new Error('the shipped rules have errors')
  const db = openDatabase(settings.store.sqlite, { create: true })
  migrate(db, join(process.cwd(), 'migrations'), NOW)
  db.close()
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const writer = createWriter({ path: settings.store.sqlite, log })
  const recorded = await createAuditRecorder({ writer })([denial(ruleset)])
  await writer.close()
  if (!recorded.ok) throw new Error(recorded.reason)
}

/** The claims of his token. */
const BOB = { email: 'bob@example.com', email_verified: true, amr: ['pwd'], locale: 'en-GB' }

/** What the audit holds: bob, who may only look, wanted to order. */
const denial = (ruleset: Ruleset): AuditEvent => ({
  decisionId: '01a20671-fb98-7ce1-b91e-b6c0f4a7c9d2',
  parent: undefined,
  time: NOW,
  outcome: 'denied',
  reason: 'scope_not_justified',
  detail:
    'checkout:place needs all of shop:buy shop:verified; the subject token brings shop:browse',
  rulesetHash: ruleset.hash,
  caller: {
    id: 'spiffe://cluster.local/ns/boutique/sa/frontend',
    method: 'jwt_svid',
    peer: '127.0.0.1',
    listener: 'token',
    service: 'boutique/frontend',
    audience: 'frontend.boutique',
  },
  subject: {
    issuer: 'corporate',
    iss: 'http://127.0.0.1:8083',
    sub: 'bob',
    tokenType: 'access_token',
    audiences: ['https://api.shop.example'],
    scopes: ['shop:browse'],
    exp: NOW / 1000 + 600,
    act: undefined,
    mayAct: undefined,
    chain: [],
    jti: 'bob-1',
    tokenHash: '5f'.repeat(32),
    ...recordedClaims({ claims: BOB }, ruleset.services.get('boutique/checkout')),
  },
  actor: undefined,
  request: {
    audiences: ['checkout'],
    resources: [],
    scopes: ['checkout:place'],
    requestedTokenType: 'access_token',
  },
  target: 'boutique/checkout',
  rule: 'boutique/checkout <- boutique/frontend [corporate]',
  wouldDeny: [],
  forwarded: false,
  issued: undefined,
  traceId: undefined,
  truncated: undefined,
})

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) {
  for (const { path, text } of await commandPages()) writeFileSync(path, text)
}
