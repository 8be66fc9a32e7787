// Keeps every reason, its answer, its documentation and its tests in step.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Reason, WIRE, type WireAnswer } from '../../src/oauth/reasons.ts'

const REASONS = Object.keys(WIRE) as Reason[]
const ROOT = process.cwd()

interface Documented {
  readonly status: string
  readonly error: string
  readonly when: string
  readonly operator: string
}

/** Rows of the tables in docs/errors.md: | `reason` | status | `error` | when | what to do | */
function documented(): Map<string, Documented> {
  const rows = new Map<string, Documented>()
  for (const line of readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim())
    const reason = /^<a id="(\w+)"><\/a>`(\w+)`$/.exec(cells[1] ?? '')
    if (reason === null) continue
    assert.equal(reason[1], reason[2], 'the anchor of a row is its reason')
    assert.ok(!rows.has(reason[1] ?? ''), `${reason[1]} has two rows`)
    const [, , status = '', error = '', when = '', operator = ''] = cells
    rows.set(reason[1] ?? '', { status, error, when, operator })
  }
  return rows
}

describe('the wire answers', () => {
  for (const reason of REASONS) {
    const wire: WireAnswer = WIRE[reason]
    it(`OA-08 P10 ${reason} is told in RFC 6749's characters, without its name`, () => {
      assert.match(wire.error, /^[a-z_]+$/)
      assert.match(wire.description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]{5,80}$/)
      assert.ok(!wire.description.includes('_'))
    })
  }

  it('TE-14 never says invalid_grant: token exchange has no such answer', () => {
    assert.ok(
      Object.values<WireAnswer>(WIRE).every(({ error }) => String(error) !== 'invalid_grant'),
    )
  })

  it('P4 answers an outage with 503 and nothing else with it', () => {
    const outage = /unavailable$|^overloaded$|^shutting_down$/
    for (const reason of REASONS) {
      const { status, error } = WIRE[reason] as WireAnswer
      assert.equal(outage.test(reason), status === 503, reason)
      if (status === 503) assert.equal(error, 'temporarily_unavailable', reason)
    }
  })

  it('OA-05 answers 401 to bad client authentication and to nothing else', () => {
    for (const reason of REASONS) {
      const { status, error } = WIRE[reason] as WireAnswer
      assert.equal(status === 401, error === 'invalid_client', reason)
      if (status === 401) assert.match(reason, /^client_/)
    }
  })

  it('P10 has one text per status and error for tokens, so that a prober learns nothing', () => {
    for (const role of ['subject_token', 'actor_token', 'client_assertion']) {
      const problems = REASONS.filter((reason) =>
        new RegExp(
          `^${role}_(?:malformed|expired|signature_invalid|key_unknown|issuer_not_trusted|claim_malformed|not_yet_valid|algorithm_not_allowed)$`,
        ).test(reason),
      )
      assert.equal(problems.length, 8)
      assert.equal(new Set(problems.map((reason) => JSON.stringify(WIRE[reason]))).size, 1)
    }
  })
})

describe('docs/errors.md', () => {
  const rows = documented()

  it('has a row for every reason and no other', () => {
    assert.deepEqual([...rows.keys()].sort(), [...REASONS].sort())
  })

  for (const reason of REASONS) {
    it(`says of ${reason} what is on the wire, when, and what to do`, () => {
      const row = rows.get(reason)
      assert.ok(row, 'no row')
      const { status, error } = WIRE[reason] as WireAnswer
      assert.equal(row.status, String(status))
      assert.equal(row.error, `\`${error}\``)
      assert.ok(row.when.length > 10, 'says when')
      assert.ok(row.operator.length > 10, 'says what to do')
    })
  }
})

describe('every reason is asserted', () => {
  it('by a test that names it', () => {
    const here = join('test', 'oauth', 'reasons.test.ts')
    const sources = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
      .map((name) => join('test', name))
      .filter((name) => name.endsWith('.test.ts') && name !== here)
      .map((name) => readFileSync(join(ROOT, name), 'utf8'))
    assert.ok(sources.length > 0)
    const missing = REASONS.filter(
      (reason) => !sources.some((source) => new RegExp(`\\b${reason}\\b`).test(source)),
    )
    assert.deepEqual(missing, [], `reasons without a test: ${missing.join(', ')}`)
  })
})
