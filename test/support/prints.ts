// Owns the comparison of what a command printed with what a page of docs/ says that it prints.
// Must not run anything.
import assert from 'node:assert/strict'
import { normalised } from '../dev/running-profile.ts'

/** Asserts that output is what a page says, but for ids, times and tokens; a line `…` stands for any others. */
export function assertPrints(output: string, expected: string): void {
  const lines = normalised(output).split('\n')
  let at = 0
  let skips = false
  for (const line of normalised(expected).split('\n')) {
    if (line === '…') {
      skips = true
      continue
    }
    const found: number = skips ? lines.indexOf(line, at) : at
    assert.equal(lines[found], line, `expected ${line}\nin ${output}`)
    at = found + 1
    skips = false
  }
  assert.ok(skips || at === lines.length, `more than the page says:\n${output}`)
}
