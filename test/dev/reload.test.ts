// The development profile: rules that are changed serve at once; at a start their errors are told.
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { runCommand } from '../../src/cli/commands.ts'
import { readAddresses } from '../../src/dev/profile.ts'
import { replace } from '../compose/live-rules.ts'
import { ROOT, temporaryFolder, testIo } from './running-profile.ts'

test('rules that are changed serve without a new start; a start with errors is none, whatever served before', {
  timeout: 60_000,
}, async (t) => {
  const installed = temporaryFolder(t)
  for (const part of ['rules', 'migrations', 'package.json']) {
    cpSync(join(ROOT, part), join(installed, part), { recursive: true })
  }
  const put = (entry: string) =>
    replace(join(installed, 'rules/late.yaml'), `namespace: late\nservices:\n  late: ${entry}\n`)
  const folder = temporaryFolder(t)
  const stop = new AbortController()
  const { io, written } = testIo({ packageFolder: installed, signal: stop.signal })
  const args = ['dev', '--port-base', '0', '--folder', folder]
  const ended = runCommand(args, io)
  t.after(async () => {
    stop.abort()
    await ended
  })
  const told = async (text: string) => {
    while (!(written().stdout + written().stderr).includes(text)) await delay(20)
  }
  await told('Ctrl-C')
  const serving = async () => {
    const { admin } = readAddresses(folder) ?? { admin: '' }
    const answer = await fetch(`${admin}/readyz`)
    const { checks } = (await answer.json()) as { checks: { rules_loaded: { detail: string } } }
    return checks.rules_loaded.detail
  }
  const before = await serving()
  put('{calls: [boutique/chekout]}')
  await told('rules rejected, the last good ones serve')
  assert.match(written().stderr, /did you mean/)
  assert.equal(await serving(), `stale: 1 errors, serving ${before}`)
  put('{calls: [boutique/checkout]}')
  await told('rules applied')
  assert.notEqual(await serving(), before)
  put('{cals: []}')
  await told('unknown key')
  stop.abort()
  assert.equal(await ended, 0)

  const again = testIo({ packageFolder: installed })
  assert.equal(await runCommand(args, again.io), 1)
  assert.match(again.written().stderr, /unknown key/)
})
