// Owns what commands share once the configuration is read: settings or their problems, the database, keys.
// Must not hold a command's own work.
import { readFileSync } from 'node:fs'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { loadSettings } from '../config/load-settings.ts'
import { formatProblem, type Problem, printable } from '../config/problem.ts'
import type { Settings } from '../config/settings.ts'
import { readEncryptionKeys } from '../keys/encryption-key-files.ts'
import type { EncryptionKeys } from '../keys/key-encryption.ts'
import type { KeyOutcome } from '../keys/key-outcome.ts'
import { type Database, openDatabase } from '../store/database.ts'
import { checkMigrated } from '../store/migrations.ts'
import { StoreError } from '../store/store-error.ts'
import { type CliIo, EXIT_FAILED, printJson } from './io.ts'

/** Absolute path of the configuration file: the option, else STS_CONFIG, else sts.yaml here. */
export function configFileOf(option: string | undefined, io: CliIo): string {
  return resolve(io.cwd, option ?? io.env.STS_CONFIG ?? 'sts.yaml')
}

/** How a file is shown: relative where it is below the working directory. */
export function shownFile(file: string, io: Pick<CliIo, 'cwd'>): string {
  if (!isAbsolute(file)) return file
  const path = relative(io.cwd, file)
  return path === '' || path.startsWith('..') ? file : path
}

/** Nobody reads more; `--json` has all. */
const MAX_PROBLEMS_SHOWN = 200

/** Writes problems to standard error, a line each. */
export function tellProblems(io: CliIo, problems: readonly Problem[]): void {
  for (const problem of problems.slice(0, MAX_PROBLEMS_SHOWN)) {
    io.stderr(`${formatProblem({ ...problem, file: shownFile(problem.file, io) })}\n`)
  }
  const left = problems.length - MAX_PROBLEMS_SHOWN
  if (left > 0) io.stderr(`and ${left} more\n`)
}

/** Reads the configuration as `serve` does. Tells its problems; undefined where one is an error. */
export function readSettings(
  option: string | undefined,
  io: CliIo,
  isJson: boolean,
): Settings | undefined {
  const configFile = configFileOf(option, io)
  const result = loadSettings({
    configFile,
    env: io.env,
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  if (result.ok) {
    if (!isJson) tellProblems(io, result.problems)
    return result.settings
  }
  if (isJson) printJson(io, { ok: false, problems: result.problems })
  else tellProblems(io, result.problems)
  return undefined
}

/** Tells why a command did not work; gives its exit code. */
export function tellFailure(
  io: CliIo,
  isJson: boolean,
  { problem, message }: { readonly problem: string; readonly message: string },
): number {
  if (isJson) printJson(io, { ok: false, problem, message })
  else io.stderr(`mesh-sts: ${printable(message)}\n`)
  return EXIT_FAILED
}

/** Runs work on the store and tells what the store could not do. Other errors are bugs. */
export async function withStoreErrors(
  io: CliIo,
  isJson: boolean,
  work: () => Promise<number> | number,
): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return tellFailure(io, isJson, error)
  }
}

/** Reads the settings, opens a migrated database, runs, closes it; tells what is wrong on the way. */
export async function withDatabase(
  call: {
    readonly config: string | undefined
    readonly isJson: boolean
    readonly readonly?: boolean
  },
  io: CliIo,
  work: (db: Database, settings: Settings) => Promise<number> | number,
): Promise<number> {
  const settings = readSettings(call.config, io, call.isJson)
  if (settings === undefined) return EXIT_FAILED
  return withStoreErrors(io, call.isJson, async () => {
    const db = openDatabase(settings.store.sqlite, { readonly: call.readonly ?? false })
    try {
      checkMigrated(db, migrationsFolder(io))
      return await work(db, settings)
    } finally {
      db.close()
    }
  })
}

/** The migrations of this version. */
export const migrationsFolder = (io: Pick<CliIo, 'packageFolder'>): string =>
  join(io.packageFolder, 'migrations')

/** The key-encryption keys that the settings name. */
export const encryptionKeysOf = (settings: Settings): KeyOutcome<EncryptionKeys> =>
  readEncryptionKeys(settings.keys.encryptionKeys)
