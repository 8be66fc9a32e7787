// Owns the rows of signing keys: reading them in one look, and writing a change as a compare-and-swap.
// Must not decide what changes.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { Database } from '../store/database.ts'
import type { NewKey } from './generate-key.ts'
import type { SealedKey } from './key-encryption.ts'
import type { KeyRecord, KeyState } from './key-state.ts'

/** A key as it is stored. */
export interface StoredKey {
  readonly record: KeyRecord
  /** The public JWK as JSON; not yet checked. */
  readonly publicJwk: string
  /** Undefined for keys that sign no more. */
  readonly sealed: SealedKey | undefined
}

/** All keys that ever were, and the time of the last tick, as of one moment. */
export interface KeySnapshot {
  readonly keys: readonly StoredKey[]
  readonly lastTickAt: number | undefined
}

/** What a change leaves behind. */
export interface KeyChange {
  /** Every key's new record, those of `added` included. */
  readonly records: readonly KeyRecord[]
  readonly added: readonly NewKey[]
  readonly lastTickAt: number
}

interface Row {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly state: KeyState
  readonly public_jwk: string
  readonly created_at: number
  readonly published_at: number
  readonly activated_at: number | null
  readonly retired_at: number | null
  readonly removed_at: number | null
  readonly signs_until: number | null
  readonly encryption_key_id: string | null
  readonly wrapped_data_key: Buffer | null
  readonly private_key: Buffer | null
}

/** Keys that stop signing are written first: the indexes allow one active key per algorithm at any moment. */
const WRITE_ORDER: readonly KeyState[] = ['gone', 'retiring', 'active', 'next']

/** Reads everything in one read transaction. Throws where the store cannot be read. */
export function readKeys(db: Database): KeySnapshot {
  return db.transaction((): KeySnapshot => {
    const rows = db.prepare<[], Row>('SELECT * FROM signing_keys ORDER BY kid').all()
    const clock = db
      .prepare<[], { last_tick_at: number }>('SELECT last_tick_at FROM signing_key_clock')
      .get()
    return { keys: rows.map(toStoredKey), lastTickAt: clock?.last_tick_at }
  })()
}

/**
 * Reads, plans and writes in one BEGIN IMMEDIATE transaction: of several processes each sees what the one
 * before it did. `plan` gives undefined where nothing is to be written. Gives the state afterwards.
 */
export function changeKeys(
  db: Database,
  plan: (snapshot: KeySnapshot) => KeyChange | undefined,
): KeySnapshot {
  return db
    .transaction((): KeySnapshot => {
      const before = readKeys(db)
      const change = plan(before)
      if (change === undefined) return before
      writeChange(db, before, change)
      return readKeys(db)
    })
    .immediate()
}

/** Replaces the wrapped data key of keys that still have one. */
export function replaceWrappedKeys(
  db: Database,
  rewrap: (key: StoredKey, sealed: SealedKey) => SealedKey,
): number {
  const update = db.prepare(
    'UPDATE signing_keys SET encryption_key_id = ?, wrapped_data_key = ? WHERE kid = ? AND wrapped_data_key = ?',
  )
  return db
    .transaction(() => {
      let count = 0
      for (const key of readKeys(db).keys) {
        if (key.sealed === undefined) continue
        const fresh = rewrap(key, key.sealed)
        if (fresh === key.sealed) continue
        count += update.run(
          fresh.encryptionKeyId,
          fresh.wrappedDataKey,
          key.record.kid,
          key.sealed.wrappedDataKey,
        ).changes
      }
      return count
    })
    .immediate()
}

function writeChange(db: Database, before: KeySnapshot, change: KeyChange): void {
  const known = new Map(before.keys.map((key) => [key.record.kid, key.record]))
  const added = new Map(change.added.map((key) => [key.kid, key]))
  for (const state of WRITE_ORDER) {
    for (const record of change.records) {
      if (record.state !== state) continue
      const old = known.get(record.kid)
      const fresh = added.get(record.kid)
      if (old !== undefined) updateRecord(db, old, record)
      else if (fresh !== undefined) insertKey(db, record, fresh)
    }
  }
  db.prepare(
    'INSERT INTO signing_key_clock (id, last_tick_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET last_tick_at = excluded.last_tick_at',
  ).run(change.lastTickAt)
}

function updateRecord(db: Database, old: KeyRecord, record: KeyRecord): void {
  if (old === record) return
  const signs = record.state === 'next' || record.state === 'active'
  const { changes } = db
    .prepare(
      `UPDATE signing_keys SET state = ?, published_at = ?, activated_at = ?, retired_at = ?, removed_at = ?,
         signs_until = ?${signs ? '' : ', encryption_key_id = NULL, wrapped_data_key = NULL, private_key = NULL'}
       WHERE kid = ? AND state = ?`,
    )
    .run(
      record.state,
      record.publishedAt,
      record.activatedAt ?? null,
      record.retiredAt ?? null,
      record.removedAt ?? null,
      record.signsUntil ?? null,
      record.kid,
      old.state,
    )
  if (changes !== 1) throw new Error('a signing key changed within the transaction that read it')
}

function insertKey(db: Database, record: KeyRecord, key: NewKey): void {
  db.prepare(
    `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, created_at, published_at, activated_at,
       signs_until, encryption_key_id, wrapped_data_key, private_key)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    key.kid,
    key.algorithm,
    record.state,
    JSON.stringify(key.jwk),
    record.createdAt,
    record.publishedAt,
    record.activatedAt ?? null,
    record.signsUntil ?? null,
    key.sealed.encryptionKeyId,
    key.sealed.wrappedDataKey,
    key.sealed.privateKey,
  )
}

function toStoredKey(row: Row): StoredKey {
  const { encryption_key_id: id, wrapped_data_key: wrapped, private_key: sealed } = row
  return {
    record: {
      kid: row.kid,
      algorithm: row.algorithm,
      state: row.state,
      createdAt: row.created_at,
      publishedAt: row.published_at,
      activatedAt: row.activated_at ?? undefined,
      retiredAt: row.retired_at ?? undefined,
      removedAt: row.removed_at ?? undefined,
      signsUntil: row.signs_until ?? undefined,
    },
    publicJwk: row.public_jwk,
    sealed:
      id === null || wrapped === null || sealed === null
        ? undefined
        : { encryptionKeyId: id, wrappedDataKey: wrapped, privateKey: sealed },
  }
}
