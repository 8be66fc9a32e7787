// rules check, on real files in a temporary folder.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deployment, ISSUERS_YAML, RULES_YAML, runCli, STS_YAML } from './run-cli.ts'

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
    const { hash, files, ...rest } = JSON.parse(run.stdout)
    assert.match(hash, /^[0-9a-f]{64}$/)
    assert.equal(files.length, 1)
    assert.deepEqual(rest, {
      ok: true,
      errors: 0,
      warnings: 0,
      rulesChecked: true,
      services: 2,
      rules: 1,
      problems: [],
    })
  })
  test('a fault in the rules: file, line and column relative to here, counts, exit 1', async () => {
    const run = await check({ 'rules/boutique.yaml': RULES_YAML.replace('audience:', 'audiance:') })
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(
      run.stderr,
      /^rules\/boutique\.yaml:6:5: error: services\.checkout\.audiance: unknown key; did you mean `audience`\?\n1 error, 0 warnings\n$/,
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
    assert.match(run.stderr, /^sts\.yaml:9:1: error: kes: unknown key; did you mean `keys`\?$/m)
    assert.match(
      run.stderr,
      /^issuers\.yaml:3:3: error: corporate\.jwks_url: unknown key; did you mean `jwks_uri`\?$/m,
    )
    assert.match(run.stderr, /3 errors?, 0 warnings; the rules were not checked/)
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
      /^sts\.yaml:8:3: warning: client_auth\.private_key_jwt: no listener names this method/,
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
    assert.match(text.stderr, /^and 100 more\n300 errors, 0 warnings\n$/m)
    const all = JSON.parse((await check(files, '--json')).stdout)
    assert.deepEqual([all.ok, all.errors, all.problems.length], [false, 300, 300])
  })
})
