// Owns what an entry of `never` says (docs/rules-prove.md), and what its names mean in a ruleset.
// Must not prove it.
import { z } from 'zod'
import { nearest } from '../../config/problem.ts'
import { RESERVED_CLAIMS } from '../../tokens/attenuation.ts'
import { fullName } from '../names.ts'
import type { Ruleset, Service } from '../ruleset.ts'

const MAX_NAME = 128
const MAX_REASON = 500

const name = () => z.string().min(1).max(MAX_NAME)
const reason = z.string().min(1).max(MAX_REASON).optional().describe('Why it must never be.')

/** One entry of `never` in a test file. */
export const neverEntry = z.union(
  [
    z.strictObject({
      caller: name().describe('A service, or `namespace/*` for each service of a namespace.'),
      obtains: name().describe('A scope that it must never hold a token with.'),
      of: name()
        .optional()
        .describe(
          'Of tokens that this service accepts. Default: every service that knows the scope.',
        ),
      reason,
    }),
    z.strictObject({
      service: name().describe('A service, or `namespace/*` for each service of a namespace.'),
      sees: name().describe('A claim that must never be in a token that it holds.'),
      reason,
    }),
  ],
  { error: 'expected {caller: …, obtains: scope} or {service: …, sees: claim}' },
)

export type NeverEntry = z.infer<typeof neverEntry>

/** What must never be, with its names resolved. */
export type Never =
  | {
      readonly kind: 'obtains'
      readonly holders: readonly Service[]
      readonly scope: string
      /** Services that accept the token; undefined means any. */
      readonly targets: readonly Service[] | undefined
      readonly text: string
      readonly reason: string | undefined
    }
  | {
      readonly kind: 'sees'
      readonly holders: readonly Service[]
      readonly claim: string
      readonly text: string
      readonly reason: string | undefined
    }

/** A name that means nothing; `path` is within the entry. */
export interface NeverProblem {
  readonly path: readonly string[]
  readonly message: string
  readonly suggestion: string | undefined
  readonly severity: 'error' | 'warning'
}

/** What an entry means, and what is wrong with it. */
export interface ResolvedNever {
  readonly never: Never | undefined
  readonly problems: readonly NeverProblem[]
}

/** Resolves an entry of a test file of `namespace`. */
export function resolveNever(
  entry: NeverEntry,
  namespace: string,
  ruleset: Ruleset,
): ResolvedNever {
  return 'obtains' in entry
    ? resolveObtains(entry, namespace, ruleset)
    : resolveSees(entry, namespace, ruleset)
}

function resolveObtains(
  entry: Extract<NeverEntry, { obtains: string }>,
  namespace: string,
  ruleset: Ruleset,
): ResolvedNever {
  const { caller, obtains: scope, of, reason: why } = entry
  const problems: NeverProblem[] = []
  const holders = namedServices(caller, 'caller', namespace, ruleset, problems)
  const targets =
    of === undefined
      ? knowing(scope, ruleset)
      : namedServices(of, 'of', namespace, ruleset, problems)
  const known = knownScopes(ruleset)
  if (!known.has(scope)) {
    problems.push({
      path: ['obtains'],
      message: `no service knows the scope ${scope}, and no rule names it`,
      suggestion: nearest(scope, known),
      severity: 'error',
    })
  }
  if (problems.length > 0) return { never: undefined, problems }
  const text = `${textOf(caller, namespace)} obtains ${scope}${of === undefined ? '' : ` of ${fullName(of, namespace)}`}`
  // What only other issuers know as a scope counts wherever it is accepted.
  const accepting = targets.length === 0 ? undefined : targets
  return {
    never: { kind: 'obtains', holders, scope, targets: accepting, text, reason: why },
    problems,
  }
}

function resolveSees(
  entry: Extract<NeverEntry, { sees: string }>,
  namespace: string,
  ruleset: Ruleset,
): ResolvedNever {
  const { service, sees: claim, reason: why } = entry
  const problems: NeverProblem[] = []
  const holders = namedServices(service, 'service', namespace, ruleset, problems)
  if (RESERVED_CLAIMS.has(claim)) {
    const message = `${claim} is no claim of a user that a service could list: rules do not withhold it`
    problems.push({ path: ['sees'], message, suggestion: undefined, severity: 'error' })
  } else {
    const known = knownClaims(ruleset)
    const suggestion = known.has(claim) ? undefined : nearest(claim, known)
    if (!known.has(claim)) {
      problems.push({
        path: ['sees'],
        message: `no service lists the claim ${claim}`,
        suggestion,
        // It may be meant for later; but a slip of the pen would hold for ever.
        severity: suggestion === undefined ? 'warning' : 'error',
      })
    }
  }
  if (problems.some(({ severity }) => severity === 'error')) return { never: undefined, problems }
  const text = `${textOf(service, namespace)} sees ${claim}`
  return { never: { kind: 'sees', holders, claim, text, reason: why }, problems }
}

const textOf = (reference: string, namespace: string): string => fullName(reference, namespace)

/** The services that a reference means; a problem where there is none. */
function namedServices(
  reference: string,
  key: string,
  namespace: string,
  { services }: Ruleset,
  problems: NeverProblem[],
): readonly Service[] {
  const all = [...services.values()]
  if (key !== 'of' && reference.endsWith('/*')) {
    const within = reference.slice(0, -2)
    const found = all.filter((service) => service.namespace === within)
    if (found.length > 0) return found
    const namespaces = new Set(all.map((service) => service.namespace))
    const suggestion = nearest(within, namespaces)
    problems.push({
      path: [key],
      message: `no namespace ${within}`,
      suggestion: suggestion && `${suggestion}/*`,
      severity: 'error',
    })
    return []
  }
  const full = fullName(reference, namespace)
  const service = services.get(full)
  if (service !== undefined) return [service]
  problems.push({
    path: [key],
    message: `no service ${full}`,
    suggestion: nearest(full, services.keys()),
    severity: 'error',
  })
  return []
}

const knowing = (scope: string, { services }: Ruleset): readonly Service[] =>
  [...services.values()].filter(({ scopes }) => scopes.has(scope))

function knownScopes({ services }: Ruleset): ReadonlySet<string> {
  const scopes = new Set<string>()
  const add = (more: Iterable<string>) => {
    for (const scope of more) scopes.add(scope)
  }
  for (const service of services.values()) {
    add(service.scopes)
    add(service.grants)
    for (const rule of service.rules.values()) {
      for (const justification of rule.scopes.values()) add(justification.scopes)
    }
  }
  return scopes
}

function knownClaims({ services }: Ruleset): ReadonlySet<string> {
  const claims = new Set<string>()
  for (const service of services.values()) {
    for (const claim of [...service.claims, ...service.readClaims]) claims.add(claim)
  }
  return claims
}
