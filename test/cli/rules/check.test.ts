// rules check, on real files in a temporary folder.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deployment, ISSUERS_YAML, RULES_YAML, runCli, STS_YAML } from '../run-cli.ts'

const check = async (files: Record<string, string>, ...args: string[]) =>
  runCli(['rules', 'check', ...args], { cwd: deployment(files) })

describe('rules check', () => {
  test('a sound deployment: counts, the hash of the ruleset, exit 0', async () => {
    const run = await check({})
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stdout, /^ok: 2 services, 1 rule in 1 file\nruleset [0-9a-f]{64}\n$/)
    assert.equal(run.stderr, '')
  })
  test('as JSON', async () => {
    const run = await check({}, '--json')
    const { hash, files, budgets, ...rest } = JSON.parse(run.stdout)
    assert.match(hash, /^[0-9a-f]{64}$/)
    assert.equal(files.length, 1)
    assert.deepEqual(
      budgets.map(({ rule }: { rule: string }) => rule),
      ['boutique/checkout <- boutique/frontend [corporate]'],
    )
    assert.deepEqual(rest, {
      ok: true,
      errors: 0,
      warnings: 0,
      waived: 0,
      services: 2,
      rules: 1,
      problems: [],
      waivedProblems: [],
      maxTokenCharacters: 8192,
    })
  })
  test('a fault in the rules: file, line and column relative to here, counts, exit 1', async () => {
    const run = await check({ 'rules/boutique.yaml': RULES_YAML.replace('audience:', 'audiance:') })
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(
      run.stderr,
      /^rules\/boutique\.yaml:6:5: error: services\.checkout\.audiance: unknown key; did you mean `audience`\? \[shape-invalid\]\n1 error, 0 warnings; not checked: everything else: a file cannot be read\n$/,
    )
  })
  test('a rule for an issuer that the issuers file does not have', async () => {
    const run = await check({ 'issuers.yaml': ISSUERS_YAML.replace('corporate:', 'corporation:') })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^rules\/boutique\.yaml:10:\d+: error: .*corporat/m)
  })
  test('faults in sts.yaml and in the issuers file come together; the rules wait', async () => {
    const run = await check({
      'sts.yaml': STS_YAML.replace('keys:', 'kes:'),
      'issuers.yaml': ISSUERS_YAML.replace('jwks_uri', 'jwks_url'),
    })
    assert.equal(run.code, 1)
    assert.match(
      run.stderr,
      /^sts\.yaml:9:1: error: kes: unknown key; did you mean `keys`\? \[configuration-invalid\]$/m,
    )
    assert.match(
      run.stderr,
      /^issuers\.yaml:3:3: error: corporate\.jwks_url: unknown key; did you mean `jwks_uri`\? \[configuration-invalid\]$/m,
    )
    assert.match(
      run.stderr,
      /3 errors?, 0 warnings; not checked: the rules, because they depend on the configuration/,
    )
  })
  test('a service that is this deployment itself', async () => {
    const self = 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts'
    const rules = RULES_YAML.replace('frontend:\n', `frontend:\n    identity: ${self}\n`)
    const run = await check({ 'rules/boutique.yaml': rules })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^rules\/boutique\.yaml:4:\d+: error: .*client_auth\.xfcc\.self/m)
  })
  test('warnings are told and pass', async () => {
    const sts = STS_YAML.replace('client_auth:\n', 'client_auth:\n  private_key_jwt: {}\n')
    const run = await check({ 'sts.yaml': sts })
    assert.equal(run.code, 0)
    assert.match(
      run.stderr,
      /^sts\.yaml:8:3: warning: client_auth\.private_key_jwt: no listener names this method, so it is not used \[configuration-doubtful\]/,
    )
    assert.match(run.stdout, /^ok: .* \(0 errors, 1 warning\)$/m)
  })
  test('no rules at all (P4: missing means no start)', async () => {
    const run = await check({ 'sts.yaml': STS_YAML.replace('rules: [rules]', 'rules: [nowhere]') })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /nowhere: error: cannot read this file or folder of rules/)
  })
  test('all problems in JSON, 200 and their count as text', async () => {
    const services = Array.from(
      { length: 300 },
      (_, index) => `  s${index}: {frobnicate: 1}\n`,
    ).join('')
    const files = { 'rules/boutique.yaml': `namespace: n\nservices:\n${services}` }
    const text = await check(files)
    assert.equal(text.stderr.split('\n').length, 203)
    assert.match(text.stderr, /^and 100 more\n300 errors, 0 warnings; not checked: .*\n$/m)
    const all = JSON.parse((await check(files, '--json')).stdout)
    assert.deepEqual([all.ok, all.errors, all.problems.length], [false, 300, 300])
  })

  const ORPHAN = `${RULES_YAML}  orphan: {scopes: []}\n`
  const WAIVER = 'waivers: [{finding: service-unused, at: orphan, reason: comes into use in May}]\n'

  test('a finding passes, with --strict it does not', async () => {
    const files = { 'rules/boutique.yaml': ORPHAN }
    const run = await check(files)
    assert.equal(run.code, 0)
    assert.equal(
      run.stderr,
      'rules/boutique.yaml:12:3: warning: services.orphan: boutique/orphan calls nobody, and nobody may call it [service-unused]\n',
    )
    assert.match(run.stdout, /^ok: 3 services, 1 rule in 1 file \(0 errors, 1 warning\)\n/)
    const strict = await check(files, '--strict')
    assert.deepEqual([strict.code, strict.stdout], [1, ''])
    assert.match(strict.stderr, /\[service-unused\]\n0 errors, 1 warning\n$/)
    const json = JSON.parse((await check(files, '--strict', '--json')).stdout)
    assert.deepEqual([json.ok, json.warnings], [false, 1])
  })

  test('a waived finding is counted, and told where that is asked', async () => {
    const files = { 'rules/boutique.yaml': ORPHAN + WAIVER }
    const run = await check(files, '--strict')
    assert.deepEqual([run.code, run.stderr], [0, ''])
    assert.match(run.stdout, /^ok: .* \(0 errors, 0 warnings, 1 waived\)\n/)
    const told = await check(files, '--waived')
    assert.match(
      told.stderr,
      /^rules\/boutique\.yaml:12:3: warning: .* \[service-unused\]: waived: comes into use in May\n$/,
    )
    const json = JSON.parse((await check(files, '--json')).stdout)
    assert.deepEqual([json.waived, json.waivedProblems[0].id], [1, 'service-unused'])
  })

  test('an error that would still load: exit 1, and the ruleset is there', async () => {
    const rules = `${RULES_YAML}    calls: [payment]
  payment:
    scopes: [payment:charge]
    accepts:
      - {from: checkout, when: subject.claims.risk == 1, scopes: {payment:charge: [checkout:place]}}
`
    const run = await check({ 'rules/boutique.yaml': rules })
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /:16:\d+: error: .*so this rule always denies \[claim-never-there\]\n/)
    const json = JSON.parse((await check({ 'rules/boutique.yaml': rules }, '--json')).stdout)
    assert.deepEqual([json.ok, json.errors, typeof json.hash], [false, 1, 'string'])
  })

  test('errors and findings together', async () => {
    const rules = ORPHAN.replace('calls: [checkout]', 'calls: [checkout, chekout]')
    const run = await check({ 'rules/boutique.yaml': rules })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /:4:\d+: error: .*\[service-unknown\]\n.*:12:3: warning: /)
    assert.match(run.stderr, /1 error, 1 warning; not checked: rules around the errors, and what/)
  })

  test('how large tokens may become', async () => {
    const run = await check({}, '--budgets')
    assert.equal(run.code, 0)
    const [heading, line] = run.stdout.split('\n').slice(3)
    assert.match(String(heading), /^RULE +CHARACTERS +DEPTH +HOPS +FITS INTO +MINTED$/)
    assert.match(
      String(line),
      /^boutique\/checkout <- boutique\/frontend \[corporate\] +\d{3} +0 +1 +4 KiB +yes$/,
    )
  })

  test('other rules than those of the configuration', async () => {
    const files = { 'branch/boutique.yaml': ORPHAN, 'rules/boutique.yaml': 'namespace: broken' }
    assert.equal((await check(files)).code, 1)
    const run = await check(files, 'branch')
    assert.equal(run.code, 0)
    assert.match(run.stderr, /^branch\/boutique\.yaml:12:3: warning/)
    assert.equal((await check(files, 'branch/boutique.yaml', '--strict')).code, 1)
    const nowhere = await check({}, 'nowhere')
    assert.equal(nowhere.code, 1)
    assert.match(nowhere.stderr, /nowhere: error: .* \[file-unreadable\]/)
  })

  test('a test file that could not be run', async () => {
    const tests =
      'namespace: boutique\ntests: [{name: a, caller: fronted, subject: {issuer: corporate}, request: {audience: checkout}, expect: {allow: {}}}]\n'
    const run = await check({ 'rules/boutique.test.yaml': tests })
    assert.equal(run.code, 1)
    assert.match(
      run.stderr,
      /^rules\/boutique\.test\.yaml:2:\d+: error: .*no service boutique\/fronted; did you mean `boutique\/frontend`\? \[test-invalid\]\n/,
    )
  })

  test('a presenter that is no service, in the issuers file', async () => {
    const run = await check({
      'issuers.yaml': ISSUERS_YAML.replace(
        '[boutique/frontend]',
        '[boutique/frontend, boutique/web]',
      ),
    })
    assert.equal(run.code, 0)
    assert.match(
      run.stderr,
      /^issuers\.yaml:6:\d+: warning: .*no service boutique\/web \[presenter-unknown\]\n$/,
    )
  })

  test('a key file of a rule that is not there', async () => {
    const rules = RULES_YAML.replace(
      '  frontend:\n',
      '  frontend:\n    client_keys: {jwks_file: keys.json}\n',
    )
    const run = await check({ 'rules/boutique.yaml': rules })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^rules\/keys\.json: error: .* \[key-file-unusable\]\n/)
  })

  test('wrong arguments', async () => {
    for (const args of [['--stict'], ['--sarif'], ['--strict=1']]) {
      const run = await check({}, ...args)
      assert.equal(run.code, 2, args.join(' '))
    }
  })
})
