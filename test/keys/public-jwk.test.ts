import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { SIGNING_ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { generateSigningKey } from '../../src/keys/generate-key.ts'
import { parsePublicJwk, publicMembers, thumbprint } from '../../src/keys/public-jwk.ts'

test('RFC 7638 section 3.1: the thumbprint of the example key', () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
  assert.equal(
    thumbprint({ kty: 'RSA', n, e: 'AQAB' }),
    'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
  )
})

test('RFC 8037 appendix A.3: the thumbprint of the example Ed25519 key', () => {
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
  assert.equal(
    thumbprint({ kty: 'OKP', crv: 'Ed25519', x }),
    'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  )
})

for (const algorithm of SIGNING_ALGORITHMS) {
  test(`${algorithm}: a new key's kid is the thumbprint, and no private member is kept`, async () => {
    const { kid, jwk, privateKey } = await generateSigningKey(algorithm)
    assert.equal(kid, await calculateJwkThumbprint(jwk as JWK))
    const whole = privateKey.export({ format: 'jwk' }) as Record<string, unknown>
    assert.equal(typeof whole.d, 'string')
    assert.deepEqual(publicMembers(whole), jwk)
    assert.deepEqual(parsePublicJwk(JSON.stringify(jwk), algorithm, kid), jwk)
    const wrong = algorithm === 'EdDSA' ? 'ES256' : 'EdDSA'
    assert.equal(parsePublicJwk(JSON.stringify(jwk), wrong, kid), undefined)
  })
}

test('a stored key that is not whole is refused', async () => {
  const { kid, jwk } = await generateSigningKey('ES256')
  const other = await generateSigningKey('ES256')
  const good = JSON.stringify(jwk)
  assert.deepEqual(parsePublicJwk(good, 'ES256', kid), jwk)
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    good.slice(0, -1),
    JSON.stringify(other.jwk),
    JSON.stringify({ ...jwk, crv: 'P-384' }),
    JSON.stringify({ ...jwk, y: 7 }),
  ]) {
    assert.equal(parsePublicJwk(text, 'ES256', kid), undefined, text)
  }
})
