// Owns the record as text: one JSON object with snake_case members, the same in the database, on stdout
// and from `audit query`. docs/audit.md describes each member; a test keeps the two in step.
import type { Reason } from '../oauth/reasons.ts'
import type { Act, MayAct } from '../subjects/subject.ts'
import type { AuditEvent, RecordedToken } from './event.ts'

type Actor = NonNullable<AuditEvent['actor']>
type Issued = NonNullable<AuditEvent['issued']>

/**
 * The record of an event. Members are picked one by one: an object that carries more than its type
 * says, such as a verified subject with its claims, cannot leak it into the audit (P7). What is
 * undefined is left out.
 */
export function toJsonLine(event: AuditEvent): string {
  return JSON.stringify({
    decision_id: event.decisionId,
    parent: event.parent,
    time: new Date(event.time).toISOString(),
    outcome: event.outcome,
    reason: event.reason,
    detail: event.detail,
    ruleset_hash: event.rulesetHash,
    caller: {
      id: event.caller.id,
      method: event.caller.method,
      peer: event.caller.peer,
      listener: event.caller.listener,
      service: event.caller.service,
      audience: event.caller.audience,
    },
    subject: event.subject && writeToken(event.subject),
    actor: event.actor && writeActor(event.actor),
    request: event.request && {
      audiences: event.request.audiences,
      resources: event.request.resources,
      scopes: event.request.scopes,
      requested_token_type: event.request.requestedTokenType,
    },
    target: event.target,
    rule: event.rule,
    would_deny: event.wouldDeny.length === 0 ? undefined : event.wouldDeny,
    forwarded: event.forwarded ? true : undefined,
    issued: event.issued && writeIssued(event.issued),
    trace_id: event.traceId,
    truncated: event.truncated,
  })
}

function writeToken(token: RecordedToken): object {
  return {
    issuer: token.issuer,
    iss: token.iss,
    sub: token.sub,
    token_type: token.tokenType,
    audiences: token.audiences,
    scopes: token.scopes,
    exp: token.exp,
    act: token.act && writeAct(token.act),
    may_act: token.mayAct && { sub: token.mayAct.sub, iss: token.mayAct.iss },
    chain: token.chain,
    jti: token.jti,
    token_hash: token.tokenHash,
    claims: isEmpty(token.claims) ? undefined : token.claims,
    absent_claims: token.absentClaims.length === 0 ? undefined : token.absentClaims,
  }
}

const isEmpty = (record: object): boolean => Object.keys(record).length === 0

function writeActor(actor: Actor): object {
  return {
    issuer: actor.issuer,
    iss: actor.iss,
    sub: actor.sub,
    exp: actor.exp,
    jti: actor.jti,
    token_hash: actor.tokenHash,
  }
}

function writeIssued(issued: Issued): object {
  return {
    jti: issued.jti,
    token_hash: issued.tokenHash,
    kid: issued.kid,
    aud: issued.aud,
    sub: issued.sub,
    scopes: issued.scopes,
    claims: issued.claims,
    ctx: issued.ctx.length === 0 ? undefined : issued.ctx,
    ctx_hash: issued.ctxHash,
    embedded: issued.embedded.length === 0 ? undefined : issued.embedded,
    chain: issued.chain,
    act: issued.act && writeAct(issued.act),
    exp: issued.exp,
  }
}

/** The depth is capped where the token is verified. */
function writeAct(act: Act): object {
  return { sub: act.sub, iss: act.iss, act: act.act && writeAct(act.act) }
}

/** The record as JSON.parse gives it. */
interface JsonRecord {
  readonly decision_id: string
  readonly parent?: string
  readonly time: string
  readonly outcome: AuditEvent['outcome']
  readonly reason?: Reason
  readonly detail?: string
  readonly ruleset_hash: string
  readonly caller: Omit<AuditEvent['caller'], 'service' | 'audience'> & {
    readonly service?: string
    readonly audience?: string
  }
  readonly subject?: JsonToken
  readonly actor?: JsonActor
  readonly request?: {
    readonly audiences: readonly string[]
    readonly resources: readonly string[]
    readonly scopes?: readonly string[]
    readonly requested_token_type: string
  }
  readonly target?: string
  readonly rule?: string
  readonly would_deny?: readonly string[]
  readonly forwarded?: boolean
  readonly issued?: JsonIssued
  readonly trace_id?: string
  readonly truncated?: readonly string[]
}

interface JsonActor {
  readonly issuer: string
  readonly iss: string
  readonly sub: string
  readonly exp: number
  readonly jti?: string
  readonly token_hash: string
}

interface JsonToken extends JsonActor {
  readonly token_type: string
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly act?: Act
  readonly may_act?: MayAct
  readonly chain: readonly string[]
  readonly claims?: Readonly<Record<string, unknown>>
  readonly absent_claims?: readonly string[]
}

interface JsonIssued extends Omit<Issued, 'tokenHash' | 'act' | 'ctx' | 'ctxHash' | 'embedded'> {
  readonly token_hash: string
  readonly ctx?: readonly string[]
  readonly ctx_hash?: string
  readonly embedded?: readonly string[]
  readonly act?: Act
}

/** Reads back what {@link toJsonLine} wrote. Throws where the text is not JSON: the database is damaged. */
export function fromJsonLine(text: string): AuditEvent {
  const record = JSON.parse(text) as JsonRecord
  return {
    decisionId: record.decision_id,
    parent: record.parent,
    time: Date.parse(record.time),
    outcome: record.outcome,
    reason: record.reason,
    detail: record.detail,
    rulesetHash: record.ruleset_hash,
    caller: {
      ...record.caller,
      service: record.caller.service,
      audience: record.caller.audience,
    },
    subject: record.subject && readToken(record.subject),
    actor: record.actor && readActor(record.actor),
    request: record.request && {
      audiences: record.request.audiences,
      resources: record.request.resources,
      scopes: record.request.scopes,
      requestedTokenType: record.request.requested_token_type,
    },
    target: record.target,
    rule: record.rule,
    wouldDeny: record.would_deny ?? [],
    forwarded: record.forwarded ?? false,
    issued: record.issued && readIssued(record.issued),
    traceId: record.trace_id,
    truncated: record.truncated,
  }
}

function readActor({ issuer, iss, sub, exp, jti, token_hash }: JsonActor): Actor {
  return { issuer, iss, sub, exp, jti, tokenHash: token_hash }
}

function readToken(token: JsonToken): RecordedToken {
  return {
    issuer: token.issuer,
    iss: token.iss,
    sub: token.sub,
    tokenType: token.token_type,
    audiences: token.audiences,
    scopes: token.scopes,
    exp: token.exp,
    act: token.act,
    mayAct: token.may_act,
    chain: token.chain,
    jti: token.jti,
    tokenHash: token.token_hash,
    claims: token.claims ?? {},
    absentClaims: token.absent_claims ?? [],
  }
}

function readIssued({ token_hash, act, ctx, ctx_hash, embedded, ...issued }: JsonIssued): Issued {
  return {
    ...issued,
    tokenHash: token_hash,
    act,
    ctx: ctx ?? [],
    ctxHash: ctx_hash,
    embedded: embedded ?? [],
  }
}
