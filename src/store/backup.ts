// Owns copies of the database: an online backup, and a restore that never overwrites or half-finishes.
// Must not know tables: what a restored database needs is done by the caller's `prepare`.
import { closeSync, existsSync, linkSync, openSync, rmSync } from 'node:fs'
import { type Database, openDatabase } from './database.ts'
import { StoreError } from './store-error.ts'

/** Only the owner may read a copy, as with the database itself. */
const FILE_MODE = 0o600

/**
 * Copies a database that may be in use to `path`, as of one moment, and checks the copy.
 * Throws StoreError `database_exists` (nothing is overwritten) or `database_damaged`.
 */
export async function backupDatabase(db: Database, path: string): Promise<void> {
  await copyInto(path, async (copy) => {
    await db.backup(copy)
    checkCopy(copy)
  })
}

/**
 * Puts a backup at `to`. `prepare` runs on the copy before it gets its name (the keys must not sign as if
 * nothing had happened), so that no half-restored database is ever found there.
 * Throws StoreError `database_missing`, `database_unreadable`, `database_damaged`, `database_exists`.
 */
export async function restoreDatabase(options: {
  readonly from: string
  readonly to: string
  readonly prepare: (db: Database) => void
}): Promise<void> {
  const { from, to, prepare } = options
  const source = openDatabase(from, { readonly: true })
  try {
    await copyInto(to, async (copy) => {
      await source.backup(copy)
      checkCopy(copy)
      const restored = openDatabase(copy)
      try {
        prepare(restored)
        // The file is renamed alone: everything has to be in it.
        restored.pragma('journal_mode = DELETE')
      } finally {
        restored.close()
      }
    })
  } finally {
    source.close()
  }
}

/** Makes a file beside its place, and gives it its name in one step that fails where the name is taken. */
async function copyInto(path: string, make: (copy: string) => Promise<void>): Promise<void> {
  const copy = `${path}.incomplete`
  if (existsSync(path)) throw exists(path)
  rmSync(copy, { force: true })
  closeSync(openSync(copy, 'wx', FILE_MODE))
  try {
    await make(copy)
    linkSync(copy, path)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(path) : error
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal'])
      rmSync(`${copy}${suffix}`, { force: true })
  }
}

function exists(path: string): StoreError {
  return new StoreError(
    'database_exists',
    `there is a file at ${path} already: move it away first, nothing is overwritten`,
  )
}

/** Leaves a file that is whole by itself: without a log beside it, so that it opens from a read-only place. */
function checkCopy(path: string): void {
  const db = openDatabase(path)
  try {
    const answer = db.pragma('integrity_check(1)', { simple: true })
    if (answer !== 'ok') {
      throw new StoreError(
        'database_damaged',
        `the copy of the database is damaged: ${String(answer)}`,
      )
    }
    db.pragma('journal_mode = DELETE')
  } finally {
    db.close()
  }
}
