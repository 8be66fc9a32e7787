// Every command once as people run it: a process, its streams, its exit code.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { type CliRun, deployment, runProcess } from './run-cli.ts'

test('the life of a deployment, one command after another', async () => {
  const cwd = deployment()
  const run = async (line: string, code = 0): Promise<CliRun> => {
    const result = await runProcess(line.split(' '), { cwd })
    assert.equal(result.code, code, `${line}: ${result.stderr}${result.stdout}`)
    return result
  }
  assert.match((await run('rules check')).stdout, /^ok: 2 services, 1 rule in 1 file$/m)
  assert.match((await run('init --make-encryption-key')).stdout, /^Made:\n {2}database /)
  assert.match((await run('init', 1)).stderr, /^mesh-sts: there is a database at /)
  assert.match((await run('migrate')).stdout, /^nothing to do/)
  const [, active = '', next = ''] = (await run('keys list')).stdout
    .split('\n')
    .map((line) => line.split(' ')[0])
  assert.match((await run('keys timeline')).stdout, new RegExp(`stops signing +${active}`))
  assert.match(
    (await run('keys rotate --emergency')).stdout,
    new RegExp(`^${next} signs now$`, 'm'),
  )
  assert.match(
    (await run(`keys revoke ${active}`)).stdout,
    new RegExp(`^${active} is removed$`, 'm'),
  )
  assert.match((await run('keys rewrap')).stdout, /^0 private keys/)
  assert.match((await run('audit query')).stderr, /^no decision matches$/m)
  assert.match((await run('backup copy.db')).stdout, /^wrote .*copy\.db$/m)
  for (const file of readdirSync(cwd)) if (file.startsWith('sts.db')) rmSync(join(cwd, file))
  assert.match((await run('keys list', 1)).stderr, /^mesh-sts: there is no database at .*restore/)
  assert.match(
    (await run('restore copy.db')).stdout,
    /^restored .*sts\.db; its 1 published keys only verify$/m,
  )
})

describe('the process', () => {
  test('keeps the streams apart and exits with the code of the command', async () => {
    const cwd = deployment()
    const help = await runProcess(['--help'], { cwd })
    assert.deepEqual([help.code, help.stderr], [0, ''])
    const wrong = await runProcess(['nope'], { cwd })
    assert.deepEqual([wrong.code, wrong.stdout], [2, ''])
  })

  test('reads its environment', async () => {
    const cwd = deployment({ 'other.yaml': '[' })
    const run = await runProcess(['rules', 'check'], { cwd, env: { STS_CONFIG: 'other.yaml' } })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^other\.yaml:1:2: error: /)
  })

  test('a reader that goes away (| head) is no failure', async () => {
    const cwd = deployment()
    const main = resolve('dist/src/main.js')
    const child = spawn(process.execPath, [main, '--help'], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const code = await new Promise((done) => child.on('close', done))
    assert.deepEqual([code, stderr], [0, ''])
  })
})
