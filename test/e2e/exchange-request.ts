// Owns the valid exchange of black-box tests and how it is changed in one thing.
// Must not hold tests.
import { randomUUID } from 'node:crypto'
import {
  JWT_BEARER_ASSERTION,
  JWT_SPIFFE_ASSERTION,
  TOKEN_EXCHANGE_GRANT,
  TOKEN_TYPES,
} from '../../src/oauth/names.ts'
import { issueSvid } from '../support/certificates.ts'
import { AGENTS, CORPORATE, type Deployment, xfcc } from '../support/deployment.ts'
import { signJwt, type TestKey } from '../support/jwt-fixtures.ts'
import { CLUSTER, ISSUER } from './full-configuration.ts'
import { type FullDeployment, KEYS } from './full-deployment.ts'
import { type Answer, send } from './http-client.ts'

export type Claims = Readonly<Record<string, unknown>>

/** A token as its issuer signs it, changed; what is undefined is left out. */
export interface TokenChange {
  readonly claims?: Claims
  readonly header?: Claims
  readonly key?: TestKey
}

/** What is different from the valid exchange of {@link ask}. */
export interface Change {
  readonly listener?: 'token' | 'mtls' | 'external'
  readonly path?: string
  readonly method?: string
  /** Parameters: a list repeats one, undefined leaves it out. */
  readonly form?: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Replaces the form. */
  readonly body?: string | Buffer
  /** Header lines: a list repeats one, undefined leaves it out. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly subject?: TokenChange
  readonly localAddress?: string
  readonly clientCertificate?: { readonly certPem: string; readonly keyPem: string }
}

export const seconds = (): number => Math.floor(Date.now() / 1000)
export const spiffeId = (name: string, namespace = 'boutique'): string =>
  `spiffe://cluster.local/ns/${namespace}/sa/${name}`

/** A user's access token of the corporate issuer. */
export function userToken(full: Pick<Deployment, 'corporate'>, change: TokenChange = {}): string {
  const now = seconds()
  const claims = {
    iss: CORPORATE,
    sub: 'alice',
    aud: 'https://api.shop.example',
    scope: 'shop:browse shop:buy shop:verified',
    email: 'alice@shop.example',
    risk: 'low',
    phone: '+1',
    iat: now,
    exp: now + 3600,
    jti: randomUUID(),
    ...change.claims,
  }
  return signJwt(change.key ?? full.corporate, claims, change.header)
}

/** An agent's access token, good as actor token of frontend. */
export function agentToken(full: Pick<Deployment, 'agents'>, change: TokenChange = {}): string {
  const now = seconds()
  const claims = {
    iss: AGENTS,
    sub: 'agent-7',
    aud: 'https://agents.boutique.example',
    scope: 'shop:browse',
    iat: now,
    exp: now + 3600,
    jti: randomUUID(),
    ...change.claims,
  }
  return signJwt(change.key ?? full.agents, claims, change.header)
}

/** The parameters of an actor token. */
export const withActor = (token: string): Record<string, string> => ({
  actor_token: token,
  actor_token_type: TOKEN_TYPES.access_token,
})

/** A token that is handed in as a workload's own. */
export const asSubject = (token: string): Change => ({
  form: { subject_token: token, subject_token_type: TOKEN_TYPES.jwt },
})

/** The same exchange by a JWT-SVID; XFCC is taken away. */
export const bySvid = (change: TokenChange = {}): Change =>
  byAssertion(svidOf(change), JWT_SPIFFE_ASSERTION)

/** A JWT-SVID of frontend. */
export function svidOf(change: TokenChange = {}): string {
  const now = seconds()
  const claims = {
    sub: spiffeId('frontend'),
    aud: ISSUER,
    exp: now + 300,
    iat: now,
    ...change.claims,
  }
  return signJwt(change.key ?? KEYS.bundle, claims, { typ: 'JWT', ...change.header })
}

/** The same exchange by a projected service-account token; XFCC is taken away. */
export const byAccountToken = (change: TokenChange = {}): Change =>
  byAssertion(accountTokenOf(change), JWT_BEARER_ASSERTION)

/** A projected service-account token of frontend. */
export function accountTokenOf(change: TokenChange = {}): string {
  const now = seconds()
  const claims = {
    iss: CLUSTER,
    sub: 'system:serviceaccount:boutique:frontend',
    aud: [ISSUER],
    iat: now,
    nbf: now,
    exp: now + 3600,
    jti: randomUUID(),
    'kubernetes.io': { namespace: 'boutique', serviceaccount: { name: 'frontend', uid: 'a1' } },
    ...change.claims,
  }
  return signJwt(change.key ?? KEYS.cluster, claims, { typ: undefined, ...change.header })
}

/** A partner's exchange by private_key_jwt on its listener: a user's token for the ledger. */
export function byPrivateKey(change: TokenChange = {}): Change {
  const now = seconds()
  const claims = {
    iss: 'partners/batch',
    sub: 'partners/batch',
    aud: ISSUER,
    iat: now,
    exp: now + 60,
    jti: randomUUID(),
    ...change.claims,
  }
  const header = { typ: 'client-authentication+jwt', ...change.header }
  const { form, headers } = byAssertion(
    signJwt(change.key ?? KEYS.batch, claims, header),
    JWT_BEARER_ASSERTION,
  )
  return {
    listener: 'external',
    headers: headers ?? {},
    subject: { claims: { aud: 'https://batch.partner.example' } },
    form: { ...form, audience: 'partners/ledger', scope: 'ledger:post' },
  }
}

/** An assertion as it is. */
export const byAssertion = (assertion: string, type: string): Change => ({
  headers: { 'x-forwarded-client-cert': undefined },
  form: { client_assertion_type: type, client_assertion: assertion },
})

/** The same exchange with an X.509-SVID on the listener that ends TLS itself. */
export const byCertificate = (
  full: FullDeployment,
  overrides: Parameters<typeof issueSvid>[2] = {},
): Change => ({
  listener: 'mtls',
  headers: { 'x-forwarded-client-cert': undefined },
  clientCertificate: issueSvid(full.ca, spiffeId('frontend'), overrides),
})

/** Two changes as one; the second wins. */
export const both = (one: Change, other: Change): Change => ({
  ...one,
  ...other,
  form: { ...one.form, ...other.form },
  headers: { ...one.headers, ...other.headers },
  subject: {
    ...one.subject,
    ...other.subject,
    claims: { ...one.subject?.claims, ...other.subject?.claims },
    header: { ...one.subject?.header, ...other.subject?.header },
  },
})

/** Sends frontend's exchange of a user's token for checkout, through its sidecar, with one thing changed. */
export function ask(full: FullDeployment, change: Change = {}): Promise<Answer> {
  const listener = change.listener ?? 'token'
  const base = { token: full.tokenUrl, mtls: full.mtlsUrl, external: full.externalUrl }[listener]
  const headers: Record<string, string | readonly string[] | undefined> = {
    'content-type': 'application/x-www-form-urlencoded',
    'x-forwarded-client-cert': xfcc('frontend'),
    ...change.headers,
  }
  const certificate = change.clientCertificate
  return send({
    url: new URL(change.path ?? '/token', base).href,
    method: change.method ?? 'POST',
    headers: Object.fromEntries(
      Object.entries(headers).filter(([, value]) => value !== undefined),
    ) as Record<string, string | string[]>,
    body: change.body ?? formText(full, change),
    ...(change.localAddress === undefined ? {} : { localAddress: change.localAddress }),
    ...(listener === 'token'
      ? {}
      : {
          tls: {
            ca: full.ca.certPem,
            ...(certificate && { cert: certificate.certPem, key: certificate.keyPem }),
          },
        }),
  })
}

/** The body of the valid exchange, with its parameters changed. */
export function formText(full: Pick<Deployment, 'corporate'>, change: Change = {}): string {
  const parameters: Record<string, string | readonly string[] | undefined> = {
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token: userToken(full, change.subject),
    subject_token_type: TOKEN_TYPES.access_token,
    audience: 'https://checkout.boutique.example',
    scope: 'checkout:place',
    ...change.form,
  }
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of value === undefined ? [] : [value].flat()) form.append(name, one)
  }
  return form.toString()
}
