// Owns Envoy listeners and clusters in the shape that istiod gives a sidecar (proto3 JSON).
// Must not decide policy: jwt_authn and RBAC filters come from istio-policy.ts.
import type { TestCertificate } from './certificates.ts'
import type { EnvoyObject, NamedObject } from './envoy.ts'

/** PeerAuthentication modes. */
export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE'

/** How a sidecar writes X-Forwarded-Client-Cert: what this project ships, and Istio's default. */
export type XfccMode = 'SANITIZE_SET' | 'APPEND_FORWARD'

/** What a workload has of its mesh: its own certificate and the root it trusts. */
export interface MeshIdentity {
  readonly certificate: Pick<TestCertificate, 'certPem' | 'keyPem'>
  readonly rootPem: string
  readonly trustDomain: string
}

export interface InboundOptions {
  readonly name: string
  readonly identity: MeshIdentity
  readonly mtls: MtlsMode
  /** Name of the cluster that holds the application. */
  readonly cluster: string
  /** Default: SANITIZE_SET. */
  readonly xfcc?: XfccMode
  /** HTTP filters before the router, in order. */
  readonly filters?: readonly NamedObject[]
}

/** A caller that connects through plain HTTP to its own sidecar, which does the mTLS. */
export interface OutboundOptions {
  readonly name: string
  readonly cluster: string
}

const TYPE = 'type.googleapis.com/envoy.extensions'
/** ALPN by which istiod tells a mesh peer from other TLS on a PERMISSIVE port. */
const MESH_ALPN = ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2']

/** A sidecar's inbound listener on a free port of 127.0.0.1. */
export function inboundListener(options: InboundOptions): NamedObject {
  const filters = [httpConnectionManager(options)]
  const tls = { transportSocket: downstreamTls(options.identity), filters }
  const listener = {
    name: options.name,
    address: { socketAddress: { address: '127.0.0.1', portValue: 0 } },
  }
  if (options.mtls === 'STRICT') return { ...listener, filterChains: [tls] }
  if (options.mtls === 'DISABLE') return { ...listener, filterChains: [{ filters }] }
  return {
    ...listener,
    listenerFilters: [
      {
        name: 'envoy.filters.listener.tls_inspector',
        typedConfig: { '@type': `${TYPE}.filters.listener.tls_inspector.v3.TlsInspector` },
      },
    ],
    filterChains: [
      { ...tls, filterChainMatch: { transportProtocol: 'tls', applicationProtocols: MESH_ALPN } },
      { filters, filterChainMatch: { transportProtocol: 'raw_buffer' } },
    ],
  }
}

/** A caller's outbound listener: plain HTTP in, whatever its cluster does out. */
export function outboundListener(options: OutboundOptions): NamedObject {
  return {
    name: options.name,
    address: { socketAddress: { address: '127.0.0.1', portValue: 0 } },
    filterChains: [{ filters: [connectionManager(options.name, options.cluster, [], {})] }],
  }
}

/** The application behind a sidecar. istiod has it dialled from 127.0.0.6 (pilot InboundPassthroughBindIpv4). */
export function appCluster(name: string, port: number, bind = '127.0.0.6'): NamedObject {
  return {
    ...staticCluster(name, port),
    upstreamBindConfig: { sourceAddress: { address: bind, portValue: 0 } },
  }
}

/** A plain HTTP service on loopback, such as a JWKS for `remote_jwks`. */
export function staticCluster(name: string, port: number): NamedObject {
  const address = { socketAddress: { address: '127.0.0.1', portValue: port } }
  return {
    name,
    type: 'STATIC',
    connectTimeout: '5s',
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }],
    },
  }
}

/** Another workload's sidecar, over mTLS with the caller's certificate; only `peer` is accepted there. */
export function meshCluster(
  name: string,
  port: number,
  identity: MeshIdentity,
  peer: string,
): NamedObject {
  return {
    ...staticCluster(name, port),
    transportSocket: {
      name: 'envoy.transport_sockets.tls',
      typedConfig: {
        '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
        commonTlsContext: {
          alpnProtocols: ['istio-http/1.1'],
          ...tlsContext(identity, { exact: peer }),
        },
      },
    },
  }
}

function httpConnectionManager(options: InboundOptions): EnvoyObject {
  return connectionManager(options.name, options.cluster, options.filters ?? [], {
    forwardClientCertDetails: options.xfcc ?? 'SANITIZE_SET',
    setCurrentClientCertDetails: { subject: true, uri: true, dns: true },
    // meshConfig.pathNormalization BASE, Istio's default.
    normalizePath: true,
    pathWithEscapedSlashesAction: 'KEEP_UNCHANGED',
  })
}

function connectionManager(
  name: string,
  cluster: string,
  filters: readonly NamedObject[],
  more: EnvoyObject,
): EnvoyObject {
  const route = { match: { prefix: '/' }, route: { cluster, timeout: '0s' } }
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: {
      '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      statPrefix: name,
      ...more,
      httpFilters: [
        ...filters,
        {
          name: 'envoy.filters.http.router',
          typedConfig: { '@type': `${TYPE}.filters.http.router.v3.Router` },
        },
      ],
      routeConfig: {
        name: 'inbound',
        virtualHosts: [{ name: 'inbound|http', domains: ['*'], routes: [route] }],
      },
    },
  }
}

function downstreamTls(identity: MeshIdentity): EnvoyObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typedConfig: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      requireClientCertificate: true,
      commonTlsContext: {
        alpnProtocols: ['istio-h2', 'istio-http/1.1', 'h2', 'http/1.1'],
        ...tlsContext(identity, { prefix: `spiffe://${identity.trustDomain}/` }),
      },
    },
  }
}

function tlsContext(identity: MeshIdentity, peer: EnvoyObject): EnvoyObject {
  return {
    tlsCertificates: [
      {
        certificateChain: { inlineString: identity.certificate.certPem },
        privateKey: { inlineString: identity.certificate.keyPem },
      },
    ],
    validationContext: {
      trustedCa: { inlineString: identity.rootPem },
      matchTypedSubjectAltNames: [{ sanType: 'URI', matcher: peer }],
    },
  }
}
