// rules graph, on real files and a real database in a temporary folder.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { toRow } from '../../../src/audit/row.ts'
import { openDatabase } from '../../../src/store/database.ts'
import { large } from '../../ruleset/graph/fixture.ts'
import { denied, granted } from '../../support/audit-store.ts'
import { deployment, RULES_YAML, runCli } from '../run-cli.ts'

const cwd = deployment()
const graph = async (...args: string[]) => runCli(['rules', 'graph', ...args], { cwd })

describe('formats', () => {
  test('Mermaid is the default', async () => {
    const run = await graph()
    assert.deepEqual([run.code, run.stderr], [0, ''])
    assert.match(run.stdout, /^%%\{init: .*\}%%\nflowchart LR\n/)
    assert.match(
      run.stdout,
      /s_boutique\.frontend --- .*"token of corporate<br\/>shop:buy → checkout:place"\]/,
    )
    assert.equal((await graph('--format', 'mermaid')).stdout, run.stdout)
  })
  test('DOT and SVG', async () => {
    assert.match((await graph('--format', 'dot')).stdout, /^digraph "rules" \{\n/)
    const svg = await graph('--format', 'svg')
    assert.deepEqual([svg.code, svg.stderr], [0, ''])
    assert.match(svg.stdout, /^<svg [\s\S]*>shop:buy → checkout:place<[\s\S]*<\/svg>\n$/)
  })
  test('JSON: the graph itself', async () => {
    const run = await graph('--json')
    const { ok, hash, issuers, edges, services } = JSON.parse(run.stdout)
    assert.equal(ok, true)
    assert.match(hash, /^[0-9a-f]{64}$/)
    assert.deepEqual(issuers, ['corporate'])
    assert.deepEqual(
      edges.map((edge: { rule: string }) => edge.rule),
      ['boutique/checkout <- boutique/frontend [corporate]'],
    )
    assert.equal(services.length, 2)
  })
  test('into a file', async () => {
    const text = (await graph('--format', 'dot')).stdout
    const run = await graph('--format', 'dot', '--out', 'graph.dot')
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, '', ''])
    assert.equal(readFileSync(join(cwd, 'graph.dot'), 'utf8'), text)
  })
  test('into a file that cannot be written', async () => {
    const run = await graph('--out', 'nowhere/graph.mmd')
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /^mesh-sts: cannot write .*nowhere\/graph\.mmd: ENOENT\n$/)
    const json = await graph('--json', '--out', 'nowhere/graph.json')
    assert.equal(JSON.parse(json.stdout).problem, 'out_unwritable')
  })
})

describe('what is shown', () => {
  const rules = RULES_YAML.replace('calls: [checkout]', 'calls: [checkout, cart]')
  const more = `${rules}  cart:
    scopes: [read]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {read: [shop:buy]}}
      - {from: checkout, scopes: {read: [checkout:place]}}
`
  const folder = deployment({ 'rules/boutique.yaml': more })
  const shown = async (...args: string[]) => {
    const run = await runCli(['rules', 'graph', '--json', ...args], { cwd: folder })
    assert.equal(run.code, 0, run.stderr)
    return JSON.parse(run.stdout).edges.map((edge: { to: string }) => edge.to)
  }
  test('from and to, by short and by full names', async () => {
    assert.deepEqual(await shown(), ['boutique/cart', 'boutique/checkout'])
    assert.deepEqual(await shown('--to', 'cart'), ['boutique/cart'])
    assert.deepEqual(await shown('--from', 'corporate', '--to', 'boutique/checkout'), [
      'boutique/checkout',
    ])
    assert.deepEqual(await shown('--from', 'cart'), [])
  })
  test('what is not drawn is told; in a part of the graph it is not missed', async () => {
    const run = await runCli(['rules', 'graph'], { cwd: folder })
    assert.equal(run.code, 0)
    assert.equal(
      run.stderr,
      'not drawn, since no caller lists the target in calls: boutique/cart <- boutique/checkout [self]\n',
    )
    assert.equal((await runCli(['rules', 'graph', '--to', 'cart'], { cwd: folder })).stderr, '')
  })
  test('an empty picture is told', async () => {
    const run = await runCli(['rules', 'graph', '--from', 'cart'], { cwd: folder })
    assert.deepEqual([run.code, run.stderr], [0, 'there is no edge to draw\n'])
  })
  test('nobody is called so', async () => {
    const run = await graph('--from', 'chekout')
    assert.deepEqual([run.code, run.stdout], [2, ''])
    assert.match(run.stderr, /^mesh-sts: --from: there is no chekout; did you mean checkout\?\n/)
  })
  test('several are', async () => {
    const twice = deployment({
      'rules/other.yaml': 'namespace: other\nservices:\n  checkout: {scopes: [x]}\n',
    })
    const run = await runCli(['rules', 'graph', '--to', 'checkout'], { cwd: twice })
    assert.equal(run.code, 2)
    assert.match(run.stderr, /--to: which of boutique\/checkout, other\/checkout\?/)
  })
})

describe('command lines that mean nothing', () => {
  for (const [args, expected] of [
    [['--format', 'png'], /--format must be mermaid, dot, svg/],
    [['--json', '--format', 'dot'], /--json and --format exclude each other/],
    [['--since', 'yesterday'], /--since must be a duration, such as 7d/],
    [['extra'], /unexpected argument "extra"/],
  ] as const) {
    test(args.join(' '), async () => {
      const run = await graph(...args)
      assert.deepEqual([run.code, run.stdout], [2, ''])
      assert.match(run.stderr, expected)
    })
  }
})

test('rules with an error: the problems, exit 1', async () => {
  const folder = deployment({ 'rules/boutique.yaml': RULES_YAML.replace('scopes:', 'scops:') })
  const run = await runCli(['rules', 'graph'], { cwd: folder })
  assert.deepEqual([run.code, run.stdout], [1, ''])
  assert.match(
    run.stderr,
    /^rules\/boutique\.yaml:7:5: error: .*did you mean `scopes`\? \[shape-invalid\]$/m,
  )
  const json = JSON.parse((await runCli(['rules', 'graph', '--json'], { cwd: folder })).stdout)
  assert.deepEqual([json.ok, json.problems.length > 0], [false, true])
})

describe('a mesh that is too large for one picture', () => {
  const folder = deployment({ 'rules/boutique.yaml': large(120) })
  test('SVG: said at once, with what to do; a part of it is drawn', async () => {
    const run = await runCli(['rules', 'graph', '--format', 'svg', '--out', 'x.svg'], {
      cwd: folder,
    })
    assert.deepEqual([run.code, run.stdout, existsSync(join(folder, 'x.svg'))], [1, '', false])
    assert.match(
      run.stderr,
      /^mesh-sts: 120 services and 1200 edges are too many .*--from and --to, or use --format dot/,
    )
  })
  test('Mermaid: written, with a hint', async () => {
    const run = await runCli(['rules', 'graph'], { cwd: folder })
    assert.equal(run.code, 0)
    assert.match(run.stderr, /^Mermaid draws this only where it is configured to/)
  })
})

describe('counts', () => {
  const HOUR_MS = 3_600_000
  const rule = 'boutique/checkout <- boutique/frontend [corporate]'
  const checkout = 'spiffe://cluster.local/ns/boutique/sa/checkout'
  before(async () => {
    const init = await runCli(['init', '--make-encryption-key'], { cwd })
    assert.equal(init.code, 0, init.stderr)
    const now = Date.now()
    const events = [
      granted({ time: now - HOUR_MS, rule }),
      granted({ time: now - 3 * HOUR_MS, rule }),
      denied({ time: now - 3 * HOUR_MS, rule, target: 'boutique/checkout', wouldDeny: [] }),
      denied({
        time: now - HOUR_MS,
        reason: 'target_not_in_calls',
        target: 'boutique/frontend',
        wouldDeny: [],
        caller: { ...granted().caller, id: checkout, service: 'boutique/checkout' },
      }),
    ]
    const db = openDatabase(join(cwd, 'sts.db'))
    const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
    for (const each of events) insert.run(...toRow(each))
    db.close()
  })
  test('all that is kept', async () => {
    const run = await graph('--counts')
    assert.deepEqual([run.code, run.stderr], [0, ''])
    assert.match(run.stdout, /checkout:place<br\/>×2 · denied ×1 · audit only ×2"/)
    assert.match(run.stdout, /"no such edge<br\/>denied ×1"\]:::rule -\.-x s_boutique\.frontend$/m)
  })
  test('since a time', async () => {
    assert.match((await graph('--since', '2h')).stdout, /checkout:place<br\/>×1 · audit only ×1"/)
    assert.match((await graph('--since', '1m')).stdout, /checkout:place<br\/>not used"/)
  })
  test('with a path', async () => {
    const run = await graph('--counts', '--from', 'checkout', '--json')
    const { edges, strays } = JSON.parse(run.stdout)
    assert.deepEqual(edges, [])
    assert.deepEqual(strays, [
      { from: 'boutique/checkout', to: 'boutique/frontend', granted: 0, denied: 1 },
    ])
  })
  test('without a database', async () => {
    const folder = deployment()
    const run = await runCli(['rules', 'graph', '--counts'], { cwd: folder })
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /^mesh-sts: .*sts\.db/)
  })
})
