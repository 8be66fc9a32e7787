// Owns `init`: the only way to a new database and to keys that sign without a lead.
// Must not touch anything that is already there.

import { existsSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { keyPolicyOf } from '../compose/key-policy.ts'
import type { Settings } from '../config/settings.ts'
import { writeEncryptionKeyFile } from '../keys/encryption-key-files.ts'
import type { KeyOutcome } from '../keys/key-outcome.ts'
import { initKeys, type KeyChanges } from '../keys/operations.ts'
import { findLeftover, leftoverExists, openDatabase } from '../store/database.ts'
import { migrate } from '../store/migrations.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION } from './command.ts'
import {
  encryptionKeysOf,
  migrationsFolder,
  readSettings,
  tellFailure,
  withStoreErrors,
} from './configured.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from './io.ts'

/** `mesh-sts init` */
export const init = defineCommand(
  {
    name: 'init',
    summary: 'Make the database and the first signing keys. Run it once, before the first serve.',
    details: [
      'Nothing that exists is touched: if there is a database or a key file already, init refuses.\n' +
        'The first keys are the only ones that ever sign without having been published before.',
    ],
    options: {
      config: CONFIG_OPTION,
      'make-encryption-key': {
        help: 'Also make the file of the current key-encryption key.',
      },
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const isJson = args.has('json')
    const settings = readSettings(args.text('config'), io, isJson)
    if (settings === undefined) return EXIT_FAILED
    const makesKeyFile = args.has('make-encryption-key')
    const obstacle = findObstacle(settings, makesKeyFile)
    if (obstacle !== undefined) return tellFailure(io, isJson, obstacle)
    const keyFile = currentKeyFile(settings)
    if (makesKeyFile) writeEncryptionKeyFile(keyFile)
    return withStoreErrors(io, isJson, async () => {
      const made = await makeDatabase(settings, io)
      if (!made.ok) return tellFailure(io, isJson, made)
      const result = {
        ok: true,
        database: settings.store.sqlite,
        encryptionKey: {
          id: settings.keys.encryptionKeys.current,
          file: keyFile,
          made: makesKeyFile,
        },
        signingKeys: made.value.created,
      }
      if (isJson) printJson(io, result)
      else io.stdout(report(result, settings.configFile))
      return EXIT_OK
    })
  },
)

/** Looks for everything that would be in the way, before anything is made. */
function findObstacle(
  settings: Settings,
  makesKeyFile: boolean,
): { problem: string; message: string } | undefined {
  const { sqlite } = settings.store
  if (existsSync(sqlite)) {
    return {
      problem: 'database_exists',
      message: `there is a database at ${sqlite} already: init makes only new ones; to make one move it and its -wal and -shm files away together`,
    }
  }
  const leftover = findLeftover(sqlite)
  if (leftover !== undefined) return leftoverExists(leftover)
  if (makesKeyFile && existsSync(currentKeyFile(settings))) {
    return {
      problem: 'encryption_key_exists',
      message: `there is a file at ${currentKeyFile(settings)} already: leave out --make-encryption-key to use it`,
    }
  }
  const places = makesKeyFile ? [sqlite, currentKeyFile(settings)] : [sqlite]
  const folder = places.map(dirname).find((place) => !isFolder(place))
  return folder === undefined
    ? undefined
    : { problem: 'folder_missing', message: `the folder ${folder} does not exist: make it first` }
}

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const currentKeyFile = ({ keys }: Settings): string =>
  keys.encryptionKeys.files[keys.encryptionKeys.current] ?? ''

/** Makes the whole database, or none: half a database would look like a damaged one. */
async function makeDatabase(settings: Settings, io: CliIo): Promise<KeyOutcome<KeyChanges>> {
  const encryptionKeys = encryptionKeysOf(settings)
  if (!encryptionKeys.ok) return encryptionKeys
  const { sqlite } = settings.store
  const db = openDatabase(sqlite, { create: true })
  let isWhole = false
  try {
    const now = io.now()
    migrate(db, migrationsFolder(io), now)
    const policy = keyPolicyOf(settings)
    const made = await initKeys(db, { policy, encryptionKeys: encryptionKeys.value, now })
    isWhole = made.ok
    return made
  } finally {
    db.close()
    if (!isWhole)
      for (const suffix of ['', '-wal', '-shm']) rmSync(sqlite + suffix, { force: true })
  }
}

function report(
  result: {
    readonly database: string
    readonly encryptionKey: { readonly id: string; readonly file: string; readonly made: boolean }
    readonly signingKeys: readonly string[]
  },
  config: string,
): string {
  const { database, encryptionKey, signingKeys } = result
  const keyFile = `key-encryption key ${encryptionKey.id}  ${encryptionKey.file}`
  return [
    'Made:',
    `  database  ${database} (only its owner may read it)`,
    ...signingKeys.map((kid) => `  signing key  ${kid}`),
    ...(encryptionKey.made ? [`  ${keyFile}`] : []),
    '',
    'Next:',
    `  1. Keep a copy of ${encryptionKey.file} apart from backups of the database: without it they are worthless.`,
    `  2. mesh-sts rules check --files --config ${config}`,
    `  3. mesh-sts serve --config ${config}`,
    '',
  ].join('\n')
}
