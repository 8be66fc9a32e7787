// Owns line and column of values in a YAML text, computed only when something is wrong.
// Must not judge what it finds.
import {
  EVENT_ID,
  type Event,
  getScalarValue,
  SCALAR_STYLE,
  type ScalarEvent,
} from 'js-yaml/browser'

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

/** Gives the text of a line, from 1, without its end. Reads the text at the first call only. */
export function createLines(text: string): (line: number) => string {
  let lineStarts: number[] | undefined
  return (line) => {
    lineStarts ??= startsOfLines(text)
    return text.slice(lineStarts[line - 1] ?? text.length, lineStarts[line]).replace(/[\r\n]+$/, '')
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

/** Indexes of a child's events: its key (mappings only) and its value. */
interface Child {
  readonly key: number | undefined
  readonly value: number
}

/** What of the parser's events is needed to find a path: a tenth of their size. */
interface Outline {
  /** `EVENT_ID` of each event. */
  readonly types: Uint8Array
  /** Where each node's text begins; -1 where it has none. */
  readonly offsets: Int32Array
  /** For each opening event the index of its closing one, for others their own. */
  readonly ends: Int32Array
  /** The texts of keys, at the index of their event. */
  readonly keys: ReadonlyMap<number, string>
}

/**
 * Gives the position of a path in a document, from the parser's events, which are not kept.
 * Mappings are indexed once each, when a path first leads through them: many problems in a large
 * file cost about one walk.
 */
export function createPositions(
  text: string,
  events: readonly Event[],
): (path: readonly PropertyKey[], what?: 'key' | 'value') => Position {
  const positionAt = createTextPositions(text)
  const outline = outlineOf(text, events)
  const indexed = new Map<number, ReadonlyMap<PropertyKey, Child>>()

  const childrenOf = (node: number): ReadonlyMap<PropertyKey, Child> => {
    const known = indexed.get(node)
    if (known !== undefined) return known
    const children = listChildren(outline, node)
    indexed.set(node, children)
    return children
  }
  const offsetAt = (index: number | undefined): number | undefined => {
    const offset = index === undefined ? undefined : outline.offsets[index]
    return offset === -1 ? undefined : offset
  }

  return (path, what = 'value') => {
    let node = 1
    let keyAt = offsetAt(node) ?? 0
    let valueAt = keyAt
    for (const step of path) {
      const child = childrenOf(node).get(step)
      if (child === undefined) return positionAt(keyAt)
      node = child.value
      const value = offsetAt(node)
      keyAt = offsetAt(child.key) ?? value ?? valueAt
      valueAt = value ?? keyAt
    }
    return positionAt(what === 'key' ? keyAt : valueAt)
  }
}

function outlineOf(text: string, events: readonly Event[]): Outline {
  const types = new Uint8Array(events.length)
  const offsets = new Int32Array(events.length)
  const ends = new Int32Array(events.length)
  const keys = new Map<number, string>()
  /** Opening events, and how many nodes each has had so far. */
  const open: { readonly start: number; nodes: number }[] = []
  events.forEach((event, index) => {
    types[index] = event.type
    offsets[index] = offsetOf(text, event) ?? -1
    ends[index] = index
    if (event.type === EVENT_ID.POP) {
      const start = open.pop()?.start
      if (start !== undefined) ends[start] = index
      return
    }
    const parent = open.at(-1)
    const isKey =
      parent !== undefined && types[parent.start] === EVENT_ID.MAPPING && parent.nodes++ % 2 === 0
    if (event.type === EVENT_ID.SCALAR) {
      if (isKey) keys.set(index, getScalarValue(text, event))
    } else if (event.type !== EVENT_ID.ALIAS) {
      open.push({ start: index, nodes: 0 })
    }
  })
  return { types, offsets, ends, keys }
}

function listChildren(
  { types, ends, keys }: Outline,
  node: number,
): ReadonlyMap<PropertyKey, Child> {
  const children = new Map<PropertyKey, Child>()
  const end = ends[node] ?? node
  const after = (index: number) => (ends[index] ?? index) + 1
  if (types[node] === EVENT_ID.SEQUENCE) {
    for (let at = node + 1, item = 0; at < end; at = after(at), item++) {
      children.set(item, { key: undefined, value: at })
    }
  } else if (types[node] === EVENT_ID.MAPPING) {
    for (let at = node + 1; at < end; ) {
      const value = after(at)
      const key = keys.get(at)
      if (key !== undefined) children.set(key, { key: at, value })
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
