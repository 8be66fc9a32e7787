import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ALGORITHMS, type Algorithm } from '../../src/jwt/algorithms.ts'
import { parseCompactJwt, type UnverifiedJwt } from '../../src/jwt/compact.ts'
import { parseKeySet } from '../../src/jwt/key-set.ts'
import type { KeySet, KeySource, KeySourceOutage } from '../../src/jwt/key-source.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import {
  base64url,
  jwksOf,
  makeKey,
  signJwt,
  signRaw,
  type TestKey,
} from '../support/jwt-fixtures.ts'

const CLAIMS = { iss: 'https://login.corp.example', sub: 'alice' }
const key = makeKey('ES256', 'k1')
const other = makeKey('ES256', 'k2')

function parsed(token: string): UnverifiedJwt {
  const result = parseCompactJwt(token)
  if (!result.ok) assert.fail(`${result.problem} ${result.detail}`)
  return result.value
}

function setOf(...keys: Parameters<typeof jwksOf>[0][number][]): KeySet {
  const set = parseKeySet(jwksOf(keys), ALGORITHMS)
  if ('unusable' in set) assert.fail(set.unusable)
  return set
}

/** A source that counts how often it is asked. */
function sourceOf(first: KeySet | KeySourceOutage, later: KeySet | KeySourceOutage = first) {
  const asked = { current: 0, refreshed: 0 }
  const source: KeySource = {
    current() {
      asked.current++
      return 'unavailable' in first ? Promise.resolve(first) : first
    },
    async refreshed() {
      asked.refreshed++
      return later
    },
  }
  return { source, asked }
}

async function outcome(
  token: string | UnverifiedJwt,
  source: KeySource,
  allowed: readonly Algorithm[] = ALGORITHMS,
  verifier = createSignatureVerifier({ cacheEntries: 10 }),
): Promise<string> {
  const jwt = typeof token === 'string' ? parsed(token) : token
  const result = await verifier.verify(jwt, source, allowed)
  return result.ok ? 'ok' : result.problem
}

for (const alg of ALGORITHMS) {
  const signer = makeKey(alg, 'k')
  test(`${alg}: a signature verifies, and fails with one bit changed anywhere`, async () => {
    const { source } = sourceOf(setOf(signer))
    const token = signJwt(signer, CLAIMS)
    assert.equal(await outcome(token, source), 'ok')
    const jwt = parsed(token)
    for (const at of [0, jwt.signature.length >> 1, jwt.signature.length - 1]) {
      const signature = Buffer.from(jwt.signature)
      signature.writeUInt8(signature.readUInt8(at) ^ 1, at)
      const changed = `${jwt.signingInput}.${base64url(signature)}`
      assert.equal(await outcome(changed, source), 'signature_invalid')
    }
    const claims = base64url(JSON.stringify({ ...CLAIMS, sub: 'root' }))
    const [header, , signature] = token.split('.')
    assert.equal(await outcome(`${header}.${claims}.${signature}`, source), 'signature_invalid')
    assert.equal(await outcome(`${jwt.signingInput}.`, source), 'signature_invalid')
  })
}

const SIZES = [
  ['ES256', 32, 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'],
  [
    'ES384',
    48,
    'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
  ],
  [
    'ES512',
    66,
    '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409',
  ],
] as const
for (const [alg, size, orderHex] of SIZES) {
  test(`${alg}: psychic signatures (CVE-2022-21449) and odd lengths are refused`, async () => {
    const signer = makeKey(alg, 'k')
    const { source } = sourceOf(setOf(signer))
    const token = signJwt(signer, CLAIMS)
    const { signingInput, signature } = parsed(token)
    const zero = Buffer.alloc(size)
    const order = Buffer.from(orderHex, 'hex')
    const r = signature.subarray(0, size)
    const s = signature.subarray(size)
    const forged = {
      'r = s = 0': [zero, zero],
      'r = 0': [zero, s],
      's = 0': [r, zero],
      'r = s = n': [order, order],
      'one byte more': [signature, Buffer.of(0)],
      'one byte less': [signature.subarray(0, -1)],
      'half of it': [r],
      empty: [],
    }
    for (const [name, bytes] of Object.entries(forged)) {
      const changed = `${signingInput}.${base64url(Buffer.concat(bytes))}`
      assert.equal(await outcome(changed, source), 'signature_invalid', name)
    }
    assert.equal(await outcome(token, source), 'ok')
  })
}

test('BCP-01 an algorithm that the issuer does not allow never reaches a key', async () => {
  const { source, asked } = sourceOf(setOf(key))
  assert.equal(await outcome(signJwt(key, CLAIMS), source, ['RS256']), 'algorithm_not_allowed')
  assert.equal(await outcome(signJwt(key, CLAIMS), source, []), 'algorithm_not_allowed')
  assert.deepEqual(asked, { current: 0, refreshed: 0 })
})

test('BCP-01 a key is used with its own algorithm only', async () => {
  const rsa = makeKey('RS256', 'rsa')
  const asPss: TestKey = { ...rsa, alg: 'PS256' }
  const { source, asked } = sourceOf(setOf(rsa))
  assert.equal(await outcome(signJwt(rsa, CLAIMS), source), 'ok')
  assert.equal(await outcome(signJwt(asPss, CLAIMS), source), 'algorithm_not_allowed')
  assert.equal(asked.refreshed, 0)
})

test('BCP-09 a kid chooses among the keys of the issuer, exactly', async () => {
  const { source } = sourceOf(setOf(key, other))
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'ok')
  assert.equal(await outcome(signJwt(key, CLAIMS, { kid: 'k2' }), source), 'signature_invalid')
  for (const kid of [
    '',
    'K1',
    'k1 ',
    '../../dev/null',
    '/dev/null',
    "x' UNION SELECT 'k",
    '|sleep 10',
    'constructor',
  ]) {
    assert.equal(await outcome(signJwt(key, CLAIMS, { kid }), source), 'key_unknown', kid)
  }
})

test('an unknown kid asks the source once; a new set is used at once', async () => {
  const { source, asked } = sourceOf(setOf(other), setOf(other, key))
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'ok')
  assert.deepEqual(asked, { current: 1, refreshed: 1 })
  const same = sourceOf(setOf(other))
  assert.equal(await outcome(signJwt(key, CLAIMS), same.source), 'key_unknown')
  assert.deepEqual(same.asked, { current: 1, refreshed: 1 })
})

test('a known kid with a bad signature asks for nothing', async () => {
  const { source, asked } = sourceOf(setOf({ ...other.jwk, kid: 'k1' }), setOf(key))
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'signature_invalid')
  assert.equal(asked.refreshed, 0)
})

test('without a kid every key of the algorithm is tried, then a newer set', async () => {
  const token = signJwt(key, CLAIMS, { kid: undefined })
  const before = sourceOf(setOf(makeKey('ES384', 'x'), other, key))
  assert.equal(await outcome(token, before.source), 'ok')
  assert.equal(before.asked.refreshed, 0)
  const after = sourceOf(setOf(other), setOf(key))
  assert.equal(await outcome(token, after.source), 'ok')
  assert.equal(await outcome(token, sourceOf(setOf(other)).source), 'signature_invalid')
  assert.equal(await outcome(token, sourceOf(setOf(makeKey('RS256', 'r'))).source), 'key_unknown')
})

test('a key without kid serves only tokens without one', async () => {
  const { kid: _kid, ...anonymous } = key.jwk
  const { source } = sourceOf(setOf(anonymous))
  assert.equal(await outcome(signJwt(key, CLAIMS, { kid: undefined }), source), 'ok')
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'key_unknown')
})

test('keys that share a kid are both tried', async () => {
  const { source } = sourceOf(setOf({ ...other.jwk, kid: 'k1' }, key))
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'ok')
})

test('at most eight keys are tried', async () => {
  const strangers = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ ...makeKey('ES256', `s${at}`).jwk, kid: 'k1' }))
  const token = signJwt(key, CLAIMS)
  assert.equal(await outcome(token, sourceOf(setOf(...strangers(7), key)).source), 'ok')
  const beyond = sourceOf(setOf(...strangers(8), key))
  assert.equal(await outcome(token, beyond.source), 'signature_invalid')
})

test('P4 an issuer that is down is an outage with a time to come back', async () => {
  const outage = { unavailable: 'answered 503', retryAfterSeconds: 7 }
  const expected = {
    ok: false,
    problem: 'issuer_unavailable',
    detail: 'answered 503',
    retryAfterSeconds: 7,
  }
  const verifier = createSignatureVerifier({ cacheEntries: 10 })
  const jwt = parsed(signJwt(key, CLAIMS))
  assert.deepEqual(await verifier.verify(jwt, sourceOf(outage).source, ALGORITHMS), expected)
  // The kid may be new: whether it is known cannot be said.
  const unknown = sourceOf(setOf(other), outage)
  assert.deepEqual(await verifier.verify(jwt, unknown.source, ALGORITHMS), expected)
})

test('a source that answers later is awaited', async () => {
  const source: KeySource = {
    current: async () => setOf(key),
    refreshed: () => assert.fail('not needed'),
  }
  assert.equal(await outcome(signJwt(key, CLAIMS), source), 'ok')
})

/** A key set whose keys count their uses; the cache is seen in what it spares. */
function counted(version: string) {
  let uses = 0
  const set = setOf(key)
  const keys = set.keys.map((one) => ({
    kid: one.kid,
    algorithm: one.algorithm,
    get key() {
      uses++
      return one.key
    },
  }))
  return { source: sourceOf({ version, keys }).source, uses: () => uses }
}

test('a verified signature is remembered for its set version only', async () => {
  const verifier = createSignatureVerifier({ cacheEntries: 10 })
  const token = signJwt(key, CLAIMS)
  const one = counted('v1')
  await outcome(token, one.source, ALGORITHMS, verifier)
  await outcome(token, one.source, ALGORITHMS, verifier)
  assert.equal(one.uses(), 1)
  const two = counted('v2')
  await outcome(token, two.source, ALGORITHMS, verifier)
  assert.equal(two.uses(), 1)
  const gone = sourceOf({ version: 'v3', keys: [] })
  assert.equal(await outcome(token, gone.source, ALGORITHMS, verifier), 'key_unknown')
})

test('a remembered token is still refused for an algorithm that is no longer allowed', async () => {
  const verifier = createSignatureVerifier({ cacheEntries: 10 })
  const { source } = counted('v1')
  const token = signJwt(key, CLAIMS)
  assert.equal(await outcome(token, source, ALGORITHMS, verifier), 'ok')
  assert.equal(await outcome(token, source, ['RS256'], verifier), 'algorithm_not_allowed')
})

test('a failure is never remembered, and no token borrows the success of another', async () => {
  const verifier = createSignatureVerifier({ cacheEntries: 10 })
  const { source, uses } = counted('v1')
  const good = signJwt(key, CLAIMS)
  const bad = `${good.slice(0, good.lastIndexOf('.'))}.${base64url(Buffer.alloc(64, 1))}`
  assert.equal(await outcome(good, source, ALGORITHMS, verifier), 'ok')
  assert.equal(await outcome(bad, source, ALGORITHMS, verifier), 'signature_invalid')
  assert.equal(await outcome(bad, source, ALGORITHMS, verifier), 'signature_invalid')
  assert.equal(uses(), 3)
})

test('the cache is bounded and forgets the least recently used', async () => {
  const verifier = createSignatureVerifier({ cacheEntries: 2 })
  const { source, uses } = counted('v1')
  const [a, b, c] = ['a', 'b', 'c'].map((sub) => signJwt(key, { sub })) as [string, string, string]
  for (const token of [a, b, a, c, a]) await outcome(token, source, ALGORITHMS, verifier)
  assert.equal(uses(), 3)
  await outcome(b, source, ALGORITHMS, verifier)
  assert.equal(uses(), 4)
})

test('a cache of size 0 remembers nothing', async () => {
  const verifier = createSignatureVerifier({ cacheEntries: 0 })
  const { source, uses } = counted('v1')
  const token = signJwt(key, CLAIMS)
  await outcome(token, source, ALGORITHMS, verifier)
  await outcome(token, source, ALGORITHMS, verifier)
  assert.equal(uses(), 2)
})

const RFC7515_PAYLOAD =
  'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'

test('RFC 7515 A.2 the RS256 example verifies', async () => {
  const jwk = {
    kty: 'RSA',
    n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
    e: 'AQAB',
  }
  const signature =
    'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw'
  const token = `eyJhbGciOiJSUzI1NiJ9.${RFC7515_PAYLOAD}.${signature}`
  assert.equal(await outcome(token, sourceOf(setOf(jwk)).source), 'ok')
})

test('RFC 7515 A.3 the ES256 example verifies', async () => {
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  }
  const signature =
    'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
  const token = `eyJhbGciOiJFUzI1NiJ9.${RFC7515_PAYLOAD}.${signature}`
  assert.equal(await outcome(token, sourceOf(setOf(jwk)).source), 'ok')
})

test('RFC 8037 A.4 the Ed25519 example verifies', async () => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  // Its payload is a text, so it is no JWT; the signature is checked beside the parser.
  const jwt: UnverifiedJwt = {
    ...parsed(signRaw('{"alg":"EdDSA"}', '{}', makeKey('EdDSA'))),
    signingInput: 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc',
    signature: Buffer.from(
      'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
      'base64url',
    ),
  }
  assert.equal(await outcome(jwt, sourceOf(setOf(jwk)).source), 'ok')
})

test('property: no random signature verifies, and none throws', async () => {
  const { source } = sourceOf(setOf(...ALGORITHMS.map((alg) => makeKey(alg, 'k'))))
  const signatures = fc.uint8Array({ maxLength: 300 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ALGORITHMS), signatures, async (alg, bytes) => {
      const input = signJwt(makeKey(alg, 'k'), CLAIMS).split('.').slice(0, 2).join('.')
      const token = `${input}.${base64url(Buffer.from(bytes))}`
      assert.equal(await outcome(token, source), 'signature_invalid')
    }),
  )
})
