// Owns the deployment that hostile requests go to, written down once as data: the server reads it as YAML,
// attenuation-model.ts as the truth that answers are held against.
// Must not use the product's own reading of rules.
import { AGENTS, CORPORATE, STS } from '../support/deployment.ts'
import { jwksOf, makeKey, type TestKey } from '../support/jwt-fixtures.ts'

export const ISSUER = 'https://sts.boutique.example'
export const CLUSTER = 'https://kubernetes.default.svc.cluster.local'

/** Elliptic: a signature takes a thirtieth of RSA's time, and there are thousands. */
export const KEYS = {
  corporate: makeKey('ES256', 'corp-es'),
  agents: makeKey('ES256', 'agents-es'),
  bundle: makeKey('ES256', 'bundle-es'),
  cluster: makeKey('ES256', 'cluster-es'),
} as const satisfies Record<string, TestKey>

/** `any` or `all` of these scopes justify one. */
type Justified = readonly string[] | { readonly all: readonly string[] }

/** Who may come by what, on what grounds. */
export interface Edge {
  readonly from: string
  readonly issuer?: string
  readonly act?: 'impersonate'
  readonly actors?: readonly string[]
  readonly scopes: Readonly<Record<string, Justified>>
}

interface ModelService {
  readonly audience?: string
  readonly scopes: readonly string[]
  readonly claims?: readonly string[]
  readonly token?: { readonly lifetime?: string; readonly algorithm?: 'RS256' }
  readonly calls?: readonly string[]
  readonly grants?: readonly string[]
  readonly accepts?: readonly Edge[]
  readonly denies?: readonly { readonly from?: string; readonly reason: string }[]
}

/** Services of namespace boutique. */
export const SERVICES: Readonly<Record<string, ModelService>> = {
  frontend: {
    audience: 'https://frontend.boutique.example',
    scopes: ['ui'],
    calls: ['checkout', 'mailer', 'vault', 'profile'],
  },
  checkout: {
    audience: 'https://checkout.boutique.example',
    scopes: ['checkout:place', 'checkout:quote', 'checkout:note'],
    claims: ['email', 'risk', 'groups'],
    token: { lifetime: '5m' },
    calls: ['payment', 'mailer', 'vault'],
    accepts: [
      {
        from: 'frontend',
        issuer: 'corporate',
        scopes: {
          'checkout:quote': ['shop:browse', 'shop:buy'],
          'checkout:place': { all: ['shop:buy', 'shop:verified'] },
        },
        actors: ['agents'],
      },
      { from: 'frontend', issuer: 'agents', scopes: { 'checkout:quote': ['shop:browse'] } },
    ],
  },
  payment: {
    scopes: ['payment:charge', 'payment:refund'],
    token: { lifetime: '1m' },
    accepts: [{ from: 'checkout', scopes: { 'payment:charge': ['checkout:place'] } }],
  },
  mailer: {
    scopes: ['mail:send'],
    claims: ['email'],
    accepts: [
      {
        from: 'frontend',
        issuer: 'corporate',
        act: 'impersonate',
        scopes: { 'mail:send': ['shop:buy'] },
      },
      { from: 'checkout', act: 'impersonate', scopes: { 'mail:send': ['checkout:place'] } },
    ],
  },
  profile: {
    scopes: ['profile:read'],
    claims: ['groups'],
    token: { algorithm: 'RS256' },
    accepts: [
      { from: 'frontend', issuer: 'corporate', scopes: { 'profile:read': ['shop:browse'] } },
    ],
  },
  nightly: {
    scopes: ['nightly:run'],
    grants: ['books:close', 'books:read'],
    calls: ['ledger'],
  },
  ledger: {
    scopes: ['ledger:close', 'ledger:void'],
    claims: ['groups'],
    token: { lifetime: '1m' },
    accepts: [{ from: 'nightly', issuer: 'workload', scopes: { 'ledger:close': ['books:close'] } }],
  },
  vault: {
    scopes: ['vault:open'],
    accepts: [
      { from: 'frontend', issuer: 'corporate', scopes: { 'vault:open': ['shop:buy'] } },
      { from: 'checkout', scopes: { 'vault:open': ['checkout:place'] } },
    ],
    denies: [{ reason: 'sealed' }],
  },
}

/** Whom the deployment trusts, and who may hand in their tokens. */
export const TRUSTED: Readonly<
  Record<
    string,
    { iss: string; key: TestKey; prefix: string; presentedBy: Record<string, string[]> }
  >
> = {
  corporate: {
    iss: CORPORATE,
    key: KEYS.corporate,
    prefix: 'corp',
    presentedBy: {
      'https://api.shop.example': ['boutique/frontend', 'boutique/checkout'],
      'https://checkout.shop.example': ['boutique/checkout'],
    },
  },
  agents: {
    iss: AGENTS,
    key: KEYS.agents,
    prefix: 'agent',
    presentedBy: { 'https://agents.boutique.example': ['boutique/frontend'] },
  },
}

/** The rules as a file; JSON is YAML. The other order of everything must mean the same (P6). */
export function rulesText({ turned = false } = {}): string {
  const inOrder = <T>(list: readonly T[]): readonly T[] => (turned ? list.toReversed() : list)
  const services = Object.entries(SERVICES).map(([name, { accepts, ...service }]) => [
    name,
    accepts === undefined ? service : { ...service, accepts: inOrder(accepts) },
  ])
  return JSON.stringify({ namespace: 'boutique', services: Object.fromEntries(inOrder(services)) })
}

const ISSUERS_FILE = Object.fromEntries(
  Object.entries(TRUSTED).map(([name, { iss, prefix, presentedBy }]) => [
    name,
    {
      issuer: iss,
      jwks_file: `${name}.jwks.json`,
      algorithms: ['ES256'],
      token_types: name === 'corporate' ? ['access_token', 'id_token'] : ['access_token'],
      presented_by: presentedBy,
      scopes_from: ['scope'],
      subject_prefix: prefix,
    },
  ]),
)

const SETTINGS_FILE = {
  issuer: ISSUER,
  listeners: {
    token: { address: '127.0.0.1:0', client_auth: ['xfcc', 'jwt_svid', 'kubernetes'] },
    public: { address: '127.0.0.1:0' },
    admin: { address: '127.0.0.1:0' },
  },
  trust_domains: ['cluster.local'],
  client_auth: {
    xfcc: { proxies: ['127.0.0.1'], mode: 'sanitize_set', self: STS },
    jwt_svid: { bundles: { 'cluster.local': { file: 'bundle.json' } } },
    kubernetes: {
      trust_domain: 'cluster.local',
      issuer: CLUSTER,
      audience: ISSUER,
      jwks_file: 'cluster.jwks.json',
    },
  },
  keys: { algorithms: ['ES256', 'RS256'], encryption_keys: { current: 'k1', k1: 'k1' } },
  store: { sqlite: 'sts.db' },
  audit: { stdout: true },
  limits: { per_caller_per_second: 100_000 },
  issuers: 'issuers.yaml',
  rules: ['rules'],
}

/** The deployment's files. */
export const HOSTILE_FILES: Readonly<Record<string, string>> = {
  'sts.yaml': JSON.stringify(SETTINGS_FILE),
  'issuers.yaml': JSON.stringify(ISSUERS_FILE),
  'rules/boutique.yaml': rulesText(),
  'corporate.jwks.json': jwksOf([KEYS.corporate]),
  'agents.jwks.json': jwksOf([KEYS.agents]),
  'bundle.json': jwksOf([{ ...KEYS.bundle.jwk, use: 'jwt-svid' }]),
  'cluster.jwks.json': jwksOf([KEYS.cluster]),
}
