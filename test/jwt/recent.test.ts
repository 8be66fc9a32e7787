// The bounded memory: what is used stays, and it is bounded.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRecent } from '../../src/jwt/recent.ts'

test('what is asked for stays, what is not goes when two generations are full', () => {
  const recent = createRecent<true>(10)
  const has = (key: string) => recent.get(key) === true
  assert.equal(has('used'), false)
  recent.set('used', true)
  recent.set('unused', true)
  for (let at = 0; at < 100; at += 1) {
    recent.set(`other-${at}`, true)
    assert.equal(has('used'), true)
  }
  assert.equal(has('unused'), false)
  const left = Array.from({ length: 100 }, (_, at) => `other-${at}`).filter(has)
  assert.ok(left.length > 0 && left.length <= 10)
})

test('the newest value counts, and no room remembers nothing', () => {
  const recent = createRecent<string>(2)
  recent.set('a', 'one')
  recent.set('a', 'two')
  assert.equal(recent.get('a'), 'two')
  const none = createRecent<string>(0)
  none.set('a', 'one')
  assert.equal(none.get('a'), undefined)
})
