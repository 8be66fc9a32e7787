// Owns an OpenID provider that we did not write (oidc-provider), on loopback, and a user's browser for it.
// Must not hold tests.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as oauth from 'oauth4webapi'
// @ts-expect-error: the package ships no types; what is used of it is declared below.
import Provider from 'oidc-provider'
import { makeKey } from '../support/jwt-fixtures.ts'
import type { Scope } from './full-deployment.ts'

export const SHOP_API = 'https://api.shop.example'
export const SHOP_CLIENT = 'shop'
const REDIRECT = 'https://shop.example/callback'

/** Tokens that the provider issued to the shop for a user. */
export interface UserTokens {
  readonly accessToken: string
  readonly idToken: string
}

export interface IndependentIssuer {
  readonly issuer: string
  /** The authorization code flow with PKCE, as the shop and its user go through it. */
  readonly logIn: (user: string, scope: string) => Promise<UserTokens>
  /** An access token for the shop itself. */
  readonly clientCredentials: (scope: string) => Promise<string>
}

interface Callback {
  callback(): (request: unknown, response: unknown) => void
}

/** Starts the provider; it ends with the scope. */
export async function startIndependentIssuer(scope: Scope): Promise<IndependentIssuer> {
  let provider: Callback | undefined
  const server = createServer((request, response) => provider?.callback()(request, response))
  server.listen(0, '127.0.0.1')
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  scope.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  provider = new Provider(issuer, configuration()) as Callback

  const insecure = { [oauth.allowInsecureRequests]: true }
  const as = await oauth.processDiscoveryResponse(
    new URL(issuer),
    await oauth.discoveryRequest(new URL(issuer), insecure),
  )
  const client: oauth.Client = { client_id: SHOP_CLIENT, id_token_signed_response_alg: 'ES256' }
  const authentication = oauth.ClientSecretBasic('shop-secret')

  return {
    issuer,
    async logIn(user, wanted) {
      const verifier = oauth.generateRandomCodeVerifier()
      const url = new URL(as.authorization_endpoint ?? '')
      url.search = new URLSearchParams({
        client_id: SHOP_CLIENT,
        redirect_uri: REDIRECT,
        response_type: 'code',
        scope: `openid ${wanted}`,
        resource: SHOP_API,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }).toString()
      const back = await browse(url, user)
      const parameters = oauth.validateAuthResponse(as, client, back, oauth.expectNoState)
      const response = await oauth.authorizationCodeGrantRequest(
        as,
        client,
        authentication,
        parameters,
        REDIRECT,
        verifier,
        insecure,
      )
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, response)
      return { accessToken: tokens.access_token, idToken: String(tokens.id_token) }
    },
    async clientCredentials(wanted) {
      const response = await oauth.clientCredentialsGrantRequest(
        as,
        client,
        authentication,
        { scope: wanted, resource: SHOP_API },
        insecure,
      )
      return (await oauth.processClientCredentialsResponse(as, client, response)).access_token
    },
  }
}

function configuration(): object {
  const key = makeKey('ES256', 'op-1')
  const roles = ['shopper']
  return {
    jwks: {
      keys: [
        { ...key.privateKey.export({ format: 'jwk' }), kid: 'op-1', alg: 'ES256', use: 'sig' },
      ],
    },
    clients: [
      {
        client_id: SHOP_CLIENT,
        client_secret: 'shop-secret',
        redirect_uris: [REDIRECT],
        grant_types: ['authorization_code', 'client_credentials'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    cookies: { keys: ['test'] },
    claims: { openid: ['sub', 'roles'] },
    conformIdTokenClaims: false,
    findAccount: (_context: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, roles }),
    }),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'shop:browse shop:buy shop:verified',
          audience: SHOP_API,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    ttl: {
      AccessToken: 600,
      IdToken: 600,
      ClientCredentials: 600,
      Interaction: 60,
      Session: 60,
      Grant: 60,
    },
  }
}

/** A user's way through the provider's pages: signs in, consents, and is sent back to the shop. */
async function browse(start: URL, user: string): Promise<URL> {
  const jar = new Map<string, string>()
  let url = start
  let form: URLSearchParams | undefined
  for (let pages = 0; pages < 20; pages++) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    const page = await response.text()
    const location = response.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      form = undefined
      if (url.href.startsWith(REDIRECT)) return url
      continue
    }
    const prompt = /name="prompt" value="([a-z]+)"/.exec(page)?.[1]
    const action = /action="([^"]+)"/.exec(page)?.[1]
    if (prompt === undefined || action === undefined)
      throw new Error(`no way on: ${page.slice(0, 500)}`)
    url = new URL(action, url)
    form = new URLSearchParams({ prompt, login: user, password: 'x' })
  }
  throw new Error('the provider sends its user around in circles')
}
