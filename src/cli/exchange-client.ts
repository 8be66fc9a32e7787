// Owns the HTTP side of `mesh-sts exchange`: discovery, the request, verification of what comes back.
// Must not follow redirects with tokens in hand, nor print.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import { SIGNING_ALGORITHMS } from '../jwt/algorithms.ts'
import {
  DECISION_ID_HEADER,
  JWT_BEARER_ASSERTION,
  JWT_SPIFFE_ASSERTION,
  TOKEN_EXCHANGE_GRANT,
  TOKEN_TYPES,
  type TokenType,
} from '../oauth/names.ts'

/** An end that a person can do something about; the message says what happened. */
export class ClientError extends Error {}

/** What an authorization server says about itself (RFC 8414), as far as it is needed. */
export interface Discovered {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly jwksUri: string
}

/** Everything of one exchange. */
export interface ExchangeRequest {
  readonly tokenEndpoint: string
  readonly subjectToken: string
  readonly subjectTokenType: TokenType
  readonly assertion: { readonly kind: 'spiffe' | 'bearer'; readonly token: string }
  readonly actorToken: string | undefined
  readonly audience: string | undefined
  readonly resource: string | undefined
  readonly scope: string | undefined
}

/** The answer of a token endpoint. */
export type ExchangeAnswer =
  | {
      readonly granted: true
      readonly decisionId: string | undefined
      readonly accessToken: string
      readonly response: Readonly<Record<string, unknown>>
    }
  | {
      readonly granted: false
      readonly decisionId: string | undefined
      readonly status: number
      readonly error: string
      readonly description: string
    }

/** How the received token was verified. */
export interface Verified {
  readonly claims: JWTPayload
  readonly kid: string
  readonly algorithm: string
}

/** A person waits no longer. */
const TIMEOUT_MS = 10_000
/** Key sets and metadata are a few KiB, a token at most 8. */
const MAX_ANSWER_CHARACTERS = 256 * 1024

/** Tokens and keys travel in clear text only where nobody listens. */
export function requireSafeUrl(text: string): URL {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new ClientError(`${JSON.stringify(text)} is no URL`)
  }
  const isLocal = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLocal)) return url
  throw new ClientError(`${text}: only https, or http on this machine`)
}

/** Reads the metadata of an issuer (RFC 8414 §3); its `issuer` must be the one that was asked for. */
export async function discover(issuer: string, signal: AbortSignal): Promise<Discovered> {
  const url = requireSafeUrl(issuer)
  const path = url.pathname === '/' ? '' : url.pathname
  const at = `${url.origin}/.well-known/oauth-authorization-server${path}`
  const metadata = await getJson(at, signal)
  const { issuer: named, token_endpoint: tokenEndpoint, jwks_uri: jwksUri } = metadata
  if (named !== issuer) throw new ClientError(`${at} speaks for another issuer than ${issuer}`)
  if (typeof tokenEndpoint !== 'string' || typeof jwksUri !== 'string') {
    throw new ClientError(`${at} names no token_endpoint or no jwks_uri`)
  }
  return { issuer, tokenEndpoint, jwksUri }
}

/** Sends the exchange (RFC 8693 §2.1) and reads its answer. */
export async function requestExchange(
  request: ExchangeRequest,
  signal: AbortSignal,
): Promise<ExchangeAnswer> {
  const url = requireSafeUrl(request.tokenEndpoint)
  const response = await call(url, { method: 'POST', body: formOf(request) }, signal)
  const decisionId = response.headers.get(DECISION_ID_HEADER) ?? undefined
  const body = await readJson(response, url.href)
  if (response.ok && typeof body.access_token === 'string') {
    const { access_token: accessToken, ...rest } = body
    return { granted: true, decisionId, accessToken, response: rest }
  }
  return {
    granted: false,
    decisionId,
    status: response.status,
    error: textOf(body.error),
    description: textOf(body.error_description),
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function formOf(request: ExchangeRequest): URLSearchParams {
  const form = new URLSearchParams({
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token: request.subjectToken,
    subject_token_type: TOKEN_TYPES[request.subjectTokenType],
    client_assertion_type:
      request.assertion.kind === 'spiffe' ? JWT_SPIFFE_ASSERTION : JWT_BEARER_ASSERTION,
    client_assertion: request.assertion.token,
  })
  if (request.actorToken !== undefined) {
    form.set('actor_token', request.actorToken)
    form.set('actor_token_type', TOKEN_TYPES.access_token)
  }
  for (const name of ['audience', 'resource', 'scope'] as const) {
    const value = request[name]
    if (value !== undefined) form.set(name, value)
  }
  return form
}

/** Verifies an issued token as a service behind the mesh would: issuer, type, signature, times. */
export async function verifyIssued(
  token: string,
  { issuer, jwksUri }: Discovered,
  now: number,
  signal: AbortSignal,
): Promise<Verified> {
  const jwks = await getJson(requireSafeUrl(jwksUri).href, signal)
  try {
    const keys = createLocalJWKSet(jwks as unknown as JSONWebKeySet)
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer,
      typ: 'at+jwt',
      algorithms: [...SIGNING_ALGORITHMS],
      requiredClaims: ['exp', 'iat', 'sub', 'aud'],
      currentDate: new Date(now),
      // Two clocks are never quite one.
      clockTolerance: 5,
    })
    return { claims: payload, kid: protectedHeader.kid ?? '', algorithm: protectedHeader.alg }
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    throw new ClientError(`the received token does not verify with ${jwksUri}: ${error.message}`)
  }
}

/** Reads a short text, such as a fresh credential of the development profile. */
export async function getText(url: string, signal: AbortSignal): Promise<string> {
  const response = await call(requireSafeUrl(url), {}, signal)
  const text = await readText(response, url)
  if (!response.ok) throw new ClientError(`${url} answered ${response.status}: ${text.trim()}`)
  return text.trim()
}

async function getJson(url: string, signal: AbortSignal): Promise<Record<string, unknown>> {
  const response = await call(new URL(url), {}, signal)
  if (!response.ok) throw new ClientError(`${url} answered ${response.status}`)
  return readJson(response, url)
}

async function call(url: URL, init: RequestInit, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    })
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const code = (cause as NodeJS.ErrnoException).code
    const why = code === 'ECONNREFUSED' ? 'nothing listens there' : String(code ?? cause)
    throw new ClientError(`cannot reach ${url.origin}: ${why}`)
  }
}

async function readText(response: Response, url: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_ANSWER_CHARACTERS) throw new ClientError(`${url} answered too much`)
  }
  return text + decoder.decode()
}

async function readJson(response: Response, url: string): Promise<Record<string, unknown>> {
  const text = await readText(response, url)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new ClientError(`${url} answered ${response.status} and no JSON object`)
}
