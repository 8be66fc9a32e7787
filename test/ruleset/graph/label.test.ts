// Labels: lines that fit whatever stands in the rules, long lists that say how much is left out.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import { edgeLines, serviceLines, strayLines } from '../../../src/ruleset/graph/label.ts'
import type { GraphEdge } from '../../../src/ruleset/graph/model.ts'
import { compiled } from '../../support/rules.ts'
import { hostile } from './fixture.ts'

/** The only edge of a ruleset whose rule has these lines. */
function edgeOf(rule: string, scopes: string, more = ''): GraphEdge {
  const text = `
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [${scopes}]
    accepts:
      - {from: a, issuer: corporate, ${rule}}
${more}`
  const [edge] = graphOf(compiled(text)).edges
  assert.ok(edge)
  return edge
}

const lines = (...args: Parameters<typeof edgeOf>) => edgeLines(edgeOf(...args)).slice(1)

describe('scopes', () => {
  test('what the same scopes justify stands together, in the order of names', () => {
    assert.deepEqual(lines('scopes: {z: [p, q], y: [q, p], x: {all: [p, q]}}', 'z, y, x'), [
      'p and q → x',
      'p or q → y, z',
    ])
  })
  test('different conditions do not', () => {
    assert.deepEqual(
      lines('scopes: {x: [p], y: {any: [p], when: \'subject.sub == "s"\'}}', 'x, y'),
      ['p → x', 'p → y', 'if subject.sub == "s"'],
    )
  })
  test('of the same name, once for all', () => {
    assert.deepEqual(lines('scopes: [x, y, z, p, q]', 'x, y, z, p, q'), ['p, q, x +2 → the same'])
  })
  test('long lists say how much is left out', () => {
    const many = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, at) => `${prefix}${at}`)
    assert.deepEqual(lines(`scopes: {x: [${many('p', 9)}]}`, 'x'), ['p0 or p1 or p2 +6 → x'])
    const rules = many('x', 7).map((scope) => `${scope}: [for-${scope}]`)
    assert.deepEqual(lines(`scopes: {${rules.join(', ')}}`, many('x', 7).join(', ')), [
      'for-x0 → x0',
      'for-x1 → x1',
      'for-x2 → x2',
      'for-x3 → x3',
      '+3 more',
    ])
  })
  test('what does not fit is broken before the arrow', () => {
    const need = 'a-rather-long:scope'
    assert.deepEqual(
      lines(`scopes: {'another-long:scope': [${need}, second]}`, "'another-long:scope'"),
      [`${need} or second`, '→ another-long:scope'],
    )
  })
})

describe('denies', () => {
  const DENY = (deny: string) => `    denies: [${deny}]\n`
  test('one that always fires says nothing else', () => {
    assert.deepEqual(lines('scopes: [x]', 'x', DENY('{from: a, reason: closed}')), [
      'denied: closed',
    ])
    assert.deepEqual(lines('scopes: [x]', 'x', DENY('{reason: closed}')), ['denied to everybody'])
  })
  test('one with a condition, one in audit mode', () => {
    const when = 'when: \'subject.sub == "x"\''
    assert.deepEqual(lines('scopes: [x]', 'x', DENY(`{from: a, reason: odd, ${when}}`)), [
      'x → the same',
      'denied: odd when subject.sub == "x"',
    ])
    assert.deepEqual(lines('scopes: [x]', 'x', DENY('{from: a, reason: odd, mode: audit}')), [
      'x → the same',
      'audit only: odd',
    ])
  })
})

describe('what fits', () => {
  test('no line is longer than 40 characters and no text is lost', () => {
    const word = fc.stringMatching(/^[!#-[\]-~]{1,128}$/)
    fc.assert(
      fc.property(word, (scope) => {
        const found = edgeLines({ ...edgeOf('scopes: [x]', 'x'), scopes: [scopeOf(scope)] })
        assert.ok(found.every((line) => line.length > 0 && line.length <= 40))
        assert.ok(found.join('').includes(scope))
      }),
    )
  })
  const scopeOf = (scope: string): GraphEdge['scopes'][number] => ({
    scope,
    mode: 'any',
    from: ['p'],
    when: undefined,
  })
  test('a condition of several lines is one, and a long one is cut', () => {
    const when = `subject.sub == "x" ||\n\n   subject.sub == "${'y'.repeat(200)}"`
    const edge = { ...edgeOf('scopes: [x]', 'x'), when: { source: when, mode: 'enforce' as const } }
    const found = edgeLines(edge).join(' ')
    assert.match(found, /only when subject\.sub == "x" \|\| subject\.sub == "?/)
    assert.match(found, /y…/)
    assert.ok(found.length < 150)
  })
  test('control characters are shown, never written', () => {
    const text = hostile('x').replace(
      /when: .*/,
      String.raw`when: "subject.sub != \"\u0085\u200b\""`,
    )
    const [edge] = graphOf(compiled(text)).edges
    assert.ok(edge)
    assert.ok(edgeLines(edge).join('').includes(String.raw`\u{85}\u{200b}`), edgeLines(edge).join())
  })
})

test('a service that has nothing to say has no lines', () => {
  const { services } = graphOf(compiled('namespace: a\nservices:\n  b: {scopes: [x]}\n'))
  assert.deepEqual(services.map(serviceLines), [[]])
})

test('requests without an edge', () => {
  assert.deepEqual(strayLines({ from: 'a', to: 'b', granted: 0, denied: 1_234_567 }), [
    'no such edge',
    'denied ×1,234,567',
  ])
  assert.deepEqual(strayLines({ from: 'a', to: 'b', granted: 999, denied: 0 }), [
    'no such edge',
    '×999 before',
  ])
})
