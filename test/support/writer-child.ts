// Owns a process of its own that writes: arguments are the database, what to do, and how much of it.
// It tells each answer on stdout, so that a parent that kills it knows what it was promised.
import { createAuditRecorder } from '../../src/audit/record.ts'
import { createUsedAssertions } from '../../src/store/used-assertions.ts'
import { createWriter } from '../../src/store/writer.ts'
import { granted } from './audit-store.ts'

const [path = '', task = '', amount = '0'] = process.argv.slice(2)
const log = { info: () => undefined, error: () => undefined }
const writer = createWriter({ path, log })

/** Records events until it is killed, several at a time as requests do. */
async function recordForever(): Promise<void> {
  const record = createAuditRecorder({ writer })
  for (;;) {
    const event = granted({ time: Date.now() })
    const recorded = await record([event])
    // Written in one piece and synchronously: stdout is a pipe.
    if (recorded.ok) process.stdout.write(`${event.decisionId}\n`)
  }
}

/** Waits for the starting signal on stdin, claims assertions 0 … amount-1, and tells those it got. */
async function claimAll(): Promise<void> {
  const log = { warn: () => undefined, error: () => undefined }
  const assertions = createUsedAssertions({
    writer,
    skewSeconds: 60,
    now: Date.now,
    monotonic: () => performance.now(),
    log,
  })
  while (!writer.writable()) await new Promise((resolve) => setTimeout(resolve, 2))
  process.stdout.write('ready\n')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  const jtis = Array.from({ length: Number(amount) }, (_, index) => `jti-${index}`)
  const expiresAt = Math.floor(Date.now() / 1000) + 60
  await Promise.all(
    jtis.map(async (jti) => {
      const claimed = await assertions.claim('boutique/partner-batch', jti, expiresAt)
      process.stdout.write(`${jti} ${claimed.ok ? 'won' : claimed.reason}\n`)
    }),
  )
  process.stdin.destroy()
  await writer.close()
}

if (task === 'record') await Promise.all(Array.from({ length: 8 }, recordForever))
if (task === 'claim') await claimAll()
