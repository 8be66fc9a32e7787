// Owns the way from a written expression to a checked one, and what stands in `ctx`.
// Must not know what a condition is for.
import { RESERVED_CLAIMS } from '../../tokens/attenuation.ts'
import { compileExpression, type Expression } from '../expression/expression.ts'
import type { Condition, CtxEntry } from '../ruleset.ts'
import type { Compilation, Draft, Path } from './compilation.ts'

/** Where a `when` may stand. */
interface Conditional {
  readonly when?: string | undefined
  readonly mode?: 'enforce' | 'audit' | undefined
}

/** Compiles `when` and `mode` of an entry; undefined where it has none, or a faulty one. */
export function conditionOf(
  draft: Draft,
  path: Path,
  { when, mode }: Conditional,
  compilation: Compilation,
): Condition | undefined {
  if (when === undefined) {
    if (mode !== undefined) {
      compilation.report(
        draft,
        [...path, 'mode'],
        'mode-without-when',
        'mode says how a condition counts, and there is no `when`',
      )
    }
    return undefined
  }
  const expression = expressionOf(draft, [...path, 'when'], when, 'condition', compilation)
  return expression && Object.freeze({ expression, mode: mode ?? 'enforce' })
}

/** Compiles one expression; undefined and reported where it is faulty. */
export function expressionOf(
  draft: Draft,
  path: Path,
  source: string,
  kind: 'condition' | 'value',
  { conditions, report }: Compilation,
): Expression | undefined {
  const key = `${kind} ${source}`
  const known = conditions.get(key)
  if (known !== undefined) return known
  const compiled = compileExpression(source, kind)
  if (!compiled.ok) {
    const { message, suggestion, offset } = compiled
    report(draft, path, 'condition-invalid', message, {
      offset,
      ...(suggestion === undefined ? {} : { suggest: () => suggestion }),
    })
    return undefined
  }
  conditions.set(key, compiled.expression)
  return compiled.expression
}

/** Compiles `ctx` of a service, sorted by name. */
export function ctxOf(draft: Draft, compilation: Compilation): ReadonlyMap<string, CtxEntry> {
  const members: [string, CtxEntry][] = []
  for (const [name, entry] of Object.entries(draft.entry.ctx ?? {})) {
    const path: Path = ['ctx', name]
    if ('claim' in entry) {
      if (RESERVED_CLAIMS.has(entry.claim)) {
        const message = `claim ${entry.claim} is registered or ours and cannot be passed on`
        compilation.report(draft, [...path, 'claim'], 'claim-reserved', message)
      }
      members.push([name, Object.freeze({ kind: 'claim', claim: entry.claim })])
    } else if ('value' in entry) {
      members.push([name, Object.freeze({ kind: 'value', value: entry.value })])
    } else {
      const at: Path = [...path, 'computed']
      const expression = expressionOf(draft, at, entry.computed, 'value', compilation)
      if (expression !== undefined) {
        members.push([name, Object.freeze({ kind: 'computed', expression })])
      }
    }
  }
  return new Map(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}
