// What tells that files changed: every way in which editors, people and Kubernetes change them.
import assert from 'node:assert/strict'
import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findFiles, joinTraces, MAX_ENTRIES, traceFiles } from '../../src/config/found-files.ts'
import { temporaryFolder } from '../store/temporary.ts'
import { configMap } from '../support/config-map.ts'

const isWanted = (name: string) => name.endsWith('.yaml')

/** A folder with two files, one of them further down, and what is not looked at. */
function folderOf(t: TestContext): string {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'team'))
  writeFileSync(join(folder, 'a.yaml'), 'one')
  writeFileSync(join(folder, 'team/b.yaml'), 'two')
  utimesSync(join(folder, 'a.yaml'), 1, 1)
  writeFileSync(join(folder, 'README.md'), '')
  mkdirSync(join(folder, '.git'))
  writeFileSync(join(folder, '.git/c.yaml'), '')
  return folder
}

/** Both ways to look must see the same. */
async function traceOf(...paths: string[]): Promise<string> {
  const { trace } = findFiles(paths, isWanted)
  assert.equal(await traceFiles(paths, isWanted), trace)
  return trace
}

test('finds wanted files in folders, and single files whatever their name is, once and in order', (t) => {
  const folder = folderOf(t)
  const readme = join(folder, 'README.md')
  const { files, failed } = findFiles([readme, folder, join(folder, 'a.yaml')], isWanted)
  assert.deepEqual(
    files.map(({ path }) => path.slice(folder.length)),
    ['/README.md', '/a.yaml', '/team/b.yaml'],
  )
  assert.deepEqual(failed, [])
})

const CHANGES: Readonly<Record<string, (folder: string) => void>> = {
  'rewritten in place': (folder) => writeFileSync(join(folder, 'a.yaml'), 'one more'),
  'rewritten with the same size and the times set back': (folder) => {
    writeFileSync(join(folder, 'a.yaml'), 'eno')
    utimesSync(join(folder, 'a.yaml'), 1, 1)
  },
  'replaced by rename, as editors do': (folder) => {
    writeFileSync(join(folder, '.a.yaml.swp'), 'one')
    renameSync(join(folder, '.a.yaml.swp'), join(folder, 'a.yaml'))
  },
  'added further down': (folder) => writeFileSync(join(folder, 'team/c.yaml'), ''),
  removed: (folder) => rmSync(join(folder, 'team/b.yaml')),
  renamed: (folder) => renameSync(join(folder, 'a.yaml'), join(folder, 'z.yaml')),
  'the folder is gone': (folder) => rmSync(folder, { recursive: true }),
}

for (const [name, change] of Object.entries(CHANGES)) {
  test(`another trace: ${name}`, async (t) => {
    const folder = folderOf(t)
    const before = await traceOf(folder)
    change(folder)
    assert.notEqual(await traceOf(folder), before)
  })
}

test('another trace: a link is swapped for a file of the same size, made in the same tick of the clock', async (t) => {
  const folder = temporaryFolder(t)
  const files = ['one', 'two'].map((name) => join(folder, `.${name}`))
  const times = () =>
    files.map((file) => {
      writeFileSync(file, 'same')
      const { mtimeNs, ctimeNs } = statSync(file, { bigint: true })
      return `${mtimeNs} ${ctimeNs}`
    })
  let [one, two] = times()
  // Where the file system counts finer than it can be written to, there is no such tick.
  for (let more = 1000; more > 0 && one !== two; more--) [one, two] = times()
  symlinkSync('.one', join(folder, 'a.yaml'))
  const before = await traceOf(folder)
  rmSync(join(folder, 'a.yaml'))
  symlinkSync('.two', join(folder, 'a.yaml'))
  assert.notEqual(await traceOf(folder), before)
})

test('the same trace: what is not wanted, or hidden, changes', async (t) => {
  const folder = folderOf(t)
  const before = await traceOf(folder)
  writeFileSync(join(folder, 'README.md'), 'other')
  writeFileSync(join(folder, '.git/c.yaml'), 'other')
  assert.equal(await traceOf(folder), before)
})

test('a mounted ConfigMap is found once, and another trace is seen when it is swapped', async (t) => {
  const mount = configMap(temporaryFolder(t), { 'a.yaml': 'one', 'b.yaml': 'two' })
  const { files } = findFiles([mount.folder], isWanted)
  assert.deepEqual(
    files.map(({ path }) => path.slice(mount.folder.length)),
    ['/a.yaml', '/b.yaml'],
  )
  const before = await traceOf(mount.folder)
  mount.update({ 'a.yaml': 'one', 'b.yaml': 'two' })
  assert.notEqual(await traceOf(mount.folder), before)
})

test('a path that is missing is told, and its coming back is another trace', async (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'rules')
  assert.equal(findFiles([path], isWanted).failed[0]?.path, path)
  const before = await traceOf(path)
  mkdirSync(path)
  assert.notEqual(await traceOf(path), before)
})

test('a link that leads nowhere, a folder that links to itself, more names than are looked at: told, in bounded time', async (t) => {
  const broken = temporaryFolder(t)
  symlinkSync('nowhere', join(broken, 'a.yaml'))
  const loops = temporaryFolder(t)
  for (const name of ['a', 'b', 'c', 'd']) symlinkSync('.', join(loops, name))
  const many = temporaryFolder(t)
  for (let at = 0; at <= MAX_ENTRIES; at++) symlinkSync('/dev/null', join(many, `${at}`))
  const codes = findFiles([broken, loops, many], isWanted).failed.map(
    ({ error }) => (error as NodeJS.ErrnoException).code,
  )
  assert.deepEqual(codes, ['ENOENT', 'ELOOP', 'TOO_MANY'])
  await traceOf(broken, loops, many)
  rmSync(join(many, readdirSync(many)[0] ?? ''))
  assert.deepEqual(findFiles([many], isWanted).failed, [])
})

test('joined traces are the trace of all paths', async (t) => {
  const [one, other] = [folderOf(t), folderOf(t)]
  const joined = joinTraces(await traceOf(one), await traceOf(other))
  assert.equal(joined, await traceOf(other, one))
  assert.equal(joinTraces(joined, await traceOf()), joined)
})
