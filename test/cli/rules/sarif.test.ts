// SARIF 2.1.0 as `rules check --sarif` writes it, checked against what the published schema requires.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { deployment, RULES_YAML, runCli, STS_YAML } from '../run-cli.ts'

interface Result {
  readonly ruleId: string
  readonly ruleIndex: number
  readonly level: string
  readonly message: { readonly text: string }
  readonly locations: readonly {
    readonly physicalLocation: {
      readonly artifactLocation: { readonly uri: string }
      readonly region?: { readonly startLine: number; readonly startColumn: number }
    }
  }[]
  readonly suppressions?: readonly { readonly kind: string; readonly justification: string }[]
}

interface Log {
  readonly version: string
  readonly $schema: string
  readonly runs: readonly {
    readonly columnKind: string
    readonly tool: {
      readonly driver: {
        readonly name: string
        readonly version: string
        readonly rules: readonly {
          readonly id: string
          readonly shortDescription: { readonly text: string }
          readonly helpUri: string
          readonly defaultConfiguration: { readonly level: string }
        }[]
      }
    }
    readonly results: readonly Result[]
  }[]
}

/** What the schema (oasis-tcs/sarif-spec, sarif-schema-2.1.0.json) requires of what we write. */
function checkLog(log: Log): readonly Result[] {
  assert.deepEqual(Object.keys(log).sort(), ['$schema', 'runs', 'version'])
  assert.equal(log.version, '2.1.0')
  assert.equal(new URL(log.$schema).protocol, 'https:')
  const [run, ...others] = log.runs
  assert.ok(run !== undefined && others.length === 0)
  assert.deepEqual(Object.keys(run).sort(), ['columnKind', 'results', 'tool'])
  assert.equal(run.columnKind, 'utf16CodeUnits')
  const { name, version, rules } = run.tool.driver
  assert.equal(name, 'mesh-sts rules check')
  assert.match(version, /^\d+\.\d+\.\d+/)
  assert.equal(new Set(rules.map(({ id }) => id)).size, rules.length)
  for (const { shortDescription, helpUri, defaultConfiguration } of rules) {
    assert.ok(shortDescription.text.length > 5)
    assert.ok(existsSync(fileURLToPath(helpUri)), helpUri)
    assert.ok(['error', 'warning'].includes(defaultConfiguration.level))
  }
  for (const result of run.results) checkResult(result, rules)
  return run.results
}

function checkResult(
  { ruleId, ruleIndex, level, message, locations, suppressions = [] }: Result,
  rules: readonly { readonly id: string }[],
): void {
  assert.equal(rules[ruleIndex]?.id, ruleId)
  assert.ok(['error', 'warning'].includes(level))
  assert.ok(message.text.length > 5)
  for (const { physicalLocation } of locations) {
    const { artifactLocation, region } = physicalLocation
    assert.equal(new URL(artifactLocation.uri, 'file:///here/').protocol, 'file:')
    if (region === undefined) continue
    assert.ok(Number.isInteger(region.startLine) && region.startLine >= 1)
    assert.ok(Number.isInteger(region.startColumn) && region.startColumn >= 1)
  }
  for (const { kind, justification } of suppressions) {
    assert.equal(kind, 'inSource')
    assert.ok(justification.length > 5)
  }
}

async function sarif(files: Readonly<Record<string, string>>, ...args: string[]) {
  const cwd = deployment(files)
  const run = await runCli(['rules', 'check', '--sarif', 'out.sarif', ...args], { cwd })
  const log = JSON.parse(readFileSync(join(cwd, 'out.sarif'), 'utf8')) as Log
  return { run, log, results: checkLog(log) }
}

const uris = (results: readonly Result[]): (string | undefined)[] =>
  results.map(({ locations }) => locations[0]?.physicalLocation.artifactLocation.uri)

describe('rules check --sarif', () => {
  const orphan = `${RULES_YAML}  orphan: {scopes: []}\n`

  test('nothing found: a log without results', async () => {
    const { run, results } = await sarif({})
    assert.deepEqual([run.code, results], [0, []])
  })

  test('warnings, with what is waived as suppressed', async () => {
    const waiver =
      'waivers: [{finding: service-unused, at: orphan, reason: comes into use in May}]\n'
    const { run, results } = await sarif({
      'rules/boutique.yaml': `${orphan}  other: {scopes: []}\n${waiver}`,
    })
    assert.equal(run.code, 0)
    assert.deepEqual(results, [
      {
        ruleId: 'service-unused',
        ruleIndex: 0,
        level: 'warning',
        message: {
          text: 'services.other: boutique/other calls nobody, and nobody may call it',
        },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: 'rules/boutique.yaml' },
              region: { startLine: 13, startColumn: 3 },
            },
          },
        ],
      },
      {
        ruleId: 'service-unused',
        ruleIndex: 0,
        level: 'warning',
        message: {
          text: 'services.orphan: boutique/orphan calls nobody, and nobody may call it',
        },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: 'rules/boutique.yaml' },
              region: { startLine: 12, startColumn: 3 },
            },
          },
        ],
        suppressions: [{ kind: 'inSource', justification: 'comes into use in May' }],
      },
    ])
  })

  test('errors with what was probably meant', async () => {
    const { run, results } = await sarif({
      'rules/boutique.yaml': RULES_YAML.replace('calls: [checkout]', 'calls: [chekout]'),
    })
    assert.equal(run.code, 1)
    assert.deepEqual(
      results.map(({ ruleId, level }) => [ruleId, level]),
      [['service-unknown', 'error']],
    )
    assert.match(String(results[0]?.message.text), /did you mean `boutique\/checkout`\?$/)
  })

  test('a configuration that cannot be read, and a place that is no line', async () => {
    const { run, results } = await sarif({ 'sts.yaml': STS_YAML.replace('keys:', 'kes:') })
    assert.equal(run.code, 1)
    assert.ok(results.length > 0)
    assert.ok(results.every(({ ruleId }) => ruleId === 'configuration-invalid'))
    const missing = await sarif({ 'sts.yaml': STS_YAML.replace('rules: [rules]', 'rules: [none]') })
    assert.deepEqual(
      missing.results.map(({ ruleId, locations }) => [
        ruleId,
        locations[0]?.physicalLocation.region,
      ]),
      [['file-unreadable', undefined]],
    )
  })

  test('names of files as URIs: relative to here, else whole', async () => {
    const { results } = await sarif({ 'my rules/50% #1?.yaml': orphan }, 'my rules')
    assert.deepEqual(uris(results), ['my%20rules/50%25%20%231%3F.yaml'])
    const cwd = deployment({ 'rules/boutique.yaml': orphan })
    mkdirSync(join(cwd, 'below'))
    const run = await runCli(['rules', 'check', '--config', '../sts.yaml', '--sarif', 'x'], {
      cwd: join(cwd, 'below'),
    })
    assert.equal(run.code, 0, run.stderr)
    const outside = checkLog(JSON.parse(readFileSync(join(cwd, 'below/x'), 'utf8')) as Log)
    assert.deepEqual(uris(outside), [`file://${cwd}/rules/boutique.yaml`])
  })

  test('a file that cannot be written: exit 1, and it is said', async () => {
    const cwd = deployment({})
    const run = await runCli(['rules', 'check', '--sarif', 'no/such/folder.sarif'], { cwd })
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^mesh-sts: cannot write .*folder\.sarif \(ENOENT\)\n$/)
  })
})
