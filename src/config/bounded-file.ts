// Owns reading a local file whose path somebody else chose: regular, and no larger than it may be.
// Must not know what is in it.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** Why a file was not read, for `code` of an error as the file system gives it. */
export class FileRefused extends Error {
  readonly code: string
  constructor(code: 'NOT_A_FILE' | 'TOO_LARGE') {
    super(code)
    this.code = code
  }
}

/**
 * Reads a file. Throws what the file system throws, or {@link FileRefused}. Without O_NONBLOCK opening a
 * FIFO would hang the process, and a worker thread in it could not even be ended.
 */
export function readBoundedFile(path: string, maxBytes: number): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw new FileRefused('NOT_A_FILE')
    if (stat.size > maxBytes) throw new FileRefused('TOO_LARGE')
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
