// Owns the W3C Trace Context `traceparent` grammar. Must not make trace ids.

const TRACE_PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/
/** Version 00 is 55 characters; later versions may append a little. */
const MAX_CHARACTERS = 128

/**
 * Gives the trace id of a `traceparent` header, or undefined where the header is absent or not
 * exactly as W3C Trace Context §3.2 writes it (all-zero ids and version ff are invalid there).
 */
export function traceIdOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_CHARACTERS) return undefined
  const [, version, traceId, parentId, rest] = TRACE_PARENT.exec(header) ?? []
  if (traceId === undefined || parentId === undefined || version === 'ff') return undefined
  if (version === '00' && rest !== undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined
  return traceId
}
