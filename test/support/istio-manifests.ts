// Owns the reading of deploy/istio for tests, and the sidecars that those manifests mean.
// Must not change what they say: a test that needs something else copies the object.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load, loadAll } from 'js-yaml'
import type { NamedObject } from './envoy.ts'
import { inboundListener, type MeshIdentity, type MtlsMode, type XfccMode } from './envoy-config.ts'
import {
  type AuthorizationPolicy,
  type JwksDelivery,
  type RequestAuthentication,
  toJwtAuthnFilter,
  toRbacFilters,
} from './istio-policy.ts'

/** Any Kubernetes object; only the members that every kind has are typed. */
export interface Manifest {
  readonly file: string
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the kind, the test that reads it knows
  readonly [member: string]: any
}

const FOLDER = join('deploy', 'istio')

/** Every object of every file in deploy/istio. */
export function loadManifests(folder: string = FOLDER): Manifest[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) =>
      loadAll(readFileSync(join(folder, file), 'utf8')).map((object) => ({
        ...(object as Manifest),
        file,
      })),
    )
}

/** The one object of a kind and name; throws where there is none. */
export function manifest(kind: string, name: string, all = loadManifests()): Manifest {
  const found = all.find((object) => object.kind === kind && object.metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name} in ${FOLDER}`)
  return found
}

/** The sidecar of a workload as its policies in deploy/istio make it, on one of its ports. */
export interface SidecarOptions {
  /** Listener name. */
  readonly name: string
  readonly namespace: string
  /** The label `app` of the workload. */
  readonly app: string
  /** The workload's port; policies may differ by port. */
  readonly port: number
  readonly identity: MeshIdentity
  /** Cluster that holds the application. */
  readonly cluster: string
  readonly jwks?: () => JwksDelivery
}

/** Builds the inbound listener: mTLS mode, XFCC mode, jwt_authn, RBAC, in istiod's order. */
export function sidecarListener(options: SidecarOptions, all = loadManifests()): NamedObject {
  const mine = all.filter(
    ({ metadata, spec }) =>
      metadata.namespace === options.namespace && spec?.selector?.matchLabels?.app === options.app,
  )
  const authentications = ofKind<RequestAuthentication>(mine, 'RequestAuthentication')
  const policies = ofKind<AuthorizationPolicy>(mine, 'AuthorizationPolicy')
  const { jwks } = options
  if (authentications.length > 0 && jwks === undefined) throw new Error('needs a JWKS')
  return inboundListener({
    name: options.name,
    identity: options.identity,
    cluster: options.cluster,
    mtls: mtlsMode(mine, options.port),
    xfcc: xfccMode(all, options),
    filters: [
      ...(jwks === undefined ? [] : [toJwtAuthnFilter(authentications, jwks)]),
      ...toRbacFilters(policies, options.port),
    ],
  })
}

function mtlsMode(mine: readonly Manifest[], port: number): MtlsMode {
  const spec = mine.find(({ kind }) => kind === 'PeerAuthentication')?.spec
  return spec?.portLevelMtls?.[port]?.mode ?? spec?.mtls.mode ?? 'PERMISSIVE'
}

function xfccMode(all: readonly Manifest[], { namespace, app }: SidecarOptions): XfccMode {
  const deployment = all.find(
    ({ kind, metadata, spec }) =>
      kind === 'Deployment' &&
      metadata.namespace === namespace &&
      spec.template.metadata.labels.app === app,
  )
  const text = deployment?.spec.template.metadata.annotations?.['proxy.istio.io/config'] ?? '{}'
  const config = load(text) as { proxyHeaders?: { forwardedClientCert?: XfccMode } }
  return config.proxyHeaders?.forwardedClientCert ?? 'APPEND_FORWARD'
}

function ofKind<T>(manifests: readonly Manifest[], kind: string): T[] {
  return manifests.filter((object) => object.kind === kind).map(toPolicy) as T[]
}

/** Without what the loader added. */
function toPolicy({ kind, metadata, spec }: Manifest) {
  return { kind, metadata, spec }
}
