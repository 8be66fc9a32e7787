// Owns what the benchmarks run against: a deployment of 1,000 services and 5,000 rules, and tokens for it.
// Must not measure anything.
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const SERVICES = 1000
const RULES_PER_SERVICE = 5
/** As the Dockerfile and package.json start it (docs/decisions/0011). */
export const NODE_FLAGS = ['--max-semi-space-size=4', '--max-old-space-size=768']
export const MAIN = join(process.cwd(), 'dist/src/main.js')

/** A deployment in a temporary folder. */
export interface Fixture {
  readonly folder: string
  readonly config: string
  readonly issuerKey: KeyObject
  readonly issuerJwk: Record<string, unknown>
}

export const nameOf = (index: number): string => `svc-${index % SERVICES}`

/** Rule files of `services` services with `RULES_PER_SERVICE` rules each. */
export function ruleText(services: number): string {
  const name = (index: number) => `svc-${index % services}`
  const lines = ['namespace: bench', 'services:']
  for (let index = 0; index < services; index++) {
    const steps = Array.from(
      { length: Math.min(RULES_PER_SERVICE, services) },
      (_, step) => step + 1,
    )
    lines.push(
      `  ${name(index)}:`,
      `    audience: https://${name(index)}.bench.example`,
      `    scopes: [${name(index)}:read, ${name(index)}:write]`,
      '    claims: [email]',
      `    calls: [${[...new Set(steps.map((step) => name(index + step)))].join(', ')}]`,
      '    accepts:',
    )
    for (const step of steps) {
      const from = name(index + services - step)
      lines.push(
        `      - {from: ${from}, issuer: corporate, scopes: {"${name(index)}:read": [shop:browse, shop:buy]}}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}

/** Makes the deployment: keys, settings, rules, database. */
export function makeFixture(): Fixture {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-bench-'))
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const issuerJwk = {
    ...publicKey.export({ format: 'jwk' }),
    kid: 'bench',
    alg: 'RS256',
    use: 'sig',
  }
  mkdirSync(join(folder, 'rules'))
  writeFileSync(join(folder, 'rules/bench.yaml'), ruleText(SERVICES))
  writeFileSync(join(folder, 'issuer.jwks.json'), JSON.stringify({ keys: [issuerJwk] }))
  writeFileSync(join(folder, 'k1'), randomBytes(32).toString('base64'), { mode: 0o600 })
  const everybody = Array.from({ length: SERVICES }, (_, index) => `bench/${nameOf(index)}`)
  writeFileSync(
    join(folder, 'issuers.yaml'),
    `corporate:
  issuer: https://login.bench.example
  jwks_file: issuer.jwks.json
  algorithms: [RS256]
  token_types: [access_token]
  presented_by: {https://api.bench.example: [${everybody.join(', ')}]}
  scopes_from: [scope]
  subject_prefix: corp
`,
  )
  const config = join(folder, 'sts.yaml')
  writeFileSync(
    config,
    `issuer: https://sts.bench.example
listeners:
  token: {address: 127.0.0.1:0, client_auth: [xfcc]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}
trust_domains: [cluster.local]
client_auth:
  xfcc: {proxies: [127.0.0.1], mode: sanitize_set, self: spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts}
keys: {algorithms: [ES256], encryption_keys: {current: k1, k1: k1}}
store: {sqlite: sts.db}
limits: {per_caller_per_second: 1000000}
issuers: issuers.yaml
rules: [rules]
`,
  )
  execFileSync(process.execPath, [MAIN, 'init', '--config', config], { stdio: 'pipe' })
  return { folder, config, issuerKey: privateKey, issuerJwk }
}

/** A subject token that no server has seen. */
export function subjectToken({ issuerKey }: Fixture): string {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'RS256', kid: 'bench', typ: 'at+jwt' })}.${part({
    iss: 'https://login.bench.example',
    sub: 'alice',
    aud: 'https://api.bench.example',
    client_id: 'shop',
    scope: 'shop:browse shop:buy profile',
    email: 'alice@shop.example',
    email_verified: true,
    name: 'Alice Example',
    iat: now,
    exp: now + 3600,
    jti: randomUUID(),
  })}`
  return `${input}.${sign('sha256', Buffer.from(input), issuerKey).toString('base64url')}`
}
