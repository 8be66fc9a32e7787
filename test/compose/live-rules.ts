// Owns the rules of a deployment on disk, served without the rest of a server; nothing happens by itself.
// Must not hold tests.
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { firstRules } from '../../src/compose/first-rules.ts'
import { createRules, type LiveRules, type RulesOptions } from '../../src/compose/rules.ts'
import { plainContextOf } from '../../src/compose/rules-context.ts'
import { type ReadingRequest, readInThread } from '../../src/compose/rules-reading.ts'
import type { Settings } from '../../src/config/settings.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { readStoredRules, type StoredRules } from '../../src/store/last-ruleset.ts'
import { type RecordedLog, recordedLog, startWriter } from '../support/audit-store.ts'
import { type Files, initialise, loaded, served, writeDeployment } from '../support/deployment.ts'

/** Rules that are served, and everything that a test looks at or changes. */
export interface Served {
  readonly folder: string
  readonly config: string
  readonly settings: Settings
  readonly rules: LiveRules
  readonly log: RecordedLog
  readonly db: Database
  /** What the reader was asked, each time. */
  readonly asked: readonly ReadingRequest[]
  /** Replaces a file as editors do: its name is taken over at once. */
  readonly put: (name: string, text: string) => void
  readonly stored: () => StoredRules | undefined
  /** The lifetime of tokens for checkout: tests change it. */
  readonly lifetime: () => number | undefined
}

/** Serves the rules of a deployment; `change` replaces what they are made with. */
export async function serveRules(
  t: TestContext,
  files: Files = {},
  change: Partial<RulesOptions> = {},
): Promise<Served> {
  const { folder, config } = writeDeployment(t, files)
  await initialise(loaded(config).settings)
  return serveAgain(t, { folder, config }, change)
}

/** The same folder served once more, as after a restart. */
export async function serveAgain(
  t: TestContext,
  { folder, config }: Pick<Served, 'folder' | 'config'>,
  change: Partial<RulesOptions> = {},
): Promise<Served> {
  const { settings, rules: found } = await served(config)
  const db = openDatabase(settings.store.sqlite)
  t.after(() => void db.close())
  const writer = await startWriter(t, settings.store.sqlite)
  const log = recordedLog()
  const context = plainContextOf(settings)
  const asked: ReadingRequest[] = []
  const chosen = firstRules(found, readStoredRules(db), context, Date.now())
  assert.ok(chosen.ok)
  const rules = createRules({
    ...chosen,
    paths: settings.rules,
    context,
    trace: found.trace,
    save: ({ packed, hash, loadedAt }) =>
      writer.write('save_ruleset', [packed.digest, hash, loadedAt, packed.bytes]),
    now: Date.now,
    log,
    read: (request) => {
      asked.push(request)
      return readInThread(request)
    },
    ...change,
  })
  t.after(() => rules.stop())
  return {
    folder,
    config,
    settings,
    rules,
    log,
    db,
    asked,
    put: (name, text) => replace(join(folder, name), text),
    stored: () => readStoredRules(db),
    lifetime: () => rules.current().services.get('boutique/checkout')?.lifetimeSeconds,
  }
}

/** Writes a file beside its place and gives it its name at once. */
export function replace(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
