// Owns the valid exchange of black-box tests and how it is changed in one thing; and how a refusal is judged.
// Must not hold tests.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { AuditEvent } from '../../src/audit/event.ts'
import { queryAudit } from '../../src/audit/query.ts'
import {
  JWT_BEARER_ASSERTION,
  JWT_SPIFFE_ASSERTION,
  TOKEN_EXCHANGE_GRANT,
  TOKEN_TYPES,
} from '../../src/oauth/names.ts'
import { type Reason, WIRE, type WireAnswer } from '../../src/oauth/reasons.ts'
import { issueSvid } from '../support/certificates.ts'
import { AGENTS, CORPORATE, type Deployment, xfcc } from '../support/deployment.ts'
import { signJwt, type TestKey } from '../support/jwt-fixtures.ts'
import { CLUSTER, type FullDeployment, ISSUER, KEYS } from './full-deployment.ts'
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

/** The same exchange by a JWT-SVID; XFCC is taken away. */
export function bySvid(change: TokenChange = {}): Change {
  const now = seconds()
  const claims = {
    sub: spiffeId('frontend'),
    aud: ISSUER,
    exp: now + 300,
    iat: now,
    ...change.claims,
  }
  return byAssertion(
    signJwt(change.key ?? KEYS.bundle, claims, { typ: 'JWT', ...change.header }),
    JWT_SPIFFE_ASSERTION,
  )
}

/** The same exchange by a projected service-account token; XFCC is taken away. */
export function byAccountToken(change: TokenChange = {}): Change {
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
  return byAssertion(
    signJwt(change.key ?? KEYS.cluster, claims, { typ: undefined, ...change.header }),
    JWT_BEARER_ASSERTION,
  )
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

/** The event of a decision, or undefined where there is none. */
export function eventOf(
  deployment: Pick<Deployment, 'db'>,
  decisionId: unknown,
): AuditEvent | undefined {
  const [event] = queryAudit(deployment.db, { decisionId: String(decisionId) })
  return event
}

/** How often a reason was counted for callers that nobody knows. */
export async function refusalsOf(
  { adminUrl }: Pick<Deployment, 'adminUrl'>,
  reason: Reason,
): Promise<number> {
  const { text } = await send({ url: `${adminUrl}/metrics` })
  const line = text
    .split('\n')
    .find((one) => one.startsWith(`mesh_sts_refusals_total{reason="${reason}"}`))
  return Number(line?.split(' ')[1] ?? 0)
}

/** Refused before the caller is known: counted, not recorded. */
export const isCounted = (reason: Reason): boolean =>
  reason !== 'client_unknown' &&
  /^(?:request_|client_|overloaded$|shutting_down$|internal_error$)/.test(reason)

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** What every refusal has on the wire: status, the whole body, and the headers that are due. */
export function assertWire(answer: Answer, reason: Reason): void {
  const wire: WireAnswer = WIRE[reason]
  const { headers, body } = answer
  assert.equal(answer.status, wire.status, answer.text)
  const decisionId = headers['mesh-sts-decision-id']
  assert.match(String(decisionId), UUID_V7)
  assert.deepEqual(body, {
    error: wire.error,
    error_description: wire.description,
    decision_id: decisionId,
  })
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers.pragma, 'no-cache')
  assert.equal('www-authenticate' in headers, wire.status === 401)
  assert.equal('retry-after' in headers, wire.status === 503 || wire.status === 429)
  if (headers['retry-after'] !== undefined) assert.match(headers['retry-after'], /^[1-9]\d{0,2}$/)
  assert.equal(headers.allow, wire.status === 405 ? 'POST' : undefined)
}

/**
 * Sends a changed exchange that must be refused for exactly this reason: on the wire, and in the audit
 * where the caller was known, else in the counter. Gives the answer.
 */
export async function refused(
  full: FullDeployment,
  change: Change,
  reason: Reason,
): Promise<Answer> {
  const before = await refusalsOf(full, reason)
  const answer = await ask(full, change)
  assertWire(answer, reason)
  const event = eventOf(full, answer.body.decision_id)
  const counted = (await refusalsOf(full, reason)) - before
  const why = `${event?.reason ?? 'no event'}: ${event?.detail ?? 'no detail'}`
  if (isCounted(reason)) {
    assert.deepEqual([event?.reason, counted], [undefined, 1], why)
  } else {
    assert.deepEqual([event?.outcome, event?.reason, counted], ['denied', reason, 0], why)
    assert.equal(event?.issued, undefined)
  }
  return answer
}

/** A granted exchange: its answer, the claims of its token, and its event. */
export interface Granted {
  readonly answer: Answer
  readonly token: string
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
  readonly event: AuditEvent
}

/** Sends a changed exchange that must be granted, recorded before the answer and never stored on the way. */
export async function granted(full: FullDeployment, change: Change = {}): Promise<Granted> {
  const answer = await ask(full, change)
  const event = eventOf(full, answer.headers['mesh-sts-decision-id'])
  assert.equal(answer.status, 200, `${answer.text} ${event?.reason} ${event?.detail}`)
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.equal(answer.headers.pragma, 'no-cache')
  assert.ok(event)
  const token = String(answer.body.access_token)
  const claims = partOf(token, 1)
  assert.deepEqual([event.outcome, event.issued?.jti], ['granted', claims.jti])
  return { answer, token, header: partOf(token, 0), claims, event }
}

function partOf(token: string, index: 0 | 1): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString())
}
