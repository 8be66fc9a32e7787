// Owns the identity provider of the development profile: its users, and a fresh access token for each of them.
// Must not be reachable from production: nothing but cli/dev.ts uses this folder.
import { type JWTPayload, SignJWT } from 'jose'
import type { DevelopmentKey } from './development-key.ts'

/** Who the token of a user is addressed to (`aud`). */
export const SHOP_API = 'https://api.shop.example'
export const SUPPORT_API = 'https://support.shop.example'
export const REPORTS_API = 'https://reports.shop.example'

/** Longer than any token of the shipped rules, so that a target's lifetime is seen to shorten it. */
export const USER_TOKEN_LIFETIME_SECONDS = 600

/** A user of the development profile. */
export interface DevelopmentUser {
  readonly audience: string
  readonly scope: string
  /** What there is to drop. */
  readonly claims: JWTPayload
  /** True where the signature is made with a key that is not published. */
  readonly forged?: boolean
}

/** The users, by `sub`. */
export const USERS: ReadonlyMap<string, DevelopmentUser> = new Map([
  ['alice', shopper('alice', 'shop:browse shop:buy shop:verified', ['pwd', 'otp'])],
  ['bob', shopper('bob', 'shop:browse', ['pwd'])],
  // Whoever claims to be somebody and cannot prove it.
  ['mallory', { ...shopper('mallory', 'shop:browse shop:buy shop:verified', []), forged: true }],
  [
    'erin',
    {
      audience: SUPPORT_API,
      scope: 'support:orders support:refunds',
      claims: { email: 'erin@shop.example', email_verified: true, amr: ['hwk'] },
    },
  ],
])

function shopper(name: string, scope: string, amr: readonly string[]): DevelopmentUser {
  return {
    audience: SHOP_API,
    scope,
    claims: {
      email: `${name}@example.com`,
      email_verified: true,
      phone_number: '+1 555 0100',
      address: { street_address: '1 Analytical Way', locality: 'London', country: 'GB' },
      amr,
    },
  }
}

export interface IdentityProviderOptions {
  /** Its `iss`, and where it is reached. */
  readonly issuer: string
  readonly key: DevelopmentKey
  /** Signs what `forged` users present; its public half is never published. */
  readonly unpublishedKey: DevelopmentKey
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly newTokenId: () => string
}

/** What the profile asks of it. */
export interface IdentityProvider {
  /** OpenID Connect Discovery §3, as far as a token service reads it. */
  readonly discovery: object
  readonly jwks: object
  /** A fresh `at+jwt` (RFC 9068) of a user, or undefined where there is no such user. */
  readonly tokenFor: (user: string) => Promise<string | undefined>
}

/** Makes an identity provider; it listens nowhere by itself. */
export function createIdentityProvider(options: IdentityProviderOptions): IdentityProvider {
  const { issuer, key, unpublishedKey } = options
  return {
    discovery: {
      issuer,
      jwks_uri: `${issuer}/jwks.json`,
      response_types_supported: ['token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [key.algorithm],
    },
    jwks: { keys: [{ ...key.publicJwk, use: 'sig' }] },
    async tokenFor(name) {
      const user = USERS.get(name)
      if (user === undefined) return undefined
      const issuedAt = Math.floor(options.now() / 1000)
      // A forger writes the kid of the key that he would like to have.
      const { privateKey } = user.forged === true ? unpublishedKey : key
      return new SignJWT({ ...user.claims, scope: user.scope, client_id: 'shop-web' })
        .setProtectedHeader({ alg: key.algorithm, typ: 'at+jwt', kid: key.kid })
        .setIssuer(issuer)
        .setSubject(name)
        .setAudience(user.audience)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + USER_TOKEN_LIFETIME_SECONDS)
        .setJti(options.newTokenId())
        .sign(privateKey)
    },
  }
}
