import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_JWT_CHARACTERS, parseCompactJwt } from '../../src/jwt/compact.ts'
import { base64url, makeKey, signJwt, signRaw } from '../support/jwt-fixtures.ts'

const key = makeKey('ES256', 'k1')
const HEADER = '{"alg":"ES256","kid":"k1","typ":"at+jwt"}'
const PAYLOAD = '{"iss":"https://login.corp.example","sub":"alice"}'
const VALID = signRaw(HEADER, PAYLOAD, key)

const outcome = (token: string): string => {
  const result = parseCompactJwt(token)
  return result.ok ? 'ok' : `${result.problem}: ${result.detail}`
}

test('a well-formed token gives its parts', () => {
  const result = parseCompactJwt(VALID)
  assert.ok(result.ok)
  const { value } = result
  assert.deepEqual(value.header, { alg: 'ES256', kid: 'k1', typ: 'at+jwt' })
  assert.equal(value.claims.sub, 'alice')
  assert.equal(`${value.signingInput}.${value.signature.toString('base64url')}`, VALID)
  assert.equal(value.hash, createHash('sha256').update(VALID).digest('hex'))
})

test('JWS-01 header members that are not understood and not critical are ignored', () => {
  assert.equal(outcome(signJwt(key, {}, { x5t: 'abc', cty: 'x', foo: 1 })), 'ok')
})

const header = (members: string): string => signRaw(`{${members}}`, PAYLOAD, key)
const parts = VALID.split('.') as [string, string, string]

const GRAMMAR: readonly [name: string, token: string, outcome: string][] = [
  ['BCP-13 two parts', `${parts[0]}.${parts[1]}`, 'malformed: not a compact JWS'],
  ['BCP-03 five parts, a JWE', 'e30.e30.e30.e30.e30', 'malformed: not a compact JWS'],
  ['BCP-13 padding', `${parts[0]}=.${parts[1]}.${parts[2]}`, 'malformed: not a compact JWS'],
  ['BCP-13 white space before', ` ${VALID}`, 'malformed: not a compact JWS'],
  ['BCP-13 a line feed behind', `${VALID}\n`, 'malformed: not a compact JWS'],
  ['BCP-13 the other alphabet', `${parts[0]}.${parts[1]}.a+/b`, 'malformed: not a compact JWS'],
  ['BCP-13 the JSON serialisation', '{"payload":"e30"}', 'malformed: not a compact JWS'],
  ['an empty header', `.${parts[1]}.${parts[2]}`, 'malformed: not a compact JWS'],
  ['an empty payload', `${parts[0]}..${parts[2]}`, 'malformed: not a compact JWS'],
  ['nothing', '', 'malformed: not a compact JWS'],
  [
    'a length that no bytes have',
    `${parts[0]}.${parts[1]}.aaaaa`,
    'malformed: signature: not base64url',
  ],
  ['unused bits set, 2 of 4', `${parts[0]}.${parts[1]}.aB`, 'malformed: signature: not base64url'],
  ['unused bits set, 3 of 4', `${parts[0]}.${parts[1]}.aaB`, 'malformed: signature: not base64url'],
  ['unused bits set in the payload', `${parts[0]}.e31.aa`, 'malformed: payload: not base64url'],
  [
    'BCP-06 a header in Latin-1',
    `${Buffer.from('{"alg":"\xe9"}', 'latin1').toString('base64url')}.e30.`,
    'malformed: header: not UTF-8',
  ],
  [
    'BCP-06 an overlong form',
    signRaw(HEADER, Buffer.from([0x7b, 0xc0, 0xaf, 0x7d]), key),
    'malformed: payload: not UTF-8',
  ],
  [
    'BCP-06 an encoded surrogate',
    signRaw(HEADER, Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), key),
    'malformed: payload: not UTF-8',
  ],
  [
    'JWS-02 a repeated header member',
    header('"alg":"none","alg":"ES256"'),
    'malformed: header: a member is repeated',
  ],
  [
    'JWS-02 a repeated claim',
    signRaw(HEADER, '{"sub":"a","sub":"b"}', key),
    'malformed: payload: a member is repeated',
  ],
  [
    'JWS-02 a repeated claim inside',
    signRaw(HEADER, '{"act":{"sub":"a","sub":"b"}}', key),
    'malformed: payload: a member is repeated',
  ],
  ['a payload that is a list', signRaw(HEADER, '[]', key), 'malformed: payload: not a JSON object'],
  ['BCP-03 a payload that is a token', signRaw(HEADER, VALID, key), 'malformed: payload: not JSON'],
  [
    'a payload with a byte order mark',
    signRaw(HEADER, '\ufeff{}', key),
    'malformed: payload: not JSON',
  ],
  [
    'a claim that names the prototype',
    signRaw(HEADER, '{"__proto__":{"sub":"root"}}', key),
    'malformed: payload: a member name is not accepted',
  ],
  [
    'a depth bomb',
    signRaw(HEADER, `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`, key),
    'malformed: payload: nested too deeply',
  ],
]

for (const [name, token, expected] of GRAMMAR) {
  test(`refused: ${name}`, () => assert.equal(outcome(token), expected))
}

for (const ending of ['aQ', 'aaA', 'aaaa']) {
  test(`a canonical ending passes: ${ending}`, () => {
    assert.equal(outcome(`${parts[0]}.${parts[1]}.${ending}`), 'ok')
  })
}

for (const alg of [
  'none',
  'None',
  'NONE',
  'nOnE',
  '',
  'HS256',
  'HS512',
  'es256',
  'RS1',
  'RSA-OAEP',
  'ES256K',
  'constructor',
  '__proto__',
]) {
  test(`BCP-14 BCP-02 alg ${alg || '(empty)'} is not allowed`, () => {
    assert.equal(outcome(header(`"alg":"${alg}"`)), 'algorithm_not_allowed: unknown alg')
  })
}
for (const alg of ['null', '["ES256"]', '1', '{}']) {
  test(`BCP-01 alg ${alg} is not allowed`, () => {
    assert.equal(outcome(header(`"alg":${alg}`)), 'algorithm_not_allowed: unknown alg')
  })
}
test('BCP-01 a header without alg is not allowed', () => {
  assert.equal(outcome(header('"kid":"k1"')), 'algorithm_not_allowed: unknown alg')
})

for (const [name, value] of [
  ['crit', '["exp"]'],
  ['crit', '[]'],
  ['b64', 'false'],
  ['jwk', '{}'],
  ['jku', '"https://evil.example/keys"'],
  ['x5u', '"https://evil.example/cert"'],
  ['x5c', '["MIIB"]'],
] as const) {
  test(`JWS-01 BCP-09 a header with ${name} ${value} is refused`, () => {
    assert.equal(
      outcome(header(`"alg":"ES256","${name}":${value}`)),
      `header_not_accepted: it has ${name}`,
    )
  })
}

for (const [name, value] of [
  ['kid', '1'],
  ['kid', 'null'],
  ['kid', '"a\\u0000b"'],
  ['kid', '"a\\nb"'],
  ['kid', `"${'k'.repeat(257)}"`],
  ['typ', '["JWT"]'],
  ['typ', 'null'],
  ['typ', `"${'t'.repeat(65)}"`],
] as const) {
  test(`BCP-09 ${name} must be a short text: ${value.slice(0, 20)}`, () => {
    assert.equal(
      outcome(header(`"alg":"ES256","${name}":${value}`)),
      `header_not_accepted: ${name} is not a short text`,
    )
  })
}

test('the size cap: one character more is too large', () => {
  const rest = `.${parts[1]}.`
  const fill = (length: number) => 'A'.repeat(length - rest.length)
  assert.match(outcome(fill(MAX_JWT_CHARACTERS + 1) + rest), /^too_large/)
  assert.match(outcome(fill(MAX_JWT_CHARACTERS) + rest), /^malformed: header/)
})

test('RFC 7515 A.1 an HMAC token is not allowed', () => {
  const token =
    'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  assert.equal(outcome(token), 'algorithm_not_allowed: unknown alg')
})

test('RFC 7515 A.5 an unsecured token is not allowed', () => {
  const token =
    'eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.'
  assert.equal(outcome(token), 'algorithm_not_allowed: unknown alg')
})

test('a claim never reaches an inherited member, and cannot be changed', () => {
  const result = parseCompactJwt(VALID)
  assert.ok(result.ok)
  assert.equal(result.value.claims.constructor, undefined)
  assert.ok(Object.isFrozen(result.value.claims))
})

test('property: any bytes, any text, never throw', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .tuple(fc.string(), fc.string(), fc.uint8Array())
      .map(
        ([head, body, signature]) =>
          `${base64url(head)}.${base64url(body)}.${base64url(Buffer.from(signature))}`,
      ),
    fc.tuple(fc.json(), fc.json()).map(([head, body]) => signRaw(head, body, key)),
  )
  fc.assert(fc.property(text, (token) => void parseCompactJwt(token)))
})

test('property: one changed character never gives the same token twice', () => {
  fc.assert(
    fc.property(
      fc.nat(VALID.length - 1),
      fc.string({ minLength: 1, maxLength: 1 }),
      (at, character) => {
        const changed = VALID.slice(0, at) + character + VALID.slice(at + 1)
        const result = parseCompactJwt(changed)
        const original = parseCompactJwt(VALID)
        assert.ok(original.ok)
        if (!result.ok || changed === VALID) return
        assert.notEqual(result.value.hash, original.value.hash)
        const isSame =
          result.value.signingInput === original.value.signingInput &&
          result.value.signature.equals(original.value.signature)
        assert.equal(isSame, false)
      },
    ),
  )
})
