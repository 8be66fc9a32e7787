// A database with the shipped schema, keys to encrypt with, and clocks that only move when told.
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readEncryptionKeys, writeEncryptionKeyFile } from '../../src/keys/encryption-key-files.ts'
import type { EncryptionKeys } from '../../src/keys/key-encryption.ts'
import type { KeyPolicy } from '../../src/keys/key-policy.ts'
import { initKeys } from '../../src/keys/operations.ts'
import { createSigningKeys, type SigningKeys } from '../../src/keys/signing-keys.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'
import type { SignClaims } from '../../src/tokens/mint.ts'
import { temporaryFolder } from '../store/temporary.ts'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
/** Any moment will do. */
export const START = Date.UTC(2026, 10, 23)

export const POLICY: KeyPolicy = {
  algorithms: ['ES256'],
  publishBeforeMs: 2 * HOUR,
  signForMs: DAY,
  maxTokenLifetimeMs: HOUR,
}

/** Takes the value out of an outcome, or fails the test with its message. */
export function must<T>(outcome: { ok: true; value: T } | { ok: false; message: string }): T {
  if (!outcome.ok) throw new Error(outcome.message)
  return outcome.value
}

/** Two key-encryption keys in files of their own. */
export function encryptionKeys(folder: string, current = 'k1'): EncryptionKeys {
  const files = { k1: join(folder, 'k1'), k2: join(folder, 'k2') }
  for (const path of Object.values(files)) {
    try {
      writeEncryptionKeyFile(path)
    } catch {
      // it is there already
    }
  }
  return must(readEncryptionKeys({ current, files }))
}

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly data: Record<string, unknown>
  readonly message: string
}

export interface Rig {
  readonly folder: string
  readonly path: string
  readonly db: Database
  readonly keks: EncryptionKeys
  readonly policy: KeyPolicy
  readonly lines: LogLine[]
  /** Wall and monotonic milliseconds; tests write them. */
  readonly clock: { wall: number; monotonic: number }
  /** A process's keys, over a connection of its own. */
  process(options?: { policy?: KeyPolicy; keks?: EncryptionKeys; db?: Database }): SigningKeys
  /** Time passes for a process that ticks all the while. */
  serve(keys: SigningKeys, ms: number): Promise<void>
}

/** A database with first keys, unless `init: false`. */
export async function rig(
  t: TestContext,
  options: { readonly policy?: Partial<KeyPolicy>; readonly init?: boolean } = {},
): Promise<Rig> {
  const folder = temporaryFolder(t)
  const path = join(folder, 'sts.db')
  const db = openDatabase(path, { create: true })
  t.after(() => db.close())
  migrate(db, 'migrations', START)
  const policy = { ...POLICY, ...options.policy }
  const keks = encryptionKeys(folder)
  if (options.init !== false) must(await initKeys(db, { policy, encryptionKeys: keks, now: START }))
  const clock = { wall: START, monotonic: 0 }
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (data: object, message: string) => {
    lines.push({ level, data: data as Record<string, unknown>, message })
  }
  return {
    folder,
    path,
    db,
    keks,
    policy,
    lines,
    clock,
    process: (own = {}) => {
      const connection = own.db ?? openDatabase(path, { busyTimeoutMs: 1 })
      // Thousands of ticks; what a power cut would do is not looked at here.
      connection.pragma('synchronous = OFF')
      t.after(() => connection.close())
      return createSigningKeys({
        db: connection,
        policy: own.policy ?? policy,
        encryptionKeys: own.keks ?? keks,
        now: () => clock.wall,
        monotonic: () => clock.monotonic,
        log: { info: at('info'), warn: at('warn'), error: at('error') },
      })
    },
    serve: async (keys, ms) => {
      for (let left = ms; left > 0; left -= MINUTE) {
        pass(clock, Math.min(left, MINUTE))
        await keys.tick()
      }
    },
  }
}

/** Time passes, on both clocks. */
export function pass(clock: Rig['clock'], ms: number): void {
  clock.wall += ms
  clock.monotonic += ms
}

/** Claims as they come from minting, expiring in a minute. */
export function claims(wall: number, more: object = {}): Parameters<SignClaims>[0] {
  const iat = Math.floor(wall / 1000)
  return {
    iss: 'https://sts.example',
    sub: 'corp:alice',
    aud: 'payment',
    client_id: 'spiffe://cluster.local/ns/boutique/sa/checkout',
    scope: 'payment:charge',
    iat,
    exp: iat + 60,
    jti: 'j1',
    ...more,
  } as unknown as Parameters<SignClaims>[0]
}
