import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createOverloadGuard, watchEventLoop } from '../../src/http/overload.ts'

describe('createOverloadGuard', () => {
  it('lets in as many as fit, and one more for each that leaves', () => {
    const guard = createOverloadGuard({ maxInFlight: 2, maxDelayMs: 100, delayMs: () => 0 })
    assert.deepEqual([guard.enter(), guard.enter(), guard.enter()], [true, true, false])
    assert.equal(guard.inFlight(), 2)
    guard.leave()
    assert.equal(guard.inFlight(), 1)
    assert.deepEqual([guard.enter(), guard.enter()], [true, false])
  })

  it('lets nobody in while the event loop is late', () => {
    let delay = 100
    const guard = createOverloadGuard({ maxInFlight: 2, maxDelayMs: 100, delayMs: () => delay })
    assert.equal(guard.enter(), true)
    delay = 101
    assert.equal(guard.enter(), false)
    assert.equal(guard.inFlight(), 1)
    delay = 0
    assert.equal(guard.enter(), true)
  })
})

describe('watchEventLoop', () => {
  it('counts a delay that lasts, not a single late sample', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    let now = 0
    const loop = watchEventLoop(() => now)
    const sample = (late: number) => {
      now += 100 + late
      t.mock.timers.tick(100)
      return loop.delayMs()
    }
    assert.equal(loop.delayMs(), 0)
    assert.equal(sample(0), 0)
    assert.equal(sample(500), 0)
    assert.equal(sample(300), 300)
    assert.equal(sample(400), 300)
    assert.equal(sample(-5), 0)
    assert.equal(sample(700), 0)
    loop.stop()
    assert.equal(sample(700), 0)
  })
})
