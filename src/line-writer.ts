// Owns lines on their way to a file descriptor: batches, a bound on what waits, a count of what is lost.
// Must not let a full disk, a reader that is gone or one that stands still reach whoever writes (P5). Not pino's
// own destination: that one waits for ever in flushSync where the disk is full.
import { write as writeBytes } from 'node:fs'

/** Takes lines at once and writes them later. Nothing here throws or rejects. */
export interface LineWriter {
  /** Takes one line with its line feed; where too much waits already, it is lost. */
  readonly write: (line: string) => void
  /** Starts writing what waits. */
  readonly flush: () => void
  /** Writes what waits, within CLOSE_MS; what is not written then is lost, as is every later line. */
  readonly close: () => Promise<void>
  /** How many lines were lost so far. */
  readonly lost: () => number
}

/** Characters; one write serves some dozens of exchanges. */
const BATCH_CHARACTERS = 8192
/** Characters; what container runtimes read at once. */
const MAX_BATCH_CHARACTERS = 16 * 1024
/** Characters; some seconds of a busy log while its reader stands still, and no burden on the heap. */
const MAX_WAITING_CHARACTERS = 4 * 1024 * 1024
/** How long a line may wait for others, and how long nothing is tried after a failure. */
const FLUSH_EVERY_MS = 250
/** A non-blocking pipe that is full is asked again after so long. */
const BUSY_MS = 20
/** A log reader that stands still does not hold up the end of the process for longer. */
const CLOSE_MS = 1000
const LINE_FEED = 10

/** Bytes that are being written; those before `from` are. */
interface Writing {
  readonly bytes: Buffer
  from: number
}

/** Writes to a file descriptor that stays open. A batch that cannot be written is lost; later ones are tried. */
export function openLineWriter(fd: number): LineWriter {
  let batches: string[] = []
  let waiting = 0
  let writing: Writing | undefined
  let isFailing = false
  let isClosed = false
  /** The last line that was written lacks its end: a line feed keeps it apart from the next. */
  let isTorn = false
  let lost = 0
  let busy: NodeJS.Timeout | undefined
  let onIdle: (() => void) | undefined

  const write = (line: string): void => {
    if (isClosed || waiting + line.length > MAX_WAITING_CHARACTERS) {
      lost += 1
      return
    }
    waiting += line.length
    const last = batches.length - 1
    const batch = batches[last]
    if (batch === undefined || batch.length + line.length > MAX_BATCH_CHARACTERS) batches.push(line)
    else batches[last] = batch + line
    // After a failure only the timer tries again: a full disk must not cost an attempt a line.
    if (waiting >= BATCH_CHARACTERS && !isFailing) flush()
  }

  const flush = (): void => {
    if (writing !== undefined) return
    const batch = batches.shift()
    if (batch === undefined) {
      onIdle?.()
      return
    }
    waiting -= batch.length
    writing = { bytes: Buffer.from(isTorn ? `\n${batch}` : batch), from: 0 }
    writeOn(writing)
  }

  const writeOn = (current: Writing): void => {
    writeBytes(fd, current.bytes, current.from, (error, written) => {
      if (writing !== current) return
      if (error === null) onWritten(current, written)
      else if (error.code === 'EAGAIN' || error.code === 'EBUSY') {
        busy = setTimeout(writeOn, BUSY_MS, current).unref()
      } else onFailure(current)
    })
  }

  const onWritten = (current: Writing, written: number): void => {
    current.from += written
    if (current.from < current.bytes.length) {
      writeOn(current)
      return
    }
    writing = undefined
    isFailing = false
    isTorn = false
    if (waiting >= BATCH_CHARACTERS || onIdle !== undefined) flush()
  }

  const onFailure = (current: Writing): void => {
    const hasSeparator = isTorn && current.from === 0
    lost += linesOf(current.bytes.subarray(current.from)) - (hasSeparator ? 1 : 0)
    isTorn ||= current.from > 0
    writing = undefined
    isFailing = true
    // Who closes does not wait for a disk that is full: each batch is tried once.
    if (onIdle !== undefined) flush()
  }

  const timer = setInterval(flush, FLUSH_EVERY_MS)
  timer.unref()

  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    clearInterval(timer)
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, CLOSE_MS)
      onIdle = () => {
        clearTimeout(deadline)
        resolve()
      }
      flush()
    })
    for (const batch of batches) lost += linesOf(Buffer.from(batch))
    if (writing !== undefined) lost += linesOf(writing.bytes.subarray(writing.from))
    // Nothing is tried any more: the descriptor may soon be somebody else's.
    clearTimeout(busy)
    writing = undefined
    batches = []
    onIdle = undefined
  }

  return { write, flush, close, lost: () => lost }
}

function linesOf(bytes: Uint8Array): number {
  let lines = 0
  for (const byte of bytes) if (byte === LINE_FEED) lines += 1
  return lines
}
