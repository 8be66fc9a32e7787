// Owns the trusted issuers as the program knows them, and the checks of the issuers file as a whole.
// Must not fetch or read keys.
import type { Algorithm } from '../jwt/algorithms.ts'
import type { TokenType } from '../oauth/names.ts'
import { parseClaimPath, type ScopeSource } from '../subjects/scopes-from.ts'
import type { IssuerName } from '../subjects/subject.ts'
import {
  type IssuerEntry,
  RESERVED_ISSUER_NAMES,
  RESERVED_SUBJECT_PREFIX,
} from './issuers-schema.ts'
import type { Report } from './shape.ts'

/** Where the keys of an issuer come from; paths are absolute. */
export type IssuerKeys =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly caFile: string | undefined }
  | { readonly kind: 'discovery'; readonly caFile: string | undefined }

/** One trusted issuer. */
export interface IssuerSettings {
  readonly name: IssuerName
  /** Compared exactly with `iss`. */
  readonly issuer: string
  readonly keys: IssuerKeys
  readonly algorithms: readonly Algorithm[]
  readonly tokenTypes: ReadonlySet<TokenType>
  readonly accessTokenTyp: readonly string[]
  /** `aud` of a token → full names of the services that may hand it in. */
  readonly presentedBy: ReadonlyMap<string, ReadonlySet<string>>
  readonly scopesFrom: readonly ScopeSource[]
  readonly subjectPrefix: string
}

/** What the check of issuers needs to know of sts.yaml; undefined where that key is itself wrong. */
export interface IssuerContext {
  readonly ownIssuer: string | undefined
  /** `client_auth.kubernetes.issuer`. */
  readonly clusterIssuer: string | undefined
  readonly allowHttp: boolean
}

/** Checks the entries one by one and against each other. */
export function checkIssuers(
  entries: Readonly<Record<string, IssuerEntry>>,
  context: IssuerContext,
  report: Report,
): void {
  const byIss = new Map<string, string>()
  const byPrefix = new Map<string, string>()
  for (const [name, entry] of Object.entries(entries)) {
    if (RESERVED_ISSUER_NAMES.has(name)) {
      report([name], `the name \`${name}\` is built in; choose another`, { at: 'key' })
    }
    if (entry.issuer === context.ownIssuer) {
      report(
        [name, 'issuer'],
        'this is our own issuer URL; our tokens are the built-in issuer `self`',
      )
    }
    if (entry.issuer === context.clusterIssuer) {
      report(
        [name, 'issuer'],
        'this is the cluster’s issuer (client_auth.kubernetes); its tokens are the built-in issuer `workload`',
      )
    }
    if (entry.subject_prefix === RESERVED_SUBJECT_PREFIX) {
      report(
        [name, 'subject_prefix'],
        'is reserved: a user could be taken for a workload by its SPIFFE ID',
      )
    }
    const sameIss = byIss.get(entry.issuer)
    if (sameIss !== undefined) report([name, 'issuer'], `\`${sameIss}\` has the same issuer`)
    byIss.set(entry.issuer, name)
    const samePrefix = byPrefix.get(entry.subject_prefix)
    if (samePrefix !== undefined) {
      report(
        [name, 'subject_prefix'],
        `\`${samePrefix}\` has the same prefix: two users could be taken for one another`,
      )
    }
    byPrefix.set(entry.subject_prefix, name)
    checkKeySource(name, entry, report)
    if (!context.allowHttp) checkHttps(name, entry, report)
  }
}

function checkKeySource(name: string, entry: IssuerEntry, report: Report): void {
  const sources = (['jwks_uri', 'jwks_file', 'discovery'] as const).filter(
    (key) => entry[key] !== undefined,
  )
  if (sources.length === 0) {
    report([name], 'one of `jwks_uri`, `jwks_file` and `discovery: true` is required', {
      at: 'key',
    })
  }
  const [, second] = sources
  if (second !== undefined) {
    report(
      [name, second],
      `only one of \`jwks_uri\`, \`jwks_file\` and \`discovery\` may be there`,
      {
        at: 'key',
      },
    )
  }
  if (entry.ca_file !== undefined && sources.every((source) => source === 'jwks_file')) {
    report([name, 'ca_file'], 'vouches for nothing: the keys come from no server', { at: 'key' })
  }
}

function checkHttps(name: string, entry: IssuerEntry, report: Report): void {
  for (const key of ['issuer', 'jwks_uri'] as const) {
    if (entry[key]?.startsWith('http:')) {
      report([name, key], 'must be https (or set relaxations.allow_http_issuers in sts.yaml)')
    }
  }
}

/** Makes the value that the program works with. `resolve` makes paths absolute. */
export function toIssuerSettings(
  name: string,
  entry: IssuerEntry,
  resolve: (path: string) => string,
): IssuerSettings {
  return {
    name,
    issuer: entry.issuer,
    keys: keysOf(entry, resolve),
    algorithms: entry.algorithms,
    tokenTypes: new Set(entry.token_types),
    accessTokenTyp: entry.access_token_typ,
    presentedBy: new Map(
      Object.entries(entry.presented_by).map(([audience, services]) => [
        audience,
        new Set(services),
      ]),
    ),
    scopesFrom: entry.scopes_from.map((source) => {
      const { claim, prefix = '' } = typeof source === 'string' ? { claim: source } : source
      return { path: parseClaimPath(claim) ?? [], prefix }
    }),
    subjectPrefix: entry.subject_prefix,
  }
}

function keysOf(entry: IssuerEntry, resolve: (path: string) => string): IssuerKeys {
  if (entry.jwks_file !== undefined) return { kind: 'file', path: resolve(entry.jwks_file) }
  const caFile = entry.ca_file === undefined ? undefined : resolve(entry.ca_file)
  if (entry.jwks_uri !== undefined) return { kind: 'url', url: entry.jwks_uri, caFile }
  return { kind: 'discovery', caFile }
}
