#!/usr/bin/env -S node --max-semi-space-size=4 --max-old-space-size=768
// Owns the process: arguments, environment, signals and exit code. The only user of `process`.
// Must not know what commands do.
import { resolve } from 'node:path'
import { runCommand } from './cli/commands.ts'
import { EXIT_FAILED } from './cli/io.ts'

/** Exit code of a process that a second signal ends at once: 128 + SIGTERM. */
const EXIT_SECOND_SIGNAL = 143

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(EXIT_SECOND_SIGNAL)
    stop.abort()
  })
}

// `mesh-sts audit query | head`: the reader has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILED)
})

// What cannot be told must not end a server (P5), nor change an exit code.
process.stderr.on('error', () => undefined)

process.exitCode = await runCommand(process.argv.slice(2), {
  stdout: (text) => {
    process.stdout.write(text)
  },
  stderr: (text) => {
    process.stderr.write(text)
  },
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  monotonic: () => performance.now(),
  isTty: process.stdout.isTTY === true,
  columns: process.stdout.columns ?? 120,
  signal: stop.signal,
  // Only where a command listens: elsewhere a terminal that is closed ends the process.
  onReload: (listener) => {
    process.on('SIGHUP', listener)
  },
  // dist/src/main.js
  packageFolder: resolve(import.meta.dirname, '../..'),
}).catch((error: unknown) => {
  process.stderr.write(`mesh-sts: this is a bug: ${error instanceof Error ? error.stack : error}\n`)
  return EXIT_FAILED
})
