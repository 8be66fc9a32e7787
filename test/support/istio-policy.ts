// Owns the small part of istiod that turns policies into Envoy filters, so that the Envoy tests enforce the
// shipped manifests themselves. Must not guess: a member that it does not translate is an error.
import type { EnvoyObject, NamedObject } from './envoy.ts'

interface Metadata {
  readonly name: string
  readonly namespace: string
}

export interface AuthorizationPolicy {
  readonly kind: 'AuthorizationPolicy'
  readonly metadata: Metadata
  readonly spec: {
    readonly selector?: unknown
    readonly action?: 'ALLOW' | 'DENY'
    readonly rules?: readonly PolicyRule[]
  }
}

export interface PolicyRule {
  readonly from?: readonly { readonly source: Readonly<Record<string, readonly string[]>> }[]
  readonly to?: readonly { readonly operation: Readonly<Record<string, readonly string[]>> }[]
  readonly when?: readonly { readonly key: string; readonly values: readonly string[] }[]
}

export interface RequestAuthentication {
  readonly kind: 'RequestAuthentication'
  readonly metadata: Metadata
  readonly spec: { readonly selector?: unknown; readonly jwtRules: readonly JwtRule[] }
}

export interface JwtRule {
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly jwksUri: string
  readonly forwardOriginalToken?: boolean
  readonly outputClaimToHeaders?: readonly { readonly header: string; readonly claim: string }[]
}

/**
 * Where a proxy has the keys from: inlined by istiod (its default), or fetched by Envoy itself from a
 * cluster (PILOT_JWT_ENABLE_REMOTE_JWKS).
 */
export type JwksDelivery = { readonly inline: string } | { readonly cluster: string }

const TYPE = 'type.googleapis.com/envoy.extensions.filters.http'
const JWT_AUTHN = 'envoy.filters.http.jwt_authn'
const RBAC = 'envoy.filters.http.rbac'
const ANY_TEXT: StringMatch = { safeRegex: { regex: '.+' } }

/** istio pilot/pkg/security/authn/policy_applier.go, convertToEnvoyJwtConfig. */
export function toJwtAuthnFilter(
  authentications: readonly RequestAuthentication[],
  jwks: (rule: JwtRule) => JwksDelivery,
): NamedObject {
  const rules = authentications
    .flatMap(({ spec }) => spec.jwtRules)
    .toSorted((a, b) => (a.issuer < b.issuer ? -1 : 1))
  const names = rules.map((_, index) => `origins-${index}`)
  const optional = names.map((name) => requiresAny([{ providerName: name }, { allowMissing: {} }]))
  const requires =
    optional.length === 1
      ? optional[0]
      : requiresAny([
          ...names.map((providerName) => ({ providerName })),
          { requiresAll: { requirements: optional } },
        ])
  return {
    name: JWT_AUTHN,
    typedConfig: {
      '@type': `${TYPE}.jwt_authn.v3.JwtAuthentication`,
      bypassCorsPreflight: true,
      providers: Object.fromEntries(
        rules.map((rule, index) => [`origins-${index}`, provider(rule, jwks(rule))]),
      ),
      rules: [{ match: { prefix: '/' }, requires }],
    },
  }
}

/**
 * istio pilot/pkg/security/authz/{builder,model}: one RBAC filter for the DENY policies, then one for the
 * ALLOW policies, as they stand on the listener of one workload port.
 */
export function toRbacFilters(
  policies: readonly AuthorizationPolicy[],
  workloadPort: number,
): NamedObject[] {
  return (['DENY', 'ALLOW'] as const).flatMap((action) => {
    const chosen = policies.filter(({ spec }) => (spec.action ?? 'ALLOW') === action)
    return chosen.length === 0 ? [] : [rbacFilter(action, chosen, workloadPort)]
  })
}

function rbacFilter(
  action: 'ALLOW' | 'DENY',
  policies: readonly AuthorizationPolicy[],
  workloadPort: number,
): NamedObject {
  const entries = policies.flatMap(({ metadata, spec }) =>
    (spec.rules ?? []).map((rule, index) => [
      `ns[${metadata.namespace}]-policy[${metadata.name}]-rule[${index}]`,
      { permissions: permissions(rule, workloadPort), principals: principals(rule) },
    ]),
  )
  return {
    name: RBAC,
    typedConfig: {
      '@type': `${TYPE}.rbac.v3.RBAC`,
      rules: { action, policies: Object.fromEntries(entries) },
      shadowRulesStatPrefix: `istio_dry_run_${action.toLowerCase()}_`,
    },
  }
}

function provider(rule: JwtRule, jwks: JwksDelivery): EnvoyObject {
  knownMembers(rule, [
    'issuer',
    'audiences',
    'jwksUri',
    'forwardOriginalToken',
    'outputClaimToHeaders',
  ])
  const keys =
    'inline' in jwks
      ? { localJwks: { inlineString: jwks.inline } }
      : {
          remoteJwks: {
            httpUri: { uri: rule.jwksUri, cluster: jwks.cluster, timeout: '5s' },
            cacheDuration: '300s',
          },
        }
  return {
    issuer: rule.issuer,
    audiences: rule.audiences,
    ...keys,
    forward: rule.forwardOriginalToken ?? false,
    ...(rule.outputClaimToHeaders && {
      claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({
        headerName: header,
        claimName: claim,
      })),
    }),
    payloadInMetadata: 'payload',
    normalizePayloadInMetadata: { spaceDelimitedClaims: ['permission', 'scope'] },
  }
}

function permissions(rule: PolicyRule, workloadPort: number): EnvoyObject[] {
  const operations = rule.to?.map(({ operation }) => operation) ?? [{}]
  return operations.map((operation) => {
    knownMembers(operation, ['hosts', 'methods', 'paths', 'ports'])
    const { hosts, methods, paths, ports } = operation as Record<string, readonly string[]>
    const all = [
      hosts?.map((value) => ({
        header: { name: ':authority', ...headerMatch(value, { ignoreCase: true }) },
      })),
      methods?.map((value) => ({ header: { name: ':method', ...headerMatch(value, {}) } })),
      paths?.map((value) => ({ urlPath: { path: stringMatch(value) } })),
      // What istiod does for waypoints: the listener's port is known, so the rule needs not ask Envoy.
      ports?.map((value) =>
        Number(value) === workloadPort ? { any: true } : { destinationPort: Number(value) },
      ),
    ].flatMap((rules) => (rules === undefined ? [] : [{ orRules: { rules } }]))
    return { andRules: { rules: all.length === 0 ? [{ any: true }] : all } }
  })
}

function principals(rule: PolicyRule): EnvoyObject[] {
  knownMembers(rule, ['from', 'to', 'when'])
  const conditions = (rule.when ?? []).map((condition) => {
    knownMembers(condition, ['key', 'values'])
    return { orIds: { ids: whenIds(condition.key, condition.values) } }
  })
  const sources = rule.from?.map(({ source }) => source) ?? [{}]
  return sources.map((source) => {
    knownMembers(source, ['principals', 'requestPrincipals'])
    const { principals: peers, requestPrincipals } = source as Record<string, readonly string[]>
    const ids = [
      ...(peers === undefined ? [] : [{ orIds: { ids: peers.map(peerId) } }]),
      ...(requestPrincipals === undefined
        ? []
        : [{ orIds: { ids: [requestPrincipalId(requestPrincipals)] } }]),
      ...conditions,
    ]
    return { andIds: { ids: ids.length === 0 ? [{ any: true }] : ids } }
  })
}

function whenIds(key: string, values: readonly string[]): EnvoyObject[] {
  if (key === 'source.principal') return values.map(peerId)
  if (key === 'request.auth.principal') return [requestPrincipalId(values)]
  if (key === 'request.auth.audiences') return [claim(['aud'], listOrText(values))]
  const path = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key)?.[1]
  if (path === undefined) throw new Error(`not translated: ${key}`)
  return [claim(path.slice(1, -1).split(']['), listOrText(values))]
}

function peerId(value: string): EnvoyObject {
  if (value.startsWith('*') && value !== '*') {
    const suffix = value.slice(1).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    return {
      authenticated: { principalName: { safeRegex: { regex: `spiffe://.*${suffix}` } } },
    }
  }
  const match = value === '*' ? ANY_TEXT : stringMatch(`spiffe://${value}`)
  return { authenticated: { principalName: match } }
}

/** The value is split at its last `/`, so a `sub` that holds one can never match (requestPrincipalGenerator). */
function requestPrincipalId(values: readonly string[]): EnvoyObject {
  const ids = values.map((value) => {
    const slash = value.lastIndexOf('/')
    if (slash < 0 || value.startsWith('*')) throw new Error(`not translated: ${value}`)
    const iss = { exact: value.slice(0, slash) }
    const sub = stringMatch(value.slice(slash + 1))
    return {
      andIds: {
        ids: [claim(['iss'], { stringMatch: iss }), claim(['sub'], { stringMatch: sub })],
      },
    }
  })
  return ids.length === 1 && ids[0] !== undefined ? ids[0] : { orIds: { ids } }
}

function claim(path: readonly string[], value: EnvoyObject): EnvoyObject {
  const keys = ['payload', ...path].map((key) => ({ key }))
  return { metadata: { filter: JWT_AUTHN, path: keys, value } }
}

/** A claim is compared as a text and as a list of texts; nothing else ever matches. */
function listOrText(values: readonly string[]): EnvoyObject {
  const matches = values.map((value) => ({ stringMatch: stringMatch(value) }))
  // Envoy refuses an orMatch of one.
  const match =
    matches.length === 1 && matches[0] !== undefined
      ? matches[0]
      : { orMatch: { valueMatchers: matches } }
  return { orMatch: { valueMatchers: [{ listMatch: { oneOf: match } }, match] } }
}

type StringMatch = EnvoyObject

function stringMatch(value: string): StringMatch {
  if (value === '*') return ANY_TEXT
  if (value.startsWith('*')) return { suffix: value.slice(1) }
  if (value.endsWith('*')) return { prefix: value.slice(0, -1) }
  return { exact: value }
}

function headerMatch(value: string, more: EnvoyObject): EnvoyObject {
  return value === '*'
    ? { presentMatch: true }
    : { stringMatch: { ...stringMatch(value), ...more } }
}

function requiresAny(requirements: readonly EnvoyObject[]): EnvoyObject {
  return { requiresAny: { requirements } }
}

function knownMembers(value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`not translated: ${unknown.join(', ')}`)
}
