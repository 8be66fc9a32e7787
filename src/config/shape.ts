// Owns the check of a document against a schema, key by key, so that one wrong key hides no other fault.
// Must not know which file it is.
import type { z } from 'zod'
import { nearest, type Problem, pathText } from './problem.ts'
import type { YamlDocument } from './yaml.ts'
import { problemsOfZod, safeParse } from './zod-problems.ts'

/** Tells a problem at a path of the document. */
export type Report = (
  path: readonly (string | number)[],
  message: string,
  options?: {
    readonly severity?: 'warning'
    /** The word that was written and those that are known; makes the "did you mean". */
    readonly written?: string
    readonly known?: Iterable<string>
    readonly at?: 'key' | 'value'
  },
) => void

/** Makes a {@link Report} that collects into `problems`. */
export function reportInto(problems: Problem[], document: YamlDocument): Report {
  return (path, message, { severity = 'error' as const, written, known, at = 'value' } = {}) => {
    const suggestion =
      written === undefined || known === undefined ? undefined : nearest(written, known)
    problems.push({
      file: document.file,
      ...document.positionOf(path, at),
      path: pathText(path),
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
      severity,
    })
  }
}

/** What the shape check of a mapping gives: every key whose own value is in order, and all problems. */
export interface Shaped<T> {
  readonly sound: Partial<T>
  readonly problems: readonly Problem[]
}

/** Checks a document that must be a mapping of known keys. */
export function shapeOfObject<Shape extends z.core.$ZodLooseShape>(
  document: YamlDocument,
  schema: z.ZodObject<Shape>,
): Shaped<z.output<z.ZodObject<Shape>>> {
  const parsed = safeParse(schema, document.value)
  if (parsed.success) return { sound: parsed.data as never, problems: [] }
  const sound: Record<string, unknown> = {}
  for (const [key, child] of Object.entries(schema.shape)) {
    const each = safeParse(child as z.ZodType, memberOf(document.value, key))
    if (each.success) sound[key] = each.data
  }
  return { sound: sound as never, problems: problemsOfZod(document, parsed.error, schema) }
}

/** Checks a document that must be a mapping from names to entries of one kind. */
export function shapeOfRecord<Entry>(
  document: YamlDocument,
  schema: z.ZodType<Record<string, Entry>>,
  entry: z.ZodType<Entry>,
): Shaped<Record<string, Entry>> {
  const parsed = safeParse(schema, document.value)
  if (parsed.success) return { sound: parsed.data, problems: [] }
  const sound: Record<string, Entry> = {}
  const { value } = document
  for (const name of typeof value === 'object' && value !== null ? Object.keys(value) : []) {
    const each = safeParse(entry, memberOf(value, name))
    if (each.success) sound[name] = each.data
  }
  return { sound, problems: problemsOfZod(document, parsed.error, schema) }
}

/** An own member of a mapping; undefined where there is none. */
export function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<string, unknown>)[key]
}
