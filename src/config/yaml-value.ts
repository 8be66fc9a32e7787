// Owns the value that a YAML text stands for, made in one walk over the parser's events.
// Must not tell what is wrong: it gives up where anything is refused, and yaml.ts looks for all of it.
import {
  CORE_SCHEMA,
  EVENT_ID,
  type Event,
  getScalarValue,
  NOT_RESOLVED,
  SCALAR_STYLE,
  type ScalarEvent,
  type ScalarTagDefinition,
} from 'js-yaml/browser'

/** Kept once however often they stand in a file: names and scopes repeat, other texts hardly do. */
const MAX_KNOWN_TEXTS = 100_000

/**
 * Gives the value of one document, undefined where something is refused: an alias, anchor or tag, a second
 * document, a key that is no text, that is there twice or that is `__proto__`.
 */
export function constructValue(
  source: string,
  events: readonly Event[],
): { readonly value: unknown } | undefined {
  if (events.length === 0) return { value: null }
  const texts = new Map<string, string>()
  let isRefused = false
  // The first event opens the document.
  let at = 1

  const refuse = (): undefined => {
    isRefused = true
    return undefined
  }
  const isOpen = () => at < events.length && events[at]?.type !== EVENT_ID.POP
  const readScalar = (event: ScalarEvent): unknown => {
    if (event.anchorStart !== -1 || event.tagStart !== -1) return refuse()
    const value = scalarValue(source, event)
    if (typeof value !== 'string') return value
    const known = texts.get(value)
    if (known !== undefined) return known
    const own = copyOf(value)
    if (texts.size < MAX_KNOWN_TEXTS) texts.set(own, own)
    return own
  }
  const readMapping = (): Record<string, unknown> => {
    const map: Record<string, unknown> = {}
    while (isOpen()) {
      const key = readNode()
      const value = readNode()
      if (typeof key !== 'string' || key === '__proto__' || Object.hasOwn(map, key)) refuse()
      else map[key] = value
    }
    at++
    return map
  }
  const readSequence = (): unknown[] => {
    const list: unknown[] = []
    while (isOpen()) list.push(readNode())
    at++
    return list
  }
  const readNode = (): unknown => {
    const event = events[at++]
    if (event?.type === EVENT_ID.SCALAR) return readScalar(event)
    if (event?.type !== EVENT_ID.MAPPING && event?.type !== EVENT_ID.SEQUENCE) return refuse()
    if (event.anchorStart !== -1 || event.tagStart !== -1) refuse()
    return event.type === EVENT_ID.MAPPING ? readMapping() : readSequence()
  }

  const value = readNode()
  // What is left is the end of this document.
  return isRefused || at + 1 < events.length ? undefined : { value }
}

/** To V8 a part of a text is a view of it and keeps all of it in memory; a sum of two is a text of its own. */
const copyOf = (text: string): string => text.slice(0, 1) + text.slice(1)

/** The tags that a plain scalar may have without saying so, by its first character, in the schema's order. */
const IMPLICIT_TAGS: ReadonlyMap<string, readonly ScalarTagDefinition[]> = tagsByFirstCharacter()

function tagsByFirstCharacter(): Map<string, ScalarTagDefinition[]> {
  const byCharacter = new Map<string, ScalarTagDefinition[]>()
  for (const tag of CORE_SCHEMA.tags) {
    if (tag.nodeKind !== 'scalar' || !tag.implicit) continue
    for (const character of tag.implicitFirstChars ?? []) {
      byCharacter.set(character, [...(byCharacter.get(character) ?? []), tag])
    }
  }
  return byCharacter
}

/** A scalar by the core schema: text, number, boolean or null. */
export function scalarValue(source: string, event: ScalarEvent): unknown {
  const text = getScalarValue(source, event)
  if (event.style !== SCALAR_STYLE.PLAIN) return text
  for (const tag of IMPLICIT_TAGS.get(text.charAt(0)) ?? []) {
    const value: unknown = tag.resolve(text, false, tag.tagName)
    if (value !== NOT_RESOLVED) return value
  }
  return text
}
