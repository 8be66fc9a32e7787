// Owns the loading of rules in a process of its own, with the heap of what we ship or a smaller one.
// Must not judge what it took.
import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** What {@link loadInProcess} found; peak memory is that of the whole process. */
export interface LoadReport {
  readonly milliseconds: number
  readonly peakMegabytes: number
  readonly services: number
  readonly rules: number
  readonly hash: string
  readonly problems: number
  /** The first few, as they are printed. */
  readonly first: readonly string[]
  /** Characters of the longest. */
  readonly longest: number
}

/** Loads files or folders of rules; fails where the process does not end well. */
export function loadInProcess(paths: readonly string[], heapMegabytes = 768): Promise<LoadReport> {
  const flags = ['--max-semi-space-size=4', `--max-old-space-size=${heapMegabytes}`]
  const child = join(process.cwd(), 'dist/test/support/load-rules-child.js')
  return new Promise((resolve, reject) => {
    const run = spawn(process.execPath, [...flags, child, ...paths], {
      env: { PATH: process.env.PATH ?? '' },
    })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      run[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text
      })
    }
    run.on('error', reject)
    run.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(output.stdout) as LoadReport)
      else reject(new Error(`ended with ${code ?? signal}: ${output.stderr.slice(0, 2000)}`))
    })
  })
}
