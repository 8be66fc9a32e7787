// Owns a deployment that has every listener, every client authentication and every kind of rule, for black-box tests.
// Must not hold tests, nor fake any part.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext } from 'node:test'
import { loadDeployment } from '../../src/cli/deployment.ts'
import { issueSvid, makeCa, type TestCa } from '../support/certificates.ts'
import { type Deployment, STS, startDeployment, writeDeployment } from '../support/deployment.ts'
import { type JwksServer, jwksOf, makeKey, startJwksServer } from '../support/jwt-fixtures.ts'
import {
  BOUTIQUE_RULES,
  DEPOT_RULES,
  FULL_ISSUERS,
  fullSettings,
  NOWHERE,
  PARTNER_RULES,
} from './full-configuration.ts'

/** Who signs what; the same keys in every deployment of a process. */
export const KEYS = {
  bundle: makeKey('ES256', 'bundle-1'),
  cluster: makeKey('ES256', 'cluster-1'),
  batch: makeKey('ES256', 'batch-1'),
  batchRsa: makeKey('RS256', 'batch-rsa'),
  /** In the bundle, but for X.509-SVIDs; and one that says nothing of its use. */
  x509: makeKey('ES256', 'x509-1'),
  unmarked: makeKey('ES256', 'unmarked-1'),
  stranger: makeKey('ES256', 'stranger-1'),
} as const

/** A deployment with everything on. */
export interface FullDeployment extends Deployment {
  readonly mtlsUrl: string
  readonly externalUrl: string
  /** The mesh's authority. */
  readonly ca: TestCa
  /** Serves the keys of {@link NOWHERE} and of partner.example: it fails until a test says otherwise. */
  readonly keyServer: JwksServer
}

/** Settings to replace, entries to add to the issuers file, and files to add or replace. */
export interface FullOptions {
  readonly issuers?: string
  readonly settings?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
  readonly now?: () => number
}

/** What a helper needs of a test: something that runs when it ends. */
export type Scope = Pick<TestContext, 'after'>

/** The bundle of cluster.local, in the SPIFFE format. */
function trustBundle(): string {
  const { use: _, ...unmarked } = KEYS.unmarked.jwk
  const keys = [
    { ...KEYS.bundle.jwk, use: 'jwt-svid' },
    { ...KEYS.x509.jwk, use: 'x509-svid' },
    unmarked,
    { kty: 'AKP', use: 'jwt-svid', kid: 'post-quantum', alg: 'ML-DSA-44' },
  ]
  return jwksOf(keys, { spiffe_sequence: 7, spiffe_refresh_hint: 60 })
}

/** The files of a full deployment. */
export function fullFiles(
  ca: TestCa,
  nowhereUrl: string,
  { settings, files, issuers = '' }: FullOptions = {},
): Record<string, string> {
  const server = issueSvid(ca, STS, { dns: ['localhost'], ips: ['127.0.0.1'] })
  const nowhere = `
nowhere:
  issuer: ${NOWHERE}
  jwks_uri: ${nowhereUrl}
  algorithms: [ES256, RS256]
  token_types: [access_token]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: nowhere
`
  return {
    'sts.yaml': fullSettings(settings).replace('NOWHERE', nowhereUrl),
    'issuers.yaml': FULL_ISSUERS + nowhere + issuers,
    'rules/boutique.yaml': BOUTIQUE_RULES,
    'rules/depot.yaml': DEPOT_RULES,
    'rules/partners.yaml': PARTNER_RULES,
    'rules/batch.jwks.json': jwksOf([KEYS.batch, KEYS.batchRsa]),
    'bundle.json': trustBundle(),
    'cluster.jwks.json': jwksOf([KEYS.cluster]),
    'mesh.crt': ca.certPem,
    'server.crt': server.certPem,
    'server.key': server.keyPem,
    ...files,
  }
}

/** Starts a full deployment; it ends with the scope. */
export async function startFullDeployment(
  scope: Scope,
  options: FullOptions = {},
): Promise<FullDeployment> {
  const keyServer = await startJwksServer()
  scope.after(() => keyServer.close())
  keyServer.handle((_request, response) => void response.writeHead(503).end())
  const ca = makeCa('cluster.local')
  const deployment = await startDeployment(
    scope as TestContext,
    fullFiles(ca, keyServer.url, options),
    options.now === undefined ? {} : { now: options.now },
  )
  const { tokenMtls, tokenExternal } = deployment.server.addresses
  return {
    ...deployment,
    mtlsUrl: `https://127.0.0.1:${tokenMtls?.port}/token`,
    externalUrl: `https://127.0.0.1:${tokenExternal?.port}/token`,
    ca,
    keyServer,
  }
}

/**
 * One full deployment for all tests of a suite; called in the body of `describe`. `options` is asked
 * when it starts, after earlier `before` hooks.
 */
export function sharedFullDeployment(
  options: () => FullOptions = () => ({}),
): () => FullDeployment {
  const closers: (() => unknown)[] = []
  let full: FullDeployment | undefined
  before(async () => {
    full = await startFullDeployment(
      { after: (close) => void closers.unshift(close as () => unknown) },
      options(),
    )
  })
  after(async () => {
    for (const close of closers) await close()
  })
  return () => {
    if (full === undefined) throw new Error('the deployment is started before the tests')
    return full
  }
}

/** What the loader says of a full deployment with other settings or files. */
export function problemsOf(scope: Scope, options: FullOptions): readonly string[] {
  const files = fullFiles(makeCa('cluster.local'), 'http://127.0.0.1:9/jwks', options)
  const { config } = writeDeployment(scope as TestContext, files)
  return loadDeployment(config, {}).problems.map(({ message }) => message)
}

/** A full deployment that is wrong in one thing does not load, for that reason alone. */
export function refusedAtLoad(scope: Scope, options: FullOptions, problem: RegExp): void {
  const problems = problemsOf(scope, options)
  assert.equal(problems.length, 1, problems.join('\n'))
  assert.match(problems[0] ?? '', problem)
}

/** A folder that goes with the scope. */
export function temporaryFolder(scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-e2e-'))
  scope.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A file of a deployment, as text. */
export const fileOf = ({ folder }: Pick<Deployment, 'folder'>, name: string): string =>
  readFileSync(join(folder, name), 'utf8')
