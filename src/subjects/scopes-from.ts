// Owns what counts as a scope that a token brings (`scopes_from` of an issuer). Pure.
// Must not decide what a scope justifies.
import type { Claims } from '../jwt/claims.ts'
import { type JwtResult, jwtFail, jwtOk } from '../jwt/compact.ts'

/** One source of scopes: a claim, and what is put before each of its values. */
export interface ScopeSource {
  /** Names from the top of the token inwards; see {@link parseClaimPath}. */
  readonly path: readonly string[]
  /** Empty for none. Keeps values of this source apart from those of others. */
  readonly prefix: string
}

/** Directories put up to some hundred groups into a token. */
const MAX_SCOPES = 512
const MAX_SCOPE_CHARACTERS = 256
/** RFC 6749 §3.3: scope-token. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Reads a configured claim: a text is a path with dots between the names (`realm_access.roles`), a list is
 * the names themselves, for claims with dots in theirs (`["https://shop.example/roles"]`).
 * Gives undefined where a name is empty.
 */
export function parseClaimPath(claim: string | readonly string[]): readonly string[] | undefined {
  const path = typeof claim === 'string' ? claim.split('.') : claim
  return path.length === 0 || path.includes('') ? undefined : path
}

/**
 * Collects the scopes that a token brings: from each source a space-delimited text (RFC 8693 §4.2) or a
 * list of texts; an absent claim brings none.
 * A list may hold values that cannot be scopes (role names with spaces): no rule can name those, so they
 * bring nothing; a space-delimited text with other characters is malformed. A value that begins with the
 * prefix of another source does not count either: nothing may pass for a value of that source.
 * Fails with `claim_malformed`.
 */
export function scopesOf(
  claims: Claims,
  sources: readonly ScopeSource[],
): JwtResult<ReadonlySet<string>> {
  const scopes = new Set<string>()
  for (const source of sources) {
    const found = valueAt(claims, source.path)
    if (!found.ok) return found
    const values = valuesOf(found.value)
    if (values === undefined) {
      return jwtFail('claim_malformed', `${source.path.join('.')} is no source of scopes`)
    }
    for (const value of values) {
      const scope = source.prefix + value
      if (!passesForAnother(scope, source, sources)) scopes.add(scope)
    }
    if (scopes.size > MAX_SCOPES) return jwtFail('claim_malformed', 'too many scopes')
  }
  return jwtOk(scopes)
}

/** The value at a path; undefined where a name on the way is absent. */
function valueAt(claims: Claims, path: readonly string[]): JwtResult<unknown> {
  let value: unknown = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return jwtFail('claim_malformed', `${path.join('.')} leads through what is no object`)
    }
    if (!Object.hasOwn(value, name)) return jwtOk(undefined)
    value = (value as Claims)[name]
  }
  return jwtOk(value)
}

/** Undefined for a value of the wrong type or with characters that no scope has. */
function valuesOf(value: unknown): readonly string[] | undefined {
  if (value === undefined) return []
  if (typeof value === 'string') {
    const values = value.split(' ').filter((one) => one !== '')
    return values.every(isScope) ? values : undefined
  }
  if (!Array.isArray(value)) return undefined
  return value.every((one): one is string => typeof one === 'string')
    ? value.filter(isScope)
    : undefined
}

const isScope = (value: string): boolean =>
  value.length <= MAX_SCOPE_CHARACTERS && SCOPE_TOKEN.test(value)

const passesForAnother = (
  scope: string,
  source: ScopeSource,
  sources: readonly ScopeSource[],
): boolean =>
  sources.some(
    (other) => other.prefix.length > source.prefix.length && scope.startsWith(other.prefix),
  )
