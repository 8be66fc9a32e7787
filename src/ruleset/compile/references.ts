// Owns how names in rules are resolved: callers, services, issuers; with "did you mean".
// Must not know what the names are for.
import { nearest } from '../../config/problem.ts'
import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import { fullName } from '../names.ts'
import type { Compilation, Draft, Path } from './compilation.ts'

/** Reports an issuer that nobody configured. */
export function checkIssuer(
  draft: Draft,
  path: Path,
  issuer: string,
  { context, report }: Compilation,
): void {
  if (issuer === SELF || issuer === WORKLOAD || context.issuers.includes(issuer)) return
  report(draft, path, 'issuer-unknown', `no issuer ${issuer} in the issuers file`, {
    suggest: () => nearest(issuer, [SELF, WORKLOAD, ...context.issuers]),
  })
}

/** A full service name; undefined (and reported) where there is none. */
export function serviceOf(
  draft: Draft,
  path: Path,
  reference: string,
  { drafts, report }: Compilation,
): Draft | undefined {
  const name = fullName(reference, draft.namespace)
  const service = drafts.get(name)
  if (service === undefined) {
    report(draft, path, 'service-unknown', `no service ${name}`, {
      suggest: () => nearest(name, drafts.keys()),
    })
  }
  return service
}

/** A full service name or `namespace/*`; undefined (and reported) where there is no such caller. */
export function callerOf(
  draft: Draft,
  path: Path,
  reference: string,
  compilation: Compilation,
): string | undefined {
  const { namespaces, report } = compilation
  if (reference.endsWith('/*')) {
    const namespace = reference.slice(0, -2)
    if (namespaces.has(namespace)) return reference
    report(draft, path, 'namespace-unknown', `no namespace ${namespace}`, {
      suggest: () => nearest(namespace, namespaces),
    })
    return undefined
  }
  const caller = serviceOf(draft, path, reference, compilation)
  if (caller?.entry.external === true) {
    report(draft, path, 'external-calls', `${caller.name} is external: it calls nobody`)
    return undefined
  }
  return caller?.name
}
