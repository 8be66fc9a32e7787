// Faults that a tired admin would make: each is found by the command that should find it, its clean twin by none.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type CliRun, runCli, STS_YAML } from './cli/run-cli.ts'
import { ASKED, FAULTS, type Fault, type Finder, REPLAYED } from './planted-faults/faults.ts'
import { exchangeForm, post, startDeployment, userToken } from './support/deployment.ts'

const FOLDER = 'test/planted-faults'
const STS = `${STS_YAML.replace(
  'client_auth:\n',
  'client_auth:\n  jwt_svid: {bundles: {cluster.local: {file: bundle.json}}}\n',
)}tokens: {max_size: 16KiB}\n`

const BASES = [...new Set(FAULTS.map(({ base }) => base))]

type Files = Readonly<Record<string, string>>

/** The files of a clean twin, by their names in a deployment. */
function filesOf(base: string): Files {
  const folder = join(FOLDER, base)
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const yaml = names.filter((name) => name.endsWith('.yaml'))
  return Object.fromEntries(yaml.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}

function deploy(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-faults-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries({ 'sts.yaml': STS, ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const run = (cwd: string, ...args: readonly string[]): Promise<CliRun> =>
  runCli(['rules', ...args], { cwd })

const jsonOf = ({ stdout }: CliRun) => JSON.parse(stdout)

describe('clean twins', () => {
  for (const base of BASES) {
    it(`${base}: nothing is said of it by any command`, async () => {
      const cwd = deploy(filesOf(base))
      const checked = jsonOf(await run(cwd, 'check', '--strict', '--json'))
      assert.deepEqual(checked.problems, [])
      assert.equal(checked.notChecked, undefined)
      for (const args of [
        ['check'],
        ['test'],
        ['prove'],
        ['diff', 'rules', '--fail-on', 'new-allow'],
      ]) {
        const { code, stderr } = await run(cwd, ...args)
        assert.deepEqual([code, stderr], [0, ''], args.join(' '))
      }
    })
  }
})

/** The command that should find it does: exit 1, and exactly this is told. */
async function checkFound(finder: Finder, cwd: string, clean: Files): Promise<void> {
  if (finder.by === 'check') {
    const told = await run(cwd, 'check', '--strict', '--json')
    const ids = jsonOf(told).problems.map(({ id }: { id: string }) => id)
    assert.deepEqual([told.code, ids.sort()], [1, [...finder.ids].sort()])
  } else if (finder.by === 'test') {
    const told = await run(cwd, 'test', '--json')
    const failed = jsonOf(told).results.filter(({ passed }: { passed: boolean }) => !passed)
    assert.deepEqual(
      [told.code, failed.map(({ name }: { name: string }) => name)],
      [1, finder.failing],
    )
  } else if (finder.by === 'prove') {
    const told = await run(cwd, 'prove', '--json')
    const broken = jsonOf(told).nevers.filter(({ holds }: { holds: boolean }) => !holds)
    assert.deepEqual(
      [told.code, broken.map(({ never }: { never: string }) => never)],
      [1, finder.broken],
    )
  } else {
    const twin = deploy(clean)
    const told = await run(cwd, 'diff', join(twin, 'rules'), '--fail-on', 'new-allow')
    assert.equal(told.code, 1, told.stdout)
    assert.match(told.stdout, finder.tells)
  }
}

describe('planted faults', () => {
  it('are many, and each is another', () => {
    assert.ok(FAULTS.length >= 30)
    assert.equal(new Set(FAULTS.map(({ name }) => name)).size, FAULTS.length)
  })
  for (const fault of FAULTS) {
    it(`${fault.name} (rules ${fault.finds.by})`, async () => {
      const clean = filesOf(fault.base)
      const cwd = deploy(plant(clean, fault))
      await checkFound(fault.finds, cwd, clean)
    })
  }
})

/** All that is justified. */
const ASK = { audience: 'checkout', scope: undefined }

describe('planted faults, by what was decided before', () => {
  it('rules replay', { timeout: 60_000 }, async (t) => {
    const clean = filesOf('served')
    const served = await startDeployment(t, clean)
    for (const claims of ASKED) {
      await post(served.tokenUrl, exchangeForm(userToken(served, claims), ASK))
    }
    const { folder } = served
    const replay = (...args: string[]) => run(folder, 'replay', '--json', ...args)
    const same = await replay('--fail-on', 'any')
    assert.deepEqual([same.code, jsonOf(same).decisions], [0, ASKED.length], same.stdout)
    for (const fault of REPLAYED) {
      await t.test(fault.name, async () => {
        const planted = plant(clean, { ...fault, file: 'rules/boutique.yaml' })
        const candidate = join(folder, 'candidate.yaml')
        writeFileSync(candidate, planted['rules/boutique.yaml'] ?? '')
        const told = await replay('--fail-on', fault.failOn, candidate)
        const kind = fault.failOn === 'new-allow' ? 'newly_allowed' : 'newly_denied'
        const groups = jsonOf(told).groups.filter(
          (group: { class: string }) => group.class === kind,
        )
        const before = groups.map((group: { before: string; count: number }) => [
          group.before,
          group.count,
        ])
        assert.deepEqual([told.code, before], [1, [[fault.before, 1]]], told.stdout)
      })
    }
  })
})

function plant(clean: Files, { file, from, to }: Pick<Fault, 'file' | 'from' | 'to'>): Files {
  const text = clean[file] ?? ''
  assert.equal(text.split(from).length, 2, `${from} stands once in ${file}`)
  return { ...clean, [file]: text.replace(from, to) }
}
