// Owns a key set that lives in a file: noticing that it changed, keeping the last good set.
// Must not fetch from a network; which keys are usable is key-set.ts's.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import type { Algorithm } from './algorithms.ts'
import { type KeySetOptions, MAX_KEY_SET_BYTES, type ParsedKeySet, parseKeySet } from './key-set.ts'
import type { KeySet, KeySource, KeySourceLog, KeySourceOutage } from './key-source.ts'

export interface JwksFileOptions extends KeySetOptions {
  readonly path: string
  readonly allowed: readonly Algorithm[]
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
  readonly log: KeySourceLog
  /** How often the file is looked at, at most; one fstat, about 10 µs. Default 2000. */
  readonly checkEveryMs?: number
}

const CHECK_EVERY_MS = 2000
/** A caller may as well come back when the file has been looked at again. */
const RETRY_AFTER_SECONDS = 5

/**
 * A key source on a file that is replaced or rewritten in place, also through the symlink swap of a
 * Kubernetes volume: what is compared is the file behind the path. A new content that is unusable, or a
 * file that is gone, leaves the last good set in use and is logged once; before the first good set that
 * is an outage. Reads synchronously: the file is small and local, and changes a few times a day.
 */
export function jwksFileSource(options: JwksFileOptions): KeySource {
  const { path, log } = options
  const checkEveryMs = options.checkEveryMs ?? CHECK_EVERY_MS
  let set: ParsedKeySet | undefined
  let problem = 'not read yet'
  let seen: string | undefined
  let checkedAt = Number.NEGATIVE_INFINITY

  function check(now: number): void {
    checkedAt = now
    const read = readIfChanged(path, seen)
    if (read === 'unchanged') return
    seen = read.fingerprint
    const parsed = 'unusable' in read ? read : parseKeySet(read.text, options.allowed, options)
    if ('unusable' in parsed) {
      problem = parsed.unusable
      log.warn({ path, problem, keeps_last: set !== undefined }, 'key set file is unusable')
      return
    }
    set = parsed
    log.info({ path, keys: set.keys.length, skipped: set.skipped }, 'key set file read')
  }

  const answer = (): KeySet | KeySourceOutage =>
    set ?? { unavailable: problem, retryAfterSeconds: RETRY_AFTER_SECONDS }

  return {
    current() {
      const now = options.monotonic()
      if (now - checkedAt >= checkEveryMs) check(now)
      return set ?? Promise.resolve(answer())
    },
    // No cool-down: looking costs less than the signature check that would follow.
    async refreshed() {
      check(options.monotonic())
      return answer()
    },
  }
}

type FileRead =
  | 'unchanged'
  | { readonly fingerprint: string; readonly text: string }
  | { readonly fingerprint: string; readonly unusable: string }

/** Stat and read go through one descriptor, so that a swap between them cannot mix two files. */
function readIfChanged(path: string, seen: string | undefined): FileRead {
  let descriptor: number | undefined
  try {
    // Without O_NONBLOCK the open of a FIFO would hang the process.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(descriptor, { bigint: true })
    const fingerprint = `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`
    if (fingerprint === seen) return 'unchanged'
    if (!stat.isFile()) return { fingerprint, unusable: 'not a file' }
    if (stat.size > MAX_KEY_SET_BYTES) {
      return { fingerprint, unusable: `the file has more than ${MAX_KEY_SET_BYTES} bytes` }
    }
    return { fingerprint, text: readFileSync(descriptor, 'utf8') }
  } catch (error) {
    const fingerprint = `unreadable ${(error as NodeJS.ErrnoException).code ?? ''}`
    return fingerprint === seen
      ? 'unchanged'
      : { fingerprint, unusable: `the file is ${fingerprint}` }
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
