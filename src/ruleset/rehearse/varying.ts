// Owns which predicates can fail at all: what never can is nothing that a test could show.
// Must not decide.
import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import { isJustified } from '../justify.ts'
import type { Justification, Rule, Ruleset, Service } from '../ruleset.ts'

/**
 * Whether every token that can come to a rule justifies. A workload always brings all its grants; a token
 * of ours brings at least one scope of the service that it is for; of other issuers nothing is known.
 */
export function alwaysJustified(
  { from, issuer }: Rule,
  justification: Justification,
  { services }: Pick<Ruleset, 'services'>,
): boolean {
  const caller = services.get(from)
  if (caller === undefined) return false
  if (issuer === WORKLOAD) return isJustified(justification, caller.grants)
  const { size } = caller.scopes
  if (issuer !== SELF || size === 0 || (justification.mode === 'all' && size > 1)) return false
  return [...caller.scopes].every((scope) => isJustified(justification, new Set([scope])))
}

/** Whether every token that can come to a rule is right for the target: one of ours is for its caller alone. */
export function alwaysForwarded(
  { from, issuer }: Rule,
  { audience, alsoAudiences }: Service,
  { services }: Pick<Ruleset, 'services'>,
): boolean {
  const brought = issuer === SELF ? services.get(from)?.audience : undefined
  return brought !== undefined && (brought === audience || alsoAudiences.has(brought))
}
