// Owns conditional requests (RFC 9110 §13.1.2). Must not know what is served.

const ENTITY_TAG = /(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

/**
 * Says whether `If-None-Match` names this entity: `*`, or a list in which one opaque tag is the same
 * (weak comparison, so `W/` does not count). `etag` is as sent, quotes included.
 */
export function isKnownToClient(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  const opaque = etag.startsWith('W/') ? etag.slice(2) : etag
  for (const [, tag] of ifNoneMatch.matchAll(ENTITY_TAG)) {
    if (tag === opaque) return true
  }
  return false
}
