// The log on descriptors that fail: what is written stays whole, what is lost is counted, nobody waits (P5).
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { openLog } from '../src/log.ts'

const linux = { skip: process.platform === 'linux' ? false : 'needs Linux' }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function openFor(t: TestContext, path: string, flags: number | string): number {
  const fd = openSync(path, flags)
  t.after(() => closeSync(fd))
  return fd
}

/** A pipe that takes some 64 KiB and then, as nobody reads, says EAGAIN. */
function fullPipe(t: TestContext) {
  const path = join(folderOf(t), 'pipe')
  execFileSync('mkfifo', [path])
  return { path, fd: openFor(t, path, constants.O_RDWR | constants.O_NONBLOCK) }
}

test('every line is written whole and in order', async (t) => {
  const path = join(folderOf(t), 'log')
  const output = openLog('info', openFor(t, path, 'a'))
  output.log.info({ subject_token: 'secret', n: 0 }, 'first')
  const lines = Array.from({ length: 5000 }, (_, n) => JSON.stringify({ n, text: 'ä€😀' }))
  for (const line of lines) output.writeLine(line)
  await output.close()
  const [first = '', ...others] = readFileSync(path, 'utf8').split('\n')
  const { level, subject_token, message } = JSON.parse(first)
  assert.deepEqual([level, subject_token, message], ['info', '[Redacted]', 'first'])
  assert.deepEqual(others, [...lines, ''])
  assert.equal(output.lost(), 0)
})

test('a full disk loses lines, counts each, and neither throws nor hangs', linux, async (t) => {
  const output = openLog('info', openFor(t, '/dev/full', 'w'))
  const lines = 10_000
  for (let n = 0; n < lines; n++) output.log.info({ n }, 'exchange')
  output.writeLine('{}')
  output.flush()
  await output.close()
  assert.equal(output.lost(), lines + 1)
  output.log.info({}, 'late')
  output.flush()
  await output.close()
  assert.equal(output.lost(), lines + 2)
})

test(
  'a reader that stands still: what waits is bounded, and the end does not wait for it',
  linux,
  async (t) => {
    const output = openLog('info', fullPipe(t).fd)
    const line = 'x'.repeat(1023)
    for (let n = 0; n < 4096; n++) output.writeLine(line)
    assert.equal(output.lost(), 0)
    for (let n = 0; n < 1000; n++) output.writeLine(line)
    const beyond = output.lost()
    // At most a batch of 16 KiB had left for the pipe by then.
    assert.ok(beyond >= 1000 - 16 && beyond <= 1000, `${beyond}`)
    await output.close()
    // A pipe holds 64 KiB by default; nothing that it does not hold is thought to be written.
    assert.ok(output.lost() >= 5096 - 80 && output.lost() < 5096, `${output.lost()}`)
  },
)

test('a reader that is slow gets every line', linux, async (t) => {
  const { path, fd } = fullPipe(t)
  const output = openLog('info', fd)
  const expected = Array.from({ length: 500 }, (_, n) => `${n} ${'x'.repeat(1000)}`)
  for (const line of expected) output.writeLine(line)
  const reader = new Socket({
    fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
    readable: true,
    writable: false,
  })
  t.after(() => reader.destroy())
  const got: string[] = []
  const all = new Promise<void>((resolve) => {
    createInterface({ input: reader }).on('line', (line) => {
      if (got.push(line) === expected.length) resolve()
    })
  })
  output.flush()
  await all
  await output.close()
  // Not deepEqual: its message would be half a megabyte.
  assert.equal(
    got.findIndex((line, n) => line !== expected[n]),
    -1,
  )
  assert.equal(output.lost(), 0)
})

test('a line that a full disk cut does not spoil the next one', linux, (t) => {
  const path = join(folderOf(t), 'log')
  // The kernel cuts writes at a file size of 512 or 1024 bytes (ulimit -f 1), until the file is shorter.
  const script = `
    import { closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs'
    import { openLog } from '${pathToFileURL('dist/src/log.js').href}'
    const fd = openSync(process.argv[1], 'a')
    const output = openLog('info', fd)
    for (let n = 0; n < 30; n++) output.writeLine('{"old":"' + 'x'.repeat(200) + '"}')
    output.flush()
    while (output.lost() === 0) await new Promise((resolve) => setImmediate(resolve))
    const lost = output.lost()
    ftruncateSync(fd, 300)
    output.writeLine('{"new":1}')
    await output.close()
    process.stderr.write(lost + ' ' + (output.lost() - lost))`
  const run = spawnSync(
    'sh',
    [
      '-c',
      'trap "" XFSZ; ulimit -f 1; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
      path,
    ],
    { encoding: 'utf8', env: { PATH: process.env.PATH ?? '' }, timeout: 20_000 },
  )
  assert.equal(run.status, 0, run.stderr)
  const [, cut, next, end] = readFileSync(path, 'utf8').split('\n')
  assert.match(cut ?? '', /^\{"old":"x+$/)
  assert.deepEqual([next, end], ['{"new":1}', ''])
  // 211 bytes a line: two or four are whole.
  assert.match(run.stderr, /^(?:28|26) 0$/)
})
