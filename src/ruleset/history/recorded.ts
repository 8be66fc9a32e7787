// Owns the way from a recorded decision back to what was decided, as far as the record goes.
// Must not guess: what was not recorded makes an expression undecidable.
import type { AuditEvent, RecordedActor, RecordedToken } from '../../audit/event.ts'
import { parseSpiffeId } from '../../clients/spiffe-id.ts'
import type { TokenType } from '../../oauth/names.ts'
import { type Actor, asVerified, type Subject, WORKLOAD } from '../../subjects/subject.ts'
import { RESERVED_CLAIMS } from '../../tokens/attenuation.ts'
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { Evaluate, ExpressionRole, Facts } from '../decision.ts'
import type { ExpressionResult } from '../expression/expression.ts'
import { type Surroundings, UNSIGNED_TOKEN_ID } from '../rehearse/surroundings.ts'
import type { Ruleset, Service } from '../ruleset.ts'

/** Begins the error of an expression that reads what was not recorded. */
export const UNDECIDABLE = 'undecidable:'

/** What a record gives back. */
export type Recorded =
  | { readonly ok: true; readonly order: TailorOrder; readonly unrecorded: Unrecorded }
  /** `never_decided`: it was refused before; `caller_unknown`: these rules have no such caller. */
  | { readonly ok: false; readonly why: 'never_decided' | 'caller_unknown' }

/** What the record leaves open. */
export interface Unrecorded {
  /** How expressions are evaluated: those that read something unrecorded are in error and are noted. */
  readonly evaluate: Evaluate
  /** The same, but those go the way that gives most: conditions are true, denies do not fire. */
  readonly evaluateGenerously: Evaluate
  /** Claims that this decision read and that are not in the record, so far. */
  readonly missing: () => readonly string[]
  /** Claims that decisions on embedded tokens read; each of those has a record of its own. */
  readonly missingInside: () => readonly string[]
}

/**
 * Makes the order of a recorded decision, under rules that need not be those that decided. `inside` are
 * the records of tokens inside: what those decisions read had come from the same subject token.
 */
export function recordedOrder(
  { caller, subject, actor, request, reason, time }: AuditEvent,
  ruleset: Ruleset,
  surroundings: Surroundings,
  inside: readonly AuditEvent[] = [],
): Recorded {
  // The subject token is verified before the actor token is.
  const isDecided = subject !== undefined && reason?.startsWith('actor_token_') !== true
  if (!isDecided || request === undefined) return { ok: false, why: 'never_decided' }
  const service = callerServiceOf(caller.id, ruleset)
  if (service === undefined) return { ok: false, why: 'caller_unknown' }
  const claims = { ...claimsInside(inside), ...subject.claims }
  const prefix = surroundings.issuers.get(subject.issuer)?.subjectPrefix
  const order: TailorOrder = {
    caller: {
      service,
      id: caller.id,
      iss: service.clientKeysFile === undefined ? undefined : surroundings.issuer,
    },
    subject: asVerified<Subject>({
      issuer: subject.issuer,
      iss: subject.iss,
      sub: subject.sub,
      qualifiedSub: prefix === undefined ? subject.sub : `${prefix}:${subject.sub}`,
      tokenType: subject.tokenType as TokenType,
      audiences: subject.audiences,
      // What a workload brings as itself is said by the rules, not by its token.
      scopes: subject.issuer === WORKLOAD ? service.grants : new Set(subject.scopes),
      exp: subject.exp,
      claims,
      chain: subject.chain,
      ...(subject.act && { act: subject.act }),
      ...(subject.mayAct && { mayAct: subject.mayAct }),
      tokenHash: subject.tokenHash,
    }),
    actor: actor && actorOf(actor),
    request: {
      audiences: request.audiences,
      resources: request.resources,
      scopes: request.scopes,
    },
    issuer: surroundings.issuer,
    now: time,
    newTokenId: () => UNSIGNED_TOKEN_ID,
    rulesetClaim: surroundings.rulesetClaim,
  }
  return { ok: true, order, unrecorded: unrecordedOf(subject, claims) }
}

function actorOf({ issuer, iss, sub, exp, tokenHash }: RecordedActor): Actor {
  return asVerified<Actor>({ issuer, iss, sub, exp, tokenHash })
}

/** The service that a recorded caller is under these rules. */
export function callerServiceOf(callerId: string, ruleset: Ruleset): Service | undefined {
  const id = parseSpiffeId(callerId)
  return id === undefined ? ruleset.services.get(callerId) : ruleset.serviceOf(id)
}

/** Claims pass unchanged from token to token; registered ones and our own are made anew. */
function claimsInside(inside: readonly AuditEvent[]): Record<string, unknown> {
  const all = inside.flatMap(({ subject }) => Object.entries(subject?.claims ?? {}))
  return Object.fromEntries(all.filter(([name]) => !RESERVED_CLAIMS.has(name)))
}

/** What is assumed of an expression that cannot be evaluated. */
const GENEROUS: Readonly<Record<ExpressionRole, ExpressionResult>> = {
  when: { ok: true, value: true },
  scope_when: { ok: true, value: true },
  deny: { ok: true, value: false },
  ctx: { ok: true, value: null },
}

function unrecordedOf(
  { absentClaims }: RecordedToken,
  claims: Readonly<Record<string, unknown>>,
): Unrecorded {
  const absent = new Set(absentClaims)
  const missing = new Set<string>()
  const missingInside = new Set<string>()
  const isKnown = (name: string, isInside: boolean, { subject, caller }: Facts): boolean =>
    Object.hasOwn(subject.claims, name) ||
    absent.has(name) ||
    // An embedded token is made of what its parent's target lists, and of nothing else; null does not pass.
    (isInside && (Object.hasOwn(claims, name) || !caller.service.claims.includes(name)))
  const unknownOf: (expression: Parameters<Evaluate>[0], facts: Facts) => readonly string[] = (
    expression,
    facts,
  ) => {
    const isInside = facts.subject.claims !== claims
    const unknown = expression.claims.filter((name) => !isKnown(name, isInside, facts))
    for (const name of unknown) (isInside ? missingInside : missing).add(name)
    return unknown
  }
  return {
    missing: () => [...missing],
    missingInside: () => [...missingInside],
    evaluate: (expression, facts) => {
      const unknown = unknownOf(expression, facts)
      if (unknown.length === 0) return expression.evaluate(facts)
      return { ok: false, message: `${UNDECIDABLE} claim ${unknown.join(', ')} was not recorded` }
    },
    evaluateGenerously: (expression, facts, role) =>
      unknownOf(expression, facts).length === 0 ? expression.evaluate(facts) : GENEROUS[role],
  }
}
