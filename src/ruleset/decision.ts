// Owns the words in which the ruleset is asked and answers. Must not decide.
import type { Reason } from '../oauth/reasons.ts'
import type { Act, IssuerName, MayAct } from '../subjects/subject.ts'
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
    readonly scopes: ReadonlySet<string>
    readonly act: Act | undefined
    readonly mayAct: MayAct | undefined
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
}

/** The ruleset's answer. */
export type Decision = Allow | Denial

export interface Allow {
  readonly allow: true
  readonly target: Service
  readonly rule: Rule
  /** Granted scopes, in the target's order. */
  readonly scopes: readonly string[]
}

export interface Denial {
  readonly allow: false
  readonly reason: Reason
  /** For operators: which predicate failed and on what. */
  readonly detail: string
  readonly target: Service | undefined
  /** The rule that came nearest. */
  readonly rule: Rule | undefined
}
