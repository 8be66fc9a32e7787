// Owns the shape of a token exchange request (RFC 8693 §2.1, RFC 8707 §2).
// Must not look at tokens, clients or rules.
import type { Form } from './form.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_TYPES, type TokenType } from './names.ts'
import { fail, ok, type Reason, type Result } from './reasons.ts'

/** A well-formed exchange request; its tokens are unverified text. */
export interface TokenRequest {
  readonly subjectToken: string
  readonly subjectTokenType: TokenType
  readonly actorToken?: { readonly token: string; readonly type: TokenType }
  /** RFC 8693 logical names and RFC 8707 absolute URIs, as sent. */
  readonly audiences: readonly string[]
  readonly resources: readonly string[]
  /** Undefined when the caller asked for none: then it gets all that is justified. */
  readonly scopes?: readonly string[]
  readonly requestedTokenType: 'access_token' | 'jwt'
}

/** What a form says about the client itself, before anything is verified. */
export interface ClientParameters {
  readonly clientId?: string
  readonly clientAssertion?: string
  readonly clientAssertionType?: string
}

const REPEATABLE = new Set(['audience', 'resource'])
/** RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/
/** RFC 3986 absolute URI, printable ASCII, without fragment (RI-01). */
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+$/
/** RFC 6749 App. A: VSCHAR. A logical name or a URI is printable ASCII; it is recorded as sent. */
const AUDIENCE = /^[\x21-\x7e]+$/
/** A request means one target; more names than this for it are a mistake. */
const MAX_TARGETS = 8
/** Longer than any service name or audience; what is recorded of a request stays small. */
const MAX_TARGET_CHARACTERS = 512
/** A target with more scopes than this is several targets. */
const MAX_SCOPES = 64
/** No rule can name a longer one. */
const MAX_SCOPE_CHARACTERS = 128
/** Every JWS holds such a run, for an ES256 signature has 86 characters; labels of host names end at 63. */
const TOKEN_RUN = /[A-Za-z0-9_-]{80}/

/**
 * Whether a text may hold a token. Targets and scopes are recorded as sent, so where parameters are mixed
 * up a token must not pass for one of them (P7); no rule can name one with such a text in it.
 */
export const mayHoldToken = (text: string): boolean => TOKEN_RUN.test(text)

/**
 * Refuses what no request may have, whichever grant it is: repeated parameters other than
 * `audience` and `resource` (RFC 6749 §3.2).
 */
export function checkRepeats(form: Form): Result<Form> {
  for (const [name, values] of form) {
    if (values.length > 1 && !REPEATABLE.has(name)) return fail('request_parameter_repeated')
  }
  return ok(form)
}

/** Reads the client parameters; both halves of an assertion must come together. */
export function parseClientParameters(form: Form): Result<ClientParameters> {
  const clientId = form.get('client_id')?.[0]
  const clientAssertion = form.get('client_assertion')?.[0]
  const clientAssertionType = form.get('client_assertion_type')?.[0]
  if (clientAssertion !== undefined && clientAssertionType === undefined) {
    return fail('client_assertion_type_missing')
  }
  if (clientAssertionType !== undefined && clientAssertion === undefined) {
    return fail('client_assertion_missing')
  }
  return ok({
    ...(clientId === undefined ? {} : { clientId }),
    ...(clientAssertion === undefined ? {} : { clientAssertion }),
    ...(clientAssertionType === undefined ? {} : { clientAssertionType }),
  })
}

/** Reads the exchange itself. Unknown parameters are ignored (RFC 6749 §3.2). */
export function parseTokenRequest(form: Form): Result<TokenRequest> {
  const grantType = form.get('grant_type')?.[0]
  if (grantType === undefined) return fail('grant_type_missing')
  if (grantType !== TOKEN_EXCHANGE_GRANT) return fail('grant_type_unsupported')

  const subject = tokenParameter(form, 'subject')
  if (!subject.ok) return subject
  const actor = parseActor(form)
  if (!actor.ok) return actor
  const requested = parseRequestedType(form)
  if (!requested.ok) return requested
  const resources = form.get('resource') ?? []
  const audiences = form.get('audience') ?? []
  if (!areTargets(resources, ABSOLUTE_URI)) return fail('resource_malformed')
  if (!areTargets(audiences, AUDIENCE)) return fail('audience_malformed')
  const scopes = parseScope(form.get('scope')?.[0])
  if (!scopes.ok) return scopes

  return ok({
    subjectToken: subject.value.token,
    subjectTokenType: subject.value.type,
    audiences,
    resources,
    requestedTokenType: requested.value,
    ...(actor.value === undefined ? {} : { actorToken: actor.value }),
    ...(scopes.value === undefined ? {} : { scopes: scopes.value }),
  })
}

function areTargets(values: readonly string[], grammar: RegExp): boolean {
  return (
    values.length <= MAX_TARGETS &&
    values.every(
      (value) =>
        value.length <= MAX_TARGET_CHARACTERS && grammar.test(value) && !mayHoldToken(value),
    )
  )
}

function tokenParameter(
  form: Form,
  role: 'subject' | 'actor',
): Result<{ token: string; type: TokenType }> {
  const token = form.get(`${role}_token`)?.[0]
  const uri = form.get(`${role}_token_type`)?.[0]
  if (token === undefined) return fail('subject_token_missing')
  if (uri === undefined) return fail(`${role}_token_type_missing`)
  const type = tokenTypeOf(uri)
  if (type === undefined) return fail(`${role}_token_type_unsupported` satisfies Reason)
  return ok({ token, type })
}

/** TE-03: the type is required with the token and must not be present without it. */
function parseActor(form: Form): Result<{ token: string; type: TokenType } | undefined> {
  if (form.get('actor_token') !== undefined) return tokenParameter(form, 'actor')
  if (form.get('actor_token_type') !== undefined) return fail('actor_token_type_without_token')
  return ok(undefined)
}

function parseRequestedType(form: Form): Result<'access_token' | 'jwt'> {
  const uri = form.get('requested_token_type')?.[0]
  if (uri === undefined) return ok('access_token')
  const type = tokenTypeOf(uri)
  if (type === 'access_token' || type === 'jwt') return ok(type)
  return fail('requested_token_type_unsupported')
}

function parseScope(text: string | undefined): Result<readonly string[] | undefined> {
  if (text === undefined) return ok(undefined)
  const scopes = [...new Set(text.split(' ').filter((part) => part !== ''))]
  if (scopes.length === 0 || scopes.length > MAX_SCOPES) return fail('scope_malformed')
  return scopes.every(isScope) ? ok(scopes) : fail('scope_malformed')
}

const isScope = (scope: string): boolean =>
  scope.length <= MAX_SCOPE_CHARACTERS && SCOPE_TOKEN.test(scope) && !mayHoldToken(scope)

const TYPE_OF_URI: ReadonlyMap<string, TokenType> = new Map(
  (Object.keys(TOKEN_TYPES) as TokenType[]).map((type) => [TOKEN_TYPES[type], type]),
)

const tokenTypeOf = (uri: string): TokenType | undefined => TYPE_OF_URI.get(uri)
