// Owns the settings as the program knows them: sts.yaml, the environment and the issuers file, checked.
// Must not load them; load-settings.ts does.
import type { ClientAuthMethod } from '../clients/client.ts'
import type { SpiffeId } from '../clients/spiffe-id.ts'
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { IssuerSettings } from './issuers.ts'
import type { ListenAddress } from './scalars.ts'
import type { Relaxation } from './settings-schema.ts'

/** Certificate and key of a listener that ends TLS; absolute paths. */
export interface ServerTls {
  readonly certFile: string
  readonly keyFile: string
}

/** A listener that exchanges tokens. */
export interface TokenListenerSettings {
  readonly address: ListenAddress
  readonly clientAuth: readonly ClientAuthMethod[]
}

/** Where the keys of a cluster's service-account tokens come from. */
export type KubernetesVerification =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly caFile: string | undefined }
  | {
      readonly kind: 'token_review'
      readonly url: string
      readonly caFile: string
      readonly tokenFile: string
    }

/** Where a JWT bundle comes from. */
export type BundleSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly caFile: string | undefined }

/** Everything that sts.yaml, the environment and the issuers file say. Frozen; paths are absolute. */
export interface Settings {
  readonly configFile: string
  readonly issuer: string
  readonly tokenEndpoint: string
  /** The first is this deployment's own. */
  readonly trustDomains: readonly string[]
  readonly listeners: {
    readonly token: TokenListenerSettings
    readonly tokenMtls: (TokenListenerSettings & { readonly tls: ServerTls }) | undefined
    readonly tokenExternal: (TokenListenerSettings & { readonly tls: ServerTls }) | undefined
    readonly public: { readonly address: ListenAddress }
    readonly admin: {
      readonly address: ListenAddress
      readonly tls: (ServerTls & { readonly clientCaFile: string }) | undefined
    }
  }
  readonly clientAuth: {
    readonly xfcc:
      | {
          readonly proxies: readonly string[]
          readonly mode: 'sanitize_set' | 'append_forward'
          readonly self: SpiffeId
        }
      | undefined
    readonly mtls: { readonly trustDomain: string; readonly bundleFile: string } | undefined
    /** By trust domain. */
    readonly jwtSvid: { readonly bundles: ReadonlyMap<string, BundleSource> } | undefined
    readonly kubernetes:
      | {
          readonly trustDomain: string
          readonly issuer: string
          readonly audience: string
          readonly verification: KubernetesVerification
          readonly maxLifetimeMs: number
        }
      | undefined
    readonly privateKeyJwt: boolean
  }
  readonly keys: {
    readonly algorithms: readonly SigningAlgorithm[]
    readonly publishBeforeMs: number
    readonly signForMs: number
    readonly encryptionKeys: {
      readonly current: string
      /** Id → file. */
      readonly files: Readonly<Record<string, string>>
    }
  }
  readonly store: { readonly sqlite: string }
  readonly audit: {
    readonly retainMs: number
    readonly maxBytes: number
    readonly stdout: boolean
  }
  readonly limits: {
    readonly perCallerPerSecond: number
    readonly burst: number
    readonly concurrentExchanges: number
  }
  readonly tokens: { readonly maxCharacters: number; readonly rulesetClaim: boolean }
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' }
  readonly issuersFile: string
  readonly issuers: readonly IssuerSettings[]
  /** Folders and files. */
  readonly rules: readonly string[]
  /** Those that are on, to be logged at start. */
  readonly relaxations: readonly Relaxation[]
}
