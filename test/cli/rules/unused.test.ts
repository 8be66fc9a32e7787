// rules unused, on real files and what a real server recorded; its page.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deployment, runCli } from '../run-cli.ts'
import { pageOf, runExample, servedPage } from '../shop-pages.ts'

const PAGE = pageOf('rules-unused.md')

describe('docs/rules-unused.md', () => {
  it('prints what the command prints', { timeout: 60_000 }, async (t) => {
    const claims = { scope: 'shop:browse', phone: undefined }
    const served = await servedPage(t, PAGE, [{ claims }, { claims, audience: 'ads' }])
    const { code, stdout, stderr, expected } = await runExample(PAGE, served)
    assert.equal(stdout, expected)
    assert.deepEqual([code, stderr], [1, ''])
    const json = await runCli(['rules', 'unused', '--since', '1h', '--json'], {
      cwd: served.folder,
    })
    const told = JSON.parse(json.stdout)
    assert.deepEqual([json.code, told.ok, told.reaches_back], [1, false, false])
    assert.deepEqual(told.unused[0], {
      kind: 'rule',
      service: 'boutique/ads',
      rule: 'boutique/ads <- boutique/frontend [corporate]',
      denied: 1,
      file: 'rules/boutique.yaml',
      line: 15,
      column: 9,
    })
    assert.deepEqual(told.quiet_denies, ['boutique/checkout denies blocked'])
    assert.deepEqual(
      told.rulesets.map(({ hash, count }: Record<string, unknown>) => [hash, count]),
      [[served.ruleset.hash, 2]],
    )
  })
  it('exits with 0 where all is used', { timeout: 60_000 }, async (t) => {
    const page = PAGE.replace('calls: [checkout, ads]', 'calls: [checkout]')
      .replace('[email, phone]', '[email]')
      .replace(/ {2}ads:\n(?: {4}.*\n)+/, '')
    const served = await servedPage(t, page, [{ claims: { scope: 'shop:browse shop:buy' } }])
    const run = await runCli(['rules', 'unused', '--since', '2020-01-01'], { cwd: served.folder })
    assert.equal(run.code, 0, run.stdout)
    assert.match(run.stdout, /\nall of the rules was used\n$/)
    const later = await runCli(['rules', 'unused', '--since', '2099-01-01'], { cwd: served.folder })
    assert.equal(later.code, 1)
    assert.match(
      later.stdout,
      /^not used since 2099-01-01 00:00:00Z\nno exchange was recorded\n\nrules:/,
    )
  })
})

describe('command lines that mean nothing', () => {
  const cwd = deployment()
  for (const [args, expected] of [
    [[], /--since is required/],
    [['--since', 'yesterday'], /--since must be a duration/],
    [['--since', '1d', 'x'], /unexpected argument "x"/],
  ] as const) {
    it(args.join(' ') || 'nothing', async () => {
      const run = await runCli(['rules', 'unused', ...args], { cwd })
      assert.deepEqual([run.code, run.stdout], [2, ''])
      assert.match(run.stderr, expected)
    })
  }
})
