// Owns the grammar of SPIFFE IDs (SPIFFE-ID.md §2) and one-segment globs over them.
// Must not know who presents an ID or which trust domains are allowed.

declare const spiffeId: unique symbol
/** A string that passed {@link parseSpiffeId}. */
export type SpiffeId = string & { readonly [spiffeId]: true }

/** SP-01: trust domain `[a-z0-9._-]`, segments `[A-Za-z0-9._-]`, no empty or dot segments. */
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)+)$/
const DOT_SEGMENT = /\/\.{1,2}(?=\/|$)/
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

/** The trust domain of a SPIFFE ID. */
export const trustDomainOf = (id: SpiffeId): string => id.slice(9, id.indexOf('/', 9))
