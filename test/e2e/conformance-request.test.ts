// RFC 8693 §2.1 and §2.2.2, RFC 6749 §3.2 and §5.2: what a request must look like, and how it is refused.
// Every test changes one thing of one valid exchange.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TOKEN_TYPES } from '../../src/oauth/names.ts'
import { type Reason, WIRE, type WireError } from '../../src/oauth/reasons.ts'
import { xfcc } from '../support/deployment.ts'
import {
  agentToken,
  ask,
  byCertificate,
  byPrivateKey,
  bySvid,
  type Change,
  seconds,
  userToken,
  withActor,
} from './exchange-request.ts'
import { refusedAtLoad, sharedFullDeployment } from './full-deployment.ts'
import { granted, refused } from './outcome.ts'

describe('conformance of the request', () => {
  const full = sharedFullDeployment()
  const grants = (name: string, change: Change) =>
    it(name, async () => void (await granted(full(), change)))
  const refuses = (name: string, change: Change | (() => Change), reason: Reason) =>
    it(
      name,
      async () =>
        void (await refused(full(), typeof change === 'function' ? change() : change, reason)),
    )
  const form = (parameters: Change['form'] & object): Change => ({ form: parameters })
  const checkout = 'https://checkout.boutique.example'

  grants('TE-01 TE-02 the exchange that every other test changes is granted', {})
  describe('POST, a form in UTF-8, the grant type', () => {
    refuses(
      'TE-01 a JSON body',
      { headers: { 'content-type': 'application/json' }, body: '{"grant_type":"x"}' },
      'request_media_type',
    )
    refuses(
      'TE-01 a form in another charset',
      { headers: { 'content-type': 'application/x-www-form-urlencoded; charset=iso-8859-1' } },
      'request_media_type',
    )
    grants('TE-01 a form that says UTF-8', {
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' },
    })
    refuses(
      'TE-01 bytes that are not UTF-8',
      { body: 'grant_type=%ff%fe' },
      'request_form_malformed',
    )
    refuses('TE-01 no grant type', form({ grant_type: undefined }), 'grant_type_missing')
    refuses(
      'TE-01 the short name of the grant',
      form({ grant_type: 'token-exchange' }),
      'grant_type_unsupported',
    )
  })

  describe('tokens and their types', () => {
    refuses('TE-02 no subject token', form({ subject_token: undefined }), 'subject_token_missing')
    refuses(
      'TE-02 no subject token type',
      form({ subject_token_type: undefined }),
      'subject_token_type_missing',
    )
    grants('TE-03 neither actor token nor type', {})
    it('TE-03 an actor token and its type', async () => {
      await granted(full(), { form: withActor(agentToken(full())) })
    })
    refuses(
      'TE-03 an actor token without its type',
      () => form({ actor_token: agentToken(full()) }),
      'actor_token_type_missing',
    )
    refuses(
      'TE-03 a type without an actor token',
      form({ actor_token_type: TOKEN_TYPES.access_token }),
      'actor_token_type_without_token',
    )
    refuses(
      'TE-03 OA-02 a type and an empty actor token',
      form({ actor_token_type: TOKEN_TYPES.access_token, actor_token: '' }),
      'actor_token_type_without_token',
    )
  })

  describe('targets', () => {
    grants(
      'TE-04 RI-01 an absolute URI as resource',
      form({ audience: undefined, resource: checkout }),
    )
    grants('TE-04 a repeated resource of one target', form({ resource: [checkout, checkout] }))
    refuses(
      'TE-04 RI-01 RI-02 a resource with a fragment',
      form({ audience: undefined, resource: `${checkout}#x` }),
      'resource_malformed',
    )
    refuses(
      'TE-04 RI-01 RI-02 a resource that is relative',
      form({ audience: undefined, resource: 'checkout.boutique.example/' }),
      'resource_malformed',
    )
    refuses(
      'TE-04 RI-01 a resource with an empty fragment',
      form({ audience: undefined, resource: `${checkout}#` }),
      'resource_malformed',
    )
    grants(
      'TE-05 TE-29 names of one target, repeated',
      form({ audience: ['checkout', 'boutique/checkout', checkout] }),
    )
    grants(
      'TE-05 an audience and a resource of one target',
      form({ audience: 'checkout', resource: checkout }),
    )
    refuses(
      'TE-05 TE-06 an audience and a resource of two targets',
      form({ audience: 'mailer', resource: checkout }),
      'target_ambiguous',
    )
    refuses(
      'TE-06 RI-04 two targets: each scope would be asked at both, and one token would serve both',
      form({ audience: ['checkout', 'mailer'] }),
      'target_ambiguous',
    )
    refuses(
      'TE-06 a scope of another target',
      form({ scope: 'checkout:place mail:send' }),
      'scope_unknown',
    )
  })

  describe('token types', () => {
    grants(
      'TE-07 an access token asked for',
      form({ requested_token_type: TOKEN_TYPES.access_token }),
    )
    it('TE-07 nothing asked for is an access token', async () => {
      const { answer } = await granted(full())
      assert.equal(answer.body.issued_token_type, TOKEN_TYPES.access_token)
    })
    for (const name of ['refresh_token', 'id_token', 'saml1', 'saml2']) {
      refuses(
        `TE-07 TE-13 a ${name} asked for`,
        form({ requested_token_type: `urn:ietf:params:oauth:token-type:${name}` }),
        'requested_token_type_unsupported',
      )
    }
    for (const name of ['refresh_token', 'saml1', 'saml2', 'ACCESS_TOKEN']) {
      refuses(
        `TE-17 a subject token of type ${name}`,
        form({ subject_token_type: `urn:ietf:params:oauth:token-type:${name}` }),
        'subject_token_type_unsupported',
      )
    }
    refuses(
      'TE-17 an actor token of a type that nobody registered',
      () => form({ ...withActor(agentToken(full())), actor_token_type: 'urn:example:x' }),
      'actor_token_type_unsupported',
    )
    it('TE-17 an ID token as subject', async () => {
      const idToken = userToken(full(), { header: { typ: 'JWT' } })
      await granted(
        full(),
        form({ subject_token: idToken, subject_token_type: TOKEN_TYPES.id_token }),
      )
    })
    grants('TE-18 a JWT access token named as a JWT', form({ subject_token_type: TOKEN_TYPES.jwt }))
  })

  describe('tokens that are not acceptable', () => {
    const expired = { claims: { exp: seconds() - 1 } }
    refuses('TE-08 TE-14 an expired subject token', { subject: expired }, 'subject_token_expired')
    refuses(
      'TE-08 TE-14 an expired actor token',
      () => form(withActor(agentToken(full(), expired))),
      'actor_token_expired',
    )
    refuses(
      'TE-08 an ID token declared as an access token',
      { subject: { header: { typ: 'JWT' } } },
      'subject_token_typ_not_accepted',
    )
    refuses(
      'TE-08 an access token declared as an ID token',
      form({ subject_token_type: TOKEN_TYPES.id_token }),
      'subject_token_typ_not_accepted',
    )
    refuses(
      'TE-14 a subject token of an issuer that is not trusted',
      { subject: { claims: { iss: 'https://login.other.example' } } },
      'subject_token_issuer_not_trusted',
    )
    refuses(
      'TE-14 a subject token that policy does not let this client present',
      { subject: { claims: { aud: 'https://other.example' } } },
      'subject_token_presenter_not_allowed',
    )
    refuses(
      'TE-14 an actor token that policy does not accept here',
      () => {
        const claims = { iss: 'https://login.corp.example', aud: 'https://api.shop.example' }
        return form(withActor(agentToken(full(), { key: full().corporate, claims })))
      },
      'actor_not_allowed',
    )
    it('TE-14 says invalid_request of every subject and actor token, never invalid_grant', () => {
      for (const [reason, { status, error }] of Object.entries(WIRE)) {
        if (!/^(?:subject|actor)_token_|^act_/.test(reason)) continue
        const outage = reason.endsWith('_unavailable')
        const expected = outage ? [503, 'temporarily_unavailable'] : [400, 'invalid_request']
        assert.deepEqual([status, error], expected, reason)
      }
    })
  })

  describe('error codes', () => {
    const codes: readonly (readonly [string, WireError, Change, Reason])[] = [
      [
        'TE-15 RI-02 an unknown target',
        'invalid_target',
        form({ audience: 'chekout' }),
        'target_unknown',
      ],
      [
        'TE-15 a target that this client may not call',
        'invalid_target',
        form({ audience: 'payment', scope: 'payment:charge' }),
        'target_not_in_calls',
      ],
      [
        'TE-15 one good and one unknown target',
        'invalid_target',
        form({ audience: ['checkout', 'chekout'] }),
        'target_unknown',
      ],
      [
        'TE-16 OA-07 a scope beyond the subject token',
        'invalid_scope',
        { subject: { claims: { scope: 'shop:browse' } } },
        'scope_not_justified',
      ],
      [
        'TE-16 OA-07 a client that may exchange nothing',
        'unauthorized_client',
        { headers: { 'x-forwarded-client-cert': xfcc('stranger') } },
        'client_unknown',
      ],
      [
        'TE-16 OA-07 CA-05 a client that fails to authenticate',
        'invalid_client',
        bySvid({ claims: { exp: seconds() - 1 } }),
        'client_assertion_expired',
      ],
      [
        'TE-16 a token type that is not understood is invalid_request, not unsupported_token_type',
        'invalid_request',
        form({ subject_token_type: 'urn:example:x' }),
        'subject_token_type_unsupported',
      ],
      [
        'OA-07 another grant',
        'unsupported_grant_type',
        form({ grant_type: 'client_credentials' }),
        'grant_type_unsupported',
      ],
      [
        'OA-07 a malformed request',
        'invalid_request',
        form({ audience: undefined }),
        'target_missing',
      ],
    ]
    for (const [name, error, change, reason] of codes) {
      it(name, async () => {
        const answer = await refused(full(), change, reason)
        assert.equal(answer.body.error, error)
      })
    }
  })

  describe('methods and parameters', () => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      it(`OA-01 ${method}`, async () => {
        const answer = await ask(full(), { method, ...(method === 'PUT' ? {} : { body: '' }) })
        assert.deepEqual([answer.status, answer.headers.allow], [405, 'POST'])
      })
    }
    grants('OA-02 an unknown parameter', form({ prompt: 'none', 'x-vendor': '1' }))
    grants('OA-02 an empty scope and an empty actor token', form({ scope: '', actor_token: '' }))
    refuses('OA-02 an empty audience', form({ audience: '' }), 'target_missing')
    for (const name of [
      'grant_type',
      'subject_token',
      'subject_token_type',
      'scope',
      'requested_token_type',
      'prompt',
    ]) {
      refuses(
        `OA-03 field-6 #7 ${name} twice`,
        form({ [name]: ['checkout:place', 'checkout:place'] }),
        'request_parameter_repeated',
      )
    }
    grants('OA-03 an empty repeat counts as none', form({ scope: ['checkout:place', ''] }))
  })

  describe('answers', () => {
    it('OA-04 a token is never stored on its way', async () => {
      const { answer } = await granted(full())
      assert.deepEqual(
        [answer.headers['cache-control'], answer.headers.pragma],
        ['no-store', 'no-cache'],
      )
    })
    it('OA-04 nor is a refusal', async () => {
      const answer = await refused(full(), form({ scope: 'x' }), 'scope_unknown')
      assert.equal(answer.headers['cache-control'], 'no-store')
    })
    it('OA-05 a refusal is 400, JSON, with error and description', async () => {
      const answer = await refused(full(), form({ scope: 'x' }), 'scope_unknown')
      assert.deepEqual(Object.keys(answer.body), ['error', 'error_description', 'decision_id'])
    })
    for (const scheme of ['Basic', 'Bearer', 'DPoP']) {
      it(`OA-05 a client that used ${scheme} is challenged with ${scheme}`, async () => {
        const authorization = { headers: { authorization: `${scheme} abc` } }
        const answer = await refused(full(), authorization, 'client_authorization_not_supported')
        assert.deepEqual(
          [answer.status, answer.headers['www-authenticate']],
          [401, `${scheme} realm="mesh-sts"`],
        )
      })
    }
    refuses(
      'OA-06 an Authorization header beside an assertion',
      {
        ...bySvid(),
        headers: { 'x-forwarded-client-cert': undefined, authorization: 'Basic eDp5' },
      },
      'client_methods_several',
    )
    refuses(
      'OA-06 CA-01 two assertions',
      () => {
        const { form: parameters, headers } = bySvid()
        const assertion = String(parameters?.client_assertion)
        return {
          headers: headers ?? {},
          form: { ...parameters, client_assertion: [assertion, assertion] },
        }
      },
      'request_parameter_repeated',
    )
    it('OA-08 nothing that was sent comes back', async () => {
      const sent = 'mark"er\\<script>'
      for (const name of ['audience', 'scope', 'subject_token', 'grant_type', 'client_id']) {
        const answer = await ask(full(), form({ [name]: sent }))
        assert.ok(answer.status >= 400)
        assert.equal(answer.text.includes('mark'), false, answer.text)
        assert.match(String(answer.body.error_description), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
      }
    })
  })

  describe('where credentials may be', () => {
    refuses(
      'OA-10 SB-04 a subject token in the query',
      { path: '/token?subject_token=abc' },
      'request_parameter_in_query',
    )
    refuses(
      'OA-10 an assertion in the query',
      { path: '/token?client_assertion=abc' },
      'request_parameter_in_query',
    )
    refuses(
      'TE-25 no client authentication',
      { headers: { 'x-forwarded-client-cert': undefined } },
      'client_missing',
    )
    it('TE-26 SB-09 the listener without TLS stays on loopback, where the sidecar is', (t) => {
      const listeners = `
  token: {address: 0.0.0.0:0, client_auth: [xfcc, jwt_svid, kubernetes]}
  token_mtls: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [mtls]}
  token_external: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [private_key_jwt]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}`
      refusedAtLoad(t, { settings: { listeners } }, /^must be a loopback address/)
    })
    it('TE-26 SB-09 TLS 1.2 is the least where this service ends TLS', async () => {
      await granted(full(), byPrivateKey())
      await granted(full(), byCertificate(full()))
      for (const url of [full().mtlsUrl, full().externalUrl]) {
        assert.deepEqual(await oldHandshake(url), 'refused')
      }
    })
  })
})

/** What becomes of a client that knows TLS 1.1 only. */
async function oldHandshake(url: string): Promise<string> {
  const { connect } = await import('node:tls')
  return new Promise((resolve) => {
    const socket = connect({
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    })
    socket.on('secureConnect', () => resolve(String(socket.getProtocol())))
    socket.on('error', () => resolve('refused'))
    socket.on('close', () => resolve('refused'))
  })
}
