// Owns the way from the written `scopes` of a rule to justifications, with their faults.
// Must not know other parts of a rule.
import { nearest } from '../../config/problem.ts'
import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import type { Justification } from '../ruleset.ts'
import type { JustificationEntry, RuleEntry } from '../schema.ts'
import type { Compilation, Draft, Path } from './compilation.ts'
import { conditionOf } from './conditions.ts'

/** Whose tokens justify. */
interface Source {
  readonly from: string
  readonly issuer: string
}

/** Compiles `scopes`, in the target's order, so that a grant of everything reads as its vocabulary. */
export function scopesOf(
  draft: Draft,
  path: Path,
  entry: NonNullable<RuleEntry['scopes']>,
  source: Source,
  compilation: Compilation,
): ReadonlyMap<string, Justification> {
  const known = draft.entry.scopes ?? []
  const scopes = new Map<string, Justification>()
  const add = (scope: string, written: JustificationEntry, step: string | number) => {
    if (!known.includes(scope)) {
      const message = `${draft.name} has no scope ${scope}`
      compilation.report(draft, [...path, step], 'scope-unknown', message, {
        suggest: () => nearest(scope, known),
      })
    }
    const compiled = justificationOf(draft, path, step, written, compilation)
    checkJustification(draft, path, step, compiled, source, compilation)
    scopes.set(scope, compiled)
  }
  if (Array.isArray(entry)) for (const [at, scope] of entry.entries()) add(scope, [scope], at)
  else for (const [scope, written] of Object.entries(entry)) add(scope, written, scope)
  if (scopes.size === 0) {
    compilation.report(draft, path, 'rule-without-scopes', 'a rule without scopes allows nothing')
  }
  return inOrder(scopes, known)
}

/** Most are written in the order of the vocabulary already. */
function inOrder(
  scopes: ReadonlyMap<string, Justification>,
  known: readonly string[],
): ReadonlyMap<string, Justification> {
  let last = 0
  for (const scope of scopes.keys()) {
    const place = known.indexOf(scope)
    if (place < last) {
      const order = new Map(known.map((each, at) => [each, at]))
      const placeOf = (each: string) => order.get(each) ?? known.length
      return new Map([...scopes].sort(([a], [b]) => placeOf(a) - placeOf(b)))
    }
    last = place
  }
  return scopes
}

// `path` and `step` come apart: nearly all scopes are right, and their paths are made for nothing.

function justificationOf(
  draft: Draft,
  path: Path,
  step: string | number,
  entry: JustificationEntry,
  compilation: Compilation,
): Justification {
  if (Array.isArray(entry)) return Object.freeze({ mode: 'any', scopes: entry, when: undefined })
  const isPlain = entry.when === undefined && entry.mode === undefined
  const when = isPlain ? undefined : conditionOf(draft, [...path, step], entry, compilation)
  return 'all' in entry
    ? Object.freeze({ mode: 'all', scopes: entry.all, when })
    : Object.freeze({ mode: 'any', scopes: entry.any, when })
}

/**
 * Our own tokens for `from` carry scopes of `from`, and as itself it brings what `grants` lists: what is
 * not among them can never justify.
 */
function checkJustification(
  draft: Draft,
  path: Path,
  step: string | number,
  { scopes }: Justification,
  { from, issuer }: Source,
  { context, drafts, report }: Compilation,
): void {
  if ((issuer !== SELF && issuer !== WORKLOAD) || from.endsWith('/*')) return
  const entry = drafts.get(from)?.entry
  const known = (issuer === SELF ? entry?.scopes : entry?.grants) ?? []
  for (const scope of scopes) {
    if (known.includes(scope)) continue
    const what = issuer === SELF ? 'scope' : 'grant'
    // Who only receives users' tokens has no scopes of its own: then the issuer was forgotten.
    const isEdge = issuer === SELF && known.length === 0
    const why = isEdge ? `: issuer self means tokens that this service issued to ${from}` : ''
    const message = `${from} has no ${what} ${scope} that could justify this${why}`
    report(draft, [...path, step], 'scope-unjustifiable', message, {
      suggest: () => (isEdge ? onlyIssuer(context.issuers) : nearest(scope, known)),
    })
  }
}

const onlyIssuer = ([only, ...others]: readonly string[]): string | undefined =>
  only === undefined || others.length > 0 ? undefined : `issuer: ${only}`
