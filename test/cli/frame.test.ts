// The frame of the command line: help, usage errors, exit codes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { defineCommand, UsageError } from '../../src/cli/command.ts'
import type { CliIo } from '../../src/cli/io.ts'
import { alignTable, relativeTime, timeText } from '../../src/cli/table.ts'
import { runCli } from './run-cli.ts'

const COMMANDS = [
  'init',
  'migrate',
  'backup',
  'restore',
  'keys list',
  'keys timeline',
  'keys rotate',
  'keys revoke',
  'keys rewrap',
  'rules check',
  'audit query',
]

const run = (...args: string[]) => runCli(args, { cwd: '/' })

function memoryIo(): CliIo & { readonly err: string[] } {
  const err: string[] = []
  return {
    err,
    stdout: () => undefined,
    stderr: (text) => void err.push(text),
    env: {},
    cwd: '/',
    now: () => 0,
    monotonic: () => 0,
    isTty: false,
    columns: 80,
    signal: new AbortController().signal,
    packageFolder: process.cwd(),
  }
}

describe('help', () => {
  test('mesh-sts --help lists every command, aligned', async () => {
    const { code, stdout, stderr } = await run('--help')
    assert.equal(code, 0)
    assert.equal(stderr, '')
    for (const name of COMMANDS) assert.match(stdout, new RegExp(`^  ${name} {2,}[A-Z]`, 'm'))
    const columns = [...stdout.matchAll(/^ {2}[a-z ]+? {2,}(?=[A-Z])/gm)].map(
      ([text]) => text.length,
    )
    assert.ok(columns.length >= COMMANDS.length)
    assert.equal(new Set(columns).size, 1)
  })
  for (const name of COMMANDS) {
    test(`${name} --help says how it is used`, async () => {
      const { code, stdout } = await run(...name.split(' '), '--help')
      assert.equal(code, 0)
      assert.match(stdout, new RegExp(`^Usage: mesh-sts ${name} \\[options\\]`))
      assert.match(stdout, /^ {2}--config <file> /m)
      assert.match(stdout, /^ {2}--json /m)
      for (const line of stdout.split('\n')) assert.ok(line.length <= 120, line)
    })
  }
  test('a group lists its commands', async () => {
    const { code, stdout } = await run('keys', '--help')
    assert.equal(code, 0)
    assert.match(stdout, /keys rotate/)
    assert.doesNotMatch(stdout, /rules check/)
  })
  test('--version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    assert.deepEqual(await run('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('a wrong command line exits with 2 and says what was meant', () => {
  const cases: readonly [args: string[], stderr: RegExp][] = [
    [[], /^Usage: mesh-sts <command>/],
    [
      ['inti'],
      /^mesh-sts: unknown command "inti"; did you mean "init"\?\nRun "mesh-sts --help" for help\.\n$/,
    ],
    [['rule', 'check'], /unknown command "rule"; did you mean "rules"\?/],
    [['frobnicate'], /unknown command "frobnicate"\n/],
    [['keys'], /which of list, timeline, rotate, revoke, rewrap\?/],
    [['keys', 'lst'], /there is no "keys lst"; did you mean "keys list"\?/],
    [['keys', '--json'], /there is no "keys --json"\n/],
    [
      ['keys', 'list', '--confg', 'x'],
      /unknown option --confg; did you mean --config\?\nRun "mesh-sts keys list --help" for help\./,
    ],
    [['keys', 'list', '-c', 'x'], /unknown option -c/],
    [['keys', 'list', '--config'], /--config needs a value: --config <file>/],
    [['keys', 'list', '--config='], /--config needs a value/],
    [['keys', 'list', '--json=yes'], /--json takes no value/],
    [['keys', 'list', 'extra'], /unexpected argument "extra"/],
    [['keys', 'list', '--__proto__', 'x'], /unknown option --__proto__/],
    [['keys', 'timeline', '--count', '0'], /--count must be a number from 1 to 1000/],
    [['keys', 'timeline', '--count', '1001'], /--count must be a number from 1 to 1000/],
    [['keys', 'revoke'], /name one key/],
    [['keys', 'revoke', 'a', 'b'], /name one key/],
    [
      ['keys', 'rotate', '--algorithm', 'ES265'],
      /--algorithm must be one of ES256, RS256, PS256, EdDSA; did you mean ES256\?/,
    ],
    [['backup'], /name one file to write/],
    [['backup', 'a', 'b'], /name one file to write/],
    [['restore'], /name the file to restore from/],
    [
      ['audit', 'query', '--since', 'yesterday'],
      /--since must be a duration such as 2h, or a time such as/,
    ],
    [['audit', 'query', '--until', '2026-11-23T10:00'], /--until must be/],
    [['audit', 'query', '--limit', 'many'], /--limit must be a number, or all/],
    [['audit', 'query', '--outcome', 'allowed'], /--outcome must be granted or denied/],
    [
      ['audit', 'query', '--reason', 'subject_token_expird'],
      /there is no reason subject_token_expird; did you mean subject_token_expired\?/,
    ],
    [['audit', 'query', '--reason', 'constructor'], /there is no reason constructor/],
  ]
  for (const [args, expected] of cases) {
    test(`mesh-sts ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await run(...args)
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.match(stderr, expected)
    })
  }
  test('what was typed does not act on a terminal', async () => {
    assert.ok(!(await run('\u001b[31m')).stderr.includes('\u001b'))
  })
})

describe('a command', () => {
  const options = { name: { value: '<n>', help: 'N.' }, force: { help: 'F.' } }
  test('gets its options and positional arguments', async () => {
    const seen: unknown[] = []
    const command = defineCommand(
      { name: 'x', summary: 'X.', positionals: '<p>', options },
      async (args) => {
        seen.push(args.text('name'), args.has('force'), args.has('name'), args.positionals)
        return 7
      },
    )
    assert.equal(await command(['--name', 'a', 'p', '--', '--force'], memoryIo()), 7)
    assert.deepEqual(seen, ['a', false, true, ['p', '--force']])
  })
  test('that fails for another reason than usage is not silenced', async () => {
    const command = defineCommand({ name: 'x', summary: 'X.', options }, () =>
      Promise.reject(new Error('bug')),
    )
    await assert.rejects(command([], memoryIo()), /bug/)
  })
  test('may refuse what its arguments mean', async () => {
    const command = defineCommand({ name: 'x', summary: 'X.', options }, () =>
      Promise.reject(new UsageError('no')),
    )
    const io = memoryIo()
    assert.equal(await command([], io), 2)
    assert.match(io.err.join(''), /^mesh-sts: no\nRun "mesh-sts x --help"/)
  })
})

describe('tables', () => {
  test('columns are aligned, without spaces at the end', () => {
    assert.equal(
      alignTable([
        ['A', 'BB', 'C'],
        ['aaa', 'b', ''],
      ]),
      'A    BB  C\naaa  b\n',
    )
  })
  test('times relative to now, in two units', () => {
    const cases: readonly [ms: number, text: string][] = [
      [0, 'now'],
      [400, 'now'],
      [59_999, 'in 1m'],
      [-90_000, '1m 30s ago'],
      [2 * 3_600_000 + 5 * 60_000, 'in 2h 5m'],
      [86_400_000 - 1, 'in 1d'],
      [-(3 * 86_400_000 + 3_600_000 + 59_000), '3d 1h ago'],
    ]
    for (const [ms, text] of cases) assert.equal(relativeTime(1e12 + ms, 1e12), text)
  })
  test('times in UTC', () => assert.equal(timeText(0), '1970-01-01 00:00:00Z'))
})
