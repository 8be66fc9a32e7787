// Owns a whole deployment in a temporary folder, as `mesh-sts init` and `serve` would make it, in this process.
// Must not bypass the loaders or fake any part.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { loadDeployment } from '../../src/cli/deployment.ts'
import { loadServedDeployment } from '../../src/cli/served-deployment.ts'
import type { FoundRules } from '../../src/compose/first-rules.ts'
import { keyPolicyOf } from '../../src/compose/key-policy.ts'
import { formatProblem } from '../../src/config/problem.ts'
import type { Settings } from '../../src/config/settings.ts'
import { readEncryptionKeys, writeEncryptionKeyFile } from '../../src/keys/encryption-key-files.ts'
import { initKeys } from '../../src/keys/operations.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../src/oauth/names.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'
import { type RunningServer, startServer } from '../../src/serve.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'
import { jwksOf, makeKey, signJwt, type TestKey } from './jwt-fixtures.ts'
import { BOUTIQUE } from './rules.ts'

export const MIGRATIONS = join(process.cwd(), 'migrations')
export const STS = 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts'
export const CORPORATE = 'https://login.corp.example'
export const AGENTS = 'https://agents.example'

/** Files of a deployment by relative path; each can be replaced. */
export type Files = Readonly<Record<string, string>>

export const SETTINGS = `
issuer: https://sts.boutique.example
listeners:
  token: {address: 127.0.0.1:0, client_auth: [xfcc]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}
trust_domains: [cluster.local, partner.example]
client_auth:
  xfcc: {proxies: [127.0.0.1, 127.0.0.6], mode: sanitize_set, self: ${STS}}
keys:
  algorithms: [ES256, RS256]
  encryption_keys: {current: k1, k1: k1}
store: {sqlite: sts.db}
limits: {per_caller_per_second: 100000}
issuers: issuers.yaml
rules: [rules]
`

export const ISSUERS = `
corporate:
  issuer: ${CORPORATE}
  jwks_file: corporate.jwks.json
  algorithms: [RS256, ES256]
  token_types: [access_token, id_token]
  presented_by: {https://api.shop.example: [boutique/frontend, boutique/checkout]}
  scopes_from: [scope]
  subject_prefix: corp
agents:
  issuer: ${AGENTS}
  jwks_file: agents.jwks.json
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://agents.boutique.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: agent
`

/** A running deployment and what its tests need. */
export interface Deployment {
  readonly folder: string
  readonly settings: Settings
  readonly ruleset: Ruleset
  readonly server: RunningServer
  readonly corporate: TestKey
  readonly agents: TestKey
  readonly tokenUrl: string
  readonly publicUrl: string
  readonly adminUrl: string
  /** A read connection on the database. */
  readonly db: Database
  readonly logLines: readonly string[]
}

/** Writes the files of a deployment into a new folder, which goes when the test ends. */
export function writeDeployment(t: TestContext | undefined, files: Files = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-'))
  t?.after(() => rmSync(folder, { recursive: true, force: true }))
  const corporate = makeKey('RS256', 'corp-1')
  const agents = makeKey('ES256', 'agents-1')
  const all: Files = {
    'sts.yaml': SETTINGS,
    'issuers.yaml': ISSUERS,
    'corporate.jwks.json': jwksOf([corporate]),
    'agents.jwks.json': jwksOf([agents]),
    'rules/boutique.yaml': BOUTIQUE,
    ...files,
  }
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  writeEncryptionKeyFile(join(folder, 'k1'))
  return { folder, config: join(folder, 'sts.yaml'), corporate, agents }
}

/** Loads a deployment that must be right. */
export function loaded(config: string): { settings: Settings; ruleset: Ruleset } {
  const { settings, ruleset, problems } = loadDeployment(config, {})
  const errors = problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors.map(formatProblem), [])
  assert.ok(settings && ruleset)
  return { settings, ruleset }
}

/** Loads a deployment as `serve` does: its rules may be broken. */
export async function served(config: string): Promise<{ settings: Settings; rules: FoundRules }> {
  const deployment = await loadServedDeployment(config, {})
  assert.ok(deployment.ok, deployment.problems.map(formatProblem).join('\n'))
  return deployment
}

/** What `mesh-sts init` does. */
export async function initialise(settings: Settings, now = Date.now()): Promise<void> {
  const encryptionKeys = readEncryptionKeys(settings.keys.encryptionKeys)
  assert.ok(encryptionKeys.ok)
  const db = openDatabase(settings.store.sqlite, { create: true })
  migrate(db, MIGRATIONS, now)
  const made = await initKeys(db, {
    policy: keyPolicyOf(settings),
    encryptionKeys: encryptionKeys.value,
    now,
  })
  assert.ok(made.ok)
  db.close()
}

/** Starts a deployment; it ends with the test. */
export async function startDeployment(
  t: TestContext,
  files: Files = {},
  options: { readonly now?: () => number } = {},
): Promise<Deployment> {
  const { folder, config, corporate, agents } = writeDeployment(t, files)
  const { settings, ruleset } = loaded(config)
  await initialise(settings, options.now?.() ?? Date.now())
  const logLines: string[] = []
  const note = (data: object, message: string) =>
    void logLines.push(JSON.stringify({ message, ...data }))
  const server = await startServer(settings, {
    rules: (await served(config)).rules,
    log: { info: note, warn: note, error: note },
    writeLine: (line) => void logLines.push(line),
    migrationsFolder: MIGRATIONS,
    ...options,
  })
  t.after(() => server.stop())
  const db = openDatabase(settings.store.sqlite, { readonly: true })
  t.after(() => void db.close())
  const url = ({ port }: { port: number }) => `http://127.0.0.1:${port}`
  return {
    folder,
    settings,
    ruleset,
    server,
    corporate,
    agents,
    tokenUrl: `${url(server.addresses.token)}/token`,
    publicUrl: url(server.addresses.public),
    adminUrl: url(server.addresses.admin),
    db,
    logLines,
  }
}

/** The XFCC line of a sidecar in SANITIZE_SET for a caller of namespace boutique. */
export const xfcc = (name: string, by = STS): string =>
  `By=${by};Hash=${'0'.repeat(64)};Subject="";URI=spiffe://cluster.local/ns/boutique/sa/${name}`

/** A user's access token of the corporate issuer. */
export function userToken(
  deployment: Pick<Deployment, 'corporate'>,
  claims: Readonly<Record<string, unknown>> = {},
  now = Date.now(),
): string {
  const seconds = Math.floor(now / 1000)
  return signJwt(
    deployment.corporate,
    {
      iss: CORPORATE,
      sub: 'alice',
      aud: 'https://api.shop.example',
      scope: 'shop:browse shop:buy shop:verified',
      email: 'alice@shop.example',
      risk: 'low',
      phone: '+1',
      iat: seconds,
      exp: seconds + 3600,
      jti: 'user-token-1',
      ...claims,
    },
    { typ: 'at+jwt' },
  )
}

/** The form of frontend's exchange of a user's token for checkout; undefined leaves a parameter out. */
export const exchangeForm = (
  subjectToken: string,
  change: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> => {
  const form: Record<string, string | undefined> = {
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token: subjectToken,
    subject_token_type: TOKEN_TYPES.access_token,
    audience: 'https://checkout.boutique.example',
    scope: 'checkout:place',
    ...change,
  }
  return Object.fromEntries(
    Object.entries(form).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/** An answer of /token. */
export interface TokenAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

/** POSTs a form as a sidecar would. */
export async function post(
  url: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = { 'x-forwarded-client-cert': xfcc('frontend') },
): Promise<TokenAnswer> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}

/** The claims of a compact JWT, unverified. */
export const claimsOf = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString())
