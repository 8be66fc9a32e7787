// Owns the schema's history: numbered files, applied forward only, once each, and never edited afterwards.
// Must not know what a migration does.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from './database.ts'
import { StoreError } from './store-error.ts'

interface MigrationFile {
  readonly number: number
  readonly name: string
  readonly sql: string
  /** SHA-256 of the file's bytes, hex. */
  readonly checksum: string
}

interface AppliedMigration {
  readonly number: number
  readonly name: string
  readonly checksum: string
}

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

/**
 * Applies the files of `folder` that were not applied yet, all in one BEGIN IMMEDIATE transaction, so that
 * of several processes one does it and the others find it done.
 * Takes the time in ms since the epoch, gives the names of the files that it applied. Throws StoreError:
 * `migrations_unreadable`, `migration_edited`, `migration_missing`, `database_newer`, `migration_failed`;
 * then nothing has changed.
 */
export function migrate(db: Database, folder: string, now: number): readonly string[] {
  const files = readMigrations(folder)
  return db
    .transaction(() => {
      db.exec(`CREATE TABLE IF NOT EXISTS schema_migrations (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        applied_at INTEGER NOT NULL
      ) STRICT`)
      const pending = findPending(readApplied(db), files)
      for (const file of pending) apply(db, file, now)
      return pending.map((file) => file.name)
    })
    .immediate()
}

/**
 * Makes sure that the database has exactly the schema of this build, without changing anything.
 * Throws what `migrate` throws, or StoreError `database_not_migrated`.
 */
export function checkMigrated(db: Database, folder: string): void {
  const files = readMigrations(folder)
  const known = db
    .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'")
    .get()
  const pending = findPending(known === undefined ? [] : readApplied(db), files)
  if (pending.length > 0) {
    const names = pending.map((file) => file.name).join(', ')
    throw new StoreError(
      'database_not_migrated',
      `the database lacks ${names}: run "mesh-sts migrate"`,
    )
  }
}

function readMigrations(folder: string): readonly MigrationFile[] {
  const files = listSqlFiles(folder).map((name): MigrationFile => {
    const number = FILE_NAME.exec(name)?.[1]
    if (number === undefined) throw unreadable(`${name} is not named like 0001_what_it_adds.sql`)
    const bytes = readFileSync(join(folder, name))
    return {
      number: Number(number),
      name,
      sql: bytes.toString('utf8'),
      checksum: createHash('sha256').update(bytes).digest('hex'),
    }
  })
  if (files.length === 0) throw unreadable(`there is no migration in ${folder}`)
  files.forEach((file, index) => {
    if (file.number !== index + 1) {
      throw unreadable(
        `${file.name} should be number ${index + 1}: numbers have no gaps and no doubles`,
      )
    }
  })
  return files
}

function listSqlFiles(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.sql'))
      .sort()
  } catch (error) {
    throw unreadable(`cannot read ${folder}: ${error instanceof Error ? error.message : 'unknown'}`)
  }
}

function unreadable(text: string): StoreError {
  return new StoreError('migrations_unreadable', `the migrations are not usable: ${text}`)
}

function readApplied(db: Database): readonly AppliedMigration[] {
  return db
    .prepare<[], AppliedMigration>(
      'SELECT number, name, checksum FROM schema_migrations ORDER BY number',
    )
    .all()
}

/** The files that are not applied yet; throws where history and files do not agree. */
function findPending(
  applied: readonly AppliedMigration[],
  files: readonly MigrationFile[],
): readonly MigrationFile[] {
  for (const [index, row] of applied.entries()) {
    const file = files.find((candidate) => candidate.number === row.number)
    if (file === undefined && row.number > files.length) {
      throw new StoreError(
        'database_newer',
        `the database already has ${row.name}: it belongs to a newer mesh-sts, use that version`,
      )
    }
    if (file === undefined || row.number !== index + 1) {
      throw new StoreError('migration_missing', `the database's history does not fit: ${row.name}`)
    }
    if (file.checksum !== row.checksum) {
      throw new StoreError(
        'migration_edited',
        `${file.name} is not the file that was applied (${row.name}): migrations are never edited, ` +
          'add a new one',
      )
    }
  }
  return files.slice(applied.length)
}

function apply(db: Database, file: MigrationFile, now: number): void {
  try {
    db.exec(file.sql)
  } catch (error) {
    const text = error instanceof Error ? error.message : 'unknown'
    throw new StoreError('migration_failed', `${file.name} failed, nothing was changed: ${text}`, {
      cause: error,
    })
  }
  if (!db.inTransaction) {
    throw new StoreError('migration_failed', `${file.name} ended the transaction: it must not`)
  }
  db.prepare(
    'INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)',
  ).run(file.number, file.name, file.checksum, now)
}
