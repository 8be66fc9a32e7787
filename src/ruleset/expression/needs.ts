// Owns what must be there for an expression to be true: claims, and an actor token. Pure.
// Must not evaluate; where it is unsure, nothing is needed.
import { contains, type Term } from './terms.ts'

/** What an expression is never true without. */
export interface Needs {
  /** Names of claims, sorted. */
  readonly claims: readonly string[]
  readonly actor: boolean
}

/** What is surely there if a term is true, if it is false, and if it has a value at all. */
interface Outcomes {
  readonly whenTrue: readonly string[]
  readonly whenFalse: readonly string[]
  readonly whenValue: readonly string[]
}

const CLAIM = 'claim '
const ACTOR = 'actor'

/** What an expression needs. */
export function needsOf(term: Term): Needs {
  const needed = outcomesOf(term).whenTrue
  return {
    claims: needed
      .filter((name) => name.startsWith(CLAIM))
      .map((name) => name.slice(CLAIM.length))
      .sort(),
    actor: needed.includes(ACTOR),
  }
}

/** Whether an expression reads nothing of a request, so that it is always the same. */
export const isConstant = (term: Term): boolean => !contains(term, ({ kind }) => READS.has(kind))

const READS: ReadonlySet<Term['kind']> = new Set(['claim', 'claim_test', 'fact', 'fact_test'])

function outcomesOf(term: Term): Outcomes {
  switch (term.kind) {
    case 'claim':
      return always([CLAIM + term.claim])
    case 'claim_test':
      return { whenTrue: [CLAIM + term.claim], whenFalse: [], whenValue: [] }
    case 'fact':
      return always(actorOf(term.fact))
    case 'fact_test':
      return { whenTrue: actorOf(term.fact), whenFalse: [], whenValue: [] }
    case 'not': {
      const { whenTrue, whenFalse, whenValue } = outcomesOf(term.parts[0])
      return { whenTrue: whenFalse, whenFalse: whenTrue, whenValue }
    }
    case 'and':
      return both(outcomesOf(term.parts[0]), outcomesOf(term.parts[1]))
    case 'or':
      return swapped(both(swapped(outcomesOf(term.parts[0])), swapped(outcomesOf(term.parts[1]))))
    case 'choice':
      return choice(...(term.parts.map(outcomesOf) as [Outcomes, Outcomes, Outcomes]))
    case 'loop':
      return loop(term)
    default:
      return always('parts' in term ? term.parts.flatMap((part) => outcomesOf(part).whenValue) : [])
  }
}

const always = (names: readonly string[]): Outcomes => {
  const once = [...new Set(names)]
  return { whenTrue: once, whenFalse: once, whenValue: once }
}

/** The members of an actor token are there together, or none is; all other facts are always there. */
const actorOf = (fact: string): readonly string[] => (fact.startsWith('actor.') ? [ACTOR] : [])

/** `&&`: false where one side is, whatever the other one is, an error included (CEL). */
function both(left: Outcomes, right: Outcomes): Outcomes {
  const whenTrue = union(left.whenTrue, right.whenTrue)
  const whenFalse = common(left.whenFalse, right.whenFalse)
  return { whenTrue, whenFalse, whenValue: common(whenTrue, whenFalse) }
}

const swapped = ({ whenTrue, whenFalse, whenValue }: Outcomes): Outcomes => ({
  whenTrue: whenFalse,
  whenFalse: whenTrue,
  whenValue,
})

function choice(test: Outcomes, then: Outcomes, otherwise: Outcomes): Outcomes {
  const of = (outcome: keyof Outcomes) =>
    common(union(test.whenTrue, then[outcome]), union(test.whenFalse, otherwise[outcome]))
  return { whenTrue: of('whenTrue'), whenFalse: of('whenFalse'), whenValue: of('whenValue') }
}

/** What is done for each item may be done for none, unless one of them must be found. */
function loop({ name, range, bodies }: Extract<Term, { kind: 'loop' }>): Outcomes {
  const { whenValue } = outcomesOf(range)
  const found = name === 'exists' || name === 'exists_one' ? bodies[0] : undefined
  const whenTrue = found === undefined ? whenValue : union(whenValue, outcomesOf(found).whenTrue)
  return { whenTrue, whenFalse: whenValue, whenValue }
}

const union = (left: readonly string[], right: readonly string[]): readonly string[] => [
  ...new Set([...left, ...right]),
]

const common = (left: readonly string[], right: readonly string[]): readonly string[] =>
  left.filter((name) => right.includes(name))
