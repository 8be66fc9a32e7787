// Owns which build of better-sqlite3 this Node can run (docs/decisions/0001). Must not open anything by itself.
import { createRequire } from 'node:module'
import { versions } from 'node:process'
import type BetterSqlite from 'better-sqlite3'

/** The constructor of connections. */
export type Sqlite = typeof BetterSqlite

/** better-sqlite3 13 needs it; Node 20 ends at 9, where loading 13 kills the process. */
const NODE_API_OF_13 = 10

/**
 * The package for a Node-API version. 12 is built on node::ObjectWrap, which on Node 24.19 and later aborts
 * the process when a statement is collected, so the two cannot be exchanged.
 */
export const sqlitePackageFor = (nodeApi: string | undefined): string =>
  Number(nodeApi) >= NODE_API_OF_13 ? 'better-sqlite3' : 'better-sqlite3-node20'

/** Loads the package; throws where it, or its native part, is missing. */
export const loadSqlite = (): Sqlite =>
  createRequire(import.meta.url)(sqlitePackageFor(versions.napi)) as Sqlite
