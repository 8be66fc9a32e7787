// Owns every reason for which a request can fail and its one answer on the wire.
// Must not know how a failure came about, nor carry anything a caller sent.

/** What a caller is told. `description` is fixed text inside RFC 6749 §5.2's character set. */
export interface WireAnswer {
  readonly status: 400 | 401 | 404 | 405 | 408 | 413 | 415 | 429 | 431 | 500 | 503
  readonly error: WireError
  readonly description: string
}

/** OAuth error codes that this service answers (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2). */
export type WireError =
  | 'invalid_request'
  | 'invalid_client'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_target'
  | 'invalid_scope'
  | 'temporarily_unavailable'
  | 'server_error'

const answer = (status: WireAnswer['status'], error: WireError, description: string) =>
  ({ status, error, description }) as const satisfies WireAnswer

// One text per class: a prober learns the class and nothing of the cause (P10).
const MALFORMED = answer(400, 'invalid_request', 'the request is malformed')
const CLIENT = answer(401, 'invalid_client', 'client authentication failed')
const SUBJECT = answer(400, 'invalid_request', 'the subject token is invalid or not acceptable')
const ACTOR = answer(400, 'invalid_request', 'the actor token is invalid or not acceptable')
const TARGET = answer(
  400,
  'invalid_target',
  'the target is unknown or not available to this client',
)
const SCOPE = answer(400, 'invalid_scope', 'the scope is not available with this subject token')
const UNAVAILABLE = answer(503, 'temporarily_unavailable', 'try again later')

/** What can be wrong with any JWT that is handed in, whatever its role. */
type TokenProblem =
  | 'too_large'
  | 'malformed'
  | 'header_not_accepted'
  | 'typ_not_accepted'
  | 'algorithm_not_allowed'
  | 'issuer_not_trusted'
  | 'issuer_unavailable'
  | 'key_unknown'
  | 'signature_invalid'
  | 'claim_malformed'
  | 'expired'
  | 'not_yet_valid'

/**
 * What only proofs of a workload are refused for, as an assertion or as its own subject token; the audience
 * of anybody else's token is judged with who presents it.
 */
export type AssertionProblem = 'lifetime_too_long' | 'audience_not_accepted'

/** What can be wrong with a JWT. */
export type JwtProblem = TokenProblem | AssertionProblem

const jwtReasons = <Role extends string>(role: Role, refused: WireAnswer) =>
  ({
    [`${role}_too_large`]: refused,
    [`${role}_malformed`]: refused,
    [`${role}_header_not_accepted`]: refused,
    [`${role}_typ_not_accepted`]: refused,
    [`${role}_algorithm_not_allowed`]: refused,
    [`${role}_issuer_not_trusted`]: refused,
    [`${role}_issuer_unavailable`]: UNAVAILABLE,
    [`${role}_key_unknown`]: refused,
    [`${role}_signature_invalid`]: refused,
    [`${role}_claim_malformed`]: refused,
    [`${role}_expired`]: refused,
    [`${role}_not_yet_valid`]: refused,
  }) as Record<`${Role}_${TokenProblem}`, WireAnswer>

/** The one table reason → answer. A reason cannot exist without an answer. */
export const WIRE = {
  // request
  request_not_found: answer(404, 'invalid_request', 'there is nothing at this path'),
  request_method_not_allowed: answer(405, 'invalid_request', 'only POST is accepted here'),
  request_media_type: answer(
    415,
    'invalid_request',
    'the body must be application/x-www-form-urlencoded',
  ),
  request_too_large: answer(413, 'invalid_request', 'the request is too large'),
  request_header_too_large: answer(431, 'invalid_request', 'the request headers are too large'),
  request_timeout: answer(408, 'invalid_request', 'the request did not arrive in time'),
  request_unreadable: MALFORMED,
  request_body_missing: MALFORMED,
  request_form_malformed: MALFORMED,
  request_too_many_parameters: MALFORMED,
  request_parameter_repeated: MALFORMED,
  request_parameter_in_query: MALFORMED,
  grant_type_missing: MALFORMED,
  grant_type_unsupported: answer(400, 'unsupported_grant_type', 'only token exchange is supported'),
  subject_token_missing: MALFORMED,
  subject_token_type_missing: MALFORMED,
  subject_token_type_unsupported: SUBJECT,
  actor_token_type_missing: MALFORMED,
  actor_token_type_without_token: MALFORMED,
  actor_token_type_unsupported: ACTOR,
  requested_token_type_unsupported: MALFORMED,
  audience_malformed: TARGET,
  resource_malformed: TARGET,
  scope_malformed: SCOPE,

  // client
  client_missing: CLIENT,
  client_methods_several: answer(
    400,
    'invalid_request',
    'more than one client authentication was used',
  ),
  client_authorization_not_supported: CLIENT,
  client_assertion_type_missing: MALFORMED,
  client_assertion_missing: MALFORMED,
  client_assertion_type_unsupported: CLIENT,
  client_method_not_enabled: CLIENT,
  client_id_mismatch: CLIENT,
  client_spiffe_id_malformed: CLIENT,
  client_trust_domain_not_allowed: CLIENT,
  client_xfcc_peer_not_trusted: CLIENT,
  client_xfcc_repeated: CLIENT,
  client_xfcc_malformed: CLIENT,
  client_xfcc_json: CLIENT,
  client_xfcc_several_elements: CLIENT,
  client_xfcc_by_mismatch: CLIENT,
  client_xfcc_uri: CLIENT,
  client_certificate_missing: CLIENT,
  client_certificate_not_accepted: CLIENT,
  ...jwtReasons('client_assertion', CLIENT),
  client_assertion_lifetime_too_long: CLIENT,
  client_assertion_audience_not_accepted: CLIENT,
  client_assertion_not_registered: CLIENT,
  client_assertion_replayed: CLIENT,
  client_assertion_replay_store_unavailable: UNAVAILABLE,
  client_token_review_refused: CLIENT,
  client_token_review_unavailable: UNAVAILABLE,
  client_rate_limited: answer(429, 'temporarily_unavailable', 'too many requests from this client'),
  client_unknown: answer(400, 'unauthorized_client', 'this client may not exchange tokens here'),

  // subject and actor
  ...jwtReasons('subject_token', SUBJECT),
  subject_token_type_not_accepted: SUBJECT,
  subject_token_presenter_not_allowed: SUBJECT,
  subject_token_confirmation_unsupported: SUBJECT,
  subject_token_act_malformed: SUBJECT,
  subject_token_act_too_deep: SUBJECT,
  subject_token_may_act_malformed: SUBJECT,
  subject_token_lifetime_too_long: SUBJECT,
  subject_token_audience_not_accepted: SUBJECT,
  subject_token_review_refused: SUBJECT,
  subject_token_not_own: SUBJECT,
  ...jwtReasons('actor_token', ACTOR),
  actor_token_type_not_accepted: ACTOR,
  actor_token_presenter_not_allowed: ACTOR,
  actor_token_confirmation_unsupported: ACTOR,
  actor_token_delegated: ACTOR,

  // decision
  target_missing: answer(400, 'invalid_request', 'audience or resource is required'),
  target_unknown: TARGET,
  target_ambiguous: TARGET,
  target_not_in_calls: TARGET,
  target_not_accepted: TARGET,
  target_issuer_not_accepted: TARGET,
  target_denied: TARGET,
  deny_condition_met: SUBJECT,
  deny_condition_error: SUBJECT,
  condition_false: SUBJECT,
  condition_error: SUBJECT,
  forward_audience_mismatch: TARGET,
  ctx_failed: SUBJECT,
  embed_required_denied: TARGET,
  actor_not_allowed: ACTOR,
  act_may_act_mismatch: SUBJECT,
  act_impersonation_refused: SUBJECT,
  act_chain_too_deep: SUBJECT,
  scope_unknown: SCOPE,
  scope_not_justified: SCOPE,
  scope_none_justified: SCOPE,
  scope_condition_failed: SCOPE,

  // mint
  mint_claim_malformed: SUBJECT,
  mint_token_too_large: SUBJECT,
  mint_subject_expiring: SUBJECT,
  signing_key_unavailable: UNAVAILABLE,

  // service
  audit_unavailable: UNAVAILABLE,
  overloaded: UNAVAILABLE,
  shutting_down: UNAVAILABLE,
  internal_error: answer(500, 'server_error', 'the service failed to handle the request'),
} as const satisfies Record<string, WireAnswer>

/** A stable name for one way to fail: audit value, metric label, anchor in docs/errors.md. */
export type Reason = keyof typeof WIRE

/** An expected end that is not a success. `detail` is for the log and the audit, never the wire. */
export interface Failure {
  readonly ok: false
  readonly reason: Reason
  /** For operators; never token bytes or secrets (P7). */
  readonly detail?: string
  readonly retryAfterSeconds?: number
}

/** Expected ends are values (docs/decisions/0004): an exception means a bug. */
export type Result<T> = { readonly ok: true; readonly value: T } | Failure

/** Wraps a success. */
export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value })

/** Makes a failure; see {@link Failure}. */
export const fail = (reason: Reason, detail?: string, retryAfterSeconds?: number): Failure => ({
  ok: false,
  reason,
  ...(detail === undefined ? {} : { detail }),
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
})
