// Owns which files stand under configured paths, and what tells that they, or their bytes, are others now.
// Must not read what is in them.
import { type BigIntStats, readdirSync, statSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Names looked at under one path: ten for each of 1,000 services. It also ends folders that link to themselves. */
export const MAX_ENTRIES = 10_000

/** A file, or what a link at its path leads to. */
export interface FoundFile {
  readonly path: string
  readonly stats: BigIntStats
}

/** What was found, sorted by path. */
export interface FoundFiles {
  readonly files: readonly FoundFile[]
  /** Paths under which something could not be looked at. */
  readonly failed: readonly { readonly path: string; readonly error: unknown }[]
  /** Another text means other files, or other bytes in one of them. */
  readonly trace: string
}

/** Under one path there are more names than are looked at. */
export class TooManyEntries extends Error {
  readonly code = 'TOO_MANY'
}

/**
 * Finds files: the paths themselves, and in folders (recursively) those whose names are wanted. Links are
 * followed; names that begin with a dot are not, so that a mounted ConfigMap is not found twice
 * (Kubernetes links each file through a hidden `..data`, and changes all of them by swapping that link).
 */
export function findFiles(
  paths: readonly string[],
  isWanted: (name: string) => boolean,
): FoundFiles {
  const found = new Map<string, BigIntStats>()
  const failed: FoundFiles['failed'][number][] = []
  for (const path of paths) {
    try {
      const left = { entries: MAX_ENTRIES }
      for (const file of filesAt(path, statSync(path, BIGINT), isWanted, left)) {
        found.set(file.path, file.stats)
      }
    } catch (error) {
      failed.push({ path, error })
    }
  }
  const files = [...found].map(([path, stats]) => ({ path, stats }))
  files.sort((a, b) => (a.path < b.path ? -1 : 1))
  const trace = textOf([
    ...failed.map(({ path, error }) => traceOfFault(path, error)),
    ...files.map(traceOf),
  ])
  return { files, failed, trace }
}

function filesAt(
  path: string,
  stats: BigIntStats,
  isWanted: (name: string) => boolean,
  left: { entries: number },
): FoundFile[] {
  if (!stats.isDirectory()) return [{ path, stats }]
  return readdirSync(path).flatMap((name) => {
    if (isHidden(name, left)) return []
    const child = join(path, name)
    const found = statSync(child, BIGINT)
    return found.isDirectory() || isWanted(name) ? filesAt(child, found, isWanted, left) : []
  })
}

/** The same trace as {@link findFiles} gives, without keeping the event loop: a file system may hang. */
export async function traceFiles(
  paths: readonly string[],
  isWanted: (name: string) => boolean,
): Promise<string> {
  const traces: string[] = []
  for (const path of paths) {
    try {
      const left = { entries: MAX_ENTRIES }
      traces.push(...(await tracesAt(path, await stat(path, BIGINT), isWanted, left)))
    } catch (error) {
      traces.push(traceOfFault(path, error))
    }
  }
  return textOf(traces)
}

async function tracesAt(
  path: string,
  stats: BigIntStats,
  isWanted: (name: string) => boolean,
  left: { entries: number },
): Promise<string[]> {
  if (!stats.isDirectory()) return [traceOf({ path, stats })]
  const traces: string[] = []
  for (const name of await readdir(path)) {
    if (isHidden(name, left)) continue
    const child = join(path, name)
    const found = await stat(child, BIGINT)
    if (!found.isDirectory() && !isWanted(name)) continue
    traces.push(...(await tracesAt(child, found, isWanted, left)))
  }
  return traces
}

const BIGINT = { bigint: true } as const

function isHidden(name: string, left: { entries: number }): boolean {
  if (name.startsWith('.')) return true
  if (left.entries === 0) throw new TooManyEntries()
  left.entries -= 1
  return false
}

/** A rename changes the inode, a rewrite the times; times alone can be set back, the change's cannot. */
const traceOf = ({ path, stats }: FoundFile): string =>
  `${path} ${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`

const traceOfFault = (path: string, error: unknown): string =>
  `${path} ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`

const textOf = (traces: readonly string[]): string =>
  [...new Set(traces)]
    .filter((trace) => trace !== '')
    .sort()
    .join('\n')

/** The trace of the paths of both. */
export const joinTraces = (one: string, other: string): string =>
  textOf([...one.split('\n'), ...other.split('\n')])
