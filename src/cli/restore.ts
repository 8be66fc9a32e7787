// Owns `restore`. Must not let a key of the copy sign: what happened after the copy is not known.

import { resolve } from 'node:path'
import { keyPolicyOf } from '../compose/key-policy.ts'
import { formatDuration } from '../config/duration.ts'
import { markRestored, onlyVerifies } from '../keys/operations.ts'
import { restoreDatabase } from '../store/backup.ts'
import { migrate } from '../store/migrations.ts'
import { StoreError } from '../store/store-error.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from './command.ts'
import { migrationsFolder, readSettings, withStoreErrors } from './configured.ts'
import { EXIT_FAILED, EXIT_OK, printJson } from './io.ts'

/** `mesh-sts restore <file>` */
export const restore = defineCommand(
  {
    name: 'restore',
    summary: 'Make the database from a copy that backup wrote. An existing one is not overwritten.',
    details: [
      'The keys of the copy only verify from now on. serve publishes a new key, which signs when\n' +
        'keys.publish_before has passed; until then no tokens are issued.',
    ],
    positionals: '<file>',
    options: { config: CONFIG_OPTION, json: JSON_OPTION },
  },
  async (args, io) => {
    const [file, ...rest] = args.positionals
    if (file === undefined || rest.length > 0) throw new UsageError('name the file to restore from')
    const isJson = args.has('json')
    const settings = readSettings(args.text('config'), io, isJson)
    if (settings === undefined) return EXIT_FAILED
    return withStoreErrors(io, isJson, async () => {
      let verifying = 0
      await restoreDatabase({
        from: resolve(io.cwd, file),
        to: settings.store.sqlite,
        prepare: (db) => {
          migrate(db, migrationsFolder(io), io.now())
          verifying = markRestored(db, keyPolicyOf(settings), io.now())
        },
        check: (db) => {
          if (onlyVerifies(db)) return
          throw new StoreError(
            'database_damaged',
            'keys of the restored database could sign again: nothing was restored',
          )
        },
      })
      const { sqlite } = settings.store
      const lead = formatDuration(settings.keys.publishBeforeMs)
      if (isJson) printJson(io, { ok: true, database: sqlite, verifyingKeys: verifying })
      else {
        io.stdout(
          `restored ${sqlite}; its ${verifying} published keys only verify\n` +
            `Next: mesh-sts serve publishes a new key, which signs after ${lead}\n` +
            '      (sooner: mesh-sts keys rotate --emergency; verifiers refuse its tokens until they refresh)\n',
        )
      }
      return EXIT_OK
    })
  },
)
