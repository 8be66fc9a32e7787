// Owns the checks of what stands in the rules for nothing: services, scopes, grants and keys without use.
// Must not ask what tokens exist; reachability.ts does.
import { WORKLOAD } from '../../subjects/subject.ts'
import type { Path } from '../compile/compilation.ts'
import type { Rule, Service, ServiceName } from '../ruleset.ts'
import { type Checking, callersOf, usersOf, type WrittenService } from './checking.ts'
import type { FindingId } from './findings.ts'

/** What the rules as a whole use. */
interface Uses {
  /** Services that a rule is for, or lets in. */
  readonly services: Set<ServiceName>
  /** Grants that justify something, as {@link grantKey}. */
  readonly grants: Set<string>
  /** Services whose tokens travel inside others. */
  readonly embedded: Set<ServiceName>
}

const grantKey = (service: ServiceName, grant: string): string => `${service} ${grant}`

/** Finds what nothing uses. */
export function checkUnused(checking: Checking): void {
  const uses = usesOf(checking)
  for (const written of checking.written) {
    const { service, draft } = written
    const report: Report = (path, id, message) => checking.report(draft, path, id, message)
    if (service.calls.size === 0 && !uses.services.has(service.name)) {
      report([], 'service-unused', `${service.name} calls nobody, and nobody may call it`)
    }
    checkScopes(service, report)
    checkGrants(service, uses, report)
    checkKeys(written, uses, report)
  }
}

type Report = (path: Path, id: FindingId, message: string) => void

function usesOf(checking: Checking): Uses {
  const uses: Uses = { services: new Set(), grants: new Set(), embedded: new Set() }
  const froms = new Set<string>()
  for (const written of checking.written) {
    for (const { rule, target } of written.rules) {
      uses.services.add(target.name)
      froms.add(rule.from)
      for (const { to } of rule.embed) uses.embedded.add(to)
      if (rule.issuer === WORKLOAD) noteGrants(uses, rule, usersOf(checking, rule, target))
    }
  }
  for (const from of froms) {
    for (const { name } of callersOf(checking, from)) uses.services.add(name)
  }
  return uses
}

function noteGrants({ grants }: Uses, rule: Rule, users: readonly Service[]): void {
  for (const { scopes } of rule.scopes.values()) {
    for (const scope of scopes) for (const { name } of users) grants.add(grantKey(name, scope))
  }
}

/** Tokens that are forwarded bring scopes of their own. */
function checkScopes({ name, scopes, rules }: Service, report: Report): void {
  const given = new Set<string>()
  for (const rule of rules.values()) {
    if (rule.forward) return
    for (const scope of rule.scopes.keys()) given.add(scope)
  }
  for (const [at, scope] of [...scopes].entries()) {
    if (given.has(scope)) continue
    report(['scopes', at], 'scope-never-given', `no rule of ${name} gives ${scope}`)
  }
}

function checkGrants({ name, grants }: Service, { grants: used }: Uses, report: Report): void {
  for (const [at, grant] of [...grants].entries()) {
    if (used.has(grantKey(name, grant))) continue
    const message = `no rule with issuer workload is justified by ${grant} of ${name}`
    report(['grants', at], 'grant-unused', message)
  }
}

function checkKeys({ service }: WrittenService, { embedded }: Uses, report: Report): void {
  const { name, embeddable, alsoAudiences, rules } = service
  if (embeddable && !embedded.has(name)) {
    report(['embeddable'], 'embeddable-unused', `no rule embeds a token for ${name}`)
  }
  if (alsoAudiences.size > 0 && ![...rules.values()].some(({ forward }) => forward)) {
    const message = `no rule of ${name} forwards, so nothing comes with another audience`
    report(['also_audiences'], 'also-audience-unused', message)
  }
}
