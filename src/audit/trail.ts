// Owns what is kept of an exchange while it runs, and the audit event that becomes of it.
// Must not decide, and must not let a token's bytes into the event (P7).
import { hash } from 'node:crypto'
import type { Client } from '../clients/client.ts'
import type { Failure } from '../oauth/reasons.ts'
import type { TokenRequest } from '../oauth/request.ts'
import type { Decision } from '../ruleset/decision.ts'
import type { Service } from '../ruleset/ruleset.ts'
import type { Actor, Subject } from '../subjects/subject.ts'
import type { MintedToken } from '../tokens/minted.ts'
import type { AuditEvent, RecordedActor, RecordedToken } from './event.ts'

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
  decision?: Decision
  minted?: MintedToken
}

/** The event of an exchange that ended; `now` in milliseconds since the epoch. */
export function eventOf(
  decisionId: string,
  now: number,
  trail: Trail,
  result: { readonly ok: true } | Failure,
): AuditEvent {
  const { client, service, request, subject, actor, decision, minted } = trail
  return {
    decisionId,
    time: now,
    outcome: result.ok ? 'granted' : 'denied',
    reason: result.ok ? undefined : result.reason,
    detail: result.ok ? undefined : result.detail,
    rulesetHash: trail.rulesetHash,
    caller: {
      id: client.id,
      method: client.method,
      peer: client.peer,
      listener: trail.listener,
      service: service?.name,
    },
    subject: subject === undefined ? undefined : recordedToken(subject),
    actor: actor && recordedActor(actor),
    request: request && {
      audiences: request.audiences,
      resources: request.resources,
      scopes: request.scopes,
      requestedTokenType: request.requestedTokenType,
    },
    target: decision?.target?.name,
    rule: decision?.rule?.id,
    issued: minted && {
      jti: minted.claims.jti,
      tokenHash: hash('sha256', minted.token, 'hex'),
      kid: minted.kid,
      aud: minted.claims.aud,
      sub: minted.claims.sub,
      scopes: minted.claims.scope.split(' '),
      claims: minted.passedClaims,
      chain: minted.claims.chain ?? [],
      act: minted.claims.act,
      exp: minted.claims.exp,
    },
    traceId: trail.traceId,
    truncated: undefined,
  }
}

function recordedActor({ issuer, iss, sub, exp, jti, tokenHash }: Actor): RecordedActor {
  return { issuer, iss, sub, exp, jti, tokenHash }
}

function recordedToken(subject: Subject): RecordedToken {
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
