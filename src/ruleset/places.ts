// Owns where in the rule files the parts of a compiled ruleset stand, by their ids.
// Must not read files, and must not judge what it finds: the sources are those of the ruleset.
import { parseYaml, type YamlDocument } from '../config/yaml.ts'
import { safeParse } from '../config/zod-problems.ts'
import { SELF } from '../subjects/subject.ts'
import type { RuleSource } from './load.ts'
import { fullName } from './names.ts'
import type { Rule, Ruleset, Service } from './ruleset.ts'
import { type RuleEntry, type RuleFile, RuleFileSchema, type ServiceEntry } from './schema.ts'

/** A place in a file; line and column from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/**
 * Finds a part by the id that decisions and traces give it: a service by its name, `<service> calls` (the
 * list), a rule, a deny, `<rule> when`, `<rule> scope <scope>`, `<rule> scope <scope> when`, `<service> ctx <name>`. Undefined where the
 * sources have no such part.
 */
export type FindPlace = (id: string) => Place | undefined

/** Reads the sources at the first call only. */
export function placesOf(sources: readonly RuleSource[], ruleset: Ruleset): FindPlace {
  let places: Map<string, Place> | undefined
  return (id) => {
    places ??= indexOf(sources, ruleset)
    return places.get(id)
  }
}

type Path = readonly (string | number)[]
type Note = (id: string, path: Path) => void

function indexOf(sources: readonly RuleSource[], ruleset: Ruleset): Map<string, Place> {
  const places = new Map<string, Place>()
  for (const { file, text } of sources) {
    const yaml = parseYaml(text, file)
    const parsed = yaml.ok ? safeParse(RuleFileSchema, yaml.document.value) : undefined
    if (!yaml.ok || parsed?.success !== true) continue
    noteFile(parsed.data, ruleset, noteInto(places, yaml.document))
  }
  return places
}

/** A named part is shown at its name, an entry of a list at its beginning. */
function noteInto(places: Map<string, Place>, { file, positionOf }: YamlDocument): Note {
  return (id, path) => {
    const what = typeof path.at(-1) === 'string' ? 'key' : 'value'
    places.set(id, { file, ...positionOf(path, what) })
  }
}

function noteFile({ namespace, services }: RuleFile, ruleset: Ruleset, note: Note): void {
  for (const [short, entry] of Object.entries(services)) {
    const service = ruleset.services.get(`${namespace}/${short}`)
    if (service === undefined) continue
    const path: Path = ['services', short]
    note(service.name, path)
    if (entry.calls !== undefined) note(`${service.name} calls`, [...path, 'calls'])
    for (const name of Object.keys(entry.ctx ?? {})) {
      note(`${service.name} ctx ${name}`, [...path, 'ctx', name])
    }
    for (const [at, rule] of (entry.accepts ?? []).entries()) {
      noteRule(rule, service, [...path, 'accepts', at], note)
    }
    noteDenies(entry.denies ?? [], service, path, note)
  }
}

function noteRule(entry: RuleEntry, service: Service, path: Path, note: Note): void {
  for (const reference of [entry.from].flat()) {
    const from = fullName(reference, service.namespace)
    const rule = service.rules.get(`${from}|${entry.issuer ?? SELF}`)
    if (rule === undefined) continue
    note(rule.id, path)
    if (entry.when !== undefined) note(`${rule.id} when`, [...path, 'when'])
    noteScopes(entry.scopes ?? [], rule, [...path, 'scopes'], note)
  }
}

function noteScopes(
  scopes: NonNullable<RuleEntry['scopes']>,
  { id }: Rule,
  path: Path,
  note: Note,
): void {
  if (Array.isArray(scopes)) {
    for (const [at, scope] of scopes.entries()) note(`${id} scope ${scope}`, [...path, at])
    return
  }
  for (const [scope, justification] of Object.entries(scopes)) {
    note(`${id} scope ${scope}`, [...path, scope])
    if ('when' in justification) note(`${id} scope ${scope} when`, [...path, scope, 'when'])
  }
}

/** Ids of denies depend on all of them: a written one is found again by what it says. */
function noteDenies(
  entries: NonNullable<ServiceEntry['denies']>,
  service: Service,
  path: Path,
  note: Note,
): void {
  const left = new Set(service.denies)
  for (const [at, entry] of entries.entries()) {
    const written = contentOf({
      ...entry,
      from:
        entry.from === undefined
          ? undefined
          : [entry.from].flat().map((one) => fullName(one, service.namespace)),
      when: entry.when?.trim(),
    })
    for (const deny of left) {
      if (
        contentOf({ ...deny, from: deny.from && [...deny.from], when: deny.when?.source }) !==
        written
      ) {
        continue
      }
      left.delete(deny)
      note(deny.id, [...path, 'denies', at])
      break
    }
  }
}

interface DenyContent {
  readonly issuer?: string | undefined
  readonly mode?: string | undefined
  readonly from?: readonly string[] | undefined
  readonly reason: string
  readonly when?: string | undefined
}

const contentOf = ({ from, issuer, reason, when, mode = 'enforce' }: DenyContent): string =>
  JSON.stringify([from && [...from].sort(), issuer, reason, when, mode])
