// Owns the way from the written `denies` of a service to compiled ones, with their faults.
// Must not know rules.

import type { Deny } from '../ruleset.ts'
import type { Compilation, Draft, Path } from './compilation.ts'
import { conditionOf } from './conditions.ts'
import { callerOf, checkIssuer } from './references.ts'

/** Compiles `denies`: those without condition first, then by id, so that their order never matters. */
export function compileDenies(draft: Draft, compilation: Compilation): readonly Deny[] {
  const denies = (draft.entry.denies ?? []).map((entry, index) => {
    const path: Path = ['denies', index]
    if (entry.issuer !== undefined) {
      checkIssuer(draft, [...path, 'issuer'], entry.issuer, compilation)
    }
    const from =
      entry.from === undefined ? undefined : callersOf(draft, path, entry.from, compilation)
    // A deny may be in audit mode without a condition: it says whom it would shut out.
    const condition =
      entry.when === undefined ? undefined : conditionOf(draft, path, entry, compilation)
    return {
      id: `${draft.name} denies ${entry.reason}`,
      from,
      issuer: entry.issuer,
      reason: entry.reason,
      when: condition?.expression,
      mode: entry.mode ?? 'enforce',
    }
  })
  const sorted = denies
    .map((deny) => ({ deny, key: sortKey(deny) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  const seen = new Map<string, number>()
  return sorted.map(({ deny }) => {
    const count = (seen.get(deny.id) ?? 0) + 1
    seen.set(deny.id, count)
    return Object.freeze(count === 1 ? deny : { ...deny, id: `${deny.id}#${count}` })
  })
}

function sortKey({ id, when, from, issuer, mode }: Deny): string {
  const callers = from === undefined ? null : [...from].sort()
  return JSON.stringify([
    when === undefined ? 0 : 1,
    id,
    callers,
    issuer ?? null,
    when?.source,
    mode,
  ])
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
