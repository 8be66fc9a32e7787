// Owns the start of a development profile: credentials first, then the real server on the real loaders.
// Must not relax anything in code: what is relaxed stands in the profile's sts.yaml.
import { randomUUID } from 'node:crypto'
import type { FoundRules } from '../compose/first-rules.ts'
import { keyPolicyOf } from '../compose/key-policy.ts'
import type { Settings } from '../config/settings.ts'
import { readEncryptionKeys } from '../keys/encryption-key-files.ts'
import { initKeys } from '../keys/operations.ts'
import { StartError, startServer } from '../serve.ts'
import { openDatabase } from '../store/database.ts'
import { migrate } from '../store/migrations.ts'
import { startCredentialsServer } from './credentials-server.ts'
import { createIdentityProvider } from './identity-provider.ts'
import type { DevelopmentLog } from './log.ts'
import { type Profile, TRUST_DOMAIN, writeBundle } from './profile.ts'
import { createTrustDomain } from './trust-domain.ts'

export interface RunOptions {
  readonly profile: Profile
  /** As the loaders of every command read them from the profile's files. */
  readonly settings: Settings
  readonly rules: FoundRules
  /** The port of the identity provider and trust domain. */
  readonly identityPort: number
  readonly log: DevelopmentLog
  readonly migrationsFolder: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface RunningProfile {
  /** Closes everything; may be called once. */
  readonly stop: () => Promise<void>
}

/** Starts a prepared profile. Rejects with StartError, StoreError, or the system's error for a port. */
export async function runProfile(options: RunOptions): Promise<RunningProfile> {
  const { profile, settings, rules, log, now, migrationsFolder } = options
  const { addresses } = profile
  const identityProvider = createIdentityProvider({
    issuer: addresses.identity,
    key: profile.identityProviderKey,
    unpublishedKey: profile.unpublishedKey,
    now,
    newTokenId: randomUUID,
  })
  const trustDomain = createTrustDomain({
    name: TRUST_DOMAIN,
    key: profile.trustDomainKey,
    audience: addresses.issuer,
    now,
  })
  writeBundle(profile, trustDomain.bundle)

  await initStore(settings, migrationsFolder, now())
  const credentials = await startCredentialsServer({
    port: options.identityPort,
    identityProvider,
    trustDomain,
  })
  try {
    const server = await startServer(settings, {
      rules,
      log,
      // The audit of a profile is looked up, not followed: audit.stdout is off.
      writeLine: () => undefined,
      migrationsFolder,
      now,
    })
    const stop = async () => {
      await server.stop()
      await credentials.stop()
    }
    return { stop }
  } catch (error) {
    await credentials.stop()
    throw error
  }
}

/** What `mesh-sts init` and `migrate` do; in production they are steps of their own. */
async function initStore(settings: Settings, migrationsFolder: string, now: number): Promise<void> {
  const { current, files } = settings.keys.encryptionKeys
  const encryptionKeys = readEncryptionKeys({ current, files })
  if (!encryptionKeys.ok) throw new StartError(encryptionKeys.message)
  const db = openDatabase(settings.store.sqlite, { create: true })
  try {
    migrate(db, migrationsFolder, now)
    const policy = keyPolicyOf(settings)
    const made = await initKeys(db, { policy, encryptionKeys: encryptionKeys.value, now })
    if (!made.ok && made.problem !== 'keys_exist') throw new StartError(made.message)
  } finally {
    db.close()
  }
}
