// docs/rules-check.md: its commands are run on the shipped rules and on its own examples.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { issuersText } from '../../../src/dev/profile.ts'
import { deployment, runCli, STS_YAML } from '../run-cli.ts'

const PAGE = readFileSync('docs/rules-check.md', 'utf8')
const EXAMPLES = Object.fromEntries(
  [...PAGE.matchAll(/^```yaml (\S+)\n([\s\S]*?)^```$/gm)].map(([, file = '', text = '']) => [
    file,
    text,
  ]),
)
const SHIPPED = Object.fromEntries(
  readdirSync('rules')
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => [`rules/${name}`, readFileSync(`rules/${name}`, 'utf8')]),
)

describe('docs/rules-check.md', () => {
  const cwd = deployment({
    'sts.yaml': STS_YAML.replace(
      'client_auth:\n',
      'client_auth:\n  jwt_svid: {bundles: {cluster.local: {file: bundle.json}}}\n',
    ),
    'issuers.yaml': issuersText('https://login.corp.example'),
    ...SHIPPED,
    ...EXAMPLES,
    'mended/shop.yaml': String(EXAMPLES['branch/shop.yaml'])
      .replace('frontend, scopes', 'frontend, issuer: corporate, scopes')
      .replace('from: order\n', 'from: orders\n'),
  })
  const blocks = [...PAGE.matchAll(/^```console\n\$ mesh-sts (.*)\n([\s\S]*?)^```$/gm)]

  for (const [, line = '', expected = ''] of blocks) {
    test(line, async () => {
      const run = await runCli(line.split(' '), { cwd })
      const output = (run.stderr + run.stdout).replace(/^ruleset [0-9a-f]{64}$/gm, 'ruleset …')
      assert.equal(output, expected)
    })
  }
  test('has commands', () => assert.ok(blocks.length >= 3))
})
