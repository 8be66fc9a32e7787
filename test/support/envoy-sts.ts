// Owns an STS as the shipped manifests configure it, on free ports, with a real store and real keys.
// Must not relax anything: only addresses, folders and the identity provider's keys differ.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { loadServedDeployment } from '../../src/cli/served-deployment.ts'
import { keyPolicyOf } from '../../src/compose/key-policy.ts'
import { readEncryptionKeys, writeEncryptionKeyFile } from '../../src/keys/encryption-key-files.ts'
import { initKeys } from '../../src/keys/operations.ts'
import { type RunningServer, startServer } from '../../src/serve.ts'
import { openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'
import { type Manifest, manifest } from './istio-manifests.ts'
import type { TestKey } from './jwt-fixtures.ts'

export interface ShippedSts {
  readonly server: RunningServer
  readonly issuer: string
  stop(): Promise<void>
}

const MIGRATIONS = 'migrations'

/** Starts the STS of deploy/istio; its identity provider `corporate` signs with `idpKey`. */
export async function startShippedSts(
  idpKey: TestKey,
  manifests?: Manifest[],
): Promise<ShippedSts> {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-'))
  const configFile = writeConfiguration(folder, idpKey, manifests)
  const deployment = await loadServedDeployment(configFile, {})
  if (!deployment.ok) throw new Error(JSON.stringify(deployment.problems))
  const { settings } = deployment

  // What `mesh-sts init` does.
  const encryptionKeys = readEncryptionKeys(settings.keys.encryptionKeys)
  if (!encryptionKeys.ok) throw new Error(encryptionKeys.message)
  const db = openDatabase(settings.store.sqlite, { create: true })
  migrate(db, MIGRATIONS, Date.now())
  const made = await initKeys(db, {
    policy: keyPolicyOf(settings),
    encryptionKeys: encryptionKeys.value,
    now: Date.now(),
  })
  db.close()
  if (!made.ok) throw new Error(made.message)

  const server = await startServer(settings, {
    rules: deployment.rules,
    log: { info() {}, warn() {}, error() {} },
    writeLine() {},
    migrationsFolder: MIGRATIONS,
  })
  return {
    server,
    issuer: settings.issuer,
    async stop() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The ConfigMaps as files (JSON is YAML), with this machine's places in them. */
function writeConfiguration(folder: string, idpKey: TestKey, manifests?: Manifest[]): string {
  const config = manifest('ConfigMap', 'mesh-sts-config', manifests).data
  const sts = load(config['sts.yaml']) as {
    listeners: Record<string, { address: string }>
    keys: { encryption_keys: Record<string, string> }
  } & Record<string, unknown>
  for (const listener of Object.values(sts.listeners)) listener.address = '127.0.0.1:0'
  writeEncryptionKeyFile(join(folder, 'k1'))
  sts.keys.encryption_keys = { current: 'k1', k1: 'k1' }
  sts.store = { sqlite: 'sts.db' }
  sts.issuers = 'issuers.yaml'
  sts.rules = ['rules']

  const issuers = load(config['issuers.yaml']) as Record<string, Record<string, unknown>>
  for (const issuer of Object.values(issuers)) {
    delete issuer.jwks_uri
    issuer.jwks_file = 'idp.jwks.json'
  }

  mkdirSync(join(folder, 'rules'))
  const rules = manifest('ConfigMap', 'mesh-sts-rules', manifests).data as Record<string, string>
  for (const [name, text] of Object.entries(rules)) writeFileSync(join(folder, 'rules', name), text)
  writeFileSync(join(folder, 'idp.jwks.json'), JSON.stringify({ keys: [idpKey.jwk] }))
  writeFileSync(join(folder, 'issuers.yaml'), JSON.stringify(issuers))
  writeFileSync(join(folder, 'sts.yaml'), JSON.stringify(sts))
  return join(folder, 'sts.yaml')
}
