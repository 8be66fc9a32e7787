import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readKeys } from '../../src/keys/key-store.ts'
import { loadKeys } from '../../src/keys/loaded-keys.ts'
import { outputOf, startScript } from '../store/temporary.ts'
import { HOUR, MINUTE, must, type Rig, rig, SECOND, START } from './fixture.ts'

const SCRIPT = 'test/keys/keys-process.js'

const start = (t: TestContext, world: Rig, what: string, ...more: readonly number[]) =>
  startScript(t, SCRIPT, [what, world.path, join(world.folder, 'k1'), ...more.map(String)])

const kidIn = (world: Rig, state: string): string =>
  readKeys(world.db).keys.find(({ record }) => record.state === state)?.record.kid ?? 'none'

test('five processes that init at once make one set of first keys', async (t) => {
  const world = await rig(t, { init: false })
  const outputs = await Promise.all(
    Array.from({ length: 5 }, () => outputOf(start(t, world, 'init', START))),
  )
  const texts = outputs.map((output) => output.text).sort()
  assert.deepEqual(texts, ['done', 'keys_exist', 'keys_exist', 'keys_exist', 'keys_exist'])
  assert.deepEqual(
    readKeys(world.db)
      .keys.map(({ record }) => record.state)
      .sort(),
    ['active', 'next'],
  )
})

test('P5: five processes that rotate at once converge on one key and the same bytes', async (t) => {
  const world = await rig(t, { policy: { signForMs: 3 * HOUR } })
  const own = world.process()
  await own.tick()
  await world.serve(own, 3 * HOUR - 20 * SECOND)
  const [active, next] = ['active', 'next'].map((state) => kidIn(world, state))
  // Each finds the rotation due; the tick of each is a minute after its start.
  const at = START + 3 * HOUR + 10 * SECOND
  const together = (now: number) =>
    Promise.all(Array.from({ length: 5 }, () => outputOf(start(t, world, 'tick', now - MINUTE, 1))))
  const first = await together(at)
  assert.deepEqual(
    first.map((output) => output.code),
    [0, 0, 0, 0, 0],
  )
  const states = readKeys(world.db).keys.map(({ record }) => [record.kid, record.state])
  const fresh = kidIn(world, 'next')
  assert.deepEqual(
    new Map(states as [string, string][]),
    new Map([
      [active ?? '', 'retiring'],
      [next ?? '', 'active'],
      [fresh, 'next'],
    ]),
  )
  // Each that looks again sees what all the others see.
  const again = (await together(at + SECOND)).map((output) => output.text)
  assert.equal(new Set(again).size, 1)
  const seen = JSON.parse(again[0] ?? '') as { body: string; kid: string }
  assert.equal(seen.kid, next)
  for (const kid of [active, next, fresh]) assert.ok(seen.body.includes(kid ?? 'none'))
})

test('killed at any moment, a process leaves a whole set with one key that signs', async (t) => {
  const world = await rig(t)
  for (let round = 0; round < 8; round++) {
    const child = start(t, world, 'churn', START)
    const ended = once(child, 'exit')
    // After a few rotations, somewhere within one.
    let dots = 0
    await new Promise<void>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        dots += chunk.length
        if (dots > 2 * round) resolve()
      })
    })
    child.kill('SIGKILL')
    await ended
    const loaded = must(loadKeys(readKeys(world.db), undefined, world.keks, 300))
    assert.deepEqual(loaded.troubles, [])
    assert.equal(loaded.signers.size, 1)
    assert.equal(world.db.pragma('integrity_check', { simple: true }), 'ok')
  }
})
