// Owns `backup`. Must not copy files itself: a plain copy of a database in use is damaged.
import { resolve } from 'node:path'
import { backupDatabase } from '../store/backup.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from './command.ts'
import { withDatabase } from './configured.ts'
import { EXIT_OK, printJson } from './io.ts'

/** `mesh-sts backup <file>` */
export const backup = defineCommand(
  {
    name: 'backup',
    summary: 'Write a copy of the database, as of one moment, while it is in use.',
    details: [
      'Private keys in it are encrypted: keep the key-encryption keys elsewhere, and keep them.',
    ],
    positionals: '<file>',
    options: { config: CONFIG_OPTION, json: JSON_OPTION },
  },
  async (args, io) => {
    const [file, ...rest] = args.positionals
    if (file === undefined || rest.length > 0) throw new UsageError('name one file to write')
    const isJson = args.has('json')
    return withDatabase({ config: args.text('config'), isJson }, io, async (db) => {
      const path = resolve(io.cwd, file)
      await backupDatabase(db, path)
      if (isJson) printJson(io, { ok: true, file: path })
      else io.stdout(`wrote ${path}\n`)
      return EXIT_OK
    })
  },
)
