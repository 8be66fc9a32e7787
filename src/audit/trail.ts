// Owns what is kept of an exchange while it runs, and the audit events that become of it.
// Must not decide, and must not let a token's bytes into an event (P7).
import { hash } from 'node:crypto'
import type { Client } from '../clients/client.ts'
import type { Failure } from '../oauth/reasons.ts'
import type { TokenRequest } from '../oauth/request.ts'
import type { Service } from '../ruleset/ruleset.ts'
import type { Actor, Subject } from '../subjects/subject.ts'
import type { Minted, MintedChild } from '../tokens/mint.ts'
import type { MintedToken } from '../tokens/minted.ts'
import type { Tailored } from '../tokens/tailor.ts'
import { ctxHashOf } from './ctx-hash.ts'
import type { AuditEvent, RecordedActor, RecordedToken } from './event.ts'
import { recordedClaims } from './inputs.ts'

/** What has been learnt so far; the audit records as much of it as there is. */
export interface Trail {
  readonly client: Client
  readonly listener: string
  readonly rulesetHash: string
  readonly traceId: string | undefined
  service?: Service | undefined
  request?: TokenRequest
  subject?: Subject
  actor?: Actor
  tailored?: Tailored
  minted?: Minted
}

/** The events of an exchange that ended: its own first, then one for each token inside. */
export function eventsOf(
  decisionId: string,
  now: number,
  trail: Trail,
  result: { readonly ok: true } | Failure,
  newDecisionId: (now: number) => string,
): readonly [AuditEvent, ...AuditEvent[]] {
  const { client, request, tailored, minted } = trail
  const common = { now, rulesetHash: trail.rulesetHash, traceId: trail.traceId }
  const own = eventOf({
    ...common,
    decisionId,
    parent: undefined,
    caller: {
      id: client.id,
      method: client.method,
      peer: client.peer,
      listener: trail.listener,
      service: trail.service?.name,
      audience: trail.service?.audience,
    },
    request: request && {
      audiences: request.audiences,
      resources: request.resources,
      scopes: request.scopes,
      requestedTokenType: request.requestedTokenType,
    },
    subject: trail.subject,
    actor: trail.actor,
    tailored,
    minted: result.ok ? minted?.token : undefined,
    result,
  })
  // Where all was denied for the sake of one that is required, that one is recorded too.
  const children: readonly MintedChild[] = result.ok
    ? (minted?.children ?? [])
    : tailored?.outcome === 'denied'
      ? tailored.children.map((child) => ({ child, minted: failureOf(child.tailored) }))
      : []
  const events: AuditEvent[] = []
  for (const child of children) {
    const parent = { ...common, event: own, token: result.ok ? minted?.token : undefined }
    addChild(events, child, parent, newDecisionId)
  }
  return [own, ...events]
}

/** Only what was denied stands alone. */
function failureOf(tailored: Tailored): Failure {
  if (tailored.outcome === 'denied') return tailored.failure
  throw new Error('a token that was allowed is told as denied')
}

interface Parent {
  readonly now: number
  readonly rulesetHash: string
  readonly traceId: string | undefined
  readonly event: AuditEvent
  readonly token: MintedToken | undefined
}

function addChild(
  events: AuditEvent[],
  { child, minted }: MintedChild,
  { event: parent, token, ...common }: Parent,
  newDecisionId: (now: number) => string,
): void {
  const { order, tailored } = child
  const { peer, listener } = parent.caller
  const { caller, request } = order
  const event = eventOf({
    ...common,
    decisionId: newDecisionId(common.now),
    parent: parent.decisionId,
    caller: {
      id: caller.id,
      method: 'embedded',
      peer,
      listener,
      service: caller.service.name,
      audience: caller.service.audience,
    },
    request: { ...request, requestedTokenType: 'access_token' },
    subject: { ...order.subject, tokenHash: token === undefined ? '' : hashOf(token.token) },
    actor: undefined,
    tailored,
    minted: minted.ok ? minted.value.token : undefined,
    result: minted,
  })
  events.push(event)
  if (!minted.ok) return
  for (const grandchild of minted.value.children) {
    addChild(events, grandchild, { ...common, event, token: minted.value.token }, newDecisionId)
  }
}

interface Ended {
  readonly decisionId: string
  readonly parent: string | undefined
  readonly now: number
  readonly rulesetHash: string
  readonly traceId: string | undefined
  readonly caller: AuditEvent['caller']
  readonly request: AuditEvent['request']
  readonly subject: Subject | undefined
  readonly actor: Actor | undefined
  readonly tailored: Tailored | undefined
  readonly minted: MintedToken | undefined
  readonly result: { readonly ok: true } | Failure
}

function eventOf(ended: Ended): AuditEvent {
  const { subject, actor, minted, result } = ended
  const decision = ended.tailored?.decision
  const read = subject && recordedClaims(subject, decision?.target)
  const leftOut = read?.leftOut ?? []
  return {
    decisionId: ended.decisionId,
    parent: ended.parent,
    time: ended.now,
    outcome: result.ok ? 'granted' : 'denied',
    reason: result.ok ? undefined : result.reason,
    detail: result.ok ? undefined : result.detail,
    rulesetHash: ended.rulesetHash,
    caller: ended.caller,
    subject: subject && read && { ...recordedToken(subject), ...readClaims(read) },
    actor: actor && recordedActor(actor),
    request: ended.request,
    target: decision?.target?.name,
    rule: decision?.rule?.id,
    wouldDeny: decision?.wouldDeny ?? [],
    forwarded: ended.tailored?.outcome === 'forwarded' && result.ok,
    issued: minted && {
      jti: minted.claims.jti,
      tokenHash: hashOf(minted.token),
      kid: minted.kid,
      aud: minted.claims.aud,
      sub: minted.claims.sub,
      scopes: minted.claims.scope.split(' '),
      claims: minted.passedClaims,
      ctx: Object.keys(minted.claims.ctx ?? {}),
      ctxHash: ctxHashOf(minted.claims.ctx),
      embedded: Object.keys(minted.claims.embedded ?? {}),
      chain: minted.claims.chain ?? [],
      act: minted.claims.act,
      exp: minted.claims.exp,
    },
    traceId: ended.traceId,
    truncated:
      leftOut.length === 0 ? undefined : leftOut.map((name) => `subject.claims.${name}: left out`),
  }
}

const hashOf = (token: string): string => hash('sha256', token, 'hex')

const readClaims = ({ claims, absentClaims }: ReturnType<typeof recordedClaims>) => ({
  claims,
  absentClaims,
})

function recordedActor({ issuer, iss, sub, exp, jti, tokenHash }: Actor): RecordedActor {
  return { issuer, iss, sub, exp, jti, tokenHash }
}

function recordedToken(subject: Subject): Omit<RecordedToken, 'claims' | 'absentClaims'> {
  return {
    issuer: subject.issuer,
    iss: subject.iss,
    sub: subject.sub,
    tokenType: subject.tokenType,
    audiences: subject.audiences,
    scopes: [...subject.scopes],
    exp: subject.exp,
    act: subject.act,
    mayAct: subject.mayAct,
    chain: subject.chain,
    jti: subject.jti,
    tokenHash: subject.tokenHash,
  }
}
