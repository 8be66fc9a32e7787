// Tokens that the real STS minted, and what a backend's real sidecar says when one thing about them is wrong.
// Texts and statuses are Envoy's own (jwt_authn); the policies are the shipped ones.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { envoyForTests } from '../support/envoy-binary.ts'
import type { MeshAnswer } from '../support/envoy-mesh.ts'
import { base64url, makeKey, signJwt } from '../support/jwt-fixtures.ts'
import { kidOf, startMeshedSts } from '../support/meshed-sts.ts'

const { binary, options } = envoyForTests()
const LIFETIME_MS = 3_600_000
const THREE_SECTIONS = 'Jwt is not in the form of Header.Payload.Signature'
const NO_KEY = "Jwks doesn't have key to match kid or alg from Jwt"

type Members = Readonly<Record<string, unknown>>

/** Changes members of the header (0) or the claims (1); the signature stays. */
function tamper(token: string, part: 0 | 1, change: Members): string {
  const parts = token.split('.')
  const members = JSON.parse(Buffer.from(parts[part] ?? '', 'base64url').toString())
  parts[part] = base64url(JSON.stringify({ ...members, ...change }))
  return parts.join('.')
}

function flipSignature(token: string): string {
  const [header, payload, signature] = token.split('.')
  const bytes = Buffer.from(signature ?? '', 'base64url')
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)
  return `${header}.${payload}.${base64url(bytes)}`
}

const claimsIn = (token: string): Members =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

describe('tokens of the STS at the backend’s sidecar', options, () => {
  for (const keys of ['inline', 'remote'] as const) {
    test(`keys ${keys === 'inline' ? 'inlined by istiod' : 'fetched by Envoy'}`, async (t) => {
      // The STS of two minutes and a lifetime ago: what it mints has ended two minutes ago.
      let now = Date.now() - LIFETIME_MS - 120_000
      const sts = await startMeshedSts(t, {
        binary,
        keys: { publish_before: '2h', sign_for: '24h' },
        now: () => now,
        backends: { payment: keys === 'inline' ? 'inline' : { keptFor: '300s' } },
      })
      const expired = await sts.tokenForPayment()
      now = Date.now() - LIFETIME_MS - 10_000
      const justExpired = await sts.tokenForPayment()
      now = Date.now()
      await sts.deployment.server.keys.tick()
      const good = await sts.tokenForPayment()
      const forCheckout = await sts.tokenForCheckout()
      assert.equal(kidOf(good), kidOf(expired))

      const accepted = async (bearer: string) => {
        const { status, body } = await sts.pay('payment', bearer)
        assert.equal(status, 200, body)
      }
      const refused = async (bearer: string, status: number, text: string) => {
        const answer: MeshAnswer = await sts.pay('payment', bearer)
        assert.deepEqual([answer.status, answer.body], [status, text])
        assert.match(answer.headers['www-authenticate'] ?? '', /error="invalid_token"/)
      }

      await t.test('as it was minted: accepted', () => accepted(good))
      await t.test('expired: 401', () => refused(expired, 401, 'Jwt is expired'))
      await t.test('expired within Envoy’s skew of 60 s: still accepted', () =>
        accepted(justExpired),
      )
      await t.test('an expired token with a later exp written in: 401', () => {
        const later = tamper(expired, 1, { exp: claimsIn(good).exp })
        return refused(later, 401, 'Jwt verification fails')
      })
      await t.test('P1 a scope written in: 401', () =>
        refused(
          tamper(good, 1, { scope: 'payment:charge payment:refund' }),
          401,
          'Jwt verification fails',
        ),
      )
      await t.test('P2 an actor written out: 401', () =>
        refused(tamper(good, 1, { act: undefined }), 401, 'Jwt verification fails'),
      )
      await t.test('one bit of the signature: 401', () =>
        refused(flipSignature(good), 401, 'Jwt verification fails'),
      )
      await t.test('alg none: 401', () =>
        refused(tamper(good, 0, { alg: 'none' }), 401, 'Jwt header [alg] is not supported'),
      )
      await t.test('no signature: 401', () => {
        const unsigned = good.slice(0, good.lastIndexOf('.') + 1)
        return refused(unsigned, 401, `${THREE_SECTIONS} with two dots and 3 sections`)
      })
      await t.test('another alg than the key’s: 401', () =>
        refused(tamper(good, 0, { alg: 'RS256' }), 401, NO_KEY),
      )
      await t.test('an unknown kid: 401', () =>
        refused(tamper(good, 0, { kid: 'nobody' }), 401, NO_KEY),
      )
      await t.test('a stranger’s key under its own kid: 401', () =>
        refused(signJwt(makeKey('ES256', 'stranger'), claimsIn(good)), 401, NO_KEY),
      )
      await t.test('a stranger’s key under the STS’s kid: 401', () => {
        const forged = signJwt(makeKey('ES256', 'stranger'), claimsIn(good), { kid: kidOf(good) })
        return refused(forged, 401, 'Jwt verification fails')
      })
      await t.test('for another audience: 403', () =>
        refused(forCheckout, 403, 'Audiences in Jwt are not allowed'),
      )
    })
  }
})
