// Owns the list of everything that a YAML file may not hold, each with its place and path.
// Must not decide whether there is anything: yaml-value.ts gives up at the first, this looks for all.
import { EVENT_ID, type Event, getScalarValue } from 'js-yaml/browser'
import { type Problem, pathText } from './problem.ts'
import { createTextPositions, offsetOf } from './yaml-positions.ts'
import { scalarValue } from './yaml-value.ts'

type NodeEvent = Exclude<Event, { type: typeof EVENT_ID.DOCUMENT } | { type: typeof EVENT_ID.POP }>

const isNode = (event: Event): event is NodeEvent =>
  event.type !== EVENT_ID.DOCUMENT && event.type !== EVENT_ID.POP

/** What the parser accepts of a node and we do not. */
function extraOf(event: NodeEvent): { offset: number; message: string } | undefined {
  if (event.type === EVENT_ID.ALIAS) {
    return {
      offset: event.anchorStart - 1,
      message: 'aliases are not supported; write the value out',
    }
  }
  if (event.anchorStart !== -1) {
    return { offset: event.anchorStart - 1, message: 'anchors are not supported' }
  }
  return event.tagStart === -1
    ? undefined
    : { offset: event.tagStart, message: 'tags are not supported' }
}

interface OpenCollection {
  /** Keys so far; undefined in a sequence. */
  readonly keys: Set<string> | undefined
  /** The step under which the current child stands. */
  step: string | number
  /** In a mapping: whether the next node is a key. */
  atKey: boolean
}

/** Lists up to `limit` refused nodes in one walk over the events, so that all of it is told at once. */
export function refusedNodes(
  source: string,
  events: readonly Event[],
  file: string,
  limit: number,
): Problem[] {
  const problems: Problem[] = []
  const open: OpenCollection[] = []
  const positionAt = createTextPositions(source)
  const report = (offset: number, message: string) => {
    if (problems.length >= limit) return
    const path = pathText(open.map((collection) => collection.step))
    problems.push({ file, ...positionAt(offset), path, message, severity: 'error' })
  }
  let last = 0
  const visit = (event: NodeEvent, index: number) => {
    // An empty key has no text: its value is next to it.
    last = offsetOf(source, event) ?? offsetOf(source, events[index + 1]) ?? last
    const at = last
    step(open.at(-1), event, source, (message) => report(at, message))
    const extra = extraOf(event)
    if (extra !== undefined) report(extra.offset, extra.message)
    if (event.type === EVENT_ID.MAPPING) open.push({ keys: new Set(), step: '', atKey: true })
    if (event.type === EVENT_ID.SEQUENCE) open.push({ keys: undefined, step: -1, atKey: false })
  }
  for (const [index, event] of events.entries()) {
    if (event.type === EVENT_ID.POP) open.pop()
    else if (isNode(event)) visit(event, index)
    else if (index > 0) {
      const first = offsetOf(source, events[index + 1]) ?? source.length
      report(first, 'a file holds one YAML document; this is the second')
      break
    }
  }
  return problems
}

/** Notes that a node begins in a collection: counts items, alternates keys and values. */
function step(
  parent: OpenCollection | undefined,
  event: NodeEvent,
  source: string,
  report: (message: string) => void,
): void {
  if (parent?.keys !== undefined) {
    if (parent.atKey) enterKey(parent, parent.keys, event, source, report)
    parent.atKey = !parent.atKey
  } else if (parent !== undefined) {
    parent.step = Number(parent.step) + 1
  }
}

function enterKey(
  parent: OpenCollection,
  keys: Set<string>,
  event: NodeEvent,
  source: string,
  report: (message: string) => void,
): void {
  if (event.type !== EVENT_ID.SCALAR) {
    parent.step = '?'
    report('a key must be text, not a collection')
    return
  }
  const key = getScalarValue(source, event)
  parent.step = key
  if (event.valueStart === -1) report('a key is missing here')
  else if (typeof scalarValue(source, event) !== 'string')
    report('a key must be text; put it in quotes')
  else if (key === '__proto__') report('this key is not allowed')
  else if (keys.has(key)) report('this key is there twice')
  keys.add(key)
}
