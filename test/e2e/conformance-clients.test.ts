// RFC 7523 and its revision, RFC 8705, SPIFFE client authentication, SPIFFE IDs and JWT-SVIDs, RFC 9700: who may call.
// Every test changes one thing of one valid way to authenticate.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JWT_BEARER_ASSERTION, JWT_SPIFFE_ASSERTION } from '../../src/oauth/names.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { issueSvid, makeCa } from '../support/certificates.ts'
import { STS, xfcc } from '../support/deployment.ts'
import { jwksOf, makeKey } from '../support/jwt-fixtures.ts'
import {
  ask,
  both,
  byAccountToken,
  byCertificate,
  byPrivateKey,
  bySvid,
  type Change,
  type Claims,
  seconds,
  spiffeId,
  type TokenChange,
} from './exchange-request.ts'
import { ISSUER } from './full-configuration.ts'
import {
  KEYS,
  refusedAtLoad,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { eventOf, granted, refused } from './outcome.ts'

describe('conformance of client authentication', () => {
  const full = sharedFullDeployment()
  const grants = (name: string, make: () => Change) =>
    it(name, async () => void (await granted(full(), make())))
  const refuses = (name: string, make: () => Change, reason: Reason) =>
    it(name, async () => void (await refused(full(), make(), reason)))
  const key = (claims: Claims) => () => byPrivateKey({ claims })
  const svid = (token: TokenChange) => () => bySvid(token)
  const line = (text: string) => () => ({ headers: { 'x-forwarded-client-cert': text } })

  describe('private_key_jwt', () => {
    grants('CA-01 SB-03 the key that a service registered', () => byPrivateKey())
    refuses(
      'CA-01 another assertion type',
      () => both(byPrivateKey(), { form: { client_assertion_type: 'urn:example:x' } }),
      'client_assertion_type_unsupported',
    )
    refuses(
      'CA-01 the type of SVIDs for a registered key',
      () => both(byPrivateKey(), { form: { client_assertion_type: JWT_SPIFFE_ASSERTION } }),
      'client_method_not_enabled',
    )
    refuses(
      'CA-01 an assertion without its type',
      () => both(byPrivateKey(), { form: { client_assertion_type: undefined } }),
      'client_assertion_type_missing',
    )
    for (const name of ['iss', 'sub', 'aud', 'exp', 'jti']) {
      refuses(
        `CA-02 without ${name}`,
        key({ [name]: undefined }),
        'client_assertion_claim_malformed',
      )
    }
    refuses(
      'CA-02 sub is not iss',
      key({ sub: 'boutique/frontend' }),
      'client_assertion_claim_malformed',
    )
    refuses(
      'CA-02 expired, without any leeway',
      key({ iat: seconds() - 60, exp: seconds() - 1 }),
      'client_assertion_expired',
    )
    refuses('CA-02 not yet valid', key({ nbf: seconds() + 45 }), 'client_assertion_not_yet_valid')
    refuses(
      'CA-02 signed by another key',
      () => byPrivateKey({ key: KEYS.stranger, header: { kid: 'batch-1' } }),
      'client_assertion_signature_invalid',
    )
    for (const aud of [`${ISSUER}/`, 'https://STS.boutique.example', 'sts.boutique.example']) {
      refuses(`CA-03 the audience ${aud}`, key({ aud }), 'client_assertion_audience_not_accepted')
    }
    it('CA-04 field-6 #14 an assertion counts once', async () => {
      const change = byPrivateKey()
      await granted(full(), change)
      await refused(full(), change, 'client_assertion_replayed')
    })
    it('CA-04 CA-07 an assertion that was refused for its client_id can still be used', async () => {
      const change = byPrivateKey()
      await refused(
        full(),
        both(change, { form: { client_id: 'partners/other' } }),
        'client_id_mismatch',
      )
      await granted(full(), change)
    })
    refuses(
      'CA-04 exp unreasonably far',
      key({ exp: seconds() + 3600 }),
      'client_assertion_lifetime_too_long',
    )
    it('CA-05 is invalid_client, 401, with a challenge', async () => {
      const change = byPrivateKey({ claims: { exp: 1 } })
      const answer = await refused(full(), change, 'client_assertion_expired')
      assert.deepEqual([answer.status, answer.body.error], [401, 'invalid_client'])
    })
    grants('CA-06 RS256', () => byPrivateKey({ key: KEYS.batchRsa }))
    grants('CA-07 client_id equal to sub', () =>
      both(byPrivateKey(), { form: { client_id: 'partners/batch' } }),
    )
    refuses(
      'CA-08 the token endpoint as audience',
      key({ aud: `${ISSUER}/token` }),
      'client_assertion_audience_not_accepted',
    )
    refuses(
      'CA-08 the issuer and another audience',
      key({ aud: [ISSUER, 'https://other.example'] }),
      'client_assertion_audience_not_accepted',
    )
    grants('CA-08 the issuer alone, in a list', key({ aud: [ISSUER] }))
    grants('CA-09 without typ', () => byPrivateKey({ header: { typ: undefined } }))
    for (const typ of ['at+jwt', 'dpop+jwt', 'txntoken+jwt']) {
      refuses(
        `CA-09 typ ${typ}`,
        () => byPrivateKey({ header: { typ } }),
        'client_assertion_typ_not_accepted',
      )
    }
  })

  describe('service-account tokens', () => {
    grants('CA-01 a projected token', () => byAccountToken())
    it('field-6 #25 a projected token is presented again until it is renewed', async () => {
      const change = byAccountToken()
      for (let times = 0; times < 3; times++) await granted(full(), change)
    })
    for (const [name, claims, reason] of [
      [
        'the audience of the API server',
        { aud: ['https://kubernetes.default.svc'] },
        'client_assertion_audience_not_accepted',
      ],
      ['no audience', { aud: undefined }, 'client_assertion_claim_malformed'],
      [
        'ours among others',
        { aud: [ISSUER, 'https://vault.example'] },
        'client_assertion_audience_not_accepted',
      ],
      ['the life of a year', { exp: seconds() + 31_536_000 }, 'client_assertion_lifetime_too_long'],
      ['no account', { sub: 'system:node:node-1' }, 'client_assertion_claim_malformed'],
      [
        'an account that kubernetes.io does not confirm',
        { sub: 'system:serviceaccount:boutique:checkout' },
        'client_assertion_claim_malformed',
      ],
    ] as const) {
      refuses(`field-6 #23 an account token with ${name}`, () => byAccountToken({ claims }), reason)
    }
    refuses(
      'field-6 #23 an ID token of the cluster’s issuer',
      () => byAccountToken({ claims: { 'kubernetes.io': undefined } }),
      'client_assertion_claim_malformed',
    )
  })

  describe('JWT-SVIDs', () => {
    grants('SC-01 SB-03 one JWT-SVID under its type', svid({}))
    refuses(
      'SC-01 a JWT-SVID under the type of RFC 7523',
      () => both(bySvid(), { form: { client_assertion_type: JWT_BEARER_ASSERTION } }),
      'client_assertion_issuer_not_trusted',
    )
    refuses(
      'SC-02 field-6 #23 a trust domain that nobody configured',
      svid({ claims: { sub: 'spiffe://other.example/ns/boutique/sa/frontend' } }),
      'client_trust_domain_not_allowed',
    )
    for (const aud of [[ISSUER, 'spiffe://cluster.local/x'], `${ISSUER}/token`, [ISSUER, ISSUER]]) {
      refuses(
        `SC-02 CA-08 the audience ${JSON.stringify(aud)}`,
        svid({ claims: { aud } }),
        'client_assertion_audience_not_accepted',
      )
    }
    grants('SC-03 neither iss nor jti', svid({ claims: { jti: undefined, iss: undefined } }))
    it('SC-03 an iss that names a server of keys changes nothing, and is never asked', async () => {
      const iss = new URL(full().keyServer.url).origin
      const hits = full().keyServer.hits.length
      await granted(full(), bySvid({ claims: { iss } }))
      await refused(
        full(),
        bySvid({ claims: { iss }, key: KEYS.stranger }),
        'client_assertion_key_unknown',
      )
      assert.equal(full().keyServer.hits.length, hits)
    })
    it('field-6 #25 an SVID is presented again until it expires', async () => {
      const change = bySvid({ claims: { jti: 'one' } })
      for (let times = 0; times < 3; times++) await granted(full(), change)
    })
    it('SC-05 each trust domain has its own keys', async (t) => {
      const settings = bundles(
        '{cluster.local: {file: bundle.json}, partner.example: {file: partner.json}}',
      )
      const files = { 'partner.json': jwksOf([{ ...KEYS.stranger.jwk, use: 'jwt-svid' }]) }
      const other = await startFullDeployment(t, { settings, files })
      const partner = { sub: 'spiffe://partner.example/ns/boutique/sa/frontend' }
      await refused(other, bySvid({ claims: partner }), 'client_assertion_key_unknown')
      await refused(other, bySvid({ key: KEYS.stranger }), 'client_assertion_key_unknown')
      // The key is right for that trust domain: what then refuses is that no service has the identity.
      await refused(other, bySvid({ claims: partner, key: KEYS.stranger }), 'client_unknown')
    })
    for (const name of ['sub', 'aud', 'exp']) {
      refuses(
        `SP-02 without ${name}`,
        svid({ claims: { [name]: undefined } }),
        'client_assertion_claim_malformed',
      )
    }
    refuses(
      'SP-02 another header member',
      svid({ header: { cty: 'JWT' } }),
      'client_assertion_header_not_accepted',
    )
    grants('SP-02 typ JOSE', svid({ header: { typ: 'JOSE' } }))
    refuses(
      'SP-02 another typ',
      svid({ header: { typ: 'at+jwt' } }),
      'client_assertion_typ_not_accepted',
    )
    refuses(
      'SP-02 EdDSA',
      svid({ key: makeKey('EdDSA', 'bundle-1') }),
      'client_assertion_algorithm_not_allowed',
    )
    refuses(
      'SP-02 BCP-13 a JWT-SVID with white space',
      () => {
        const change = bySvid()
        return both(change, { form: { client_assertion: `${change.form?.client_assertion} ` } })
      },
      'client_assertion_malformed',
    )
    refuses('SP-03 a key for X.509-SVIDs', svid({ key: KEYS.x509 }), 'client_assertion_key_unknown')
    refuses(
      'SP-03 a key that does not say its use',
      svid({ key: KEYS.unmarked }),
      'client_assertion_key_unknown',
    )
    it('SP-03 an empty bundle revokes everything', async (t) => {
      const empty = await startFullDeployment(t, { files: { 'bundle.json': '{"keys":[]}' } })
      await refused(empty, bySvid(), 'client_assertion_key_unknown')
    })
    it('SP-04 a trust domain that stands twice is refused at load', (t) => {
      const settings = bundles(
        '{cluster.local: {file: bundle.json}, cluster.local: {file: bundle.json}}',
      )
      refusedAtLoad(t, { settings }, /^this key is there twice$/)
    })
    it('SC-05 P4 a bundle that cannot be had is an outage', async () => {
      const change = bySvid({ claims: { sub: 'spiffe://partner.example/ns/boutique/sa/frontend' } })
      await refused(full(), change, 'client_assertion_issuer_unavailable')
    })
  })

  describe('SPIFFE IDs', () => {
    for (const path of [
      'spiffe://cluster.local/ns/boutique/sa/frontend/',
      'spiffe://cluster.local/ns//sa/frontend',
      'spiffe://cluster.local/ns/boutique/sa/./frontend',
      'spiffe://cluster.local/ns/../sa/frontend',
      'spiffe://cluster.local/ns/boutique/sa/front%65nd',
      'spiffe://Cluster.local/ns/boutique/sa/frontend',
      'spiffe://cluster.local:443/ns/boutique/sa/frontend',
      'spiffe://user@cluster.local/ns/boutique/sa/frontend',
      'spiffe://cluster.local/ns/boutique/sa/frontend?x',
      'spiffe://cluster.local/ns/boutique/sa/frontend#x',
      'SPIFFE://cluster.local/ns/boutique/sa/frontend',
      'spiffe://cluster.local',
      'https://cluster.local/ns/boutique/sa/frontend',
      `spiffe://cluster.local/${'a'.repeat(2048)}`,
    ]) {
      const shown = path.slice(0, 60)
      refuses(
        `SP-01 in an SVID: ${shown}`,
        svid({ claims: { sub: path } }),
        path.length > 2048 ? 'client_assertion_claim_malformed' : 'client_spiffe_id_malformed',
      )
      refuses(
        `SP-01 from the sidecar: ${shown}`,
        line(`By=${STS};Hash=${'0'.repeat(64)};Subject="";URI="${path}"`),
        'client_spiffe_id_malformed',
      )
    }
    it('SP-01 letters differ by case: another path is another workload', async () => {
      await refused(full(), line(xfcc('Frontend'))(), 'client_unknown')
    })
  })

  describe('X.509-SVIDs', () => {
    it('SC-04 SB-03 the URI SAN is the caller', async () => {
      const { claims } = await granted(full(), byCertificate(full()))
      assert.equal(claims.client_id, spiffeId('frontend'))
    })
    it('SC-04 MT-01 client_id may say the same, and nothing else', async () => {
      const change = (client_id: string) => both(byCertificate(full()), { form: { client_id } })
      await granted(full(), change(spiffeId('frontend')))
      await refused(full(), change(spiffeId('checkout')), 'client_id_mismatch')
    })
    for (const [name, overrides] of [
      ['two URI SANs', { uris: [spiffeId('frontend'), spiffeId('checkout')] }],
      ['no URI SAN', { uris: [], dns: ['frontend.boutique'] }],
      ['the powers of an authority', { isCa: true }],
      ['keyCertSign', { keyUsage: ['digitalSignature', 'keyCertSign'] }],
    ] as const) {
      refuses(
        `SC-04 a certificate with ${name}`,
        () => byCertificate(full(), overrides),
        'client_certificate_not_accepted',
      )
    }
    it('SC-04 a certificate without digitalSignature ends in the handshake', async () => {
      const change = byCertificate(full(), { keyUsage: ['keyEncipherment'] })
      await assert.rejects(ask(full(), change))
    })
    it('SC-06 an authority outside the bundle is not believed, whatever its name', async () => {
      const clientCertificate = issueSvid(makeCa('cluster.local'), spiffeId('frontend'))
      await assert.rejects(ask(full(), { listener: 'mtls', clientCertificate }))
    })
    it('SC-06 an empty bundle does not mean the system’s authorities', async (t) => {
      await assert.rejects(
        startFullDeployment(t, { files: { 'mesh.crt': '' } }),
        /the client bundle holds no certificate/,
      )
    })
    it('MT-02 the URI SAN is the one registered name: another certificate is another client', async () => {
      const clientCertificate = issueSvid(full().ca, spiffeId('checkout'))
      const change = { ...byCertificate(full()), clientCertificate }
      const answer = await refused(full(), change, 'target_not_in_calls')
      const event = eventOf(full(), answer.body.decision_id)
      assert.equal(event?.caller.service, 'boutique/checkout')
    })
    refuses(
      'MT-02 a certificate that no service registered',
      () => ({
        ...byCertificate(full()),
        clientCertificate: issueSvid(full().ca, spiffeId('stranger')),
      }),
      'client_unknown',
    )
  })

  describe('one proof counts, and only from where it may come', () => {
    refuses(
      'SB-07 P8 field-6 #16 XFCC of a peer that is not the sidecar',
      () => ({ localAddress: '127.0.0.9' }),
      'client_xfcc_peer_not_trusted',
    )
    refuses(
      'SB-07 P8 field-6 #16 XFCC on the listener for partners',
      () => ({ listener: 'external', headers: { 'x-forwarded-client-cert': xfcc('frontend') } }),
      'client_method_not_enabled',
    )
    it('SB-07 P8 field-6 #16 XFCC beside a certificate on the listener that ends TLS itself is ignored', async () => {
      const change = {
        ...byCertificate(full()),
        headers: { 'x-forwarded-client-cert': xfcc('checkout') },
      }
      const { claims } = await granted(full(), change)
      assert.equal(claims.client_id, spiffeId('frontend'))
    })
    it('P8 an assertion that fails is not made up for by the sidecar', async () => {
      const { form } = bySvid({ claims: { exp: 1 } })
      await refused(full(), { form: form ?? {} }, 'client_assertion_expired')
    })
    it('P8 beside an assertion the sidecar is only the peer', async () => {
      const { form } = bySvid()
      const headers = { 'x-forwarded-client-cert': xfcc('checkout') }
      const { event } = await granted(full(), { form: form ?? {}, headers })
      assert.deepEqual(
        [event.caller.id, event.caller.method, event.caller.peer],
        [spiffeId('frontend'), 'jwt_svid', `127.0.0.1 ${spiffeId('checkout')}`],
      )
    })
  })
})

/** The client authentication of a full deployment with other bundles. */
const bundles = (text: string) => ({
  client_auth: `
  xfcc: {proxies: [127.0.0.1], mode: sanitize_set, self: ${STS}}
  mtls: {trust_domain: cluster.local, bundle_file: mesh.crt}
  jwt_svid: {bundles: ${text}}
  kubernetes: {trust_domain: cluster.local, issuer: https://kubernetes.default.svc.cluster.local, audience: ${ISSUER}, jwks_file: cluster.jwks.json}
  private_key_jwt: {}`,
})
