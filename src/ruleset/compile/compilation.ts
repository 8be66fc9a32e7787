// Owns what the parts of the compiler share: the context, a service as written, the report of faults.
// Must not compile anything.
import type { SigningAlgorithm } from '../../jwt/algorithms.ts'
import type { FindingId } from '../check/findings.ts'
import type { Condition } from '../ruleset.ts'
import type { ServiceEntry } from '../schema.ts'

/** What rules are compiled against: names that live outside the rule files. */
export interface CompileContext {
  /** The first is this deployment's own. */
  readonly trustDomains: readonly string[]
  /** Names of the trusted issuers, without `self`. */
  readonly issuers: readonly string[]
  readonly algorithms: readonly SigningAlgorithm[]
  /** This deployment's issuer URL: no service may have it as audience. */
  readonly selfIss: string
  /** This deployment's own SPIFFE ID, where it has one: no service may be it. */
  readonly ownIdentity?: string | undefined
  /** `5m` → milliseconds, or undefined. */
  readonly parseDuration: (text: string) => number | undefined
  /** Absolute path of a file named in rule file `file`. */
  readonly resolveFile: (file: number, path: string) => string
}

/** A service as written, with its place. */
export interface Draft {
  readonly name: string
  readonly namespace: string
  readonly entry: ServiceEntry
  readonly file: number
  readonly path: readonly (string | number)[]
}

export type Path = readonly (string | number)[]

/** Beside the message: what was probably meant, or how far into an expression the fault is. */
export interface ReportDetail {
  readonly suggest?: () => string | undefined
  /** Characters into the text at the path. */
  readonly offset?: number
}

/** What the parts of the compiler share. */
export interface Compilation {
  readonly context: CompileContext
  readonly drafts: ReadonlyMap<string, Draft>
  readonly namespaces: ReadonlySet<string>
  /** Tells of an error; `id` is stable and has a page (docs/findings). */
  readonly report: (
    draft: Draft,
    path: Path,
    id: FindingId,
    message: string,
    detail?: ReportDetail,
  ) => void
  /** Expressions that were compiled before: rules repeat them. */
  readonly conditions: Map<string, Condition['expression']>
}
