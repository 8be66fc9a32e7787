// Owns the written form of Istio's AuthorizationPolicy (security.istio.io/v1), as far as it says who may call whom.
// Strict: a policy with anything that is not known here is not understood. Must not draw conclusions from it.
import { z } from 'zod'

const texts = z.array(z.string()).nullish()

const source = z.strictObject({
  principals: texts,
  notPrincipals: texts,
  serviceAccounts: texts,
  notServiceAccounts: texts,
  namespaces: texts,
  notNamespaces: texts,
  trustDomains: texts,
  notTrustDomains: texts,
  requestPrincipals: texts,
  notRequestPrincipals: texts,
  ipBlocks: texts,
  notIpBlocks: texts,
  remoteIpBlocks: texts,
  notRemoteIpBlocks: texts,
})

const operation = z.strictObject({
  hosts: texts,
  notHosts: texts,
  ports: texts,
  notPorts: texts,
  methods: texts,
  notMethods: texts,
  paths: texts,
  notPaths: texts,
})

const condition = z.strictObject({ key: z.string(), values: texts, notValues: texts })

const rule = z.strictObject({
  from: z.array(z.strictObject({ source })).nullish(),
  to: z.array(z.strictObject({ operation })).nullish(),
  when: z.array(condition).nullish(),
})

const targetRef = z.strictObject({
  group: z.string().nullish(),
  kind: z.string(),
  name: z.string(),
  namespace: z.string().nullish(),
})

const spec = z.strictObject({
  selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()).nullish() }).nullish(),
  targetRef: targetRef.nullish(),
  targetRefs: z.array(targetRef).nullish(),
  action: z.enum(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']).nullish(),
  provider: z.strictObject({ name: z.string() }).nullish(),
  rules: z.array(rule).nullish(),
})

/** The specification; without one the policy allows nothing. */
export const PolicySpecSchema = spec.nullish()

export type PolicySpec = z.infer<typeof spec>
export type PolicyRule = z.infer<typeof rule>
export type PolicySource = z.infer<typeof source>
export type PolicyOperation = z.infer<typeof operation>
