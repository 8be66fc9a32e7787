// What an expression reads, and which claims may be absent without an error.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '../../../src/ruleset/expression/expression.ts'
import { expression, factsWith } from '../../support/expressions.ts'

/** Claims as `name`, guarded ones as `name?`. */
const readsOf = (source: string): string => {
  const { claims, guardedClaims } = expression(source, 'value')
  for (const claim of guardedClaims) assert.ok(claims.includes(claim))
  return claims.map((claim) => (guardedClaims.includes(claim) ? `${claim}?` : claim)).join(' ')
}

const A = 'subject.claims.a'
const HAS_A = 'has(subject.claims.a)'

describe('claims that are read', () => {
  for (const [source, reads] of [
    ['true', ''],
    ['subject.sub == "a" && size(subject.scopes) > 1', ''],
    [`${A} == 1`, 'a'],
    ['subject.claims["a.b"] == 1', 'a.b'],
    ['subject.claims.b == 1 && subject.claims.a.c == 1 && subject.claims.b == 2', 'a b'],
    [`["x"].exists(x, ${A} == x)`, 'a'],
    [`${A}.exists(x, subject.claims.b == x)`, 'a b'],
    [`{"k": ${A}}`, 'a'],
    [`[${A}]`, 'a'],
    [`subject.claims.b[${A}]`, 'a b'],
    [`string(${A})`, 'a'],
    [`-${A}`, 'a'],
    // Tests alone are no reads that could fail.
    [HAS_A, 'a?'],
    ['"a" in subject.claims', 'a?'],
    ['"a.b" in subject.claims && subject.claims["a.b"] == 1', 'a.b?'],
    [`${HAS_A} && ${A} == 1`, 'a?'],
    [`${HAS_A} && true && ${A} == 1 && ${A} == 2`, 'a?'],
    [`${HAS_A} && (${A} == 1 || ${A} == 2)`, 'a?'],
    [`true && (true && ${HAS_A}) && ${A} == 1`, 'a?'],
    [`!${HAS_A} || ${A} == 1`, 'a?'],
    [`!(${HAS_A} && true) || ${A} == 1`, 'a?'],
    [`!(!${HAS_A} || false) && ${A} == 1`, 'a?'],
    [`${HAS_A} ? ${A} == 1 : false`, 'a?'],
    [`!${HAS_A} ? false : ${A} == 1`, 'a?'],
    [`${HAS_A} && has(subject.claims.b) ? ${A} == subject.claims.b : false`, 'a? b?'],
    [`${HAS_A} && ["x"].exists(x, ${A} == x)`, 'a?'],
    [`(${HAS_A} && subject.claims.b == 1) || (${HAS_A} && subject.claims.b == 2)`, 'a? b'],
    [`(${HAS_A} && true || ${HAS_A} && false) && ${A} == 1`, 'a?'],
    [`${HAS_A} && has(${A}.b) && ${A}.b == 1`, 'a?'],
    // Not guarded, or not surely.
    [`${A} == 1 && ${HAS_A}`, 'a'],
    [`${HAS_A} || ${A} == 1`, 'a'],
    [`!${HAS_A} && ${A} == 1`, 'a'],
    [`${HAS_A} ? false : ${A} == 1`, 'a'],
    [`${HAS_A} == true && ${A} == 1`, 'a'],
    [`(${HAS_A} || subject.claims.b == 1) && ${A} == 1`, 'a b'],
    [`(${HAS_A} || has(subject.claims.b)) && ${A} == 1`, 'a b?'],
    [`has(subject.claims.b) && ${A} == 1`, 'a b?'],
    [`has(${A}.b) && ${A}.b == 1`, 'a'],
    [`(${HAS_A} && ${A} == 1) || ${A} == 2`, 'a'],
    [`["x"].exists(x, ${HAS_A}) && ${A} == 1`, 'a'],
    [`(${HAS_A} ? true : false) && ${A} == 1`, 'a'],
  ]) {
    it(`${source} reads ${reads === '' ? 'none' : reads}`, () => {
      assert.equal(readsOf(String(source)), reads)
    })
  }
})

describe('the promise of guards', () => {
  const { boolean } = fc.letrec<{ boolean: string }>((tie) => ({
    boolean: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      fc.constantFrom(
        HAS_A,
        `!${HAS_A}`,
        '"a" in subject.claims',
        `${A} == 1`,
        `${A}`,
        `has(${A}.x)`,
        'has(subject.claims.b)',
        'subject.claims.b == 1',
        'subject.claims.b',
        'true',
      ),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(${l} && ${r})`),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(${l} || ${r})`),
      fc
        .tuple(tie('boolean'), tie('boolean'), tie('boolean'))
        .map(([c, l, r]) => `(${c} ? ${l} : ${r})`),
      tie('boolean').map((inner) => `!(${inner})`),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(dyn(${l}) == dyn(${r}))`),
      tie('boolean').map((inner) => `[1].exists(x, ${inner})`),
    ),
  }))

  it('the absence of a guarded claim is never what an evaluation fails of', () => {
    const tokens = [{}, { b: 1 }, { b: true }, { a: 1 }, { a: true, b: false }, { a: { x: 1 } }]
    let guarded = 0
    fc.assert(
      fc.property(boolean, fc.constantFrom(...tokens), (source, claims) => {
        const compiled = compileExpression(source, 'value')
        fc.pre(compiled.ok)
        const { guardedClaims, evaluate } = compiled.expression
        const result = evaluate(factsWith({ claims }))
        for (const claim of guardedClaims) {
          guarded++
          const message = `subject.claims.${claim}: is absent`
          assert.ok(result.ok || result.message !== message, `${source}: ${message}`)
        }
      }),
      { numRuns: 3_000 },
    )
    assert.ok(guarded > 300, `${guarded}`)
  })

  it('an evaluation sees no claim beside those that are told', () => {
    const claims = { a: [1], b: 1, secret: 'x' }
    const { evaluate, claims: told } = expression(
      'subject.claims.a.exists(x, x == subject.claims.b)',
    )
    assert.deepEqual(told, ['a', 'b'])
    const seen = new Set<string>()
    const watched = new Proxy(claims, {
      get: (target, name) => {
        seen.add(String(name))
        return Reflect.get(target, name)
      },
      ownKeys: () => assert.fail('all claims were listed'),
    })
    const facts = factsWith()
    const result = evaluate({ ...facts, subject: { ...facts.subject, claims: watched } })
    assert.deepEqual(result, { ok: true, value: true })
    assert.deepEqual([...seen].sort(), ['a', 'b'])
  })
})
