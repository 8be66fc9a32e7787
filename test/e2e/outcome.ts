// Owns how black-box tests judge what an exchange led to: on the wire, in the audit, in the counters.
// Must not hold tests.
import assert from 'node:assert/strict'
import type { AuditEvent } from '../../src/audit/event.ts'
import { queryAudit } from '../../src/audit/query.ts'
import { type Reason, WIRE, type WireAnswer } from '../../src/oauth/reasons.ts'
import type { Deployment } from '../support/deployment.ts'
import { ask, type Change } from './exchange-request.ts'
import type { FullDeployment } from './full-deployment.ts'
import { type Answer, send } from './http-client.ts'

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
