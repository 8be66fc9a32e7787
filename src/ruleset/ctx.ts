// Owns the claim `ctx`: renamed, constant and computed claims of a target.
// Must not decide what an error in one of them means.
import type { Course } from './course.ts'
import type { Expression } from './expression/expression.ts'
import { shown } from './justify.ts'
import type { Service } from './ruleset.ts'

/** The claim, undefined where the target has none; or which member is in error. */
type ComputedCtx =
  | { readonly ok: true; readonly ctx: Readonly<Record<string, unknown>> | undefined }
  | { readonly ok: false; readonly detail: string }

/** Makes the claim `ctx` of a token for the target; an absent claim is left out. */
export function computeCtx(course: Course, target: Service): ComputedCtx {
  if (target.ctx.size === 0) return { ok: true, ctx: undefined }
  const { claims } = course.facts.subject
  const ctx: Record<string, unknown> = {}
  for (const [name, entry] of target.ctx) {
    if (entry.kind === 'value') ctx[name] = entry.value
    else if (entry.kind === 'claim' && Object.hasOwn(claims, entry.claim)) {
      ctx[name] = claims[entry.claim]
    } else if (entry.kind === 'computed') {
      const result = evaluateMember(course, `${target.name} ctx ${name}`, entry.expression)
      if (!result.ok) return { ok: false, detail: `ctx.${name}: ${result.detail}` }
      ctx[name] = result.value
    }
  }
  return { ok: true, ctx }
}

function evaluateMember(
  course: Course,
  predicate: string,
  expression: Expression,
): { readonly ok: boolean; readonly value: unknown; readonly detail: string } {
  const result = course.evaluate(expression, course.facts, 'ctx')
  const outcome = result.ok ? 'is computed' : `is in error: ${result.message}`
  const detail = `${shown(expression.source)} ${outcome}`
  course.trace?.({ predicate, kind: 'ctx', passed: result.ok, detail, audited: false })
  return { ok: result.ok, value: result.ok ? result.value : undefined, detail }
}
