// Owns a test run: finds the compiled tests, runs each file in a process of its own, tells what failed.
// Must not build (`npm test` does that first), and must never end well without a test that ran.
//   npm test               every test
//   npm test -- keys xfcc  the files whose path contains one of the words
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { run } from 'node:test'
import { inspect } from 'node:util'

const ROOT = resolve(import.meta.dirname, '..')
const TESTS = join(ROOT, 'dist', 'test')
/** A file that takes longer hangs. */
const FILE_TIMEOUT_MS = 600_000

process.chdir(ROOT) // fixtures are found from the project root
const words = process.argv.slice(2)
const files = testFiles().filter(
  (file) => words.length === 0 || words.some((word) => file.includes(word)),
)
if (files.length === 0) {
  console.error(
    `no test file ${words.length === 0 ? 'in dist/test' : `matches ${words.join(' ')}`}`,
  )
  process.exit(1)
}

const { findEnvoy } = await import('../dist/test/support/envoy-binary.js')
const envoy = findEnvoy(process.env)
console.log('path' in envoy ? `Envoy: ${envoy.path}` : `${envoy.missing} (its tests are skipped)`)

// The processes of the test files inherit it: stack traces then point into the TypeScript sources.
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim()

const counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 }
const perFile = new Map(files.map((file) => [file, { tests: 0, failures: [], output: '' }]))
const skips = new Map()
const started = performance.now()

const stream = run({
  files: files.map((file) => resolve(file)),
  concurrency: availableParallelism(),
  timeout: FILE_TIMEOUT_MS,
})
for await (const { type, data } of stream) {
  if (type === 'test:pass' || type === 'test:fail') count(type, data)
  if (type === 'test:stdout' || type === 'test:stderr') entryOf(data.file).output += data.message
}

for (const [name, { tests, failures, output }] of perFile) {
  console.log(`${failures.length === 0 ? 'ok  ' : 'FAIL'} ${name} (${tests} tests)`)
  for (const failure of failures) console.log(`\n${failure}\n`)
  if (failures.length > 0 && output !== '') console.log(`output of ${name}:\n${output}`)
}
for (const [reason, number] of skips) console.log(`skipped ${number}: ${reason}`)
for (const [name, number] of Object.entries(counts)) console.log(`# ${name} ${number}`)
console.log(`# duration_ms ${Math.round(performance.now() - started)}`)

const ran = counts.pass + counts.fail
if (ran === 0) console.error('no test ran')
process.exitCode = counts.fail + counts.cancelled > 0 || ran === 0 ? 1 : 0

/** Compiled test files relative to the root; what has no source any more is a leftover of an older build. */
function testFiles() {
  if (!existsSync(TESTS)) return []
  return readdirSync(TESTS, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => existsSync(join(ROOT, 'test', name.replace(/\.js$/, '.ts'))))
    .map((name) => join('dist', 'test', name))
    .sort()
}

/** The entry of a file; the runner names it by its source where there is a source map. */
function entryOf(path) {
  const name = relative(ROOT, path ?? 'unknown')
  const compiled = name.startsWith('dist') ? name : join('dist', name).replace(/\.ts$/, '.js')
  const entry = perFile.get(compiled) ?? { tests: 0, failures: [], output: '' }
  perFile.set(compiled, entry)
  return entry
}

function count(type, data) {
  const entry = entryOf(data.file)
  const fail = (what) => entry.failures.push(`${data.name}\n${what}`)
  const error = type === 'test:fail' ? data.details.error : undefined
  // A suite or a file that fails only because of what is inside it says nothing new.
  const isNews = error !== undefined && error.failureType !== 'subtestsFailed'
  const skipped = data.skip !== undefined
  const todo = data.todo !== undefined
  if (isNews && !todo) fail(inspect(error.cause ?? error))

  // A file is reported like a test where it ends badly, or where it holds no test.
  const isFile = perFile.has(relative(ROOT, resolve(ROOT, data.name)))
  if (isFile && type === 'test:pass') fail('the file holds no test')
  if (isFile || (data.details?.type === 'suite' && !skipped)) {
    // A hook that fails is reported on its suite alone.
    if (isFile || isNews) {
      counts.tests += 1
      counts.fail += 1
    }
    return
  }

  counts.tests += 1
  entry.tests += 1
  if (skipped) {
    counts.skipped += 1
    const reason = data.skip === true ? 'without a reason' : data.skip
    skips.set(reason, (skips.get(reason) ?? 0) + 1)
  } else if (todo) counts.todo += 1
  else if (error?.failureType === 'cancelledByParent') counts.cancelled += 1
  else counts[type === 'test:pass' ? 'pass' : 'fail'] += 1
}
