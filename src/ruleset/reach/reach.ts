// Owns the exploration: every token that chains of exchanges could ever give, and who would hold it.
// Must not know what must not be; it tries what `exchange` would do (tokens/tailor.ts) and nothing else.
import { type Tailored, tailor } from '../../tokens/tailor.ts'
import { ruleFor } from '../rule-for.ts'
import type { Service, ServiceName } from '../ruleset.ts'
import type { Facts } from './facts.ts'
import { createNotes, type Notes, noteExchange, stockOf } from './notes.ts'
import { type Asked, rootTokens } from './roots.ts'
import {
  ASSUMING,
  believedSubject,
  type Exchange,
  orderOf,
  type ReachedToken,
  type World,
} from './token.ts'

/** About half a minute; a thousand services with ten thousand rules need a tenth of it. */
const MAX_EXCHANGES = 1_000_000
/** With less than 2 KB each they fit into the memory that commands have (docs/decisions/0011). */
const MAX_TOKENS = 250_000

/** What an exploration found. */
export interface Reach {
  readonly world: World
  readonly facts: Facts
  /** The first exchange over each edge, by {@link edgeKey}. */
  readonly edges: ReadonlyMap<string, Exchange>
  readonly explored: Explored
}

/** How much was looked at. */
export interface Explored {
  /** False where it was given up: then what was not found may be there. */
  readonly complete: boolean
  readonly tokens: number
  readonly exchanges: number
  /** Services that hold a token, or that a token is for. */
  readonly services: number
  /** Requests of the longest chain that gave something new. */
  readonly depth: number
}

/** What a caller may look at and ask for. */
export interface ExploreOptions {
  readonly asked?: Asked
  readonly maxExchanges?: number
  /** Told of each exchange that is granted. */
  readonly onExchange?: (exchange: Exchange, tailored: Granted) => void
}

export type Granted = Exclude<Tailored, { outcome: 'denied' }>

const NOTHING_ASKED: Asked = { scopes: [], claims: [] }

/** An edge of the call graph that a token went over. */
export const edgeKey = (caller: ServiceName, target: ServiceName, issuer: string): string =>
  `${caller} ${target} ${issuer}`

/** The state of an exploration. */
interface Course {
  readonly options: ExploreOptions
  readonly notes: Notes
  readonly edges: Map<string, Exchange>
  exchanges: number
}

/**
 * Tries all requests of one chain length after the other, so that what is found first is found by a shortest
 * chain. What is left out of it (caps on size and time, actor tokens, `may_act`, conditions) can only deny
 * what is found here, never give what is not: more scopes and claims, fewer levels of `act` and no actor
 * never obtain less.
 */
export function explore(world: World, options: ExploreOptions = {}): Reach {
  const roots = rootTokens(world, options.asked ?? NOTHING_ASKED)
  const notes = createNotes(world, roots)
  const course: Course = { options, notes, edges: new Map(), exchanges: 0 }
  const isComplete = exhaust(course, roots)
  const { edges, exchanges } = course
  const { facts, tokens, depth, touched } = notes
  const explored = { complete: isComplete, tokens, exchanges, services: touched.size, depth }
  return { world, facts, edges, explored }
}

/** Whether it came to an end. */
function exhaust(course: Course, roots: readonly ReachedToken[]): boolean {
  const { notes, options } = course
  const { maxExchanges = MAX_EXCHANGES } = options
  let layer = roots
  for (let depth = 1; layer.length > 0; depth++) {
    for (const token of layer) {
      if (course.exchanges > maxExchanges || notes.tokens > MAX_TOKENS) return false
      handIn(course, token, depth)
    }
    layer = worthHandingIn(notes)
  }
  return true
}

/** What brings no more than another of no longer chains obtains nothing that this one does not. */
function worthHandingIn(notes: Notes): readonly ReachedToken[] {
  const grown = [...notes.grown].map((stocked) => ({
    stocked,
    stock: stockOf(notes, stocked.service),
  }))
  notes.grown.clear()
  for (const { stocked, stock } of grown) stock.weigh(stocked)
  return grown
    .filter(({ stocked, stock }) => stock.isUncovered(stocked))
    .map(({ stocked }) => asItIs(stocked.token))
}

/** What comes to a token while others are handed in is for the next request, or chains would be told too short. */
function asItIs(token: ReachedToken): ReachedToken {
  const { claims, shown } = token
  const inside = [...(shown?.inside ?? [])].map(
    ([key, inner]) => [key, { ...inner, claims: new Map(inner.claims) }] as const,
  )
  return {
    ...token,
    claims: new Map(claims),
    shown: shown && { ctxClaims: new Map(shown.ctxClaims), inside: new Map(inside) },
  }
}

/** Every service that may hand a token in asks for everything at each service that it calls. */
function handIn(course: Course, token: ReachedToken, depth: number): void {
  const { notes, options, edges } = course
  const { world } = notes
  const issuer = world.issuers.get(token.issuer)
  const subject = believedSubject({
    ...token,
    iss: issuer?.iss ?? world.selfIss,
    sub: 'somebody',
    subjectPrefix: issuer?.subjectPrefix,
    claims: Object.fromEntries([...token.claims.keys()].map((claim) => [claim, claim])),
  })
  for (const caller of token.presenters) {
    for (const target of calledBy(world, caller)) {
      const rule = ruleFor(target, caller, token.issuer)
      if (rule === undefined) continue
      course.exchanges++
      const order = orderOf(world, caller, subject, target)
      const tailored = tailor(world.ruleset, order, ASSUMING)
      if (tailored.outcome === 'denied') continue
      const exchange: Exchange = { subject: token, caller, target, rule, depth }
      const key = edgeKey(caller.name, target.name, token.issuer)
      if (!edges.has(key)) edges.set(key, exchange)
      options.onExchange?.(exchange, tailored)
      noteExchange(notes, exchange, tailored)
    }
  }
}

/** By name, so that what is told never depends on the order in which it is written. */
function calledBy({ ruleset }: World, caller: Service): readonly Service[] {
  const called: Service[] = []
  for (const name of [...caller.calls].sort()) {
    const target = ruleset.services.get(name)
    if (target !== undefined) called.push(target)
  }
  return called
}
