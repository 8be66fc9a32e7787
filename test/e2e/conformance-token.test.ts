// RFC 8693 §2.2.1 and §4, RFC 9068, RFC 8707: the answer, the issued token, and what is in it.
import assert from 'node:assert/strict'
import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { describe, it } from 'node:test'
import { CRYPTO, type SigningAlgorithm } from '../../src/jwt/algorithms.ts'
import { TOKEN_TYPES } from '../../src/oauth/names.ts'
import { CORPORATE, xfcc } from '../support/deployment.ts'
import {
  agentToken,
  byPrivateKey,
  type Change,
  type Claims,
  seconds,
  spiffeId,
  userToken,
  withActor,
} from './exchange-request.ts'
import { BOUTIQUE_RULES, ISSUER } from './full-configuration.ts'
import { type FullDeployment, refusedAtLoad, sharedFullDeployment } from './full-deployment.ts'
import { send } from './http-client.ts'
import { type Granted, granted, refused } from './outcome.ts'

const FRONTEND = spiffeId('frontend')
const CHECKOUT = 'https://checkout.boutique.example'

describe('conformance of the answer and its token', () => {
  const full = sharedFullDeployment()
  const form = (parameters: Change['form'] & object): Change => ({ form: parameters })
  const subject = (claims: Claims): Change => ({ subject: { claims } })
  /** checkout's exchange of the token that it was sent. */
  const nextHop = ({ token }: Granted, parameters: Change['form'] = {}): Change => ({
    headers: { 'x-forwarded-client-cert': xfcc('checkout') },
    form: { subject_token: token, audience: 'payment', scope: 'payment:charge', ...parameters },
  })

  describe('the answer', () => {
    it('TE-09 TE-11 TE-12 TE-13 has the required members and no others', async () => {
      const { answer, claims, token } = await granted(full())
      assert.deepEqual(answer.body, {
        access_token: token,
        issued_token_type: TOKEN_TYPES.access_token,
        token_type: 'Bearer',
        expires_in: Number(claims.exp) - Number(claims.iat),
        scope: 'checkout:place',
      })
    })
    it('TE-10 TE-18 a token that was asked for as a JWT is no access token in name', async () => {
      const { answer } = await granted(full(), form({ requested_token_type: TOKEN_TYPES.jwt }))
      assert.deepEqual(
        [answer.body.issued_token_type, answer.body.token_type],
        [TOKEN_TYPES.jwt, 'N_A'],
      )
    })
    it('TE-11 expires_in is what is left of the subject token where that is less', async () => {
      const { answer } = await granted(full(), subject({ exp: seconds() + 40 }))
      assert.ok(Number(answer.body.expires_in) <= 40 && Number(answer.body.expires_in) >= 35)
    })
    it('TE-12 AT-04 without scope in the request, all that is justified is granted and said', async () => {
      const { answer, claims } = await granted(full(), form({ scope: undefined }))
      assert.equal(answer.body.scope, 'checkout:place checkout:quote')
      assert.equal(claims.scope, answer.body.scope)
    })
    it('TE-13 there is no refresh token, whatever is asked', async () => {
      const { answer } = await granted(full(), form({ access_type: 'offline', prompt: 'consent' }))
      assert.equal('refresh_token' in answer.body, false)
    })
  })

  describe('delegation', () => {
    it('TE-19 TE-28 the caller is the actor, an object with its identity', async () => {
      const { claims } = await granted(full())
      assert.deepEqual(claims.act, { sub: FRONTEND })
    })
    it('TE-19 exp, nbf and aud inside act mean nothing, and are not passed on', async () => {
      const act = { sub: 'agent-1', iss: CORPORATE, exp: 1, nbf: 4e9, aud: 'nobody', role: 'root' }
      const { claims } = await granted(full(), subject({ act }))
      assert.deepEqual(claims.act, { sub: FRONTEND, act: { sub: 'agent-1', iss: CORPORATE } })
    })
    for (const act of [
      'agent-1',
      ['agent-1'],
      7,
      true,
      null,
      {},
      { sub: '' },
      { sub: 'a', act: 'b' },
    ]) {
      it(`TE-19 field-6 #12 an act that is ${JSON.stringify(act)}`, async () => {
        await refused(full(), subject({ act }), 'subject_token_act_malformed')
      })
    }
    it('TE-20 the current actor is outermost, the first one innermost', async () => {
      const first = await granted(full(), subject({ act: { sub: 'agent-1', iss: CORPORATE } }))
      const { claims } = await granted(full(), nextHop(first))
      assert.deepEqual(claims.act, {
        sub: spiffeId('checkout'),
        act: { sub: FRONTEND, act: { sub: 'agent-1', iss: CORPORATE } },
      })
    })
    it('TE-20 an actor further in gives its successor nothing', async () => {
      const act = { sub: spiffeId('checkout') }
      const change = subject({ act })
      await refused(
        full(),
        { ...change, ...form({ audience: 'payment', scope: 'payment:charge' }) },
        'target_not_in_calls',
      )
    })
    it('TE-21 TE-22 scope is one text with spaces, client_id the client', async () => {
      const { claims } = await granted(full(), form({ scope: 'checkout:place checkout:quote' }))
      assert.deepEqual(
        [claims.scope, claims.client_id],
        ['checkout:place checkout:quote', FRONTEND],
      )
    })
    it('TE-23 may_act that names the caller lets it act, and is consumed', async () => {
      const { claims } = await granted(full(), subject({ may_act: { sub: FRONTEND } }))
      assert.equal('may_act' in claims, false)
    })
    it('TE-23 field-6 #2 may_act that names somebody else refuses the caller', async () => {
      const change = subject({ may_act: { sub: spiffeId('checkout') } })
      await refused(full(), change, 'act_may_act_mismatch')
    })
    it('TE-23 may_act names the actor token by iss and sub together', async () => {
      const agent = { iss: 'https://agents.example', sub: 'agent-7' }
      const change = (may_act: Claims): Change => ({
        ...subject({ may_act }),
        ...form(withActor(agentToken(full()))),
      })
      const { claims } = await granted(full(), change(agent))
      assert.deepEqual(claims.act, { sub: FRONTEND, act: agent })
      await refused(full(), change({ ...agent, iss: CORPORATE }), 'act_may_act_mismatch')
      await refused(full(), change({ sub: 'agent-7' }), 'act_may_act_mismatch')
      await refused(full(), change({ ...agent, sub: 'agent-8' }), 'act_may_act_mismatch')
    })
    it('TE-24 impersonation has no act', async () => {
      const { claims } = await granted(full(), form({ audience: 'mailer', scope: 'mail:send' }))
      assert.deepEqual([claims.sub, claims.act, claims.chain], ['corp:alice', undefined, undefined])
    })
    it('TE-24 delegation has the subject in sub and the actor in act', async () => {
      const { claims } = await granted(full(), form(withActor(agentToken(full()))))
      assert.equal(claims.sub, 'corp:alice')
      assert.deepEqual(claims.act, {
        sub: FRONTEND,
        act: { iss: 'https://agents.example', sub: 'agent-7' },
      })
    })
    it('TE-28 without an actor token the authenticated client is the actor', async () => {
      const { claims } = await granted(full(), byPrivateKey())
      assert.deepEqual(claims.act, { iss: ISSUER, sub: 'partners/batch' })
    })
  })

  describe('what an exchange gives away', () => {
    it('TE-26 SB-05 only claims that the target lists pass', async () => {
      const first = await granted(full())
      assert.deepEqual([first.claims.email, first.claims.phone], ['alice@shop.example', undefined])
      const { claims } = await granted(full(), nextHop(first))
      assert.deepEqual([claims.email, claims.risk], [undefined, undefined])
    })
    it('TE-27 a subject token is neither used up nor changed', async () => {
      const token = userToken(full())
      const one = await granted(full(), form({ subject_token: token }))
      const two = await granted(full(), form({ subject_token: token }))
      assert.notEqual(one.claims.jti, two.claims.jti)
    })
    it('TE-29 a logical name is one service, whatever else resembles it', async () => {
      for (const audience of ['checkout', 'boutique/checkout', CHECKOUT]) {
        const { claims } = await granted(full(), form({ audience }))
        assert.equal(claims.aud, CHECKOUT)
      }
      for (const audience of ['Checkout', 'checkout/', `${CHECKOUT}/`, 'depot/checkout']) {
        await refused(full(), form({ audience }), 'target_unknown')
      }
    })
  })

  describe('the token', () => {
    it('AT-01 AT-09 is signed by a published key, ES256 by default', async () => {
      const { header, token } = await granted(full())
      assert.deepEqual([header.alg, await isSigned(full(), token)], ['ES256', true])
    })
    it('AT-01 RS256 is there for targets that want it', async () => {
      const change = form({ audience: 'profile', scope: 'profile:read' })
      const { header, token } = await granted(full(), change)
      assert.deepEqual([header.alg, await isSigned(full(), token)], ['RS256', true])
    })
    it('AT-02 has typ at+jwt, and a header of alg, kid and typ', async () => {
      const { header } = await granted(full())
      assert.deepEqual(Object.keys(header).sort(), ['alg', 'kid', 'typ'])
      assert.equal(header.typ, 'at+jwt')
    })
    it('AT-03 has every required claim', async () => {
      const before = seconds()
      const { claims } = await granted(full())
      const { iss, exp, aud, sub, client_id, iat, jti } = claims
      assert.deepEqual([iss, aud, sub, client_id], [ISSUER, CHECKOUT, 'corp:alice', FRONTEND])
      assert.ok(Number(iat) >= before && Number(iat) <= seconds())
      assert.equal(Number(exp), Number(iat) + 300)
      assert.match(String(jti), /^[0-9a-f-]{36}$/)
    })
    it('AT-05 groups pass as they are where the target lists them', async () => {
      const { claims } = await granted(full(), subject({ groups: ['buyers', 'vip'] }))
      assert.deepEqual(claims.groups, ['buyers', 'vip'])
    })
    it('AT-10 SB-06 field-6 #19 no subject of an issuer can be named like a client, nor like another issuer’s subject', async () => {
      const asClient = await granted(full(), subject({ sub: FRONTEND }))
      assert.equal(asClient.claims.sub, `corp:${FRONTEND}`)
      const agent = await granted(full(), {
        form: {
          subject_token: agentToken(full(), { claims: { sub: 'alice' } }),
          scope: 'checkout:quote',
        },
      })
      const user = await granted(full())
      assert.deepEqual([agent.claims.sub, user.claims.sub], ['agent:alice', 'corp:alice'])
    })
    it('SB-06 a client cannot choose its client_id', async () => {
      await refused(full(), form({ client_id: 'corp:alice' }), 'client_id_mismatch')
    })
  })

  describe('the audience', () => {
    it('AT-06 RI-03 SB-01 is the requested resource, and nothing else', async () => {
      const { claims } = await granted(full(), form({ audience: undefined, resource: CHECKOUT }))
      assert.equal(claims.aud, CHECKOUT)
    })
    it('AT-06 RI-03 there is no default audience', async () => {
      await refused(full(), form({ audience: undefined }), 'target_missing')
    })
    it('AT-06 RI-04 scopes that mean two targets are never put into one token', async () => {
      const change = form({ audience: ['checkout', 'mailer'], scope: 'checkout:place mail:send' })
      await refused(full(), change, 'target_ambiguous')
    })
    for (const audience of [CHECKOUT, `${CHECKOUT}/`, 'http://checkout.boutique.example']) {
      it(`AT-07 two services cannot share an audience: ${audience}`, (t) => {
        const twin = `\n  twin:\n    audience: ${audience}\n`
        const files = { 'rules/boutique.yaml': BOUTIQUE_RULES + twin }
        refusedAtLoad(t, { files }, /^audience .* is the same to Envoy as /)
      })
    }
    it('AT-07 a scope that the target does not know is not in its token', async () => {
      await refused(full(), form({ scope: 'mail:send' }), 'scope_unknown')
    })
    it('RI-01 a resource with a query is another resource', async () => {
      const change = form({ audience: undefined, resource: `${CHECKOUT}?x=1` })
      await refused(full(), change, 'target_unknown')
    })
    for (const resource of ['https://unknown.example', 'checkout', '', 'https://a b']) {
      it(`RI-02 the resource "${resource}" beside a good audience`, async () => {
        const reason =
          resource === 'https://unknown.example' ? 'target_unknown' : 'resource_malformed'
        if (resource === '') await granted(full(), form({ resource }))
        else await refused(full(), form({ resource }), reason)
      })
    }
    it('RI-02 a logical name is no resource', async () => {
      await refused(full(), form({ resource: 'boutique:checkout' }), 'target_unknown')
    })
    it('RI-05 a tenant in the path or in the host is another resource', async () => {
      for (const resource of [`${CHECKOUT}/tenant-a`, 'https://a.checkout.boutique.example']) {
        await refused(full(), form({ audience: undefined, resource }), 'target_unknown')
      }
    })
  })

  describe('as a resource server: our own tokens that come back, and others’', () => {
    for (const typ of ['at+jwt', 'application/at+jwt', 'at+JWT']) {
      it(`AT-08 BCP-10 typ ${typ} is an access token`, async () => {
        await granted(full(), { subject: { header: { typ } } })
      })
    }
    it('AT-08 our own token is checked for its signature', async () => {
      const { token } = await granted(full())
      const [head, payload = '', signature] = token.split('.')
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
      const widened = { ...claims, scope: 'checkout:place checkout:quote payment:refund' }
      const forged = [head, Buffer.from(JSON.stringify(widened)).toString('base64url'), signature]
      const change = {
        headers: { 'x-forwarded-client-cert': xfcc('checkout') },
        form: { subject_token: forged.join('.'), audience: 'payment', scope: 'payment:charge' },
      }
      await refused(full(), change, 'subject_token_signature_invalid')
    })
    it('AT-08 our own token is for its audience only', async () => {
      const first = await granted(full())
      const change = { ...nextHop(first), headers: { 'x-forwarded-client-cert': xfcc('payment') } }
      await refused(full(), change, 'subject_token_presenter_not_allowed')
    })
    it('AT-08 iss is compared exactly', async () => {
      await refused(full(), subject({ iss: `${CORPORATE}/` }), 'subject_token_issuer_not_trusted')
    })
  })
})

/** Whether a token verifies by the key of its kid in the published set. */
async function isSigned({ publicUrl }: FullDeployment, token: string): Promise<boolean> {
  const { body } = await send({ url: `${publicUrl}/.well-known/jwks.json` })
  const [head = '', payload = '', signature = ''] = token.split('.')
  const { kid, alg } = JSON.parse(Buffer.from(head, 'base64url').toString())
  const jwk = (body.keys as (JsonWebKey & { kid: string; alg: string })[]).find(
    (one) => one.kid === kid && one.alg === alg,
  )
  if (jwk === undefined) return false
  const { digest, options } = CRYPTO[alg as SigningAlgorithm]
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const bytes = Buffer.from(signature, 'base64url')
  return verify(digest, Buffer.from(`${head}.${payload}`), { ...options, key }, bytes)
}
