// RFC 8725 and its revision, RFC 7515, RFC 7519: how JWTs of others are taken, whatever their role.
// Every test changes one thing of one valid token.
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { JWT_BEARER_ASSERTION, JWT_SPIFFE_ASSERTION, TOKEN_TYPES } from '../../src/oauth/names.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { CORPORATE, xfcc } from '../support/deployment.ts'
import { base64url, jwksOf, makeKey, signRaw, type TestKey } from '../support/jwt-fixtures.ts'
import {
  agentToken,
  both,
  byAccountToken,
  byAssertion,
  byPrivateKey,
  bySvid,
  type Change,
  seconds,
  spiffeId,
  type TokenChange,
  userToken,
  withActor,
} from './exchange-request.ts'
import { NOWHERE } from './full-configuration.ts'
import { sharedFullDeployment, startFullDeployment } from './full-deployment.ts'
import { granted, refused } from './outcome.ts'

const GOOD = makeKey('ES256', 'nowhere-1')
const WEAK: TestKey = (() => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const published = { kid: 'weak-rsa', alg: 'RS256', use: 'sig' }
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), ...published }
  return { alg: 'RS256', kid: 'weak-rsa', ...pair, jwk }
})()

describe('conformance of how JWTs are taken', () => {
  const full = sharedFullDeployment()
  // This issuer's server is up; what it publishes is in each test's hands.
  before(() => full().keyServer.serve(jwksOf([GOOD, ...oddKeys()])))

  const refuses = (name: string, make: () => Change, reason: Reason) =>
    it(name, async () => void (await refused(full(), make(), reason)))
  const subject = (token: TokenChange) => (): Change => ({ subject: token })
  /** A subject token as a text of the test's own making. */
  const text = (make: () => string) => (): Change => ({ form: { subject_token: make() } })
  /** Header and payload of a valid subject token, for texts that only resemble them. */
  const parts = () => {
    const [header = '', payload = ''] = userToken(full())
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString())
    return { header, payload }
  }
  const signed = (header: string, payload: string | Buffer) =>
    signRaw(header, payload, full().corporate)

  it('BCP-01 BCP-07 the token that every other test changes is accepted', async () => {
    await granted(full(), {})
    await granted(full(), text(() => signed(parts().header, parts().payload))())
    // No rule takes tokens of this issuer: it is verified, and then refused by the rules.
    const nowhere = { subject: { key: GOOD, claims: { iss: NOWHERE } } }
    await refused(full(), nowhere, 'target_issuer_not_accepted')
  })

  describe('algorithms', () => {
    for (const alg of [
      'none',
      'None',
      'NONE',
      'nOnE',
      '',
      'HS256',
      'HS512',
      'es256',
      'ES256K',
      'ML-DSA-44',
    ]) {
      refuses(
        `BCP-01 BCP-02 BCP-14 field-6 #8 alg ${alg || '(empty)'}`,
        subject({ header: { alg } }),
        'subject_token_algorithm_not_allowed',
      )
    }
    refuses(
      'BCP-02 field-6 #8 alg none without a signature',
      text(() => {
        const { header, payload } = parts()
        return `${base64url(header.replace('RS256', 'none'))}.${base64url(payload)}.`
      }),
      'subject_token_algorithm_not_allowed',
    )
    refuses(
      'BCP-02 field-6 #8 no signature at all',
      text(() => {
        return userToken(full()).replace(/[^.]*$/, '')
      }),
      'subject_token_signature_invalid',
    )
    refuses(
      'BCP-05 field-6 #8 the public key as an HMAC secret',
      text(() => {
        const { header, payload } = parts()
        const input = `${base64url(header.replace('RS256', 'HS256'))}.${base64url(payload)}`
        const secret = full().corporate.publicKey.export({ format: 'pem', type: 'spki' })
        return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
      }),
      'subject_token_algorithm_not_allowed',
    )
    refuses(
      'BCP-01 an algorithm that the issuer does not use',
      subject({ key: makeKey('ES384', 'corp-1') }),
      'subject_token_algorithm_not_allowed',
    )
    refuses(
      'BCP-01 field-6 #8 an algorithm that is not the key’s',
      subject({ key: makeKey('ES256', 'corp-1') }),
      'subject_token_algorithm_not_allowed',
    )
    refuses(
      'BCP-05 field-6 #8 a key of the published set that is symmetric is not used',
      () => {
        const { header, payload } = parts()
        const input = `${base64url(header.replace('RS256', 'HS256').replace('corp-1', 'symmetric'))}.${base64url(payload.replace(CORPORATE, NOWHERE))}`
        const mac = createHmac('sha256', 'secret').update(input).digest('base64url')
        return { form: { subject_token: `${input}.${mac}` } }
      },
      'subject_token_algorithm_not_allowed',
    )
  })

  describe('what is verified', () => {
    refuses(
      'BCP-03 one changed claim',
      text(() => {
        const [header, , signature] = userToken(full()).split('.')
        const claims = JSON.parse(parts().payload)
        return `${header}.${base64url(JSON.stringify({ ...claims, sub: 'bob' }))}.${signature}`
      }),
      'subject_token_signature_invalid',
    )
    refuses(
      'BCP-03 BCP-12 a JWE',
      text(() => {
        const header = base64url('{"alg":"RSA-OAEP","enc":"A256GCM"}')
        return `${header}.${base64url('key')}.${base64url('iv')}.${base64url('text')}.${base64url('tag')}`
      }),
      'subject_token_malformed',
    )
    refuses(
      'BCP-03 BCP-12 a compressed token',
      subject({ header: { zip: 'DEF', crit: ['zip'] } }),
      'subject_token_header_not_accepted',
    )
    refuses(
      'BCP-03 a token whose payload is a token',
      text(() => {
        return signed(
          JSON.stringify({ ...JSON.parse(parts().header), cty: 'JWT' }),
          userToken(full()),
        )
      }),
      'subject_token_malformed',
    )
    for (const kid of ['off-curve', 'short', 'weak-rsa', 'private']) {
      refuses(
        `BCP-04 a published key that is not sound is not used: ${kid}`,
        subject({
          key: kid === 'weak-rsa' ? WEAK : GOOD,
          header: { kid },
          claims: { iss: NOWHERE },
        }),
        'subject_token_key_unknown',
      )
    }
    refuses(
      'BCP-04 an ECDSA signature of zeros',
      text(() => {
        const { header, payload } = parts()
        const zeros = base64url(Buffer.alloc(64))
        const head = header.replace('RS256', 'ES256').replace('corp-1', 'nowhere-1')
        return `${base64url(head)}.${base64url(payload.replace(CORPORATE, NOWHERE))}.${zeros}`
      }),
      'subject_token_signature_invalid',
    )
    refuses(
      'BCP-07 a key of another trusted issuer',
      subject({ key: makeKey('ES256', 'agents-1') }),
      'subject_token_key_unknown',
    )
    refuses(
      'BCP-07 without iss',
      subject({ claims: { iss: undefined } }),
      'subject_token_claim_malformed',
    )
    for (const sub of [undefined, '', 7, ['alice'], 'a\nb', 'x'.repeat(3000)]) {
      refuses(
        `BCP-07 a sub that is ${JSON.stringify(sub)?.slice(0, 12)}`,
        subject({ claims: { sub } }),
        'subject_token_claim_malformed',
      )
    }
    for (const aud of [undefined, '', [], [7], { a: 1 }]) {
      refuses(
        `BCP-08 an aud that is ${JSON.stringify(aud)}`,
        subject({ claims: { aud } }),
        'subject_token_claim_malformed',
      )
    }
    refuses(
      'BCP-08 the audience of somebody else',
      subject({ claims: { aud: 'https://other.example' } }),
      'subject_token_presenter_not_allowed',
    )
    for (const exp of [undefined, null, '9999999999', Number.MAX_VALUE, -1]) {
      refuses(
        `BCP-03 an exp that is ${JSON.stringify(exp)}`,
        subject({ claims: { exp } }),
        'subject_token_claim_malformed',
      )
    }
    refuses(
      'BCP-03 iat in the future',
      subject({ claims: { iat: seconds() + 120 } }),
      'subject_token_not_yet_valid',
    )
  })

  describe('the text', () => {
    refuses(
      'BCP-06 a payload that is not UTF-8',
      text(() => {
        const { header, payload } = parts()
        return signed(header, Buffer.from(payload.replace('alice', 'al\xefce'), 'latin1'))
      }),
      'subject_token_malformed',
    )
    for (const [name, change] of [
      ['white space in front', (token: string) => ` ${token}`],
      ['padding', (token: string) => token.replace('.', '=.')],
      ['the alphabet of base64', (token: string) => token.replace(/\.[^.]{4}/, '.ab+/')],
      ['a fourth part', (token: string) => `${token}.e30`],
      ['two parts', (token: string) => token.replace(/\.[^.]*$/, '')],
      [
        'bits behind its end',
        (token: string) => `${token.slice(0, -1)}${token.endsWith('B') ? 'C' : 'B'}`,
      ],
      ['the JSON serialisation', () => '{"payload":"e30","signature":""}'],
    ] as const) {
      refuses(
        `BCP-13 a token with ${name}`,
        text(() => change(userToken(full()))),
        'subject_token_malformed',
      )
    }
    refuses(
      'JWS-02 a claim that stands twice',
      text(() => {
        const { header, payload } = parts()
        return signed(header, payload.replace('{', '{"sub":"root",'))
      }),
      'subject_token_malformed',
    )
    refuses(
      'JWS-02 a header member that stands twice',
      text(() => {
        const { header, payload } = parts()
        return signed(header.replace('{', '{"alg":"none",'), payload)
      }),
      'subject_token_malformed',
    )
    for (const crit of [['exp'], ['unknown'], [], ['b64', 'b64'], 'exp']) {
      refuses(
        `JWS-01 crit ${JSON.stringify(crit)}`,
        subject({ header: { crit } }),
        'subject_token_header_not_accepted',
      )
    }
    refuses('JWS-01 b64', subject({ header: { b64: false } }), 'subject_token_header_not_accepted')
  })

  describe('where keys come from', () => {
    it('BCP-09 field-6 #8 an embedded or linked key is refused, and nobody is asked for it', async () => {
      const { keyServer } = full()
      const asked = keyServer.hits.length
      const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const jwk = stranger.publicKey.export({ format: 'jwk' })
      for (const header of [
        { jwk },
        { jku: keyServer.url },
        { x5u: keyServer.url },
        { x5c: ['MIIB'] },
      ]) {
        await refused(full(), { subject: { header } }, 'subject_token_header_not_accepted')
      }
      assert.equal(keyServer.hits.length, asked)
    })
    for (const kid of [
      '',
      '../../../dev/null',
      '/dev/null',
      "' UNION SELECT 'x",
      '|sleep 10',
      '%7bjndi:x%7d',
      'corp-1 ',
    ]) {
      refuses(
        `BCP-09 the kid ${kid || '(empty)'}`,
        subject({ header: { kid } }),
        'subject_token_key_unknown',
      )
    }
    for (const kid of ['corp-1\n', 'x'.repeat(300), 7, null]) {
      refuses(
        `BCP-09 the kid ${JSON.stringify(kid).slice(0, 12)}`,
        subject({ header: { kid } }),
        'subject_token_header_not_accepted',
      )
    }
    it('BCP-09 P4 a redirect of the key server is not followed: an outage, not a denial', async (t) => {
      const other = await startFullDeployment(t)
      other.keyServer.handle((_request, response) => {
        response.writeHead(302, { location: `${full().keyServer.url}` }).end()
      })
      const asked = full().keyServer.hits.length
      const change = { subject: { key: GOOD, claims: { iss: NOWHERE } } }
      await refused(other, change, 'subject_token_issuer_unavailable')
      assert.equal(full().keyServer.hits.length, asked)
    })
  })

  describe('no token passes for another kind', () => {
    for (const typ of [
      'JWT',
      'dpop+jwt',
      'client-authentication+jwt',
      'application/jwt',
      undefined,
    ]) {
      refuses(
        `BCP-10 BCP-11 typ ${typ ?? '(absent)'} is no access token`,
        subject({ header: { typ } }),
        'subject_token_typ_not_accepted',
      )
    }
    it('BCP-11 a token of ours is no client assertion', async () => {
      const { token } = await granted(full())
      await refused(
        full(),
        byAssertion(token, JWT_SPIFFE_ASSERTION),
        'client_assertion_typ_not_accepted',
      )
      await refused(
        full(),
        byAssertion(token, JWT_BEARER_ASSERTION),
        'client_assertion_issuer_not_trusted',
      )
      const external = both(byPrivateKey(), { form: { client_assertion: token } })
      await refused(full(), external, 'client_assertion_typ_not_accepted')
    })
    it('BCP-11 a user’s token is no client assertion', async () => {
      const claims = { sub: spiffeId('frontend'), aud: 'https://sts.boutique.example' }
      const token = userToken(full(), { claims, header: { typ: 'JWT' } })
      await refused(
        full(),
        byAssertion(token, JWT_SPIFFE_ASSERTION),
        'client_assertion_key_unknown',
      )
    })
    it('BCP-11 no client assertion is a subject token', async () => {
      const assertionOf = (change: Change) => String(change.form?.client_assertion)
      const changes: readonly (readonly [Change, Reason])[] = [
        [bySvid(), 'subject_token_type_not_accepted'],
        [byAccountToken(), 'subject_token_type_not_accepted'],
        [byPrivateKey(), 'subject_token_issuer_not_trusted'],
      ]
      for (const [change, reason] of changes) {
        await refused(full(), { form: { subject_token: assertionOf(change) } }, reason)
      }
    })
    it('BCP-11 a token of ours is no actor token where the rule does not say so', async () => {
      const first = await granted(full())
      const change = {
        headers: { 'x-forwarded-client-cert': xfcc('checkout') },
        form: {
          subject_token: first.token,
          audience: 'payment',
          scope: 'payment:charge',
          ...withActor(first.token),
        },
      }
      await refused(full(), change, 'actor_token_delegated')
    })
    it('BCP-11 an ID token is no actor token', async () => {
      const idToken = agentToken(full(), { header: { typ: 'JWT' } })
      await refused(full(), { form: withActor(idToken) }, 'actor_token_typ_not_accepted')
      const declared = { ...withActor(idToken), actor_token_type: TOKEN_TYPES.id_token }
      await refused(full(), { form: declared }, 'actor_token_type_not_accepted')
    })
  })
})

/** Keys as a careless issuer might publish them; each under the public half of a key that could sign. */
function oddKeys(): Readonly<Record<string, unknown>>[] {
  const ec = GOOD.jwk
  return [
    { ...ec, kid: 'off-curve', x: 'A'.repeat(43) },
    { ...ec, kid: 'short', x: String(ec.x).slice(1) },
    { ...WEAK.jwk },
    { ...GOOD.privateKey.export({ format: 'jwk' }), kid: 'private', alg: 'ES256', use: 'sig' },
    { kty: 'oct', kid: 'symmetric', alg: 'HS256', k: base64url('secret') },
  ]
}
