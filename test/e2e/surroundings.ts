// Owns deployments whose surroundings are broken for real: a held store, a new algorithm, an API server.
// Must not hold tests, nor fake any part of the server.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { startServer } from '../../src/serve.ts'
import { openDatabase } from '../../src/store/database.ts'
import { issueSvid, makeCa } from '../support/certificates.ts'
import { type Deployment, loaded, MIGRATIONS, STS, served } from '../support/deployment.ts'
import { BOUTIQUE_RULES, CLUSTER, fullSettings, ISSUER } from './full-configuration.ts'
import {
  type FullDeployment,
  type FullOptions,
  type Scope,
  startFullDeployment,
  temporaryFolder,
} from './full-deployment.ts'

/** Another process holds the store's lock until it is released, or the scope ends. */
export function holdStore(scope: Scope, { settings }: Pick<Deployment, 'settings'>): () => void {
  const other = openDatabase(settings.store.sqlite)
  other.exec('BEGIN IMMEDIATE')
  const release = () => {
    if (!other.open) return
    other.exec('ROLLBACK')
    other.close()
  }
  scope.after(release)
  return release
}

/** A deployment that was made with ES256 alone, and serves on with RS256 added: its first key cannot sign yet. */
export async function startWithNewAlgorithm(scope: Scope): Promise<FullDeployment> {
  const keys = (algorithms: string) => ({
    keys: `{algorithms: [${algorithms}], encryption_keys: {current: k1, k1: k1}}`,
  })
  const first = await startFullDeployment(scope, {
    settings: keys('ES256'),
    files: { 'rules/boutique.yaml': BOUTIQUE_RULES.replace('    token: {algorithm: RS256}\n', '') },
  })
  await first.server.stop()
  writeFileSync(join(first.folder, 'rules/boutique.yaml'), BOUTIQUE_RULES)
  return restarted(scope, first, fullSettings(keys('ES256, RS256')))
}

/** The same folder, served again with other settings. */
export async function restarted(
  scope: Scope,
  before: FullDeployment,
  settingsText: string,
): Promise<FullDeployment> {
  const config = join(before.folder, 'sts.yaml')
  writeFileSync(config, settingsText.replace('NOWHERE', before.keyServer.url))
  const { ruleset } = loaded(config)
  const { settings, rules } = await served(config)
  const logLines: string[] = []
  const note = (data: object, message: string) =>
    void logLines.push(JSON.stringify({ message, ...data }))
  const server = await startServer(settings, {
    rules,
    log: { info: note, warn: note, error: note },
    writeLine: (line) => void logLines.push(line),
    migrationsFolder: MIGRATIONS,
  })
  scope.after(() => server.stop())
  const { token, tokenMtls, tokenExternal, public: published, admin } = server.addresses
  return {
    ...before,
    settings,
    ruleset,
    server,
    logLines,
    tokenUrl: `http://127.0.0.1:${token.port}/token`,
    mtlsUrl: `https://127.0.0.1:${tokenMtls?.port}/token`,
    externalUrl: `https://127.0.0.1:${tokenExternal?.port}/token`,
    publicUrl: `http://127.0.0.1:${published.port}`,
    adminUrl: `http://127.0.0.1:${admin.port}`,
  }
}

/** What an API server says to a TokenReview. */
export type Review = (answer: (status: number, body: object) => void, question: unknown) => void

/** A deployment that asks an API server about service-account tokens. */
export async function startWithTokenReview(
  scope: Scope,
  review: Review,
  files: NonNullable<FullOptions['files']> = {},
): Promise<FullDeployment> {
  const ca = makeCa('cluster.local')
  const own = issueSvid(ca, 'spiffe://cluster.local/api', { ips: ['127.0.0.1'] })
  const api = createServer({ cert: own.certPem, key: own.keyPem }, (request, response) => {
    let text = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      review((status, body) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      }, JSON.parse(text))
    })
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  scope.after(() => {
    api.close()
    api.closeAllConnections()
  })
  const folder = temporaryFolder(scope)
  writeFileSync(join(folder, 'ca.crt'), ca.certPem)
  writeFileSync(join(folder, 'token'), 'own-token')
  const url = `https://127.0.0.1:${(api.address() as AddressInfo).port}`
  const tokenReview = `{url: ${url}, ca_file: ${folder}/ca.crt, token_file: ${folder}/token}`
  const deployment = await startFullDeployment(scope, {
    files,
    settings: {
      listeners: `
  token: {address: 127.0.0.1:0, client_auth: [xfcc, kubernetes]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}`,
      client_auth: `
  xfcc: {proxies: [127.0.0.1], mode: sanitize_set, self: ${STS}}
  kubernetes: {trust_domain: cluster.local, issuer: ${CLUSTER}, audience: ${ISSUER}, token_review: ${tokenReview}}`,
    },
  })
  assert.ok(deployment.settings.clientAuth.kubernetes)
  return deployment
}
