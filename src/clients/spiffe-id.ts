// Owns the grammar of SPIFFE IDs and trust domains (SPIFFE-ID.md §2).
// Must not know who presents an ID or which trust domains are allowed.

declare const spiffeId: unique symbol
/** A string that passed {@link parseSpiffeId}. */
export type SpiffeId = string & { readonly [spiffeId]: true }

/** SP-01: trust domain `[a-z0-9._-]`, segments `[A-Za-z0-9._-]`, no empty or dot segments. */
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)+)$/
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
const DOT_SEGMENT = /\/\.{1,2}(?=\/|$)/
const SCHEME_LENGTH = 'spiffe://'.length
/** SPIFFE-ID.md §2.3; the grammar is ASCII, so characters are bytes. */
const MAX_BYTES = 2048

/**
 * Parses a workload's SPIFFE ID. A trust domain without a path names no workload, so it is refused.
 * Gives undefined where the text is not one.
 */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > MAX_BYTES) return undefined
  const match = SPIFFE_ID.exec(text)
  if (match === null || DOT_SEGMENT.test(match[2] ?? '')) return undefined
  return text as SpiffeId
}

/** Whether the text is the name of a trust domain, without scheme. */
export const isTrustDomain = (text: string): boolean => TRUST_DOMAIN.test(text)

/** The trust domain of a SPIFFE ID. */
export const trustDomainOf = (id: SpiffeId): string =>
  id.slice(SCHEME_LENGTH, id.indexOf('/', SCHEME_LENGTH))

/**
 * The SPIFFE ID that Istio gives a service account: `spiffe://<trust domain>/ns/<ns>/sa/<name>`.
 * Gives undefined where the parts make no single path segment each.
 */
export function serviceAccountId(
  trustDomain: string,
  namespace: string,
  name: string,
): SpiffeId | undefined {
  // A slash inside a part would shift the path: another account's ID.
  if (namespace.includes('/') || name.includes('/')) return undefined
  return parseSpiffeId(`spiffe://${trustDomain}/ns/${namespace}/sa/${name}`)
}
