import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { type JwksFileOptions, jwksFileSource } from '../../src/jwt/jwks-file.ts'
import { MAX_KEY_SET_BYTES } from '../../src/jwt/key-set.ts'
import type { KeySource } from '../../src/jwt/key-source.ts'
import { jwksOf, makeKey } from '../support/jwt-fixtures.ts'

const folder = mkdtempSync(join(tmpdir(), 'jwks-file-'))
after(() => rmSync(folder, { recursive: true }))

const first = jwksOf([makeKey('ES256', 'first')])
const second = jwksOf([makeKey('ES256', 'second')])

/** A source on a file of its own, with a clock that the test turns. */
function setUp(content?: string, change: Partial<JwksFileOptions> = {}) {
  const path = change.path ?? join(mkdtempSync(join(folder, 'a-')), 'jwks.json')
  if (content !== undefined) writeFileSync(path, content)
  const clock = { ms: 0 }
  const logged: string[] = []
  const source = jwksFileSource({
    path,
    allowed: ALGORITHMS,
    monotonic: () => clock.ms,
    log: {
      info: (_fields, message) => void logged.push(message),
      warn: (fields, message) => void logged.push(`${message}: ${JSON.stringify(fields)}`),
    },
    ...change,
  })
  return { path, source, clock, logged }
}

async function kidOf(source: KeySource): Promise<string | undefined> {
  const set = await source.current()
  return 'unavailable' in set ? set.unavailable : (set.keys[0]?.kid ?? 'none')
}

test('a set is answered at once, without a promise', async () => {
  const { source } = setUp(first)
  assert.equal(source.current() instanceof Promise, false)
  assert.equal(await kidOf(source), 'first')
})

test('a change is seen after the check interval, not before', async () => {
  const { source, path, clock } = setUp(first)
  await kidOf(source)
  writeFileSync(path, second)
  clock.ms = 1999
  assert.equal(await kidOf(source), 'first')
  clock.ms = 2000
  assert.equal(await kidOf(source), 'second')
})

test('an unknown kid looks at once', async () => {
  const { source, path } = setUp(first)
  await kidOf(source)
  writeFileSync(path, second)
  const set = await source.refreshed()
  assert.ok('keys' in set)
  assert.equal(set.keys[0]?.kid, 'second')
})

test('an unchanged file gives the very same set and no log line', async () => {
  const { source, clock, logged } = setUp(first)
  const before = source.current()
  clock.ms = 10_000
  assert.equal(source.current(), before)
  assert.equal(await source.refreshed(), before)
  assert.deepEqual(logged, ['key set file read'])
})

test('the symlink swap of a Kubernetes volume is seen', async () => {
  const volume = mkdtempSync(join(folder, 'volume-'))
  for (const [name, content] of [
    ['one', first],
    ['two', second],
  ] as const) {
    mkdirSync(join(volume, name))
    writeFileSync(join(volume, name, 'jwks.json'), content)
  }
  symlinkSync('one', join(volume, '..data'))
  symlinkSync('..data/jwks.json', join(volume, 'jwks.json'))
  const { source, clock } = setUp(undefined, { path: join(volume, 'jwks.json') })
  assert.equal(await kidOf(source), 'first')
  symlinkSync('two', join(volume, '..data_tmp'))
  renameSync(join(volume, '..data_tmp'), join(volume, '..data'))
  clock.ms = 2000
  assert.equal(await kidOf(source), 'second')
})

for (const [name, spoil, problem] of [
  [
    'broken content',
    (path: string) => writeFileSync(path, '{"keys":'),
    'the document is refused: not JSON',
  ],
  ['no usable key', (path: string) => writeFileSync(path, '{"keys":[]}'), 'no usable key'],
  ['no file', (path: string) => unlinkSync(path), 'the file is unreadable ENOENT'],
  [
    'a folder',
    (path: string) => {
      unlinkSync(path)
      mkdirSync(path)
    },
    'not a file',
  ],
  [
    'a pipe',
    (path: string) => {
      unlinkSync(path)
      execFileSync('mkfifo', [path])
    },
    'not a file',
  ],
  [
    'too many bytes',
    (path: string) => writeFileSync(path, ' '.repeat(MAX_KEY_SET_BYTES + 1)),
    `the file has more than ${MAX_KEY_SET_BYTES} bytes`,
  ],
] as const) {
  test(`the last good set stays, reported once: ${name}`, async () => {
    const { source, path, clock, logged } = setUp(first)
    await kidOf(source)
    spoil(path)
    for (clock.ms = 2000; clock.ms < 10_000; clock.ms += 2000) {
      assert.equal(await kidOf(source), 'first')
    }
    const warned = JSON.stringify({ path, problem, keeps_last: true })
    assert.deepEqual(logged.slice(1), [`key set file is unusable: ${warned}`])
    rmSync(path, { recursive: true, force: true })
    writeFileSync(path, second)
    clock.ms = 12_000
    assert.equal(await kidOf(source), 'second')
  })

  test(`P4 before the first good set it is an outage: ${name}`, async () => {
    const { source, path } = setUp(first)
    spoil(path)
    const outage = { unavailable: problem, retryAfterSeconds: 5 }
    assert.deepEqual(await source.current(), outage)
    assert.deepEqual(await source.refreshed(), outage)
  })
}

test('an outage ends when the file comes', async () => {
  const { source, path, clock } = setUp()
  assert.equal(await kidOf(source), 'the file is unreadable ENOENT')
  writeFileSync(path, first)
  clock.ms = 2000
  assert.equal(await kidOf(source), 'first')
})

test('SP-03 an empty bundle replaces the last set', async () => {
  const svid = { ...makeKey('ES256', 'svid').jwk, use: 'jwt-svid' }
  const { source, path, clock } = setUp(jwksOf([svid]), { use: 'jwt-svid' })
  assert.equal(await kidOf(source), 'svid')
  writeFileSync(path, '{"keys":[]}')
  clock.ms = 2000
  assert.equal(await kidOf(source), 'none')
})

test('no descriptor stays open', { skip: !existsSync('/proc/self/fd') }, async () => {
  const { source, path } = setUp(first)
  await source.refreshed()
  const before = readdirSync('/proc/self/fd').length
  for (let at = 0; at < 20; at++) {
    writeFileSync(path, at % 2 === 0 ? second : '{')
    await source.refreshed()
  }
  assert.equal(readdirSync('/proc/self/fd').length, before)
})
