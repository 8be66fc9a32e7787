import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_JSON_DEPTH, parseJsonObject } from '../../src/jwt/strict-json.ts'

const detailOf = (text: string): string => {
  const result = parseJsonObject(text)
  return result.ok ? 'ok' : result.detail
}

const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

const REFUSED: readonly [name: string, text: string, detail: string][] = [
  ['JWS-02 a repeated member', '{"sub":"a","sub":"b"}', 'a member is repeated'],
  ['JWS-02 a repeated member, escaped', '{"sub":"a","\\u0073ub":"b"}', 'a member is repeated'],
  ['JWS-02 a repeated member inside', '{"a":{"b":1,"b":1}}', 'a member is repeated'],
  ['JWS-02 a repeated member in a list', '{"a":[{"b":1,"b":1}]}', 'a member is repeated'],
  ['JWS-02 one repeated, one with a colon', '{":":1,"a":"x:y","a":2}', 'a member is repeated'],
  ['a prototype', '{"__proto__":{"admin":true}}', 'a member name is not accepted'],
  ['a prototype, escaped', '{"\\u005f_proto__":1}', 'a member name is not accepted'],
  ['a prototype inside', '{"a":[{"__proto__":1}]}', 'a member name is not accepted'],
  ['one level too many', nested(MAX_JSON_DEPTH + 1), 'nested too deeply'],
  ['a depth bomb of lists', `{"a":${'['.repeat(8000)}`, 'nested too deeply'],
  ['a lone high surrogate', '{"a":"\\ud800"}', 'a string is not well-formed'],
  ['a lone low surrogate', '{"a":"\\uDC00"}', 'a string is not well-formed'],
  ['a high surrogate before a letter', '{"a":"\\ud800\\u0061"}', 'a string is not well-formed'],
  ['two high surrogates', '{"a":"\\ud800\\ud800"}', 'a string is not well-formed'],
  [
    'the first low surrogate before another',
    '{"a":"\\udc00\\udc00"}',
    'a string is not well-formed',
  ],
  ['the last surrogate', '{"a":"\\udfff"}', 'a string is not well-formed'],
  [
    'a high surrogate before the digits of a low one',
    '{"a":"\\ud800xxdc00"}',
    'a string is not well-formed',
  ],
  [
    'a high surrogate before another escape',
    '{"a":"\\ud800\\ndc00"}',
    'a string is not well-formed',
  ],
  ['a lone surrogate in a name', '{"\\ud83d":1}', 'a string is not well-formed'],
  ['an open string', '{"a', 'a string is not well-formed'],
  ['a list', '[]', 'not a JSON object'],
  ['null', 'null', 'not a JSON object'],
  ['a number', '1', 'not a JSON object'],
  ['nothing', '', 'not JSON'],
  ['a byte order mark', '\ufeff{}', 'not JSON'],
  ['two values', '{}{}', 'not JSON'],
  ['a trailing comma', '{"a":1,}', 'not JSON'],
  ['a comment', '{"a":1}//', 'not JSON'],
  ['a control character in a string', '{"a":"\n"}', 'not JSON'],
]

for (const [name, text, detail] of REFUSED) {
  test(`refused: ${name}`, () => assert.equal(detailOf(text), detail))
}

test('the same name at different places is no repetition', () => {
  assert.equal(detailOf('{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"\\"a\\":1"}'), 'ok')
})

test('a surrogate pair is text', () => {
  assert.equal(detailOf('{"a":"\\ud83d\\ude00 \\\\ud800"}'), 'ok')
})

test('the depth cap itself is reached', () => {
  assert.equal(detailOf(nested(MAX_JSON_DEPTH)), 'ok')
})

test('objects inherit nothing and are frozen at every depth', () => {
  const result = parseJsonObject('{"a":{"b":[{"c":1}]}}')
  assert.ok(result.ok)
  const { a } = result.value as { a: { b: [{ c: number }] } }
  assert.equal('constructor' in result.value, false)
  assert.equal('toString' in a.b[0], false)
  for (const value of [result.value, a, a.b, a.b[0]]) assert.ok(Object.isFrozen(value))
})

test('property: what JSON.stringify writes is read as it was', () => {
  const object = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 5 }))
  fc.assert(
    fc.property(object, (value) => {
      const text = JSON.stringify(value)
      const result = parseJsonObject(text)
      if (text.includes('"__proto__":') || /\\ud[89a-f]/i.test(text)) return
      assert.ok(result.ok, text)
      assert.equal(JSON.stringify(result.value), text)
    }),
  )
})

test('JWS-02 property: repeating any member anywhere is found', () => {
  const name = fc.string({ minLength: 1 }).filter((one) => one !== '__proto__')
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), fc.nat(), (names, at) => {
      const repeated = names[at % names.length] ?? ''
      const members = [...names, repeated].map((one) => `${JSON.stringify(one)}:":"`)
      assert.equal(detailOf(`{"x":[{${members.join(',')}}]}`), 'a member is repeated')
    }),
  )
})

test('property: never throws', () => {
  const noise = fc.array(
    fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', '\\u', 'd800', 'a', '1', ' ', 'null'),
    { maxLength: 60 },
  )
  fc.assert(fc.property(noise, (parts) => void parseJsonObject(parts.join(''))))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseJsonObject(text)))
})
