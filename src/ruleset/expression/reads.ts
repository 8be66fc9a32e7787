// Owns which claims an expression reads, and whether it looks first that they are there. Pure.
// Must not evaluate; where it is unsure, a read counts as unguarded.
import { partsOf, type Term } from './terms.ts'

/** Names of claims, sorted. */
export interface Reads {
  readonly claims: readonly string[]
  /** Those whose absence is no error: each read stands behind a test, or there are only tests. */
  readonly guarded: readonly string[]
}

/** Claims that are surely there. */
type Present = readonly string[]

/** What an expression reads of the subject's claims. */
export function readsOf(term: Term): Reads {
  const claims = new Set<string>()
  const unguarded = new Set<string>()
  visit(term, [], (claim, isGuarded) => {
    claims.add(claim)
    if (!isGuarded) unguarded.add(claim)
  })
  const sorted = [...claims].sort()
  return { claims: sorted, guarded: sorted.filter((claim) => !unguarded.has(claim)) }
}

function visit(
  term: Term,
  present: Present,
  tell: (claim: string, isGuarded: boolean) => void,
): void {
  if (term.kind === 'claim') tell(term.claim, present.includes(term.claim))
  if (term.kind === 'claim_test') tell(term.claim, true)
  for (const [at, part] of partsOf(term).entries()) {
    visit(part, [...present, ...presentAt(term, at)], tell)
  }
}

/** What the parts before one have found to be there when it is evaluated. */
function presentAt(term: Term, at: number): Present {
  if (at === 0) return []
  if (term.kind === 'and') return unlessFalse(term.parts[0])
  if (term.kind === 'or') return unlessTrue(term.parts[0])
  if (term.kind !== 'choice') return []
  return at === 1 ? unlessFalse(term.parts[0]) : unlessTrue(term.parts[0])
}

/**
 * What is there unless the term is false. An error is not false: the right side of `&&` is also looked
 * at where the left one fails, as CEL says.
 */
function unlessFalse(term: Term): Present {
  switch (term.kind) {
    case 'claim_test':
      return [term.claim]
    case 'and':
      return [...unlessFalse(term.parts[0]), ...unlessFalse(term.parts[1])]
    case 'or':
      return inBoth(unlessFalse(term.parts[0]), unlessFalse(term.parts[1]))
    case 'not':
      return unlessTrue(term.parts[0])
    default:
      return []
  }
}

/** What is there unless the term is true; again, an error is not true. */
function unlessTrue(term: Term): Present {
  switch (term.kind) {
    case 'or':
      return [...unlessTrue(term.parts[0]), ...unlessTrue(term.parts[1])]
    case 'and':
      return inBoth(unlessTrue(term.parts[0]), unlessTrue(term.parts[1]))
    case 'not':
      return unlessFalse(term.parts[0])
    default:
      return []
  }
}

const inBoth = (left: Present, right: Present): Present =>
  left.filter((claim) => right.includes(claim))
