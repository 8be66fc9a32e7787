// Owns what Istio's AuthorizationPolicies show: exact principals of ALLOW rules are callers, all else a question.
// Must not read files, and never drops a policy in silence.
import { clip } from '../../config/problem.ts'
import type { ServiceName } from '../ruleset.ts'
import {
  isName,
  type Observations,
  observed,
  type Question,
  type SeenService,
  together,
} from './observed.ts'
import { type PolicyRule, type PolicySpec, PolicySpecSchema } from './policy-schema.ts'
import {
  callersOf,
  conditionsOf,
  coversAll,
  describeRule,
  isConditional,
  type PolicyCaller,
} from './policy-sources.ts'
import { describeTargets, ROOT_NAMESPACE, targetsOf } from './policy-targets.ts'

/** What policies are read against. */
export interface PolicyContext {
  /** The first is this deployment's own. */
  readonly trustDomains: readonly string[]
  /** Of manifests that name none. */
  readonly namespace: string | undefined
}

/** What {@link observePolicies} gives. */
export interface PolicyObservations {
  readonly seen: Observations
  /** How many AuthorizationPolicies were read. */
  readonly policies: number
}

const MAX_NAME_SHOWN = 120
const MAX_ISSUE_SHOWN = 200
/** Actions that take no request away from those that ALLOW policies let through, as far as is known here. */
const MAY_NOT_REFUSE: ReadonlySet<unknown> = new Set(['ALLOW', 'AUDIT', 'CUSTOM'])

interface Policy {
  /** `policy namespace/name`, for people. */
  readonly title: string
  readonly namespace: string
  readonly action: NonNullable<PolicySpec['action']>
  readonly spec: PolicySpec
}

/** A rule of a DENY policy that refuses every request of the callers that it covers. */
interface Refusal {
  readonly title: string
  readonly namespace: string
  readonly rule: PolicyRule | undefined
  /** Undefined means any of its namespace; of the root namespace, any at all. */
  readonly targets: ReadonlySet<ServiceName> | undefined
}

/** Reads Kubernetes objects: policies, lists of them, and others, which are left aside. */
export function observePolicies(
  objects: readonly unknown[],
  context: PolicyContext,
): PolicyObservations {
  const read = objects
    .flatMap(itemsOf)
    .filter(isPolicy)
    .map((object) => readPolicy(object, context))
  const policies = read.filter((one) => 'spec' in one)
  const misread = read.filter((one) => 'question' in one)
  const refusals = [
    ...misread.flatMap(({ refusal }) => refusal ?? []),
    ...policies.filter(({ action }) => action === 'DENY').flatMap(refusalsOf),
  ]
  return {
    policies: read.length,
    seen: together([
      observed({ questions: misread.map(({ question }) => question) }),
      ...policies.map((policy) =>
        policy.action === 'ALLOW'
          ? observeAllow(policy, refusals, context)
          : observed({ questions: askAboutAction(policy, policy.action) }),
      ),
    ]),
  }
}

type KubernetesObject = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is KubernetesObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `kubectl get -o yaml` of several objects is one List. Lists do not hold lists. */
function itemsOf(value: unknown): readonly KubernetesObject[] {
  if (!isObject(value)) return []
  const { kind, items } = value
  const isList = typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
  return isList ? items.filter(isObject) : [value]
}

/** Another API (Linkerd's) has a kind of the same name. */
const isPolicy = ({ kind, apiVersion }: KubernetesObject): boolean =>
  kind === 'AuthorizationPolicy' && String(apiVersion).startsWith('security.istio.io/')

/** A policy of which only that it is there is known; it might refuse whatever it is for. */
interface MisreadPolicy {
  readonly question: Question
  readonly refusal: Refusal | undefined
}

function readPolicy(
  { metadata, spec }: KubernetesObject,
  context: PolicyContext,
): Policy | MisreadPolicy {
  const { name, namespace: own } = isObject(metadata) ? metadata : {}
  const namespace = own ?? context.namespace
  const shown = clip(String(name), MAX_NAME_SHOWN)
  const action = (isObject(spec) ? spec.action : undefined) ?? 'ALLOW'
  const misread = (title: string, place: string | undefined, text: string): MisreadPolicy => ({
    question: { namespace: place, text },
    refusal: MAY_NOT_REFUSE.has(action)
      ? undefined
      : { title, namespace: place ?? ROOT_NAMESPACE, rule: undefined, targets: undefined },
  })
  if (typeof namespace !== 'string' || !isName(namespace)) {
    const title = `policy ${shown}`
    return misread(
      title,
      undefined,
      `${title} has no namespace that a rule file can have: which is it (--namespace)?`,
    )
  }
  const title = `policy ${namespace}/${shown}`
  const read = PolicySpecSchema.safeParse(spec)
  if (read.success) {
    return { title, namespace, action: read.data?.action ?? 'ALLOW', spec: read.data ?? {} }
  }
  const [issue] = read.error.issues
  const what = clip(`spec ${issue?.path.join('.')}: ${issue?.message}`, MAX_ISSUE_SHOWN)
  return misread(title, namespace, `${title} was not understood (${what}): what does it say?`)
}

function refusalsOf(policy: Policy): readonly Refusal[] {
  const { title, namespace, spec } = policy
  const { services, unclear } = targetsOf(policy.namespace, policy.spec)
  const targets = unclear.length > 0 ? undefined : new Set(services.map(({ name }) => name))
  return (spec.rules ?? [])
    .filter((rule) => !isConditional(rule))
    .map((rule) => ({ title, namespace, rule, targets }))
}

const WHAT_OF_ACTION = {
  DENY: 'if some of it must hold for tokens too, write it into `denies`',
  AUDIT: 'it refuses nothing, and nothing of it is drafted',
  CUSTOM: 'another server decides there, and nothing of it is drafted',
} as const

function askAboutAction(policy: Policy, action: keyof typeof WHAT_OF_ACTION): readonly Question[] {
  const { title, namespace, spec } = policy
  const whom = describeTargets(targetsOf(policy.namespace, policy.spec))
  return (spec.rules ?? []).map((rule) => ({
    namespace,
    text: `${title} (${action}) for ${whom}: ${describeRule(rule)}: ${WHAT_OF_ACTION[action]}`,
  }))
}

/** What an ALLOW policy shows. */
function observeAllow(
  policy: Policy,
  refusals: readonly Refusal[],
  context: PolicyContext,
): Observations {
  const { title, namespace, spec } = policy
  const targets = targetsOf(policy.namespace, policy.spec)
  const whom = describeTargets(targets)
  const source = { trustDomains: context.trustDomains, namespace }
  return together(
    (spec.rules ?? []).map((rule) => {
      const { callers, unclear } = callersOf(rule, source)
      const conditions = conditionsOf(rule)
      const some = conditions.length === 0 ? '' : ` (${conditions.join('; ')})`
      const names = callers.map(({ name }) => name).join(', ')
      const calls = [
        ...unclear.map((who) => `${who} call ${whom}`),
        ...(names === '' ? [] : targets.unclear.map((what) => `${names} call ${what}`)),
      ]
      const questions = calls.map((call) => ({
        namespace,
        text: `${title} lets ${call}${some}: which services are these?`,
      }))
      const edges = pairs(targets.services, callers).map(([target, caller]) => {
        const refusal = refusals.find((one) => refuses(one, target.name, caller, context))
        const hints = [...conditions, ...caller.hints]
        return observeEdge(title, target, caller, hints, refusal)
      })
      return together([observed({ questions }), ...edges])
    }),
  )
}

function observeEdge(
  title: string,
  target: SeenService,
  { name, identity }: PolicyCaller,
  hints: readonly string[],
  refusal: Refusal | undefined,
): Observations {
  if (refusal !== undefined) {
    const text = `${name} -> ${target.name}: ${title} allows it and ${refusal.title} may refuse it: is it an edge?`
    return observed({ questions: [{ namespace: refusal.namespace, text }] })
  }
  return observed({
    services: [target, { name, by: 'identity', identity }],
    edges: [{ from: name, to: target.name, scopes: [], source: `in ${title}`, hints }],
  })
}

function pairs(
  targets: readonly SeenService[],
  callers: readonly PolicyCaller[],
): readonly (readonly [SeenService, PolicyCaller])[] {
  return targets.flatMap((target) => callers.map((caller) => [target, caller] as const))
}

function refuses(
  refusal: Refusal,
  target: ServiceName,
  caller: PolicyCaller,
  { trustDomains }: PolicyContext,
): boolean {
  const { namespace, rule, targets } = refusal
  const isMeant =
    targets?.has(target) ?? (namespace === ROOT_NAMESPACE || target.startsWith(`${namespace}/`))
  if (!isMeant) return false
  const from = rule?.from ?? []
  if (from.length === 0) return true
  return from.some(({ source }) => coversAll(source, caller, { trustDomains, namespace }))
}
