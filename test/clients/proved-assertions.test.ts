// The memory of assertions that proved somebody: what is used stays, and it is bounded.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProvedAssertions } from '../../src/clients/proved-assertions.ts'

test('what is asked for stays, what is not goes when two generations are full', () => {
  const proved = createProvedAssertions(10)
  assert.equal(proved.has('used'), false)
  proved.add('used')
  proved.add('unused')
  for (let at = 0; at < 100; at += 1) {
    proved.add(`other-${at}`)
    assert.equal(proved.has('used'), true)
  }
  assert.equal(proved.has('unused'), false)
  const left = Array.from({ length: 100 }, (_, at) => `other-${at}`).filter(proved.has)
  assert.ok(left.length > 0 && left.length <= 10)
})
