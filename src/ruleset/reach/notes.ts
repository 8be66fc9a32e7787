// Owns what is noted of each exchange of an exploration: the token it gives, who holds it, who sees what.
// Must not choose exchanges.
import { SELF } from '../../subjects/subject.ts'
import { depthOf as levelsOf } from '../../tokens/claims.ts'
import type { Tailored } from '../../tokens/tailor.ts'
import { envoyAudience } from '../names.ts'
import type { Service, ServiceName } from '../ruleset.ts'
import { createFacts, type Facts, type Way } from './facts.ts'
import { readersOf } from './roots.ts'
import { createBits, createStock, type Stock, type Stocked } from './stock.ts'
import type {
  Arrival,
  Exchange,
  InsideToken,
  Place,
  ReachedToken,
  ShownToken,
  World,
} from './token.ts'
import { acceptedBy, acceptsOneOf, readIntoCtx, shownBy } from './visible.ts'

/** What is known in the middle of an exploration. */
export interface Notes {
  readonly world: World
  readonly facts: Facts
  /** Tokens of ours, by whom they are for. */
  readonly stocks: Map<Service, Stock>
  /** Services that hold a token. */
  readonly touched: Set<ServiceName>
  /** Tokens of ours that are new, or bring more than before. */
  readonly grown: Set<Stocked>
  readonly bitOfClaim: (claim: string) => bigint
  /** Who accepts tokens of ours that are for a service. */
  readonly acceptors: ReadonlyMap<Service, readonly Service[]>
  /** Who accepts another issuer's tokens. */
  readonly readers: Map<string, readonly Service[]>
  tokens: number
  /** Requests of the longest chain that gave something new. */
  depth: number
}

type Granted = Exclude<Tailored, { outcome: 'denied' }>
type Minted = Extract<Tailored, { outcome: 'tailored' }>

/** Notes what there is before any exchange. */
export function createNotes(world: World, roots: readonly ReachedToken[]): Notes {
  const notes: Notes = {
    world,
    facts: createFacts(),
    stocks: new Map(),
    touched: new Set(),
    grown: new Set(),
    bitOfClaim: createBits(),
    acceptors: acceptorsOf(world),
    readers: new Map(),
    tokens: roots.length,
    depth: 0,
  }
  for (const root of roots) noteRoot(notes, root)
  return notes
}

/** Notes a granted exchange. */
export function noteExchange(notes: Notes, exchange: Exchange, tailored: Granted): void {
  if (tailored.outcome === 'forwarded') noteForwarded(notes, exchange)
  else noteMinted(notes, exchange, tailored, [], [exchange.caller])
}

/** The tokens for one service. */
export function stockOf(notes: Notes, service: Service): Stock {
  const known = notes.stocks.get(service)
  if (known !== undefined) return known
  const made = createStock(service, notes.world.ruleset)
  notes.stocks.set(service, made)
  return made
}

/** Whoever holds the parent holds what is inside, and so does the service that it is for. */
function noteMinted(
  notes: Notes,
  exchange: Exchange,
  tailored: Minted,
  path: readonly string[],
  holders: readonly Service[],
): void {
  const { target } = tailored.decision
  const arrival: Arrival = { exchange, path }
  const way: Way = { from: exchange, path, variant: undefined }
  const all = [...new Set([...holders, target])]
  place(notes, stockOf(notes, target), tailored, arrival)
  const scopes = new Set(tailored.decision.scopes)
  tell(notes, all, { accepting: notes.acceptors.get(target) ?? [], scopes }, way)
  for (const claim of shownBy(tailored)) sight(notes, all, claim, way)
  for (const child of tailored.children) {
    if (child.tailored.outcome !== 'tailored') continue
    noteMinted(notes, exchange, child.tailored, [...path, child.embed.member], all)
  }
}

/** Notes the token of ours that this is, and what it now brings more than it was known to. */
function place(notes: Notes, stock: Stock, tailored: Minted, arrival: Arrival): void {
  const { decision, built } = tailored
  const levels = built.claims.act === undefined ? 0 : levelsOf(built.claims.act)
  const { exp } = built.claims
  const { stocked, isNew } = stock.place(decision.scopes, levels, { exp, arrival })
  const { token } = stocked
  let grows = isNew
  if (isNew) notes.tokens++
  for (const claim of built.passedClaims) {
    if (!addOnce(token.claims, claim, arrival)) continue
    stocked.claims |= notes.bitOfClaim(claim)
    grows = true
  }
  const { shown } = token
  if (shown !== undefined) {
    for (const claim of readIntoCtx(tailored)) {
      if (!addOnce(shown.ctxClaims, claim, arrival)) continue
      stocked.ctxClaims |= notes.bitOfClaim(claim)
      grows = true
    }
    if (keepInside(shown, tailored, arrival, [])) grows = true
  }
  if (!grows) return
  notes.grown.add(stocked)
  notes.depth = Math.max(notes.depth, arrival.exchange.depth)
}

function addOnce<T>(known: Map<string, T>, key: string, value: T): boolean {
  if (known.has(key)) return false
  known.set(key, value)
  return true
}

/** Notes what is inside a token that may be forwarded, to any depth; gives whether any of it is new. */
function keepInside(
  shown: ShownToken,
  tailored: Minted,
  arrival: Arrival,
  path: readonly string[],
): boolean {
  let isNew = false
  for (const { embed, tailored: inner } of tailored.children) {
    if (inner.outcome !== 'tailored') continue
    const at: Place = { arrival, path: [...path, embed.member] }
    const found = insideOf(shown, inner, at)
    if (found.place === at) isNew = true
    for (const claim of shownBy(inner)) if (addOnce(found.claims, claim, at)) isNew = true
    if (keepInside(shown, inner, arrival, at.path)) isNew = true
  }
  return isNew
}

function insideOf({ inside }: ShownToken, { decision }: Minted, at: Place): InsideToken {
  const { target, scopes } = decision
  const key = `${target.name} ${scopes.join(' ')}`
  const known = inside.get(key)
  if (known !== undefined) return known
  const made = { service: target, scopes: new Set(scopes), place: at, claims: new Map() }
  inside.set(key, made)
  return made
}

/** The target then holds the token and all inside it; the caller is told that the target takes it. */
function noteForwarded(notes: Notes, exchange: Exchange): void {
  const { subject, caller, target } = exchange
  const forwarded = (variant: Arrival | undefined, path: readonly string[] = []): Way => ({
    from: exchange,
    variant,
    path,
  })
  const way = forwarded(subject.arrival)
  const { scopes } = subject
  notes.depth = Math.max(notes.depth, exchange.depth)
  tell(notes, [caller], { accepting: [target], scopes }, way)
  tell(notes, [target], { accepting: acceptorsOfToken(notes, subject), scopes }, way)
  for (const [claim, arrival] of [...subject.claims, ...(subject.shown?.ctxClaims ?? [])]) {
    sight(notes, [target], claim, forwarded(arrival))
  }
  for (const { service, scopes: inner, place: at, claims } of subject.shown?.inside.values() ??
    []) {
    const accepting = notes.acceptors.get(service) ?? []
    tell(notes, [target], { accepting, scopes: inner }, forwarded(at.arrival, at.path))
    for (const [claim, place] of claims) {
      sight(notes, [target], claim, forwarded(place.arrival, place.path))
    }
  }
}

/** Whoever accepts a token by one of its audiences. */
function acceptorsOfToken(notes: Notes, token: ReachedToken): readonly Service[] {
  const { issuer, service, audiences } = token
  if (issuer === SELF) return (service && notes.acceptors.get(service)) ?? []
  const known = notes.readers.get(issuer)
  if (known !== undefined) return known
  const readers = readersOf(notes.world.ruleset, issuer).filter((reader) =>
    acceptsOneOf(reader, audiences),
  )
  notes.readers.set(issuer, readers)
  return readers
}

/** A service that is sent a token for itself obtains nothing by it. */
function tell(
  notes: Notes,
  holders: readonly Service[],
  token: { readonly accepting: readonly Service[]; readonly scopes: ReadonlySet<string> },
  way: Way,
): void {
  const caller = 'caller' in way.from ? way.from.caller : undefined
  for (const holder of holders) {
    notes.touched.add(holder.name)
    for (const target of token.accepting) {
      if (holder === target && holder !== caller) continue
      notes.facts.hold({ holder: holder.name, target: target.name, scopes: token.scopes, way })
    }
  }
}

function sight(notes: Notes, services: readonly Service[], claim: string, way: Way): void {
  for (const { name } of services) notes.facts.see({ service: name, claim, way })
}

/**
 * Whoever may hand in another issuer's token sees all of it, and can send it to whoever accepts such
 * tokens without asking anybody. A workload knows its own token.
 */
function noteRoot(notes: Notes, root: ReachedToken): void {
  if (root.service !== undefined) return
  const way: Way = { from: root, variant: undefined, path: [] }
  for (const presenter of root.presenters) notes.touched.add(presenter.name)
  for (const claim of root.claims.keys()) sight(notes, root.presenters, claim, way)
  tell(
    notes,
    root.presenters,
    { accepting: acceptorsOfToken(notes, root), scopes: root.scopes },
    way,
  )
}

function acceptorsOf({ ruleset }: World): ReadonlyMap<Service, readonly Service[]> {
  const byAudience = new Map<string, Service[]>()
  for (const service of ruleset.services.values()) {
    for (const audience of acceptedBy(service)) {
      const known = byAudience.get(audience)
      if (known === undefined) byAudience.set(audience, [service])
      else known.push(service)
    }
  }
  const services = [...ruleset.services.values()]
  return new Map(
    services.map((service) => [service, byAudience.get(envoyAudience(service.audience)) ?? []]),
  )
}
