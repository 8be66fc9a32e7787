// Owns the way from the written rules of one service to compiled ones, with their faults.
// Must not know other parts of a service; compile.ts calls it.

import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import { fullName } from '../names.ts'
import type { Embed, Justification, Rule } from '../ruleset.ts'
import type { EmbedEntry, RuleEntry } from '../schema.ts'
import type { Compilation, Draft, Path } from './compilation.ts'
import { conditionOf } from './conditions.ts'
import { callerOf, checkIssuer } from './references.ts'
import { scopesOf } from './scopes.ts'

const NO_SCOPES: ReadonlyMap<string, Justification> = new Map()
const NO_ISSUERS: ReadonlySet<string> = new Set()
const NO_EMBEDS: readonly Embed[] = Object.freeze([])

/** Compiles `accepts`; keyed by `<from>|<issuer>`, each of which can occur once. */
export function compileRules(draft: Draft, compilation: Compilation): Map<string, Rule> {
  const rules = new Map<string, Rule>()
  const covered: Covered = { named: new Set(), globs: 0 }
  for (const [index, entry] of (draft.entry.accepts ?? []).entries()) {
    const path: Path = ['accepts', index]
    const issuer = entry.issuer ?? SELF
    checkIssuer(draft, [...path, 'issuer'], issuer, compilation)
    checkForward(draft, path, entry, compilation)
    const actors = actorsOf(draft, path, entry, compilation)
    const when = conditionOf(draft, path, entry, compilation)
    const embed = embedsOf(draft, entry.embed)
    for (const [fromPath, reference] of callersOf(path, entry)) {
      const from = callerOf(draft, fromPath, reference, compilation)
      if (from === undefined) continue
      const source = { from, issuer }
      checkOverlap(draft, fromPath, source, rules, covered, compilation)
      const rule: Rule = {
        id: `${draft.name} <- ${from} [${issuer}]`,
        from,
        issuer,
        scopes: entry.scopes
          ? scopesOf(draft, [...path, 'scopes'], entry.scopes, source, compilation)
          : NO_SCOPES,
        act: entry.act ?? 'delegate',
        actors,
        when,
        embed,
        forward: entry.forward ?? false,
      }
      rules.set(`${from}|${issuer}`, Object.freeze(rule))
    }
  }
  return rules
}

/** The callers of one entry, each with its place. */
const callersOf = (path: Path, { from }: RuleEntry): readonly (readonly [Path, string])[] =>
  typeof from === 'string'
    ? [[[...path, 'from'], from]]
    : from.map((reference, at) => [[...path, 'from', at], reference])

/** A forwarded token is handed on as it is: nothing of it can be chosen. */
function checkForward(draft: Draft, path: Path, entry: RuleEntry, { report }: Compilation): void {
  if (entry.forward !== true) {
    if (entry.scopes === undefined) {
      report(draft, path, 'rule-without-scopes', 'a rule without scopes allows nothing')
    }
    return
  }
  if (entry.issuer === WORKLOAD) {
    const message =
      "a workload's own token proves who it is: whoever got it could act as that workload"
    report(draft, [...path, 'forward'], 'forward-workload', message)
  }
  for (const key of ['scopes', 'embed', 'act', 'actors'] as const) {
    if (entry[key] === undefined) continue
    const message = `a forwarded token travels unchanged: \`${key}\` has no meaning beside forward`
    report(draft, [...path, key], 'forward-alone', message)
  }
}

function actorsOf(
  draft: Draft,
  path: Path,
  entry: RuleEntry,
  compilation: Compilation,
): ReadonlySet<string> {
  if (entry.actors === undefined) return NO_ISSUERS
  for (const [at, issuer] of entry.actors.entries()) {
    checkIssuer(draft, [...path, 'actors', at], issuer, compilation)
  }
  if (entry.act === 'impersonate') {
    const message = 'impersonation takes no actor token'
    compilation.report(draft, [...path, 'actors'], 'actors-with-impersonate', message)
  }
  return new Set(entry.actors)
}

/** Whether the targets exist and may be embedded is seen when all services are compiled. */
function embedsOf(draft: Draft, entries: readonly EmbedEntry[] | undefined): readonly Embed[] {
  if (entries === undefined) return NO_EMBEDS
  const embeds = entries.map((entry) => {
    const reference = typeof entry === 'string' ? entry : entry.to
    const to = fullName(reference, draft.namespace)
    const own = `${draft.namespace}/`
    return Object.freeze({
      to,
      member: to.startsWith(own) ? to.slice(own.length) : to,
      required: typeof entry === 'string' ? false : (entry.required ?? false),
    })
  })
  return Object.freeze(embeds.sort((a, b) => (a.to < b.to ? -1 : 1)))
}

/** What the rules before cover, beside their keys. */
interface Covered {
  /** `<namespace>|<issuer>` whose callers are named one by one. */
  readonly named: Set<string>
  /** How many name a whole namespace. */
  globs: number
}

/** At most one rule for each caller and issuer: so no order can matter (field: two rules match). */
function checkOverlap(
  draft: Draft,
  path: Path,
  { from, issuer }: { readonly from: string; readonly issuer: string },
  rules: ReadonlyMap<string, Rule>,
  covered: Covered,
  { report }: Compilation,
): void {
  const namespace = from.slice(0, from.indexOf('/'))
  const glob = `${namespace}/*`
  const isGlob = from === glob
  const isCovered =
    rules.has(`${from}|${issuer}`) ||
    (covered.globs > 0 && rules.has(`${glob}|${issuer}`)) ||
    (isGlob && covered.named.has(`${namespace}|${issuer}`))
  if (isCovered) {
    const message = `another rule of ${draft.name} already covers ${from} with issuer ${issuer}`
    report(draft, path, 'rule-overlap', message)
  }
  if (isGlob) covered.globs++
  else covered.named.add(`${namespace}|${issuer}`)
}
