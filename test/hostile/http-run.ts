// Owns a run of hostile requests against a real deployment, and what must hold of every answer and afterwards.
// Must not choose requests, nor know how many are enough.
import assert from 'node:assert/strict'
import type { JSONWebKeySet } from 'jose'
import type { AuditEvent } from '../../src/audit/event.ts'
import { queryAudit } from '../../src/audit/query.ts'
import { WIRE } from '../../src/oauth/reasons.ts'
import { decide } from '../../src/ruleset/decide.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'
import type { Deployment } from '../support/deployment.ts'
import { compiled } from '../support/rules.ts'
import type { RawAnswer } from '../support/token-listener.ts'
import { type JudgedGrant, judgeGrant } from './attenuation-model.ts'
import { ISSUER, rulesText } from './deployment-model.ts'
import { type HostileRequest, hostileRequest } from './hostile-requests.ts'
import { finalAnswers, type KeepAlive, keepAlive, type Loose, sendLoose } from './keep-alive.ts'
import { readJsonObject } from './oracles.ts'
import { createRandom } from './random.ts'
import { createTokenWatch } from './token-watch.ts'

/** How much to send. */
export interface HttpPlan {
  readonly seed: number
  /** Asked before each request; false ends the run. */
  readonly goesOn: (sent: number) => boolean
  readonly connections: number
}

/** What came of a run that broke no promise. */
export interface HttpReport {
  readonly requests: number
  readonly granted: readonly { readonly grant: JudgedGrant; readonly decisionId: string }[]
  readonly byStatus: ReadonlyMap<number, number>
  /** Decision ids of all answers. */
  readonly decisionIds: readonly string[]
}

/** Statuses that callers can cause, and 503, which they can cause together. Never 500. */
const STATUSES: ReadonlySet<number> = new Set([200, 400, 401, 404, 405, 408, 413, 415, 431, 503])
const ERRORS: ReadonlySet<unknown> = new Set(Object.values(WIRE).map(({ error }) => error))
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
/** Enough to choose from for next hops. */
const MAX_GRANTED_KEPT = 50

/** Holds what every answer has; gives its members. */
export function assertAnswer({ status, headers, body }: RawAnswer): Record<string, never> {
  assert.ok(STATUSES.has(status), `status ${status}: ${body}`)
  assert.equal(headers.get('content-type'), 'application/json')
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('pragma'), 'no-cache')
  const decisionId = headers.get('mesh-sts-decision-id') ?? ''
  assert.match(decisionId, UUID_V7)
  const members = readJsonObject(body)
  assert.ok(members, `no JSON object: ${body}`)
  if (status !== 200) {
    assert.deepEqual(Object.keys(members), ['error', 'error_description', 'decision_id'])
    assert.ok(ERRORS.has(members.error), `unknown error ${members.error}`)
    assert.equal(members.decision_id, decisionId)
  }
  return members as Record<string, never>
}

/** Sends hostile requests. Throws at the first broken promise, with the seed and the request. */
export async function runHttp(deployment: Deployment, plan: HttpPlan): Promise<HttpReport> {
  const { port } = deployment.server.addresses.token
  const jwks = await keySetOf(deployment)
  const watch = createTokenWatch()
  const bodies: string[] = []
  const granted: { grant: JudgedGrant; decisionId: string }[] = []
  const nextHops: string[] = []
  const decisionIds: string[] = []
  const byStatus = new Map<number, number>()
  const loose: { sent: Loose; request: HostileRequest; index: number }[] = []
  let requests = 0

  const note = (answer: RawAnswer): Record<string, never> => {
    const members = assertAnswer(answer)
    byStatus.set(answer.status, (byStatus.get(answer.status) ?? 0) + 1)
    decisionIds.push(answer.headers.get('mesh-sts-decision-id') ?? '')
    const { access_token: _, ...rest } = members
    bodies.push(JSON.stringify([...answer.headers, rest]))
    return members
  }

  const sendOne = async (index: number, client: KeepAlive): Promise<void> => {
    const random = createRandom('http', plan.seed, index)
    const now = Math.floor(Date.now() / 1000)
    const request = hostileRequest(random, { now, granted: nextHops })
    for (const signature of request.signatures) watch.submitted(signature)
    await named(plan.seed, index, request, async () => {
      if (!request.isFramed) {
        loose.push({ sent: sendLoose(port, request.bytes), request, index })
        return
      }
      const sentAt = Date.now()
      const answer = await client.ask(request.bytes)
      assert.ok(answer, 'the connection ended without an answer')
      const members = note(answer)
      if (answer.status !== 200) return
      const sent = { ...request, sentAt, answeredAt: Date.now() }
      const grant = await judgeGrant(sent, members, jwks)
      granted.push({ grant, decisionId: answer.headers.get('mesh-sts-decision-id') ?? '' })
      if (grant.target !== 'checkout') return
      nextHops.push(grant.token)
      if (nextHops.length > MAX_GRANTED_KEPT) nextHops.shift()
    })
  }

  const clients = Array.from({ length: plan.connections }, () => keepAlive(port))
  await Promise.all(
    clients.map(async (client) => {
      while (plan.goesOn(requests)) await sendOne(requests++, client)
      client.close()
    }),
  )
  for (const { sent, request, index } of loose) {
    sent.end()
    await named(plan.seed, index, request, async () => {
      for (const answer of finalAnswers(await sent.received)) note(answer)
    })
  }

  const report = { requests, granted, byStatus, decisionIds }
  assertRecorded(deployment, report)
  assertReplayed(deployment)
  const texts = [...bodies, ...deployment.logLines, ...storedTexts(deployment)]
  texts.push(await metricsOf(deployment))
  for (const text of texts) {
    const run = watch.runIn(text)
    assert.equal(run, undefined, `P7: a submitted token's "${run}" stands in ${text}`)
  }
  return report
}

/** Says with which request a promise was broken. */
async function named(
  seed: number,
  index: number,
  { bytes }: HostileRequest,
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act()
  } catch (error) {
    const request = JSON.stringify(bytes.toString('latin1').slice(0, 4000))
    throw new Error(`seed ${seed}, request ${index}: ${request}`, { cause: error })
  }
}

/** P3: every granted answer has its row, which says what was granted. */
function assertRecorded({ db }: Deployment, { granted }: HttpReport): void {
  const events = new Map([...queryAudit(db, {})].map((event) => [event.decisionId, event]))
  for (const { grant, decisionId } of granted) {
    const event = events.get(decisionId)
    assert.equal(event?.outcome, 'granted')
    assert.equal(event?.caller.id, grant.caller)
    assert.equal(event?.target, `boutique/${grant.target}`)
    assert.equal(event?.subject?.tokenHash, grant.subject.hash)
    assert.equal(event?.actor?.tokenHash, grant.actor?.hash)
    const { jti, aud, sub, exp, scope } = grant.claims
    const issued = event?.issued
    assert.deepEqual(
      [issued?.jti, issued?.aud, issued?.sub, issued?.exp, issued?.scopes.join(' ')],
      [jti, aud, sub, exp, scope],
    )
  }
  for (const event of events.values()) {
    assert.equal(event.outcome === 'granted', event.issued !== undefined)
    assert.ok(event.reason === undefined || Object.hasOwn(WIRE, event.reason))
  }
}

/** Refusals of decide(); those of mint come after it. */
const DECIDED = /^(?:target_|scope_(?!malformed)|actor_not_allowed|act_may_act_|act_impersonation_)/

/** P6: the same rules in another order decide every recorded request again as they did. */
function assertReplayed({ db }: Deployment): void {
  const turned = compiled(rulesText({ turned: true }))
  for (const event of queryAudit(db, {})) {
    const facts = factsOf(event, turned)
    if (facts === undefined) continue
    const decision = decide(turned, facts)
    const reason =
      event.reason !== undefined && DECIDED.test(event.reason) ? event.reason : undefined
    assert.equal(decision.allow ? undefined : decision.reason, reason, event.decisionId)
    if (decision.allow && event.issued !== undefined) {
      assert.deepEqual(decision.scopes, event.issued.scopes)
    }
  }
}

/** The facts in a row; undefined where the exchange ended before its decision. */
function factsOf(
  { caller, subject, actor, request, target, reason, outcome }: AuditEvent,
  rules: Ruleset,
): Parameters<typeof decide>[1] | undefined {
  const service = rules.services.get(caller.service ?? '')
  const isDecided = outcome === 'granted' || target !== undefined || DECIDED.test(reason ?? '')
  if (!isDecided || service === undefined || subject === undefined || request === undefined) {
    return undefined
  }
  return {
    caller: { service, id: caller.id, iss: undefined },
    subject: { ...subject, scopes: new Set(subject.scopes) },
    actor: actor && { issuer: actor.issuer, iss: actor.iss, sub: actor.sub },
    request,
    selfIss: ISSUER,
    now: 0,
  }
}

const storedTexts = ({ db }: Deployment): readonly string[] => [
  ...(db.prepare<[], string>('SELECT record FROM audit_events').pluck().all() as string[]),
  ...db
    .prepare('SELECT * FROM refusal_counts')
    .all()
    .map((row) => JSON.stringify(row)),
]

const metricsOf = async ({ adminUrl }: Deployment): Promise<string> =>
  (await fetch(`${adminUrl}/metrics`)).text()

const keySetOf = async ({ publicUrl }: Deployment): Promise<JSONWebKeySet> =>
  (await (await fetch(`${publicUrl}/.well-known/jwks.json`)).json()) as JSONWebKeySet
