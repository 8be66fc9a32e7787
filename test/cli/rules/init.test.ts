// rules init, on real files, with a real audit, and its page in docs/.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { toRow } from '../../../src/audit/row.ts'
import { openDatabase } from '../../../src/store/database.ts'
import { tickAll } from '../../ruleset/draft/tick.ts'
import { denied, granted } from '../../support/audit-store.ts'
import { deployment, RULES_YAML, runCli } from '../run-cli.ts'

function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'mesh-sts-init-'))
  after(() => rmSync(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return path
}

const init = (cwd: string, ...args: string[]) => runCli(['rules', 'init', ...args], { cwd })

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: checkout, namespace: boutique}
spec:
  selector: {matchLabels: {app: checkout}}
  rules: [{from: [{source: {principals: [cluster.local/ns/boutique/sa/frontend]}}]}]
`

describe('from edges', () => {
  test('a draft on standard output, what is left to decide on standard error', async () => {
    const run = await init(folder(), 'boutique/frontend:boutique/checkout=checkout:place')
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stdout, /^# Drafted by mesh-sts rules init from 1 edge\.\n/)
    assert.match(run.stdout, /\n {2}frontend:\n {4}calls: \[checkout\]\n$/)
    assert.match(
      run.stderr,
      /^NAMESPACE {2}SERVICES {2}EDGES {2}DECISIONS\nboutique {3}2 {9}1 {6}1\nDECIDE boutique\/frontend -> boutique\/checkout: with whose tokens .*\n$/,
    )
  })
  test('it is what rules check takes, and grants nothing', async () => {
    const cwd = deployment()
    rmSync(join(cwd, 'rules'), { recursive: true })
    const run = await init(
      cwd,
      '--config',
      'sts.yaml',
      '--out',
      'rules/',
      '--namespace',
      'b',
      'x:y',
    )
    assert.equal(run.code, 0, run.stderr)
    const check = await runCli(['rules', 'check', '--json'], { cwd })
    const { ok, services, rules } = JSON.parse(check.stdout)
    assert.deepEqual([ok, services, rules], [true, 2, 0])
  })
  test('two hundred decisions are told, the draft has all', async () => {
    const edges = Array.from({ length: 203 }, (_, at) => `a/s${at}x:b/t`)
    const run = await init(folder(), '--out', 'new/', ...edges)
    assert.match(run.stderr, /^a {10}203 {7}0 {6}0\nb {10}1 {9}203 {4}203$/m)
    assert.equal(run.stderr.match(/^DECIDE /gm)?.length, 200)
    assert.match(run.stderr, /^and 3 more; the draft has all$/m)
  })
  test('as JSON', async () => {
    const { stdout, stderr } = await init(folder(), '--json', 'a/b:c/d=x')
    const { edges, decisions, files, services, ...rest } = JSON.parse(stdout)
    assert.deepEqual(rest, { ok: true, asks: [], callers: [] })
    assert.equal(stderr, '')
    assert.deepEqual(
      services.map(({ name }: { name: string }) => name),
      ['a/b', 'c/d'],
    )
    assert.deepEqual(edges, [
      { from: 'a/b', to: 'c/d', scopes: ['x'], source: 'on the command line', hints: [] },
    ])
    assert.equal(decisions[0].namespace, 'c')
    assert.match(decisions[0].text, /^a\/b -> c\/d: with whose tokens/)
    assert.deepEqual(
      files.map(({ namespace, text }: Record<string, string>) => [
        namespace,
        text?.startsWith('# Drafted'),
      ]),
      [
        ['a', true],
        ['c', true],
      ],
    )
  })
})

describe('arguments that mean nothing', () => {
  const cases: readonly [args: string[], message: RegExp][] = [
    [[], /from what\? Give edges, --from-policies or --from-audit/],
    [['a:b'], /a has no namespace: write one before it, or --namespace/],
    [['a/b'], /"a\/b" is no edge/],
    [['--namespace', 'A', 'a:b'], /--namespace must be lower-case/],
    [['--since', '7d', 'a/b:c/d'], /--since goes with --from-audit/],
    [['--from-audit', '--since', 'yesterday'], /--since must be a duration/],
    [['a/b:c/d'], /a rule file holds one namespace, and these are a, c: give --out <folder>\//],
    [['a/b:c/d', '--out', 'x.yaml'], /these are a, c: write --out as a folder\//],
  ]
  for (const [args, message] of cases) {
    test(args.join(' ') || 'none', async () => {
      const cwd = folder()
      const run = await init(cwd, ...args)
      assert.deepEqual([run.code, run.stdout], [2, ''])
      assert.match(run.stderr, message)
      assert.deepEqual(readdirSync(cwd), [])
    })
  }
})

describe('--out', () => {
  test('a file, and where it is; nothing on standard output', async () => {
    const cwd = folder()
    const run = await init(cwd, '--out', 'new/b.yaml', 'b/x:b/y')
    assert.deepEqual([run.code, run.stdout], [0, ''])
    assert.match(run.stderr, /^written: new\/b\.yaml$/m)
    assert.deepEqual(readdirSync(join(cwd, 'new')), ['b.yaml'])
    assert.match(readFileSync(join(cwd, 'new/b.yaml'), 'utf8'), /^namespace: b$/m)
  })
  test('a folder: a file for each namespace', async () => {
    const cwd = folder({ 'there/x': '' })
    const run = await init(cwd, '--out', 'there', 'a/x:b/y', '--json')
    assert.deepEqual(readdirSync(join(cwd, 'there')).sort(), ['a.yaml', 'b.yaml', 'x'])
    assert.deepEqual(JSON.parse(run.stdout).files, [
      { namespace: 'a', file: join(cwd, 'there/a.yaml') },
      { namespace: 'b', file: join(cwd, 'there/b.yaml') },
    ])
  })
  for (const out of ['b.yaml', './']) {
    test(`nothing is overwritten, and nothing half written: ${out}`, async () => {
      const cwd = folder({ 'b.yaml': 'mine' })
      const edges = out === './' ? ['a/x:b/y'] : ['b/x:b/y']
      const run = await init(cwd, '--out', out, ...edges)
      assert.deepEqual([run.code, run.stdout], [1, ''])
      assert.match(
        run.stderr,
        /^mesh-sts: there is a file at .*b\.yaml already: nothing was written\n$/,
      )
      assert.deepEqual(readdirSync(cwd), ['b.yaml'])
      assert.equal(readFileSync(join(cwd, 'b.yaml'), 'utf8'), 'mine')
    })
  }
  test('a place that cannot be', async () => {
    const run = await init(folder({ x: '' }), '--out', 'x/b.yaml', 'b/x:b/y')
    assert.equal(run.code, 1)
    assert.match(
      run.stderr,
      /^mesh-sts: cannot write .*x\/b\.yaml: (?:EEXIST|ENOTDIR)|there is a file at/,
    )
  })
})

describe('from policies', () => {
  test('a folder: several documents, JSON, and files that hold none', async () => {
    const list = JSON.stringify({
      kind: 'List',
      items: [
        {
          apiVersion: 'security.istio.io/v1',
          kind: 'AuthorizationPolicy',
          metadata: { name: 'payment', namespace: 'boutique' },
          spec: {
            targetRefs: [{ kind: 'Service', name: 'payment' }],
            rules: [
              { from: [{ source: { principals: ['cluster.local/ns/boutique/sa/checkout'] } }] },
            ],
          },
        },
      ],
    })
    const cwd = folder({
      'm/a.yaml': `kind: &x Pod\nother: *x\n---\n${POLICY}---\n# nothing\n`,
      'm/deep/b.json': list,
      'm/c.yml': '{{ template }}: {{ x',
      'm/d.txt': `${POLICY}: :`,
      'm/.hidden.yaml': `${POLICY}: :`,
    })
    const { code, stdout, stderr } = await init(cwd, '--from-policies', 'm', '--json')
    assert.equal(code, 0, stderr)
    const { policies, edges } = JSON.parse(stdout)
    assert.equal(policies, 2)
    assert.deepEqual(
      edges.map(({ from, to }: Record<string, string>) => `${from} ${to}`),
      ['boutique/frontend boutique/checkout', 'boutique/checkout boutique/payment'],
    )
  })
  test('what we ship', async () => {
    const run = await init(process.cwd(), '--from-policies', 'deploy/istio')
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stdout, /^# Drafted by mesh-sts rules init from 4 AuthorizationPolicies\.$/m)
    assert.match(run.stdout, /^ {2}checkout:\n {4}calls: \[payment\]$/m)
    assert.match(run.stderr, /^DECIDE mesh-sts\/mesh-sts is left out: it is this token service/m)
  })
  test('a namespace for those without one', async () => {
    const cwd = folder({ 'a.yaml': POLICY.replace(', namespace: boutique', '') })
    const without = await init(cwd, '--from-policies', 'a.yaml')
    assert.deepEqual([without.code, without.stdout], [1, ''])
    assert.match(
      without.stderr,
      /^DECIDE policy checkout has no namespace .*\nmesh-sts: nothing was seen that a rule file could hold\n$/,
    )
    const asJson = JSON.parse((await init(cwd, '--from-policies', 'a.yaml', '--json')).stdout)
    assert.deepEqual([asJson.problem, asJson.decisions.length], ['nothing_seen', 1])
    const { code, stdout } = await init(cwd, '--from-policies', 'a.yaml', '--namespace', 'boutique')
    assert.deepEqual([code, /^namespace: boutique$/m.test(stdout)], [0, true])
  })
  const broken: readonly [name: string, files: Record<string, string>, message: RegExp][] = [
    ['a document', { 'm/a.yaml': `a: 1\n---\n${POLICY}  x: [` }, /^m\/a\.yaml:\d+:\d+: error: /],
    [
      'a document after others: its line',
      { 'm/a.yaml': `a: 1\n---\n${POLICY}spec: twice\n` },
      /^m\/a\.yaml:9:1: error: .*twice/,
    ],
    [
      'an alias',
      { 'm/a.yaml': POLICY.replace('app: checkout', 'app: *x') },
      /aliases are not supported/,
    ],
    ['no manifests', { 'm/x.txt': '' }, /no manifest \(\*\.yaml, \*\.yml, \*\.json\) is here/],
    ['no such place', {}, /m: error: cannot read this file/],
    ['a huge file', { 'm/a.yaml': `# ${'x'.repeat(17 * 1024 * 1024)}` }, /larger than 16 MiB/],
  ]
  for (const [name, files, message] of broken) {
    test(`nothing is drafted from half of what is there: ${name}`, async () => {
      const run = await init(folder(files), '--from-policies', 'm', 'b/x:b/y')
      assert.deepEqual([run.code, run.stdout], [1, ''])
      assert.match(run.stderr, message)
    })
  }
  test('hostile text in a policy acts on no terminal', async () => {
    const text = POLICY.replace('name: checkout', String.raw`name: "\e[31m\nx: y"`)
      .replace('cluster.local/ns/boutique', '"*"')
      .replace('/sa/frontend', '')
    const { stdout, stderr } = await init(folder({ 'a.yaml': text }), '--from-policies', 'a.yaml')
    assert.match(stderr, /policy boutique\/\\u\{1b\}\[31m\\u\{a\}x: y lets principal \*/)
    assert.doesNotMatch((stdout + stderr).replaceAll('\n', ''), /\p{Cc}/u)
    assert.doesNotMatch(stdout + stderr, /^x: y/m)
  })
})

describe('for a deployment', () => {
  test('what its rules have is not drafted again', async () => {
    const cwd = deployment()
    const run = await init(
      cwd,
      '--config',
      'sts.yaml',
      '--namespace',
      'boutique',
      'frontend:checkout',
      'checkout:payment',
    )
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stdout, /^services:\n\n {2}payment:$/m)
    assert.match(
      run.stdout,
      /In your rules already.*\n\n# {2}checkout:\n# {4}calls: \[payment\]\n$/,
    )
    assert.doesNotMatch(run.stdout, /frontend/)
  })
  test('its trust domain and its own identity are those of the configuration', async () => {
    const cwd = deployment()
    const sts = readFileSync(join(cwd, 'sts.yaml'), 'utf8')
    writeFileSync(
      join(cwd, 'sts.yaml'),
      sts
        .replaceAll('cluster.local', 'mesh.example')
        .replace('ns/mesh-sts/sa/mesh-sts', 'ns/a/sa/sts'),
    )
    const edges = ['--config', 'sts.yaml', '--out', 'new/', 'a/sts:b/y', 'mesh-sts/mesh-sts:b/y']
    const run = await init(cwd, ...edges)
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stderr, /^DECIDE a\/sts is left out: it is this token service/m)
    assert.deepEqual(readdirSync(join(cwd, 'new')), ['b.yaml', 'mesh-sts.yaml'])
  })
  test('a draft that would not load is not given: a service may call a thousand others', async () => {
    const edges = Array.from({ length: 1001 }, (_, at) => `web:s${at}x`)
    const run = await init(folder(), '--namespace', 'b', '--out', 'b.yaml', ...edges)
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /^draft of b:\d+:\d+: error: services\.web\.calls: .*1000/)
  })
  test('not where some of its rules cannot be read', async () => {
    const cwd = deployment()
    const sts = readFileSync(join(cwd, 'sts.yaml'), 'utf8')
    writeFileSync(join(cwd, 'sts.yaml'), sts.replace('[rules]', '[rules, nowhere]'))
    const run = await init(cwd, '--config', 'sts.yaml', 'b/x:b/y')
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /nowhere: error: cannot read this file or folder of rules/)
  })
  for (const [what, files] of [
    ['its rules', { 'rules/boutique.yaml': RULES_YAML.replace('audience', 'audiance') }],
    ['its configuration', { 'sts.yaml': 'x: 1' }],
  ] as const) {
    test(`not where ${what} have errors`, async () => {
      const run = await init(deployment(files), '--config', 'sts.yaml', 'b/x:b/y')
      assert.deepEqual([run.code, run.stdout], [1, ''])
      assert.match(run.stderr, /unknown key/)
    })
  }
})

const HOUR_MS = 3_600_000

/** A recorded denial of frontend, with a corporate token. */
function denial(hoursAgo: number, change: Partial<AuditEvent>, brought = ['shop:buy']): AuditEvent {
  const { subject } = granted()
  assert.ok(subject)
  return denied({
    time: Date.now() - hoursAgo * HOUR_MS,
    reason: 'target_not_in_calls',
    target: 'boutique/payment',
    subject: { ...subject, scopes: brought },
    request: {
      audiences: ['payment'],
      resources: [],
      scopes: ['payment:charge'],
      requestedTokenType: 'access_token',
    },
    ...change,
  })
}

const AUDIT_RULES = `${RULES_YAML}  payment:
    scopes: [payment:charge]
`

function withAudit(events: readonly AuditEvent[]) {
  const cwd = deployment({ 'rules/boutique.yaml': AUDIT_RULES })
  before(async () => {
    const run = await runCli(['init', '--make-encryption-key'], { cwd })
    assert.equal(run.code, 0, run.stderr)
    const db = openDatabase(join(cwd, 'sts.db'))
    const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
    for (const event of events) insert.run(...toRow(event))
    db.close()
  })
  return cwd
}

describe('from the audit', () => {
  const stranger = { ...granted().caller, id: 'spiffe://cluster.local/ns/boutique/sa/gift' }
  const cwd = withAudit([
    denial(1, {}, ['shop:buy', 'shop:browse']),
    denial(2, {}, ['shop:buy']),
    denial(200, {}, ['other']),
    denial(1, { reason: 'client_unknown', caller: stranger, subject: undefined }),
    denial(1, { reason: 'subject_token_expired' }),
    denial(1, {
      reason: 'scope_not_justified',
      target: 'boutique/checkout',
      request: {
        audiences: ['checkout'],
        resources: [],
        scopes: ['checkout:place'],
        requestedTokenType: 'access_token',
      },
    }),
    granted(),
  ])
  test('what was asked, behind #, with what came along every time', async () => {
    const run = await init(cwd, '--from-audit', '--since', '7d')
    assert.equal(run.code, 0, run.stderr)
    assert.match(run.stdout, /^# Drafted by mesh-sts rules init from 5 denials of the audit\.$/m)
    assert.match(run.stdout, /^# {6}- payment {2}# asked 2 times, /m)
    assert.match(
      run.stdout,
      /^# {6}- from: frontend\n# {8}issuer: corporate\n# {8}scopes:\n# {10}payment:charge: \[shop:buy\] {2}# asked 2 times/m,
    )
    assert.match(run.stdout, /^# {2}gift: \{\}$/m)
    assert.match(run.stderr, /^boutique +3 +1 +2$/m)
    assert.match(run.stderr, /^1 denied, and allowed by the rules of today$/m)
    assert.match(
      run.stderr,
      /^denied for what no new rule is the answer to: subject_token_expired 1$/m,
    )
  })
  test('all of it where no time is given', async () => {
    const run = await init(cwd, '--from-audit')
    assert.match(
      run.stdout,
      /^# {10}payment:charge: \[\] {2}# asked 3 times, .*; no scope was brought every time$/m,
    )
  })
  test('as JSON', async () => {
    const { stdout } = await init(cwd, '--from-audit', '--since', '7d', '--json')
    const { asks, callers, denials } = JSON.parse(stdout)
    assert.deepEqual(denials, { read: 5, settled: 1, leftAlone: { subject_token_expired: 1 } })
    assert.equal(callers[0].id, stranger.id)
    assert.deepEqual(asks[0].scopes[0].brought, ['shop:buy'])
  })
  test('with edges and policies in one draft', async () => {
    const policy = join(cwd, 'policy.yaml')
    writeFileSync(policy, POLICY.replaceAll('checkout', 'cart'))
    const run = await init(
      cwd,
      '--from-audit',
      '--from-policies',
      policy,
      'boutique/new:boutique/payment',
    )
    assert.match(run.stdout, /from 1 edge, 1 AuthorizationPolicy, 6 denials of the audit\.$/m)
    for (const name of ['cart', 'new']) assert.match(run.stdout, new RegExp(`^ {2}${name}:$`, 'm'))
  })
  test('nothing denied is nothing to draft', async () => {
    const run = await init(cwd, '--from-audit', '--since', '1ms')
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /^mesh-sts: nothing was seen that a rule file could hold$/m)
  })
  test('a database that is not there', async () => {
    const run = await init(deployment(), '--from-audit', '--json')
    assert.equal(run.code, 1)
    assert.equal(JSON.parse(run.stdout).problem, 'database_missing')
  })
})

describe('docs/rules-init.md', () => {
  const page = readFileSync('docs/rules-init.md', 'utf8')
  const blocks = [...page.matchAll(/^```(\w+) (\S+)\n([\s\S]*?)^```$/gm)]
  const block = (name: string): string => blocks.find((one) => one[2] === name)?.[3] ?? ''
  const TIME = /\d{4}-\d{2}-\d{2}T[\d:]{8}Z/g
  const normal = (text: string) => text.replace(TIME, 'TIME')

  const cwd = withAudit([
    denial(1, {}, ['shop:buy', 'shop:browse', 'a']),
    denial(2, {}, ['shop:buy', 'shop:browse', 'b']),
    denial(1, { reason: 'subject_token_expired' }),
    denial(3, {
      reason: 'client_unknown',
      caller: { ...granted().caller, id: 'spiffe://cluster.local/ns/boutique/sa/gift' },
    }),
  ])
  const examples = blocks.flatMap(([, , name, text = ''], index) =>
    name === 'example' ? [{ command: text.trim(), index }] : [],
  )
  test('has examples', () => assert.equal(examples.length, 3))
  for (const { command, index } of examples) {
    test(command, async () => {
      const [program, ...args] = command.split(' ')
      assert.equal(program, 'mesh-sts')
      const isAudit = args.includes('--from-audit')
      const where = isAudit ? cwd : folder({ 'policies.yaml': block('policies.yaml') })
      const run = await runCli(args, { cwd: where })
      assert.equal(run.code, 0, run.stderr)
      for (const [, , name, text = ''] of blocks.slice(index + 1, index + 3)) {
        const output = name === 'prints' ? run.stdout : run.stderr
        // Wrapping depends on nothing but the text, and all times are of one length.
        const parts = normal(text).split('…\n')
        if (name === 'prints' || name === 'tells') {
          assert.ok(normal(output).startsWith(parts[0] ?? ''), output)
          assert.ok(normal(output).endsWith(parts.at(-1) ?? ''), output)
          if (parts.length === 1) assert.equal(normal(output), parts[0])
        }
        if (name === 'decided' || name === 'example') break
      }
    })
  }
  test('what was decided loads, and is the draft with its lines ticked', async () => {
    const text = block('decided')
    const run = await runCli(['rules', 'check', '--json'], {
      cwd: deployment({ 'rules/boutique.yaml': text }),
    })
    const { ok, rules } = JSON.parse(run.stdout)
    assert.deepEqual([ok, rules], [true, 2])
    const ticked = tickAll(block('prints'))
      .split('\n')
      .filter((line) => !/^ *#/.test(line))
    const keys = (lines: readonly string[]) => lines.map((line) => line.replace(/:(?: .*)?$/, ''))
    const blank = (line: string) =>
      line.includes('DECIDE: []') || line.includes('payment:charge: [')
    assert.deepEqual(
      keys(
        text
          .trim()
          .split('\n')
          .filter((line) => !blank(line)),
      ),
      keys(
        ticked
          .join('\n')
          .trim()
          .split('\n')
          .filter((line) => !blank(line)),
      ),
    )
  })
})
