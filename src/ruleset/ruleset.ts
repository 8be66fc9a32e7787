// Owns the compiled ruleset: an immutable value that decides by direct look-up.
// Must not read files or know YAML; compile.ts makes it, decide.ts reads it.
import type { SpiffeId } from '../clients/spiffe-id.ts'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { IssuerName } from '../subjects/subject.ts'

/** `namespace/name`, the full name of a service. */
export type ServiceName = string

/** Which scopes of the subject token justify one scope of the target. */
export interface Justification {
  readonly mode: 'any' | 'all'
  readonly scopes: readonly string[]
}

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
}

/** Denies without condition, whatever rules say. */
export interface Deny {
  /** Full service names and `namespace/*`; undefined means every caller. */
  readonly from: ReadonlySet<string> | undefined
  /** Undefined means every issuer. */
  readonly issuer: IssuerName | undefined
  /** The admin's word for it; for the audit. */
  readonly reason: string
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
