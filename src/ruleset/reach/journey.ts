// Owns journeys: a chain of requests from a root token to what somebody ends up with, and running one.
// Must not look for journeys; every run goes through tailor(), as the service's own exchanges do.
import { type IssuerName, type Subject, WORKLOAD } from '../../subjects/subject.ts'
import { subjectOf, type Tailored, tailor } from '../../tokens/tailor.ts'
import type { DecideOptions } from '../decision.ts'
import type { Service, ServiceName } from '../ruleset.ts'
import type { Way } from './facts.ts'
import {
  type Arrival,
  ASSUMING,
  believedSubject,
  callerFacts,
  EXPLORED_AT,
  type Exchange,
  orderOf,
  type ReachedToken,
  ROOT_EXP,
  type World,
} from './token.ts'
import { acceptsOneOf, shownBy } from './visible.ts'

/** The token that a journey starts with. */
export interface RootToken {
  readonly issuer: IssuerName
  /** Whose own token it is, where the issuer is `workload`. */
  readonly workload: Service | undefined
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

/** One request. */
export interface Hop {
  readonly caller: Service
  /** Members of `embedded` that lead from the last result to the token that is handed in. */
  readonly uses: readonly string[]
  readonly target: Service
  /** Undefined asks for all that is justified. */
  readonly scopes: readonly string[] | undefined
}

/** What somebody has at the end: a scope or a claim of a token. */
export interface Goal {
  readonly holder: ServiceName
  /** Who accepts the token, of a scope. */
  readonly target?: ServiceName
  readonly scope?: string
  readonly claim?: string
  /** Members of `embedded` that lead to that token from what the last request gave. */
  readonly path: readonly string[]
}

/** A chain of requests; without any, a token of an issuer that may be handed in. */
export interface Journey {
  readonly root: RootToken
  readonly hops: readonly Hop[]
  readonly goal: Goal
}

/** The journey of a way, with everything that the root token could bring. */
export function journeyOf({ from, variant, path }: Way, wanted: Omit<Goal, 'path'>): Journey {
  const { claim } = wanted
  const goal: Goal = { ...wanted, path }
  if (!('depth' in from)) return { root: rootOf(from), hops: [], goal }
  const trail: Trail =
    variant === undefined
      ? trailBefore(from.subject, claim)
      : { ...trailTo(variant.exchange, claim), uses: variant.path }
  return { root: rootOf(trail.root), hops: [...trail.hops, hopOf(from, trail.uses)], goal }
}

interface Trail {
  readonly root: ReachedToken
  readonly hops: readonly Hop[]
  /** Which token of the last result is handed in next. */
  readonly uses: readonly string[]
}

/** The requests up to and including an exchange. */
function trailTo(exchange: Exchange, claim: string | undefined): Trail {
  const before = trailBefore(exchange.subject, claim)
  return { ...before, hops: [...before.hops, hopOf(exchange, before.uses)] }
}

/** The requests before a token can be handed in; where a claim is wanted, by the way that claim came. */
function trailBefore(token: ReachedToken, claim: string | undefined): Trail {
  const arrival: Arrival | undefined =
    claim === undefined || !token.claims.has(claim) ? token.arrival : token.claims.get(claim)
  if (arrival === undefined) return { root: token, hops: [], uses: [] }
  return { ...trailTo(arrival.exchange, claim), uses: arrival.path }
}

const hopOf = ({ caller, target }: Exchange, uses: readonly string[]): Hop => ({
  caller,
  uses,
  target,
  scopes: undefined,
})

function rootOf({ issuer, service, audiences, scopes, claims }: ReachedToken): RootToken {
  return {
    issuer,
    workload: issuer === WORKLOAD ? service : undefined,
    audiences,
    scopes: [...scopes],
    claims: Object.fromEntries([...claims.keys()].map((name) => [name, name])),
  }
}

/** What came of a journey. */
export interface Travelled {
  /** Whether every request was granted and the goal is there. */
  readonly arrived: boolean
  /** One for each request, up to the one that was denied. */
  readonly results: readonly Tailored[]
}

/** Makes the requests of a journey; conditions count as possibly true unless other options are given. */
export function travel(
  world: World,
  { root, hops, goal }: Journey,
  options: DecideOptions = ASSUMING,
): Travelled {
  const results: Tailored[] = []
  let held: HeldToken | undefined = { subject: rootSubject(world, root), tailored: undefined }
  for (const { caller, uses, target, scopes } of hops) {
    const handed: HeldToken | undefined = inside(held, uses)
    if (handed === undefined) return { arrived: false, results }
    const order = orderOf(world, caller, handed.subject, target, scopes)
    const tailored = tailor(world.ruleset, order, options)
    results.push(tailored)
    if (tailored.outcome === 'denied') return { arrived: false, results }
    held = tailored.outcome === 'forwarded' ? handed : heldToken(tailored)
  }
  const arrived = shows(world, inside(held, goal.path), goal)
  return { arrived, results }
}

type Minted = Extract<Tailored, { outcome: 'tailored' }>

interface HeldToken {
  readonly subject: Subject
  /** How it was made; undefined for a root token. */
  readonly tailored: Minted | undefined
}

const heldToken = (tailored: Minted): HeldToken => ({
  subject: subjectOf(tailored.built.claims),
  tailored,
})

function inside(token: HeldToken, path: readonly string[]): HeldToken | undefined {
  let at: HeldToken | undefined = token
  for (const member of path) {
    const child: Tailored | undefined = at?.tailored?.children.find(
      ({ embed }) => embed.member === member,
    )?.tailored
    at = child?.outcome === 'tailored' ? heldToken(child) : undefined
  }
  return at
}

function shows(
  { ruleset }: World,
  token: HeldToken | undefined,
  { scope, claim, target: name }: Goal,
): boolean {
  if (token === undefined) return false
  const { subject, tailored } = token
  const target = name === undefined ? undefined : ruleset.services.get(name)
  if (target !== undefined && !acceptsOneOf(target, subject.audiences)) return false
  const seen = (name: string) =>
    tailored === undefined ? Object.hasOwn(subject.claims, name) : shownBy(tailored).has(name)
  return (scope === undefined || subject.scopes.has(scope)) && (claim === undefined || seen(claim))
}

function rootSubject(world: World, { workload, ...root }: RootToken): Subject {
  const issuer = world.issuers.get(root.issuer)
  const sub = workload === undefined ? 'somebody' : callerFacts(workload, world.selfIss).id
  return believedSubject({
    ...root,
    iss: issuer?.iss ?? sub.split('/').slice(0, 3).join('/'),
    sub,
    subjectPrefix: issuer?.subjectPrefix,
    scopes: new Set(root.scopes),
    exp: ROOT_EXP,
    levels: 0,
    // What every token has; conditions may read it.
    claims: { sub, iat: EXPLORED_AT / 1000, exp: ROOT_EXP, ...root.claims },
  })
}
