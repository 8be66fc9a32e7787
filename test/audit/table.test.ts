// The terminal table: widths, cuts, colour, and that data cannot move the cursor.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent } from '../../src/audit/event.ts'
import { toJsonLine } from '../../src/audit/json-line.ts'
import { escapeControls, renderAuditEvent, renderAuditTable } from '../../src/audit/table.ts'
import { denied, granted } from '../support/audit-store.ts'

const lengthOf = (text: string) => [...text].length
const withSub = (sub: string): AuditEvent => {
  const event = granted()
  return { ...event, subject: { ...event.subject!, sub } }
}

test('a wide terminal shows an event whole', () => {
  const event = granted()
  assert.deepEqual(renderAuditTable([event], { width: 250 }), [
    'TIME                 OUTCOME  REASON    CALLER             SUBJECT   TARGET             SCOPES          DECISION',
    `2026-01-02 03:04:05  granted            boutique/frontend  alice     boutique/checkout  checkout:quote  ${event.decisionId}`,
  ])
})

test('a denial shows its reason, the caller without a service its identity', () => {
  const event = denied()
  const unknown = { ...event, caller: { ...event.caller, service: undefined } }
  const line = renderAuditTable([unknown], { width: 250 })[1] ?? ''
  assert.ok(
    line.includes('denied   subject_token_expired  spiffe://cluster.local/ns/boutique/sa/frontend'),
  )
})

test('lines fit the width; reason and decision id, which people look for and copy, are never cut', () => {
  const events = [withSub('a-very-long-subject-'.repeat(5)), denied()]
  for (const width of [250, 160, 130]) {
    const lines = renderAuditTable(events, { width })
    assert.ok(
      lines.every((line) => lengthOf(line) <= width),
      `${width}`,
    )
  }
  for (const width of [250, 130, 80, Number.POSITIVE_INFINITY]) {
    const lines = renderAuditTable(events, { width })
    assert.ok(lines[1]?.endsWith(events[0]!.decisionId), `${width}`)
    assert.ok(lines[2]?.includes('subject_token_expired'), `${width}`)
  }
  const narrow = renderAuditTable(events, { width: 130 })
  assert.ok(narrow[1]?.includes('a-very-…'), 'the start of a subject stays')
})

test('a terminal that is too narrow gets the least widths', () => {
  const event = granted()
  const least = renderAuditTable([event], { width: 1 })
  assert.deepEqual(least, renderAuditTable([event], { width: 116 }))
  assert.equal(lengthOf(least[1] ?? ''), 116)
})

test('no ANSI unless asked for', () => {
  const events = [granted(), denied()]
  const plain = renderAuditTable(events, { width: 120 })
  const colored = renderAuditTable(events, { width: 120, color: true })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ANSI begins with one
  const ansi = /\u001b\[\d+m/g
  assert.ok(plain.every((line) => !line.includes('\u001b')))
  assert.deepEqual(
    colored.map((line) => line.replaceAll(ansi, '')),
    plain,
  )
  assert.ok(colored[1]?.includes('\u001b[32mgranted\u001b[39m'))
  assert.ok(colored[2]?.includes('\u001b[31mdenied \u001b[39m'))
})

test('control, direction and line characters from data are written as escapes', () => {
  for (const [character, escaped] of [
    ['\u001b', '\\u{1b}'],
    ['\n', '\\u{a}'],
    ['\r', '\\u{d}'],
    ['\u0000', '\\u{0}'],
    ['\u009b', '\\u{9b}'],
    ['\u202e', '\\u{202e}'],
    ['\u2028', '\\u{2028}'],
    ['\ud800', '\\u{d800}'],
  ]) {
    assert.equal(escapeControls(`a${character}b`), `a${escaped}b`)
  }
  assert.equal(escapeControls('grüße 日本'), 'grüße 日本')
})

test('whatever a subject holds, a table is one printable line an event and fits', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.integer({ min: 116, max: 300 }),
      (sub, width) => {
        const lines = renderAuditTable([withSub(sub), withSub('x')], { width })
        assert.equal(lines.length, 3)
        for (const line of [...lines, ...renderAuditEvent(toJsonLine(withSub(sub)))]) {
          assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u)
        }
        assert.ok(lines.every((line) => lengthOf(line) <= width))
      },
    ),
  )
})

test('no events give the heading alone', () => {
  assert.equal(renderAuditTable([], { width: 120 }).length, 1)
})

test('P10 one event in full names the rule, the reason and what failed', () => {
  const event = denied({ rule: 'the rule', detail: 'when was false' })
  const lines = renderAuditEvent(toJsonLine(event))
  assert.ok(lines.includes(`decision_id                   ${event.decisionId}`))
  assert.ok(lines.includes('reason                        subject_token_expired'))
  assert.ok(lines.includes('detail                        when was false'))
  assert.ok(lines.includes('rule                          the rule'))
  assert.ok(lines.includes('caller.service                boutique/frontend'))
  assert.ok(lines.includes('request.scopes                checkout:quote'))
})
