import assert from 'node:assert/strict'
import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { ALGORITHMS, type Algorithm } from '../../src/jwt/algorithms.ts'
import {
  type KeySetOptions,
  MAX_KEY_SET_BYTES,
  type ParsedKeySet,
  parseKeySet,
} from '../../src/jwt/key-set.ts'
import { jwksOf, makeKey } from '../support/jwt-fixtures.ts'

const ec = makeKey('ES256', 'ec')
const rsa = makeKey('RS256', 'rsa')
const ed = makeKey('EdDSA', 'ed')
const without = (jwk: JsonWebKey, ...names: string[]) =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)))

function parse(
  text: string,
  allowed: readonly Algorithm[] = ALGORITHMS,
  options?: KeySetOptions,
): ParsedKeySet {
  const set = parseKeySet(text, allowed, options)
  if ('unusable' in set) assert.fail(set.unusable)
  return set
}
const names = (set: ParsedKeySet) => set.keys.map((key) => `${key.kid} ${key.algorithm}`)

/** What is said of one key beside a good one. */
function skipOf(jwk: unknown, allowed?: readonly Algorithm[], options?: KeySetOptions): string {
  const good = { ...makeKey('ES384', 'good').jwk, use: options?.use ?? 'sig' }
  const text = JSON.stringify({ keys: [jwk, good] })
  const set = parse(text, allowed === undefined ? undefined : [...allowed, 'ES384'], options)
  assert.deepEqual(names(set).at(-1), 'good ES384')
  assert.equal(set.keys.length, 2 - set.skipped.length)
  return set.skipped[0] ?? 'used'
}

test('BCP-01 each key is bound to its algorithm', () => {
  const set = parse(jwksOf([ec, rsa, ed]))
  assert.deepEqual(names(set), ['ec ES256', 'rsa RS256', 'ed EdDSA'])
  assert.deepEqual(set.skipped, [])
})

test('BCP-01 a key without alg serves what its kind allows, one entry per algorithm', () => {
  const keys = [ec, rsa, ed, makeKey('ES512', 'p521')].map((key) => without(key.jwk, 'alg'))
  assert.deepEqual(names(parse(jwksOf(keys), ['RS256', 'PS256', 'ES256', 'ES512', 'EdDSA'])), [
    'ec ES256',
    'rsa RS256',
    'rsa PS256',
    'ed EdDSA',
    'p521 ES512',
  ])
})

test('keys without use or kid are used', () => {
  const set = parse(jwksOf([without(ec.jwk, 'use', 'kid')]))
  assert.deepEqual(names(set), ['undefined ES256'])
})

test('RFC 7517 §4.5 two keys of one kid are both kept', () => {
  const twin = { ...makeKey('ES256', 'other').jwk, kid: 'ec' }
  assert.deepEqual(names(parse(jwksOf([ec, twin]))), ['ec ES256', 'ec ES256'])
})

const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
const odd = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicExponent: 17,
}).publicKey.export({
  format: 'jwk',
})
const privateEc = ec.privateKey.export({ format: 'jwk' })

const SKIPPED: readonly [name: string, jwk: unknown, why: string][] = [
  ['a symmetric key', { kty: 'oct', k: 'AAAA', alg: 'HS256' }, 'it shows private members'],
  ['BCP-05 a symmetric key in disguise', { ...ec.jwk, k: 'AAAA' }, 'it shows private members'],
  ['a private key', { ...ec.jwk, d: privateEc.d }, 'it shows private members'],
  ['an unknown kind', { kty: 'AKP', kid: 'x' }, 'unknown kind of key'],
  ['an unknown curve', { ...ec.jwk, crv: 'secp256k1' }, 'unknown curve'],
  ['a curve out of the prototype', { ...ec.jwk, crv: 'constructor' }, 'unknown curve'],
  ['an Edwards curve without use here', { ...ed.jwk, crv: 'Ed448' }, 'unknown curve'],
  ['an encryption key', { ...rsa.jwk, use: 'enc' }, 'not for signatures'],
  ['a bundle key', { ...ec.jwk, use: 'jwt-svid' }, 'not for signatures'],
  ['key_ops without verify', { ...ec.jwk, key_ops: ['sign'] }, 'not for verifying'],
  ['key_ops as text', { ...ec.jwk, key_ops: 'verify' }, 'not for verifying'],
  [
    'BCP-01 an EC key with the alg of another curve',
    { ...ec.jwk, alg: 'ES384' },
    'alg does not fit the key',
  ],
  ['BCP-01 an RSA key with an EC alg', { ...rsa.jwk, alg: 'ES256' }, 'alg does not fit the key'],
  ['BCP-05 an RSA key with an HMAC alg', { ...rsa.jwk, alg: 'HS256' }, 'alg does not fit the key'],
  ['an alg that is no text', { ...rsa.jwk, alg: null }, 'alg does not fit the key'],
  ['RFC 7518 §3.3 a weak RSA key', { ...weak, kid: 'w' }, 'RSA of 1024 bits is too weak'],
  ['an odd exponent', { ...odd, kid: 'o' }, 'RSA exponent is not 3 or 65537'],
  ['an exponent of one', { ...rsa.jwk, e: 'AQ' }, 'RSA exponent is not 3 or 65537'],
  [
    'a modulus beyond the cap',
    { ...rsa.jwk, n: `_${'w'.repeat(1366)}` },
    'RSA of 8200 bits is too large',
  ],
  ['a modulus with padding', { ...rsa.jwk, n: `${rsa.jwk.n}==` }, 'n or e is malformed'],
  ['BCP-04 a point off its curve', { ...ec.jwk, x: 'A'.repeat(43) }, 'not a valid public key'],
  ['BCP-04 a short coordinate', { ...ec.jwk, x: ec.jwk.x?.slice(1) }, 'x or y is malformed'],
  ['BCP-04 a missing coordinate', without(ec.jwk, 'y'), 'x or y is malformed'],
  ['a short Edwards key', { ...ed.jwk, x: 'AAAA' }, 'x is malformed'],
  ['a kid that is a number', { ...ec.jwk, kid: 1 }, 'kid is not a short text'],
  ['a kid beyond the cap', { ...ec.jwk, kid: 'k'.repeat(257) }, 'kid is not a short text'],
  ['no object', 'key', 'not an object'],
  ['null', null, 'not an object'],
]
for (const [name, jwk, why] of SKIPPED) {
  test(`skipped: ${name}`, () => assert.equal(skipOf(jwk), `key 0: ${why}`))
}

test('BCP-01 an algorithm outside the allowed list is skipped', () => {
  assert.equal(skipOf(rsa.jwk, ['PS256']), 'key 0: algorithm not allowed')
  assert.equal(skipOf(rsa.jwk, ['RS256']), 'used')
})

test('key_ops with verify is used', () => {
  assert.equal(skipOf({ ...ec.jwk, key_ops: ['verify'] }), 'used')
})

test('SP-03 a bundle keeps its JWT-SVID keys with a kid, ignoring others', () => {
  const bundle: KeySetOptions = { use: 'jwt-svid' }
  const svid = { ...ec.jwk, use: 'jwt-svid' }
  assert.equal(skipOf(svid, undefined, bundle), 'used')
  assert.equal(skipOf(ec.jwk, undefined, bundle), 'key 0: not for JWT-SVIDs')
  assert.equal(skipOf(without(svid, 'use'), undefined, bundle), 'key 0: not for JWT-SVIDs')
  assert.equal(skipOf({ ...svid, use: 'x509-svid' }, undefined, bundle), 'key 0: not for JWT-SVIDs')
  assert.equal(skipOf(without(svid, 'kid'), undefined, bundle), 'key 0: no kid')
  assert.equal(skipOf({ ...svid, kid: '' }, undefined, bundle), 'key 0: no kid')
})

test('SP-03 an empty bundle is a set and revokes everything; an empty issuer is unusable', () => {
  assert.deepEqual(parse('{"keys":[]}', ALGORITHMS, { use: 'jwt-svid' }).keys, [])
  assert.deepEqual(parseKeySet('{"keys":[]}', ALGORITHMS), { unusable: 'no usable key' })
  assert.deepEqual(parseKeySet(jwksOf([{ kty: 'oct' }]), ALGORITHMS), {
    unusable: 'no usable key (key 0: unknown kind of key)',
  })
})

test('SP-03 the refresh hint is read where it is a positive number', () => {
  const hint = (value: unknown) =>
    parse(jwksOf([ec], { spiffe_refresh_hint: value })).refreshHintSeconds
  assert.equal(hint(60), 60)
  for (const value of [0, -1, 1.5, '60', null]) assert.equal(hint(value), undefined)
})

for (const [name, text, unusable] of [
  ['HTML', '<html></html>', 'the document is refused: not JSON'],
  ['nothing', '', 'the document is refused: not JSON'],
  ['a list', '[]', 'the document is refused: not a JSON object'],
  ['no keys', '{}', 'the document has no list of keys'],
  ['keys as object', '{"keys":{}}', 'the document has no list of keys'],
  ['a repeated member', '{"keys":[],"keys":[]}', 'the document is refused: a member is repeated'],
  [
    '101 keys',
    jwksOf(Array.from({ length: 101 }, () => ec)),
    'the document has more than 100 keys',
  ],
  [
    'bytes beyond the cap',
    `{"keys":[],"x":"${'ä'.repeat(MAX_KEY_SET_BYTES / 2)}"}`,
    `the document has more than ${MAX_KEY_SET_BYTES} bytes`,
  ],
] as const) {
  test(`unusable: ${name}`, () => assert.deepEqual(parseKeySet(text, ALGORITHMS), { unusable }))
}

test('the version changes with the content, the algorithms and the use, and with nothing else', () => {
  const bundle = jwksOf([{ ...ec.jwk, use: 'jwt-svid' }, ec])
  const versions = [
    parse(bundle).version,
    parse(bundle, ['ES256']).version,
    parse(bundle, ALGORITHMS, { use: 'jwt-svid' }).version,
    parse(`${bundle} `).version,
  ]
  assert.equal(new Set(versions).size, versions.length)
  assert.equal(parse(bundle).version, versions[0])
})

test('property: hostile documents never throw', () => {
  const member = fc.constantFrom(
    'kty',
    'crv',
    'n',
    'e',
    'x',
    'y',
    'd',
    'kid',
    'alg',
    'use',
    'key_ops',
  )
  const value = fc.oneof(
    fc.constantFrom('RSA', 'EC', 'OKP', 'oct', 'P-256', 'Ed25519', 'AQAB', 'AA', 'sig', 'ES256'),
    fc.jsonValue(),
    fc.string(),
  )
  const document = fc.array(fc.oneof(fc.dictionary(member, value), fc.jsonValue()))
  fc.assert(fc.property(document, (keys) => void parseKeySet(JSON.stringify({ keys }), ALGORITHMS)))
  fc.assert(fc.property(fc.string(), (text) => void parseKeySet(text, ALGORITHMS)))
})
