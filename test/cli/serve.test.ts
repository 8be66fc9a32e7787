// `serve` where its log cannot be written, or does not tell: a process, its streams, its end.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import {
  initialise,
  loaded,
  SETTINGS,
  startDeployment,
  writeDeployment,
} from '../support/deployment.ts'
import { runProcess } from './run-cli.ts'

const RELAXED = `${SETTINGS.replace('keys:\n', 'keys:\n  publish_before: 10m\n')}
log: {level: error}
relaxations: {allow_short_key_lead: true, allow_http_issuers: true, allow_xfcc_append_forward: false}
`

/** Where the log is lost, so are the chosen ports; an address of its own makes a port ours. */
async function freeAddresses(): Promise<readonly [string, string]> {
  const address = `127.77.${1 + (process.pid % 250)}.${1 + (Math.floor(process.pid / 250) % 250)}`
  const servers = [createServer(), createServer()]
  const found: string[] = []
  for (const server of servers) {
    await once(server.listen(0, address), 'listening')
    found.push(`${address}:${(server.address() as { port: number }).port}`)
  }
  for (const server of servers) await once(server.close(), 'close')
  return [found[0] ?? '', found[1] ?? '']
}

/** The answer of a server that is starting; fails where the process ended instead. */
async function firstAnswer(url: string, hasEnded: () => boolean): Promise<Response> {
  for (;;) {
    assert.ok(!hasEnded(), 'the process ended')
    try {
      return await fetch(url, { signal: AbortSignal.timeout(10_000) })
    } catch (error) {
      if ((error as { cause?: { code?: string } }).cause?.code !== 'ECONNREFUSED') throw error
      await delay(50)
    }
  }
}

function serveInto(t: TestContext, path: string, config: string) {
  const fd = openSync(path, 'w')
  const child = spawn(
    process.execPath,
    [join(process.cwd(), 'dist/src/main.js'), 'serve', '--config', config],
    { env: { PATH: process.env.PATH ?? '' }, stdio: ['ignore', fd, 'pipe'] },
  )
  closeSync(fd)
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return { child, exited, closed: once(child, 'close'), stderr: () => stderr }
}

test('P5 a full disk behind standard output: keys are served, lost lines counted, SIGTERM ends it well', {
  skip: process.platform === 'linux' ? false : 'needs /dev/full',
  timeout: 60_000,
}, async (t) => {
  const [publicAddress, adminAddress] = await freeAddresses()
  const { config } = writeDeployment(t, {
    'sts.yaml': SETTINGS.replace(
      'public: {address: 127.0.0.1:0}',
      `public: {address: "${publicAddress}"}`,
    ).replace('admin: {address: 127.0.0.1:0}', `admin: {address: "${adminAddress}"}`),
  })
  await initialise(loaded(config).settings)
  const { child, closed, stderr } = serveInto(t, '/dev/full', config)
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  const metrics = async () => (await firstAnswer(`http://${adminAddress}/metrics`, hasEnded)).text()
  // The first line is written, and lost, within a quarter of a second after the start.
  await firstAnswer(`http://${publicAddress}/.well-known/jwks.json`, hasEnded)
  while (!/^mesh_sts_log_lines_lost_total [1-9]/m.test(await metrics())) await delay(50)
  const keySet = await fetch(`http://${publicAddress}/.well-known/jwks.json`, {
    signal: AbortSignal.timeout(10_000),
  })
  assert.equal(keySet.status, 200)
  assert.ok(((await keySet.json()) as { keys: unknown[] }).keys.length > 0)
  child.kill('SIGTERM')
  assert.deepEqual(await closed, [0, null])
  assert.match(stderr(), /^mesh-sts: \d+ log lines could not be written\n$/)
})

test('relaxations that are on are told on standard error, whatever the level of the log is', async (t) => {
  const { folder } = writeDeployment(t, { 'sts.yaml': RELAXED })
  const run = await runProcess(['serve'], { cwd: folder })
  assert.equal(run.code, 1)
  assert.deepEqual(
    run.stderr.split('\n').filter((line) => line.includes('relaxation')),
    [
      'mesh-sts: relaxation is on: allow_http_issuers',
      'mesh-sts: relaxation is on: allow_short_key_lead',
    ],
  )
  // The log is not where they are found here.
  assert.doesNotMatch(run.stdout, /relaxation/)
})

test('relaxations that are on are series of a metric, those that are off are not', async (t) => {
  const seriesOf = async (files: Readonly<Record<string, string>>) => {
    const { adminUrl } = await startDeployment(t, files)
    const text = await (await fetch(`${adminUrl}/metrics`)).text()
    return text
      .split('\n')
      .filter((line) => line.startsWith('mesh_sts_relaxation{'))
      .sort()
  }
  assert.deepEqual(await seriesOf({ 'sts.yaml': RELAXED }), [
    'mesh_sts_relaxation{name="allow_http_issuers"} 1',
    'mesh_sts_relaxation{name="allow_short_key_lead"} 1',
  ])
  assert.deepEqual(await seriesOf({}), [])
})

test('P5 standard error on a full disk does not end a process: its exit code is its own', {
  skip: process.platform === 'linux' ? false : 'needs /dev/full',
}, async () => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [join(process.cwd(), 'dist/src/main.js'), 'nope'], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'ignore', full],
  })
  closeSync(full)
  assert.deepEqual(await once(child, 'exit'), [2, null])
})
