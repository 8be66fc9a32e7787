// Owns the way from parsed rule files to one immutable ruleset, with every fault of all files at once.
// Must stay pure: no files, clock or randomness; the order of files and rules changes nothing.
import { createHash } from 'node:crypto'
import { nearest } from '../config/problem.ts'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { RESERVED_CLAIMS } from '../tokens/attenuation.ts'
import type { Compilation, CompileContext, Draft } from './compilation.ts'
import { checkLookAlikes, indexIdentities, indexTargets } from './compile-index.ts'
import { compileDenies, compileRules } from './compile-rules.ts'
import { envoyAudience, fullName, looksLikeServiceName } from './names.ts'
import type { RuleProblem } from './problem.ts'
import type { Deny, Rule, Ruleset, Service } from './ruleset.ts'
import {
  DEFAULT_LIFETIME_SECONDS,
  MAX_LIFETIME_SECONDS,
  MIN_LIFETIME_SECONDS,
  type RuleFile,
} from './schema.ts'

/** Nobody reads more at once, and a file of faults must not cost more than a file of rules. */
const MAX_PROBLEMS = 500

/** Compiles rule files. Gives the ruleset only where no fault is an error. */
export function compileRuleset(
  files: readonly RuleFile[],
  context: CompileContext,
): { readonly ruleset: Ruleset | undefined; readonly problems: readonly RuleProblem[] } {
  const problems: RuleProblem[] = []
  const report: Compilation['report'] = (draft, path, message, suggest) => {
    if (problems.length >= MAX_PROBLEMS) return
    const suggestion = suggest?.()
    problems.push({
      file: draft.file,
      path: [...draft.path, ...path],
      message,
      severity: 'error',
      ...(suggestion === undefined ? {} : { suggestion }),
    })
  }
  const drafts = collect(files, report)
  const namespaces = new Set(files.map((file) => file.namespace))
  const compilation: Compilation = { context, drafts, namespaces, report }

  const services = new Map<string, Service>()
  const sorted = [...drafts.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const draft of sorted) services.set(draft.name, compileService(draft, compilation))
  checkLookAlikes(sorted, report)
  const targets = indexTargets(sorted, services, report)
  const serviceOf = indexIdentities(sorted, services, compilation)

  if (problems.length > 0) return { ruleset: undefined, problems }
  const ruleset = Object.freeze({ hash: hashOf(services), services, targets, serviceOf })
  return { ruleset, problems }
}

function collect(files: readonly RuleFile[], report: Compilation['report']): Map<string, Draft> {
  const drafts = new Map<string, Draft>()
  for (const [file, { namespace, services }] of files.entries()) {
    for (const [short, entry] of Object.entries(services)) {
      const name = `${namespace}/${short}`
      const draft: Draft = { name, namespace, entry, file, path: ['services', short] }
      if (drafts.has(name)) report(draft, [], `service ${name} is defined more than once`)
      else drafts.set(name, draft)
    }
  }
  return drafts
}

function compileService(draft: Draft, compilation: Compilation): Service {
  const { entry, name, namespace } = draft
  const { context, report } = compilation
  const short = name.slice(namespace.length + 1)
  const audience = entry.audience ?? `${short}.${namespace}`
  checkAudience(draft, audience, compilation)
  for (const [index, claim] of (entry.claims ?? []).entries()) {
    if (RESERVED_CLAIMS.has(claim)) {
      report(
        draft,
        ['claims', index],
        `claim ${claim} is registered or ours and cannot be passed on`,
      )
    }
  }
  for (const list of ['scopes', 'claims', 'calls'] as const) checkRepeats(draft, list, report)
  checkCaller(draft, report)
  const scopes = new Set(entry.scopes ?? [])
  return Object.freeze({
    name,
    namespace,
    audience,
    scopes,
    claims: Object.freeze([...(entry.claims ?? [])]),
    lifetimeSeconds: lifetimeOf(draft, compilation),
    algorithm: algorithmOf(draft, compilation),
    calls: callsOf(draft, compilation),
    rules: compileRules(draft, compilation),
    denies: compileDenies(draft, compilation),
    identities: Object.freeze(identitiesOf(draft, context)),
    external: entry.external ?? false,
    clientKeysFile:
      entry.client_keys && context.resolveFile(draft.file, entry.client_keys.jwks_file),
  })
}

function checkAudience(draft: Draft, audience: string, { context, report }: Compilation): void {
  if (looksLikeServiceName(audience)) {
    report(
      draft,
      ['audience'],
      `audience ${audience} reads like a service name: write a URI or a dotted name`,
    )
  }
  if (envoyAudience(audience) === envoyAudience(context.selfIss)) {
    report(draft, ['audience'], "audience is this service's own issuer URL")
  }
}

function checkRepeats(
  draft: Draft,
  list: 'scopes' | 'claims' | 'calls',
  report: Compilation['report'],
): void {
  const seen = new Set<string>()
  for (const [index, item] of (draft.entry[list] ?? []).entries()) {
    if (seen.has(item)) report(draft, [list, index], `${item} stands twice in ${list}`)
    seen.add(item)
  }
}

/** Who can call at all: an external service cannot, a caller outside the mesh has no SPIFFE ID. */
function checkCaller(draft: Draft, report: Compilation['report']): void {
  const { external, identity, client_keys: clientKeys, calls } = draft.entry
  if (external === true) {
    for (const [key, value] of Object.entries({ identity, client_keys: clientKeys, calls })) {
      if (value !== undefined)
        report(draft, [key], `an external service is only a target: it has no ${key}`)
    }
  }
  if (clientKeys !== undefined && identity !== undefined) {
    report(draft, ['identity'], 'a service has an identity in the mesh or client_keys, not both')
  }
}

function lifetimeOf(draft: Draft, { context, report }: Compilation): number {
  const text = draft.entry.token?.lifetime
  if (text === undefined) return DEFAULT_LIFETIME_SECONDS
  const milliseconds = context.parseDuration(text)
  const seconds = milliseconds === undefined ? Number.NaN : Math.floor(milliseconds / 1000)
  if (seconds >= MIN_LIFETIME_SECONDS && seconds <= MAX_LIFETIME_SECONDS) return seconds
  report(draft, ['token', 'lifetime'], 'a lifetime is a duration from 10s to 1h, as 5m')
  return DEFAULT_LIFETIME_SECONDS
}

function algorithmOf(draft: Draft, { context, report }: Compilation): SigningAlgorithm | undefined {
  const algorithm = draft.entry.token?.algorithm
  if (algorithm !== undefined && !context.algorithms.includes(algorithm)) {
    const listed = context.algorithms.join(', ')
    report(draft, ['token', 'algorithm'], `keys.algorithms of this deployment lists ${listed} only`)
  }
  return algorithm
}

function callsOf(draft: Draft, { drafts, report }: Compilation): Set<string> {
  const calls = new Set<string>()
  for (const [index, reference] of (draft.entry.calls ?? []).entries()) {
    const name = fullName(reference, draft.namespace)
    if (!drafts.has(name)) {
      report(draft, ['calls', index], `no service ${name}`, () => nearest(name, drafts.keys()))
    }
    calls.add(name)
  }
  return calls
}

/** What is no workload of this mesh has no SPIFFE ID. */
function identitiesOf(draft: Draft, { trustDomains }: CompileContext): string[] {
  const { identity, external, client_keys: clientKeys } = draft.entry
  if (external === true || clientKeys !== undefined) return []
  const short = draft.name.slice(draft.namespace.length + 1)
  return [identity ?? `spiffe://${trustDomains[0]}/ns/${draft.namespace}/sa/${short}`].flat()
}

/** SHA-256 over what decides, in an order of its own: neither files nor order change it. */
function hashOf(services: ReadonlyMap<string, Service>): string {
  const hash = createHash('sha256')
  for (const service of services.values()) hash.update(`${canonical(service)}\n`)
  return hash.digest('hex')
}

function canonical(service: Service): string {
  const rules = [...service.rules.values()].map((rule: Rule) => [
    rule.id,
    rule.act,
    [...rule.actors].sort(),
    [...rule.scopes].map(([scope, { mode, scopes }]) => [scope, mode, [...scopes].sort()]).sort(),
  ])
  const denies = service.denies.map((deny: Deny) => [
    deny.from === undefined ? null : [...deny.from].sort(),
    deny.issuer ?? null,
    deny.reason,
  ])
  return JSON.stringify([
    service.name,
    service.audience,
    [...service.scopes].sort(),
    [...service.claims].sort(),
    service.lifetimeSeconds,
    service.algorithm ?? null,
    [...service.calls].sort(),
    rules.sort(),
    denies.sort(),
    [...service.identities].sort(),
    service.external,
    service.clientKeysFile !== undefined,
  ])
}
