// Owns the exchange: every request's way from the form to the answer, in reading order.
// Must not know HTTP, files, the database or any adapter; it declares the ports that it needs.
import { boundDenied } from './audit/bound.ts'
import type { AuditEvent } from './audit/event.ts'
import { eventsOf, type Trail } from './audit/trail.ts'
import type { Client, ClientEvidence } from './clients/client.ts'
import type { Form } from './oauth/form.ts'
import { TOKEN_TYPES, type TokenType } from './oauth/names.ts'
import { type Failure, fail, type Result } from './oauth/reasons.ts'
import {
  checkRepeats,
  parseClientParameters,
  parseTokenRequest,
  type TokenRequest,
} from './oauth/request.ts'
import type { Ruleset, Service } from './ruleset/ruleset.ts'
import { type Presenter, presenterOf } from './subjects/presenter.ts'
import type { Actor, Subject } from './subjects/subject.ts'
import { type MintTools, mint } from './tokens/mint.ts'
import type { MintedToken } from './tokens/minted.ts'
import { tailor } from './tokens/tailor.ts'

/** What the exchange needs from outside. Adapters and test fakes satisfy it structurally. */
export interface ExchangePorts {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly newDecisionId: (now: number) => string
  readonly newTokenId: () => string
  /** This deployment's issuer URL. */
  readonly issuer: string
  readonly ruleset: () => Ruleset
  readonly authenticateClient: (evidence: ClientEvidence, now: number) => Promise<Result<Client>>
  /** Takes one from the caller's allowance, or fails with `client_rate_limited`. */
  readonly admitCaller: (client: Client, now: number) => Result<void>
  readonly verifySubject: (
    token: string,
    type: TokenType,
    presenter: Presenter,
    now: number,
  ) => Promise<Result<Subject>>
  readonly verifyActor: (
    token: string,
    type: TokenType,
    presenter: Presenter,
    now: number,
  ) => Promise<Result<Actor>>
  readonly mintTools: MintTools
  /** Whether tokens say which rules decided. */
  readonly rulesetClaim: boolean
  /** Resolves when all events are durable; `audit_unavailable` otherwise (P3). */
  readonly record: (events: readonly AuditEvent[]) => Promise<Result<void>>
  /** Counts a request that was refused before its caller was known. */
  readonly countRefusal: (failure: Failure, peer: string, now: number) => void
  /** Told of an exception, which is a bug; the exchange is recorded and answered all the same. */
  readonly reportBug: (error: unknown, decisionId: string) => void
  readonly observeStage: (stage: Stage, milliseconds: number) => void
  /** Monotonic milliseconds, for stages only. */
  readonly stopwatch: () => number
}

/** The stages whose durations are observed. */
export const STAGES = ['client', 'subject', 'actor', 'decide', 'mint', 'record'] as const
export type Stage = (typeof STAGES)[number]

/** An incoming request: its form, and the evidence of who sent it. */
export interface ExchangeInput {
  readonly form: Result<Form>
  readonly evidence: Omit<ClientEvidence, 'parameters'>
  readonly traceId: string | undefined
}

/** The end of an exchange, for the wire and for one log line. */
export interface ExchangeOutcome {
  readonly decisionId: string
  readonly result: Result<TokenResponse>
  /** Undefined where the request was refused before its caller was known. */
  readonly event: AuditEvent | undefined
  /** One for each token inside the one that was issued, or for which all was denied. */
  readonly embedded: readonly AuditEvent[]
}

/** RFC 8693 §2.2.1. */
export interface TokenResponse {
  readonly access_token: string
  readonly issued_token_type: string
  readonly token_type: 'Bearer' | 'N_A'
  readonly expires_in: number
  readonly scope: string
}

/**
 * Exchanges one token. Order: cheapest and least trusting first. Whatever happens after the caller is
 * authenticated and admitted is durable in the audit before this function answers (P3).
 */
export async function exchange(
  input: ExchangeInput,
  ports: ExchangePorts,
): Promise<ExchangeOutcome> {
  const now = ports.now()
  const decisionId = ports.newDecisionId(now)
  const rules = ports.ruleset()
  const timed = stages(ports)

  // Nobody is known yet: such refusals are counted, not recorded.
  const refuse = (failure: Failure): ExchangeOutcome => {
    ports.countRefusal(failure, input.evidence.peerAddress, now)
    return { decisionId, result: failure, event: undefined, embedded: [] }
  }

  // 1 form and client parameters
  if (!input.form.ok) return refuse(input.form)
  const form = checkRepeats(input.form.value)
  if (!form.ok) return refuse(form)
  const parameters = parseClientParameters(form.value)
  if (!parameters.ok) return refuse(parameters)

  // 2 who is calling
  const client = await ports.authenticateClient(
    { ...input.evidence, parameters: parameters.value },
    now,
  )
  timed('client')
  if (!client.ok) return refuse(client)
  const admitted = ports.admitCaller(client.value, now)
  if (!admitted.ok) return refuse(admitted)

  // From here on every end is recorded before it is told.
  const trail: Trail = {
    client: client.value,
    listener: input.evidence.listener,
    rulesetHash: rules.hash,
    traceId: input.traceId,
  }
  const settle = async (result: Result<TokenResponse>): Promise<ExchangeOutcome> => {
    const ended = eventsOf(decisionId, now, trail, result, ports.newDecisionId)
    const [event, ...embedded] = ended.map(boundDenied)
    const recorded = await ports.record(event === undefined ? [] : [event, ...embedded])
    timed('record')
    return { decisionId, event, embedded, result: recorded.ok ? result : recorded }
  }

  try {
    const service = serviceOf(rules, client.value)
    if (service === undefined) return settle(fail('client_unknown', 'no service has this identity'))
    trail.service = service

    // 3 what it asks
    const request = parseTokenRequest(form.value)
    if (!request.ok) return settle(request)
    trail.request = request.value

    // 4 what it hands in
    const presenter = presenterOf(service, client.value)
    const subject = await ports.verifySubject(
      request.value.subjectToken,
      request.value.subjectTokenType,
      presenter,
      now,
    )
    timed('subject')
    if (!subject.ok) return settle(subject)
    trail.subject = subject.value
    if (request.value.actorToken !== undefined) {
      const { token, type } = request.value.actorToken
      const actor = await ports.verifyActor(token, type, presenter, now)
      timed('actor')
      if (!actor.ok) return settle(actor)
      trail.actor = actor.value
    }

    // 5 whether it may, and what it would get
    const tailored = tailor(rules, {
      caller: { service, id: client.value.id, iss: issuerOf(client.value, ports.issuer) },
      subject: subject.value,
      actor: trail.actor,
      request: {
        audiences: request.value.audiences,
        resources: request.value.resources,
        scopes: request.value.scopes,
      },
      issuer: ports.issuer,
      now,
      newTokenId: ports.newTokenId,
      rulesetClaim: ports.rulesetClaim,
    })
    timed('decide')
    trail.tailored = tailored
    if (tailored.outcome === 'denied') return settle(tailored.failure)
    if (tailored.outcome === 'forwarded') {
      return settle({ ok: true, value: forwarded(request.value, subject.value, now) })
    }

    // 6 the tailored token, and those inside it
    const minted = mint(tailored, ports.mintTools)
    timed('mint')
    if (!minted.ok) return settle(minted)
    trail.minted = minted.value

    // 7 the record, then 8 the answer
    return settle({ ok: true, value: respond(minted.value.token, request.value, now) })
  } catch (error) {
    // P3: what nobody expected is recorded as well.
    ports.reportBug(error, decisionId)
    return settle(fail('internal_error', 'an exception; the log has it'))
  }
}

/** A caller outside the mesh has a name only under our issuer. */
const issuerOf = ({ identity }: Client, issuer: string): string | undefined =>
  identity.kind === 'registered' ? issuer : undefined

/** The service that an authenticated client is. */
function serviceOf(rules: Ruleset, client: Client): Service | undefined {
  return client.identity.kind === 'workload'
    ? rules.serviceOf(client.identity.spiffeId)
    : rules.services.get(client.identity.service)
}

function respond(minted: MintedToken, request: TokenRequest, now: number): TokenResponse {
  return {
    access_token: minted.token,
    issued_token_type: TOKEN_TYPES[request.requestedTokenType],
    // TE-10: N_A where the issued token is not said to be an access token.
    token_type: request.requestedTokenType === 'access_token' ? 'Bearer' : 'N_A',
    expires_in: minted.claims.exp - Math.floor(now / 1000),
    scope: minted.claims.scope,
  }
}

/** The token that was handed in, which the rule lets travel on as it is. */
function forwarded(request: TokenRequest, subject: Subject, now: number): TokenResponse {
  return {
    access_token: request.subjectToken,
    issued_token_type: TOKEN_TYPES[subject.tokenType],
    token_type: subject.tokenType === 'access_token' ? 'Bearer' : 'N_A',
    expires_in: Math.floor(subject.exp) - Math.floor(now / 1000),
    scope: [...subject.scopes].join(' '),
  }
}

function stages(ports: ExchangePorts): (stage: Stage) => void {
  let last = ports.stopwatch()
  return (stage) => {
    const at = ports.stopwatch()
    ports.observeStage(stage, at - last)
    last = at
  }
}
