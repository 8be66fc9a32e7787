// Owns line and column of values in a YAML text, computed only when something is wrong.
// Must not judge what it finds.
import { EVENT_ID, type Event, getScalarValue, SCALAR_STYLE, type ScalarEvent } from 'js-yaml'

/** Line and column, both from 1; columns in UTF-16 code units, as editors count. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Gives the position of an offset. Reads the text at the first call only. */
export function createTextPositions(text: string): (offset: number) => Position {
  let lineStarts: number[] | undefined
  return (offset) => {
    lineStarts ??= startsOfLines(text)
    let low = 0
    let high = lineStarts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((lineStarts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (lineStarts[low] ?? 0) + 1 }
  }
}

/** YAML 1.2 §5.4: a line ends with LF, CR or both. */
function startsOfLines(text: string): number[] {
  const starts = [0]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 10 || (code === 13 && text.charCodeAt(at + 1) !== 10)) starts.push(at + 1)
  }
  return starts
}

/** Event indexes of a child: its key (mappings only) and its value. */
interface Child {
  readonly key: number | undefined
  readonly value: number
}

/**
 * Gives the position of a path in a document, from the parser's events.
 * Mappings are indexed once each, when a path first leads through them: many problems in a large
 * file cost about one walk.
 */
export function createPositions(
  text: string,
  events: readonly Event[],
): (path: readonly PropertyKey[], what?: 'key' | 'value') => Position {
  const positionAt = createTextPositions(text)
  const indexed = new Map<number, ReadonlyMap<PropertyKey, Child>>()
  let ends: Int32Array | undefined

  const childrenOf = (node: number): ReadonlyMap<PropertyKey, Child> => {
    const known = indexed.get(node)
    if (known !== undefined) return known
    ends ??= matchEnds(events)
    const children = listChildren(text, events, ends, node)
    indexed.set(node, children)
    return children
  }

  return (path, what = 'value') => {
    let node = 1
    let keyAt = offsetOf(text, events[node]) ?? 0
    let valueAt = keyAt
    for (const step of path) {
      const child = childrenOf(node).get(step)
      if (child === undefined) return positionAt(keyAt)
      node = child.value
      const value = offsetOf(text, events[node])
      const key = child.key === undefined ? undefined : offsetOf(text, events[child.key])
      keyAt = key ?? value ?? valueAt
      valueAt = value ?? keyAt
    }
    return positionAt(what === 'key' ? keyAt : valueAt)
  }
}

/** For each opening event the index of its closing one, for others their own. */
function matchEnds(events: readonly Event[]): Int32Array {
  const ends = new Int32Array(events.length)
  const open: number[] = []
  events.forEach((event, index) => {
    ends[index] = index
    if (event.type === EVENT_ID.POP) {
      const start = open.pop()
      if (start !== undefined) ends[start] = index
    } else if (event.type !== EVENT_ID.SCALAR && event.type !== EVENT_ID.ALIAS) {
      open.push(index)
    }
  })
  return ends
}

function listChildren(
  text: string,
  events: readonly Event[],
  ends: Int32Array,
  node: number,
): ReadonlyMap<PropertyKey, Child> {
  const children = new Map<PropertyKey, Child>()
  const parent = events[node]
  const end = ends[node] ?? node
  const after = (index: number) => (ends[index] ?? index) + 1
  if (parent?.type === EVENT_ID.SEQUENCE) {
    for (let at = node + 1, item = 0; at < end; at = after(at), item++) {
      children.set(item, { key: undefined, value: at })
    }
  } else if (parent?.type === EVENT_ID.MAPPING) {
    for (let at = node + 1; at < end; ) {
      const value = after(at)
      const key = events[at]
      if (key?.type === EVENT_ID.SCALAR) children.set(getScalarValue(text, key), { key: at, value })
      at = after(value)
    }
  }
  return children
}

/** Where a node's text begins; undefined for an empty one. */
export function offsetOf(text: string, event: Event | undefined): number | undefined {
  if (event === undefined) return undefined
  if (event.type === EVENT_ID.SCALAR) return scalarOffset(text, event)
  if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE) return event.start
  return undefined
}

function scalarOffset(text: string, event: ScalarEvent): number | undefined {
  if (event.valueStart === -1) return undefined
  switch (event.style) {
    case SCALAR_STYLE.SINGLE_QUOTED:
    case SCALAR_STYLE.DOUBLE_QUOTED:
      return event.valueStart - 1
    case SCALAR_STYLE.LITERAL_BLOCK:
    case SCALAR_STYLE.FOLDED_BLOCK: {
      // The indicator's line is over: the first character of the content is what people look for.
      let at = event.valueStart
      while (at < event.valueEnd && text.charCodeAt(at) <= 32) at++
      return at
    }
    default:
      return event.valueStart
  }
}
