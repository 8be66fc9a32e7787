// Owns the way from written rules and denies of one service to compiled ones, with their faults.
// Must not know other parts of a service; compile.ts calls it.
import { nearest } from '../config/problem.ts'
import { SELF } from '../subjects/subject.ts'
import type { Compilation, Draft } from './compilation.ts'
import { fullName } from './names.ts'
import type { Deny, Justification, Rule } from './ruleset.ts'
import type { JustificationEntry, RuleEntry } from './schema.ts'

type Path = readonly (string | number)[]

/** Reserved for jobs without a user; not in this version. */
const WORKLOAD = 'workload'

/** Compiles `accepts`; keyed by `<from>|<issuer>`, each of which can occur once. */
export function compileRules(draft: Draft, compilation: Compilation): Map<string, Rule> {
  const rules = new Map<string, Rule>()
  /** Namespaces whose callers are named one by one, to see a glob that comes later. */
  const named = new Map<string, Path>()
  for (const [index, entry] of (draft.entry.accepts ?? []).entries()) {
    const path: Path = ['accepts', index]
    const issuer = entry.issuer ?? SELF
    checkIssuer(draft, [...path, 'issuer'], issuer, compilation)
    const actors = actorsOf(draft, path, entry, compilation)
    for (const [at, reference] of [entry.from].flat().entries()) {
      const fromPath: Path = Array.isArray(entry.from) ? [...path, 'from', at] : [...path, 'from']
      const from = callerOf(draft, fromPath, reference, compilation)
      if (from === undefined) continue
      checkOverlap(draft, fromPath, from, issuer, rules, named, compilation)
      rules.set(
        `${from}|${issuer}`,
        Object.freeze({
          id: `${draft.name} <- ${from} [${issuer}]`,
          from,
          issuer,
          scopes: scopesOf(draft, path, entry, { from, issuer }, compilation),
          act: entry.act ?? 'delegate',
          actors,
        }),
      )
    }
  }
  return rules
}

/** Compiles `denies`. */
export function compileDenies(draft: Draft, compilation: Compilation): readonly Deny[] {
  return (draft.entry.denies ?? []).map((entry, index) => {
    const path: Path = ['denies', index]
    if (entry.issuer !== undefined) {
      checkIssuer(draft, [...path, 'issuer'], entry.issuer, compilation)
    }
    const from =
      entry.from === undefined ? undefined : callersOf(draft, path, entry.from, compilation)
    return Object.freeze({ from, issuer: entry.issuer, reason: entry.reason })
  })
}

function callersOf(
  draft: Draft,
  path: Path,
  references: string | readonly string[],
  compilation: Compilation,
): ReadonlySet<string> {
  const callers = new Set<string>()
  for (const [at, reference] of [references].flat().entries()) {
    const fromPath: Path =
      typeof references === 'string' ? [...path, 'from'] : [...path, 'from', at]
    const caller = callerOf(draft, fromPath, reference, compilation)
    if (caller !== undefined) callers.add(caller)
  }
  return callers
}

function checkIssuer(
  draft: Draft,
  path: Path,
  issuer: string,
  { context, report }: Compilation,
): void {
  if (issuer === SELF || context.issuers.includes(issuer)) return
  if (issuer === WORKLOAD) report(draft, path, 'issuer workload is not supported by this version')
  else {
    report(draft, path, `no issuer ${issuer} in the issuers file`, () =>
      nearest(issuer, [SELF, ...context.issuers]),
    )
  }
}

function actorsOf(
  draft: Draft,
  path: Path,
  entry: RuleEntry,
  compilation: Compilation,
): ReadonlySet<string> {
  for (const [at, issuer] of (entry.actors ?? []).entries()) {
    checkIssuer(draft, [...path, 'actors', at], issuer, compilation)
  }
  if (entry.act === 'impersonate' && entry.actors !== undefined) {
    compilation.report(draft, [...path, 'actors'], 'impersonation takes no actor token')
  }
  return new Set(entry.actors ?? [])
}

/** A full service name or `namespace/*`; undefined (and reported) where there is no such caller. */
function callerOf(
  draft: Draft,
  path: Path,
  reference: string,
  { drafts, namespaces, report }: Compilation,
): string | undefined {
  if (reference.endsWith('/*')) {
    const namespace = reference.slice(0, -2)
    if (namespaces.has(namespace)) return reference
    report(draft, path, `no namespace ${namespace}`, () => nearest(namespace, namespaces))
    return undefined
  }
  const name = fullName(reference, draft.namespace)
  const caller = drafts.get(name)
  if (caller === undefined) {
    report(draft, path, `no service ${name}`, () => nearest(name, drafts.keys()))
    return undefined
  }
  if (caller.entry.external === true) {
    report(draft, path, `${name} is external: it calls nobody`)
    return undefined
  }
  return name
}

/** At most one rule for each caller and issuer: so no order can matter (field: two rules match). */
function checkOverlap(
  draft: Draft,
  path: Path,
  from: string,
  issuer: string,
  rules: ReadonlyMap<string, Rule>,
  named: Map<string, Path>,
  { report }: Compilation,
): void {
  const namespace = from.slice(0, from.indexOf('/'))
  const glob = `${namespace}/*`
  const met = from === glob ? named.get(`${namespace}|${issuer}`) : undefined
  if (rules.has(`${from}|${issuer}`) || rules.has(`${glob}|${issuer}`) || met !== undefined) {
    report(
      draft,
      path,
      `another rule of ${draft.name} already covers ${from} with issuer ${issuer}`,
    )
  }
  if (from !== glob) named.set(`${namespace}|${issuer}`, path)
}

function scopesOf(
  draft: Draft,
  path: Path,
  entry: RuleEntry,
  source: { readonly from: string; readonly issuer: string },
  compilation: Compilation,
): ReadonlyMap<string, Justification> {
  const known = draft.entry.scopes ?? []
  const written: readonly (readonly [string, JustificationEntry, Path])[] = Array.isArray(
    entry.scopes,
  )
    ? entry.scopes.map((scope, at) => [scope, [scope], [...path, 'scopes', at]] as const)
    : Object.entries(entry.scopes).map(
        ([scope, justification]) => [scope, justification, [...path, 'scopes', scope]] as const,
      )
  if (written.length === 0) {
    compilation.report(draft, [...path, 'scopes'], 'a rule without scopes allows nothing')
  }
  const scopes = new Map<string, Justification>()
  for (const [scope, justification, scopePath] of written) {
    if (!known.includes(scope)) {
      compilation.report(draft, scopePath, `${draft.name} has no scope ${scope}`, () =>
        nearest(scope, known),
      )
    }
    const compiled = justificationOf(justification)
    checkJustification(draft, scopePath, compiled, source, compilation)
    scopes.set(scope, compiled)
  }
  // In the target's order, so that a grant of everything reads as the admin wrote the vocabulary.
  const order = new Map(known.map((scope, at) => [scope, at]))
  return new Map(
    [...scopes].sort(([a], [b]) => (order.get(a) ?? known.length) - (order.get(b) ?? known.length)),
  )
}

function justificationOf(entry: JustificationEntry): Justification {
  if (Array.isArray(entry)) return Object.freeze({ mode: 'any', scopes: entry })
  return 'all' in entry
    ? Object.freeze({ mode: 'all', scopes: entry.all })
    : Object.freeze({ mode: 'any', scopes: entry.any })
}

/** Our own tokens for `from` carry scopes of `from`: what is not among them can never justify. */
function checkJustification(
  draft: Draft,
  path: Path,
  { scopes }: Justification,
  { from, issuer }: { readonly from: string; readonly issuer: string },
  { drafts, report }: Compilation,
): void {
  if (issuer !== SELF || from.endsWith('/*')) return
  const known = drafts.get(from)?.entry.scopes ?? []
  for (const scope of scopes) {
    if (!known.includes(scope)) {
      report(draft, path, `${from} has no scope ${scope} that could justify this`, () =>
        nearest(scope, known),
      )
    }
  }
}
