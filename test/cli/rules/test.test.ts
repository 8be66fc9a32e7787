// rules test, on real files in a temporary folder; and its page in docs/.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { junitXml } from '../../../src/cli/rules/junit.ts'
import { deployment, runCli, STS_YAML } from '../run-cli.ts'

const RULES = `namespace: boutique
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
const TESTS = `namespace: boutique
tests:
  - name: who may buy places an order
    caller: frontend
    subject: {issuer: corporate, scope: shop:buy}
    request: {audience: checkout}
    expect: {allow: {scope: checkout:place}}
  - name: who looks does not
    caller: frontend
    subject: {issuer: corporate, scope: shop:look}
    request: {audience: checkout}
    expect: {deny: scope_none_justified}
journeys:
  - name: nobody goes further
    subject: {issuer: corporate, scope: shop:buy}
    hops:
      - {caller: frontend, request: {audience: checkout}, expect: {allow: {}}}
      - {caller: checkout, request: {audience: frontend}, expect: {deny: target_not_in_calls}}
`
const FILES = { 'rules/boutique.yaml': RULES, 'rules/boutique.test.yaml': TESTS }
/** The test that the mutant needs. */
const WITHOUT_DENIAL = TESTS.replace(/ {2}- name: who looks[\s\S]*?scope_none_justified}\n/, '')
const FAILING = TESTS.replace('scope: checkout:place', 'scope: checkout:read')

const run = async (files: Record<string, string>, ...args: string[]) =>
  runCli(['rules', 'test', ...args], { cwd: deployment({ ...FILES, ...files }) })

describe('rules test', () => {
  test('tests that pass: coverage, counts, exit 0', async () => {
    const { code, stdout, stderr } = await run({})
    assert.equal(code, 0, stdout + stderr)
    assert.equal(
      stdout,
      'coverage: rules 1/1 (100 %), scopes 1/1 (100 %), predicates 2/2 (100 %)\n2 tests, 1 journey, 0 failed\n',
    )
    assert.equal(stderr, '')
  })

  test('a test that fails: its place, what was expected, what happened, exit 1', async () => {
    const { code, stdout } = await run({ 'rules/boutique.test.yaml': FAILING })
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^FAILED {2}rules\/boutique\.test\.yaml:3 {2}who may buy places an order\n {2}scope {2}expected {2}checkout:read\n {9}actual {4}checkout:place\n {2}what happened\n/,
    )
    assert.match(
      stdout,
      /^ {4}✓ {2}scope checkout:place +checkout:place needs any of shop:buy; the subject token brings shop:buy$/m,
    )
    assert.match(stdout, /\n2 tests, 1 journey, 1 failed\n$/)
  })

  test('a hop that fails is named, an embedded decision is told under its parent', async () => {
    const journey = TESTS.replace('deny: target_not_in_calls', 'deny: target_denied')
    const { stdout } = await run({ 'rules/boutique.test.yaml': journey })
    assert.match(
      stdout,
      /nobody goes further\n {2}hop 2\n {2}outcome {2}expected {2}deny target_denied\n/,
    )
    const rules = RULES.replace(
      'frontend:\n',
      'frontend:\n    embeddable: true\n    scopes: [ui]\n    accepts: [{from: checkout, scopes: {ui: [checkout:place]}}]\n',
    )
      .replace('scopes: [checkout:place]\n', 'scopes: [checkout:place]\n    calls: [frontend]\n')
      .replace('issuer: corporate\n', 'issuer: corporate\n        embed: [frontend]\n')
    const inside = await run({ 'rules/boutique.yaml': rules, 'rules/boutique.test.yaml': FAILING })
    assert.match(
      inside.stdout,
      /^ {4}embedded: boutique\/checkout for boutique\/frontend\n {4}✓ {2}target boutique\/frontend /m,
    )
  })

  test('as JSON', async () => {
    const sound = JSON.parse((await run({}, '--json', '--mutate')).stdout)
    assert.deepEqual([sound.ok, sound.tests, sound.journeys, sound.failed], [true, 2, 1, 0])
    assert.deepEqual(sound.coverage, {
      totals: {
        rule: { total: 1, covered: 1 },
        scope: { total: 1, covered: 1 },
        predicate: { total: 2, covered: 2 },
      },
      missing: [],
    })
    assert.deepEqual(sound.mutants, { total: 1, survived: [] })
    const { code, stdout } = await run({ 'rules/boutique.test.yaml': FAILING }, '--json')
    const failed = JSON.parse(stdout)
    assert.deepEqual([code, failed.ok, failed.failed], [1, false, 1])
    const [first] = failed.results
    assert.deepEqual(
      [first.file, first.line, first.kind, first.passed],
      ['rules/boutique.test.yaml', 3, 'test', false],
    )
    assert.deepEqual(first.failures[0].differences, [
      { what: 'scope', expected: 'checkout:read', actual: 'checkout:place' },
    ])
    assert.equal(
      first.failures[0].steps.at(-1).predicate,
      'boutique/checkout <- boutique/frontend [corporate] scope checkout:place',
    )
    assert.equal(failed.results[1].passed, true)
    assert.equal(failed.mutants, undefined)
  })

  test('--coverage tells what no test saw, and where it stands', async () => {
    const { code, stdout } = await run({ 'rules/boutique.test.yaml': WITHOUT_DENIAL }, '--coverage')
    assert.equal(code, 0)
    assert.match(
      stdout,
      /^NEVER SEEN\npredicate {3}boutique\/checkout <- boutique\/frontend \[corporate\] scope checkout:place {2}refused {2}rules\/boutique\.yaml:11\n/,
    )
    assert.doesNotMatch(
      (await run({ 'rules/boutique.test.yaml': WITHOUT_DENIAL })).stdout,
      /NEVER SEEN/,
    )
  })

  test('--coverage-min fails below, for each kind, and says what is missing', async () => {
    const files = { 'rules/boutique.test.yaml': WITHOUT_DENIAL }
    assert.equal((await run(files, '--coverage-min', '50')).code, 0)
    const { code, stdout, stderr } = await run(files, '--coverage-min', '51')
    assert.deepEqual([code, stderr], [1, 'less than 51 % is covered of predicates\n'])
    assert.match(stdout, /^NEVER SEEN\n/)
    assert.equal((await run({}, '--coverage-min', '100')).code, 0)
    assert.equal(JSON.parse((await run(files, '--coverage-min', '51', '--json')).stdout).ok, false)
    for (const percent of ['101', '-1', 'all', '1e1']) {
      const wrong = await run({}, `--coverage-min=${percent}`)
      assert.equal(wrong.code, 2, percent)
    }
  })

  test('--mutate tells what survives, and where; exit 1', async () => {
    const sound = await run({}, '--mutate')
    assert.deepEqual(
      [sound.code, sound.stdout.split('\n')[0]],
      [0, 'mutants: 1, 1 noticed, 0 survived'],
    )
    const { code, stdout } = await run({ 'rules/boutique.test.yaml': WITHOUT_DENIAL }, '--mutate')
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^SURVIVED\nboutique\/checkout <- boutique\/frontend \[corporate\] scope checkout:place {2}any scope justifies it {2}rules\/boutique\.yaml:11 {2}2 tests looked at it\nmutants: 1, 0 noticed, 1 survived\n/,
    )
    const failing = await run({ 'rules/boutique.test.yaml': FAILING }, '--mutate')
    assert.equal(failing.code, 1)
    assert.match(failing.stdout, /^mutants: none were made, because tests fail$/m)
  })

  test('--filter takes tests whose names hold all words', async () => {
    const count = async (words: string) =>
      (await run({}, '--filter', words)).stdout.split('\n').at(-2)
    assert.equal(await count('WHO looks'), '1 test, 0 journeys, 0 failed')
    assert.equal(await count('who'), '2 tests, 0 journeys, 0 failed')
    const none = await run({}, '--filter', 'who nobody')
    assert.deepEqual(
      [none.code, none.stderr],
      [1, 'mesh-sts: no test has all of these words in its name: who nobody\n'],
    )
  })

  test('--junit writes a report that any reader takes', async () => {
    const cwd = deployment({
      ...FILES,
      'rules/boutique.test.yaml': FAILING.replace('who looks does not', '"a <b> & \\"c\\""'),
    })
    const { code } = await runCli(['rules', 'test', '--junit', 'out.xml'], { cwd })
    assert.equal(code, 1)
    const xml = readFileSync(join(cwd, 'out.xml'), 'utf8')
    assert.match(
      xml,
      /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites tests="3" failures="1" errors="0">\n {2}<testsuite name="rules\/boutique\.test\.yaml" tests="3" failures="1" errors="0">\n/,
    )
    assert.match(
      xml,
      /<testcase classname="rules\/boutique\.test\.yaml" name="who may buy places an order" file="rules\/boutique\.test\.yaml" line="3"><failure message="scope: expected checkout:read, actual checkout:place">/,
    )
    assert.match(
      xml,
      /name="a &lt;b&gt; &amp; &quot;c&quot;" file="rules\/boutique\.test\.yaml" line="8"\/>/,
    )
  })

  test('--junit where nothing can be written', async () => {
    const { code, stdout, stderr } = await run({}, '--junit', 'no/such/folder.xml')
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(stderr, 'mesh-sts: cannot write no/such/folder.xml (ENOENT)\n')
  })

  test('no test at all, and no test file beside the rules', async () => {
    const message =
      'mesh-sts: there is no test: write one in a file *.test.yaml beside the rules (docs/rules-test.md)\n'
    const empty = await run({ 'rules/boutique.test.yaml': 'namespace: boutique\n' })
    assert.deepEqual([empty.code, empty.stderr], [1, message])
    const cwd = deployment({ 'rules/boutique.yaml': RULES })
    const none = await runCli(['rules', 'test'], { cwd })
    assert.deepEqual([none.code, none.stderr], [1, message])
    assert.equal(
      JSON.parse((await runCli(['rules', 'test', '--json'], { cwd })).stdout).problem,
      'no_tests',
    )
  })

  test('faults of a test file: file, line and column; nothing is run', async () => {
    const files = {
      'rules/boutique.test.yaml': TESTS.replace('caller: frontend', 'caller: fronted'),
    }
    const { code, stdout, stderr } = await run(files)
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(
      stderr,
      'rules/boutique.test.yaml:4:13: error: tests[0].caller: no service boutique/fronted; did you mean `boutique/frontend`?\n',
    )
    const json = JSON.parse((await run(files, '--json')).stdout)
    assert.deepEqual([json.ok, json.problems.length], [false, 1])
  })

  test('faults of the rules are told as rules check does', async () => {
    const { code, stderr } = await run({
      'rules/boutique.yaml': RULES.replace('scopes: [checkout:place]', 'scops: [checkout:place]'),
    })
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^rules\/boutique\.yaml:7:5: error: .*did you mean `scopes`\? \[shape-invalid\]$/m,
    )
  })

  test('files and folders that are named: only their tests, and only their namespaces count', async () => {
    const other = {
      'more/other.yaml':
        'namespace: other\nservices: {a: {calls: [b]}, b: {scopes: [s], accepts: [{from: a, issuer: corporate, scopes: {s: [t]}}]}}\n',
      'more/deep/other.test.yaml':
        'namespace: other\ntests: [{name: x, caller: a, subject: {issuer: corporate, scope: t}, request: {audience: b}, expect: {deny: subject_token_presenter_not_allowed}}]\n',
      'sts.yaml': STS_YAML.replace('rules: [rules]', 'rules: [rules, more/other.yaml]'),
    }
    assert.match((await run(other)).stdout, /rules 1\/2 \(50 %\).*\n2 tests, 1 journey/)
    assert.match((await run(other, 'more')).stdout, /rules 0\/1 \(0 %\).*\n1 test, 0 journeys/)
    assert.match((await run(other, 'rules/boutique.test.yaml')).stdout, /rules 1\/1 \(100 %\)/)
    // Of a rule file its own tests, wherever it is named.
    assert.match((await run(other, 'rules/boutique.yaml')).stdout, /\n2 tests, 1 journey/)
    const beside = { ...other, 'more/other.test.yaml': other['more/deep/other.test.yaml'] }
    assert.match((await run(beside)).stdout, /\n3 tests, 1 journey/)
    const missing = await run({}, 'nowhere')
    assert.equal(missing.code, 1)
    assert.match(missing.stderr, /nowhere: error: cannot read this file or folder of tests\n$/)
  })

  test('text from files cannot act on a terminal', async () => {
    const name = FAILING.replace('who may buy places an order', '"\\e[2J"')
    const { stdout } = await run({ 'rules/boutique.test.yaml': name })
    assert.ok(!stdout.includes('\u001b'))
    assert.match(stdout, /\\u\{1b\}\[2J/)
  })
})

test('JUnit: what XML does not allow is replaced, lone surrogates too', () => {
  const xml = junitXml([
    { name: 'a\u0000\u001b\ud800\ufffeb\u{1f600}', file: 'f', line: 1, failure: 'x\n]]>\t<y>' },
  ])
  assert.match(xml, / name="a\ufffd\ufffd\ufffd\ufffdb\u{1f600}" /u)
  assert.match(xml, /<failure message="x">x&#10;\]\]&gt;&#9;&lt;y&gt;<\/failure>/)
})
