// What is kept of a denied exchange: bounded, and it says what is missing; a grant is complete.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { boundDenied, MAX_DENIED_LIST_BYTES } from '../../src/audit/bound.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { toJsonLine } from '../../src/audit/json-line.ts'
import { denied, granted } from '../support/audit-store.ts'

const values = Array.from({ length: 200 }, (_, at) => `https://a-long-name.example/${at}`)

const filled = (base: AuditEvent, lists: readonly string[]): AuditEvent => {
  const full = granted()
  assert.ok(full.subject && full.request)
  return {
    ...base,
    subject: { ...full.subject, scopes: lists },
    request: { ...full.request, audiences: lists, resources: lists, scopes: lists },
    truncated: undefined,
  }
}

test('a denial keeps about 1 KiB of each list, and says how many values are missing', () => {
  const event = boundDenied(filled(denied(), values))
  const { request, subject } = event
  for (const list of [request?.audiences, request?.resources, request?.scopes, subject?.scopes]) {
    assert.ok(list && list.length > 20)
    assert.deepEqual(list, values.slice(0, list.length))
    assert.ok(JSON.stringify(list).length <= MAX_DENIED_LIST_BYTES + 1)
  }
  const missing = values.length - (request?.audiences.length ?? 0)
  assert.deepEqual(
    event.truncated,
    ['request.audiences', 'request.resources', 'request.scopes', 'subject.scopes'].map(
      (name) => `${name}: ${missing} of 200 left out`,
    ),
  )
})

test('a first value that is too long alone is cut', () => {
  const event = boundDenied(filled(denied(), ['x'.repeat(8000), 'y']))
  assert.deepEqual(event.request?.audiences, ['x'.repeat(160)])
  assert.equal(event.truncated?.[0], 'request.audiences: first value cut, 1 of 2 left out')
})

test('a grant is complete, and so is a denial whose lists are short', () => {
  const grant = filled(granted(), values)
  assert.equal(boundDenied(grant), grant)
  const short = filled(denied(), ['a', 'b'])
  assert.equal(boundDenied(short), short)
  const early = denied({ request: undefined, truncated: undefined })
  assert.equal(boundDenied(early), early)
})

test('property: no lists make the row of a denial long', () => {
  const text = fc.string({ unit: 'binary', maxLength: 3000 })
  fc.assert(
    fc.property(fc.array(text, { maxLength: 600 }), (lists) => {
      const line = toJsonLine(boundDenied(filled(denied(), lists)))
      assert.ok(Buffer.byteLength(line) < 4 * MAX_DENIED_LIST_BYTES + 3000)
    }),
    { numRuns: 50 },
  )
})
