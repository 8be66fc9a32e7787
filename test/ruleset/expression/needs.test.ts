// What must be there for an expression to be true.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '../../../src/ruleset/expression/expression.ts'
import { expression, factsWith } from '../../support/expressions.ts'

const A = 'subject.claims.a'
const B = 'subject.claims.b'

const needsOf = (source: string): string => {
  const { neededClaims, needsActor, isConstant } = expression(source)
  return [...neededClaims, ...(needsActor ? ['(actor)'] : []), ...(isConstant ? ['-'] : [])].join(
    ' ',
  )
}

describe('what an expression needs', () => {
  for (const [source, needs] of [
    ['true', '-'],
    ['1 + 1 == 2 || ["x"].exists(x, x == "x")', '-'],
    ['subject.sub == "a"', ''],
    ['now > timestamp("2026-01-31T08:00:00Z")', ''],
    [`${A} == 1`, 'a'],
    [`${A} == ${B}`, 'a b'],
    [`"x" in ${A} && ${B}.c == 2`, 'a b'],
    [`has(${A})`, 'a'],
    [`!has(${A})`, ''],
    [`!(!has(${A}))`, 'a'],
    [`!(!has(${A}) || ${B} == 1)`, 'a b'],
    [`has(${A}.b)`, 'a'],
    [`"a" in subject.claims`, 'a'],
    [`has(${A}) && ${A} == 1`, 'a'],
    [`${A} == 1 || ${B} == 1`, ''],
    [`${A} == 1 || has(${A})`, 'a'],
    [`!has(${A}) || ${A} == 1`, ''],
    [`(${A} == 1 && ${B} == 1) || ${A} == 2`, 'a'],
    [`(${A} == 1 || ${B} == 1) == true`, ''],
    [`(${A} == 1) == false`, 'a'],
    [`has(${A}) ? ${A} == 1 : false`, ''],
    [`${A} == 1 ? ${B} == 1 : ${B} == 2`, 'a b'],
    [`has(${A}) ? ${B} == 1 : ${B} == 2`, 'b'],
    [`${A}.exists(x, x == ${B})`, 'a b'],
    [`["x"].exists(x, x in ${A})`, 'a'],
    [`${A}.all(x, x == ${B})`, 'a'],
    ['actor.sub == "a"', '(actor)'],
    ['has(actor.sub) && actor.issuer == "agents"', '(actor)'],
    ['!has(actor.sub)', ''],
    ['has(actor.sub) || subject.sub == "a"', ''],
  ] as const) {
    it(`${source} needs ${needs === '' ? 'nothing' : needs}`, () => {
      assert.equal(needsOf(source), needs)
    })
  }

  const { boolean } = fc.letrec<{ boolean: string }>((tie) => ({
    boolean: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      fc.constantFrom(
        `has(${A})`,
        `${A} == 1`,
        `has(${A}.x)`,
        `has(${B})`,
        `${B} == 1`,
        'has(actor.sub)',
        'actor.sub == "agent"',
        'subject.sub == "alice"',
        'false',
      ),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(${l} && ${r})`),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(${l} || ${r})`),
      fc
        .tuple(tie('boolean'), tie('boolean'), tie('boolean'))
        .map(([c, l, r]) => `(${c} ? ${l} : ${r})`),
      tie('boolean').map((inner) => `!(${inner})`),
      fc.tuple(tie('boolean'), tie('boolean')).map(([l, r]) => `(dyn(${l}) == dyn(${r}))`),
      fc
        .tuple(fc.constantFrom('exists', 'all', 'exists_one'), tie('boolean'))
        .map(([name, inner]) => `[1, 2].${name}(x, ${inner})`),
    ),
  }))

  it('is never true without it, whatever else is there', () => {
    const values = [undefined, 1, { x: 1 }]
    let needed = 0
    fc.assert(
      fc.property(
        boolean,
        fc.constantFrom(...values),
        fc.constantFrom(...values),
        fc.boolean(),
        (source, a, b, withActor) => {
          const compiled = compileExpression(source, 'condition')
          fc.pre(compiled.ok)
          const { neededClaims, needsActor, evaluate } = compiled.expression
          const actor = withActor
            ? { issuer: 'agents', iss: 'https://agents.example', sub: 'agent' }
            : undefined
          const result = evaluate(factsWith({ claims: { a, b }, actor }))
          if (!result.ok || result.value !== true) return
          for (const claim of neededClaims) {
            needed++
            assert.notEqual({ a, b }[claim], undefined, `${source} needs ${claim}`)
          }
          if (needsActor) assert.ok(withActor, source)
        },
      ),
      { numRuns: 3_000 },
    )
    assert.ok(needed > 300, `${needed}`)
  })

  it('a constant is the same whatever is asked', () => {
    fc.assert(
      fc.property(boolean, (source) => {
        const compiled = compileExpression(source, 'condition')
        fc.pre(compiled.ok)
        const { isConstant } = compiled.expression
        assert.equal(isConstant, !/subject|actor/.test(source), source)
      }),
      { numRuns: 300 },
    )
  })
})
