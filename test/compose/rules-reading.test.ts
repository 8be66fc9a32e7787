// Reading rules aside: hostile files cost the thread, not the server, and what is read arrives as it was.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import {
  heapLeftMiB,
  type Reading,
  type ReadingLimits,
  readInThread,
} from '../../src/compose/rules-reading.ts'
import { putTogether, takeApart } from '../../src/compose/rules-transfer.ts'
import { readSettled } from '../../src/compose/settled-reading.ts'
import { readRuleSources } from '../../src/ruleset/load.ts'
import { temporaryFolder } from '../store/temporary.ts'
import { BOUTIQUE, load } from '../support/rules.ts'

const CONTEXT = {
  trustDomains: ['cluster.local'],
  issuers: ['corporate', 'agents'],
  algorithms: ['ES256'] as const,
  selfIss: 'https://sts.boutique.example',
  ownIdentity: undefined,
}

const folderWith = (t: TestContext, text: string): string => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'a.yaml'), text)
  return folder
}

/** Reads a folder; gives what came of it and the longest time for which nothing else could run. */
async function read(
  folder: string,
  limits?: ReadingLimits,
): Promise<Reading & { longestMs: number }> {
  let last = performance.now()
  let longestMs = 0
  const timer = setInterval(() => {
    const at = performance.now()
    longestMs = Math.max(longestMs, at - last)
    last = at
  }, 5)
  const request = { paths: [folder], context: CONTEXT, inForce: undefined }
  const reading = await readInThread(request, limits).reading
  clearInterval(timer)
  return { ...reading, longestMs }
}

const told = (reading: Reading): string =>
  reading.kind === 'rejected' ? reading.told.join('\n') : reading.kind

test('good rules: told with their hash and their files, and not read twice', async (t) => {
  const folder = folderWith(t, BOUTIQUE)
  const first = await read(folder)
  assert.ok(first.kind === 'good')
  assert.match(first.hash, /^[0-9a-f]{64}$/)
  assert.deepEqual(first.files, [join(folder, 'a.yaml')])
  const { digest } = first.packed
  const request = { paths: [folder], context: CONTEXT, inForce: digest }
  assert.equal((await readInThread(request).reading).kind, 'unchanged')
  // The same texts are not the same set where a file cannot be read.
  execFileSync('mkfifo', [join(folder, 'b.yaml')])
  assert.match(told(await readInThread(request).reading), /b\.yaml: error: cannot read this file/)
})

test('tests beside the rules are none of them, errors elsewhere are errors', async (t) => {
  const folder = folderWith(t, BOUTIQUE)
  writeFileSync(join(folder, 'a.test.yaml'), 'tests: []')
  assert.equal((await read(folder)).kind, 'good')
  writeFileSync(join(folder, 'b.yaml'), 'tests: []')
  assert.match(told(await read(folder)), /b\.yaml:1:1: error: /)
})

const MIB = 1024 * 1024
const HOSTILE: Readonly<Record<string, readonly [make: (file: string) => void, said: RegExp]>> = {
  'a file of nothing but depth': [
    (file) => writeFileSync(file, '['.repeat(2 * MIB)),
    /nested deeper|too many values/,
  ],
  'a file with too many values': [
    (file) => writeFileSync(file, `a: [${'[],'.repeat(4_000_000)}]`),
    /too many values/,
  ],
  'a file that is too large': [
    (file) => writeFileSync(file, 'a'.repeat(17 * MIB)),
    /larger than 16 MiB/,
  ],
  'more than all rules may have, as a hole on disk': [
    (file) => {
      writeFileSync(file, '')
      truncateSync(file, 100 * 1024 * MIB)
    },
    /more than 64 MiB together/,
  ],
  'a pipe that nobody writes to': [
    (file) => void execFileSync('mkfifo', [file]),
    /cannot read this file/,
  ],
}

for (const [name, [make, said]] of Object.entries(HOSTILE)) {
  test(`hostile: ${name} is told, and nobody waits for it`, async (t) => {
    const folder = folderWith(t, BOUTIQUE)
    make(join(folder, 'b.yaml'))
    const reading = await read(folder)
    assert.match(told(reading), said)
    t.diagnostic(`longest pause ${Math.round(reading.longestMs)} ms`)
  })
}

test('hostile: what takes more memory than there is ends its own thread, and says so', async (t) => {
  const services = Array.from({ length: 100_000 }, (_, at) => `  s${at}: {scopes: [a]}`)
  const folder = folderWith(t, `namespace: a\nservices:\n${services.join('\n')}\n`)
  assert.match(
    told(await read(folder, { heapMiB: 32 })),
    /^reading the rules takes more than 32 MiB of memory$/,
  )
})

test('a reading that takes too long is given up', async (t) => {
  const folder = folderWith(t, BOUTIQUE)
  assert.equal(
    told(await read(folder, { timeoutMs: 1 })),
    'reading the rules took longer than 0.001 s',
  )
})

test('a reading takes three quarters of what a container has left, and never more than rules need', () => {
  const left = (limitMiB: number | undefined, usedMiB: number) =>
    heapLeftMiB(limitMiB === undefined ? undefined : limitMiB * MIB, usedMiB * MIB)
  assert.deepEqual(
    [
      left(512, 112),
      left(256, 250),
      left(8192, 100),
      left(undefined, 100),
      left(0, 100),
      left(2 ** 44, 100),
    ],
    [300, 64, 768, 768, 768, 768],
  )
})

test('the thread reads again while a file changes: it says so rather than give what may be half of it', async (t) => {
  const folder = folderWith(t, BOUTIQUE)
  for (let file = 0; file < 500; file++) writeFileSync(join(folder, `b${file}.yaml`), '# nothing')
  const writer = spawn('sh', ['-c', 'while :; do : > a.yaml; done'], { cwd: folder })
  try {
    // A loaded machine may let one reading through.
    let reading = await read(folder)
    for (let more = 20; more > 0 && reading.kind !== 'unsettled'; more--) {
      reading = await read(folder)
    }
    assert.equal(reading.kind, 'unsettled')
  } finally {
    const ended = once(writer, 'exit')
    writer.kill('SIGKILL')
    await ended
  }
})

test('a reading that is cancelled is a rejected one', async (t) => {
  const folder = folderWith(t, BOUTIQUE)
  const { reading, cancel } = readInThread({
    paths: [folder],
    context: CONTEXT,
    inForce: undefined,
  })
  cancel()
  assert.equal(told(await reading), 'reading the rules was ended early')
})

test('files that change while they are read are read again, until they do not, but not for ever', async (t) => {
  const folder = folderWith(t, 'first')
  let changes = 2
  let readings = 0
  const readAndChange = () => {
    readings += 1
    const found = readRuleSources([folder])
    if (changes-- > 0) writeFileSync(join(folder, 'a.yaml'), `changed ${changes}`)
    return found
  }
  const settled = await readSettled([folder], readAndChange)
  assert.deepEqual([settled?.sources[0]?.text, readings], ['changed 0', 3])
  changes = Number.POSITIVE_INFINITY
  readings = 0
  assert.equal(await readSettled([folder], readAndChange), undefined)
  assert.equal(readings, 5)
})

test('rules that go from thread to thread arrive as they were, in their order', async () => {
  const [rules] = load(BOUTIQUE).written.files
  const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 })
  const entry = fc.constantFrom(...Object.values(rules?.services ?? {}))
  let pauses = 0
  const many = Array.from({ length: 450 }, (_, at) => [`s${at}`, rules?.services.mailer])
  const large = { namespace: 'large', services: Object.fromEntries(many) }
  assert.deepEqual(await putTogether([takeApart(large)], async () => undefined), [large])
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uniqueArray(fc.tuple(name, entry), { maxLength: 500, selector: ([key]) => key })),
      async (files) => {
        const made = files.map((entries, at) => ({
          namespace: `n${at}`,
          services: Object.fromEntries(entries.filter(([key]) => key !== '__proto__')),
        }))
        const back = await putTogether(made.map(takeApart), async () => {
          pauses += 1
        })
        assert.equal(JSON.stringify(back), JSON.stringify(made))
      },
    ),
    { numRuns: 50 },
  )
  assert.ok(pauses > 0)
})
