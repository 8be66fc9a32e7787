// Owns the compiled ruleset: an immutable value that decides by direct look-up.
// Must not read files or know YAML; compile.ts makes it, decide.ts reads it.
import type { SpiffeId } from '../clients/spiffe-id.ts'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { IssuerName } from '../subjects/subject.ts'
import type { Expression } from './expression/expression.ts'

/** `namespace/name`, the full name of a service. */
export type ServiceName = string

/** Whether a condition decides, or only says what it would have decided (`mode: audit`). */
export type ConditionMode = 'enforce' | 'audit'

/** A `when`: must be true. Absent, false and in error are three different things. */
export interface Condition {
  readonly expression: Expression
  readonly mode: ConditionMode
}

/** Which scopes of the subject token justify one scope of the target. */
export interface Justification {
  readonly mode: 'any' | 'all'
  readonly scopes: readonly string[]
  readonly when: Condition | undefined
}

/** A token that is minted along with its parent and travels inside it. */
export interface Embed {
  readonly to: ServiceName
  /** Its member of the claim `embedded`: the short name within the parent's namespace, else the full one. */
  readonly member: string
  /** Without it a child that is denied is left out; with it the whole exchange is denied. */
  readonly required: boolean
}

/** One member of the claim `ctx`: a claim of the subject under another name, a constant, or computed. */
export type CtxEntry =
  | { readonly kind: 'claim'; readonly claim: string }
  | { readonly kind: 'value'; readonly value: string | number | boolean }
  | { readonly kind: 'computed'; readonly expression: Expression }

/** One edge of the call graph: who may obtain what for its target, from whose tokens. */
export interface Rule {
  /** `target <- from [issuer]`: stable, unique, part of the audit and of metrics. */
  readonly id: string
  /** A full service name, or `namespace/*`. */
  readonly from: string
  readonly issuer: IssuerName
  /** Keyed by the target's scope. */
  readonly scopes: ReadonlyMap<string, Justification>
  readonly act: 'delegate' | 'impersonate'
  /** Issuers whose actor tokens may be presented. */
  readonly actors: ReadonlySet<IssuerName>
  readonly when: Condition | undefined
  readonly embed: readonly Embed[]
  /** The subject token itself is handed on; `scopes` is empty then. */
  readonly forward: boolean
}

/** Denies, whatever rules say; without `when` always. */
export interface Deny {
  /** `target denies reason`, with `#2` and so on where a reason repeats: stable, unique. */
  readonly id: string
  /** Full service names and `namespace/*`; undefined means every caller. */
  readonly from: ReadonlySet<string> | undefined
  /** Undefined means every issuer. */
  readonly issuer: IssuerName | undefined
  /** The admin's word for it; for the audit. */
  readonly reason: string
  /** Undefined means that it always fires. */
  readonly when: Expression | undefined
  readonly mode: ConditionMode
}

/** A node of the call graph. */
export interface Service {
  readonly name: ServiceName
  readonly namespace: string
  /** The one `aud` of tokens for it. */
  readonly audience: string
  readonly scopes: ReadonlySet<string>
  /** Subject claims it may see. */
  readonly claims: readonly string[]
  /** Members of the claim `ctx` of its tokens. */
  readonly ctx: ReadonlyMap<string, CtxEntry>
  /** Other audiences whose tokens its sidecar accepts: what `forward` may hand to it. */
  readonly alsoAudiences: ReadonlySet<string>
  /** Whether a token for it may travel inside another. */
  readonly embeddable: boolean
  /** Scopes that its workloads bring as themselves (issuer `workload`). */
  readonly grants: ReadonlySet<string>
  /** Subject claims that conditions and `ctx` of this target read, sorted: what the audit keeps for a replay. */
  readonly readClaims: readonly string[]
  readonly lifetimeSeconds: number
  /** Undefined means the deployment's default. */
  readonly algorithm: SigningAlgorithm | undefined
  readonly calls: ReadonlySet<ServiceName>
  /** Keyed by `<from>|<issuer>`. */
  readonly rules: ReadonlyMap<string, Rule>
  readonly denies: readonly Deny[]
  /** SPIFFE IDs of its workloads, `*` being one segment; empty for what is outside this mesh. */
  readonly identities: readonly string[]
  readonly external: boolean
  /** JWKS file of a caller outside the mesh, absolute path. */
  readonly clientKeysFile: string | undefined
  /** The same as it is written: part of the hash, which is one in all environments. */
  readonly clientKeysName: string | undefined
}

/** The compiled, immutable ruleset. */
export interface Ruleset {
  /** SHA-256 over the canonical rules, hex; independent of the order of files and rules. */
  readonly hash: string
  readonly services: ReadonlyMap<ServiceName, Service>
  /** Services by audience and by full name. */
  readonly targets: ReadonlyMap<string, Service>
  /** The service that a workload is, by its SPIFFE ID; undefined where no service has it. */
  readonly serviceOf: (id: SpiffeId) => Service | undefined
}
