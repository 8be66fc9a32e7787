// Owns the way from parsed rule files to one immutable ruleset, with every fault of all files at once.
// Must stay pure: no files, clock or randomness; the order of files and rules changes nothing.
import { nearest } from '../../config/problem.ts'
import type { SigningAlgorithm } from '../../jwt/algorithms.ts'
import { RESERVED_CLAIMS } from '../../tokens/attenuation.ts'
import { envoyAudience, fullName, looksLikeServiceName } from '../names.ts'
import type { RuleProblem } from '../problem.ts'
import type { Ruleset, Service, ServiceName } from '../ruleset.ts'
import {
  DEFAULT_LIFETIME_SECONDS,
  MAX_LIFETIME_SECONDS,
  MIN_LIFETIME_SECONDS,
  type RuleFile,
} from '../schema.ts'
import { hashOf } from './canonical.ts'
import type { Compilation, CompileContext, Draft } from './compilation.ts'
import { ctxOf } from './conditions.ts'
import { compileDenies } from './denies.ts'
import { checkEmbedding } from './embedding.ts'
import { checkLookAlikes, indexIdentities, indexTargets } from './look-ups.ts'
import { compileRules } from './rules.ts'

/** Nobody reads more at once, and a file of faults must not cost more than a file of rules. */
const MAX_PROBLEMS = 500
/** "Did you mean" may look through all names each time. */
const MAX_SUGGESTED = 100

/** What rule files are compiled to. */
export interface CompiledRules {
  /** Only where nothing is wrong. */
  readonly ruleset: Ruleset | undefined
  /** As far as they could be compiled: for whoever looks for further faults. */
  readonly services: ReadonlyMap<ServiceName, Service>
  readonly problems: readonly RuleProblem[]
}

/** Compiles rule files. Gives the ruleset only where no fault is an error. */
export function compileRuleset(files: readonly RuleFile[], context: CompileContext): CompiledRules {
  const steps = compileInSteps(files, context)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same, a service at a time: a server that reloads answers requests in between. */
export function* compileInSteps(
  files: readonly RuleFile[],
  context: CompileContext,
): Generator<void, CompiledRules, void> {
  const problems: RuleProblem[] = []
  const report: Compilation['report'] = (draft, path, id, message, detail = {}) => {
    if (problems.length >= MAX_PROBLEMS) return
    const suggestion = problems.length < MAX_SUGGESTED ? detail.suggest?.() : undefined
    problems.push({
      file: draft.file,
      path: [...draft.path, ...path],
      id,
      message,
      severity: 'error',
      ...(suggestion === undefined ? {} : { suggestion }),
      ...(detail.offset === undefined ? {} : { offset: detail.offset }),
    })
  }
  const drafts = collect(files, report)
  const namespaces = new Set(files.map((file) => file.namespace))
  const compilation: Compilation = {
    context,
    drafts,
    namespaces,
    report,
    conditions: new Map(),
  }

  const services = new Map<string, Service>()
  const sorted = [...drafts.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const draft of sorted) {
    services.set(draft.name, compileService(draft, compilation))
    yield
  }
  checkLookAlikes(sorted, report)
  const targets = indexTargets(sorted, services, report)
  const serviceOf = indexIdentities(sorted, services, compilation)
  checkEmbedding(services, compilation)

  if (problems.length > 0) return { ruleset: undefined, services, problems }
  const hash = yield* hashOf(services)
  const ruleset = Object.freeze({ hash, services, targets, serviceOf })
  return { ruleset, services, problems }
}

function collect(files: readonly RuleFile[], report: Compilation['report']): Map<string, Draft> {
  const drafts = new Map<string, Draft>()
  for (const [file, { namespace, services }] of files.entries()) {
    for (const [short, entry] of Object.entries(services)) {
      const name = `${namespace}/${short}`
      const draft: Draft = { name, namespace, entry, file, path: ['services', short] }
      if (drafts.has(name))
        report(draft, [], 'service-repeated', `service ${name} is defined more than once`)
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
        'claim-reserved',
        `claim ${claim} is registered or ours and cannot be passed on`,
      )
    }
  }
  for (const list of ['scopes', 'claims', 'calls', 'grants', 'also_audiences'] as const)
    checkRepeats(draft, list, report)
  checkCaller(draft, report)
  const ctx = ctxOf(draft, compilation)
  const rules = compileRules(draft, compilation)
  const denies = compileDenies(draft, compilation)
  checkCosts(draft, { ctx, rules, denies }, compilation)
  return Object.freeze({
    name,
    namespace,
    audience,
    scopes: new Set(entry.scopes ?? []),
    claims: Object.freeze([...(entry.claims ?? [])]),
    ctx,
    alsoAudiences: new Set(entry.also_audiences ?? []),
    embeddable: entry.embeddable ?? false,
    grants: new Set(entry.grants ?? []),
    readClaims: readClaimsOf({ ctx, rules, denies }),
    lifetimeSeconds: lifetimeOf(draft, compilation),
    algorithm: algorithmOf(draft, compilation),
    calls: callsOf(draft, compilation),
    rules,
    denies,
    identities: Object.freeze(identitiesOf(draft, context)),
    external: entry.external ?? false,
    clientKeysFile:
      entry.client_keys && context.resolveFile(draft.file, entry.client_keys.jwks_file),
    clientKeysName: entry.client_keys?.jwks_file,
  })
}

function checkAudience(draft: Draft, audience: string, { context, report }: Compilation): void {
  if (looksLikeServiceName(audience)) {
    report(
      draft,
      ['audience'],
      'audience-like-name',
      `audience ${audience} reads like a service name: write a URI or a dotted name`,
    )
  }
  for (const [at, other] of (draft.entry.also_audiences ?? []).entries()) {
    if (envoyAudience(other) !== envoyAudience(context.selfIss)) continue
    const message = 'tokens for our own issuer URL are for this service alone'
    report(draft, ['also_audiences', at], 'audience-own-issuer', message)
  }
  if (envoyAudience(audience) === envoyAudience(context.selfIss)) {
    report(draft, ['audience'], 'audience-own-issuer', "audience is this service's own issuer URL")
  }
}

function checkRepeats(
  draft: Draft,
  list: 'scopes' | 'claims' | 'calls' | 'grants' | 'also_audiences',
  report: Compilation['report'],
): void {
  const seen = new Set<string>()
  for (const [index, item] of (draft.entry[list] ?? []).entries()) {
    if (seen.has(item)) {
      report(draft, [list, index], 'item-repeated', `${item} stands twice in ${list}`)
    }
    seen.add(item)
  }
}

/** Who can call at all: an external service cannot, a caller outside the mesh has no SPIFFE ID. */
function checkCaller(draft: Draft, report: Compilation['report']): void {
  const { external, identity, client_keys: clientKeys, calls, grants } = draft.entry
  if (external === true) {
    const keys = { identity, client_keys: clientKeys, calls, grants }
    for (const [key, value] of Object.entries(keys)) {
      if (value === undefined) continue
      const message = `an external service is only a target: it has no ${key}`
      report(draft, [key], 'external-with', message)
    }
  }
  if (clientKeys !== undefined && grants !== undefined) {
    const message =
      'grants are what a workload brings by its own token, and client_keys are of no workload'
    report(draft, ['grants'], 'identity-and-keys', message)
  }
  if (clientKeys !== undefined && identity !== undefined) {
    report(
      draft,
      ['identity'],
      'identity-and-keys',
      'a service has an identity in the mesh or client_keys, not both',
    )
  }
}

function lifetimeOf(draft: Draft, { context, report }: Compilation): number {
  const text = draft.entry.token?.lifetime
  if (text === undefined) return DEFAULT_LIFETIME_SECONDS
  const milliseconds = context.parseDuration(text)
  const seconds = milliseconds === undefined ? Number.NaN : Math.floor(milliseconds / 1000)
  if (seconds >= MIN_LIFETIME_SECONDS && seconds <= MAX_LIFETIME_SECONDS) return seconds
  report(
    draft,
    ['token', 'lifetime'],
    'lifetime-invalid',
    'a lifetime is a duration from 10s to 1h, as 5m',
  )
  return DEFAULT_LIFETIME_SECONDS
}

function algorithmOf(draft: Draft, { context, report }: Compilation): SigningAlgorithm | undefined {
  const algorithm = draft.entry.token?.algorithm
  if (algorithm !== undefined && !context.algorithms.includes(algorithm)) {
    const listed = context.algorithms.join(', ')
    const message = `keys.algorithms of this deployment lists ${listed} only`
    report(draft, ['token', 'algorithm'], 'algorithm-not-listed', message)
  }
  return algorithm
}

function callsOf(draft: Draft, { drafts, report }: Compilation): Set<string> {
  const calls = new Set<string>()
  for (const [index, reference] of (draft.entry.calls ?? []).entries()) {
    const name = fullName(reference, draft.namespace)
    if (!drafts.has(name)) {
      report(draft, ['calls', index], 'service-unknown', `no service ${name}`, {
        suggest: () => nearest(name, drafts.keys()),
      })
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

/** What is read of a subject's claims where this service is the target. */
function readClaimsOf({ ctx, rules, denies }: Pick<Service, 'ctx' | 'rules' | 'denies'>): string[] {
  const read = new Set<string>()
  const add = (claims: readonly string[] | undefined) => {
    for (const claim of claims ?? []) read.add(claim)
  }
  for (const entry of ctx.values()) {
    if (entry.kind === 'claim') read.add(entry.claim)
    else if (entry.kind === 'computed') add(entry.expression.claims)
  }
  for (const { when } of denies) add(when?.claims)
  for (const rule of rules.values()) {
    add(rule.when?.expression.claims)
    for (const { when } of rule.scopes.values()) add(when?.expression.claims)
  }
  return [...read].sort()
}

/** All conditions of one decision together may cost what this many of the dearest single ones do: 50 ms. */
const MAX_COSTS = 10

/** Evaluated one after the other on the one thread: denies, the rule and its scopes, `ctx`. */
function checkCosts(
  draft: Draft,
  { ctx, rules, denies }: Pick<Service, 'ctx' | 'rules' | 'denies'>,
  { report }: Compilation,
): void {
  let always = 0
  for (const { when } of denies) always += when?.cost ?? 0
  for (const entry of ctx.values()) always += entry.kind === 'computed' ? entry.expression.cost : 0
  let dearest = 0
  for (const { when, scopes } of rules.values()) {
    let cost = when?.expression.cost ?? 0
    for (const justification of scopes.values()) cost += justification.when?.expression.cost ?? 0
    dearest = Math.max(dearest, cost)
  }
  if (always + dearest <= MAX_COSTS) return
  const message =
    'its conditions together could hold up all other requests over a large token: write fewer, or simpler ones'
  report(draft, [], 'conditions-too-costly', message)
}
