// Background repetition: spaced from end to start, one at a time, and stop() waits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { repeat } from '../../src/store/repeat.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const noError = (error: unknown) => assert.fail(String(error))

test('a run that takes long is not started twice; the next comes an interval after its end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let runs = 0
  let finish = (): void => undefined
  const task = () => {
    runs += 1
    return new Promise<void>((resolve) => {
      finish = resolve
    })
  }
  const repeated = repeat(task, 100, noError)
  t.mock.timers.tick(99)
  assert.equal(runs, 0)
  t.mock.timers.tick(1)
  assert.equal(runs, 1)
  t.mock.timers.tick(1000)
  assert.equal(runs, 1)
  finish()
  await turn()
  t.mock.timers.tick(99)
  assert.equal(runs, 1)
  t.mock.timers.tick(1)
  assert.equal(runs, 2)
  finish()
  await repeated.stop()
})

test('stop waits for the run under way, which can ask, and nothing runs afterwards', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let runs = 0
  let isDone = false
  const task = async (isStopping: () => boolean) => {
    runs += 1
    assert.equal(isStopping(), false)
    while (!isStopping()) await turn()
    isDone = true
  }
  const repeated = repeat(task, 100, noError)
  t.mock.timers.tick(100)
  await repeated.stop()
  assert.equal(isDone, true)
  t.mock.timers.tick(1000)
  assert.equal(runs, 1)
})

test('a rejection is told, and the next run comes', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const errors: unknown[] = []
  const bug = new Error('a bug')
  const repeated = repeat(
    () => Promise.reject(bug),
    100,
    (error) => errors.push(error),
  )
  for (let run = 0; run < 2; run++) {
    t.mock.timers.tick(100)
    await turn()
  }
  assert.deepEqual(errors, [bug, bug])
  await repeated.stop()
})
