// The issuers file: every rule has a case that breaks it, at its exact place.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadSettings } from '../../src/config/load-settings.ts'
import { formatProblem } from '../../src/config/problem.ts'

const STS = `issuer: https://sts.example
listeners:
  token: {address: 127.0.0.1:0, client_auth: [private_key_jwt]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}
trust_domains: [cluster.local]
client_auth: {jwt_svid: {bundles: {cluster.local: {file: b}}}}
keys: {algorithms: [ES256], encryption_keys: {current: k, k: k}}
store: {sqlite: x}
issuers: issuers.yaml
rules: [rules]
`.replace('[private_key_jwt]', '[jwt_svid]')

const VALID = `corporate:
  issuer: https://login.corp.example
  jwks_uri: https://login.corp.example/keys
  algorithms: [RS256, ES256]
  token_types: [access_token, id_token]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: corp
`

function load(issuers: string, sts = STS) {
  return loadSettings({
    configFile: '/c/sts.yaml',
    env: {},
    readFile: (path) => (path === '/c/sts.yaml' ? sts : issuers),
  })
}

const problemsOf = (issuers: string, sts = STS): string[] =>
  load(issuers, sts).problems.map((each) => formatProblem(each).replace('/c/', ''))

function issuersOf(text: string) {
  const result = load(text)
  assert.ok(result.ok, result.problems.map(formatProblem).join('\n'))
  return result.settings.issuers
}

function replaced(from: string, to: string): string {
  assert.ok(VALID.includes(from), `the fixture has no ${from}`)
  return VALID.replace(from, to)
}

describe('what is accepted', () => {
  test('the valid file', () => assert.deepEqual(problemsOf(VALID), []))
  test('nobody (P4: empty means nobody)', () => assert.deepEqual(issuersOf('{}'), []))
  test('at+jwt is the only typ of access tokens unless others are named', () => {
    assert.deepEqual(issuersOf(VALID)[0]?.accessTokenTyp, ['at+jwt'])
    assert.deepEqual(issuersOf(`${VALID}  access_token_typ: [JWT, absent]\n`)[0]?.accessTokenTyp, [
      'JWT',
      'absent',
    ])
  })
  test('keys from a file beside the issuers file, or by discovery', () => {
    const uri = 'jwks_uri: https://login.corp.example/keys'
    assert.deepEqual(issuersOf(replaced(uri, 'jwks_file: keys.json'))[0]?.keys, {
      kind: 'file',
      path: '/c/keys.json',
    })
    assert.deepEqual(issuersOf(replaced(uri, 'discovery: true\n  ca_file: ca.pem'))[0]?.keys, {
      kind: 'discovery',
      caFile: '/c/ca.pem',
    })
  })
  test('claims as a name, as joined names, as a list of names', () => {
    const scopes =
      'scopes_from: [scp, {claim: [https://x.example/roles, all], prefix: "r:"}, {claim: a.b}]'
    assert.deepEqual(issuersOf(replaced('scopes_from: [scope]', scopes))[0]?.scopesFrom, [
      { path: ['scp'], prefix: '' },
      { path: ['https://x.example/roles', 'all'], prefix: 'r:' },
      { path: ['a', 'b'], prefix: '' },
    ])
  })
})

describe('one thing wrong', () => {
  const second = VALID.replace('corporate:', 'partner:')
    .replaceAll('login.corp', 'login.partner')
    .replace('corp\n', 'partner\n')
  const cases: readonly [name: string, text: string, ...problems: string[]][] = [
    ['an empty file', '', 'issuers.yaml:1:1: error: must be a mapping, not empty'],
    ['a list', '- a\n', 'issuers.yaml:1:1: error: must be a mapping, not a list'],
    [
      'an unknown key',
      replaced('jwks_uri', 'jwksUri'),
      'issuers.yaml:3:3: error: corporate.jwksUri: unknown key; did you mean `jwks_uri`?',
    ],
    [
      'no issuer',
      replaced('  issuer: https://login.corp.example\n', ''),
      'issuers.yaml:1:1: error: corporate: the key `issuer` is missing',
    ],
    [
      'no algorithms',
      replaced('  algorithms: [RS256, ES256]\n', ''),
      'issuers.yaml:1:1: error: corporate: the key `algorithms` is missing',
    ],
    [
      'no presented_by',
      replaced('  presented_by: {https://api.shop.example: [boutique/frontend]}\n', ''),
      'issuers.yaml:1:1: error: corporate: the key `presented_by` is missing',
    ],
    [
      'no subject_prefix',
      replaced('  subject_prefix: corp\n', ''),
      'issuers.yaml:1:1: error: corporate: the key `subject_prefix` is missing',
    ],
    [
      'no algorithm (P4)',
      replaced('[RS256, ES256]', '[]'),
      'issuers.yaml:4:15: error: corporate.algorithms: must not be empty',
    ],
    [
      'no presenter (P4)',
      replaced('{https://api.shop.example: [boutique/frontend]}', '{}'),
      'issuers.yaml:6:17: error: corporate.presented_by: must not be empty',
    ],
    [
      'no presenter of an audience (P4)',
      replaced('[boutique/frontend]', '[]'),
      'issuers.yaml:6:44: error: corporate.presented_by["https://api.shop.example"]: must not be empty',
    ],
    [
      'no source of scopes (P4)',
      replaced('[scope]', '[]'),
      'issuers.yaml:7:16: error: corporate.scopes_from: must not be empty',
    ],
    [
      'a symmetric algorithm',
      replaced('RS256', 'HS256'),
      'issuers.yaml:4:16: error: corporate.algorithms[0]: must be ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 or EdDSA; did you mean `ES256`?',
    ],
    [
      'algorithm none',
      replaced('RS256', 'none'),
      'issuers.yaml:4:16: error: corporate.algorithms[0]: must be ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 or EdDSA',
    ],
    [
      'an unknown token type',
      replaced('id_token', 'idtoken'),
      'issuers.yaml:5:31: error: corporate.token_types[1]: must be access_token, id_token or jwt; did you mean `id_token`?',
    ],
    [
      'a short service name',
      replaced('boutique/frontend', 'frontend'),
      'issuers.yaml:6:45: error: corporate.presented_by["https://api.shop.example"][0]: must be a full service name, such as boutique/frontend',
    ],
    [
      'a star as presenter',
      replaced('boutique/frontend', '"*"'),
      'issuers.yaml:6:45: error: corporate.presented_by["https://api.shop.example"][0]: must be a full service name, such as boutique/frontend',
    ],
    [
      'an empty name in a claim',
      replaced('[scope]', '[a..b]'),
      'issuers.yaml:7:17: error: corporate.scopes_from[0]: has an empty name between its dots',
    ],
    [
      'a source of scopes with a wrong key',
      replaced('[scope]', '[{clam: x}]'),
      'issuers.yaml:7:17: error: corporate.scopes_from[0]: the key `claim` is missing',
      'issuers.yaml:7:18: error: corporate.scopes_from[0].clam: unknown key; did you mean `claim`?',
    ],
    [
      'a source of scopes that is a number',
      replaced('[scope]', '[1]'),
      'issuers.yaml:7:17: error: corporate.scopes_from[0]: must be a claim name or {claim: …, prefix: …}',
    ],
    [
      'a prefix with a colon',
      replaced('subject_prefix: corp', 'subject_prefix: "corp:"'),
      'issuers.yaml:8:19: error: corporate.subject_prefix: must be lower-case letters, digits and hyphens, such as corporate',
    ],
    [
      'a prefix that makes SPIFFE IDs',
      replaced('subject_prefix: corp', 'subject_prefix: spiffe'),
      'issuers.yaml:8:19: error: corporate.subject_prefix: is reserved: a user could be taken for a workload by its SPIFFE ID',
    ],
    [
      'http',
      replaced('issuer: https', 'issuer: http'),
      'issuers.yaml:2:11: error: corporate.issuer: must be https (or set relaxations.allow_http_issuers in sts.yaml)',
    ],
    [
      'keys by http',
      replaced('jwks_uri: https', 'jwks_uri: http'),
      'issuers.yaml:3:13: error: corporate.jwks_uri: must be https (or set relaxations.allow_http_issuers in sts.yaml)',
    ],
    [
      'no keys',
      replaced('  jwks_uri: https://login.corp.example/keys\n', ''),
      'issuers.yaml:1:1: error: corporate: one of `jwks_uri`, `jwks_file` and `discovery: true` is required',
    ],
    [
      'two sources of keys',
      `${VALID}  jwks_file: x\n`,
      'issuers.yaml:9:3: error: corporate.jwks_file: only one of `jwks_uri`, `jwks_file` and `discovery` may be there',
    ],
    [
      'discovery: false',
      `${VALID}  discovery: false\n`,
      'issuers.yaml:9:14: error: corporate.discovery: must be true, or left out',
    ],
    [
      'a CA for a file',
      replaced('jwks_uri: https://login.corp.example/keys', 'jwks_file: k\n  ca_file: c'),
      'issuers.yaml:4:3: error: corporate.ca_file: vouches for nothing: the keys come from no server',
    ],
    [
      'our own issuer URL',
      replaced('https://login.corp.example\n', 'https://sts.example\n'),
      'issuers.yaml:2:11: error: corporate.issuer: this is our own issuer URL; our tokens are the built-in issuer `self`',
    ],
    [
      'the name self',
      replaced('corporate:', 'self:'),
      'issuers.yaml:1:1: error: self: the name `self` is built in; choose another',
    ],
    [
      'the name workload',
      replaced('corporate:', 'workload:'),
      'issuers.yaml:1:1: error: workload: the name `workload` is built in; choose another',
    ],
    [
      'a name with a capital',
      replaced('corporate:', 'Corporate:'),
      'issuers.yaml:1:1: error: Corporate: this name is not allowed: must be lower-case letters, digits and hyphens, such as corporate',
    ],
    [
      'the same iss twice',
      VALID + second.replace('https://login.partner.example\n', 'https://login.corp.example\n'),
      'issuers.yaml:10:11: error: partner.issuer: `corporate` has the same issuer',
    ],
    [
      'field-6 #19: one prefix for two issuers, so that subjects collide',
      VALID + second.replace('subject_prefix: partner', 'subject_prefix: corp'),
      'issuers.yaml:16:19: error: partner.subject_prefix: `corporate` has the same prefix: two users could be taken for one another',
    ],
  ]
  test('two issuers', () => assert.deepEqual(problemsOf(VALID + second), []))
  for (const [name, text, ...problems] of cases) {
    test(name, () => assert.deepEqual(problemsOf(text), problems))
  }
  test('allow_http_issuers allows http', () => {
    const sts = `${STS}relaxations: {allow_http_issuers: true}\n`
    assert.deepEqual(problemsOf(VALID.replaceAll('https://login', 'http://login'), sts), [])
  })
  test("the cluster's issuer, whose tokens are the issuer workload", () => {
    const sts = STS.replace(
      'client_auth: {',
      'client_auth: {kubernetes: {trust_domain: cluster.local, issuer: https://login.corp.example, audience: a, jwks_file: k}, ',
    )
    assert.deepEqual(problemsOf(VALID, sts), [
      'issuers.yaml:2:11: error: corporate.issuer: this is the cluster’s issuer (client_auth.kubernetes); its tokens are the built-in issuer `workload`',
    ])
    const other = sts.replace('login.corp', 'cluster')
    assert.deepEqual(problemsOf(VALID, other), [])
  })
  test('a wrong entry hides no check of another', () => {
    const text = `${VALID.replace('[RS256, ES256]', '[]')}${second.replace('partner:', 'self:')}`
    assert.equal(problemsOf(text).length, 2)
  })
})
