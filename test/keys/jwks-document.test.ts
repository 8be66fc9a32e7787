import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { importJWK } from 'jose'
import { SIGNING_ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { generateSigningKey } from '../../src/keys/generate-key.ts'
import { jwksDocument, type PublishedKey } from '../../src/keys/jwks-document.ts'

const keys: PublishedKey[] = []
for (const algorithm of SIGNING_ALGORITHMS) {
  const { kid, jwk } = await generateSigningKey(algorithm)
  keys.push({ kid, algorithm, jwk })
}

test('P5: the order of keys and of their members never shows in the bytes', () => {
  const expected = jwksDocument(keys, 300)
  assert.ok(expected)
  const reversed = (jwk: object) => Object.fromEntries(Object.entries(jwk).reverse())
  fc.assert(
    fc.property(
      fc.shuffledSubarray(keys, { minLength: keys.length }),
      fc.boolean(),
      (some, turn) => {
        const given = some.map((key) => (turn ? { ...key, jwk: reversed(key.jwk) } : key))
        assert.deepEqual(jwksDocument(given as PublishedKey[], 300), expected)
      },
    ),
  )
  const kids = (JSON.parse(expected.body) as { keys: { kid: string }[] }).keys.map((key) => key.kid)
  assert.deepEqual(kids, keys.map((key) => key.kid).sort())
})

test('each key has its public members, kid, alg and use, and nothing that could change', async () => {
  const document = jwksDocument(keys, 300)
  assert.ok(document)
  const published = (JSON.parse(document.body) as { keys: Record<string, string>[] }).keys
  const members: Record<string, string> = {
    ES256: 'kty crv x y kid alg use',
    RS256: 'kty n e kid alg use',
    PS256: 'kty n e kid alg use',
    EdDSA: 'kty crv x kid alg use',
  }
  assert.equal(published.length, 4)
  for (const jwk of published) {
    assert.equal(Object.keys(jwk).join(' '), members[jwk.alg ?? ''])
    assert.equal(jwk.use, 'sig')
    // Envoy takes exponents 3 and 65537 only.
    if (jwk.kty === 'RSA') assert.equal(jwk.e, 'AQAB')
    await importJWK(jwk)
  }
})

test('field-6 #26: there is no document for no keys', () => {
  assert.equal(jwksDocument([], 300), undefined)
})

test('the ETag is strong and differs when a key differs', () => {
  const etags = [keys, keys.slice(1), keys.slice(0, 1)].map((some) => jwksDocument(some, 300)?.etag)
  assert.equal(new Set(etags).size, 3)
  for (const etag of etags) assert.match(etag ?? '', /^"[A-Za-z0-9_-]{43}"$/)
})
