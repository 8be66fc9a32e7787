// Owns the comparison of what services came to hold with what was proved: a witness of attacks that throws.
// Must not use what the exploration says of its own steps, only its facts.
import assert from 'node:assert/strict'
import { depthOf, type Way } from '../../src/ruleset/reach/facts.ts'
import type { Goal } from '../../src/ruleset/reach/journey.ts'
import { explore, type Reach } from '../../src/ruleset/reach/reach.ts'
import type { World } from '../../src/ruleset/reach/token.ts'
import type { Service } from '../../src/ruleset/ruleset.ts'
import { markOf, type ReadToken, type Witness } from './adversary.ts'

const CLAIMS = ['email', 'risk', 'tier', 'phone'] as const

/** Everything that could be asked about: also scopes that no rule names for an issuer. */
export function reachOf(world: World): Reach {
  const scopes = [...world.ruleset.services.values()].flatMap((service) => [...service.scopes])
  return explore(world, { asked: { scopes: [...scopes, 'u:1', 'u:2', 'u:3'], claims: CLAIMS } })
}

/** Throws where somebody holds what was proved to be out of reach. */
export function createJudge(world: World, reach = reachOf(world)): Witness {
  const services = [...world.ruleset.services.values()]
  assert.ok(reach.explored.complete)
  return {
    holds(holder, token, caller, requests) {
      const isOwnRoot = token.issuer === 'workload' && caller === undefined
      const text = JSON.stringify(token.payload)
      for (const claim of CLAIMS) {
        if (isOwnRoot || !text.includes(markOf(claim))) continue
        atMost(reach.facts.sees(holder, claim), requests, `${holder} sees ${claim} in ${text}`)
      }
      if (caller === undefined) return
      for (const target of services.filter((service) => accepts(service, token))) {
        if (target.name === holder && caller !== holder) continue
        for (const scope of token.scopes) {
          const what = `${holder} obtains ${scope} of ${target.name} by ${text}`
          atMost(reach.facts.obtains(holder, target.name, scope), requests, what)
        }
      }
    },
    mayForward(caller, target, token, requests) {
      for (const scope of token.scopes) {
        const what = `${caller} forwards ${scope} to ${target}`
        atMost(reach.facts.obtains(caller, target, scope), requests, what)
      }
    },
  }
}

/** It was found, and no longer chain was told to be a shortest. */
function atMost(found: { readonly way: Way } | undefined, requests: number, what: string): void {
  assert.ok(found, what)
  assert.ok(depthOf(found.way) <= requests, `${what} after ${requests}, not ${depthOf(found.way)}`)
}

/** Whether a service's sidecar lets a token in. */
function accepts(service: Service, token: ReadToken): boolean {
  const trusts =
    token.issuer === 'self' ||
    [...service.rules.values()].some(({ forward, issuer }) => forward && issuer === token.issuer)
  return (
    trusts &&
    token.audiences.some((aud) => aud === service.audience || service.alsoAudiences.has(aud))
  )
}

/** Every fact with a way to it. */
export function everyWay(
  reach: Reach,
): readonly { readonly way: Way; readonly wanted: Omit<Goal, 'path'> }[] {
  const ways: { way: Way; wanted: Omit<Goal, 'path'> }[] = []
  for (const [holder, target, scopes] of reach.facts.holdings()) {
    for (const [scope, way] of scopes) ways.push({ way, wanted: { holder, target, scope } })
  }
  for (const { service: holder, claim, way } of reach.facts.sights()) {
    ways.push({ way, wanted: { holder, claim } })
  }
  return ways
}
