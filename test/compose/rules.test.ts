// Rules that change under a running server: what serves, what does not, and what is said of it.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Reading } from '../../src/compose/rules-reading.ts'
import { fail, ok } from '../../src/oauth/reasons.ts'
import { runCli } from '../cli/run-cli.ts'
import { configMap } from '../support/config-map.ts'
import { SETTINGS } from '../support/deployment.ts'
import { jwksOf, makeKey } from '../support/jwt-fixtures.ts'
import { BOUTIQUE } from '../support/rules.ts'
import { type Served, serveAgain, serveRules } from './live-rules.ts'

const RULES = 'rules/boutique.yaml'
const lasting = (minutes: number): string =>
  BOUTIQUE.replace('lifetime: 5m', `lifetime: ${minutes}m`)
const BROKEN = lasting(9).replace('calls: [checkout]', 'calls: [chekout]')
const OTHERS = `
namespace: others
services:
  reports:
    calls: [boutique/checkout]
`

const stateOf = ({ rules, lifetime }: Served) => {
  const { staleErrors, reloads } = rules.status()
  return { minutes: Number(lifetime()) / 60, staleErrors, ...reloads }
}

test('a change serves when two looks saw the same, not before; then nothing is read any more', async (t) => {
  const served = await serveRules(t)
  const { rules, put, asked } = served
  await rules.look()
  await rules.look()
  assert.equal(asked.length, 0)
  put(RULES, lasting(4))
  await rules.look()
  put(RULES, lasting(3))
  await rules.look()
  assert.equal(asked.length, 0)
  await rules.look()
  await rules.look()
  await rules.look()
  assert.equal(asked.length, 1)
  assert.deepEqual(stateOf(served), {
    minutes: 3,
    staleErrors: undefined,
    applied: 1,
    rejected: 0,
    unchanged: 0,
  })
})

test('a set with errors never serves: the last good one does, and it is said; mended, everything is as before', async (t) => {
  const served = await serveRules(t)
  const { rules, put, log } = served
  const before = rules.status().hash
  put(RULES, BROKEN)
  assert.equal(await rules.reload(), 'rejected')
  assert.deepEqual(stateOf(served), {
    minutes: 5,
    staleErrors: 1,
    applied: 0,
    rejected: 1,
    unchanged: 0,
  })
  const [error] = log.lines.filter(({ level }) => level === 'error')
  assert.equal(error?.message, 'rules rejected, the last good ones serve')
  const { problems, ...fields } = (error?.fields ?? {}) as Record<string, unknown>
  assert.equal(fields.ruleset, before)
  assert.match(
    String(problems),
    /^\/.*boutique\.yaml:7:\d+: error: .*chekout.*; did you mean `boutique\/checkout`\?/,
  )
  // Looking on does not read, or tell, the same again.
  for (const _ of [1, 2, 3]) await rules.look()
  assert.equal(rules.status().reloads.rejected, 1)

  put(RULES, BOUTIQUE)
  assert.equal(await rules.reload(), 'unchanged')
  assert.deepEqual([rules.status().staleErrors, rules.status().hash], [undefined, before])
  assert.equal(log.lines.at(-1)?.message, 'rules applied')
  put(RULES, lasting(2))
  assert.equal(await rules.reload(), 'applied')
  assert.equal(stateOf(served).minutes, 2)
})

test('the same content is no news, and what only reads differently decides alike', async (t) => {
  const { rules, put, log, stored, folder } = await serveRules(t)
  const { hash } = rules.status()
  put(RULES, BOUTIQUE)
  assert.equal(await rules.reload(), 'unchanged')
  put(RULES, `# a comment\n${BOUTIQUE}`)
  assert.equal(await rules.reload(), 'unchanged')
  assert.equal(rules.status().hash, hash)
  assert.deepEqual(log.lines, [])
  // It is what a restart has to serve all the same.
  assert.deepEqual(stored()?.sources(), [
    { file: join(folder, RULES), text: `# a comment\n${BOUTIQUE}` },
  ])
})

test('files that come and go: a second team, then none at all', async (t) => {
  const served = await serveRules(t)
  const { rules, put, folder } = served
  const names = () => [...rules.current().services.keys()].filter((name) => /others/.test(name))
  put('rules/team/others.yml', OTHERS)
  assert.equal(await rules.reload(), 'applied')
  assert.deepEqual(names(), ['others/reports'])
  rmSync(join(folder, 'rules/team'), { recursive: true })
  assert.equal(await rules.reload(), 'applied')
  assert.deepEqual(names(), [])
  rmSync(join(folder, 'rules'), { recursive: true })
  assert.equal(await rules.reload(), 'rejected')
  put('rules/notes.txt', '')
  assert.equal(await rules.reload(), 'rejected')
  assert.equal(stateOf(served).minutes, 5)
})

test('a mounted ConfigMap that is swapped serves as a whole', async (t) => {
  const served = await serveRules(t, {
    'sts.yaml': SETTINGS.replace('[rules]', '[mounts]'),
    'mounts/first.yaml': BOUTIQUE,
  })
  const { rules, folder } = served
  rmSync(join(folder, 'mounts/first.yaml'))
  const mount = configMap(join(folder, 'mounts'), { 'a.yaml': lasting(4), 'b.yaml': OTHERS })
  assert.equal(await rules.reload(), 'applied')
  mount.update({ 'a.yaml': lasting(3) })
  await rules.look()
  await rules.look()
  assert.deepEqual(stateOf(served).minutes, 3)
  assert.equal(rules.current().services.has('others/reports'), false)
})

test('P6 a set that was reloaded has the hash that `rules check` prints', async (t) => {
  const { rules, put, folder } = await serveRules(t)
  put(RULES, lasting(1))
  put('rules/others.yaml', OTHERS)
  await rules.reload()
  const { stdout } = await runCli(['rules', 'check', '--json'], { cwd: folder })
  assert.equal(JSON.parse(stdout).hash, rules.status().hash)
})

test('rules that name a key file serve when it is there and usable, without being touched again', async (t) => {
  const served = await serveRules(t)
  const { rules, put } = served
  const keys = 'rules/keys/partner.jwks.json'
  put(RULES, `${lasting(4)}  partner:\n    client_keys: {jwks_file: keys/partner.jwks.json}\n`)
  assert.equal(await rules.reload(), 'rejected')
  put(keys, '{"keys": []}')
  await rules.look()
  await rules.look()
  // What was judged is not read again.
  for (const _ of [1, 2, 3]) await rules.look()
  assert.deepEqual([rules.status().reloads.rejected, stateOf(served).minutes], [2, 5])
  put(keys, jwksOf([makeKey('ES256', 'partner')]))
  await rules.look()
  await rules.look()
  assert.deepEqual([rules.status().staleErrors, stateOf(served).minutes], [undefined, 4])
})

test('what a server is started with is stored, and each set that takes its place; a broken one is not', async (t) => {
  const { rules, put, stored } = await serveRules(t)
  const { hash } = rules.status()
  assert.equal(stored(), undefined)
  await rules.look()
  assert.equal(stored()?.hash, hash)
  put(RULES, lasting(4))
  await rules.reload()
  const { hash: next } = rules.status()
  assert.deepEqual([stored()?.hash, stored()?.loadedAt], [next, rules.status().loadedAt])
  assert.notEqual(next, hash)
  put(RULES, BROKEN)
  await rules.reload()
  assert.equal(stored()?.hash, next)
})

test('a set that cannot be stored serves; storing is tried again, and told once', async (t) => {
  let isFull = true
  const saved: string[] = []
  const { rules, put, log } = await serveRules(
    t,
    {},
    {
      save: async ({ hash }) => {
        if (isFull) return fail('audit_unavailable')
        saved.push(hash)
        return ok(undefined)
      },
    },
  )
  put(RULES, lasting(4))
  assert.equal(await rules.reload(), 'applied')
  for (const _ of [1, 2]) await rules.look()
  assert.deepEqual(
    log.lines.filter(({ level }) => level === 'error').map(({ message }) => message),
    ['ruleset not stored, tried again every second'],
  )
  isFull = false
  for (const _ of [1, 2]) await rules.look()
  assert.deepEqual(saved, [rules.status().hash])
})

test('a restart with broken files serves the stored set, says so, and serves the files when they are mended', async (t) => {
  const first = await serveRules(t)
  first.put(RULES, lasting(4))
  await first.rules.reload()
  await first.rules.stop()
  const { loadedAt, hash } = first.rules.status()
  first.put(RULES, BROKEN)

  const second = await serveAgain(t, first)
  assert.deepEqual(stateOf(second), {
    minutes: 4,
    staleErrors: 1,
    applied: 0,
    rejected: 0,
    unchanged: 0,
  })
  const [line, ...more] = second.log.lines
  assert.deepEqual([line?.message, more], ['rules rejected, the last good ones serve', []])
  const { problems, ...fields } = (line?.fields ?? {}) as Record<string, unknown>
  assert.deepEqual(fields, {
    ruleset: hash,
    loaded_at: new Date(loadedAt).toISOString(),
    errors: 1,
  })
  assert.match(String(problems), /chekout/)
  // The broken files were judged already.
  for (const _ of [1, 2]) await second.rules.look()
  assert.equal(second.asked.length, 0)
  second.put(RULES, lasting(3))
  for (const _ of [1, 2]) await second.rules.look()
  assert.deepEqual([stateOf(second).minutes, stateOf(second).staleErrors], [3, undefined])
})

test('a backup carries the stored set: where it is restored, broken files do not keep it from serving', async (t) => {
  const { rules, folder, config, db, put } = await serveRules(t)
  await rules.look()
  await rules.stop()
  const backup = await runCli(['backup', 'copy.db'], { cwd: folder })
  assert.equal(backup.code, 0, backup.stderr)
  db.close()
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(join(folder, `sts.db${suffix}`), { force: true })
  const restore = await runCli(['restore', 'copy.db'], { cwd: folder })
  assert.equal(restore.code, 0, restore.stderr)
  put(RULES, BROKEN)
  const restored = await serveAgain(t, { folder, config })
  assert.deepEqual(
    [restored.rules.status().hash, restored.rules.status().staleErrors],
    [rules.status().hash, 1],
  )
})

test('a restart without a key file serves the stored set, and the files when it is back', async (t) => {
  const keys = 'rules/partner.jwks.json'
  const first = await serveRules(t, {
    [RULES]: `${BOUTIQUE}  partner:\n    client_keys: {jwks_file: partner.jwks.json}\n`,
    [keys]: jwksOf([makeKey('ES256', 'partner')]),
  })
  await first.rules.look()
  await first.rules.stop()
  rmSync(join(first.folder, keys))
  const second = await serveAgain(t, first)
  assert.equal(second.rules.status().staleErrors, 1)
  for (const _ of [1, 2]) await second.rules.look()
  assert.equal(second.rules.status().staleErrors, 1)
  first.put(keys, jwksOf([makeKey('ES256', 'partner')]))
  for (const _ of [1, 2]) await second.rules.look()
  assert.equal(second.rules.status().staleErrors, undefined)
})

test('reloads that are asked for together: one runs, one more follows, since the first may have read too early', async (t) => {
  const { rules, put, asked } = await serveRules(t)
  const first = rules.reload()
  await new Promise(setImmediate)
  put(RULES, lasting(4))
  const others = [rules.reload(), rules.reload(), rules.reload()]
  await Promise.all([first, ...others])
  assert.equal(asked.length, 2)
  assert.equal(rules.current().services.get('boutique/checkout')?.lifetimeSeconds, 240)
})

/** Rules whose reader says what it is told to. */
const withReadings = (t: TestContext, ...readings: readonly (Reading | Error)[]) => {
  const left = [...readings]
  return serveRules(
    t,
    {},
    {
      read: () => {
        const reading = left.shift()
        if (reading instanceof Error) throw reading
        assert.ok(reading)
        return { reading: Promise.resolve(reading), cancel: () => undefined }
      },
    },
  )
}

test('a reading that never settled is no judgement: the next look reads again', async (t) => {
  const { rules, put, asked } = await withReadings(
    t,
    { kind: 'unsettled' },
    { kind: 'unchanged', trace: '' },
  )
  put(RULES, lasting(4))
  for (const _ of [1, 2, 3]) await rules.look()
  assert.equal(rules.status().reloads.unchanged, 2)
  assert.equal(asked.length, 0)
})

test('a reading that broke off is told once, and not tried again before something changes', async (t) => {
  const broken = {
    kind: 'rejected',
    trace: undefined,
    named: [],
    errors: 1,
    told: ['out'],
  } as const
  const { rules, put } = await withReadings(t, broken, broken)
  put(RULES, lasting(4))
  for (const _ of [1, 2, 3, 4]) await rules.look()
  assert.equal(rules.status().reloads.rejected, 1)
  put(RULES, lasting(3))
  for (const _ of [1, 2, 3, 4]) await rules.look()
  assert.equal(rules.status().reloads.rejected, 2)
})

test('a bug in a reading keeps the last good set, and the next reload runs', async (t) => {
  const mixed: Reading = {
    kind: 'good',
    trace: '',
    hash: 'another compiler',
    packed: { digest: 'd', bytes: new Uint8Array() },
    files: ['/rules/a.yaml'],
    rules: [{ head: '{"namespace":"a","services":{}}', services: [] }],
    warnings: [],
  }
  const served = await withReadings(t, new Error('no thread'), mixed, {
    kind: 'unchanged',
    trace: '',
  })
  const { rules, log, stored } = served
  const { hash } = rules.status()
  assert.deepEqual([await rules.reload(), await rules.reload()], ['rejected', 'rejected'])
  assert.deepEqual([rules.status().hash, rules.status().staleErrors], [hash, 1])
  assert.equal(log.lines.filter(({ message }) => /bug/.test(message)).length, 2)
  assert.equal(await rules.reload(), 'unchanged')
  assert.equal(rules.status().staleErrors, undefined)
  assert.notEqual(stored()?.digest, 'd')
})

test('a server that stops does not wait for a reading, and applies nothing any more', async (t) => {
  const served = await serveRules(t)
  const { rules, put, folder } = served
  put(RULES, lasting(4))
  writeFileSync(join(folder, 'rules/large.yaml'), `a: [${'[],'.repeat(1_000_000)}]`)
  const reload = rules.reload()
  await new Promise(setImmediate)
  await rules.stop()
  assert.equal(await reload, 'unchanged')
  assert.equal(await rules.reload(), 'unchanged')
  assert.equal(stateOf(served).minutes, 5)
})
