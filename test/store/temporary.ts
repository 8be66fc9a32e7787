// Temporary folders and child processes for tests of the store and the keys.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A folder that goes away with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Starts a compiled script of the test tree; it is killed at the end of the test if it still runs. */
export function startScript(t: TestContext, script: string, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [join(process.cwd(), 'dist', script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => {
    child.kill('SIGKILL')
  })
  return child
}

/** The script's standard output when it has ended. */
export async function outputOf(
  child: ChildProcess,
): Promise<{ code: number | null; text: string }> {
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, text: Buffer.concat(chunks).toString('utf8') }
}
