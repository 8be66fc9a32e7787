// Owns the checks of what is wider or longer than it needs to be: wildcards, lifetimes, constant conditions.
// Must not look at claims.
import { SELF } from '../../subjects/subject.ts'
import type { Path } from '../compile/compilation.ts'
import { parseIdentityPattern } from '../identity.ts'
import type { Service } from '../ruleset.ts'
import {
  type Checking,
  callersOf,
  spread,
  usersOf,
  type WrittenRule,
  type WrittenService,
} from './checking.ts'

/** Finds wildcards of which little is used, lifetimes that are cut, and conditions that read nothing. */
export function checkWidth(checking: Checking): void {
  const lifetimes = longestLifetimes(checking)
  for (const written of checking.written) {
    for (const rule of written.rules) {
      checkGlob(rule, checking)
      checkConstants(rule, checking)
    }
    checkIdentities(written, checking)
    checkLifetime(written, lifetimes, checking)
    checkDenies(written, checking)
  }
}

/** A glob lets in whoever comes to the namespace later; it is right where most of them call. */
function checkGlob({ rule, target, draft, fromPath }: WrittenRule, checking: Checking): void {
  if (!rule.from.endsWith('/*')) return
  const callers = callersOf(checking, rule.from)
  const users = usersOf(checking, rule, target)
  if (users.length === 0 || users.length * 2 > callers.length) return
  const names = users.map(({ name }) => name).join(', ')
  const message = `${rule.from} means ${callers.length} services, of which ${users.length} call ${target.name}`
  checking.report(draft, fromPath, 'wildcard-from', message, names)
}

/** `spiffe://<trust domain>/ns/<namespace>/sa/<name>`: a star before the last segment means many namespaces. */
function checkIdentities({ service, draft }: WrittenService, { report }: Checking): void {
  for (const [at, text] of service.identities.entries()) {
    const pattern = parseIdentityPattern(text)
    if (pattern === undefined || pattern.isExact) continue
    const path: Path = Array.isArray(draft.entry.identity) ? ['identity', at] : ['identity']
    if (pattern.segments.slice(0, -1).includes('*')) {
      const message = `${text} means workloads of several namespaces: whoever may make one in any of them is ${service.name}`
      report(draft, path, 'wildcard-identity', message)
    }
    if (service.grants.size > 0) {
      const message = `whatever workload fits ${text} brings the grants of ${service.name}`
      report(draft, path, 'wildcard-grant', message)
    }
  }
}

/** How long tokens for a service can live: no longer than those that are handed in for them. */
function longestLifetimes(checking: Checking): ReadonlyMap<Service, number> {
  const longest = new Map<Service, number>()
  for (const service of checking.services.values()) {
    const rules = [...service.rules.values()].filter(({ forward }) => !forward)
    if (rules.length > 0 && rules.every(({ issuer }) => issuer === SELF)) continue
    longest.set(service, service.lifetimeSeconds)
  }
  spread(checking, longest.keys(), (caller, target) => {
    const seconds = Math.min(target.lifetimeSeconds, longest.get(caller) ?? 0)
    if (seconds <= (longest.get(target) ?? 0)) return false
    longest.set(target, seconds)
    return true
  })
  return longest
}

function checkLifetime(
  { service, draft }: WrittenService,
  lifetimes: ReadonlyMap<Service, number>,
  { report }: Checking,
): void {
  const written = draft.entry.token?.lifetime
  const longest = lifetimes.get(service)
  if (written === undefined || longest === undefined) return
  if (service.lifetimeSeconds <= longest) return
  const message = `no token that is handed in for one lives longer than ${longest}s, so ${written} is never reached`
  report(draft, ['token', 'lifetime'], 'lifetime-cut', message)
}

const CONSTANT = 'this condition reads nothing, so it is always the same'

function checkConstants({ rule, draft, path }: WrittenRule, { report }: Checking): void {
  if (rule.when?.expression.isConstant === true) {
    report(draft, [...path, 'when'], 'condition-constant', CONSTANT)
  }
  for (const [scope, { when }] of rule.scopes) {
    if (when?.expression.isConstant !== true) continue
    report(draft, [...path, 'scopes', scope, 'when'], 'condition-constant', CONSTANT)
  }
}

function checkDenies({ service, draft }: WrittenService, { report }: Checking): void {
  const constant = new Set(
    service.denies.flatMap(({ when }) => (when?.isConstant === true ? [when.source] : [])),
  )
  for (const [at, { when }] of (draft.entry.denies ?? []).entries()) {
    if (when === undefined || !constant.has(when.trim())) continue
    report(draft, ['denies', at, 'when'], 'condition-constant', CONSTANT)
  }
}
