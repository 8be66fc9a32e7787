// sts.yaml: the example loads, every rule has a case that breaks it, all at its exact place.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { loadSettings } from '../../src/config/load-settings.ts'
import { formatProblem } from '../../src/config/problem.ts'
import type { Settings } from '../../src/config/settings.ts'

const STS = `issuer: https://sts.boutique.example
listeners:
  token:  {address: 127.0.0.1:8080, client_auth: [xfcc, kubernetes]}
  public: {address: 0.0.0.0:8081}
  admin:  {address: 127.0.0.1:8082}
trust_domains: [cluster.local]
client_auth:
  xfcc: {proxies: [127.0.0.1, 127.0.0.6], mode: sanitize_set, self: spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts}
  kubernetes: {trust_domain: cluster.local, issuer: https://kubernetes.default.svc.cluster.local, audience: https://sts.boutique.example, jwks_file: k8s.jwks.json}
keys:
  algorithms: [ES256]
  publish_before: 2h
  sign_for: 24h
  encryption_keys: {current: k2, k1: /etc/mesh-sts/k1, k2: k2.key}
store: {sqlite: /var/lib/mesh-sts/sts.db}
audit: {retain: 30d, max_size: 20GB}
limits: {per_caller_per_second: 200}
issuers: issuers.yaml
rules: [rules, ../common/rules]
`

const ISSUERS = `corporate:
  issuer: https://login.corp.example
  jwks_uri: https://login.corp.example/keys
  algorithms: [RS256, ES256]
  token_types: [access_token, id_token]
  access_token_typ: [at+jwt]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope, {claim: realm_access.roles, prefix: "role:"}]
  subject_prefix: corp
`

interface Texts {
  readonly sts?: string
  readonly issuers?: string
  readonly env?: Record<string, string>
}

function load({ sts = STS, issuers = ISSUERS, env = {} }: Texts = {}) {
  const files: Record<string, string> = {
    '/etc/sts/sts.yaml': sts,
    '/etc/sts/issuers.yaml': issuers,
  }
  return loadSettings({
    configFile: '/etc/sts/sts.yaml',
    env,
    readFile: (path) => {
      const text = files[path]
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return text
    },
  })
}

function settingsOf(texts: Texts = {}): Settings {
  const result = load(texts)
  assert.ok(result.ok, result.problems.map(formatProblem).join('\n'))
  return result.settings
}

const problemsOf = (texts: Texts): string[] =>
  load(texts).problems.map((each) => formatProblem(each).replace('/etc/sts/', ''))

/** Replaces text that must be there. */
function replaced(text: string, from: string, to: string): string {
  assert.ok(text.includes(from), `the fixture has no ${from}`)
  return text.replace(from, to)
}

describe('the example of the documentation', () => {
  test('loads without a problem', () => assert.deepEqual(problemsOf({}), []))

  test('as parsed values, in milliseconds and bytes, with absolute paths', () => {
    const settings = settingsOf()
    assert.deepEqual(settings.listeners.token, {
      address: { host: '127.0.0.1', port: 8080 },
      clientAuth: ['xfcc', 'kubernetes'],
    })
    assert.deepEqual(settings.listeners.public, { address: { host: '0.0.0.0', port: 8081 } })
    assert.equal(settings.listeners.tokenMtls, undefined)
    assert.equal(settings.tokenEndpoint, 'https://sts.boutique.example/token')
    assert.deepEqual(settings.keys, {
      algorithms: ['ES256'],
      publishBeforeMs: 7_200_000,
      signForMs: 86_400_000,
      encryptionKeys: { current: 'k2', files: { k1: '/etc/mesh-sts/k1', k2: '/etc/sts/k2.key' } },
    })
    assert.deepEqual(settings.clientAuth.kubernetes, {
      trustDomain: 'cluster.local',
      issuer: 'https://kubernetes.default.svc.cluster.local',
      audience: 'https://sts.boutique.example',
      verification: { kind: 'file', path: '/etc/sts/k8s.jwks.json' },
      maxLifetimeMs: 3_600_000,
    })
    assert.equal(settings.clientAuth.privateKeyJwt, false)
    assert.deepEqual(settings.audit, { retainMs: 2_592_000_000, maxBytes: 20e9, stdout: false })
    assert.deepEqual(settings.limits, {
      perCallerPerSecond: 200,
      burst: 200,
      concurrentExchanges: 512,
    })
    assert.deepEqual(settings.rules, ['/etc/sts/rules', '/etc/common/rules'])
    assert.equal(settings.issuersFile, '/etc/sts/issuers.yaml')
    assert.deepEqual(settings.relaxations, [])
  })

  test('the trusted issuer', () => {
    assert.deepEqual(settingsOf().issuers, [
      {
        name: 'corporate',
        issuer: 'https://login.corp.example',
        keys: { kind: 'url', url: 'https://login.corp.example/keys', caFile: undefined },
        algorithms: ['RS256', 'ES256'],
        tokenTypes: new Set(['access_token', 'id_token']),
        accessTokenTyp: ['at+jwt'],
        presentedBy: new Map([['https://api.shop.example', new Set(['boutique/frontend'])]]),
        scopesFrom: [
          { path: ['scope'], prefix: '' },
          { path: ['realm_access', 'roles'], prefix: 'role:' },
        ],
        subjectPrefix: 'corp',
      },
    ])
  })

  test('is frozen all the way down', () => {
    const settings = settingsOf()
    assert.throws(() => Object.assign(settings.listeners.token.address, { port: 1 }), TypeError)
    assert.throws(() => (settings.rules as string[]).push('x'), TypeError)
    assert.throws(() => Object.assign(settings.issuers[0] ?? {}, { subjectPrefix: 'x' }), TypeError)
  })

  test('every method and listener', () => {
    const sts = replaced(
      replaced(
        replaced(
          replaced(
            STS,
            '  public:',
            `  token_mtls: {address: 0.0.0.0:8443, tls: {cert_file: c.pem, key_file: k.pem}, client_auth: [mtls, jwt_svid]}
  token_external: {address: "[::]:8444", tls: {cert_file: c.pem, key_file: k.pem}, client_auth: [private_key_jwt]}
  public:`,
          ),
          'client_auth:\n  xfcc',
          `client_auth:
  mtls: {trust_domain: cluster.local, bundle_file: bundle.pem}
  jwt_svid: {bundles: {cluster.local: {file: b.json}, other.example: {url: "https://spire.other.example/keys", ca_file: ca.pem}}}
  private_key_jwt: {}
  xfcc`,
        ),
        'trust_domains: [cluster.local]',
        'trust_domains: [cluster.local, other.example]',
      ),
      'jwks_file: k8s.jwks.json',
      'token_review: {url: https://kubernetes.default.svc, ca_file: ca.pem, token_file: t}',
    )
    const { listeners, clientAuth } = settingsOf({ sts })
    assert.deepEqual(listeners.tokenMtls, {
      address: { host: '0.0.0.0', port: 8443 },
      clientAuth: ['mtls', 'jwt_svid'],
      tls: { certFile: '/etc/sts/c.pem', keyFile: '/etc/sts/k.pem' },
    })
    assert.deepEqual(listeners.tokenExternal?.address, { host: '::', port: 8444 })
    assert.deepEqual(clientAuth.mtls, {
      trustDomain: 'cluster.local',
      bundleFile: '/etc/sts/bundle.pem',
    })
    assert.deepEqual(
      clientAuth.jwtSvid?.bundles,
      new Map<string, unknown>([
        ['cluster.local', { kind: 'file', path: '/etc/sts/b.json' }],
        [
          'other.example',
          { kind: 'url', url: 'https://spire.other.example/keys', caFile: '/etc/sts/ca.pem' },
        ],
      ]),
    )
    assert.equal(clientAuth.privateKeyJwt, true)
    assert.deepEqual(clientAuth.kubernetes?.verification, {
      kind: 'token_review',
      url: 'https://kubernetes.default.svc',
      caFile: '/etc/sts/ca.pem',
      tokenFile: '/etc/sts/t',
    })
  })
})

describe('one thing wrong in sts.yaml', () => {
  const TLS = 'tls: {cert_file: c, key_file: k}'
  const cases: readonly [from: string, to: string, ...problems: string[]][] = [
    // unknown and missing keys (P4)
    [
      'issuer: https',
      'isuer: https',
      'sts.yaml:1:1: error: the key `issuer` is missing',
      'sts.yaml:1:1: error: isuer: unknown key; did you mean `issuer`?',
    ],
    [
      '  publish_before: 2h',
      '  publish_befor: 2h',
      'sts.yaml:12:3: error: keys.publish_befor: unknown key; did you mean `publish_before`?',
    ],
    [
      'proxies:',
      'proxie:',
      'sts.yaml:8:3: error: client_auth.xfcc: the key `proxies` is missing',
      'sts.yaml:8:10: error: client_auth.xfcc.proxie: unknown key; did you mean `proxies`?',
    ],
    ['  algorithms: [ES256]\n', '', 'sts.yaml:10:1: error: keys: the key `algorithms` is missing'],
    [
      'mode: sanitize_set, ',
      '',
      'sts.yaml:8:3: error: client_auth.xfcc: the key `mode` is missing',
    ],
    [
      'trust_domains: [cluster.local]\n',
      '',
      'sts.yaml:1:1: error: the key `trust_domains` is missing',
    ],
    ['issuers: issuers.yaml\n', '', 'sts.yaml:1:1: error: the key `issuers` is missing'],
    [
      '  admin:  {address: 127.0.0.1:8082}\n',
      '',
      'sts.yaml:2:1: error: listeners: the key `admin` is missing',
    ],
    // empty means nobody (P4)
    [
      'rules: [rules, ../common/rules]',
      'rules: []',
      'sts.yaml:19:8: error: rules: must not be empty',
    ],
    [
      'algorithms: [ES256]',
      'algorithms: []',
      'sts.yaml:11:15: error: keys.algorithms: must not be empty',
    ],
    [
      'client_auth: [xfcc, kubernetes]',
      'client_auth: []',
      'sts.yaml:3:50: error: listeners.token.client_auth: must not be empty',
    ],
    [
      'proxies: [127.0.0.1, 127.0.0.6]',
      'proxies: []',
      'sts.yaml:8:19: error: client_auth.xfcc.proxies: must not be empty',
    ],
    // values
    [
      'algorithms: [ES256]',
      'algorithms: [ES265]',
      'sts.yaml:11:16: error: keys.algorithms[0]: must be ES256, RS256, PS256 or EdDSA; did you mean `ES256`?',
    ],
    [
      'algorithms: [ES256]',
      'algorithms: [HS256]',
      'sts.yaml:11:16: error: keys.algorithms[0]: must be ES256, RS256, PS256 or EdDSA; did you mean `ES256`?',
    ],
    [
      'algorithms: [ES256]',
      'algorithms: [ES256, RS256, ES256]',
      'sts.yaml:11:30: error: keys.algorithms[2]: is there twice',
    ],
    [
      'publish_before: 2h',
      'publish_before: 2',
      'sts.yaml:12:19: error: keys.publish_before: must be a duration from 1s to 7d, such as 2h',
    ],
    [
      'publish_before: 2h',
      'publish_before: 2 hours',
      'sts.yaml:12:19: error: keys.publish_before: must be a duration from 1s to 7d, such as 2h',
    ],
    [
      'sign_for: 24h',
      'sign_for: 365d',
      'sts.yaml:13:13: error: keys.sign_for: must be a duration from 1s to 90d, such as 24h',
    ],
    [
      'max_size: 20GB',
      'max_size: 20',
      'sts.yaml:16:32: error: audit.max_size: must be a size from 1MB to 100TB, such as 20GB',
    ],
    [
      'per_caller_per_second: 200',
      'per_caller_per_second: 0',
      'sts.yaml:17:33: error: limits.per_caller_per_second: must be at least 0.1',
    ],
    [
      'address: 127.0.0.1:8080',
      'address: 8080',
      'sts.yaml:3:21: error: listeners.token.address: must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080',
    ],
    [
      'address: 127.0.0.1:8080',
      'address: sts.example:8080',
      'sts.yaml:3:21: error: listeners.token.address: must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080',
    ],
    [
      'address: 127.0.0.1:8080',
      'address: 127.0.0.1:80800',
      'sts.yaml:3:21: error: listeners.token.address: must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080',
    ],
    [
      'proxies: [127.0.0.1',
      'proxies: [localhost',
      'sts.yaml:8:20: error: client_auth.xfcc.proxies[0]: must be an IP address, such as 127.0.0.6',
    ],
    [
      'self: spiffe://cluster.local/ns/',
      'self: spiffe://cluster.local//',
      'sts.yaml:8:69: error: client_auth.xfcc.self: must be a SPIFFE ID, such as spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts',
    ],
    [
      'trust_domains: [cluster.local]',
      'trust_domains: [Cluster.local]',
      'sts.yaml:6:17: error: trust_domains[0]: must be a trust domain: lower-case letters, digits, dots, hyphens',
    ],
    // MD-02: an issuer is https without query and fragment
    [
      'issuer: https://sts.boutique.example',
      'issuer: http://sts.boutique.example',
      'sts.yaml:1:9: error: issuer: must be https (or set relaxations.allow_http_issuer)',
    ],
    [
      'issuer: https://sts.boutique.example',
      'issuer: https://sts.boutique.example?x=1',
      'sts.yaml:1:9: error: issuer: must hold no query (?…) (RFC 8414 §2)',
    ],
    [
      'issuer: https://sts.boutique.example',
      'issuer: "https://sts.boutique.example#x"',
      'sts.yaml:1:9: error: issuer: must hold no fragment (#…)',
    ],
    [
      'issuer: https://sts.boutique.example',
      'issuer: https://sts.boutique.example/',
      'sts.yaml:1:9: error: issuer: must not end in a slash: verifiers compare it exactly and people leave it out',
    ],
    [
      'issuer: https://sts.boutique.example',
      'issuer: https://user:pass@sts.example',
      'sts.yaml:1:9: error: issuer: must hold no user name or password',
    ],
    [
      'issuer: https://sts.boutique.example',
      'issuer: sts.boutique.example',
      'sts.yaml:1:9: error: issuer: must be an absolute https URL, such as https://sts.example',
    ],
    // between keys: listeners
    [
      'address: 0.0.0.0:8081',
      'address: 127.0.0.1:8080',
      'sts.yaml:4:21: error: listeners.public.address: listeners.token already listens there',
    ],
    [
      'address: 0.0.0.0:8081',
      'address: 0.0.0.0:8080',
      'sts.yaml:4:21: error: listeners.public.address: listeners.token already listens there',
    ],
    [
      'admin:  {address: 127.0.0.1:8082}',
      'admin:  {address: 0.0.0.0:8082}',
      'sts.yaml:5:21: error: listeners.admin.address: beyond loopback `tls` with `client_ca_file` is required',
    ],
    [
      'admin:  {address: 127.0.0.1:8082}',
      `admin:  {address: 0.0.0.0:8082, ${TLS}}`,
      'sts.yaml:5:35: error: listeners.admin.tls: the key `client_ca_file` is missing',
    ],
    [
      'address: 127.0.0.1:8080',
      'address: 0.0.0.0:8080',
      'sts.yaml:3:21: error: listeners.token.address: must be a loopback address, because the sidecar’s header is believed here (or set relaxations.allow_token_listener_beyond_loopback)',
    ],
    // between keys: client authentication
    [
      'client_auth: [xfcc, kubernetes]',
      'client_auth: [xfcc, kubernetes, jwt_svid]',
      'sts.yaml:3:69: error: listeners.token.client_auth[2]: jwt_svid is not configured: add client_auth.jwt_svid',
    ],
    [
      'client_auth: [xfcc, kubernetes]',
      'client_auth: [kubernetes]',
      'sts.yaml:8:3: warning: client_auth.xfcc: no listener names this method, so it is not used',
    ],
    [
      'client_auth: [xfcc, kubernetes]',
      'client_auth: [xfcc, kubernetes, mtls]',
      'sts.yaml:3:69: error: listeners.token.client_auth[2]: mtls needs a listener that ends TLS: listeners.token_mtls',
    ],
    [
      'client_auth: [xfcc, kubernetes]',
      'client_auth: [xfcc, kubernetes, private_key_jwt]',
      'sts.yaml:3:69: error: listeners.token.client_auth[2]: private_key_jwt is for callers outside the mesh: listeners.token_external',
    ],
    [
      '  public:',
      `  token_mtls: {address: 127.0.0.1:1, ${TLS}, client_auth: [xfcc]}\n  public:`,
      'sts.yaml:4:86: error: listeners.token_mtls.client_auth[0]: xfcc believes a sidecar, and there is none in front of this listener: listeners.token',
    ],
    [
      '  public:',
      `  token_external: {address: 127.0.0.1:1, ${TLS}, client_auth: [xfcc]}\n  public:`,
      'sts.yaml:4:90: error: listeners.token_external.client_auth[0]: xfcc must not be believed from outside the mesh: only private_key_jwt is accepted here',
    ],
    [
      '  public:',
      `  token_external: {address: 127.0.0.1:1, ${TLS}, client_auth: [kubernetes]}\n  public:`,
      'sts.yaml:4:90: error: listeners.token_external.client_auth[0]: kubernetes is for workloads of the mesh: only private_key_jwt is accepted here',
    ],
    [
      '  public:',
      '  token_mtls: {address: 127.0.0.1:1, client_auth: [kubernetes]}\n  public:',
      'sts.yaml:4:3: error: listeners.token_mtls: the key `tls` is missing',
    ],
    [
      'mode: sanitize_set',
      'mode: append_forward',
      'sts.yaml:8:49: error: client_auth.xfcc.mode: is unsafe where anybody can get an odd certificate: use sanitize_set (or set relaxations.allow_xfcc_append_forward)',
    ],
    // between keys: trust domains (SP-01)
    [
      'kubernetes: {trust_domain: cluster.local',
      'kubernetes: {trust_domain: cluster.locl',
      'sts.yaml:9:30: error: client_auth.kubernetes.trust_domain: the trust domain cluster.locl is not among trust_domains; did you mean `cluster.local`?',
    ],
    [
      'self: spiffe://cluster.local',
      'self: spiffe://other.example',
      'sts.yaml:8:69: error: client_auth.xfcc.self: must be in this deployment’s own trust domain, the first of trust_domains (cluster.local)',
    ],
    [
      'client_auth:\n',
      'client_auth:\n  jwt_svid: {bundles: {other.example: {file: x}}}\n',
      'sts.yaml:8:24: error: client_auth.jwt_svid.bundles["other.example"]: the trust domain other.example is not among trust_domains',
    ],
    [
      'client_auth:\n',
      'client_auth:\n  mtls: {trust_domain: other.example, bundle_file: b}\n',
      'sts.yaml:8:3: warning: client_auth.mtls: no listener names this method, so it is not used',
      'sts.yaml:8:24: error: client_auth.mtls.trust_domain: the trust domain other.example is not among trust_domains',
    ],
    [
      'client_auth:\n',
      'client_auth:\n  jwt_svid: {bundles: {cluster.local: {url: "http://x.example"}}}\n',
      'sts.yaml:8:45: error: client_auth.jwt_svid.bundles["cluster.local"].url: must be https (or set relaxations.allow_http_issuers)',
    ],
    // between keys: kubernetes
    [
      ', jwks_file: k8s.jwks.json',
      '',
      'sts.yaml:9:3: error: client_auth.kubernetes: one of `jwks_file`, `jwks_uri` and `token_review` is required',
    ],
    [
      'jwks_file: k8s.jwks.json',
      'jwks_file: k, jwks_uri: https://k.example',
      'sts.yaml:9:153: error: client_auth.kubernetes.jwks_uri: only one of `jwks_file`, `jwks_uri` and `token_review` may be there',
    ],
    [
      'jwks_file: k8s.jwks.json',
      'jwks_file: k, ca_file: c',
      'sts.yaml:9:153: error: client_auth.kubernetes.ca_file: vouches for nothing without `jwks_uri`',
    ],
    [
      'jwks_file: k8s.jwks.json',
      'jwks_uri: http://k.example',
      'sts.yaml:9:149: error: client_auth.kubernetes.jwks_uri: must be https (or set relaxations.allow_http_issuers)',
    ],
    [
      'jwks_file: k8s.jwks.json',
      'token_review: {url: http://k.example, ca_file: c, token_file: t}',
      'sts.yaml:9:159: error: client_auth.kubernetes.token_review.url: must be https (or set relaxations.allow_http_issuers)',
    ],
    [
      'issuer: https://kubernetes.default.svc.cluster.local',
      'issuer: https://sts.boutique.example',
      'sts.yaml:9:53: error: client_auth.kubernetes.issuer: this is our own issuer URL, not the cluster’s',
    ],
    // between keys: keys (P5, P9)
    [
      'publish_before: 2h',
      'publish_before: 64m',
      'sts.yaml:12:19: error: keys.publish_before: must be at least 65m, so that every sidecar has a key before it signs (or set relaxations.allow_short_key_lead)',
    ],
    [
      'sign_for: 24h',
      'sign_for: 1h',
      'sts.yaml:13:13: error: keys.sign_for: must be at least as long as keys.publish_before',
    ],
    [
      'current: k2',
      'current: k3',
      'sts.yaml:14:30: error: keys.encryption_keys.current: there is no key k3 here; did you mean `k1`?',
    ],
    [
      'current: k2, ',
      '',
      'sts.yaml:14:20: error: keys.encryption_keys: the key `current` is missing',
    ],
    // files
    [
      'issuers: issuers.yaml',
      'issuers: nothing.yaml',
      'nothing.yaml: error: the issuers file cannot be read (ENOENT)',
    ],
  ]
  for (const [from, to, ...problems] of cases) {
    test(`${from} → ${to}`.replaceAll('\n', '⏎'), () => {
      assert.deepEqual(problemsOf({ sts: replaced(STS, from, to) }), problems)
    })
  }

  test('a missing file', () => {
    const result = loadSettings({
      configFile: '/etc/sts/sts.yaml',
      env: {},
      readFile: () => {
        throw Object.assign(new Error(), { code: 'EACCES' })
      },
    })
    assert.deepEqual(result.problems.map(formatProblem), [
      '/etc/sts/sts.yaml: error: the configuration file cannot be read (EACCES)',
    ])
  })
})

describe('relaxations', () => {
  const cases: readonly [name: string, from: string, to: string][] = [
    ['allow_http_issuer', 'issuer: https://sts', 'issuer: http://sts'],
    ['allow_http_issuers', 'jwks_file: k8s.jwks.json', 'jwks_uri: http://k.example'],
    ['allow_short_key_lead', 'publish_before: 2h', 'publish_before: 10s'],
    ['allow_token_listener_beyond_loopback', 'address: 127.0.0.1:8080', 'address: 0.0.0.0:8080'],
    ['allow_xfcc_append_forward', 'mode: sanitize_set', 'mode: append_forward'],
  ]
  for (const [name, from, to] of cases) {
    test(`${name} is off, allows what it names, and is told when it is on`, () => {
      const sts = replaced(STS, from, to)
      assert.equal(load({ sts }).ok, false)
      const relaxed = settingsOf({ sts: `${sts}relaxations: {${name}: true}\n` })
      assert.deepEqual(relaxed.relaxations, [name])
      assert.equal(load({ sts: `${sts}relaxations: {${name}: false}\n` }).ok, false)
    })
  }
  test('without xfcc a token listener beyond loopback is a warning', () => {
    const sts = replaced(
      replaced(STS, '127.0.0.1:8080', '0.0.0.0:8080'),
      '[xfcc, kubernetes]',
      '[kubernetes]',
    )
    assert.equal(load({ sts }).ok, true)
    assert.match(
      problemsOf({ sts })[0] ?? '',
      /^sts.yaml:3:21: warning: listeners.token.address: plain HTTP beyond loopback/,
    )
  })
  test('a word that is no boolean relaxes nothing', () => {
    assert.deepEqual(problemsOf({ sts: `${STS}relaxations: {allow_http_issuer: yes}\n` }), [
      'sts.yaml:20:34: error: relaxations.allow_http_issuer: must be true or false, not text',
    ])
  })
})

describe('all problems at once', () => {
  test('of both files, and one wrong key hides no check of another', () => {
    const sts = replaced(
      replaced(STS, 'publish_before: 2h', 'publish_befor: 2h'),
      '127.0.0.1:8082',
      '0.0.0.0:8082',
    )
    const issuers = replaced(ISSUERS, 'subject_prefix: corp', 'subject_prefix: Corp!')
    assert.deepEqual(problemsOf({ sts, issuers }), [
      'sts.yaml:5:21: error: listeners.admin.address: beyond loopback `tls` with `client_ca_file` is required',
      'sts.yaml:12:3: error: keys.publish_befor: unknown key; did you mean `publish_before`?',
      'issuers.yaml:9:19: error: corporate.subject_prefix: must be lower-case letters, digits and hyphens, such as corporate',
    ])
  })
  test('of YAML itself', () => {
    assert.deepEqual(problemsOf({ sts: `${STS}rules: [x]\nissuers: y\n` }), [
      'sts.yaml:20:1: error: rules: this key is there twice',
      'sts.yaml:21:1: error: issuers: this key is there twice',
    ])
  })
})

describe('environment variables', () => {
  test('override single keys', () => {
    const settings = settingsOf({
      env: {
        STS_ISSUER: 'https://other.example',
        STS_STORE_SQLITE: 'other.db',
        STS_LISTENERS_TOKEN_ADDRESS: '127.0.0.1:9090',
        STS_KEYS_ALGORITHMS: '[RS256, ES256]',
        STS_KEYS_SIGN_FOR: '48h',
        STS_KEYS_ENCRYPTION_KEYS: '{current: k9, k9: k9.key}',
        STS_AUDIT_STDOUT: 'true',
        STS_LIMITS_BURST: '7',
        STS_LOG_LEVEL: 'debug',
        STS_CONFIG: 'somewhere',
        PATH: '/bin',
        XSTS_ISSUER: 'https://not.example',
      },
    })
    assert.equal(settings.issuer, 'https://other.example')
    assert.equal(settings.tokenEndpoint, 'https://other.example/token')
    assert.equal(settings.store.sqlite, '/etc/sts/other.db')
    assert.deepEqual(settings.listeners.token.address, { host: '127.0.0.1', port: 9090 })
    assert.deepEqual(settings.keys.algorithms, ['RS256', 'ES256'])
    assert.equal(settings.keys.signForMs, 172_800_000)
    assert.deepEqual(settings.keys.encryptionKeys, {
      current: 'k9',
      files: { k9: '/etc/sts/k9.key' },
    })
    assert.equal(settings.audit.stdout, true)
    assert.equal(settings.limits.burst, 7)
    assert.equal(settings.log.level, 'debug')
  })

  test('make groups that the file does not have', () => {
    const settings = settingsOf({
      sts: replaced(STS, 'limits: {per_caller_per_second: 200}\n', ''),
      env: { STS_LIMITS_CONCURRENT_EXCHANGES: '3', STS_RELAXATIONS_ALLOW_SHORT_KEY_LEAD: 'true' },
    })
    assert.equal(settings.limits.concurrentExchanges, 3)
    assert.deepEqual(settings.relaxations, ['allow_short_key_lead'])
  })

  const wrong: readonly [variable: string, value: string, problem: string][] = [
    [
      'STS_LISTENERS_TOKEN_ADDRES',
      'x',
      'environment variable STS_LISTENERS_TOKEN_ADDRES: error: there is no such key; did you mean `STS_LISTENERS_TOKEN_ADDRESS`?',
    ],
    [
      'STS_LISTENERS',
      '{}',
      'environment variable STS_LISTENERS: error: there is no such key; did you mean `STS_ISSUERS`?',
    ],
    ['STS_', 'x', 'environment variable STS_: error: there is no such key'],
    [
      'STS_AUDIT_RETAIN',
      '5',
      'environment variable STS_AUDIT_RETAIN: error: audit.retain: must be a duration from 1h to 3650d, such as 30d',
    ],
    [
      'STS_ISSUER',
      'http://x.example',
      'environment variable STS_ISSUER: error: issuer: must be https (or set relaxations.allow_http_issuer)',
    ],
    ['STS_RULES', '', 'environment variable STS_RULES: error: rules: must be a list, not empty'],
    ['STS_RULES', '[a, 1]', 'environment variable STS_RULES: error: rules[1]: must be a path'],
    [
      'STS_RULES',
      '[a',
      'environment variable STS_RULES: error: unexpected end of the stream within a flow collection',
    ],
    [
      'STS_KEYS_ALGORITHMS',
      '[HS256]',
      'environment variable STS_KEYS_ALGORITHMS: error: keys.algorithms[0]: must be ES256, RS256, PS256 or EdDSA; did you mean `ES256`?',
    ],
  ]
  for (const [variable, value, expected] of wrong) {
    test(`${variable}=${value}`, () =>
      assert.deepEqual(problemsOf({ env: { [variable]: value } }), [expected]))
  }

  test('those that Kubernetes sets for a Service are nobody’s mistake', () => {
    const env = {
      STS_SERVICE_HOST: '10.0.0.1',
      STS_SERVICE_PORT: '80',
      STS_SERVICE_PORT_HTTP: '80',
      STS_PORT: 'tcp://10.0.0.1:80',
      STS_PORT_80_TCP: 'tcp://10.0.0.1:80',
      STS_PORT_80_TCP_PROTO: 'tcp',
      STS_PORT_80_TCP_PORT: '80',
      STS_PORT_80_TCP_ADDR: '10.0.0.1',
      STS_PUBLIC_SERVICE_HOST: '10.0.0.2',
    }
    assert.deepEqual(problemsOf({ env }), [])
  })

  test('whatever they hold, loading never throws', () => {
    const names = fc.constantFrom(
      'STS_ISSUER',
      'STS_RULES',
      'STS_KEYS_ENCRYPTION_KEYS',
      'STS_CLIENT_AUTH_JWT_SVID_BUNDLES',
      'STS_LISTENERS_TOKEN_ADDRESS',
      'STS___PROTO__',
    )
    fc.assert(
      fc.property(fc.dictionary(names, fc.oneof(fc.string(), fc.json())), (env) => {
        assert.equal(typeof load({ env }).ok, 'boolean')
      }),
    )
  })
})

test('whatever the files hold, loading never throws', () => {
  const lines = STS.split('\n')
  fc.assert(
    fc.property(
      fc.nat(lines.length - 1),
      fc.oneof(fc.string(), fc.constantFrom('keys:', '- x', '{}', '  a: [')),
      (at, line) => {
        const sts = lines.with(at, line).join('\n')
        assert.equal(typeof load({ sts }).ok, 'boolean')
        assert.equal(
          typeof load({
            issuers: ISSUERS.split('\n')
              .with(at % 9, line)
              .join('\n'),
          }).ok,
          'boolean',
        )
      },
    ),
    { numRuns: 500 },
  )
})
