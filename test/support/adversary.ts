// Owns services that try everything: each hands in every token it holds, everywhere, and keeps what it gets.
// Must not know how an exchange is decided, nor what was proved; a realm answers, and a witness is told.
import { createRandom, type Random } from '../hostile/random.ts'
import type { RandomRules } from './random-ruleset.ts'

/** Where exchanges really happen: a server, or the pure core. Tokens are their compact form. */
export interface Realm {
  /** The token that comes back; undefined where the request is refused. */
  readonly exchange: (request: RealmRequest) => Promise<string | undefined>
  /** A token of a trusted issuer, or a workload's own. */
  readonly sign: (root: RealmRoot) => string
}

export interface RealmRequest {
  /** Full name. */
  readonly caller: string
  readonly token: string
  readonly isWorkloads: boolean
  /** A token of who acts as well. */
  readonly actor?: string | undefined
  readonly target: string
  readonly scopes: readonly string[] | undefined
}

export interface RealmRoot {
  readonly issuer: string
  /** Whose own it is, where the issuer is `workload`. */
  readonly workload: string | undefined
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

/** A token in somebody's hands, as anybody can read it. */
export interface ReadToken {
  readonly compact: string
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  /** Its payload without what is inside. */
  readonly payload: Readonly<Record<string, unknown>>
  readonly inside: Readonly<Record<string, ReadToken>>
}

/** Told of whatever somebody comes to hold. */
export interface Witness {
  /** `caller` asked for it in the last of so many requests; nobody did where it was held from the beginning. */
  readonly holds: (
    holder: string,
    token: ReadToken,
    caller: string | undefined,
    requests: number,
  ) => void
  /** The target takes the token as it is. */
  readonly mayForward: (caller: string, target: string, token: ReadToken, requests: number) => void
}

/** Reads a compact token, to any depth. */
export function readToken(compact: string, issuerOf: (iss: unknown) => string): ReadToken {
  const text = Buffer.from(compact.split('.')[1] ?? '', 'base64url').toString()
  const { embedded = {}, ...payload } = JSON.parse(text) as Record<string, unknown>
  const inside = Object.entries(embedded as Record<string, string>).map(
    ([member, inner]) => [member, readToken(inner, issuerOf)] as const,
  )
  return {
    compact,
    issuer: issuerOf(payload.iss),
    audiences: [payload.aud].flat() as string[],
    scopes: String(payload.scope ?? '')
      .split(' ')
      .filter((scope) => scope !== ''),
    payload,
    inside: Object.fromEntries(inside),
  }
}

/** The value by which a claim is known wherever it turns up. */
export const markOf = (claim: string): string => `${claim}-1`

const ROOT_CLAIMS = ['email', 'risk', 'tier', 'phone'] as const
const USER_SCOPES = ['u:1', 'u:2', 'u:3'] as const

export interface Attack {
  readonly rules: RandomRules
  readonly realm: Realm
  readonly witness: Witness
  readonly issuerOf: (iss: unknown) => string
  /** Services that can call, by full name. */
  readonly callers: readonly string[]
  /** What it lists in `calls`: where most requests go, so that some are granted. */
  readonly calledBy: (caller: string) => readonly string[]
  /** Who a token is for, by its audience. */
  readonly serviceOf: (audience: string) => string | undefined
  readonly requests: number
  readonly seed: number
  /** The `aud` of workloads' own tokens. */
  readonly workloadAudience: string
}

interface Held {
  readonly token: ReadToken
  /** How many requests it took. */
  readonly requests: number
}

/** Runs an attack; gives how many requests were granted. */
export async function attack(course: Attack): Promise<number> {
  const random = createRandom('attack', course.seed)
  const held = new Map<string, Held[]>(course.callers.map((name) => [name, []]))
  const holders = () => course.callers.filter((name) => (held.get(name)?.length ?? 0) > 0)
  const take = (holder: string, one: Held, caller: string | undefined): void => {
    const { token, requests } = one
    course.witness.holds(holder, token, caller, requests)
    const own = held.get(holder)
    if (own?.every((other) => other.token.compact !== token.compact) === true) own.push(one)
    for (const inner of Object.values(token.inside))
      take(holder, { token: inner, requests }, caller)
  }
  for (const [holder, token] of rootTokens(course, random)) {
    take(holder, { token, requests: 0 }, undefined)
  }

  let granted = 0
  const targets = Object.keys(course.rules.services)
  for (let number = 0; number < course.requests && holders().length > 0; number++) {
    const caller = random.pick(holders())
    const { token, requests: before } = random.pick(held.get(caller) ?? [])
    const requests = before + 1
    const called = course.calledBy(caller)
    const target = random.pick(called.length > 0 && random.chance(0.85) ? called : targets)
    const scopes = random.chance(0.5) ? undefined : pickScopes(random, course, target, token)
    const isWorkloads = token.issuer === 'workload'
    const actors = (held.get(caller) ?? []).filter((one) => one.token.issuer === 'agents')
    const actor =
      actors.length > 0 && random.chance(0.15) ? random.pick(actors).token.compact : undefined
    const compact = await course.realm.exchange({
      caller,
      token: token.compact,
      isWorkloads,
      actor,
      target,
      scopes,
    })
    if (compact === undefined) continue
    granted++
    if (compact === token.compact) {
      course.witness.mayForward(caller, target, token, requests)
      take(target, { token, requests }, caller)
      continue
    }
    const result = { token: readToken(compact, course.issuerOf), requests }
    take(caller, result, caller)
    deliver(result, caller)
  }
  return granted

  /** A token goes to whom it is for, who sends on what is inside. */
  function deliver(one: Held, caller: string): void {
    const { token, requests } = one
    const receiver = course.serviceOf(token.audiences[0] ?? '')
    if (receiver === undefined) throw new Error(`a token for nobody: ${token.audiences[0]}`)
    take(receiver, one, caller)
    for (const inner of Object.values(token.inside)) deliver({ token: inner, requests }, caller)
  }
}

function pickScopes(
  random: Random,
  { rules }: Attack,
  target: string,
  token: ReadToken,
): readonly string[] {
  const known = (rules.services[target]?.scopes ?? []) as string[]
  const from = [...known, ...known, ...token.scopes]
  return from.filter(() => random.chance(0.4)).filter((one, at, all) => all.indexOf(one) === at)
}

/** Tokens of all kinds, with those who may hand them in. */
function rootTokens(course: Attack, random: Random): readonly (readonly [string, ReadToken])[] {
  const { rules, realm, issuerOf, callers } = course
  const roots: [string, ReadToken][] = []
  const readable = Object.entries(rules.services).flatMap(([name, entry]) => {
    const [namespace, short] = name.split('/')
    const own = (entry.audience as string | undefined) ?? `${short}.${namespace}`
    return [own, ...((entry.also_audiences as string[] | undefined) ?? [])]
  })
  const vocabulary = Object.values(rules.services).flatMap(({ scopes }) => scopes as string[])
  for (const { name, presentedBy } of rules.issuers) {
    for (let number = 0; number < 3; number++) {
      const own = random.pick(Object.keys(presentedBy))
      const audiences = [
        ...new Set([
          own,
          ...[...readable, ...Object.keys(presentedBy)].filter(() => random.chance(0.15)),
        ]),
      ]
      const scopes = [
        ...USER_SCOPES.filter(() => random.chance(0.8)),
        ...vocabulary.filter(() => random.chance(0.1)),
      ]
      const token = realm.sign({
        issuer: name,
        workload: undefined,
        audiences,
        scopes: [...new Set(scopes)],
        claims: { ...drawClaims(random), ...drawDelegation(random, callers) },
      })
      const read = readToken(token, issuerOf)
      for (const presenter of new Set(
        audiences.flatMap((audience) => presentedBy[audience] ?? []),
      )) {
        if (callers.includes(presenter)) roots.push([presenter, read])
      }
    }
  }
  for (const caller of callers) {
    const root = { issuer: 'workload', workload: caller, scopes: [], claims: drawClaims(random) }
    const token = realm.sign({ ...root, audiences: [course.workloadAudience] })
    roots.push([caller, readToken(token, () => 'workload')])
  }
  return roots
}

/** Some tokens have acted already, or say who may act. */
function drawDelegation(random: Random, callers: readonly string[]): Record<string, unknown> {
  if (random.chance(0.15)) return { act: { sub: 'portal' } }
  if (!random.chance(0.15)) return {}
  const [namespace, short] = random.pick(callers).split('/')
  return { may_act: { sub: `spiffe://cluster.local/ns/${namespace}/sa/${short}` } }
}

function drawClaims(random: Random): Record<string, unknown> {
  const names = ROOT_CLAIMS.filter(() => random.chance(0.75))
  return Object.fromEntries(names.map((claim) => [claim, markOf(claim)]))
}
