// Owns the words in which the ruleset is asked and answers. Must not decide.
import type { Reason } from '../oauth/reasons.ts'
import type { Act, IssuerName, MayAct } from '../subjects/subject.ts'
import type { Expression, ExpressionResult } from './expression/expression.ts'
import type { Rule, Service } from './ruleset.ts'

/**
 * All that a decision depends on; nothing else is read. A row of the audit holds the same facts, so
 * that any past decision can be replayed against another ruleset.
 */
export interface Facts {
  readonly caller: {
    readonly service: Service
    /** client_id: SPIFFE ID or full service name. */
    readonly id: string
    /** Our issuer URL where `id` is a service name (a caller outside the mesh), else undefined. */
    readonly iss: string | undefined
  }
  readonly subject: {
    readonly issuer: IssuerName
    readonly iss: string
    readonly sub: string
    readonly audiences: readonly string[]
    readonly scopes: ReadonlySet<string>
    readonly claims: Readonly<Record<string, unknown>>
    readonly act?: Act | undefined
    readonly mayAct?: MayAct | undefined
    readonly chain: readonly string[]
  }
  readonly actor:
    | { readonly issuer: IssuerName; readonly iss: string; readonly sub: string }
    | undefined
  readonly request: {
    readonly audiences: readonly string[]
    readonly resources: readonly string[]
    /** Undefined means all that is justified. */
    readonly scopes: readonly string[] | undefined
  }
  /** This deployment's issuer URL: `may_act.iss` may name it. */
  readonly selfIss: string
  /** Milliseconds since the epoch; conditions may read it. */
  readonly now: number
}

/** Where an expression stands. */
export type ExpressionRole = 'when' | 'scope_when' | 'deny' | 'ctx'

/**
 * How expressions are evaluated. Live decisions, tests and explanations evaluate them; a proof assumes
 * the worst, a replay refuses those whose inputs were not recorded.
 */
export type Evaluate = (
  expression: Expression,
  facts: Facts,
  role: ExpressionRole,
) => ExpressionResult

/** One predicate that was looked at on the way to a decision. */
export interface Step {
  /** Stable and unique: `<rule id> when`, `<rule id> scope <scope>`, `<deny id>`, `<caller> calls <target>`. */
  readonly predicate: string
  readonly kind:
    | 'target'
    | 'calls'
    | 'rule'
    | 'deny'
    | 'when'
    | 'actor'
    | 'may_act'
    | 'act'
    | 'forward'
    | 'scope'
    | 'scope_when'
    | 'ctx'
  /** Whether the exchange could go on. Of a deny: that it did not fire. */
  readonly passed: boolean
  /** What was compared with what. */
  readonly detail: string
  /** The predicate is in audit mode and did not count. */
  readonly audited: boolean
}

/** How a decision is reached beside its facts; the live service passes nothing. */
export interface DecideOptions {
  /** The facts tell the decision on an embedded token from that on its parent. */
  readonly trace?: (step: Step, facts: Facts) => void
  readonly evaluate?: Evaluate
}

/** The ruleset's answer. */
export type Decision = Allow | Denial

export interface Allow {
  readonly allow: true
  readonly target: Service
  readonly rule: Rule
  /** Granted scopes, in the target's order; of a forwarded token, all that it brings. */
  readonly scopes: readonly string[]
  /** The claim `ctx`; undefined where the target has none. */
  readonly ctx: Readonly<Record<string, unknown>> | undefined
  /** Predicates in audit mode that would have denied, by their ids. */
  readonly wouldDeny: readonly string[]
}

export interface Denial {
  readonly allow: false
  readonly reason: Reason
  /** For operators: which predicate failed and on what. */
  readonly detail: string
  readonly target: Service | undefined
  /** The rule that came nearest. */
  readonly rule: Rule | undefined
  /** Predicates in audit mode that would have denied before this one did. */
  readonly wouldDeny: readonly string[]
}
