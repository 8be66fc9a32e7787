// Which part of CEL is taken; all else is refused with its place, and hostile text does no harm.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FUNCTIONS, METHODS } from '../../../src/ruleset/expression/environment.ts'
import { compileExpression } from '../../../src/ruleset/expression/expression.ts'
import { faultOf } from '../../support/expressions.ts'

const NO_REGEX = 'regular expressions are not available: use startsWith, endsWith, contains or in'
const BY_NAME = 'a claim is read by its name, as in subject.claims.email'
const WRITTEN_OUT = 'a claim is read by a name that is written out'
const HAS = 'has() takes a member, as in has(subject.claims.email)'

/** The mark is where the fault is; the rest is the message. */
const REFUSED: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  names: [
    ['^foo == "x"', 'foo is not known'],
    ['true && ^subjekt.sub == "x"', 'subjekt is not known → subject'],
    ['"a" in ^scopes', 'scopes is not known → subject.scopes'],
    ['^service == "x"', 'service is not known → caller.service'],
    ['^claims.email == "x"', 'claims is not known → subject.claims'],
    ['subject.^foo == "x"', 'subject has no member foo'],
    ['subject.^scope == "x"', 'subject has no member scope → scopes'],
    ['has(actor.^subb)', 'actor has no member subb → sub'],
    ['request.^audience == "x"', 'request has no member audience → audiences'],
    [
      '^subject == 1',
      'subject is no value; its members are issuer, iss, sub, scopes, audiences, chain, actors, claims',
    ],
    ['^actor == actor', 'actor is no value; its members are issuer, iss, sub'],
    ['^subject["sub"] == "x"', 'a member of subject is written subject.issuer'],
    ['^subject["claims"]["x"] == "x"', 'a member of subject is written subject.issuer'],
    ['^string == string', 'string is not known'],
    ['^google.protobuf.Timestamp == 1', 'google is not known'],
    ['now^.year == 1', 'now has no members; its parts are read as in now.getHours()'],
  ],
  claims: [
    ['size(subject.^claims) > 1', BY_NAME],
    ['subject.^claims == {"a": 1}', BY_NAME],
    ['subject.^claims.exists(k, k == "a")', BY_NAME],
    ['[subject.^claims].exists(c, c.a == 1)', BY_NAME],
    ['(true ? subject.^claims : subject.claims).a == 1', BY_NAME],
    ['dyn(subject.^claims).a == 1', BY_NAME],
    ['has(subject.^claims)', BY_NAME],
    ['subject.claims[^subject.sub] == 1', WRITTEN_OUT],
    ['subject.claims[^"a" + "b"] == 1', WRITTEN_OUT],
    ['subject.claims[^1] == 1', WRITTEN_OUT],
    ['["a"].all(n, subject.claims[^n] == 1)', WRITTEN_OUT],
    ['^subject.sub in subject.claims', 'a claim is tested by a name that is written out'],
    ['["a"].all(n, ^n in subject.claims)', 'a claim is tested by a name that is written out'],
    ['"a" in (subject.^claims)', 'taken'],
    ['subject.claims.^ctx.role == "x"', 'no authority is read from the claim ctx'],
    ['subject.claims[^"ctx"].role == "x"', 'no authority is read from the claim ctx'],
    ['has(subject.claims.^ctx)', 'no authority is read from the claim ctx'],
    ['has(subject.claims.^ctx.role)', 'no authority is read from the claim ctx'],
    ['^"ctx" in subject.claims', 'no authority is read from the claim ctx'],
    ['subject.claims.^embedded.payment == "x"', 'no authority is read from the claim embedded'],
    ['^"embedded" in subject.claims', 'no authority is read from the claim embedded'],
  ],
  variables: [
    ['subject.scopes.exists(^subject, true)', 'the name subject is taken'],
    ['subject.scopes.exists(^now, true)', 'the name now is taken'],
    ['subject.scopes.map(^request, "a") == ["a"]', 'the name request is taken'],
    ['["a"].all(s, ["b"].all(^s, s == "b"))', 'the name s is taken'],
    ['["a"].all(^"s", true)', 'all(var, predicate) invalid predicate iteration variable'],
    ['["a"].all(s.^t, true)', 'all(var, predicate) invalid predicate iteration variable'],
    ['["a"].all(s, true) && ^s == "a"', 's is not known'],
  ],
  has: [
    ['^has(subject.sub, subject.iss)', HAS],
    ['^has()', HAS],
    ['^has(subject.claims["a"])', HAS],
    ['^has(now)', HAS],
    ['has(^subject.sub.length)', HAS],
    ['has(^now.year)', HAS],
    ['has(^dyn(1).x)', HAS],
    ['has(^subject.claims["a"].b)', HAS],
    ['has(^subject.claims.a[0].b)', HAS],
  ],
  functions: [
    ['subject.sub^.matches("a+")', NO_REGEX],
    ['subject.claims.a^.matches("a+")', NO_REGEX],
    ['^matches(subject.sub, "a+")', NO_REGEX],
    ...['split(",")', 'join()', 'substring(1)', 'indexOf("a")', 'lastIndexOf("a")', 'trim()'].map(
      (call) =>
        [
          `subject.claims.a^.${call} == "x"`,
          `the function ${call.replace(/\(.*/, '')} is not available`,
        ] as const,
    ),
    ['subject.sub^.startWith("a")', 'the function startWith is not available → startsWith'],
    ['subject.sub^.toString() == "a"', 'the function toString is not available'],
    ['subject.scopes^.exist(x, true)', 'the function exist is not available → exists'],
    ['^bool("true")', 'the function bool is not available'],
    ['^bytes("a") == bytes("a")', 'the function bytes is not available'],
    ['^uint(1) == uint(1)', 'the function uint is not available → int'],
    ['^type(1) == type(2)', 'the function type is not available'],
    ['^sizes("a") == 1', 'the function sizes is not available → size'],
    ['^own_int("1") == 1', 'the function own_int is not available'],
    [
      'subject.sub^.own_lowerAscii() == "a"',
      'the function own_lowerAscii is not available → lowerAscii',
    ],
    ['cel^.bind(x, 1, x == 1)', 'the function bind is not available'],
    ['now^.getHours("Europe/Zurich") < 8', 'getHours() takes no time zone: it is UTC'],
    ['now^.getDayOfYear() < 8', 'the function getDayOfYear is not available → getDayOfWeek'],
    [
      'subject.scopes^.all(x)',
      'all() takes a variable and what is said of it, as in all(x, x != "")',
    ],
    [
      'subject.scopes^.exists(x, true, true)',
      'exists() takes a variable and what is said of it, as in exists(x, x != "")',
    ],
    ['now < timestamp(^"soon")', 'no timestamp; one is written "2026-01-31T08:00:00Z"'],
    [
      'now - now < duration(^"1 hour")',
      'no duration; one is written "1h30m"; units are h, m, s and ms',
    ],
  ],
  forms: [
    ['^b"abc" == b"abc"', 'bytes and unsigned integers are not available'],
    ['^1u == 1u', 'bytes and unsigned integers are not available'],
    ['^9223372036854775808 > 1', 'an integer has at most 64 bits'],
    ['{^1: "a"} == {1: "a"}', 'a member of a map has a name that is written out, such as "name"'],
    [
      '{^subject.sub: 1} == {"a": 1}',
      'a member of a map has a name that is written out, such as "name"',
    ],
    [
      '{^"constructor": 1} == {"a": 1}',
      'a member of a map has a name that is written out, such as "name"',
    ],
    ['{"a": 1, ^"a": 2} == {"a": 1}', 'the member a is repeated'],
    ['subject.claims.^?a == 1', 'Expected IDENTIFIER, got QUESTION'],
    ['^', 'an expression is missing'],
    ['true &&^', 'Unexpected token: EOF'],
    ['(true^', 'Expected RPAREN, got EOF'],
    ['true^;', 'Unexpected character: ;'],
    ['^"abc', 'Unterminated string'],
    ['true ^true', "Unexpected character: 'e'"],
  ],
}

describe('what is refused', () => {
  for (const [group, cases] of Object.entries(REFUSED)) {
    for (const [marked, message] of cases) {
      it(`${group}: ${marked}`, () => {
        const source = marked.replace('^', '')
        const expected = message === 'taken' ? message : `${marked.indexOf('^')} ${message}`
        assert.equal(faultOf(source), expected)
      })
    }
  }

  it('tells offsets into the source with the white space before it', () => {
    assert.equal(faultOf('\n  subject.foo'), '11 subject has no member foo')
  })
})

describe('what is taken', () => {
  it('has no function that this list does not have', () => {
    assert.deepEqual([...FUNCTIONS, ...METHODS].sort(), [
      'contains',
      'double',
      'duration',
      'dyn',
      'endsWith',
      'getDate',
      'getDayOfMonth',
      'getDayOfWeek',
      'getFullYear',
      'getHours',
      'getMilliseconds',
      'getMinutes',
      'getMonth',
      'getSeconds',
      'has',
      'int',
      'lowerAscii',
      'size',
      'size',
      'startsWith',
      'string',
      'timestamp',
      'upperAscii',
    ])
  })

  for (const source of [
    'subject.claims.a.b.c == 1 || subject.claims["a"].b[0] == 1',
    'has(subject.claims.a) && has(subject.claims.a.b.c)',
    'subject.claims.a.exists(x, has(x.b) && has(x.b.c) && x.b.c == 1)',
    '"a" in subject.claims.a && subject.sub in subject.claims["a"]',
    '-1 < 0 && !false // a comment',
    '"^a+$" == "^a+$" && \'a\' == """a"""',
    'subject.issuer == "self" ? true : false',
  ]) {
    it(source, () => assert.equal(faultOf(source), 'taken'))
  }
})

describe('hostile sources', () => {
  const VALID = [
    'has(subject.claims.risk) && subject.claims.risk == "high"',
    'subject.scopes.exists(s, s in ["a", "b"]) ? now < timestamp("2026-01-31T08:00:00Z") : true',
    '{"a": dyn(1.5e3), "b": dyn([-1])} == subject.claims["x.y"] || "a" in subject.claims',
  ]
  const piece = fc.oneof(
    fc.constantFrom(...'()[]{}.,:?!-+*/%<>=&|"\'\\`rbuxX0189_ \n\t\u0000\u2028\ud800é'),
    fc.constantFrom(
      'subject',
      '.claims',
      'has(',
      '.all(x,',
      ' in ',
      '&&',
      '||',
      'true',
      '"""',
      '0x',
      '//',
    ),
    fc.string({ maxLength: 3, unit: 'binary' }),
  )
  const random = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
  const mutated = fc
    .tuple(fc.constantFrom(...VALID), fc.nat(100), fc.nat(8), random)
    .map(([source, at, cut, insert]) => source.slice(0, at) + insert + source.slice(at + cut))

  const isAnswered = (source: string) => {
    for (const kind of ['condition', 'value'] as const) {
      const result = compileExpression(source, kind)
      if (result.ok) continue
      assert.ok(Number.isInteger(result.offset), `${result.offset}`)
      assert.ok(result.offset >= 0 && result.offset <= source.length, `${result.offset}`)
      assert.match(result.message, /^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u)
    }
  }

  it('are compiled, or refused with a place and one line', () => {
    fc.assert(fc.property(fc.oneof(random, mutated), isAnswered), { numRuns: 3_000 })
  })

  for (const [name, part] of Object.entries({
    parentheses: '(',
    brackets: '[',
    braces: '{"a":',
    negations: '!',
    minuses: '-',
    members: 'a.',
    indexes: 'subject.claims.a[',
    calls: 'size(',
    loops: '["a"].all(x,',
    choices: 'true?',
    ands: 'true&&',
    strings: '"\\',
    comments: '//',
  })) {
    it(`end soon: ${name}`, () => {
      for (const length of [10, 100, 1_023, 1_024, 1_025, 100_000]) {
        isAnswered(part.repeat(length).slice(0, length))
        isAnswered(`${part.repeat(length).slice(0, length)}true`)
      }
    })
  }
})
