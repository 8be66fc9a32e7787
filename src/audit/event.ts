// Owns what is recorded of an exchange (P3), enough for a later replay of the decision, never token bytes (P7).
// Must not write anything.
import type { ClientAuthMethod } from '../clients/client.ts'
import type { Reason } from '../oauth/reasons.ts'
import type { Act, MayAct } from '../subjects/subject.ts'

/** One decision. docs/audit.md has a line for each member. */
export interface AuditEvent {
  readonly decisionId: string
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly outcome: 'granted' | 'denied'
  /** Undefined when granted. */
  readonly reason: Reason | undefined
  readonly detail: string | undefined
  readonly rulesetHash: string
  readonly caller: {
    readonly id: string
    readonly method: ClientAuthMethod
    readonly peer: string
    readonly listener: string
    /** Undefined where no service has this identity. */
    readonly service: string | undefined
  }
  /** Undefined where the exchange ended before the subject token was verified. */
  readonly subject: RecordedToken | undefined
  readonly actor: RecordedActor | undefined
  readonly request:
    | {
        readonly audiences: readonly string[]
        readonly resources: readonly string[]
        readonly scopes: readonly string[] | undefined
        readonly requestedTokenType: string
      }
    | undefined
  /** The target service and the rule that decided, or came nearest. */
  readonly target: string | undefined
  readonly rule: string | undefined
  /** Undefined when denied. */
  readonly issued:
    | {
        readonly jti: string
        readonly tokenHash: string
        readonly kid: string
        readonly aud: string
        readonly sub: string
        readonly scopes: readonly string[]
        readonly claims: readonly string[]
        readonly chain: readonly string[]
        readonly act: Act | undefined
        readonly exp: number
      }
    | undefined
  readonly traceId: string | undefined
  /** What was left out of which list; undefined where everything is there, as it always is of a grant. */
  readonly truncated: readonly string[] | undefined
}

/** What is kept of an actor token. */
export type RecordedActor = Pick<
  RecordedToken,
  'issuer' | 'iss' | 'sub' | 'exp' | 'jti' | 'tokenHash'
>

/** What is kept of a token that was handed in. */
export interface RecordedToken {
  readonly issuer: string
  readonly iss: string
  readonly sub: string
  readonly tokenType: string
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly exp: number
  readonly act: Act | undefined
  readonly mayAct: MayAct | undefined
  readonly chain: readonly string[]
  readonly jti: string | undefined
  readonly tokenHash: string
}
