// Waivers: a warning that is right as it is, with a reason; and waivers that are wrong themselves.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLEAN, changed, check, found, said } from '../../support/checks.ts'

const UNUSED = changed(CLEAN, '  ads:\n', '  orphan: {scopes: []}\n  ads:\n')
const waiving = (text: string, ...waivers: string[]) =>
  `${text}waivers:\n${waivers.map((waiver) => `  - {${waiver}}\n`).join('')}`
const REASON = 'reason: it is there from next month on'

describe('waivers', () => {
  it('take a warning out, and keep it with its reason', () => {
    for (const at of ['', 'at: orphan, ']) {
      const text = waiving(UNUSED, `finding: service-unused, ${at}${REASON}`)
      const { findings, waived } = check([text])
      assert.deepEqual(findings, [])
      assert.deepEqual(
        waived.map(({ line, id, reason }) => [line, id, reason]),
        [[34, 'service-unused', 'it is there from next month on']],
      )
    }
  })

  it('are for their service and their file alone', () => {
    const text = waiving(UNUSED, `finding: service-unused, at: ads, ${REASON}`)
    assert.deepEqual(found(text), ['34:3 service-unused', '49:15 waiver-unused'])
    const other = waiving('namespace: other\nservices: {}\n', `finding: service-unused, ${REASON}`)
    assert.deepEqual(
      check([UNUSED, other]).findings.map(({ file, id }) => `${file} ${id}`),
      ['rules/0.yaml service-unused', 'rules/1.yaml waiver-unused'],
    )
  })

  for (const [name, waiver, expected, message] of [
    [
      'of nothing',
      `finding: scope-never-given, ${REASON}`,
      ['48:15 waiver-unused'],
      'there is no scope-never-given here any more',
    ],
    [
      'of a finding that does not exist',
      `finding: service-unsed, ${REASON}`,
      ['48:15 waiver-unknown'],
      'there is no finding service-unsed → service-unused',
    ],
    [
      'of what every object has',
      `finding: constructor, ${REASON}`,
      ['48:15 waiver-unknown'],
      'there is no finding constructor',
    ],
    [
      'of a service that does not exist',
      `finding: service-unused, at: adds, ${REASON}`,
      ['48:35 waiver-unknown'],
      'this file has no service adds → ads',
    ],
    [
      'of an error',
      `finding: claim-never-there, ${REASON}`,
      ['48:15 waiver-of-error'],
      'claim-never-there is an error, and an error cannot be waived',
    ],
  ] as const) {
    it(name, () => {
      const text = waiving(CLEAN, waiver)
      assert.deepEqual(found(text), expected)
      assert.equal(said(text, expected[0].split(' ')[1] ?? ''), message)
    })
  }

  it('of an error leave it', () => {
    const when = 'subject.claims.phone == "1"'
    const error = changed(
      CLEAN,
      '- from: checkout\n',
      `- from: checkout\n        when: '${when}'\n`,
    )
    const text = waiving(error, `finding: claim-never-there, ${REASON}`)
    assert.deepEqual(found(text), ['26:15 claim-never-there', '49:15 waiver-of-error'])
  })

  it('that waive nothing are only told where all was looked at', () => {
    const text = waiving(CLEAN, `finding: scope-never-given, ${REASON}`)
    assert.deepEqual(found(changed(text, 'from: [checkout]', 'from: [chekout]')), [
      '33:17 service-unknown',
    ])
  })
})
