// Owns which workloads the sources of an AuthorizationPolicy name, and in words what else a policy asks.
// Must not know targets or actions; never takes a pattern for a name.
import { parseSpiffeId, type SpiffeId } from '../../clients/spiffe-id.ts'
import { clip } from '../../config/problem.ts'
import type { ServiceName } from '../ruleset.ts'
import { isServiceName, namespaceOf } from './observed.ts'
import type { PolicyOperation, PolicyRule, PolicySource } from './policy-schema.ts'

/** A workload that a policy names exactly. */
export interface PolicyCaller {
  readonly name: ServiceName
  /** Undefined means the default identity of that name. */
  readonly identity: SpiffeId | undefined
  readonly hints: readonly string[]
}

/** The callers of a rule, and who else may call, in words. */
export interface PolicyCallers {
  readonly callers: readonly PolicyCaller[]
  readonly unclear: readonly string[]
}

/** What sources are read against. */
export interface SourceContext {
  /** The first is this deployment's own. */
  readonly trustDomains: readonly string[]
  /** Of the policy: a service account without a namespace is of this one. */
  readonly namespace: string
}

/** Istio reads it as the mesh's own trust domain, whatever that is called. */
const ISTIO_OWN = 'cluster.local'

/** Each of them narrows a source to some requests of the callers that it names. */
const NARROWING = [
  'requestPrincipals',
  'notRequestPrincipals',
  'ipBlocks',
  'notIpBlocks',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
] as const satisfies readonly (keyof PolicySource)[]

const isGiven = (list: readonly string[] | null | undefined): list is readonly string[] =>
  list !== null && list !== undefined && list.length > 0

/** The callers that a rule of an ALLOW policy names one by one; everything wider is told in words. */
export function callersOf({ from }: PolicyRule, context: SourceContext): PolicyCallers {
  const read = (from ?? []).map(({ source }) => readSource(source, context))
  const callers = read.flatMap((one) => one.callers)
  const unclear = read.flatMap((one) => one.unclear)
  return callers.length + unclear.length === 0
    ? { callers, unclear: ['anybody (no source is named)'] }
    : { callers, unclear }
}

function readSource(source: PolicySource, context: SourceContext): PolicyCallers {
  const { principals, serviceAccounts, ...others } = source
  const names = [isGiven(principals), isGiven(serviceAccounts)].filter(Boolean).length
  const isNarrowing = (key: string) => NARROWING.some((one) => one === key)
  const isWide = Object.entries(others).some(([key, list]) => isGiven(list) && !isNarrowing(key))
  if (names !== 1 || isWide) {
    return { callers: [], unclear: [describeLists(source) || 'anybody (its source is empty)'] }
  }
  const hint = describeLists(Object.fromEntries(NARROWING.map((key) => [key, source[key]])))
  const hints = hint === '' ? [] : [hint]
  const callers: PolicyCaller[] = []
  const unclear: string[] = []
  const add = (read: PolicyCaller | string) => {
    if (typeof read === 'string') unclear.push(read)
    else callers.push({ ...read, hints: [...read.hints, ...hints] })
  }
  for (const text of principals ?? []) add(readPrincipal(text, context))
  for (const text of serviceAccounts ?? []) add(readServiceAccount(text, context))
  return { callers, unclear }
}

/** The caller, or in words why there is none. */
function readPrincipal(text: string, { trustDomains }: SourceContext): PolicyCaller | string {
  const shown = `principal ${show(text)}`
  if (text.includes('*')) return `${shown} (a pattern)`
  if (text.startsWith('spiffe://')) {
    return `${shown} (Istio puts spiffe:// before it, so it means nobody)`
  }
  const [, trustDomain = '', namespace = '', account = ''] =
    /^([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text) ?? []
  const identity = parseSpiffeId(`spiffe://${text}`)
  const name = `${namespace}/${account}`
  if (identity === undefined || namespace === '') return `${shown} (no service account)`
  if (!isServiceName(name)) return `${shown} (its service needs another name)`
  if (trustDomain === ISTIO_OWN || trustDomain === trustDomains[0]) {
    return { name, identity: undefined, hints: [] }
  }
  return trustDomains.includes(trustDomain)
    ? { name, identity, hints: [] }
    : `${shown} (its trust domain is not in trust_domains)`
}

/** Istio lets such an account of every trust domain in; only our own's becomes a caller. */
function readServiceAccount(text: string, context: SourceContext): PolicyCaller | string {
  const name = text.includes('/') ? text : `${context.namespace}/${text}`
  if (!isServiceName(name))
    return `service account ${show(text)} (a pattern, or not the name of one)`
  const hint = `service account ${name} of every trust domain, taken as of our own only`
  return { name, identity: undefined, hints: [hint] }
}

/**
 * Whether a source of a DENY policy covers every request of a caller. What is not sure counts as
 * covered: an edge that might be refused is not drafted as one.
 */
export function coversAll(
  source: PolicySource,
  caller: Pick<PolicyCaller, 'name' | 'identity'>,
  { trustDomains, namespace }: SourceContext,
): boolean {
  if (NARROWING.some((key) => isGiven(source[key]))) return false
  const [callerNamespace, account] = [namespaceOf(caller.name), caller.name.split('/')[1]]
  const principals =
    caller.identity === undefined
      ? [ISTIO_OWN, ...trustDomains.slice(0, 1)].map(
          (domain) => `${domain}/ns/${callerNamespace}/sa/${account}`,
        )
      : [caller.identity.slice('spiffe://'.length)]
  const isNamed = (patterns: readonly string[], values: readonly string[]) =>
    patterns.some((pattern) => values.some((value) => matches(pattern, value)))
  const accounts = callerNamespace === namespace ? [caller.name, account ?? ''] : [caller.name]
  const tests: readonly (readonly [keyof PolicySource, keyof PolicySource, readonly string[]])[] = [
    ['principals', 'notPrincipals', principals],
    ['namespaces', 'notNamespaces', [callerNamespace]],
    ['serviceAccounts', 'notServiceAccounts', accounts],
  ]
  return tests.every(([named, excepted, values]) => {
    const [only, not] = [source[named], source[excepted]]
    return (!isGiven(only) || isNamed(only, values)) && !(isGiven(not) && isNamed(not, values))
  })
}

/** Istio's match of a text: exact, `prefix*` (so `*` too) or `*suffix`. */
function matches(pattern: string, value: string): boolean {
  if (pattern.endsWith('*')) return value.startsWith(pattern.slice(0, -1))
  return pattern.startsWith('*') ? value.endsWith(pattern.slice(1)) : value === pattern
}

/** Conditions on these say something about a request; on others (`source.principal`) about who sends it. */
const REQUEST_KEYS = ['request.', 'remote.', 'destination.', 'connection.', 'source.ip']

/** Whether a rule holds for some requests only, whoever calls. */
export function isConditional({ to, when }: PolicyRule): boolean {
  const operations = to ?? []
  return (
    (when ?? []).some(({ key }) => REQUEST_KEYS.some((start) => key.startsWith(start))) ||
    (operations.length > 0 && operations.every(({ operation }) => describeLists(operation) !== ''))
  )
}

/** What a rule asks of a request beside who sends it, in words; one text for each alternative. */
export function conditionsOf({ to, when }: PolicyRule): readonly string[] {
  const operations = (to ?? []).map(({ operation }) => describeLists(operation))
  const conditions = (when ?? []).map(
    ({ key, values, notValues }) =>
      `when ${show(key)} ${describeLists({ is: values, 'is not': notValues }) || 'is present'}`,
  )
  return [...operations.filter((text) => text !== ''), ...conditions]
}

/** A whole rule in words. */
export function describeRule(rule: PolicyRule): string {
  const sources = (rule.from ?? []).map(({ source }) => describeLists(source) || 'an empty source')
  const from = sources.length === 0 ? 'anybody' : sources.join(', or ')
  return [from, ...conditionsOf(rule)].join('; ')
}

/** A policy may list thousands of paths; nobody reads them in a comment. */
const MAX_VALUES_SHOWN = 8
const MAX_VALUE_SHOWN = 120

const show = (text: string): string => clip(text, MAX_VALUE_SHOWN)

type Lists = PolicySource | PolicyOperation | Readonly<Record<string, string[] | null | undefined>>

/** `methods GET POST, paths /orders`; empty where no list is given. */
function describeLists(lists: Lists): string {
  const parts: string[] = []
  for (const [key, list] of Object.entries(lists) as [string, string[] | null | undefined][]) {
    if (!isGiven(list)) continue
    const values = list.slice(0, MAX_VALUES_SHOWN).map(show)
    const left = list.length - values.length
    parts.push([key, ...values, ...(left > 0 ? [`and ${left} more`] : [])].join(' '))
  }
  return parts.join(', ')
}
