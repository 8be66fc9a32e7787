// Owns the written form of sts.yaml: keys, types, bounds and defaults. docs/configuration.md is made from it.
// Must not check one key against another (settings-checks.ts does), nor read files.
import { z } from 'zod'
import { CLIENT_AUTH_METHODS } from '../clients/client.ts'
import { SIGNING_ALGORITHMS } from '../jwt/algorithms.ts'
import {
  address,
  duration,
  ipAddress,
  issuerUrl,
  list,
  path,
  size,
  spiffeId,
  trustDomain,
  url,
} from './scalars.ts'

/** A token without anything inside has some 600. */
const MIN_TOKEN_BYTES = 1024
/** Envoy's limit for all request headers together. */
const MAX_TOKEN_BYTES = 60 * 1024

const clientAuth = () =>
  list(z.enum(CLIENT_AUTH_METHODS)).describe(
    'How callers may prove who they are here: `token` takes xfcc, jwt_svid and kubernetes, `token_mtls` mtls, jwt_svid and kubernetes, `token_external` private_key_jwt.',
  )

const serverTls = () => ({
  cert_file: path().describe('Certificate chain (PEM); read again when it changes.'),
  key_file: path().describe('Its private key (PEM).'),
})

const listeners = z.strictObject({
  token: z
    .strictObject({
      address: address().describe('Plain HTTP: the sidecar in front of it ends mTLS.'),
      client_auth: clientAuth(),
    })
    .describe('Where workloads exchange tokens.'),
  token_mtls: z
    .strictObject({
      address: address().describe('Where it listens; TLS only.'),
      tls: z.strictObject(serverTls()).describe('This listener ends TLS itself.'),
      client_auth: clientAuth(),
    })
    .optional()
    .describe('The same without a sidecar: callers present their X.509-SVID.'),
  token_external: z
    .strictObject({
      address: address().describe('Where it listens; TLS only.'),
      tls: z.strictObject(serverTls()).describe('This listener ends TLS itself.'),
      client_auth: clientAuth(),
    })
    .optional()
    .describe('For callers outside the mesh, who prove themselves with a registered key.'),
  public: z
    .strictObject({ address: address().describe('Where it listens; plain HTTP.') })
    .describe('Keys and metadata for verifiers; nothing secret, no client authentication.'),
  admin: z
    .strictObject({
      address: address().describe('Where it listens; a loopback address, unless `tls` is there.'),
      tls: z
        .strictObject({
          ...serverTls(),
          client_ca_file: path().describe('Certificates (PEM) that vouch for operators.'),
        })
        .optional()
        .describe('Required beyond loopback.'),
    })
    .describe('Metrics, health and what operators ask.'),
})

const xfcc = z.strictObject({
  proxies: list(ipAddress()).describe(
    'Addresses from which the sidecar connects; all others are refused.',
  ),
  mode: z
    .enum(['sanitize_set', 'append_forward'])
    .describe(
      'What the sidecar does with a header that it receives. `append_forward` needs `relaxations.allow_xfcc_append_forward`.',
    ),
  self: spiffeId().describe('This service’s own SPIFFE ID; `By` must name it.'),
})

const bundle = z.union(
  [
    z.strictObject({ file: path().describe('JWK Set; read again when it changes.') }),
    z.strictObject({
      url: url().describe('Where the bundle is published.'),
      ca_file: path().optional().describe('Certificates (PEM) that vouch for that server.'),
    }),
  ],
  { error: 'must be {file: …} or {url: …, ca_file: …}' },
)

const kubernetes = z.strictObject({
  trust_domain: trustDomain().describe('The trust domain that its service accounts belong to.'),
  issuer: issuerUrl().describe('`iss` of its service-account tokens.'),
  audience: z
    .string()
    .min(1)
    .max(512)
    .describe(
      'The audience for which workloads project their token; best this service’s issuer URL.',
    ),
  jwks_file: path()
    .optional()
    .describe('The cluster’s keys. One of `jwks_file`, `jwks_uri`, `token_review` is required.'),
  jwks_uri: url().optional().describe('Where the cluster publishes its keys.'),
  ca_file: path()
    .optional()
    .describe('Certificates (PEM) that vouch for the server of `jwks_uri`.'),
  token_review: z
    .strictObject({
      url: url().describe('The API server.'),
      ca_file: path().describe('Certificates (PEM) that vouch for it.'),
      token_file: path().describe('This service’s own token; needs `system:auth-delegator`.'),
    })
    .optional()
    .describe('Asks the API server instead, which notices deleted pods at once.'),
  max_lifetime: duration({ min: 600_000, max: 86_400_000, example: '1h' })
    .default(3_600_000)
    .describe('Tokens that live longer are refused. Duration; default `1h`.'),
})

const clientAuthSettings = z.strictObject({
  xfcc: xfcc.optional().describe('The sidecar’s X-Forwarded-Client-Cert.'),
  mtls: z
    .strictObject({
      trust_domain: trustDomain().describe('The trust domain of the bundle.'),
      bundle_file: path().describe('X.509 trust bundle (PEM); read again when it changes.'),
    })
    .optional()
    .describe('X.509-SVIDs of callers, verified by this process.'),
  jwt_svid: z
    .strictObject({
      bundles: z
        .record(trustDomain(), bundle)
        .refine((map) => Object.keys(map).length > 0, 'must not be empty')
        .describe('Trust domain → its JWT bundle, `{file}` or `{url, ca_file}`.'),
    })
    .optional()
    .describe(
      'JWT-SVIDs as client assertions; and as subject tokens of the issuer `workload`, with or without a listener that names the method.',
    ),
  kubernetes: kubernetes
    .optional()
    .describe(
      'Projected service-account tokens as client assertions; and as subject tokens of the issuer `workload`, with or without a listener that names the method.',
    ),
  private_key_jwt: z
    .strictObject({})
    .optional()
    .describe(
      'Registered keys of callers outside the mesh; the keys stand with the service. Write `{}`.',
    ),
})

const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

const keys = z.strictObject({
  algorithms: list(z.enum(SIGNING_ALGORITHMS)).describe(
    'Each has a warm key of its own; services may choose among them, the first is the default.',
  ),
  publish_before: duration({ min: 1000, max: 7 * 86_400_000, example: '2h' })
    .default(7_200_000)
    .describe(
      'How long a key is published before it signs. Duration; default `2h`; below `65m` needs `relaxations.allow_short_key_lead`.',
    ),
  sign_for: duration({ min: 1000, max: 90 * 86_400_000, example: '24h' })
    .default(86_400_000)
    .describe('How long a key signs. Duration; default `24h`; at least `publish_before`.'),
  encryption_keys: z
    .record(z.string().regex(KEY_ID, 'must be a short name, such as k1'), path())
    .refine((map) => Object.keys(map).length > 0, 'must not be empty')
    .describe(
      'Key-encryption keys: id → file (32 random bytes as base64, `openssl rand -base64 32`). `current` holds the id of the one that new keys are encrypted with.',
    ),
})

const relaxation = (text: string) =>
  z.boolean().default(false).describe(`${text} Default \`false\`.`)

/** Named relaxations; each that is true is logged at start. */
export const RelaxationsSchema = z.strictObject({
  allow_http_issuer: relaxation('`issuer` may be an http URL.'),
  allow_http_issuers: relaxation('Trusted issuers and the keys of others may be fetched by http.'),
  allow_short_key_lead: relaxation('`keys.publish_before` may be shorter than 65 minutes.'),
  allow_token_listener_beyond_loopback: relaxation(
    '`listeners.token` may listen beyond loopback although it believes the sidecar’s header.',
  ),
  allow_xfcc_append_forward: relaxation('`client_auth.xfcc.mode` may be `append_forward`.'),
})

/** sts.yaml. */
export const SettingsSchema = z.strictObject({
  issuer: issuerUrl().describe(
    'Our own `iss`, an https URL. Verifiers compare it exactly: it never changes.',
  ),
  token_endpoint: url()
    .optional()
    .describe('The URL of `POST /token` for the metadata document. Default `<issuer>/token`.'),
  trust_domains: list(trustDomain()).describe(
    'Trust domains whose workloads may call; the first is this deployment’s own.',
  ),
  listeners: listeners.describe('Where this service listens.'),
  client_auth: clientAuthSettings.describe(
    'How callers prove who they are; each method that a listener names.',
  ),
  keys: keys.describe('Signing keys and their rotation.'),
  store: z
    .strictObject({ sqlite: path().describe('The database file.') })
    .describe('Where keys and the audit are kept.'),
  audit: z
    .strictObject({
      retain: duration({ min: 3_600_000, max: 3650 * 86_400_000, example: '30d' })
        .default(30 * 86_400_000)
        .describe('How long rows are kept. Duration; default `30d`.'),
      max_size: size({ min: 1e6, max: 1e14, example: '20GB' })
        .default(20e9)
        .describe('The oldest rows go when the audit is larger. Size; default `20GB`.'),
      stdout: z
        .boolean()
        .default(false)
        .describe('Writes each decision to standard output as well. Default `false`.'),
    })
    .prefault({})
    .describe('What is recorded of decisions.'),
  limits: z
    .strictObject({
      per_caller_per_second: z
        .number()
        .min(0.1)
        .max(1_000_000)
        .default(200)
        .describe('Exchanges of one caller per second. Default `200`.'),
      burst: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe('How many may come at once. Default: one second’s worth.'),
      concurrent_exchanges: z
        .int()
        .min(1)
        .max(100_000)
        .default(512)
        .describe('Exchanges under way at once; more answer 503. Default `512`.'),
    })
    .prefault({})
    .describe('What one caller, and all together, may ask.'),
  tokens: z
    .strictObject({
      max_size: size({ min: MIN_TOKEN_BYTES, max: MAX_TOKEN_BYTES, example: '8KiB' })
        .default(8192)
        .describe(
          'How large a token may be, with all that is embedded. Default `8KiB`, which many application servers take; Envoy caches verified tokens up to 4 KiB.',
        ),
      ruleset: z
        .boolean()
        .default(false)
        .describe(
          'Whether tokens name the rules that decided, in the claim `ruleset`. Default `false`.',
        ),
    })
    .prefault({})
    .describe('What all tokens have in common.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('What is logged. Default `info`.'),
    })
    .prefault({})
    .describe('The operational log, JSON lines on standard output.'),
  issuers: path().describe('The issuers file: whom we trust.'),
  rules: list(path()).describe('Folders (read recursively) and files of rules.'),
  relaxations: RelaxationsSchema.prefault({}).describe(
    'What a production deployment does not need.',
  ),
})

export type SettingsEntry = z.output<typeof SettingsSchema>
export type Relaxation = keyof z.output<typeof RelaxationsSchema>
