// Owns the tokens that exist before any exchange: the most that each issuer and each workload can bring.
// Must not exchange them.
import type { ScopeSource } from '../../subjects/scopes-from.ts'
import { type IssuerName, WORKLOAD } from '../../subjects/subject.ts'
import { RESERVED_CLAIMS } from '../../tokens/attenuation.ts'
import type { Ruleset, Service } from '../ruleset.ts'
import {
  canCall,
  OTHER_CLAIMS,
  type ReachedToken,
  ROOT_EXP,
  type RootIssuer,
  type World,
} from './token.ts'

/** What is asked about beside what the rules name. */
export interface Asked {
  readonly scopes: readonly string[]
  readonly claims: readonly string[]
}

/**
 * One token for each issuer, with every scope and claim that could matter and every audience at once: what
 * one with less can obtain, it can as well. And one for each workload, with its grants.
 */
export function rootTokens(world: World, asked: Asked): readonly ReachedToken[] {
  const { ruleset } = world
  const claims = claimsOf(ruleset, asked)
  const roots: ReachedToken[] = []
  for (const [name, issuer] of world.issuers) {
    roots.push({ ...rootOfIssuer(ruleset, name, issuer, asked), claims: new Map(claims) })
  }
  if (world.workloadAudiences.length === 0) return roots
  for (const service of ruleset.services.values()) {
    if (!canCall(service) || service.identities.length === 0) continue
    roots.push({
      ...ROOT,
      issuer: WORKLOAD,
      service,
      presenters: [service],
      audiences: world.workloadAudiences,
      scopes: service.grants,
      claims: new Map(claims),
    })
  }
  return roots
}

const ROOT = { levels: 0, exp: ROOT_EXP, arrival: undefined, shown: undefined } as const

function rootOfIssuer(
  ruleset: Ruleset,
  name: IssuerName,
  { presentedBy, scopesFrom }: RootIssuer,
  asked: Asked,
): Omit<ReachedToken, 'claims'> {
  const presenters = new Map<string, Service>()
  for (const services of presentedBy.values()) {
    for (const presenter of services) {
      const service = ruleset.services.get(presenter)
      if (service !== undefined && canCall(service)) presenters.set(presenter, service)
    }
  }
  const audiences = new Set([...presentedBy.keys(), ...forwardAudiences(ruleset, name)])
  return {
    ...ROOT,
    issuer: name,
    service: undefined,
    presenters: [...presenters.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    audiences: [...audiences].sort(),
    scopes: new Set(
      [...rootScopes(ruleset, name, asked)].filter((scope) => canBring(scope, scopesFrom)).sort(),
    ),
  }
}

/** Scopes that justify something, and where tokens are forwarded those that their reader knows. */
function rootScopes(ruleset: Ruleset, issuer: IssuerName, asked: Asked): Set<string> {
  const scopes = new Set<string>()
  const add = (more: Iterable<string>) => {
    for (const scope of more) scopes.add(scope)
  }
  for (const service of ruleset.services.values()) {
    for (const rule of service.rules.values()) {
      if (rule.issuer !== issuer) continue
      for (const justification of rule.scopes.values()) add(justification.scopes)
      if (!rule.forward) continue
      add(service.scopes)
      add(asked.scopes)
    }
  }
  return scopes
}

/** Services that tokens of an issuer may be forwarded to: they trust that issuer themselves. */
export const readersOf = (ruleset: Ruleset, issuer: IssuerName): readonly Service[] =>
  [...ruleset.services.values()].filter((service) =>
    [...service.rules.values()].some((rule) => rule.forward && rule.issuer === issuer),
  )

/** Audiences by which a token of an issuer may be forwarded; one token can have several. */
const forwardAudiences = (ruleset: Ruleset, issuer: IssuerName): readonly string[] =>
  readersOf(ruleset, issuer).flatMap(({ audience, alsoAudiences }) => [audience, ...alsoAudiences])

/** As `scopesOf` (subjects/scopes-from.ts) reads them: a value with the prefix of another source does not count. */
export function canBring(scope: string, sources: readonly ScopeSource[]): boolean {
  const longest = sources
    .map(({ prefix }) => prefix)
    .filter((prefix) => scope.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0]
  return longest !== undefined && scope.length > longest.length
}

/** Claims that can get anywhere, or that somebody asks about; not those that every token has. */
function claimsOf(ruleset: Ruleset, asked: Asked): ReadonlyMap<string, undefined> {
  const claims = new Set<string>([...asked.claims, OTHER_CLAIMS])
  for (const service of ruleset.services.values()) {
    for (const claim of service.claims) claims.add(claim)
    for (const entry of service.ctx.values()) {
      if (entry.kind === 'claim') claims.add(entry.claim)
      if (entry.kind === 'computed') for (const claim of entry.expression.claims) claims.add(claim)
    }
  }
  const tracked = [...claims].filter((claim) => !RESERVED_CLAIMS.has(claim))
  return new Map(tracked.sort().map((claim) => [claim, undefined]))
}
