import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { traceIdOf } from '../../src/http/trace-parent.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const VALID = `00-${TRACE}-${PARENT}-01`

describe('traceIdOf', () => {
  for (const header of [
    VALID,
    `00-${TRACE}-${PARENT}-00`,
    `cc-${TRACE}-${PARENT}-01`,
    `cc-${TRACE}-${PARENT}-01-more`,
  ]) {
    it(`reads ${header}`, () => assert.equal(traceIdOf(header), TRACE))
  }

  const refused: Record<string, string | undefined> = {
    'no header': undefined,
    'an empty header': '',
    'version ff': `ff-${TRACE}-${PARENT}-01`,
    'more than version 00 has': `${VALID}-more`,
    'upper case': VALID.toUpperCase(),
    'a short trace id': `00-${TRACE.slice(1)}-${PARENT}-01`,
    'a short parent id': `00-${TRACE}-${PARENT.slice(1)}-01`,
    'an all-zero trace id': `00-${'0'.repeat(32)}-${PARENT}-01`,
    'an all-zero parent id': `00-${TRACE}-${'0'.repeat(16)}-01`,
    'no flags': `00-${TRACE}-${PARENT}`,
    'flags that are not hex': `00-${TRACE}-${PARENT}-0x`,
    'text before': ` ${VALID}`,
    'text after': `${VALID} `,
    'a later version with text right behind': `cc-${TRACE}-${PARENT}-01more`,
    'two headers, merged': `${VALID}, ${VALID}`,
    'a later version too long': `cc-${TRACE}-${PARENT}-01-${'a'.repeat(100)}`,
    'a line break': `cc-${TRACE}-${PARENT}-01-\nx`,
  }
  for (const [name, header] of Object.entries(refused)) {
    it(`reads nothing from ${name}`, () => assert.equal(traceIdOf(header), undefined))
  }
})
