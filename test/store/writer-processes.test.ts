// What holds between processes, and when one is killed: real processes on one database.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { migratedPath, open } from '../support/audit-store.ts'

function startChild(t: TestContext, ...args: string[]): ChildProcess {
  const file = join(process.cwd(), 'dist/test/support/writer-child.js')
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** Reads a child's lines; `on` may end it at any of them. */
async function linesOf(
  child: ChildProcess,
  on: (count: number, line: string) => void = () => undefined,
): Promise<string[]> {
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    on(lines.push(line), line)
  }
  return lines
}

test('P3 kill -9: every event that was said to be durable is there afterwards', async (t) => {
  const path = migratedPath(t)
  const promised: string[] = []
  for (let round = 0; round < 6; round++) {
    const child = startChild(t, path, 'record')
    const killAt = 40 + 37 * round
    const ended = once(child, 'exit')
    const lines = await linesOf(child, (count) => {
      if (count === killAt) child.kill('SIGKILL')
    })
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    assert.ok(lines.length >= killAt)
    promised.push(...lines)
    const db = open(t, path)
    const stored = new Set(db.prepare('SELECT decision_id FROM audit').pluck().all())
    assert.deepEqual(
      promised.filter((id) => !stored.has(id)),
      [],
    )
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok')
  }
})

test('field-6 #14 of two processes that claim the same assertions exactly one wins each', async (t) => {
  const path = migratedPath(t)
  const amount = 300
  const children = [1, 2].map(() => startChild(t, path, 'claim', String(amount)))
  let ready = 0
  const answers = await Promise.all(
    children.map((child) =>
      linesOf(child, (_, line) => {
        if (line !== 'ready') return
        ready += 1
        if (ready === 2) for (const each of children) each.stdin?.write('go\n')
      }),
    ),
  )
  const told = answers.flat().filter((line) => line !== 'ready')
  assert.equal(told.length, 2 * amount)
  for (let index = 0; index < amount; index++) {
    const outcomes = told.filter((line) => line.startsWith(`jti-${index} `)).sort()
    assert.deepEqual(outcomes, [`jti-${index} client_assertion_replayed`, `jti-${index} won`])
  }
})
