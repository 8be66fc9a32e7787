// Owns reading which version this is. Must not know commands.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The version of the installed package. */
export function versionOf(packageFolder: string): string {
  const text = readFileSync(join(packageFolder, 'package.json'), 'utf8')
  return String((JSON.parse(text) as { version?: unknown }).version)
}
