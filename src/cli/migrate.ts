// Owns `migrate`. Must not know what migrations do.
import { openDatabase } from '../store/database.ts'
import { migrate } from '../store/migrations.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION } from './command.ts'
import { migrationsFolder, readSettings, withStoreErrors } from './configured.ts'
import { EXIT_FAILED, EXIT_OK, printJson } from './io.ts'

/** `mesh-sts migrate` */
export const migrateCommand = defineCommand(
  {
    name: 'migrate',
    summary:
      'Bring the database to the schema of this version. Forward only; make a backup before.',
    options: { config: CONFIG_OPTION, json: JSON_OPTION },
  },
  async (args, io) => {
    const isJson = args.has('json')
    const settings = readSettings(args.text('config'), io, isJson)
    if (settings === undefined) return EXIT_FAILED
    return withStoreErrors(io, isJson, () => {
      const db = openDatabase(settings.store.sqlite)
      try {
        const applied = migrate(db, migrationsFolder(io), io.now())
        if (isJson) printJson(io, { ok: true, applied })
        else if (applied.length === 0) io.stdout('nothing to do: the database is up to date\n')
        else io.stdout(applied.map((name) => `applied ${name}\n`).join(''))
        return EXIT_OK
      } finally {
        db.close()
      }
    })
  },
)
