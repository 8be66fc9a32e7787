// Owns writing files that must not be there yet: all of them whole, or none.
// Must not overwrite anything.
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A file to be made, by its absolute path. */
export interface NewFile {
  readonly path: string
  readonly text: string
}

/** Why nothing was written. */
interface NotWritten {
  readonly problem: 'file_exists' | 'out_unwritable'
  readonly message: string
}

/** Each is written beside its place and gets its name in one step, which fails where the name is taken. */
export function writeNewFiles(files: readonly NewFile[]): NotWritten | undefined {
  const [first] = files
  if (first === undefined) return undefined
  const written: string[] = []
  let folder: string | undefined
  try {
    mkdirSync(dirname(first.path), { recursive: true })
    // In the same folder, so that both are on one file system; a dot hides it from the loader of rules.
    folder = mkdtempSync(join(dirname(first.path), '.mesh-sts-'))
    for (const [index, { path, text }] of files.entries()) {
      const beside = join(folder, String(index))
      writeFileSync(beside, text)
      linkSync(beside, path)
      written.push(path)
    }
    return undefined
  } catch (error) {
    for (const path of written) rmSync(path, { force: true })
    return notWritten(files[written.length]?.path ?? first.path, error)
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

function notWritten(path: string, error: unknown): NotWritten {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  return code === 'EEXIST'
    ? { problem: 'file_exists', message: `there is a file at ${path} already: nothing was written` }
    : { problem: 'out_unwritable', message: `cannot write ${path}: ${code}` }
}
