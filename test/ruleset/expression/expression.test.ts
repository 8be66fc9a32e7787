// Conditions and computed values: every documented member, types, errors, JSON.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '../../../src/ruleset/expression/expression.ts'
import { expression, factsWith, faultOf, resultOf } from '../../support/expressions.ts'

describe('the environment', () => {
  const full = factsWith({
    claims: { 'a.b': 1, n: 3 },
    subject: { act: { sub: 'outer', act: { sub: 'inner' } }, chain: ['first', 'second'] },
    actor: { issuer: 'agents', iss: 'https://agents.example', sub: 'agent-7' },
    request: { resources: ['https://r.example'], scopes: ['checkout:place'] },
    now: Date.UTC(2026, 0, 2, 3, 4, 5),
  })
  const members: readonly (readonly [string, unknown])[] = [
    ['subject.issuer', 'corporate'],
    ['subject.iss', 'https://login.corp.example'],
    ['subject.sub', 'alice'],
    ['subject.scopes', ['shop:browse', 'shop:buy']],
    ['subject.audiences', ['https://api.shop.example']],
    ['subject.chain', ['first', 'second']],
    ['subject.actors', ['outer', 'inner']],
    ['subject.claims["a.b"]', 1],
    ['subject.claims.n', 3],
    ['actor.issuer', 'agents'],
    ['actor.iss', 'https://agents.example'],
    ['actor.sub', 'agent-7'],
    ['caller.service', 'boutique/frontend'],
    ['caller.namespace', 'boutique'],
    ['caller.id', 'spiffe://cluster.local/ns/boutique/sa/frontend'],
    ['request.audiences', ['checkout']],
    ['request.resources', ['https://r.example']],
    ['request.scopes', ['checkout:place']],
    ['now.getFullYear()', 2026],
  ]
  for (const [source, value] of members) {
    it(source, () => assert.deepEqual(resultOf(source, full), value))
  }

  it('has no scopes to read where none were asked for, and no actors without act', () => {
    assert.equal(resultOf('has(request.scopes)', factsWith()), false)
    assert.equal(resultOf('request.scopes', factsWith()), 'error: request.scopes: is absent')
    assert.deepEqual(resultOf('subject.actors', factsWith()), [])
  })

  it('has no actor without an actor token', () => {
    assert.equal(resultOf('has(actor.sub)', full), true)
    assert.equal(resultOf('has(actor.sub)', factsWith()), false)
    assert.equal(resultOf('actor.sub', factsWith()), 'error: actor.sub: is absent')
  })

  it('evaluates again and again with the facts of each time', () => {
    const found = expression('subject.scopes.exists(s, s == subject.claims.scope)')
    for (const scope of ['shop:buy', 'other', 'shop:browse', 'other']) {
      const result = found.evaluate(factsWith({ claims: { scope } }))
      assert.deepEqual(result, { ok: true, value: scope !== 'other' })
    }
  })
})

describe('absent claims', () => {
  const without = factsWith({ claims: { address: { city: 'Bern' }, nothing: null } })
  for (const source of [
    'subject.claims.risk == "high"',
    'subject.claims.risk != "high"',
    'subject.claims["risk"] in ["low"]',
    '!subject.claims.risk',
    'subject.claims.risk == "high" && true',
    'subject.claims.risk == "high" || false',
    '["a"].exists(x, x == subject.claims.risk)',
  ]) {
    it(`are an error: ${source}`, () => {
      const part = source.includes('["risk"]') ? 'subject.claims["risk"]' : 'subject.claims.risk'
      assert.equal(resultOf(source, without, 'condition'), `error: ${part}: is absent`)
    })
  }

  it('are an error inside a claim', () => {
    const expected = 'error: subject.claims.address.country: is absent'
    assert.equal(resultOf('subject.claims.address.country == "CH"', without), expected)
    assert.equal(resultOf('has(subject.claims.address.country)', without), false)
    assert.equal(resultOf('has(subject.claims.address.city)', without), true)
    const other = 'error: subject.claims.other: is absent'
    assert.equal(resultOf('has(subject.claims.other.city)', without), other)
  })

  it('are tested', () => {
    assert.equal(resultOf('has(subject.claims.risk)', without), false)
    assert.equal(resultOf('"risk" in subject.claims', without), false)
    assert.equal(resultOf('has(subject.claims.nothing)', without), true)
    assert.equal(resultOf('"nothing" in subject.claims', without), true)
    assert.equal(resultOf('subject.claims.nothing == null', without), true)
  })

  it('do not matter where the other side decides', () => {
    assert.equal(resultOf('subject.claims.risk == "high" || true', without), true)
    assert.equal(resultOf('subject.claims.risk == "high" && false', without), false)
  })

  for (const name of ['constructor', 'toString', 'hasOwnProperty', 'size', 'get']) {
    it(`named like ${name} are absent unless the token has them`, () => {
      assert.equal(resultOf(`has(subject.claims.${name})`, without), false)
      assert.equal(resultOf(`"${name}" in subject.claims`, without), false)
      assert.equal(resultOf(`has(subject.claims.address.${name})`, without), false)
      assert.equal(resultOf(`"${name}" in subject.claims.address`, without), false)
      assert.match(String(resultOf(`subject.claims.${name} == 1`, without)), /is absent$/)
      const own = factsWith({ claims: { [name]: 'own', in: { [name]: 'deep', other: 1 } } })
      assert.equal(resultOf(`subject.claims.${name}`, own), 'own')
      assert.equal(resultOf(`subject.claims["in"].${name}`, own), 'deep')
      assert.equal(resultOf('subject.claims["in"].other', own), 1)
    })
  }
})

it('claims that an object inherits are absent', () => {
  const facts = factsWith({ subject: { claims: Object.create({ risk: 'low' }) } })
  assert.equal(resultOf('"risk" in subject.claims', facts), false)
})

describe('results of a condition', () => {
  const facts = factsWith({ claims: { yes: true, text: 'true', list: [true] } })

  it('are true or false', () => {
    assert.equal(resultOf('subject.claims.yes', facts, 'condition'), true)
    assert.equal(resultOf('!subject.claims.yes', facts, 'condition'), false)
  })

  for (const source of ['subject.claims.text', 'subject.claims.list', 'dyn(1)']) {
    it(`are nothing else: ${source}`, () => {
      const expected = 'error: the result is neither true nor false'
      assert.equal(resultOf(source, facts, 'condition'), expected)
    })
  }

  for (const [source, type] of [
    ['subject.sub', 'string'],
    ['size(subject.sub)', 'int'],
    ['subject.scopes', 'list<string>'],
    ['now', 'Timestamp'],
    ['now - now', 'Duration'],
    ['null', 'null'],
  ]) {
    it(`are typed when rules are loaded: ${source}`, () => {
      assert.equal(faultOf(String(source)), `0 must be true or false, but is a ${type}`)
    })
  }
})

describe('type errors', () => {
  const facts = factsWith({
    claims: { secret: 'eyJhbGciOi', n: 3, zero: 0, list: ['a'], map: { a: 1 } },
  })
  for (const [source, fault] of [
    ['subject.sub == 3', '0 no such overload: string == int'],
    ['  subject.sub == 3', '2 no such overload: string == int'],
    ['true && subject.sub', "0 Logical operator requires bool operands, got 'string'"],
    ['"a" in subject.sub', '0 no such overload: string in string'],
    ['subject.sub.startsWith(1)', "0 found no matching overload for 'string.startsWith(int)'"],
    ['int(now) == 1', "0 found no matching overload for 'int(Timestamp)'"],
    [
      'subject.sub.exists(s, true)',
      "8 Expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic).",
    ],
    [
      '["a", 1] == subject.scopes',
      "6 List elements must have the same type, expected type 'string' but found 'int'",
    ],
  ]) {
    it(`are found when rules are loaded: ${source}`, () => {
      assert.equal(faultOf(String(source)), fault)
    })
  }

  for (const [source, message] of [
    ['subject.claims.secret < 3', 'subject.claims.secret < 3: no such overload: string < int'],
    [
      'subject.claims.secret && true',
      "subject.claims.secret: Logical operator requires bool operands, got 'string'",
    ],
    [
      '"a" in subject.claims.secret',
      '"a" in subject.claims.secret: no such overload: string in string',
    ],
    ['int(subject.claims.secret) == 1', 'int(subject.claims.secret): cannot be converted'],
    [
      'timestamp(subject.claims.secret) < now',
      'timestamp(subject.claims.secret): cannot be converted',
    ],
    [
      'duration(subject.claims.secret) < now - now',
      'duration(subject.claims.secret): cannot be converted',
    ],
    [
      'subject.claims.map[subject.claims.secret] == 1',
      'subject.claims.map[subject.claims.secret]: is absent',
    ],
    [
      'subject.claims.list[int(subject.claims.n)] == "a"',
      'subject.claims.list[int(subject.claims.n)]: is absent',
    ],
    ['subject.claims.n.exists(x, true)', 'subject.claims.n: is no list or map'],
    [
      'subject.claims.secret ? true : false',
      "subject.claims.secret: Ternary condition must be bool, got 'string'",
    ],
    [
      '9223372036854775807 + int(subject.claims.n) == 1',
      '9223372036854775807 + int(subject.claims.n): is out of range',
    ],
    ['1 % int(subject.claims.zero) == 1', '1 % int(subject.claims.zero): divides by zero'],
  ]) {
    it(`are told without the claim's value: ${source}`, () => {
      assert.equal(resultOf(String(source), facts, 'condition'), `error: ${message}`)
    })
  }

  it('compare as unequal, whatever the types', () => {
    for (const other of ['"3"', 'true', 'null', '["a"]', '{"a": 1}']) {
      assert.equal(resultOf(`subject.claims.n == ${other}`, facts), false)
      assert.equal(resultOf(`subject.claims.n != ${other}`, facts), true)
    }
  })

  it('do not come of numbers of claims and integers', () => {
    for (const holds of ['== 3', '>= 3', '< 4', '> 2.5', '!= 4', 'in [1, 3]']) {
      assert.equal(resultOf(`subject.claims.n ${holds}`, facts), true, holds)
    }
  })
})

describe('functions', () => {
  const claims = { name: '\u212aATE é', n: 3, f: 1.9, big: 1e300, empty: '', list: ['b', 'a'] }
  const facts = factsWith({ claims, now: Date.UTC(2026, 0, 4, 23, 59, 58, 7) })
  for (const [source, value] of [
    ['size(subject.claims.name)', 6],
    ['subject.claims.list.size()', 2],
    ['size({"a": 1})', 1],
    // The Kelvin sign is no K.
    ['subject.claims.name.lowerAscii()', '\u212aate é'],
    ['"straße k".upperAscii()', 'STRAßE K'],
    ['"abc".contains("b") && "abc".startsWith("a") && "abc".endsWith("c")', true],
    ['string(3) + string(true) + string(1.5)', '3true1.5'],
    ['int(subject.claims.f)', 1],
    ['int("-12")', -12],
    ['double(subject.claims.n) / 2.0', 1.5],
    ['double("1.5e1")', 15],
    ['int(subject.claims.empty)', 'error: int(subject.claims.empty): cannot be converted'],
    ['int("0x10")', 'error: int("0x10"): cannot be converted'],
    ['int(subject.claims.big)', 'error: int(subject.claims.big): cannot be converted'],
    ['double("")', 'error: double(""): cannot be converted'],
    ['double("0x10")', 'error: double("0x10"): cannot be converted'],
    ['subject.claims.list.filter(x, x != "a")', ['b']],
    ['subject.claims.list.map(x, x + "!")', ['b!', 'a!']],
    ['subject.claims.list.map(x, x == "a", x + "!")', ['a!']],
    ['subject.claims.list.exists_one(x, x == "a")', true],
    ['subject.claims.list.all(x, x in ["a", "b"])', true],
    ['subject.claims.list == ["b", "a"]', true],
    ['subject.claims.list + ["c"]', ['b', 'a', 'c']],
    ['{"b": 1, "a": 2}.exists(k, k == "a")', true],
    ['now.getDayOfWeek()', 0],
    ['now.getMonth()', 0],
    ['now.getDate()', 4],
    ['now.getDayOfMonth()', 3],
    ['now.getHours() * 10000 + now.getMinutes() * 100 + now.getSeconds()', 235958],
    ['now.getMilliseconds()', 7],
    ['now < timestamp("2026-01-05T00:00:00Z")', true],
    ['timestamp("2026-01-05T01:00:00+01:00") == timestamp("2026-01-05T00:00:00Z")', true],
    ['timestamp(1767571198) <= now', true],
    ['timestamp(99999999999999) < now', 'error: timestamp(99999999999999): cannot be converted'],
    ['now - timestamp("2026-01-04T22:00:00Z") > duration("1h59m58s")', true],
    ['now - timestamp("2026-01-04T22:00:00Z") == duration("1h59m58s7ms")', true],
    ['now + duration("1.5s") > timestamp("2026-01-04T23:59:59Z")', true],
    ['(now + duration("-2h")).getHours()', 21],
    ['duration("90m").getHours()', 1],
    ['dyn(1) == dyn("1")', false],
  ] as const) {
    it(source, () => assert.deepEqual(resultOf(source, facts), value))
  }

  for (const text of [
    '2026-01-05',
    '2026-02-30T00:00:00Z',
    '2026-01-05T00:00:00',
    '5 January 2026 00:00',
    '',
  ]) {
    it(`a timestamp is not ${JSON.stringify(text)}`, () => {
      const source = `now < timestamp(${JSON.stringify(text)})`
      assert.equal(faultOf(source), '16 no timestamp; one is written "2026-01-31T08:00:00Z"')
      const given = factsWith({ claims: { text } })
      const expected = 'error: timestamp(subject.claims.text): cannot be converted'
      assert.equal(resultOf('timestamp(subject.claims.text) == now', given), expected)
    })
  }

  for (const text of ['1', '1x', '1d', 'h', '', '1h 1m', '--1h', '1us', `${'1s'.repeat(40)}`]) {
    it(`a duration is not ${JSON.stringify(text)}`, () => {
      const source = `now - now < duration(${JSON.stringify(text)})`
      assert.match(faultOf(source), /^21 no duration; one is written "1h30m"/)
    })
  }
})

describe('computed values', () => {
  const deep = { a: { a: { a: { a: 1 } } } }
  const facts = factsWith({
    claims: { deep, deeper: { a: deep }, text: 'x'.repeat(600), no: null },
  })
  for (const [source, value] of [
    ['true', true],
    ['"a"', 'a'],
    ['2', 2],
    ['-1.5', -1.5],
    ['[1, 2]', [1, 2]],
    ['{"a": dyn("b"), "c": dyn([1])}', { a: 'b', c: [1] }],
    ['subject.claims.deep', deep],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', 'error: the result is a number that JSON cannot hold'],
    ['1.0 / 0.0', 'error: the result is a number that JSON cannot hold'],
    ['dyn(now)', 'error: the result is no text, number, boolean, list or map'],
    ['[now]', 'error: the result is no text, number, boolean, list or map'],
    ['subject.claims.no', 'error: the result is no text, number, boolean, list or map'],
    ['subject.claims.deeper', 'error: the result is nested more than 4 levels deep'],
    ['subject.claims.text + "y"', `${'x'.repeat(600)}y`],
    [
      'subject.claims.text + subject.claims.text',
      'error: the result has more than 1024 characters',
    ],
    [
      '[subject.claims.text, subject.claims.text]',
      'error: the result has more than 1024 characters',
    ],
  ] as const) {
    it(source, () => assert.deepEqual(resultOf(source, facts), value))
  }

  for (const [source, type] of [
    ['now', 'Timestamp'],
    ['duration("1s")', 'Duration'],
    ['null', 'null'],
  ]) {
    it(`cannot be ${type}`, () => {
      assert.equal(faultOf(String(source), 'value'), `0 a claim cannot hold a ${type}`)
    })
  }

  it('are as long as their JSON', () => {
    const json = fc.jsonValue({ maxDepth: 3 }).filter((value) => !hasNull(value))
    fc.assert(
      fc.property(json, fc.integer({ min: -2, max: 2 }), (part, difference) => {
        // A text beside it brings the whole to the limit, or over it.
        const rest = 1_024 + difference - JSON.stringify({ part, text: '' }).length
        fc.pre(rest >= 0 && !JSON.stringify(part).includes('__proto__'))
        const claims = { value: { part, text: 'x'.repeat(rest) } }
        const result = resultOf('subject.claims.value', factsWith({ claims }))
        if (difference <= 0) assert.deepEqual(result, JSON.parse(JSON.stringify(claims.value)))
        else assert.equal(result, 'error: the result has more than 1024 characters')
      }),
    )
  })

  it('cannot be too long in many small parts', () => {
    const many = factsWith({ claims: { list: Array.from({ length: 256 - 1 }, () => 12345) } })
    const source = 'subject.claims.list.map(x, [x])'
    assert.equal(resultOf(source, many), 'error: the result has more than 1024 characters')
  })
})

describe('claims beyond limits', () => {
  const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
  const many = (values: number) => Array.from({ length: values - 1 }, () => 1)

  it('are an error when they are too deep', () => {
    assert.equal(resultOf('has(subject.claims.a)', factsWith({ claims: { a: nested(6) } })), true)
    const expected = 'error: the claim a is nested more than 6 levels deep'
    assert.equal(
      resultOf('has(subject.claims.a)', factsWith({ claims: { a: nested(7) } })),
      expected,
    )
  })

  it('are an error when they have too many values', () => {
    for (const [source, max] of [
      ['1 in subject.claims.a', 6144],
      ['subject.claims.a.exists(x, x == 1)', 256],
    ] as const) {
      assert.equal(resultOf(source, factsWith({ claims: { a: many(max) } })), true)
      const expected = 'error: the claim a has too many values to be read here'
      assert.equal(resultOf(source, factsWith({ claims: { a: many(max + 1) } })), expected)
    }
  })

  it('do not matter to an expression that does not read them', () => {
    const facts = factsWith({ claims: { a: nested(20), b: 1 } })
    assert.equal(resultOf('subject.claims.b == 1', facts), true)
  })
})

describe('promises', () => {
  const json = fc.dictionary(
    fc.oneof(fc.constantFrom('a', 'b', 'constructor', 'size'), fc.string()),
    fc.jsonValue({ maxDepth: 4 }),
    { maxKeys: 4 },
  )
  const SOURCES = [
    'subject.claims.a == subject.claims.b',
    'subject.claims.a < subject.claims.b',
    'subject.claims.a in subject.claims.b',
    'subject.claims.a + subject.claims.b == subject.claims.a',
    'subject.claims.a[subject.claims.b] == 1',
    'subject.claims.a.exists(x, x == subject.claims.b || x.a > 1)',
    'subject.claims.a.all(x, x.startsWith(subject.claims.b))',
    'subject.claims.a.filter(x, x).map(x, [x, x]) == subject.claims.b',
    'has(subject.claims.a.b.c) ? subject.claims.a.size() > 1 : -subject.claims.b < 0',
    'subject.claims.constructor.size == subject.claims.size.constructor',
    'timestamp(subject.claims.a) < now && duration(subject.claims.b) < now - now',
    'int(subject.claims.a) % int(subject.claims.b) == 0',
    'string(subject.claims.a).lowerAscii().contains(string(subject.claims.b))',
    'subject.claims.a ? subject.claims.b : !subject.claims.a',
    '{"a": subject.claims.a} == {"a": subject.claims.b}',
  ].map((source) => [expression(source), expression(source, 'value')] as const)

  it('evaluation never throws, whatever the token claims', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(...SOURCES), (claims, [condition, value]) => {
        fc.pre(!JSON.stringify(claims).includes('__proto__'))
        const facts = factsWith({ claims })
        const result = condition.evaluate(facts)
        assert.ok(!result.ok || typeof result.value === 'boolean')
        const json = value.evaluate(facts)
        if (json.ok) assert.deepEqual(JSON.parse(JSON.stringify(json.value)), json.value)
      }),
      { numRuns: 600 },
    )
  })

  it('P7: no message holds the value of a claim', () => {
    const secret = 'eyJzZWNyZXQi'
    const value = fc.constantFrom<unknown>(
      secret,
      [secret],
      { a: secret, [secret]: 1 },
      { constructor: secret },
    )
    fc.assert(
      fc.property(value, value, fc.constantFrom(...SOURCES), (a, b, [condition, computed]) => {
        for (const { evaluate } of [condition, computed]) {
          const result = evaluate(factsWith({ claims: { a, b } }))
          assert.ok(result.ok || !result.message.includes(secret), JSON.stringify(result))
        }
      }),
    )
  })

  it('messages show a part of several lines as one', () => {
    const facts = factsWith({ claims: { a: {} } })
    const message = 'error: subject .claims.a .b: is absent'
    assert.equal(resultOf('subject\n .claims.a\n .b == 1', facts), message)
  })

  it('messages are one short line', () => {
    const source = `subject.claims.a\n  ==\n "${'x'.repeat(300)}" && subject.claims\n.b.startsWith("\\u0007")`
    const result = expression(source).evaluate(factsWith({ claims: { a: 'x'.repeat(300), b: 1 } }))
    assert.ok(!result.ok)
    assert.match(result.message, /^[\x20-\x7e]{1,300}$/)
  })

  it('tells the source without the white space around it', () => {
    assert.equal(expression(' \n true\n').source, 'true')
  })

  it('leaves stack traces of others alone', () => {
    const before = Error.stackTraceLimit
    expression('subject.claims.a == 1').evaluate(factsWith())
    assert.equal(Error.stackTraceLimit, before)
    assert.ok(before > 0)
  })

  it('compiled expressions are frozen', () => {
    assert.ok(Object.isFrozen(expression('true')))
    assert.equal(compileExpression('true', 'condition').ok, true)
  })
})

const hasNull = (value: unknown): boolean =>
  value === null || (typeof value === 'object' && Object.values(value).some(hasNull))
