// Owns copies of a ruleset in which one thing is different: for mutants and for "what would have to change".
// Must not be used to serve: an edited ruleset was never checked.
import type { Rule, Ruleset, Service, ServiceName } from './ruleset.ts'

/** The ruleset with one service changed; it keeps its hash, for it is never recorded. */
export function withService(
  ruleset: Ruleset,
  name: ServiceName,
  change: Partial<Service>,
): Ruleset {
  const before = ruleset.services.get(name)
  if (before === undefined) return ruleset
  const after: Service = { ...before, ...change }
  const services = new Map(ruleset.services).set(name, after)
  const targets = new Map(ruleset.targets)
  for (const key of [before.audience, before.name]) targets.set(key, after)
  return {
    hash: ruleset.hash,
    services,
    targets,
    serviceOf: (id) => {
      const service = ruleset.serviceOf(id)
      return service && services.get(service.name)
    },
  }
}

/** The ruleset with one rule of a target changed. */
export function withRule(
  ruleset: Ruleset,
  target: ServiceName,
  rule: Rule,
  change: Partial<Rule>,
): Ruleset {
  const rules = new Map(ruleset.services.get(target)?.rules)
  return withService(ruleset, target, {
    rules: rules.set(`${rule.from}|${rule.issuer}`, { ...rule, ...change }),
  })
}
