// The server as others see it: a client that we did not write (oauth4webapi) exchanges tokens of an issuer that
// we did not write (oidc-provider), and verifies what it gets.
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import * as oauth from 'oauth4webapi'
import { JWT_SPIFFE_ASSERTION, TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../src/oauth/names.ts'
import { bySvid, spiffeId } from './exchange-request.ts'
import { BOUTIQUE_RULES, ISSUER, PARTNER_RULES } from './full-configuration.ts'
import {
  type FullDeployment,
  type FullOptions,
  KEYS,
  sharedFullDeployment,
} from './full-deployment.ts'
import { type Answer, send } from './http-client.ts'
import {
  type IndependentIssuer,
  SHOP_API,
  SHOP_CLIENT,
  startIndependentIssuer,
} from './independent-issuer.ts'
import { eventOf } from './outcome.ts'

const CHECKOUT = 'https://checkout.boutique.example'
const LEDGER = 'https://ledger.partner.example'
const OPENID_SCOPES = 'shop:buy shop:verified'

describe('a client and an issuer that others wrote', () => {
  const closers: (() => unknown)[] = []
  let op: IndependentIssuer
  before(async () => {
    op = await startIndependentIssuer({
      after: (close) => void closers.push(close as () => unknown),
    })
  })
  after(() => {
    for (const close of closers) close()
  })
  const full = sharedFullDeployment(() => trusting(op.issuer))

  /** The metadata, found by the client itself. */
  const discover = async (algorithm: 'oauth2' | 'oidc'): Promise<oauth.AuthorizationServer> => {
    const response = await oauth.discoveryRequest(new URL(ISSUER), {
      algorithm,
      [oauth.customFetch]: routed(full()),
    })
    return oauth.processDiscoveryResponse(new URL(ISSUER), response)
  }

  /** A token exchange as the client's library sends and judges it. */
  const exchange = async (
    as: oauth.AuthorizationServer,
    client: oauth.Client,
    authentication: oauth.ClientAuth,
    parameters: Record<string, string>,
  ): Promise<oauth.TokenEndpointResponse> => {
    const response = await oauth.genericTokenEndpointRequest(
      as,
      client,
      authentication,
      TOKEN_EXCHANGE_GRANT,
      { subject_token_type: TOKEN_TYPES.access_token, ...parameters },
      { [oauth.customFetch]: routed(full()) },
    )
    return oauth.processGenericTokenEndpointResponse(as, client, response)
  }

  /** The token as a resource server of that library takes it. */
  const validate = (
    as: oauth.AuthorizationServer,
    token: string,
    audience: string,
  ): Promise<oauth.JWTAccessTokenClaims> =>
    oauth.validateJwtAccessToken(
      as,
      new Request(audience, { headers: { authorization: `Bearer ${token}` } }),
      audience,
      { [oauth.customFetch]: routed(full()), signingAlgorithms: ['ES256'] },
    )

  const frontend: oauth.Client = { client_id: spiffeId('frontend') }

  for (const algorithm of ['oauth2', 'oidc'] as const) {
    it(`MD-01 MD-02 MD-10 the client finds the server by ${algorithm} discovery`, async () => {
      const as = await discover(algorithm)
      assert.equal(as.issuer, ISSUER)
      assert.deepEqual(as.grant_types_supported, [TOKEN_EXCHANGE_GRANT])
    })
  }

  it('TE-09 AT-03 AT-08 a user’s access token, with a JWT-SVID as client assertion', async () => {
    const as = await discover('oauth2')
    const { accessToken } = await op.logIn('alice', OPENID_SCOPES)
    const tokens = await exchange(as, frontend, jwtSvid, {
      subject_token: accessToken,
      audience: CHECKOUT,
      scope: 'checkout:place',
    })
    const claims = await validate(as, tokens.access_token, CHECKOUT)
    assert.equal(claims.sub, 'op:alice')
    assert.deepEqual(claims.act, { sub: spiffeId('frontend') })
    await assert.rejects(validate(as, tokens.access_token, LEDGER), /unexpected JWT "aud"/)
  })

  it('TE-17 a user’s ID token, whose roles count as scopes', async () => {
    const as = await discover('oidc')
    const { idToken } = await op.logIn('bob', OPENID_SCOPES)
    const tokens = await exchange(as, frontend, jwtSvid, {
      subject_token: idToken,
      subject_token_type: TOKEN_TYPES.id_token,
      audience: CHECKOUT,
    })
    assert.equal(tokens.scope, 'checkout:quote')
    const claims = await validate(as, tokens.access_token, CHECKOUT)
    assert.equal(claims.sub, 'op:bob')
  })

  it('the issuer’s token for the client itself', async () => {
    const as = await discover('oauth2')
    const tokens = await exchange(as, frontend, jwtSvid, {
      subject_token: await op.clientCredentials(OPENID_SCOPES),
      audience: CHECKOUT,
    })
    const claims = await validate(as, tokens.access_token, CHECKOUT)
    assert.equal(claims.sub, `op:${SHOP_CLIENT}`)
  })

  it('CA-01 CA-02 CA-08 SB-03 the library’s own private_key_jwt, over TLS', async () => {
    const as = await discover('oauth2')
    const key = await importSigningKey()
    const batch: oauth.Client = { client_id: 'partners/batch' }
    const { accessToken } = await op.logIn('alice', OPENID_SCOPES)
    const authentication = oauth.PrivateKeyJwt({ key, kid: 'batch-1' })
    const tokens = await exchange(as, batch, authentication, {
      subject_token: accessToken,
      audience: LEDGER,
      scope: 'ledger:post',
    })
    const claims = await validate(as, tokens.access_token, LEDGER)
    assert.deepEqual(
      [claims.client_id, claims.act],
      ['partners/batch', { iss: ISSUER, sub: 'partners/batch' }],
    )
  })

  it('OA-05 TE-15 the client understands refusals', async () => {
    const as = await discover('oauth2')
    const { accessToken } = await op.logIn('alice', OPENID_SCOPES)
    const refusal = exchange(as, frontend, jwtSvid, {
      subject_token: accessToken,
      audience: 'payment',
    })
    await assert.rejects(refusal, (error: oauth.ResponseBodyError) => {
      assert.equal(error.code, oauth.RESPONSE_BODY_ERROR)
      assert.equal(error.error, 'invalid_target')
      const event = eventOf(full(), error.cause.decision_id)
      assert.equal(event?.reason, 'target_not_in_calls')
      return true
    })
    const expired = (_as: unknown, _client: unknown, body: URLSearchParams) =>
      addAssertion(body, { exp: 1 })
    const unauthenticated = exchange(as, frontend, expired, {
      subject_token: accessToken,
      audience: CHECKOUT,
    })
    await assert.rejects(unauthenticated, (error: oauth.WWWAuthenticateChallengeError) => {
      assert.deepEqual([error.code, error.status], [oauth.WWW_AUTHENTICATE_CHALLENGE, 401])
      return true
    })
  })

  it('P4 when the issuer goes away its tokens are still verified, by the keys that are known', async () => {
    const as = await discover('oauth2')
    const { accessToken } = await op.logIn('carol', OPENID_SCOPES)
    for (const close of closers) await close()
    const tokens = await exchange(as, frontend, jwtSvid, {
      subject_token: accessToken,
      audience: CHECKOUT,
    })
    assert.ok(tokens.access_token)
    await assert.rejects(op.clientCredentials(OPENID_SCOPES))
  })
})

/** The issuer as a trusted one: found by discovery, on http by the named relaxation. */
const trusting = (issuer: string): FullOptions => ({
  issuers: `
op:
  issuer: ${issuer}
  discovery: true
  algorithms: [ES256]
  token_types: [access_token, id_token]
  presented_by:
    ${SHOP_API}: [boutique/frontend, partners/batch]
    ${SHOP_CLIENT}: [boutique/frontend]
  scopes_from: [scope, {claim: roles, prefix: 'role:'}]
  subject_prefix: op
`,
  files: {
    'rules/boutique.yaml': BOUTIQUE_RULES.replace(
      '      - from: frontend\n        issuer: agents',
      `      - from: frontend
        issuer: op
        scopes:
          checkout:quote: ['role:shopper', shop:browse]
          checkout:place: {all: [shop:buy, shop:verified]}
      - from: frontend
        issuer: agents`,
    ),
    'rules/partners.yaml': PARTNER_RULES.replace(
      'from: batch, issuer: corporate,',
      'from: batch, issuer: op,',
    ),
  },
})

/** A JWT-SVID as the Workload API would give it: the library has no helper, so this is the hook for others. */
const jwtSvid: oauth.ClientAuth = (_as, _client, body) => addAssertion(body, {})

function addAssertion(body: URLSearchParams, claims: Record<string, unknown>): void {
  body.set('client_assertion_type', JWT_SPIFFE_ASSERTION)
  body.set('client_assertion', String(bySvid({ claims }).form?.client_assertion))
}

const importSigningKey = (): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey(
    'jwk',
    KEYS.batch.privateKey.export({ format: 'jwk' }),
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  )

/** Sends what goes to the issuer's host to the listeners that stand for it here; partners have their own. */
function routed(full: FullDeployment) {
  return async <Method, Body>(
    url: string,
    { method, headers, body }: oauth.CustomFetchOptions<Method, Body>,
  ): Promise<Response> => {
    const { origin, pathname } = new URL(url)
    assert.equal(origin, ISSUER)
    const text = body === undefined || body === null ? undefined : String(body)
    const isPartner = text?.includes('client_id=partners') === true
    const target =
      pathname === '/token'
        ? isPartner
          ? full.externalUrl
          : full.tokenUrl
        : `${full.publicUrl}${pathname}`
    const answer = await send({
      url: target,
      method: String(method),
      headers,
      ...(text === undefined ? {} : { body: text }),
      ...(isPartner ? { tls: { ca: full.ca.certPem } } : {}),
    })
    return responseOf(answer)
  }
}

const responseOf = ({ status, headers, text }: Answer): Response =>
  new Response(text, {
    status,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]),
  })
