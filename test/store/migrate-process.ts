// Run as a process by migrations.test.ts: opens or creates a database and migrates it.

import { openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'

const [path = '', folder = ''] = process.argv.slice(2)
const db = openDatabase(path, { create: true })
process.stdout.write(JSON.stringify(migrate(db, folder, Date.now())))
db.close()
