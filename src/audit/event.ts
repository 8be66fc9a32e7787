// Owns what is recorded of an exchange (P3), enough for a later replay of the decision, never token bytes (P7).
// Must not write anything.
import type { ClientAuthMethod } from '../clients/client.ts'
import type { Reason } from '../oauth/reasons.ts'
import type { Act, MayAct } from '../subjects/subject.ts'

/** How the caller proved itself; of a token inside another, the service that holds it never asked. */
export type RecordedMethod = ClientAuthMethod | 'embedded'

/** One decision. docs/audit.md has a line for each member. */
export interface AuditEvent {
  readonly decisionId: string
  /** Of a token that was decided along with another: that one's decision. */
  readonly parent: string | undefined
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly outcome: 'granted' | 'denied'
  /** Undefined when granted. */
  readonly reason: Reason | undefined
  readonly detail: string | undefined
  readonly rulesetHash: string
  readonly caller: {
    readonly id: string
    readonly method: RecordedMethod
    readonly peer: string
    readonly listener: string
    /** Undefined where no service has this identity. */
    readonly service: string | undefined
    /** That service's audience then: whose tokens of ours it could hand in. */
    readonly audience: string | undefined
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
  /** Predicates in audit mode that would have denied, by their ids. */
  readonly wouldDeny: readonly string[]
  /** Whether the subject token itself was handed on. */
  readonly forwarded: boolean
  /** Undefined when denied or forwarded. */
  readonly issued:
    | {
        readonly jti: string
        readonly tokenHash: string
        readonly kid: string
        readonly aud: string
        readonly sub: string
        readonly scopes: readonly string[]
        readonly claims: readonly string[]
        /** Members of the claim `ctx`. */
        readonly ctx: readonly string[]
        /** SHA-256 over the claim `ctx`, the first 16 hex digits; undefined where it has none. */
        readonly ctxHash: string | undefined
        /** Members of the claim `embedded`. */
        readonly embedded: readonly string[]
        readonly chain: readonly string[]
        readonly act: Act | undefined
        readonly exp: number
      }
    | undefined
  readonly traceId: string | undefined
  /** What was left out; undefined where everything is there. */
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
  /** The claims that conditions and `ctx` of the target read. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Of those, and of the claims that the target lists, the ones that were not there. */
  readonly absentClaims: readonly string[]
}
