// Owns what the checks of a loaded ruleset share: the rules as compiled and as written, and the report.
// Must not check anything.
import { type IssuerName, SELF, WORKLOAD } from '../../subjects/subject.ts'
import type { Draft, Path } from '../compile/compilation.ts'
import { fullName } from '../names.ts'
import type { World } from '../reach/token.ts'
import type { Surroundings } from '../rehearse/surroundings.ts'
import { ruleFor } from '../rule-for.ts'
import type { Rule, Service, ServiceName } from '../ruleset.ts'
import type { RuleEntry, RuleFile } from '../schema.ts'
import type { FindingId } from './findings.ts'

/** What rules are checked against beside what they are compiled against. */
export type CheckContext = Surroundings & Omit<World, 'ruleset'>

/** Rules, and how to say something of them. */
export interface Checking {
  readonly services: ReadonlyMap<ServiceName, Service>
  readonly written: readonly WrittenService[]
  /** Those that may be callers, by namespace. */
  readonly byNamespace: ReadonlyMap<string, readonly Service[]>
  readonly context: CheckContext
  readonly report: (
    draft: Draft,
    path: Path,
    id: FindingId,
    message: string,
    suggestion?: string,
  ) => void
}

/** A service, compiled and as written. */
export interface WrittenService {
  readonly service: Service
  readonly draft: Draft
  readonly rules: readonly WrittenRule[]
}

/** A rule and where it is written. */
export interface WrittenRule {
  readonly rule: Rule
  readonly target: Service
  readonly draft: Draft
  readonly entry: RuleEntry
  /** Of the entry: a list of callers is one entry of several rules. */
  readonly path: Path
  /** Of the caller within it. */
  readonly fromPath: Path
}

/** The services of the files and their rules, with their places. */
export function writtenServices(
  files: readonly RuleFile[],
  services: ReadonlyMap<ServiceName, Service>,
): readonly WrittenService[] {
  return files.flatMap(({ namespace, services: entries }, file) =>
    Object.entries(entries).flatMap(([short, entry]) => {
      const name = `${namespace}/${short}`
      const service = services.get(name)
      const draft: Draft = { name, namespace, entry, file, path: ['services', short] }
      return service === undefined ? [] : [{ service, draft, rules: rulesOf(service, draft) }]
    }),
  )
}

function rulesOf(target: Service, draft: Draft): readonly WrittenRule[] {
  const rules: WrittenRule[] = []
  for (const [index, entry] of (draft.entry.accepts ?? []).entries()) {
    const path: Path = ['accepts', index]
    for (const [at, reference] of [entry.from].flat().entries()) {
      const from = fullName(reference, draft.namespace)
      const rule = target.rules.get(`${from}|${entry.issuer ?? SELF}`)
      if (rule === undefined) continue
      const fromPath: Path = Array.isArray(entry.from) ? [...path, 'from', at] : [...path, 'from']
      rules.push({ rule, target, draft, entry, path, fromPath })
    }
  }
  return rules
}

/** The services that a rule's `from` means. */
export function callersOf(
  { services, byNamespace }: Pick<Checking, 'services' | 'byNamespace'>,
  from: string,
): readonly Service[] {
  if (from.endsWith('/*')) return byNamespace.get(from.slice(0, -2)) ?? []
  const service = services.get(from)
  return service === undefined ? [] : [service]
}

/** Those of them that list the target in `calls`: nobody else uses the rule. */
export const usersOf = (checking: Checking, { from }: Rule, target: Service): readonly Service[] =>
  callersOf(checking, from).filter(({ calls }) => calls.has(target.name))

/** Whether a caller could hand in a token of this issuer at all. */
export function canPresent(
  { context }: Pick<Checking, 'context'>,
  caller: Service,
  issuer: IssuerName,
): boolean {
  if (issuer === SELF) return true
  if (issuer === WORKLOAD) return caller.grants.size > 0
  for (const names of context.issuers.get(issuer)?.presentedBy.values() ?? []) {
    if (names.has(caller.name)) return true
  }
  return false
}

/** Callers by namespace; an external service calls nobody. */
export function byNamespace(
  services: ReadonlyMap<ServiceName, Service>,
): ReadonlyMap<string, readonly Service[]> {
  const known = new Map<string, Service[]>()
  for (const service of services.values()) {
    if (service.external) continue
    const others = known.get(service.namespace)
    if (others === undefined) known.set(service.namespace, [service])
    else others.push(service)
  }
  return known
}

/**
 * Goes over the edges on which tokens are minted from tokens of ours, from services to those that they call,
 * again wherever `pass` gives true: something new went over.
 */
export function spread(
  { services }: Pick<Checking, 'services'>,
  from: Iterable<Service>,
  pass: (caller: Service, target: Service, rule: Rule) => boolean,
): void {
  const next = new Set(from)
  for (const caller of next) {
    next.delete(caller)
    for (const name of caller.calls) {
      const target = services.get(name)
      const rule = target && ruleFor(target, caller, SELF)
      if (target === undefined || rule === undefined || rule.forward) continue
      if (pass(caller, target, rule)) next.add(target)
    }
  }
}
