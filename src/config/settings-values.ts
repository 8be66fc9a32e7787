// Owns the way from checked sts.yaml to settings: names, defaults that depend on other keys, absolute paths.
// Must not check anything.
import type { BundleSource, KubernetesVerification, ServerTls, Settings } from './settings.ts'
import type { Relaxation, SettingsEntry } from './settings-schema.ts'

/** Makes the value that the program works with. `inConfig` makes paths absolute. */
export function toSettings(
  entry: SettingsEntry,
  configFile: string,
  inConfig: (path: string) => string,
): Omit<Settings, 'issuers' | 'issuersFile'> {
  const { current, ...files } = entry.keys.encryption_keys
  const active = Object.entries(entry.relaxations).filter(([, isOn]) => isOn)
  return {
    configFile,
    issuer: entry.issuer,
    tokenEndpoint: entry.token_endpoint ?? `${entry.issuer}/token`,
    trustDomains: entry.trust_domains,
    listeners: toListeners(entry.listeners, inConfig),
    clientAuth: toClientAuth(entry.client_auth, inConfig),
    keys: {
      algorithms: entry.keys.algorithms,
      publishBeforeMs: entry.keys.publish_before,
      signForMs: entry.keys.sign_for,
      encryptionKeys: {
        current: current ?? '',
        files: Object.fromEntries(Object.entries(files).map(([id, path]) => [id, inConfig(path)])),
      },
    },
    store: { sqlite: inConfig(entry.store.sqlite) },
    audit: {
      retainMs: entry.audit.retain,
      maxBytes: entry.audit.max_size,
      stdout: entry.audit.stdout,
    },
    limits: {
      perCallerPerSecond: entry.limits.per_caller_per_second,
      burst: entry.limits.burst ?? Math.max(1, Math.ceil(entry.limits.per_caller_per_second)),
      concurrentExchanges: entry.limits.concurrent_exchanges,
    },
    tokens: { maxCharacters: entry.tokens.max_size, rulesetClaim: entry.tokens.ruleset },
    log: entry.log,
    rules: entry.rules.map(inConfig),
    relaxations: active.map(([name]) => name as Relaxation),
  }
}

function toListeners(
  entry: SettingsEntry['listeners'],
  inConfig: (path: string) => string,
): Settings['listeners'] {
  const tls = (files: { cert_file: string; key_file: string }): ServerTls => ({
    certFile: inConfig(files.cert_file),
    keyFile: inConfig(files.key_file),
  })
  const withTls = (listener: SettingsEntry['listeners']['token_mtls']) =>
    listener && {
      address: listener.address,
      clientAuth: listener.client_auth,
      tls: tls(listener.tls),
    }
  const { admin, token } = entry
  return {
    token: { address: token.address, clientAuth: token.client_auth },
    tokenMtls: withTls(entry.token_mtls),
    tokenExternal: withTls(entry.token_external),
    public: { address: entry.public.address },
    admin: {
      address: admin.address,
      tls: admin.tls && { ...tls(admin.tls), clientCaFile: inConfig(admin.tls.client_ca_file) },
    },
  }
}

function toClientAuth(
  { xfcc, mtls, jwt_svid, kubernetes, private_key_jwt }: SettingsEntry['client_auth'],
  inConfig: (path: string) => string,
): Settings['clientAuth'] {
  const ca = (file: string | undefined) => (file === undefined ? undefined : inConfig(file))
  const bundles = Object.entries(jwt_svid?.bundles ?? {}).map(([domain, source]) => {
    const found: BundleSource =
      'file' in source
        ? { kind: 'file', path: inConfig(source.file) }
        : { kind: 'url', url: source.url, caFile: ca(source.ca_file) }
    return [domain, found] as const
  })
  return {
    xfcc,
    mtls: mtls && { trustDomain: mtls.trust_domain, bundleFile: inConfig(mtls.bundle_file) },
    jwtSvid: jwt_svid && { bundles: new Map(bundles) },
    kubernetes: kubernetes && {
      trustDomain: kubernetes.trust_domain,
      issuer: kubernetes.issuer,
      audience: kubernetes.audience,
      verification: toVerification(kubernetes, inConfig),
      maxLifetimeMs: kubernetes.max_lifetime,
    },
    privateKeyJwt: private_key_jwt !== undefined,
  }
}

function toVerification(
  entry: NonNullable<SettingsEntry['client_auth']['kubernetes']>,
  inConfig: (path: string) => string,
): KubernetesVerification {
  const { token_review: review } = entry
  if (review !== undefined) {
    return {
      kind: 'token_review',
      url: review.url,
      caFile: inConfig(review.ca_file),
      tokenFile: inConfig(review.token_file),
    }
  }
  if (entry.jwks_uri !== undefined) {
    const caFile = entry.ca_file === undefined ? undefined : inConfig(entry.ca_file)
    return { kind: 'url', url: entry.jwks_uri, caFile }
  }
  return { kind: 'file', path: inConfig(entry.jwks_file ?? '') }
}
