// Expressions are bounded: in size when they are loaded, in time over the worst token that is accepted.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Facts } from '../../../src/ruleset/decision.ts'
import { expression, factsWith, faultOf } from '../../support/expressions.ts'

const list = <T>(length: number, make: (index: number) => T): T[] =>
  Array.from({ length }, (_, i) => make(i))
const joined = (count: number, part: string, by: string): string => list(count, () => part).join(by)

const TOO_EXPENSIVE =
  '0 could take too long over a large token: compare fewer lists, and do less inside loops'

describe('the size of an expression', () => {
  const padded = (length: number) => `"${'x'.repeat(length - 6)}"==""`
  for (const [what, fits, tooMuch, fault] of [
    ['characters', padded(1_024), padded(1_025), '1024 an expression has at most 1024 characters'],
    [
      'items',
      `1 in [${joined(64, '1', ',')}]`,
      `1 in [${joined(65, '1', ',')}]`,
      'Exceeded maxListElements (64)',
    ],
    ['members', `${members(16)} == {}`, `${members(17)} == {}`, 'Exceeded maxMapEntries (16)'],
    ['parts', joined(128, 'true', '||'), joined(129, 'true', '||'), 'Exceeded maxAstNodes (256)'],
    [
      'levels',
      `${'('.repeat(19)}true${')'.repeat(19)}`,
      `${'('.repeat(20)}true${')'.repeat(20)}`,
      'Exceeded maxDepth (20)',
    ],
  ] as const) {
    it(`has at most so many ${what}`, () => {
      assert.equal(faultOf(fits), 'taken')
      assert.ok(faultOf(tooMuch).endsWith(fault), faultOf(tooMuch))
    })
  }

  function members(count: number): string {
    return `{${list(count, (i) => `"m${i}": 1`).join(',')}}`
  }
})

describe('shapes that are refused', () => {
  const A = 'subject.claims.a'
  for (const [source, fault] of [
    [
      'subject.scopes.all(a, ["b"].all(b, ["c"].all(c, true)))',
      '35 at most 2 loops stand inside one another',
    ],
    [`["a"].map(x, x + x).map(y, y + y) == ["a"]`, '0 what map() gives is not looped over'],
    [
      `["a"].map(x, [x, x]).filter(y, true).exists(z, true)`,
      '0 what map() gives is not looped over',
    ],
    [`[["a"].map(x, x + x)].exists(y, true)`, '0 what map() gives is not looped over'],
    [
      `(true ? ["a"].map(x, x + x) : ["b"]).exists(y, true)`,
      '1 what map() gives is not looped over',
    ],
    [
      'subject.scopes.exists(x, [x + x].exists(y, true))',
      '25 a loop inside a loop goes over a claim, a member or constants',
    ],
    [
      'subject.scopes.exists(x, ([x] + [x]).exists(y, true))',
      '26 a loop inside a loop goes over a claim, a member or constants',
    ],
    [
      'subject.scopes.exists(x, (true ? [x] : [x]).exists(y, true))',
      '26 a loop inside a loop goes over a claim, a member or constants',
    ],
    [`${A}.exists(x, subject.claims.b.exists(y, x == y))`, TOO_EXPENSIVE],
    [`${A}.exists(x, ${A}.filter(z, true).exists(y, x == y))`, TOO_EXPENSIVE],
    ['subject.scopes.exists(x, subject.scopes.exists(y, x != y))', TOO_EXPENSIVE],
    [`${A}.exists(k, subject.claims.b[k].exists(y, y == 1))`, TOO_EXPENSIVE],
    [`[${A}, ${A}, ${A}, ${A}].exists(x, x.exists(y, y == 3))`, TOO_EXPENSIVE],
    [`${A}.exists(x, x.exists(y, y in x && x in x && x == x))`, TOO_EXPENSIVE],
    [`${A}.exists(x, subject.claims.b.contains(x))`, TOO_EXPENSIVE],
    [`subject.scopes.exists(x, size(${A}) > 1)`, TOO_EXPENSIVE],
    [`${A}.exists(x, ${joined(8, 'x.a == 1', '||')})`, TOO_EXPENSIVE],
    [`subject.scopes.exists(x, x in ${A} && x in subject.claims.b)`, TOO_EXPENSIVE],
    [`subject.scopes.exists(x,${' '.repeat(900)}x == actor.sub)`, TOO_EXPENSIVE],
    [`subject.scopes.map(x, ${A}) == subject.scopes.map(x, subject.claims.b)`, TOO_EXPENSIVE],
    [`(${joined(20, A, '+')}).contains("a")`, TOO_EXPENSIVE],
    [`[${joined(30, A, '+')}].exists(x, size(x) > 3)`, TOO_EXPENSIVE],
    [`(${joined(30, A, '+')}) == [1]`, TOO_EXPENSIVE],
  ]) {
    it(String(source).slice(0, 80), () => assert.equal(faultOf(String(source)), fault))
  }
})

describe('what rules need', () => {
  for (const source of [
    'request.scopes.all(s, s in subject.scopes)',
    'subject.scopes.exists(x, x == actor.sub)',
    // Errors cost most, so what cannot fail, or ends with the first error, counts for less.
    `subject.scopes.exists(x,${' '.repeat(900)}x == subject.sub)`,
    `subject.scopes.filter(x,${' '.repeat(900)}x == actor.sub) == []`,
    `subject.claims.a.exists(x, ${joined(12, 'has(x.b)', '||')})`,
    `subject.scopes.exists(x, ${joined(12, 'x.startsWith("a")', '||')})`,
    'subject.claims.groups.exists(g, g in subject.claims.admins)',
    'subject.claims.groups.exists(g, g in ["a", "b"] || g.startsWith("c"))',
    'subject.claims.orders.exists(o, o.state == "open" && o.total < 100)',
    'subject.claims.orders.exists(o, o.lines.exists(l, l.sku == "x" && l.count > 1))',
    'subject.claims.groups.filter(g, g.startsWith("a")).map(g, g + "!") == ["a!"]',
    '["a", "b"].all(x, x in subject.scopes || x in subject.claims.groups)',
    'subject.chain.exists(c, subject.actors.exists(a, a == c))',
  ]) {
    it(`is taken: ${source}`, () => assert.equal(faultOf(source), 'taken'))
  }
})

describe('the time of an evaluation', () => {
  const names = (prefix: string) => list(255, (i) => `${prefix}${String(i).padStart(30, '0')}`)
  const wide = {
    subject: { scopes: new Set(list(512, (i) => `scope${i}`)) },
    request: { scopes: list(64, (i) => `scope${511 - i}`) },
  }
  const looped = factsWith({
    ...wide,
    claims: {
      a: list(255, () => 1),
      s: names('g'),
      t: names('h'),
      o: list(127, () => ({ a: 1 })),
      n: [list(250, () => 1)],
      text: 'ab'.repeat(6_000),
    },
  })
  const flat = factsWith({
    ...wide,
    claims: {
      a: list(6_000, () => 1),
      b: list(6_000, () => 1),
      text: 'a'.repeat(12_000),
      part: `${'a'.repeat(6_000)}b`,
    },
  })
  const far = ' '.repeat(700)
  const WORST: readonly (readonly [string, Facts])[] = [
    ['subject.claims.a.exists(x, x.a == 1 || x.b == 1 || x.c == 1 || x.d == 1)', looped],
    [`subject.claims.a.exists(x,${far}x.a == 1)`, looped],
    ['subject.claims.s.exists(x, x in subject.claims.t)', looped],
    ['subject.claims.o.exists(x, x in subject.claims.n || x in [[1], [2]])', looped],
    ['subject.claims.n.exists(x, x.exists(y, y.a == 1 && y.b == 1))', looped],
    ['subject.scopes.filter(x, x != "").exists(x, x == actor.sub)', looped],
    ['request.scopes.all(x, x in subject.scopes)', looped],
    ['request.scopes.exists(x, request.scopes.exists(y, x == y + "!"))', looped],
    ['subject.claims.s.exists(x, x.contains(subject.claims.text))', looped],
    [joined(30, '"a" in subject.claims.a', '||'), flat],
    [joined(12, 'subject.claims.a != subject.claims.b', '||'), flat],
    [joined(20, 'subject.claims.text.contains(subject.claims.part)', '||'), flat],
    [joined(20, 'size(subject.claims.text) == 1', '||'), flat],
    [`(${joined(6, 'subject.claims.a', '+')}) == [1]`, flat],
  ]

  /** The least of several times: what the machine does beside does not count. */
  const time = (source: string, facts: Facts): number => {
    const { evaluate } = expression(source)
    let least = Number.POSITIVE_INFINITY
    for (let round = 0; round < 12; round++) {
      const start = performance.now()
      evaluate(facts)
      least = Math.min(least, performance.now() - start)
    }
    return least
  }

  it('of the worst expressions is that of a few loops with an error in each round', () => {
    const loop = time('subject.claims.a.exists(x, x.y == 2)', looped)
    for (const [source, facts] of WORST) {
      const ratio = time(source, facts) / loop
      assert.ok(ratio < 40, `${source}: ${ratio}`)
    }
  })
})
