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
})
