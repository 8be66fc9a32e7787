// rules replay, on real files and what a real server recorded; its page.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { toRow } from '../../../src/audit/row.ts'
import { openDatabase } from '../../../src/store/database.ts'
import { denied } from '../../support/audit-store.ts'
import type { Deployment } from '../../support/deployment.ts'
import { deployment, RULES_YAML, runCli, runProcess } from '../run-cli.ts'
import { blockOf, pageOf, runExample, servedPage, writeCandidate } from '../shop-pages.ts'

const PAGE = pageOf('rules-replay.md')

/** anna browses, bert buys, carl is a risk, and dora asks for more than she has. */
const REQUESTS = [
  { claims: { sub: 'anna', scope: 'shop:browse', risk: 'low' }, scope: 'checkout:quote' },
  { claims: { sub: 'bert', scope: 'shop:buy', risk: 'low' } },
  { claims: { sub: 'bert', scope: 'shop:buy', risk: 'low' }, scope: 'checkout:place' },
  { claims: { sub: 'carl', scope: 'shop:browse', risk: 'high' }, scope: 'checkout:quote' },
  { claims: { sub: 'dora', scope: 'shop:buy', risk: 'low' }, scope: 'checkout:quote' },
  { claims: { sub: 'dora', exp: 1 } },
]

describe('docs/rules-replay.md', () => {
  it('prints what the command prints', { timeout: 60_000 }, async (t) => {
    const served = await servedPage(t, PAGE, REQUESTS)
    writeCandidate(served, blockOf(PAGE, 'yaml candidate'))
    const { code, stdout, stderr, expected } = await runExample(PAGE, served)
    assert.equal(stdout, expected)
    assert.deepEqual([code, stderr], [1, ''])
    await sameRules(served)
    await forms(served)
  })
})

const replayIn = ({ folder }: Pick<Deployment, 'folder'>, ...args: string[]) =>
  runCli(['rules', 'replay', ...args], { cwd: folder })

/** The configured rules decided all of it. */
async function sameRules(served: Deployment): Promise<void> {
  const run = await replayIn(served, '--fail-on', 'any', '--json')
  const { ok, totals, decisions, groups, ruleset_hash } = JSON.parse(run.stdout)
  assert.deepEqual([run.code, ok, groups], [0, true, []])
  assert.equal(ruleset_hash, served.ruleset.hash)
  assert.deepEqual([decisions, totals.same, totals.not_about_rules], [6, 5, 1])
}

async function forms(served: Deployment): Promise<void> {
  const candidate = (...args: string[]) => replayIn(served, ...args, 'candidate.yaml')
  const json = JSON.parse((await candidate('--json')).stdout)
  assert.equal(json.ok, true)
  assert.deepEqual(json.gates, { 'new-allow': 4, 'new-deny': 1, changed: 2, any: 4 })
  const [first] = json.groups
  assert.deepEqual([first.class, first.gains, first.count], ['newly_allowed', true, 1])
  // A gate that was not asked for does not fail; one of several is enough.
  assert.equal((await candidate()).code, 0)
  assert.equal((await candidate('--fail-on', 'changed,new-allow')).code, 1)
  const limited = JSON.parse((await candidate('--json', '--limit', '2')).stdout)
  assert.deepEqual([limited.decisions, limited.totals.not_about_rules], [2, 1])
  const none = await candidate('--since', '2099-01-01')
  assert.match(none.stdout, /^0 decisions against .*\n\nno decision was recorded\n$/)
  const short = await candidate('--since', '7d')
  assert.match(short.stdout, /\nthe audit reaches back to .* only\n$/)
  const md = await candidate('--format', 'md')
  assert.match(
    md.stdout,
    /^\*\*6 recorded decisions against ruleset `[0-9a-f]{12}`\*\*: 2 newly allowed, 1 changed, 1 undecidable, /,
  )
  assert.match(
    md.stdout,
    /\n\| newly allowed \| 1 \| boutique\/frontend → boutique\/checkout, token of corporate \| /,
  )
  assert.match(
    md.stdout,
    /\| condition\\_false → granted checkout:quote \| boutique\/checkout \\<- boutique\/frontend \\\[corporate\\\] \|/,
  )
  // As a process of its own, which ends by itself.
  const own = await runProcess(['rules', 'replay', '--fail-on', 'new-deny', 'candidate.yaml'], {
    cwd: served.folder,
  })
  assert.deepEqual([own.code, own.stderr], [1, ''])
}

describe('command lines', () => {
  const cwd = deployment()
  const replay = (...args: string[]) => runCli(['rules', 'replay', ...args], { cwd })
  for (const [args, expected] of [
    [['--fail-on', 'new'], /--fail-on must be new-allow, new-deny, changed, any/],
    [['--limit', '0'], /--limit must be a number/],
    [['--since', 'yesterday'], /--since must be a duration/],
    [['--format', 'svg'], /--format must be text or md/],
    [['--json', '--format', 'md'], /exclude each other/],
  ] as const) {
    it(`mean nothing: ${args.join(' ')}`, async () => {
      const run = await replay(...args)
      assert.deepEqual([run.code, run.stdout], [2, ''])
      assert.match(run.stderr, expected)
    })
  }
  it('without a database', async () => {
    const run = await replay()
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /sts\.db/)
  })
})

describe('a candidate', () => {
  const cwd = deployment()
  const replay = (...args: string[]) => runCli(['rules', 'replay', ...args], { cwd })
  it('with errors is told, and not replayed', async () => {
    assert.equal((await runCli(['init', '--make-encryption-key'], { cwd })).code, 0)
    writeFileSync(join(cwd, 'broken.yaml'), RULES_YAML.replace('scopes:', 'scops:'))
    const run = await replay('broken.yaml')
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /^broken\.yaml:7:5: error: .*did you mean `scopes`\?/m)
    assert.equal(JSON.parse((await replay('--json', 'broken.yaml')).stdout).ok, false)
    assert.equal((await replay('nowhere.yaml')).code, 1)
  })
  it('is what is replayed, also where the configured rules are broken', async () => {
    writeFileSync(join(cwd, 'good.yaml'), RULES_YAML)
    writeFileSync(join(cwd, 'rules/boutique.yaml'), 'namespace: 1')
    assert.equal((await replay('good.yaml')).code, 0)
  })
  it('text of callers is neither markup nor sent to the terminal', async () => {
    const db = openDatabase(join(cwd, 'sts.db'))
    const evil = denied({
      reason: 'client_unknown',
      time: Date.now(),
      caller: { ...denied().caller, service: undefined },
      request: {
        audiences: ['\u001b[31m|<b>'],
        resources: [],
        scopes: undefined,
        requestedTokenType: 'access_token',
      },
    })
    db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)').run(...toRow(evil))
    db.close()
    for (const format of ['text', 'md']) {
      const { stdout } = await replay('--format', format, 'good.yaml')
      assert.match(stdout, /undecidable/)
      assert.ok(stdout.includes('u{1b}') || stdout.includes('u\\{1b\\}'), stdout)
      assert.ok(!stdout.includes('\u001b'))
      if (format === 'md') assert.ok(!stdout.includes('<b>') && !stdout.includes('31m|'))
    }
  })
})
