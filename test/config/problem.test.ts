// Problems: their line of text, paths, "did you mean".
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  formatProblem,
  nearest,
  type Problem,
  pathText,
  printable,
} from '../../src/config/problem.ts'

const problem: Problem = {
  file: 'rules/a.yaml',
  line: 5,
  column: 7,
  path: 'services.a.audiance',
  message: 'unknown key',
  suggestion: 'audience',
  severity: 'error',
}

describe('a line of text', () => {
  const cases: readonly [changes: Partial<Problem>, text: string][] = [
    [{}, 'rules/a.yaml:5:7: error: services.a.audiance: unknown key; did you mean `audience`?'],
    [{ path: '' }, 'rules/a.yaml:5:7: error: unknown key; did you mean `audience`?'],
    [
      { severity: 'warning' },
      'rules/a.yaml:5:7: warning: services.a.audiance: unknown key; did you mean `audience`?',
    ],
    [
      { line: 0, file: 'environment variable STS_X' },
      'environment variable STS_X: error: services.a.audiance: unknown key; did you mean `audience`?',
    ],
  ]
  for (const [changes, text] of cases) {
    test(text, () => assert.equal(formatProblem({ ...problem, ...changes }), text))
  }
  test('without a suggestion', () => {
    const { suggestion: _, ...rest } = problem
    assert.equal(formatProblem(rest), 'rules/a.yaml:5:7: error: services.a.audiance: unknown key')
  })
  test('what comes from a file never acts on a terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const line = formatProblem({ ...problem, path: pathText([text]), message: text })
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
      }),
    )
  })
  test('letters, digits and spaces that look like those of names are shown, in all but the file', () => {
    const line = formatProblem({
      file: 'b\u00fcro/a.yaml',
      line: 1,
      column: 2,
      path: pathText(['services', 'p\u0430y']),
      message: 'no service \uff10\u0430\u0301\u00a0\u6f22 \u2192 \u2026',
      severity: 'error',
    })
    assert.equal(
      line,
      'b\u00fcro/a.yaml:1:2: error: services["p\\u{430}y"]: no service \\u{ff10}\\u{430}\\u{301}\\u{a0}\\u{6f22} \u2192 \u2026',
    )
  })
  test('a right-to-left override is shown', () => {
    assert.equal(printable('a\u202eb'), 'a\\u{202e}b')
  })
})

test('paths are written for people', () => {
  const path = ['services', 'checkout', 'accepts', 0, 'scopes', 'checkout:place', 'all']
  assert.equal(pathText(path), 'services.checkout.accepts[0].scopes["checkout:place"].all')
  assert.equal(pathText([]), '')
  assert.ok(pathText(['x'.repeat(10_000)]).length < 100)
})

describe('did you mean', () => {
  const known = [
    'audience',
    'audiences',
    'scopes',
    'jwks_uri',
    'jwks_file',
    'calls',
    'ES256',
    'RS256',
  ]
  const cases: readonly [typed: string, meant: string | undefined][] = [
    ['audiance', 'audience'],
    ['audeince', 'audience'],
    ['Audience', 'audience'],
    ['jwksUri', 'jwks_uri'],
    ['jwks-file', 'jwks_file'],
    ['scope', 'scopes'],
    ['cals', 'calls'],
    ['ES265', 'ES256'],
    ['accepts', undefined],
    ['xyz', undefined],
    ['', undefined],
    ['x'.repeat(1000), undefined],
  ]
  for (const [typed, meant] of cases) {
    test(`${typed.slice(0, 20)} → ${meant}`, () => assert.equal(nearest(typed, known), meant))
  }
  test('never suggests what was typed', () => assert.equal(nearest('calls', ['calls']), undefined))
  test('agrees with a search through all edits', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 7 })
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 8 }), (typed, words) => {
        const allowed = Math.max(1, Math.floor(typed.length / 3))
        const distances = words
          .filter((each) => each !== typed)
          .map((each) => ({ each, distance: slowDistance(typed, each) }))
          .filter(({ distance }) => distance <= allowed)
        const least = Math.min(...distances.map(({ distance }) => distance))
        const expected = distances.find(({ distance }) => distance === least)?.each
        assert.equal(nearest(typed, words), expected)
      }),
      { numRuns: 500 },
    )
  })
  test('among a million words only the first are searched', () => {
    let asked = 0
    function* names() {
      for (; asked < 1_000_000; asked++) yield `service-number-${asked}`
    }
    assert.equal(nearest('service-nunber-7', names()), 'service-number-7')
    assert.ok(asked < 50_000, `${asked} words`)
  })
})

/** Optimal string alignment as it is defined, without a table. */
function slowDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length
  const [x, y] = [a.slice(1), b.slice(1)]
  let least = Math.min(slowDistance(x, b) + 1, slowDistance(a, y) + 1)
  least = Math.min(least, slowDistance(x, y) + (a[0] === b[0] ? 0 : 1))
  if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0]) {
    least = Math.min(least, slowDistance(a.slice(2), b.slice(2)) + 1)
  }
  return least
}
