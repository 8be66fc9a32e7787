// Owns the thread's end of the writer: its connection, batches in, answers out. Run as a worker only.
// Must not log, nor keep anything of a batch.
import { parentPort, workerData } from 'node:worker_threads'
import { openDatabase } from './database.ts'
import { createGroupCommit } from './group-commit.ts'
import { type Batch, CLOSE, READY, type WriterThreadData } from './writes.ts'

const { path, busyTimeoutMs, maxBytes } = workerData as WriterThreadData
const port = parentPort
if (port === null) throw new Error('this file is a worker')

// What fails here ends the thread; writer.ts starts it again after a while.
const db = openDatabase(path, { busyTimeoutMs })
if (maxBytes !== undefined) {
  const pageSize = Number(db.pragma('page_size', { simple: true }))
  db.pragma(`max_page_count = ${Math.max(1, Math.floor(maxBytes / pageSize))}`)
}
const commit = createGroupCommit(db)

port.on('message', (message: Batch | typeof CLOSE) => {
  if (message !== CLOSE) {
    port.postMessage(commit(message))
    return
  }
  db.close()
  port.close()
})
port.postMessage(READY)
