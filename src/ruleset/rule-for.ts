// Owns which rule of a target stands for a caller and an issuer. Must not decide what it allows.
import type { IssuerName } from '../subjects/subject.ts'
import type { Rule, Service } from './ruleset.ts'

/** At most one rule exists per (from, issuer): a glob and a name that overlap are load errors. */
export function ruleFor(
  target: Service,
  caller: Pick<Service, 'name' | 'namespace'>,
  issuer: IssuerName,
): Rule | undefined {
  return (
    target.rules.get(`${caller.name}|${issuer}`) ??
    target.rules.get(`${caller.namespace}/*|${issuer}`)
  )
}

/** Whether a list of callers holds this one, by name or by `namespace/*`. */
export const namesCaller = (
  from: ReadonlySet<string>,
  caller: Pick<Service, 'name' | 'namespace'>,
): boolean => from.has(caller.name) || from.has(`${caller.namespace}/*`)
