// Owns the stored ruleset: how the sources of the last good one are packed, and reading them back.
// Must not compile them, nor write: the writer does.
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { MAX_RULES_BYTES, type RuleSource } from '../ruleset/load.ts'
import type { Database } from './database.ts'

/** Rule files as they are stored. */
export interface PackedRules {
  /** SHA-256 of names and texts, hex: the same files give the same. */
  readonly digest: string
  /** Rules shrink to about a tenth; at most what a reading may take. */
  readonly bytes: Uint8Array
}

/** What the database holds. */
export interface StoredRules {
  readonly digest: string
  /** The ruleset's hash when it was loaded. */
  readonly hash: string
  /** Milliseconds since the epoch. */
  readonly loadedAt: number
  /** Undefined where what was stored is damaged. */
  readonly sources: () => readonly RuleSource[] | undefined
}

/** Names and escapes stand in the JSON beside the texts. */
const MAX_UNPACKED_BYTES = 2 * MAX_RULES_BYTES

/** Packs rule files; a few ms for a thousand rules. */
export function packRules(sources: readonly RuleSource[]): PackedRules {
  const json = JSON.stringify(sources.map(({ file, text }) => ({ file, text })))
  return { digest: digestOf(json), bytes: gzipSync(json) }
}

/** The ruleset that was stored last; undefined where none ever was. */
export function readStoredRules(db: Database): StoredRules | undefined {
  const row = db.prepare<[], Row>('SELECT digest, hash, loaded_at, sources FROM last_ruleset').get()
  if (row === undefined) return undefined
  const { digest, hash, loaded_at: loadedAt, sources } = row
  return { digest, hash, loadedAt, sources: () => unpack(sources, digest) }
}

interface Row {
  readonly digest: string
  readonly hash: string
  readonly loaded_at: number
  readonly sources: Uint8Array
}

function unpack(bytes: Uint8Array, digest: string): readonly RuleSource[] | undefined {
  try {
    const json = gunzipSync(bytes, { maxOutputLength: MAX_UNPACKED_BYTES }).toString('utf8')
    return digestOf(json) === digest ? (JSON.parse(json) as RuleSource[]) : undefined
  } catch {
    return undefined
  }
}

const digestOf = (json: string): string => createHash('sha256').update(json).digest('hex')
