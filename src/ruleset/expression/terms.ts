// Owns the terms that an expression is read into, and questions about their shape. Pure.
// Must not know how they are written, checked or evaluated.
import type { ASTNode } from '@marcbachmann/cel-js'

/** A part of an expression. `node` is the library's own, whose type is known after its check. */
export type Term = { readonly node: ASTNode } & (
  | { readonly kind: 'literal'; readonly value: string | number | bigint | boolean | null }
  /** `subject.claims.<claim>`, and the test whether the token has it. */
  | { readonly kind: 'claim' | 'claim_test'; readonly claim: string }
  /** `subject.sub`, `now`; and `has(actor.sub)`. */
  | { readonly kind: 'fact' | 'fact_test'; readonly fact: string }
  /** Of an enclosing loop. */
  | { readonly kind: 'variable'; readonly name: string }
  /** A member by name or index, and `has()` of one. */
  | { readonly kind: 'member' | 'member_test'; readonly parts: readonly Term[] }
  /** `receiver.name(…)` has the receiver first. */
  | { readonly kind: 'call'; readonly name: string; readonly parts: readonly Term[] }
  | {
      readonly kind: 'loop'
      readonly name: string
      readonly variable: string
      readonly range: Term
      readonly bodies: readonly Term[]
    }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly [Term, Term] }
  | { readonly kind: 'not'; readonly parts: readonly [Term] }
  | { readonly kind: 'choice'; readonly parts: readonly [Term, Term, Term] }
  | { readonly kind: 'operation'; readonly name: string; readonly parts: readonly Term[] }
  | { readonly kind: 'list' | 'map'; readonly parts: readonly Term[] }
)

/** What is directly inside a term. */
export function partsOf(term: Term): readonly Term[] {
  if (term.kind === 'loop') return [term.range, ...term.bodies]
  return 'parts' in term ? term.parts : []
}

export const isMapLoop = (term: Term): boolean => term.kind === 'loop' && term.name === 'map'

/** Whether a term or anything in it is such a one. */
export const contains = (term: Term, isSuch: (term: Term) => boolean): boolean =>
  isSuch(term) || partsOf(term).some((part) => contains(part, isSuch))

/** A part of the facts or constants: nothing that the expression made. */
export function isGiven(term: Term): boolean {
  switch (term.kind) {
    case 'claim':
    case 'fact':
    case 'variable':
      return true
    case 'member':
      return isGiven(term.parts[0] ?? term)
    case 'list':
      return term.parts.every((item) => item.kind === 'literal')
    case 'loop':
      return term.name === 'filter' && isGiven(term.range)
    default:
      return false
  }
}

/** Whether a term's type is only known when it is evaluated; of the library's node after its check. */
export const isDyn = ({ node }: Term): boolean =>
  (node as { checkedType?: { hasDynType?: boolean } }).checkedType?.hasDynType !== false
