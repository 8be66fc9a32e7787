// One case for every reason for which a request can fail, provoked over HTTP on a real deployment.
// A reason without a case does not compile.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { before, describe, it, type TestContext } from 'node:test'
import { createClientAuthenticator } from '../../src/clients/authenticate.ts'
import type { SpiffeId } from '../../src/clients/spiffe-id.ts'
import { JWT_SPIFFE_ASSERTION, TOKEN_TYPES } from '../../src/oauth/names.ts'
import { type Reason, WIRE } from '../../src/oauth/reasons.ts'
import type { Actor, Subject } from '../../src/subjects/subject.ts'
import { asVerified } from '../../src/subjects/subject.ts'
import { buildClaims } from '../../src/tokens/claims.ts'
import { until } from '../support/audit-store.ts'
import { xfcc } from '../support/deployment.ts'
import { makeKey } from '../support/jwt-fixtures.ts'
import {
  accountTokenOf,
  agentToken,
  ask,
  asSubject,
  byAccountToken,
  byAssertion,
  byCertificate,
  byPrivateKey,
  bySvid,
  type Change,
  type Claims,
  formText,
  seconds,
  spiffeId,
  svidOf,
  type TokenChange,
  withActor,
} from './exchange-request.ts'
import { NOWHERE } from './full-configuration.ts'
import {
  type FullDeployment,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { type Answer, rawAnswer, rawSocket } from './http-client.ts'
import { assertWire, eventOf, granted, isCounted, refusalsOf, refused } from './outcome.ts'
import { holdStore, startWithNewAlgorithm, startWithTokenReview } from './surroundings.ts'

let full: () => FullDeployment

/** How a reason is provoked. */
type Case =
  /** One change of the valid exchange, on the deployment that all cases share. */
  | { readonly change: (full: FullDeployment) => Change }
  /** Something that is no plain request, or a deployment whose surroundings are broken. */
  | { readonly provoke: (t: TestContext) => Promise<Provoked> }
  /** No request can cause it: why, and the proof at the nearest level. */
  | { readonly never: string; readonly nearest: () => void | Promise<void> }

interface Provoked {
  readonly deployment: FullDeployment
  readonly answer: Answer
  /** How often it was counted, where nobody can be asked any more. */
  readonly counted?: number
  /** The audit could not be written: nothing can stand there. */
  readonly unrecorded?: boolean
}

const change = (one: Change): Case => ({ change: () => one })
const changing = (make: (full: FullDeployment) => Change): Case => ({ change: make })
const form = (parameters: Change['form'] & object): Case => change({ form: parameters })
const subject = (token: TokenChange): Case => change({ subject: token })
const actor = (token: TokenChange): Case =>
  changing((on) => ({ form: withActor(agentToken(on, token)) }))
const xfccLine = (line: string | readonly string[]): Case =>
  change({ headers: { 'x-forwarded-client-cert': line } })
const svid = (token: TokenChange): Case => change(bySvid(token))
const bytes =
  (text: string) =>
  async (t: TestContext): Promise<Provoked> => {
    const deployment = full()
    const socket = rawSocket(t, deployment.tokenUrl)
    const answer = rawAnswer(socket)
    socket.write(text)
    return { deployment, answer: await answer }
  }

const nested = (levels: number): Claims =>
  levels === 1 ? { sub: 'agent-1' } : { sub: `agent-${levels}`, act: nested(levels - 1) }
const unknownKey = { header: { kid: 'unknown' } }
const otherKey = makeKey('ES256', 'not-published')
/** A good token whose signature is by a key that nobody published, under the kid of one that is. */
const forged = (kid: string): TokenChange => ({ key: otherKey, header: { kid, alg: 'ES256' } })
const tooLarge = { claims: { filler: 'x'.repeat(13_000) } }
const asJwk = { header: { jwk: { kty: 'EC' } } }
const symmetric = { header: { alg: 'HS256' } }

let slow: Promise<Answer> | undefined

const head = (lines: Readonly<Record<string, string>>): string =>
  [
    'POST /token HTTP/1.1',
    'Host: sts',
    'Content-Type: application/x-www-form-urlencoded',
    `X-Forwarded-Client-Cert: ${xfcc('frontend')}`,
    ...Object.entries(lines).map(([name, value]) => `${name}: ${value}`),
    '\r\n',
  ].join('\r\n')

const GATE_CLAIMS = { level: 'gold', amr: ['mfa'], tier: 'a', banned: false }

const cases = {
  // request
  request_not_found: change({ path: '/tokens' }),
  request_method_not_allowed: change({ method: 'GET', body: '' }),
  request_media_type: change({ headers: { 'content-type': 'application/json' }, body: '{}' }),
  request_too_large: form({ filler: 'x'.repeat(33_000) }),
  request_header_too_large: change({ headers: { filler: 'x'.repeat(17_000) } }),
  request_timeout: {
    provoke: async () => ({ deployment: full(), answer: await (slow as Promise<Answer>) }),
  },
  request_unreadable: { provoke: bytes('POST /token HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n') },
  request_body_missing: change({ body: '' }),
  request_form_malformed: change({ body: 'grant_type=%zz' }),
  request_too_many_parameters: form(
    Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`p${index}`, 'x'])),
  ),
  request_parameter_repeated: form({ scope: ['checkout:place', 'checkout:place'] }),
  request_parameter_in_query: change({ path: '/token?scope=checkout:place' }),
  grant_type_missing: form({ grant_type: undefined }),
  grant_type_unsupported: form({ grant_type: 'client_credentials' }),
  subject_token_missing: form({ subject_token: undefined }),
  subject_token_type_missing: form({ subject_token_type: undefined }),
  subject_token_type_unsupported: form({
    subject_token_type: 'urn:ietf:params:oauth:token-type:saml2',
  }),
  actor_token_type_missing: changing((on) => ({ form: { actor_token: agentToken(on) } })),
  actor_token_type_without_token: form({ actor_token_type: TOKEN_TYPES.access_token }),
  actor_token_type_unsupported: changing((on) => ({
    form: { ...withActor(agentToken(on)), actor_token_type: 'urn:example:actor' },
  })),
  requested_token_type_unsupported: form({ requested_token_type: TOKEN_TYPES.id_token }),
  audience_malformed: form({ audience: 'check out' }),
  resource_malformed: form({ audience: undefined, resource: '/checkout' }),
  scope_malformed: form({ scope: 'checkout:place "' }),

  // client
  client_missing: change({ headers: { 'x-forwarded-client-cert': undefined } }),
  client_methods_several: change({
    ...bySvid(),
    headers: { 'x-forwarded-client-cert': undefined, authorization: 'Bearer x' },
  }),
  client_authorization_not_supported: change({ headers: { authorization: 'Basic eDp5' } }),
  client_assertion_type_missing: changing(() => ({
    ...bySvid(),
    form: { ...bySvid().form, client_assertion_type: undefined },
  })),
  client_assertion_missing: form({ client_assertion_type: JWT_SPIFFE_ASSERTION }),
  client_assertion_type_unsupported: change(
    byAssertion('x', 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer'),
  ),
  client_method_not_enabled: change({
    listener: 'external',
    headers: { 'x-forwarded-client-cert': xfcc('frontend') },
  }),
  client_id_mismatch: form({ client_id: spiffeId('checkout') }),
  client_spiffe_id_malformed: xfccLine(xfcc('..')),
  client_trust_domain_not_allowed: xfccLine(
    xfcc('frontend').replace('URI=spiffe://cluster.local', 'URI=spiffe://other.example'),
  ),
  client_xfcc_peer_not_trusted: change({ localAddress: '127.0.0.9' }),
  client_xfcc_repeated: xfccLine([xfcc('frontend'), xfcc('frontend')]),
  client_xfcc_malformed: xfccLine(`${xfcc('frontend')};Subject="`),
  client_xfcc_json: xfccLine('[{"uri":["spiffe://cluster.local/ns/boutique/sa/frontend"]}]'),
  client_xfcc_several_elements: xfccLine(`${xfcc('checkout')},${xfcc('frontend')}`),
  client_xfcc_by_mismatch: xfccLine(xfcc('frontend', spiffeId('payment'))),
  client_xfcc_uri: xfccLine(`${xfcc('frontend')};URI=${spiffeId('checkout')}`),
  client_certificate_missing: {
    never:
      'where the listener takes X.509-SVIDs, TLS itself refuses a connection that presents none',
    nearest: async () => {
      // The handshake fails: there is no HTTP answer at all.
      await assert.rejects(ask(full(), { listener: 'mtls' }), {
        code: /CERTIFICATE_REQUIRED|ECONNRESET|EPIPE/,
      })
      const authenticate = createClientAuthenticator({
        methodsByListener: new Map([['token_mtls', new Set(['mtls'] as const)]]),
        mtls: { trustDomain: 'cluster.local' },
      })
      const evidence = { listener: 'token_mtls', peerAddress: '127.0.0.1', parameters: {} }
      const none = { xfccLines: [], authorizationLines: [] }
      const result = await authenticate({ ...evidence, ...none }, Date.now())
      assert.equal(result.ok ? undefined : result.reason, 'client_certificate_missing')
    },
  },
  client_certificate_not_accepted: changing((on) =>
    byCertificate(on, { uris: [spiffeId('frontend'), spiffeId('checkout')] }),
  ),
  client_assertion_too_large: svid(tooLarge),
  client_assertion_malformed: change(byAssertion('a.b', JWT_SPIFFE_ASSERTION)),
  client_assertion_header_not_accepted: svid(asJwk),
  client_assertion_typ_not_accepted: svid({ header: { typ: 'at+jwt' } }),
  client_assertion_algorithm_not_allowed: svid(symmetric),
  client_assertion_issuer_not_trusted: change(
    byAccountToken({ claims: { iss: 'https://kubernetes.elsewhere.example' } }),
  ),
  client_assertion_issuer_unavailable: svid({
    claims: { sub: 'spiffe://partner.example/ns/boutique/sa/frontend' },
  }),
  client_assertion_key_unknown: svid(unknownKey),
  client_assertion_signature_invalid: svid(forged('bundle-1')),
  client_assertion_claim_malformed: svid({ claims: { exp: undefined } }),
  client_assertion_expired: svid({ claims: { exp: seconds() - 1 } }),
  client_assertion_not_yet_valid: svid({ claims: { nbf: seconds() + 120 } }),
  client_assertion_lifetime_too_long: change(byPrivateKey({ claims: { exp: seconds() + 3600 } })),
  client_assertion_audience_not_accepted: svid({ claims: { aud: 'https://other.example' } }),
  client_assertion_not_registered: change(
    byPrivateKey({ claims: { iss: 'partners/ledger', sub: 'partners/ledger' } }),
  ),
  client_assertion_replayed: {
    provoke: async () => {
      const again = byPrivateKey()
      await granted(full(), again)
      return { deployment: full(), answer: await ask(full(), again) }
    },
  },
  client_assertion_replay_store_unavailable: {
    provoke: async (t) => {
      holdStore(t, full())
      return { deployment: full(), answer: await ask(full(), byPrivateKey()) }
    },
  },
  client_token_review_refused: {
    provoke: async (t) => {
      const deployment = await startWithTokenReview(t, (answer) =>
        answer(201, { status: { authenticated: false, error: 'the pod is gone' } }),
      )
      return { deployment, answer: await ask(deployment, byAccountToken()) }
    },
  },
  client_token_review_unavailable: {
    provoke: async (t) => {
      const deployment = await startWithTokenReview(t, (answer) => answer(500, {}))
      return { deployment, answer: await ask(deployment, byAccountToken()) }
    },
  },
  client_rate_limited: {
    provoke: async (t) => {
      const settings = { limits: '{per_caller_per_second: 0.1, burst: 1}' }
      const deployment = await startFullDeployment(t, { settings })
      await granted(deployment)
      const answer = await ask(deployment)
      assert.ok(Number(answer.headers['retry-after']) > 1)
      return { deployment, answer }
    },
  },
  client_unknown: xfccLine(xfcc('stranger')),

  // subject and actor
  subject_token_too_large: subject(tooLarge),
  subject_token_malformed: form({ subject_token: 'opaque' }),
  subject_token_header_not_accepted: subject(asJwk),
  subject_token_typ_not_accepted: subject({ header: { typ: 'JWT' } }),
  subject_token_algorithm_not_allowed: subject(symmetric),
  subject_token_issuer_not_trusted: subject({ claims: { iss: 'https://login.other.example' } }),
  subject_token_issuer_unavailable: subject({ key: otherKey, claims: { iss: NOWHERE } }),
  subject_token_key_unknown: subject(unknownKey),
  subject_token_signature_invalid: subject({
    key: makeKey('RS256', 'other'),
    header: { kid: 'corp-1' },
  }),
  subject_token_claim_malformed: subject({ claims: { sub: undefined } }),
  subject_token_expired: subject({ claims: { exp: seconds() - 1 } }),
  subject_token_not_yet_valid: subject({ claims: { nbf: seconds() + 120 } }),
  subject_token_type_not_accepted: changing((on) => ({
    form: { subject_token: agentToken(on), subject_token_type: TOKEN_TYPES.id_token },
  })),
  subject_token_presenter_not_allowed: subject({ claims: { aud: 'https://other.example' } }),
  subject_token_confirmation_unsupported: subject({ claims: { cnf: { jkt: 'x' } } }),
  subject_token_act_malformed: subject({ claims: { act: 'agent-7' } }),
  subject_token_act_too_deep: subject({ claims: { act: nested(11) } }),
  subject_token_may_act_malformed: subject({ claims: { may_act: { sub: 'x', role: 'admin' } } }),
  subject_token_lifetime_too_long: changing(() =>
    asSubject(accountTokenOf({ claims: { exp: seconds() + 31_536_000 } })),
  ),
  subject_token_audience_not_accepted: changing(() =>
    asSubject(svidOf({ claims: { aud: 'https://other.example' } })),
  ),
  subject_token_review_refused: {
    provoke: async (t) => {
      const deployment = await startWithTokenReview(t, (answer) =>
        answer(201, { status: { authenticated: false, error: 'the pod is gone' } }),
      )
      return { deployment, answer: await ask(deployment, asSubject(accountTokenOf())) }
    },
  },
  subject_token_not_own: changing(() =>
    asSubject(svidOf({ claims: { sub: spiffeId('checkout') } })),
  ),
  actor_token_too_large: actor(tooLarge),
  actor_token_malformed: form(withActor('opaque')),
  actor_token_header_not_accepted: actor(asJwk),
  actor_token_typ_not_accepted: actor({ header: { typ: 'JWT' } }),
  actor_token_algorithm_not_allowed: actor(symmetric),
  actor_token_issuer_not_trusted: actor({ claims: { iss: 'https://agents.other.example' } }),
  actor_token_issuer_unavailable: actor({ claims: { iss: NOWHERE } }),
  actor_token_key_unknown: actor(unknownKey),
  actor_token_signature_invalid: actor(forged('agents-1')),
  actor_token_claim_malformed: actor({ claims: { sub: 7 } }),
  actor_token_expired: actor({ claims: { exp: seconds() - 1 } }),
  actor_token_not_yet_valid: actor({ claims: { nbf: seconds() + 120 } }),
  actor_token_type_not_accepted: changing((on) => ({
    form: { ...withActor(agentToken(on)), actor_token_type: TOKEN_TYPES.id_token },
  })),
  actor_token_presenter_not_allowed: actor({ claims: { aud: 'https://other.example' } }),
  actor_token_confirmation_unsupported: actor({ claims: { cnf: { jkt: 'x' } } }),
  actor_token_delegated: actor({ claims: { act: { sub: 'agent-8' } } }),

  // decision
  target_missing: form({ audience: undefined }),
  target_unknown: form({ audience: 'chekout' }),
  target_ambiguous: form({ audience: ['checkout', 'payment'] }),
  target_not_in_calls: form({ audience: 'payment', scope: 'payment:charge' }),
  target_not_accepted: form({ audience: 'archive', scope: 'archive:read' }),
  target_issuer_not_accepted: change({
    headers: { 'x-forwarded-client-cert': xfcc('checkout') },
    form: { audience: 'payment', scope: 'payment:charge' },
  }),
  target_denied: form({ audience: 'vault', scope: 'vault:open' }),
  deny_condition_met: gate({ banned: true }),
  deny_condition_error: gate({ banned: undefined }),
  condition_false: gate({ level: 'silver' }),
  condition_error: gate({ level: undefined }),
  forward_audience_mismatch: form({ audience: 'mirror', scope: undefined }),
  ctx_failed: gate({ tier: undefined }),
  embed_required_denied: form({ audience: 'tour', scope: 'tour:go' }),
  actor_not_allowed: changing((on) => ({
    form: withActor(agentToken(on, { key: on.corporate, claims: CORPORATE_ACTOR })),
  })),
  act_may_act_mismatch: subject({ claims: { may_act: { sub: spiffeId('checkout') } } }),
  act_impersonation_refused: change({
    form: { audience: 'mailer', scope: 'mail:send' },
    subject: { claims: { act: { sub: 'agent-7' } } },
  }),
  act_chain_too_deep: subject({ claims: { act: nested(10) } }),
  scope_unknown: form({ scope: 'checkout:cancel' }),
  scope_not_justified: subject({ claims: { scope: 'shop:browse' } }),
  scope_none_justified: change({
    form: { scope: undefined },
    subject: { claims: { scope: 'shop:look' } },
  }),
  scope_condition_failed: gate({ amr: ['pwd'] }),

  // mint
  mint_claim_malformed: subject({ claims: { email: 'a@b\nX-Admin: 1' } }),
  mint_token_too_large: subject({ claims: { groups: 'x'.repeat(7000) } }),
  mint_subject_expiring: {
    never:
      'times are whole seconds: a token that is not expired has at least a part of one left, which is minted',
    nearest: () => {
      const now = Date.now()
      const order = mintOrder(full(), now, Math.floor(now / 1000))
      const built = buildClaims(order)
      assert.equal(built.ok ? undefined : built.reason, 'mint_subject_expiring')
    },
  },
  signing_key_unavailable: {
    provoke: async (t) => {
      const deployment = await startWithNewAlgorithm(t)
      await granted(deployment)
      const profile = { form: { audience: 'profile', scope: 'profile:read' } }
      return { deployment, answer: await ask(deployment, profile) }
    },
  },

  // service
  audit_unavailable: {
    provoke: async (t) => {
      holdStore(t, full())
      return { deployment: full(), answer: await ask(full()), unrecorded: true }
    },
  },
  overloaded: { provoke: overload },
  shutting_down: { provoke: shutDown },
  internal_error: {
    provoke: async (t) => {
      // A clock that fails is a bug that no request can cause; everything else is real.
      let fails = false
      const deployment = await startFullDeployment(t, {
        now: () => {
          if (!fails) return Date.now()
          fails = false
          throw new Error('the clock is broken')
        },
      })
      fails = true
      return { deployment, answer: await ask(deployment) }
    },
  },
} satisfies Record<Reason, Case>

const CORPORATE_ACTOR: Claims = {
  iss: 'https://login.corp.example',
  aud: 'https://api.shop.example',
}

describe('every reason, over HTTP', () => {
  full = sharedFullDeployment()
  // The time-out is a real one: the request that runs into it starts first.
  before(() => {
    const socket = rawSocket({ after: () => undefined }, full().tokenUrl)
    slow = rawAnswer(socket)
    socket.write(`${head({ 'Content-Length': '9' })}half`)
  })

  for (const [name, one] of Object.entries(cases) as [Reason, Case][]) {
    if ('never' in one) {
      it(`${name} cannot be provoked: ${one.never}`, async () => {
        assert.ok(WIRE[name])
        await one.nearest()
      })
    } else if ('change' in one) {
      it(`${name} is answered, and recorded or counted`, async () => {
        await refused(full(), one.change(full()), name)
      })
    } else {
      it(`${name} is provoked, answered, and recorded or counted`, async (t) => {
        await judge(name, await one.provoke(t))
      })
    }
  }
})

/** As `refused`, for what was not a plain request; such reasons are provoked once in a deployment. */
async function judge(reason: Reason, provoked: Provoked): Promise<void> {
  const { deployment, answer, unrecorded } = provoked
  assertWire(answer, reason)
  const event = eventOf(deployment, answer.body.decision_id)
  const counted = provoked.counted ?? (await refusalsOf(deployment, reason))
  if (unrecorded === true) {
    // What cannot be written is in the log line and the metrics only.
    assert.deepEqual([event, counted], [undefined, 0])
    const lines = deployment.logLines.filter((line) =>
      line.includes(String(answer.body.decision_id)),
    )
    assert.equal(lines.length, 1)
    assert.equal(JSON.parse(lines[0] ?? '{}').reason, reason)
  } else if (isCounted(reason)) {
    assert.deepEqual([event, counted], [undefined, 1])
  } else {
    assert.deepEqual([event?.outcome, event?.reason], ['denied', reason])
  }
}

/** One exchange is all that fits, and it waits for an issuer that does not answer. */
async function overload(t: TestContext): Promise<Provoked> {
  const settings = { limits: '{concurrent_exchanges: 1}' }
  const deployment = await startFullDeployment(t, { settings })
  let answerNow = () => {}
  deployment.keyServer.handle((_request, response) => {
    answerNow = () => void response.writeHead(503).end()
  })
  const waiting = ask(deployment, { subject: { key: otherKey, claims: { iss: NOWHERE } } })
  await until(() => deployment.keyServer.hits.length > 0)
  const answer = await ask(deployment)
  answerNow()
  assertWire(await waiting, 'subject_token_issuer_unavailable')
  await granted(deployment)
  return { deployment, answer }
}

/** A request whose body is still on its way when the server is asked to stop. */
async function shutDown(t: TestContext): Promise<Provoked> {
  const deployment = await startFullDeployment(t)
  const body = formText(deployment)
  const socket = rawSocket(t, deployment.tokenUrl)
  const answer = rawAnswer(socket)
  socket.write(head({ 'Content-Length': String(body.length), Expect: '100-continue' }))
  // The interim answer says that the request has begun.
  await once(socket, 'data')
  const stopped = deployment.server.stop()
  while (await accepts(deployment.tokenUrl)) await new Promise(setImmediate)
  socket.write(body)
  const received = await answer
  await stopped
  // The admin listener is gone with the rest; the count was flushed.
  const counts = deployment.db.prepare<[], { count: number }>(
    "SELECT count FROM refusal_counts WHERE reason = 'shutting_down'",
  )
  return { deployment, answer: received, counted: counts.get()?.count ?? 0 }
}

function accepts(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
  }).then((result) => {
    socket.destroy()
    return result as boolean
  })
}

/** What an allowed exchange mints, with a subject that ends at `exp`. */
/** A request that the service with conditions grants, changed in one claim. */
function gate(claims: Record<string, unknown>): Case {
  const form = { audience: 'gate', scope: 'gate:pass gate:lift' }
  return change({ form, subject: { claims: { ...GATE_CLAIMS, ...claims } } })
}

function mintOrder({ ruleset }: FullDeployment, now: number, exp: number) {
  const target = ruleset.services.get('boutique/checkout')
  const rule = target?.rules.get('boutique/frontend|corporate')
  const caller = ruleset.services.get('boutique/frontend')
  assert.ok(target && rule && caller)
  const subject = asVerified<Subject>({
    issuer: 'corporate',
    iss: 'https://login.corp.example',
    sub: 'alice',
    qualifiedSub: 'corp:alice',
    tokenType: 'access_token',
    audiences: ['https://api.shop.example'],
    scopes: new Set(['shop:buy', 'shop:verified']),
    exp,
    claims: {},
    chain: [],
    tokenHash: '',
  })
  const id = spiffeId('frontend') as SpiffeId
  return {
    decision: {
      allow: true,
      target,
      rule,
      scopes: ['checkout:place'],
      ctx: undefined,
      wouldDeny: [],
    },
    subject,
    actor: undefined as Actor | undefined,
    caller: { service: caller, id, iss: undefined },
    rulesetHash: undefined,
    issuer: 'https://sts.boutique.example',
    now,
    jti: 'x',
  } as const
}
