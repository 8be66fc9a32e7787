// init, migrate, backup, restore and keys, on real files in a temporary folder.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadSqlite } from '../../src/store/sqlite.ts'
import { deployment, runCli, STS_YAML } from './run-cli.ts'

/** A deployment after init. */
async function initialised(files: Record<string, string> = {}): Promise<string> {
  const cwd = deployment(files)
  const run = await runCli(['init', '--make-encryption-key'], { cwd })
  assert.equal(run.code, 0, run.stderr)
  return cwd
}

const json = (text: string) => JSON.parse(text)

interface Key {
  kid: string
  state: string
  algorithm: string
  encryption_key?: string
}

async function keysOf(cwd: string, ...more: string[]): Promise<Key[]> {
  const run = await runCli(['keys', 'list', '--json', ...more], { cwd })
  assert.equal(run.code, 0, run.stderr + run.stdout)
  return json(run.stdout).keys
}

describe('init', () => {
  test('makes the database and a key file for their owner only, a signing key and the next', async () => {
    const cwd = deployment()
    const run = await runCli(['init', '--make-encryption-key'], { cwd })
    assert.equal(run.code, 0)
    assert.match(run.stdout, /^Made:\n {2}database {2}.*sts\.db/)
    assert.match(run.stdout, /^Next:\n {2}1\. Keep a copy of .*k1\.key/m)
    for (const file of ['sts.db', 'k1.key'])
      assert.equal(statSync(join(cwd, file)).mode & 0o777, 0o600, file)
    assert.deepEqual((await keysOf(cwd)).map(({ state }) => state).sort(), ['active', 'next'])
  })

  test('says the same as JSON', async () => {
    const cwd = deployment()
    const run = await runCli(['init', '--make-encryption-key', '--json'], { cwd })
    const result = json(run.stdout)
    assert.equal(result.ok, true)
    assert.equal(result.database, join(cwd, 'sts.db'))
    assert.deepEqual(result.encryptionKey, { id: 'k1', file: join(cwd, 'k1.key'), made: true })
    const active = (await keysOf(cwd)).find(({ state }) => state === 'active')
    assert.deepEqual(result.signingKeys, [active?.kid])
  })

  test('makes keys for each algorithm, and uses a key file that is there', async () => {
    const cwd = deployment({
      'sts.yaml': STS_YAML.replace('[ES256]', '[ES256, EdDSA]'),
      'k1.key': `${Buffer.alloc(32, 7).toString('base64')}\n`,
    })
    assert.equal((await runCli(['init'], { cwd })).code, 0)
    assert.deepEqual(
      (await keysOf(cwd)).map(({ algorithm, state }) => `${algorithm} ${state}`).sort(),
      ['ES256 active', 'ES256 next', 'EdDSA active', 'EdDSA next'],
    )
  })

  const refusals: readonly [
    name: string,
    prepare: (cwd: string) => void,
    args: string[],
    problem: string,
  ][] = [
    [
      'a database that is there',
      (cwd) => writeFileSync(join(cwd, 'sts.db'), 'precious'),
      ['--make-encryption-key'],
      'database_exists',
    ],
    [
      'an empty file where the database is to be',
      (cwd) => writeFileSync(join(cwd, 'sts.db'), ''),
      ['--make-encryption-key'],
      'database_exists',
    ],
    ...['-wal', '-shm', '-journal'].map(
      (suffix): [string, (cwd: string) => void, string[], string] => [
        `a ${suffix} of an older database`,
        (cwd) => writeFileSync(join(cwd, `sts.db${suffix}`), 'precious'),
        ['--make-encryption-key'],
        'database_exists',
      ],
    ),
    [
      'a key file that is there',
      (cwd) => writeFileSync(join(cwd, 'k1.key'), 'precious'),
      ['--make-encryption-key'],
      'encryption_key_exists',
    ],
    ['no key file', () => undefined, [], 'encryption_key_missing'],
    [
      'a key file that holds no key',
      (cwd) => writeFileSync(join(cwd, 'k1.key'), 'short'),
      [],
      'encryption_key_malformed',
    ],
    [
      'no folder for the database',
      (cwd) =>
        writeFileSync(
          join(cwd, 'sts.yaml'),
          STS_YAML.replace('sqlite: sts.db', 'sqlite: nowhere/sts.db'),
        ),
      ['--make-encryption-key'],
      'folder_missing',
    ],
  ]
  for (const [name, prepare, args, problem] of refusals) {
    test(`refuses ${name}, and leaves everything as it was`, async () => {
      const cwd = deployment()
      prepare(cwd)
      const before = readdirSync(cwd)
        .sort()
        .map((file) => [file, statSync(join(cwd, file)).size])
      const run = await runCli(['init', ...args, '--json'], { cwd })
      assert.equal(run.code, 1)
      assert.equal(json(run.stdout).problem, problem)
      assert.deepEqual(
        readdirSync(cwd)
          .sort()
          .map((file) => [file, statSync(join(cwd, file)).size]),
        before,
      )
      const plain = await runCli(['init', ...args], { cwd })
      assert.deepEqual([plain.code, plain.stdout], [1, ''])
      assert.match(plain.stderr, /^mesh-sts: .+\n$/)
    })
  }

  test('a second init changes nothing', async () => {
    const cwd = await initialised()
    const before = await keysOf(cwd)
    assert.equal((await runCli(['init'], { cwd })).code, 1)
    assert.deepEqual(await keysOf(cwd), before)
  })
})

describe('without init', () => {
  for (const args of [
    ['migrate'],
    ['backup', 'x'],
    ['keys', 'list'],
    ['keys', 'rotate'],
    ['audit', 'query'],
  ]) {
    test(`${args.join(' ')}: a lost volume is an error, never a new database (P4)`, async () => {
      const cwd = deployment({ 'k1.key': Buffer.alloc(32, 7).toString('base64') })
      const run = await runCli([...args, '--json'], { cwd })
      assert.equal(run.code, 1)
      assert.equal(json(run.stdout).problem, 'database_missing')
      assert.equal(existsSync(join(cwd, 'sts.db')), false)
    })
  }
})

describe('the configuration is found', () => {
  test('by --config before STS_CONFIG before sts.yaml', async () => {
    const cwd = deployment({ 'other.yaml': 'a: 1\n', 'third.yaml': '[\n' })
    const of = async (args: string[], env: Record<string, string> = {}) =>
      (await runCli(['keys', 'list', ...args], { cwd, env })).stderr.split(':')[0]
    assert.equal(await of(['--config', 'other.yaml'], { STS_CONFIG: 'third.yaml' }), 'other.yaml')
    assert.equal(await of([], { STS_CONFIG: 'third.yaml' }), 'third.yaml')
    assert.equal(await of([]), 'mesh-sts')
  })
  test('and its problems are told, as text and as JSON', async () => {
    const cwd = deployment({ 'sts.yaml': STS_YAML.replace('keys:', 'kes:') })
    const text = await runCli(['keys', 'list'], { cwd })
    assert.deepEqual([text.code, text.stdout], [1, ''])
    assert.match(text.stderr, /^sts\.yaml:9:1: error: kes: unknown key; did you mean `keys`\?$/m)
    const run = await runCli(['keys', 'list', '--json'], { cwd })
    assert.equal(run.code, 1)
    assert.equal(json(run.stdout).ok, false)
    assert.ok(json(run.stdout).problems.some(({ line }: { line: number }) => line === 9))
  })
  test('variables override it', async () => {
    const cwd = await initialised()
    const run = await runCli(['keys', 'list', '--json'], {
      cwd,
      env: { STS_STORE_SQLITE: 'nothing.db' },
    })
    assert.equal(json(run.stdout).problem, 'database_missing')
  })
})

describe('migrate', () => {
  test('says when there is nothing to do', async () => {
    const cwd = await initialised()
    assert.deepEqual(await runCli(['migrate'], { cwd }), {
      code: 0,
      stdout: 'nothing to do: the database is up to date\n',
      stderr: '',
    })
    assert.deepEqual(json((await runCli(['migrate', '--json'], { cwd })).stdout), {
      ok: true,
      applied: [],
    })
  })
  test('brings an older database to this version, which other commands refuse until then', async () => {
    const cwd = await initialised()
    rmSync(join(cwd, 'sts.db'))
    const old = new (loadSqlite())(join(cwd, 'sts.db'))
    old.exec('CREATE TABLE t (x)')
    old.close()
    assert.equal(
      json((await runCli(['keys', 'list', '--json'], { cwd })).stdout).problem,
      'database_not_migrated',
    )
    const run = await runCli(['migrate'], { cwd })
    assert.equal(run.code, 0)
    const files = readdirSync('migrations')
      .filter((file) => file.endsWith('.sql'))
      .sort()
    assert.equal(run.stdout, files.map((file) => `applied ${file}\n`).join(''))
    assert.deepEqual(await keysOf(cwd), [])
    const empty = await runCli(['keys', 'list'], { cwd })
    assert.deepEqual(
      [empty.code, empty.stderr],
      [1, 'mesh-sts: there are no signing keys: run "mesh-sts init"\n'],
    )
  })
})

describe('backup and restore', () => {
  test('a copy has the keys, and after a restore they only verify', async () => {
    const cwd = await initialised()
    const before = await keysOf(cwd)
    const backup = await runCli(['backup', 'copy.db'], { cwd })
    assert.deepEqual([backup.code, backup.stdout], [0, `wrote ${join(cwd, 'copy.db')}\n`])
    assert.equal(statSync(join(cwd, 'copy.db')).mode & 0o777, 0o600)

    const refused = await runCli(['restore', 'copy.db', '--json'], { cwd })
    assert.equal(refused.code, 1)
    assert.equal(json(refused.stdout).problem, 'database_exists')

    for (const file of readdirSync(cwd)) if (file.startsWith('sts.db')) rmSync(join(cwd, file))
    const restored = await runCli(['restore', 'copy.db', '--json'], { cwd })
    assert.deepEqual(json(restored.stdout), {
      ok: true,
      database: join(cwd, 'sts.db'),
      verifyingKeys: 2,
    })
    const after = await keysOf(cwd)
    assert.deepEqual(after.map(({ kid }) => kid).sort(), before.map(({ kid }) => kid).sort())
    assert.deepEqual(new Set(after.map(({ state }) => state)), new Set(['retiring']))
  })
  test('nothing is overwritten', async () => {
    const cwd = await initialised({ 'precious.db': 'precious' })
    const run = await runCli(['backup', 'precious.db', '--json'], { cwd })
    assert.equal(json(run.stdout).problem, 'database_exists')
    assert.equal(readFileSync(join(cwd, 'precious.db'), 'utf8'), 'precious')
  })
  test('a file that is no database is refused', async () => {
    const cwd = deployment({ 'no.db': 'this is no database'.repeat(100) })
    const run = await runCli(['restore', 'no.db', '--json'], { cwd })
    assert.equal(run.code, 1)
    assert.match(json(run.stdout).problem, /^database_/)
    assert.equal(existsSync(join(cwd, 'sts.db')), false)
  })
  test('P5: the log of the lost database beside it is refused, and stays', async () => {
    const cwd = await initialised()
    await runCli(['backup', 'copy.db'], { cwd })
    rmSync(join(cwd, 'sts.db'))
    writeFileSync(join(cwd, 'sts.db-wal'), 'the last audit rows')
    const run = await runCli(['restore', 'copy.db', '--json'], { cwd })
    assert.equal(run.code, 1)
    assert.equal(json(run.stdout).problem, 'database_exists')
    assert.match(json(run.stdout).message, /sts\.db-wal/)
    assert.equal(existsSync(join(cwd, 'sts.db')), false)
    assert.equal(readFileSync(join(cwd, 'sts.db-wal'), 'utf8'), 'the last audit rows')
  })
  test('P5: a copy whose keys would sign all the same is not restored', async () => {
    const cwd = await initialised()
    await runCli(['backup', 'copy.db'], { cwd })
    const copy = new (loadSqlite())(join(cwd, 'copy.db'))
    copy.exec(`CREATE TRIGGER undo AFTER UPDATE ON signing_keys
      WHEN old.state = 'active' AND new.state = 'retiring'
      BEGIN UPDATE signing_keys SET state = old.state, encryption_key_id = old.encryption_key_id,
        wrapped_data_key = old.wrapped_data_key, private_key = old.private_key WHERE kid = new.kid; END`)
    copy.close()
    const run = await runCli(['restore', 'copy.db', '--json'], {
      cwd,
      env: { STS_STORE_SQLITE: 'new.db' },
    })
    assert.equal(run.code, 1)
    assert.equal(json(run.stdout).problem, 'database_damaged')
    assert.equal(existsSync(join(cwd, 'new.db')), false)
  })
  test('a restore says what comes next', async () => {
    const cwd = await initialised()
    await runCli(['backup', 'copy.db'], { cwd })
    const run = await runCli(['restore', 'copy.db'], { cwd, env: { STS_STORE_SQLITE: 'new.db' } })
    assert.equal(run.code, 0)
    assert.match(run.stdout, /restored .*new\.db; its 2 published keys only verify/)
    assert.match(run.stdout, /signs after 2h/)
  })
})

describe('keys', () => {
  test('list is an aligned table, the signing key first', async () => {
    const cwd = await initialised()
    const { code, stdout } = await runCli(['keys', 'list'], { cwd })
    assert.equal(code, 0)
    const [heading = '', first = '', second = '', ...rest] = stdout.split('\n')
    assert.match(heading, /^KEY +ALGORITHM +STATE +PUBLISHED +ENCRYPTED BY +NEXT STEP$/)
    assert.match(first, / active .* k1 +hands over in (?:1d|23h 59m)$/)
    assert.match(second, / next .* k1 +may sign in (?:2h|1h 59m)$/)
    assert.deepEqual(rest, [''])
    const column = heading.indexOf('STATE')
    assert.equal(first.indexOf('active'), column)
    assert.equal(second.indexOf('next'), column)
  })

  test('timeline tells what comes, in order of time', async () => {
    const cwd = await initialised()
    const { code, stdout } = await runCli(['keys', 'timeline', '--count', '5'], { cwd })
    assert.equal(code, 0)
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 6)
    const times = lines.slice(1).map((line) => line.slice(0, 20))
    assert.deepEqual([...times].sort(), times)
    assert.match(stdout, /in 1d|in 23h 59m/)
    assert.match(stdout, / starts signing /)
    const events = json(
      (await runCli(['keys', 'timeline', '--count', '2', '--json'], { cwd })).stdout,
    ).events
    assert.equal(events.length, 2)
    assert.ok(Date.parse(events[0].at) > Date.now())
  })

  test('P5: rotate before the lead has passed is refused, with --emergency done', async () => {
    const cwd = await initialised()
    const early = await runCli(['keys', 'rotate', '--json'], { cwd })
    assert.equal(early.code, 1)
    assert.equal(json(early.stdout).problem, 'too_early')
    const next = (await keysOf(cwd)).find(({ state }) => state === 'next')
    const run = await runCli(['keys', 'rotate', '--emergency', '--algorithm', 'ES256'], { cwd })
    assert.equal(run.code, 0)
    assert.match(run.stdout, new RegExp(`^${next?.kid} signs now$`, 'm'))
    const active = (await keysOf(cwd)).find(({ state }) => state === 'active')
    assert.equal(active?.kid, next?.kid)
  })

  test('rotate of an algorithm that is not configured', async () => {
    const cwd = await initialised()
    const run = await runCli(['keys', 'rotate', '--algorithm', 'RS256', '--json'], { cwd })
    assert.equal(json(run.stdout).problem, 'algorithm_not_configured')
  })

  test('revoke takes a key out; the one that signs only in an emergency', async () => {
    const cwd = await initialised()
    const keys = await keysOf(cwd)
    const active = keys.find(({ state }) => state === 'active')?.kid ?? ''
    const refused = await runCli(['keys', 'revoke', active, '--json'], { cwd })
    assert.equal(json(refused.stdout).problem, 'emergency_required')
    const run = await runCli(['keys', 'revoke', active, '--emergency', '--json'], { cwd })
    assert.equal(run.code, 0, run.stdout)
    assert.ok((await keysOf(cwd)).every(({ kid }) => kid !== active))
    const gone = (await keysOf(cwd, '--all')).find(({ kid }) => kid === active)
    assert.equal(gone?.state, 'gone')
    assert.match(
      (await runCli(['keys', 'list', '--all'], { cwd })).stdout,
      / gone .* removed (?:now|\d+s ago)/,
    )
    assert.equal(
      json((await runCli(['keys', 'revoke', 'unknown', '--json'], { cwd })).stdout).problem,
      'key_unknown',
    )
  })

  test('P9: rewrap encrypts under the current key, and the old one can go', async () => {
    const cwd = await initialised({ 'k2.key': Buffer.alloc(32, 2).toString('base64') })
    const both = STS_YAML.replace(
      '{current: k1, k1: k1.key}',
      '{current: k2, k1: k1.key, k2: k2.key}',
    )
    writeFileSync(join(cwd, 'sts.yaml'), both)
    const run = await runCli(['keys', 'rewrap', '--json'], { cwd })
    assert.deepEqual(json(run.stdout), { ok: true, rewrapped: 2, encryption_key: 'k2' })
    assert.ok((await keysOf(cwd)).every(({ encryption_key }) => encryption_key === 'k2'))
    writeFileSync(
      join(cwd, 'sts.yaml'),
      STS_YAML.replace('{current: k1, k1: k1.key}', '{current: k2, k2: k2.key}'),
    )
    rmSync(join(cwd, 'k1.key'))
    assert.equal((await runCli(['keys', 'rotate', '--emergency'], { cwd })).code, 0)
  })

  test('rewrap with the wrong old key changes nothing', async () => {
    const cwd = await initialised({ 'k2.key': Buffer.alloc(32, 2).toString('base64') })
    writeFileSync(
      join(cwd, 'sts.yaml'),
      STS_YAML.replace('{current: k1, k1: k1.key}', '{current: k2, k1: k1.key, k2: k2.key}'),
    )
    writeFileSync(join(cwd, 'k1.key'), Buffer.alloc(32, 9).toString('base64'))
    const run = await runCli(['keys', 'rewrap', '--json'], { cwd })
    assert.equal(run.code, 1)
    assert.equal(json(run.stdout).problem, 'encryption_key_wrong')
    assert.ok((await keysOf(cwd)).every(({ encryption_key }) => encryption_key === 'k1'))
  })

  test('P7, P9: no command prints a byte of a key file', async () => {
    const cwd = await initialised()
    const secret = readFileSync(join(cwd, 'k1.key'), 'utf8').trim()
    writeFileSync(join(cwd, 'bad.key'), `${secret}!`)
    for (const args of [
      ['keys', 'list', '--json'],
      ['keys', 'rewrap'],
      ['keys', 'rotate'],
    ]) {
      for (const env of [{}, { STS_KEYS_ENCRYPTION_KEYS: '{current: b, b: bad.key}' }] as Record<
        string,
        string
      >[]) {
        const run = await runCli(args, { cwd, env })
        assert.ok(!(run.stdout + run.stderr).includes(secret.slice(0, 12)))
      }
    }
  })
})
