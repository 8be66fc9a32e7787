// Owns the look-ups of a compiled ruleset, and what would make one ambiguous: look-alikes, shared identities.
// Must not know rules.

import {
  createIdentityIndex,
  type IdentityIndex,
  type IdentityPattern,
  parseIdentityPattern,
} from '../identity.ts'
import { envoyAudience, readAudience, skeleton } from '../names.ts'
import type { Ruleset, Service } from '../ruleset.ts'
import type { Compilation, CompileContext, Draft } from './compilation.ts'

/** Names that a reader takes for one another, such as `pay1` and `payl`. */
export function checkLookAlikes(drafts: readonly Draft[], report: Compilation['report']): void {
  const seen = new Map<string, string>()
  for (const draft of drafts) {
    const form = skeleton(draft.name)
    const other = seen.get(form)
    if (other !== undefined)
      report(draft, [], 'name-look-alike', `${draft.name} looks like ${other}: rename one`)
    else seen.set(form, draft.name)
  }
}

/** Look-up by audience and by name; two audiences that Envoy or a reader takes for one are refused. */
export function indexTargets(
  drafts: readonly Draft[],
  services: ReadonlyMap<string, Service>,
  report: Compilation['report'],
): Map<string, Service> {
  const targets = new Map<string, Service>()
  const seen = new Map<string, Service>()
  for (const draft of drafts) {
    const service = services.get(draft.name)
    if (service === undefined) continue
    const path = draft.entry.audience === undefined ? [] : ['audience']
    const form = readAudience(service.audience)
    const other = seen.get(form)
    if (other === undefined) seen.set(form, service)
    else {
      const same = envoyAudience(other.audience) === envoyAudience(service.audience)
      const why = same ? 'is the same to Envoy as' : 'looks like'
      report(
        draft,
        path,
        'audience-ambiguous',
        `audience ${service.audience} ${why} ${other.audience} of ${other.name}`,
      )
    }
    targets.set(service.audience, service)
    targets.set(service.name, service)
  }
  return targets
}

/** Look-up by SPIFFE ID; two services never share one. */
export function indexIdentities(
  drafts: readonly Draft[],
  services: ReadonlyMap<string, Service>,
  { context, report }: Compilation,
): Ruleset['serviceOf'] {
  const index = createIdentityIndex<Service>()
  for (const draft of drafts) {
    const service = services.get(draft.name)
    if (service === undefined) continue
    for (const [at, text] of service.identities.entries()) {
      const fault = addIdentity(index, text, service, context)
      if (fault !== undefined) report(draft, identityPath(draft, at), 'identity-not-usable', fault)
    }
  }
  return index.find
}

/** What is wrong with an identity, or undefined. */
function addIdentity(
  index: IdentityIndex<Service>,
  text: string,
  service: Service,
  { trustDomains, ownIdentity }: CompileContext,
): string | undefined {
  const pattern = parseIdentityPattern(text)
  if (pattern === undefined) {
    return 'an identity is a SPIFFE ID in which `*` may stand for one whole path segment'
  }
  if (!trustDomains.includes(pattern.trustDomain)) {
    return `trust domain ${pattern.trustDomain} is not in trust_domains (${trustDomains.join(', ')})`
  }
  if (ownIdentity !== undefined && covers(pattern, ownIdentity)) {
    return `identity ${text} is this deployment's own (client_auth.xfcc.self)`
  }
  const met = index.add(pattern, service)
  return met === undefined || met === service
    ? undefined
    : `identity ${text} also belongs to ${met.name}`
}

function covers(pattern: IdentityPattern, id: string): boolean {
  const own = parseIdentityPattern(id)
  if (own === undefined) return false
  const one = createIdentityIndex<true>()
  one.add(pattern, true)
  return one.add(own, true) !== undefined
}

function identityPath({ entry: { identity } }: Draft, at: number): (string | number)[] {
  if (identity === undefined) return []
  return Array.isArray(identity) ? ['identity', at] : ['identity']
}
