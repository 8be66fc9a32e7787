// Owns reading files of one moment where they change while they are read.
// Must not know what is read.
import { traceFiles } from '../config/found-files.ts'
import { isRuleFile } from '../ruleset/load.ts'

/** What still changes after so many readings is left for the next look. */
const MAX_READINGS = 5

/**
 * Reads until nothing has changed since before the reading: a set that is half old and half new may well be
 * a valid one. Undefined where that never was so.
 */
export async function readSettled<Read extends { readonly trace: string }>(
  paths: readonly string[],
  read: () => Read,
): Promise<Read | undefined> {
  for (let reading = 1; reading <= MAX_READINGS; reading++) {
    const found = read()
    if ((await traceFiles(paths, isRuleFile)) === found.trace) return found
  }
  return undefined
}
