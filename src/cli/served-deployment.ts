// Owns loading a deployment in order to serve it: rules of one moment, and what a restart will need of them.
// Must not load in another way than the other commands do.
import { readFileSync } from 'node:fs'
import { type FoundRules, foundRules } from '../compose/first-rules.ts'
import { readSettled } from '../compose/settled-reading.ts'
import { loadSettings } from '../config/load-settings.ts'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/settings.ts'
import { loadRules } from './deployment.ts'
import type { CliIo } from './io.ts'

/** What a server starts with, or why it cannot. `problems` are all, errors and warnings. */
export type ServedDeployment =
  | {
      readonly ok: true
      readonly settings: Settings
      /** They may have errors: then an earlier set may serve. */
      readonly rules: FoundRules
      readonly problems: readonly Problem[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Loads settings, issuers and rules, with the key files that these name. */
export async function loadServedDeployment(
  configFile: string,
  env: CliIo['env'],
): Promise<ServedDeployment> {
  const loaded = loadSettings({ configFile, env, readFile: (path) => readFileSync(path, 'utf8') })
  if (!loaded.ok) return loaded
  const { settings } = loaded
  const read = () => loadRules(settings)
  // What changes on and on is read as it is: the running server finds out.
  const rules = foundRules((await readSettled(settings.rules, read)) ?? read())
  return { ok: true, settings, rules, problems: [...loaded.problems, ...rules.problems] }
}
