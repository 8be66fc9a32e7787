// Owns opening the SQLite file: its pragmas, its mode, and the refusal to create one unasked.
// Must not know any table.
import { closeSync, existsSync, openSync } from 'node:fs'
import type BetterSqlite from 'better-sqlite3'
import { loadSqlite } from './sqlite.ts'
import { StoreError } from './store-error.ts'

/** An open connection; close it with `close()`. Connections are not shared between threads. */
export type Database = BetterSqlite.Database

/** Longer than any transaction of this program, shorter than a caller waits. */
const BUSY_TIMEOUT_MS = 5000

/** What SQLite keeps beside a database, and replays into whatever file has its name. */
const BESIDE = ['-wal', '-shm', '-journal'] as const

/** Only the owner may read it: it holds (encrypted) private keys and the audit. */
const FILE_MODE = 0o600

/** Several processes may switch a new file to WAL at once; SQLite does not wait there by itself. */
const WAL_ATTEMPTS = 100
const WAL_RETRY_MS = 20

export interface OpenOptions {
  /** Opens without the right to write. */
  readonly readonly?: boolean
  /** Creates the file (mode 0600) if it is not there. Only `init` and the development profile ask for it. */
  readonly create?: boolean
  /** How long a statement waits for another connection's lock; 5 s unless told. */
  readonly busyTimeoutMs?: number
}

/**
 * Opens the database at `path`: WAL, every commit synced to disk (P3), foreign keys enforced, functions
 * in the schema not trusted.
 * Throws StoreError `database_missing`, so that a lost volume is an error and never an empty new
 * database, `database_exists` where a new one would meet the log of an old one, or `database_unreadable`.
 */
export function openDatabase(path: string, options: OpenOptions = {}): Database {
  const { readonly = false, create = false, busyTimeoutMs = BUSY_TIMEOUT_MS } = options
  if (!existsSync(path)) {
    if (!create || readonly) {
      throw new StoreError(
        'database_missing',
        `there is no database at ${path}: mount the volume that holds it, restore a backup with ` +
          '"mesh-sts restore", or make a new one with "mesh-sts init"',
      )
    }
    const leftover = findLeftover(path)
    // Where the database is there by now, another process was faster and these are its files.
    if (leftover !== undefined && !existsSync(path)) throw leftoverExists(leftover)
    createFile(path)
  }
  let db: Database | undefined
  try {
    const Sqlite = loadSqlite()
    db = new Sqlite(path, { readonly, fileMustExist: true, timeout: busyTimeoutMs })
    if (!readonly) useWriteAheadLog(db)
    // Durable means synced: in WAL mode only FULL syncs at each commit.
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    return db
  } catch (error) {
    db?.close()
    throw new StoreError(
      'database_unreadable',
      `cannot open the database at ${path}: ${textOf(error)}`,
      {
        cause: error,
      },
    )
  }
}

/** The first file of another database that is in the way of a new one at `path`. */
export function findLeftover(path: string): string | undefined {
  return BESIDE.map((suffix) => path + suffix).find((file) => existsSync(file))
}

/** The refusal to make a database beside what {@link findLeftover} found. It may hold the last audit rows. */
export function leftoverExists(leftover: string): StoreError {
  return new StoreError(
    'database_exists',
    `there is a file of an older database at ${leftover}, which would be replayed into the new one: move ` +
      'the old database and its -wal and -shm files away together',
  )
}

function createFile(path: string): void {
  try {
    // SQLite gives its -wal and -shm files the mode of the main file.
    closeSync(openSync(path, 'wx', FILE_MODE))
  } catch (error) {
    // Another process was faster: then it is there.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new StoreError(
      'database_unreadable',
      `cannot create the database at ${path}: ${textOf(error)}`,
      {
        cause: error,
      },
    )
  }
}

function useWriteAheadLog(db: Database): void {
  for (let attempt = 1; ; attempt++) {
    try {
      if (db.pragma('journal_mode', { simple: true }) === 'wal') return
      if (db.pragma('journal_mode = WAL', { simple: true }) === 'wal') return
      throw new Error('this file system does not support write-ahead logging')
    } catch (error) {
      if (!isBusy(error) || attempt === WAL_ATTEMPTS) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS)
    }
  }
}

/** Whether another connection held the lock for longer than the busy timeout. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY')
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
