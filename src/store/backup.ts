// Owns copies of the database: an online backup, and a restore that never overwrites or half-finishes.
// Must not know tables: what a restored database needs is done by the caller's `prepare`.
import { closeSync, existsSync, linkSync, openSync, rmSync, statSync } from 'node:fs'
import { type Database, findLeftover, leftoverExists, openDatabase } from './database.ts'
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
 * nothing had happened), so that no half-restored database is ever found there. `check` then looks at it
 * under its name, as `serve` will find it, and throws where it is not what `prepare` made.
 * Throws StoreError `database_missing`, `database_unreadable`, `database_damaged`, `database_exists`.
 */
export async function restoreDatabase(options: {
  readonly from: string
  readonly to: string
  readonly prepare: (db: Database) => void
  readonly check: (db: Database) => void
}): Promise<void> {
  const { from, to, prepare, check } = options
  const source = openDatabase(from, { readonly: true })
  try {
    const make = async (copy: string): Promise<void> => {
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
    }
    await copyInto(to, make, (path) => checkRestored(path, check))
  } finally {
    source.close()
  }
}

/** Makes a file beside its place, and gives it its name in one step that fails where the name is taken. */
async function copyInto(
  path: string,
  make: (copy: string) => Promise<void>,
  checkLinked: (path: string) => void = () => undefined,
): Promise<void> {
  const copy = `${path}.incomplete`
  if (existsSync(path)) throw exists(path)
  refuseLeftover(path)
  // What a run that was killed left of its own copy.
  removeCopy(copy)
  closeSync(openSync(copy, 'wx', FILE_MODE))
  try {
    await make(copy)
    refuseLeftover(path)
    link(copy, path)
    try {
      checkLinked(path)
    } catch (error) {
      // Only the name that was just given; what the copy was made of is where it was.
      if (statSync(path, { throwIfNoEntry: false })?.ino === statSync(copy).ino) rmSync(path)
      throw error
    }
  } finally {
    removeCopy(copy)
  }
}

function removeCopy(copy: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${copy}${suffix}`, { force: true })
}

function link(copy: string, path: string): void {
  try {
    linkSync(copy, path)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(path) : error
  }
}

function refuseLeftover(path: string): void {
  const leftover = findLeftover(path)
  if (leftover !== undefined) throw leftoverExists(leftover)
}

function exists(path: string): StoreError {
  return new StoreError(
    'database_exists',
    `there is a file at ${path} already: move it away first, a database and its -wal and -shm files ` +
      'together; nothing is overwritten',
  )
}

/** Leaves a file that is whole by itself: without a log beside it, so that it opens from a read-only place. */
function checkCopy(path: string): void {
  const db = openDatabase(path)
  try {
    checkIntegrity(db)
    db.pragma('journal_mode = DELETE')
  } finally {
    db.close()
  }
}

/** Reads it as it is: a log that came up beside it shows here, and is not written into it. */
function checkRestored(path: string, check: (db: Database) => void): void {
  const db = openDatabase(path, { readonly: true })
  try {
    checkIntegrity(db)
    check(db)
  } finally {
    db.close()
  }
}

function checkIntegrity(db: Database): void {
  const answer = db.pragma('integrity_check(1)', { simple: true })
  if (answer !== 'ok') {
    throw new StoreError(
      'database_damaged',
      `the copy of the database is damaged: ${String(answer)}`,
    )
  }
}
