// Owns the one log line per request of a token listener. Must not write token bytes (P7).
import type { ExchangeOutcome } from '../exchange.ts'
import type { Reason } from '../oauth/reasons.ts'

/** Where lines go; pino satisfies it. Messages are constants, data go in fields. */
export interface ListenerLog {
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

/** What the listener knows about a request besides its outcome. */
export interface RequestFacts {
  readonly listener: string
  readonly peerAddress: string
  readonly traceId: string | undefined
  readonly status: number
  readonly durationMs: number
}

export interface ExchangeLog {
  /** An exchange that ended, granted or not. */
  readonly exchange: (outcome: ExchangeOutcome, facts: RequestFacts) => void
  /** A request that was refused before its form was looked at. */
  readonly refusal: (reason: Reason, decisionId: string, facts: RequestFacts) => void
  /** A bug: the only line that carries a stack. */
  readonly failure: (error: unknown, decisionId: string, facts: RequestFacts) => void
}

/**
 * Refusals of callers that nobody knows cost the sender nothing, so their lines are limited; they
 * are all counted elsewhere. Enough to debug a first set-up by, too few to fill a disk.
 */
export const MAX_REFUSAL_LINES_PER_SECOND = 20

/** Makes the log. `stopwatch` gives monotonic milliseconds. */
export function createExchangeLog(log: ListenerLog, stopwatch: () => number): ExchangeLog {
  let windowEnd = 0
  let lines = 0
  let suppressed = 0

  const refused = (fields: object) => {
    const at = stopwatch()
    if (at >= windowEnd) {
      windowEnd = at + 1000
      lines = 0
    }
    if (lines >= MAX_REFUSAL_LINES_PER_SECOND) {
      suppressed += 1
      return
    }
    lines += 1
    log.info(suppressed === 0 ? fields : { ...fields, lines_suppressed: suppressed }, 'exchange')
    suppressed = 0
  }

  return {
    exchange: (outcome, facts) => {
      const fields = exchangeFields(outcome, facts)
      if (outcome.event === undefined) refused(fields)
      else log.info(fields, 'exchange')
    },
    refusal: (reason, decisionId, facts) => {
      refused({ decision_id: decisionId, outcome: 'refused', reason, ...factFields(facts) })
    },
    failure: (error, decisionId, facts) => {
      log.error({ decision_id: decisionId, err: error, ...factFields(facts) }, 'exchange failed')
    },
  }
}

function exchangeFields(outcome: ExchangeOutcome, facts: RequestFacts): object {
  const { event, result } = outcome
  const denied = event === undefined ? 'refused' : 'denied'
  return {
    decision_id: outcome.decisionId,
    outcome: result.ok ? 'granted' : denied,
    reason: result.ok ? undefined : result.reason,
    detail: result.ok ? undefined : result.detail,
    client: event?.caller.id,
    client_method: event?.caller.method,
    subject_issuer: event?.subject?.issuer,
    target: event?.target,
    rule: event?.rule,
    ruleset: event?.rulesetHash,
    ...factFields(facts),
  }
}

const factFields = (facts: RequestFacts): object => ({
  listener: facts.listener,
  peer: facts.peerAddress,
  trace_id: facts.traceId,
  status: facts.status,
  duration_ms: Math.round(facts.durationMs * 100) / 100,
})
