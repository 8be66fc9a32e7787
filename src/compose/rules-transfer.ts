// Owns how parsed rules get from the thread that read them to the main thread without holding it up.
// Must not read or compile them.
import type { RuleFile } from '../ruleset/schema.ts'

/** A rule file in texts of JSON: a text is copied at once and parsed faster than an object is cloned. */
export interface RuleFileTexts {
  /** The file without its services. */
  readonly head: string
  /** Its services, as lists of name and entry. */
  readonly services: readonly string[]
}

/** About 3 ms of parsing. */
const SERVICES_PER_TEXT = 200

/** Takes a rule file apart. It is JSON: YAML without tags has nothing else. */
export function takeApart(file: RuleFile): RuleFileTexts {
  const entries = Object.entries(file.services)
  const services: string[] = []
  for (let at = 0; at < entries.length; at += SERVICES_PER_TEXT) {
    services.push(JSON.stringify(entries.slice(at, at + SERVICES_PER_TEXT)))
  }
  return { head: JSON.stringify({ ...file, services: {} }), services }
}

/** Puts rule files together again; `pause` lets requests in between the texts. */
export async function putTogether(
  texts: readonly RuleFileTexts[],
  pause: () => Promise<void>,
): Promise<RuleFile[]> {
  const files: RuleFile[] = []
  for (const { head, services } of texts) {
    const file = JSON.parse(head) as RuleFile
    for (const text of services) {
      await pause()
      for (const [name, entry] of JSON.parse(text) as [string, RuleFile['services'][string]][]) {
        file.services[name] = entry
      }
    }
    files.push(file)
  }
  return files
}
