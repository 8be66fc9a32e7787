// Owns the reading of one YAML file: the strict subset that is accepted, and its problems.
// Must not know any schema, and never opens a file.

// The build for browsers is the same parser; Node 20 runs the other one three times slower (docs/decisions/0007).
import { type Event, parseEvents, YAMLException } from 'js-yaml/browser'
import { clip, type Problem } from './problem.ts'
import { createLines, createPositions, type Position } from './yaml-positions.ts'
import { refusedNodes } from './yaml-refusals.ts'
import { constructValue } from './yaml-value.ts'

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
  /** The text of a line, from 1, without its end. */
  readonly lineAt: (line: number) => string
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
 * Characters that can begin a node; ten rules have about two hundred. The parser's events take about
 * 200 bytes for each, so that no file makes us take more than 400 MB: a larger set is several files.
 */
export const MAX_YAML_MARKS = 1_500_000
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
  if (source.length > MAX_YAML_MARKS && countMarks(source) > MAX_YAML_MARKS) {
    return refused(file, 'the file has too many values: split it')
  }
  try {
    const events = eventsOf(source)
    const made = constructValue(source, events)
    if (made === undefined) {
      return { ok: false, problems: refusedNodes(source, events, file, MAX_YAML_PROBLEMS) }
    }
    return { ok: true, document: { file, value: made.value, ...createPlaces(source) } }
  } catch (error) {
    return { ok: false, problems: [syntaxProblem(error, file)] }
  }
}

const eventsOf = (source: string): Event[] => parseEvents(source, { maxDepth: MAX_YAML_DEPTH })

/** The parser's events are many times the text, so they are made again where a position is asked for. */
function createPlaces(source: string): Pick<YamlDocument, 'positionOf' | 'lineAt'> {
  let positionOf: YamlDocument['positionOf'] | undefined
  return {
    positionOf: (path, what) => {
      positionOf ??= createPositions(source, eventsOf(source))
      return positionOf(path, what)
    },
    lineAt: createLines(source),
  }
}

const refused = (file: string, message: string): YamlResult => ({
  ok: false,
  problems: [{ file, line: 1, column: 1, path: '', message, severity: 'error' }],
})

/** Line breaks, commas, colons, opening brackets and braces; dashes and question marks before a space. */
const MARKS = new Set('\n\r,:[{-?')
const WEIGHTS = Uint8Array.from({ length: 128 }, (_, code) => +MARKS.has(String.fromCharCode(code)))

/** How many values a text can hold: a bound for the memory that reading it takes. */
export function countMarks(source: string): number {
  let marks = 0
  for (let at = 0; at < source.length; at++) {
    const code = source.charCodeAt(at)
    if (code > 127 || WEIGHTS[code] === 0) continue
    if ((code !== 45 && code !== 63) || source.charCodeAt(at + 1) <= 32) marks++
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
  'null byte is not allowed in input': 'a zero byte: the file is no text, or is not UTF-8',
  'the stream contains non-printable characters': 'a control character, or half of a character',
  'deficient indentation':
    'this line is not indented deeply enough, or a bracket above is not closed',
  'missed comma between flow collection entries':
    'a comma is missing between entries, or a bracket is not closed',
  [`nesting exceeded maxDepth (${MAX_YAML_DEPTH})`]: `values are nested deeper than ${MAX_YAML_DEPTH}`,
}
