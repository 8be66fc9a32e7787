// Owns the reading of one YAML file: the strict subset that is accepted, and its problems.
// Must not know any schema, and never opens a file.
import {
  CORE_SCHEMA,
  constructFromEvents,
  defineMappingTag,
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  YAMLException,
} from 'js-yaml'
import { clip, type Problem, pathText } from './problem.ts'
import { createPositions, createTextPositions, offsetOf, type Position } from './yaml-positions.ts'

/** A parsed file. Its value is plain data: no aliases, no tags, string keys only. */
export interface YamlDocument {
  readonly file: string
  /** Null for a file without content. */
  readonly value: unknown
  /**
   * Where a value stands, or its key; where the path leads nowhere, its nearest existing ancestor.
   * Costs one walk over the file at the first call, then little.
   */
  readonly positionOf: (path: readonly PropertyKey[], what?: 'key' | 'value') => Position
}

/** What {@link parseYaml} gives. */
export type YamlResult =
  | { readonly ok: true; readonly document: YamlDocument }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** UTF-16 code units. Rules of 10,000 services are about 5 MB; more is a mistake or an attack. */
export const MAX_YAML_LENGTH = 16 * 1024 * 1024
/** Collections inside collections. The deepest legitimate file has nine. */
export const MAX_YAML_DEPTH = 32
/**
 * Characters that can begin a node; 100,000 rules have about two million.
 * Bounds the memory that a file can make us take to about 1 GB.
 */
export const MAX_YAML_MARKS = 3_000_000
/** Problems of one kind told for one file; nobody reads more. */
export const MAX_YAML_PROBLEMS = 500

/**
 * Parses one YAML 1.2 document (core schema: `yes`, `0x` dates and such stay what YAML 1.2 says).
 * Anchors, aliases, tags, merge keys, duplicate keys, keys that are no strings, `__proto__` and a
 * second document are problems. Never throws; time and memory are bounded by the caps above.
 */
export function parseYaml(text: string, file: string): YamlResult {
  if (text.length > MAX_YAML_LENGTH) {
    return refused(file, `the file is larger than ${MAX_YAML_LENGTH / 1024 / 1024} MiB`)
  }
  const source = text.startsWith('\ufeff') ? text.slice(1) : text
  if (countMarks(source) > MAX_YAML_MARKS) return refused(file, 'the file has too many values')
  let events: Event[] = []
  try {
    events = parseEvents(source, { maxDepth: MAX_YAML_DEPTH })
    if (events.some(isRefused)) return { ok: false, problems: refusedNodes(source, events, file) }
    const [value = null] = constructFromEvents(events, { source, schema: SCHEMA, maxAliases: 0 })
    return { ok: true, document: { file, value, positionOf: createPositions(source, events) } }
  } catch (error) {
    const all = refusedNodes(source, events, file)
    return { ok: false, problems: all.length > 0 ? all : [syntaxProblem(error, file)] }
  }
}

const refused = (file: string, message: string): YamlResult => ({
  ok: false,
  problems: [{ file, line: 1, column: 1, path: '', message, severity: 'error' }],
})

/** Own properties only, and no key becomes a string silently: `1e3: x` would be the key "1000". */
const strictMap = defineMappingTag<Record<string, unknown>>('tag:yaml.org,2002:map', {
  create: () => ({}),
  addPair: (map, key, value) => {
    if (typeof key !== 'string') return 'a key must be a string; put it in quotes'
    if (key === '__proto__') return 'the key __proto__ is not allowed'
    map[key] = value
    return ''
  },
  has: (map, key) => typeof key === 'string' && Object.hasOwn(map, key),
  keys: (map) => Object.keys(map),
  get: (map, key) => map[String(key)],
  identify: () => false,
})

const SCHEMA = CORE_SCHEMA.withTags(strictMap)

/** Line breaks, commas, colons, opening brackets and braces, dashes and question marks before a space. */
function countMarks(source: string): number {
  let marks = 0
  for (let at = 0; at < source.length; at++) {
    const code = source.charCodeAt(at)
    if (code === 10 || code === 13 || code === 44 || code === 58 || code === 91 || code === 123)
      marks++
    else if ((code === 45 || code === 63) && source.charCodeAt(at + 1) <= 32) marks++
  }
  return marks
}

function syntaxProblem(error: unknown, file: string): Problem {
  const mark = error instanceof YAMLException ? error.mark : undefined
  const message = error instanceof YAMLException ? error.reason : 'the file cannot be read as YAML'
  return {
    file,
    line: (mark?.line ?? 0) + 1,
    column: (mark?.column ?? 0) + 1,
    path: '',
    message: clip(EXPLAINED[message] ?? message, 200),
    severity: 'error',
  }
}

/** The parser's words that say too little. */
const EXPLAINED: Readonly<Record<string, string>> = {
  'deficient indentation':
    'this line is not indented deeply enough, or a bracket above is not closed',
  'missed comma between flow collection entries':
    'a comma is missing between entries, or a bracket is not closed',
  [`nesting exceeded maxDepth (${MAX_YAML_DEPTH})`]: `values are nested deeper than ${MAX_YAML_DEPTH}`,
}

type NodeEvent = Exclude<Event, { type: typeof EVENT_ID.DOCUMENT } | { type: typeof EVENT_ID.POP }>

const isNode = (event: Event): event is NodeEvent =>
  event.type !== EVENT_ID.DOCUMENT && event.type !== EVENT_ID.POP

/** What the parser accepts and we do not, cheaply; keys are looked at when the value is made. */
function isRefused(event: Event, index: number): boolean {
  if (!isNode(event)) return event.type === EVENT_ID.DOCUMENT && index > 0
  return extraOf(event) !== undefined
}

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

/** Lists everything refused in one walk over the events, so that all of it is told at once. */
function refusedNodes(source: string, events: readonly Event[], file: string): Problem[] {
  const problems: Problem[] = []
  const open: OpenCollection[] = []
  const positionAt = createTextPositions(source)
  const report = (offset: number, message: string) => {
    if (problems.length >= MAX_YAML_PROBLEMS) return
    const path = pathText(open.map((collection) => collection.step))
    problems.push({ file, ...positionAt(offset), path, message, severity: 'error' })
  }
  for (const [index, event] of events.entries()) {
    if (event.type === EVENT_ID.POP) {
      open.pop()
    } else if (isNode(event)) {
      const extra = extraOf(event)
      if (extra !== undefined) report(extra.offset, extra.message)
      // An empty key has no text: its value is next to it.
      const offset = offsetOf(source, event) ?? offsetOf(source, events[index + 1]) ?? 0
      enter(open, event, source, (message) => report(offset, message))
    } else if (index > 0) {
      const first = offsetOf(source, events[index + 1]) ?? source.length
      report(first, 'a file holds one YAML document; this is the second')
      break
    } else {
      open.length = 0
    }
  }
  return problems
}

/** Notes that a node begins: counts items, alternates keys and values, opens collections. */
function enter(
  open: OpenCollection[],
  event: NodeEvent,
  source: string,
  report: (message: string) => void,
): void {
  const parent = open.at(-1)
  if (parent?.keys !== undefined) {
    if (parent.atKey) enterKey(parent, parent.keys, event, source, report)
    parent.atKey = !parent.atKey
  } else if (parent !== undefined) {
    parent.step = Number(parent.step) + 1
  }
  if (event.type === EVENT_ID.MAPPING) open.push({ keys: new Set(), step: '', atKey: true })
  if (event.type === EVENT_ID.SEQUENCE) open.push({ keys: undefined, step: -1, atKey: false })
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
  else if (keys.has(key)) report('this key is there twice')
  keys.add(key)
}
