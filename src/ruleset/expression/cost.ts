// Owns how long an expression can take over the largest token that is accepted. Pure.
// Must not evaluate: it counts from the shape alone, in worst cases that were measured.
import { contains, isDyn, partsOf, type Term } from './terms.ts'

/** What a token of MAX_JWT_CHARACTERS can hold: its payload's characters, and values of two characters. */
const MAX_TOKEN_TEXT = 12_288
/** Values in one claim, at all depths. */
export const MAX_CLAIM_VALUES = 6_144
/** The same where an expression loops: directories put up to 200 groups into a token. */
export const MAX_LOOPED_CLAIM_VALUES = 256
/** The longest identifier that is read. */
const MAX_FACT_TEXT = 2_048

/** Items of the lists among the facts, by the caps of the rooms that read them. */
const FACT_ITEMS: Readonly<Record<string, number>> = {
  'subject.scopes': 512,
  'subject.audiences': 32,
  'subject.chain': 16,
  'subject.actors': 10,
  'request.audiences': 8,
  'request.resources': 8,
  'request.scopes': 64,
}

/** Units of about 50 ns; measured. */
const COST = {
  node: 2,
  /** An error that `&&`, `||` or a loop catches and goes on from; it counts lines up to its place. */
  error: 66,
  errorPerCharacter: 0.13,
  /** Comparing a value with one item. */
  item: 0.5,
  /** Per character: `size` walks code points, searches and copies take them in bulk. */
  countedCharacter: 0.16,
  character: 0.06,
} as const

/** 5 ms: other requests wait for so long, as there is one thread. */
export const MAX_COST = 100_000

/** The most that a value can be. */
interface Bulk {
  readonly items: number
  readonly text: number
}

/** A variable of a loop. */
interface Variable {
  /** Among all rounds of its own loop, the parts of a token are never more than the token has. */
  readonly share: Bulk
  /** In a loop inside its own, one item may be all there is. */
  readonly whole: Bulk
  readonly depth: number
}

interface Scope {
  readonly variables: ReadonlyMap<string, Variable>
  readonly claim: Bulk
  /** What an error costs. */
  readonly error: number
}

/** One of the items of a claim, of the scopes and so on, on average. */
const SHARE: Bulk = { items: 1, text: 48 }

/**
 * The most that evaluating an expression of so many characters can cost, whatever the token holds. Its
 * types must have been checked.
 */
export function worstCostOf(term: Term, characters: number): number {
  const items = loopsOverClaims(term) ? MAX_LOOPED_CLAIM_VALUES : MAX_CLAIM_VALUES
  const scope = {
    variables: new Map(),
    claim: { items, text: MAX_TOKEN_TEXT },
    error: COST.error + COST.errorPerCharacter * characters,
  }
  return costOf(term, 1, scope)
}

/** Whether {@link MAX_LOOPED_CLAIM_VALUES} holds for the claims of an expression. */
export const loopsOverClaims = (term: Term): boolean =>
  contains(term, ({ kind }) => kind === 'loop') && contains(term, ({ kind }) => kind === 'claim')

/** Of a term that is evaluated so many times. */
function costOf(term: Term, times: number, scope: Scope): number {
  if (term.kind === 'loop') return costOfLoop(term, times, scope)
  let cost = times * ownCost(term, scope)
  for (const part of partsOf(term)) cost += costOf(part, times, scope)
  return cost
}

function costOfLoop(term: Term & { kind: 'loop' }, times: number, scope: Scope): number {
  const rounds = times * bulkOf(term.range, scope).items
  const inside = within(term, scope)
  let cost = costOf(term.range, times, scope) + (times + rounds) * COST.node
  for (const body of term.bodies) {
    const goesOn = GOING_ON.has(term.name) && (mayFail(body) || isDyn(body))
    cost += costOf(body, rounds, inside) + (goesOn ? rounds * scope.error : 0)
  }
  return cost
}

/** Loops that may have their answer from a later item where one is in error. */
const GOING_ON: ReadonlySet<string> = new Set(['all', 'exists'])

const within = ({ variable, range }: Term & { kind: 'loop' }, scope: Scope): Scope => ({
  ...scope,
  variables: new Map(scope.variables).set(variable, {
    share: itemOf(range, scope),
    whole: bulkOf(range, scope),
    depth: scope.variables.size + 1,
  }),
})

function ownCost(term: Term, scope: Scope): number {
  switch (term.kind) {
    case 'and':
    case 'or':
      return COST.node + (mayFail(term.parts[0]) ? scope.error : 0)
    case 'operation':
      return COST.node + costOfOperation(term.name, term.parts, scope)
    case 'call':
      return COST.node + costOfCall(term.name, term.parts, scope)
    case 'list':
    case 'map':
      return COST.node + term.parts.length
    default:
      return COST.node
  }
}

function costOfOperation(name: string, parts: readonly Term[], scope: Scope): number {
  const bulks = parts.map((part) => bulkOf(part, scope))
  const items = bulks.map((bulk) => bulk.items)
  switch (name) {
    case 'in':
      return COST.item * (items[1] ?? 0)
    case '==':
    case '!=':
      return 2 * COST.item * Math.min(...items)
    case '+':
      return COST.item * sum(items) + COST.character * sum(bulks.map(({ text }) => text))
    default:
      return COST.node
  }
}

function costOfCall(name: string, parts: readonly Term[], scope: Scope): number {
  const [first] = parts
  const text = first === undefined ? 0 : bulkOf(first, scope).text
  switch (name) {
    case 'size':
      return COST.countedCharacter * text
    case 'contains':
    case 'lowerAscii':
    case 'upperAscii':
      return COST.character * text
    default:
      return 4 * COST.node
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

const most = (bulks: readonly Bulk[]): Bulk => ({
  items: Math.max(1, ...bulks.map(({ items }) => items)),
  text: Math.max(1, ...bulks.map(({ text }) => text)),
})

/** The most that a term's value can be. */
function bulkOf(term: Term, scope: Scope): Bulk {
  switch (term.kind) {
    case 'literal':
      return { items: 1, text: typeof term.value === 'string' ? term.value.length : 1 }
    case 'claim':
      return scope.claim
    case 'fact':
      return { items: FACT_ITEMS[term.fact] ?? 1, text: MAX_FACT_TEXT }
    case 'variable':
      return bulkOfVariable(term.name, scope)
    case 'list':
    case 'map': {
      const bulks = term.parts.map((part) => bulkOf(part, scope))
      return { items: bulks.length + sum(bulks.map(({ items }) => items)), text: most(bulks).text }
    }
    case 'loop': {
      const range = bulkOf(term.range, scope)
      if (term.name !== 'map') return range
      const made = most(term.bodies.map((body) => bulkOf(body, within(term, scope))))
      return { items: range.items * made.items, text: made.text }
    }
    case 'operation': {
      const bulks = term.parts.map((part) => bulkOf(part, scope))
      if (term.name !== '+') return { items: 1, text: 1 }
      return { items: sum(bulks.map((b) => b.items)), text: sum(bulks.map((b) => b.text)) }
    }
    default:
      return most(partsOf(term).map((part) => bulkOf(part, scope)))
  }
}

function bulkOfVariable(name: string, { variables }: Scope): Bulk {
  const variable = variables.get(name)
  if (variable === undefined) return SHARE
  return variable.depth === variables.size ? variable.share : variable.whole
}

/** What a loop over a term has in its variable: on average, where the term is a part of the facts. */
function itemOf(range: Term, scope: Scope): Bulk {
  switch (range.kind) {
    case 'claim':
    case 'fact':
      return SHARE
    case 'variable':
      return bulkOfVariable(range.name, scope)
    case 'member':
      return itemOf(range.parts[0] ?? range, scope)
    case 'list':
      return most(range.parts.map((part) => bulkOf(part, scope)))
    case 'loop':
      return itemOf(range.range, scope)
    default:
      return most(partsOf(range).map((part) => bulkOf(part, scope)))
  }
}

/** Whether the evaluation of a term can end in an error; where that is unsure, it can. */
function mayFail(term: Term): boolean {
  switch (term.kind) {
    case 'literal':
    case 'variable':
    case 'claim_test':
    case 'fact_test':
      return false
    case 'fact':
      return term.fact.startsWith('actor.')
    case 'member_test':
      return term.parts[0]?.kind !== 'variable'
    case 'and':
    case 'or':
    case 'not':
      return term.parts.some(isUnsure)
    case 'operation':
      return EQUALITIES.has(term.name) ? term.parts.some(mayFail) : term.parts.some(isUnsure)
    case 'call':
      return !SURE_CALLS.has(term.name) || term.parts.some(isUnsure)
    default:
      return true
  }
}

const isUnsure = (term: Term): boolean => mayFail(term) || isDyn(term)

const EQUALITIES: ReadonlySet<string> = new Set(['==', '!='])
/** Never in error where the types are right. */
const SURE_CALLS: ReadonlySet<string> = new Set([
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'lowerAscii',
  'upperAscii',
])
