import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  isTrustDomain,
  parseSpiffeId,
  serviceAccountId,
  trustDomainOf,
} from '../../src/clients/spiffe-id.ts'

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const TRUST_DOMAIN_CHARACTERS = `${LOWER}0123456789._-`
const SEGMENT_CHARACTERS = `${TRUST_DOMAIN_CHARACTERS}${LOWER.toUpperCase()}`
const ALL_CHARACTERS = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))

test('SP-01: exactly the specified characters may stand in a trust domain', () => {
  const accepted = (make: (character: string) => string) =>
    ALL_CHARACTERS.filter((character) => parseSpiffeId(make(character)) !== undefined).join('')
  const expected = [...TRUST_DOMAIN_CHARACTERS].sort().join('')
  assert.equal(
    accepted((c) => `spiffe://a${c}b/x`),
    `${expected.replace('.', './')}`,
  )
  assert.equal(
    accepted((c) => `spiffe://${c}/x`),
    expected,
  )
  assert.equal(ALL_CHARACTERS.filter((c) => isTrustDomain(`a${c}b`)).join(''), expected)
})

test('SP-01: exactly the specified characters may stand in a path segment', () => {
  const accepted = (make: (character: string) => string) =>
    ALL_CHARACTERS.filter((character) => parseSpiffeId(make(character)) !== undefined).join('')
  const inside = [...`${SEGMENT_CHARACTERS}/`].sort().join('')
  assert.equal(
    accepted((c) => `spiffe://td/a${c}b`),
    inside,
  )
  // A single dot is no segment, and a slash leaves one empty.
  const alone = [...SEGMENT_CHARACTERS.replace('.', '')].sort().join('')
  assert.equal(
    accepted((c) => `spiffe://td/${c}`),
    alone,
  )
  assert.equal(
    accepted((c) => `spiffe://td/a/${c}`),
    alone,
  )
})

const REFUSED = {
  'empty text': '',
  'no scheme': 'td/x',
  'scheme in capitals': 'SPIFFE://td/x',
  'another scheme': 'https://td/x',
  'scheme without authority': 'spiffe:td/x',
  'one slash': 'spiffe:/td/x',
  'no trust domain': 'spiffe:///x',
  'trust domain in capitals': 'spiffe://Td/x',
  'trust domain alone: names no workload': 'spiffe://td',
  'trailing slash after the trust domain': 'spiffe://td/',
  'trailing slash': 'spiffe://td/x/',
  'empty segment': 'spiffe://td//x',
  'empty segment inside': 'spiffe://td/x//y',
  'dot segment': 'spiffe://td/./x',
  'dot segment at the end': 'spiffe://td/x/.',
  'two dots': 'spiffe://td/../x',
  'two dots at the end': 'spiffe://td/x/..',
  'percent encoding': 'spiffe://td/%61',
  'percent-encoded slash': 'spiffe://td/a%2fb',
  'percent encoding in the trust domain': 'spiffe://%74d/x',
  query: 'spiffe://td/x?y=z',
  'empty query': 'spiffe://td/x?',
  fragment: 'spiffe://td/x#y',
  port: 'spiffe://td:443/x',
  'user info': 'spiffe://user@td/x',
  'leading space': ' spiffe://td/x',
  'trailing space': 'spiffe://td/x ',
  'trailing line feed': 'spiffe://td/x\n',
  'NUL byte': 'spiffe://td/x\0',
  'look-alike letter': 'spiffe://tԁ/x',
  'two bytes of UTF-8': 'spiffe://td/é',
  'a comma, as in a forged XFCC element': 'spiffe://td/x,By=spiffe',
  'a star': 'spiffe://td/ns/*/sa/x',
}

for (const [name, text] of Object.entries(REFUSED)) {
  test(`SP-01 refused: ${name}`, () => {
    assert.equal(parseSpiffeId(text), undefined)
  })
}

const ACCEPTED = [
  'spiffe://cluster.local/ns/default/sa/cart',
  'spiffe://td/x',
  'spiffe://1.2.3.4/x',
  'spiffe://a_b-c.d/X/y-Z_0.9',
  'spiffe://td/...',
  'spiffe://td/.x',
  'spiffe://td/x..',
  'spiffe://td/..x/y',
]

for (const text of ACCEPTED) {
  test(`SP-01 accepted: ${text}`, () => {
    assert.equal(parseSpiffeId(text), text)
  })
}

test('SP-01: 2048 bytes are the longest ID, 255 the longest trust domain', () => {
  const withLength = (length: number) => `spiffe://td/${'x'.repeat(length - 'spiffe://td/'.length)}`
  assert.ok(parseSpiffeId(withLength(2048)))
  assert.equal(parseSpiffeId(withLength(2049)), undefined)
  assert.ok(parseSpiffeId(`spiffe://${'t'.repeat(255)}/x`))
  assert.equal(parseSpiffeId(`spiffe://${'t'.repeat(256)}/x`), undefined)
  assert.equal(isTrustDomain('t'.repeat(255)), true)
  assert.equal(isTrustDomain('t'.repeat(256)), false)
  assert.equal(isTrustDomain(''), false)
})

const segment = fc
  .string({ unit: fc.constantFrom(...SEGMENT_CHARACTERS), minLength: 1, maxLength: 20 })
  .filter((text) => text !== '.' && text !== '..')
const trustDomain = fc.string({
  unit: fc.constantFrom(...TRUST_DOMAIN_CHARACTERS),
  minLength: 1,
  maxLength: 50,
})

test('property: parse of format is the identity, and the trust domain comes back', () => {
  fc.assert(
    fc.property(trustDomain, fc.array(segment, { minLength: 1, maxLength: 8 }), (td, path) => {
      const id = parseSpiffeId(`spiffe://${td}/${path.join('/')}`)
      assert.equal(id, `spiffe://${td}/${path.join('/')}`)
      assert.ok(id)
      assert.equal(trustDomainOf(id), td)
    }),
  )
})

test('property: parsing never throws, and accepts nothing but its own text', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'spiffe:/.%a-Z?#@ ') }).map((tail) => `spiffe://${tail}`),
  )
  fc.assert(
    fc.property(text, (candidate) => {
      const id = parseSpiffeId(candidate)
      assert.ok(id === undefined || id === candidate)
    }),
  )
})

test('a service account becomes the ID that Istio gives it', () => {
  assert.equal(
    serviceAccountId('cluster.local', 'shop', 'cart'),
    'spiffe://cluster.local/ns/shop/sa/cart',
  )
})

test('parts of a service account cannot shift the path', () => {
  for (const [namespace, name] of [
    ['shop/sa/admin', 'cart'],
    ['shop', 'cart/x'],
    ['..', 'cart'],
    ['shop', '.'],
    ['', 'cart'],
    ['shop', ''],
  ] as const) {
    assert.equal(serviceAccountId('td', namespace, name), undefined, `${namespace} ${name}`)
  }
  assert.equal(serviceAccountId('td/ns', 'shop', 'cart'), 'spiffe://td/ns/ns/shop/sa/cart')
})
