// Owns the flow of claims: which subject claims the tokens that are handed in under a rule could carry at most.
// Must not judge what is read of them.
import { SELF } from '../../subjects/subject.ts'
import type { Rule, Service } from '../ruleset.ts'
import { type Checking, canPresent, spread, usersOf } from './checking.ts'

/** What our own tokens may carry whatever a service lists. */
const OWN_CLAIMS: ReadonlySet<string> = new Set([
  'iss',
  'sub',
  'aud',
  'client_id',
  'scope',
  'iat',
  'exp',
  'jti',
  'act',
  'chain',
  'ruleset',
])

/** Claims that can get into tokens for a service. */
type Arriving = ReadonlySet<string> | 'any'

/** What could arrive. */
export interface Flow {
  /** Why no token that comes under the rule can carry a claim; undefined where one could. */
  readonly absence: (target: Service, rule: Rule, claim: string) => string | undefined
  /** Whether a listed claim can get into any token for a service. */
  readonly arrives: (service: Service, claim: string) => boolean
}

/**
 * Claims go from hop to hop where every hop lists them, and begin in tokens of other issuers, which may carry
 * any. What nobody can come by at all is not a matter of claims, and taken to carry everything.
 */
export function flowOf(checking: Checking): Flow {
  const arriving = new Map<Service, Arriving>()
  for (const service of checking.services.values()) {
    arriving.set(service, rootsOf(checking, service))
  }
  spread(checking, arriving.keys(), (caller, target) => passOn(arriving, caller, target))
  const carries = (caller: Service, claim: string): boolean => {
    const carried = arriving.get(caller)
    return carried === 'any' || carried?.has(claim) === true
  }
  return {
    arrives: carries,
    absence: (target, rule, claim) => {
      if (rule.issuer !== SELF || OWN_CLAIMS.has(claim)) return undefined
      // Who has no token of ours uses no such rule.
      const users = usersOf(checking, rule, target).filter((user) => arriving.get(user) !== 'any')
      if (users.length === 0 || users.some((user) => carries(user, claim))) return undefined
      const lists = users.some(({ claims }) => claims.includes(claim))
      return lists
        ? `${rule.from} lists ${claim} in claims, but no token for it carries one`
        : `${rule.from} does not list ${claim} in claims`
    },
  }
}

/** What begins at a service: all that it lists, where it takes tokens of other issuers. */
function rootsOf(checking: Checking, service: Service): Arriving {
  let isTarget = false
  for (const rule of service.rules.values()) {
    if (rule.forward) continue
    const users = usersOf(checking, rule, service)
    if (!users.some((user) => canPresent(checking, user, rule.issuer))) continue
    if (rule.issuer !== SELF) return new Set(service.claims)
    isTarget = true
  }
  return isTarget ? new Set() : 'any'
}

/** Whether something new arrived. */
function passOn(arriving: Map<Service, Arriving>, caller: Service, target: Service): boolean {
  const before = arriving.get(target)
  const carried = arriving.get(caller)
  if (before === undefined || before === 'any' || carried === undefined) return false
  const more = target.claims.filter(
    (claim) => !before.has(claim) && (carried === 'any' || carried.has(claim)),
  )
  if (more.length === 0) return false
  arriving.set(target, new Set([...before, ...more]))
  return true
}
