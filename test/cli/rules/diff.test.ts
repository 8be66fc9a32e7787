// rules diff, on real files in a temporary folder.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deployment, ISSUERS_YAML, RULES_YAML, runCli, STS_YAML } from '../run-cli.ts'

/** Beside what can be had: a shorter life, and a service whose name is markup. */
const OLD = RULES_YAML.replace('    accepts:\n', '    token: {lifetime: 1m}\n    accepts:\n')
const NEW = `${RULES_YAML.replace('calls: [checkout]', 'calls: [checkout, ads]')}        when: '"|" in subject.claims.amr || subject.claims.x == "<b>\`@team\`"'
  ads:
    scopes: [ads:show]
    claims: [email]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {ads:show: [shop:browse]}}
`
const files = { 'rules/boutique.yaml': NEW, 'old/boutique.yaml': OLD }

const diff = (args: readonly string[], change: Record<string, string> = {}) =>
  runCli(['rules', 'diff', ...args], { cwd: deployment({ ...files, ...change }) })

const CONDITION = '"|" in subject.claims.amr || subject.claims.x == "<b>`@team`"'

describe('rules diff', () => {
  test('what is gained, by which chain, and what is tightened', async () => {
    const run = await diff(['old'])
    assert.deepEqual([run.code, run.stderr], [0, ''])
    assert.equal(
      run.stdout,
      `Newly obtainable (1)
  who                scopes    for           by
  boutique/frontend  ads:show  boutique/ads  corporate (shop:browse) → boutique/frontend → boutique/ads

Newly visible (1)
  who           claims  by
  boutique/ads  email   corporate (shop:browse) → boutique/frontend → boutique/ads

New exchanges (1)
  exchange
  boutique/frontend → boutique/ads [corporate]

Eased (1)
  where              what      was   is     for
  boutique/checkout  lifetime  60 s  300 s

Tightened (1)
  where                                               what  was  is                                                             for
  boutique/checkout <- boutique/frontend [corporate]  when  -    ${CONDITION}  boutique/frontend

gained: 1 obtainable, 1 visible, 1 exchanges, 1 eased
lost: 0 obtainable, 0 visible, 0 exchanges, 1 eased
`,
    )
  })
  test('the other way round', async () => {
    const run = await diff(['rules', 'old'])
    assert.match(
      run.stdout,
      /^Eased \(1\)\n {2}where .*\n {2}boutique\/checkout <- boutique\/frontend \[corporate\] {2}when {2}"\|" in /m,
    )
    assert.match(
      run.stdout,
      /^No longer obtainable \(1\)\n.*\n {2}boutique\/frontend {2}ads:show /m,
    )
    assert.match(run.stdout, /^No longer visible \(1\)\n.*\n {2}boutique\/ads {2}email /m)
    assert.match(run.stdout, /^Exchanges no longer possible \(1\)\n/m)
    assert.match(
      run.stdout,
      /^Tightened \(1\)\n.*\n {2}boutique\/checkout {2}lifetime {2}300 s {2}60 s$/m,
    )
    assert.match(run.stdout, /^lost: 1 obtainable, 1 visible, 1 exchanges, 1 eased$/m)
  })
  test('nothing', async () => {
    const run = await diff(['rules', '--fail-on', 'new-allow'])
    assert.deepEqual(
      [run.code, run.stdout],
      [0, 'no difference in what can be obtained or seen, and nothing is eased or tightened\n'],
    )
  })
  test('--fail-on new-allow, for code review', async () => {
    assert.equal((await diff(['old', '--fail-on', 'new-allow'])).code, 1)
    const tightened = { 'old/boutique.yaml': RULES_YAML }
    const rules = RULES_YAML.replace('shop:buy]', 'shop:buy]').replace(
      '        scopes',
      "        when: 'true'\n        scopes",
    )
    const run = await diff(['old', '--fail-on', 'new-allow'], {
      ...tightened,
      'rules/boutique.yaml': rules,
    })
    assert.equal(run.code, 0, run.stdout)
    assert.match(run.stdout, /^Tightened \(1\)$/m)
  })
  test('as Markdown, in which nothing of a rule file is markup', async () => {
    const run = await diff(['old', '--format', 'md'], {
      'old/boutique.yaml': NEW,
      'rules/boutique.yaml': RULES_YAML,
    })
    assert.match(
      run.stdout,
      /^## Rules\n\n### Eased \(1\)\n\n\| where \| what \| was \| is \| for \|\n\|---\|---\|---\|---\|---\|\n/,
    )
    const row = run.stdout.split('\n').find((line) => line.includes('when')) ?? ''
    // Five cells, whatever the condition holds.
    assert.equal(row.split('|').length, 7)
    const [, , , was = ''] = row.split(' | ').map((cell) => cell.replace(/^\| /, ''))
    assert.doesNotMatch(was.replaceAll(/&#\d+;/g, ''), /[`<>@|[\]_*]/)
    const read = row.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    assert.ok(read.includes(CONDITION))
  })
  test('as JSON', async () => {
    const run = await diff(['old', '--json'])
    const { ok, new_allow: isMore, complete, gained, lost } = JSON.parse(run.stdout)
    assert.deepEqual([run.code, ok, isMore, complete], [0, false, true, true])
    assert.deepEqual(gained, {
      obtainable: [
        {
          holder: 'boutique/frontend',
          target: 'boutique/ads',
          scopes: ['ads:show'],
          requests: 1,
          by: 'corporate (shop:browse) → boutique/frontend → boutique/ads',
        },
      ],
      visible: [
        {
          service: 'boutique/ads',
          claims: ['email'],
          requests: 1,
          by: 'corporate (shop:browse) → boutique/frontend → boutique/ads',
        },
      ],
      exchanges: ['boutique/frontend → boutique/ads [corporate]'],
      eased: [
        {
          where: 'boutique/checkout',
          what: 'lifetime',
          before: '60 s',
          after: '300 s',
          kind: 'eased',
          callers: [],
        },
      ],
    })
    const { eased, ...rest } = lost
    assert.deepEqual(rest, { obtainable: [], visible: [], exchanges: [] })
    assert.deepEqual(
      eased.map(({ what, after }: Record<string, string>) => [what, after]),
      [['when', CONDITION]],
    )
  })
  test('other issuers: each side with its configuration', async () => {
    const change = {
      'rules/boutique.yaml': RULES_YAML,
      'next.yaml': STS_YAML.replace('issuers.yaml', 'next-issuers.yaml'),
      'next-issuers.yaml': ISSUERS_YAML.replace(
        '[boutique/frontend]',
        '[boutique/frontend, boutique/checkout]',
      ),
    }
    const run = await diff(['--old-config', 'sts.yaml', '--new-config', 'next.yaml'], change)
    assert.equal(run.code, 0)
    assert.match(
      run.stdout,
      /^ {2}boutique\/checkout {2}every other claim {2}corporate → boutique\/checkout$/m,
    )
    assert.match(
      run.stdout,
      /^ {2}issuer corporate {2}presented_by {2}- {4}boutique\/checkout for https:/m,
    )
  })
})

describe('problems', () => {
  test('rules that do not load, on either side', async () => {
    const broken = RULES_YAML.replace('calls:', 'cals:')
    for (const [args, change, file] of [
      [['old'], { 'old/boutique.yaml': broken }, 'old/boutique.yaml'],
      [['old'], { 'rules/boutique.yaml': broken }, 'rules/boutique.yaml'],
      [['nowhere'], {}, '.*nowhere'],
    ] as const) {
      const run = await diff(args, change)
      assert.deepEqual([run.code, run.stdout], [1, ''])
      assert.match(run.stderr, new RegExp(`^${file}(:4:5)?: error: `))
      const json = await diff([...args, '--json'], change)
      assert.equal(JSON.parse(json.stdout).ok, false)
    }
  })
  test('a configuration that does not load is told once', async () => {
    const run = await diff(['old'], { 'sts.yaml': STS_YAML.replace('keys:', 'kes:') })
    assert.equal(run.code, 1)
    assert.equal(run.stderr.match(/kes: unknown key/g)?.length, 1)
  })
  test('wrong arguments', async () => {
    for (const [args, message] of [
      [[], /which rules are the old ones/],
      [['a', 'b', 'c'], /there are two rulesets/],
      [['old', '--fail-on', 'lost'], /--fail-on takes new-allow/],
      [['old', '--format', 'html'], /--format takes text or md/],
      [['old', '--format', 'md', '--json'], /--json is a format of its own/],
    ] as const) {
      const run = await diff(args)
      assert.deepEqual([run.code, run.stdout], [2, ''])
      assert.match(run.stderr, message)
    }
  })
})
