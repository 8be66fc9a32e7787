import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isKnownToClient } from '../../src/http/conditional.ts'

describe('isKnownToClient', () => {
  const known = [
    '"abc"',
    'W/"abc"',
    '"x", "abc"',
    '"x",W/"abc" , "y"',
    '*',
    ' * ',
    '"a,b","abc"',
    '"", "abc"',
  ]
  for (const header of known) {
    it(`knows the entity by ${header}`, () => {
      assert.equal(isKnownToClient(header, '"abc"'), true)
      assert.equal(isKnownToClient(header, 'W/"abc"'), true)
    })
  }

  const unknown = [
    undefined,
    '',
    '"x"',
    'abc',
    '"ABC"',
    '"abc',
    'abc"',
    '"x abc y"',
    '"abcd"',
    '**',
    '"*"',
    "'abc'",
  ]
  for (const header of unknown) {
    it(`does not know it by ${header}`, () => assert.equal(isKnownToClient(header, '"abc"'), false))
  }

  it('never throws, and takes time in proportion to the header', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('"', 'W', '/', ',', ' ', 'a', '*') }),
        (header) => {
          assert.equal(typeof isKnownToClient(header, '"abc"'), 'boolean')
        },
      ),
    )
    assert.equal(isKnownToClient('W/"'.repeat(5000), '"abc"'), false)
  })
})
