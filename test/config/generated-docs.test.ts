// Documents made from the schemas: fresh, complete, and the schemas for editors accept what we accept.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { GENERATED } from '../../scripts/docs.ts'
import { referenceTable } from '../../scripts/reference.ts'
import { variablesOf } from '../../src/config/environment.ts'
import { IssuerSchema } from '../../src/config/issuers-schema.ts'
import { SettingsSchema } from '../../src/config/settings-schema.ts'

describe('generated documents', () => {
  for (const { path, text } of GENERATED) {
    test(`${path} is what npm run docs writes`, async () => {
      assert.equal(readFileSync(path, 'utf8'), await text(), 'run npm run docs')
    })
  }
  for (const [name, schema] of [
    ['sts.yaml', SettingsSchema],
    ['the issuers file', IssuerSchema],
  ] as const) {
    test(`every key of ${name} has a meaning`, () => {
      const rows = referenceTable(schema).split('\n').slice(2, -1)
      assert.ok(rows.length > 10)
      for (const row of rows) assert.doesNotMatch(row, /\|\s*\|$/, row)
    })
  }
})

test('no two keys share an environment variable, and none looks like one of Kubernetes', () => {
  const paths = [...variablesOf(SettingsSchema).values()].map((path) => path.join('.'))
  const leaves = new Set(paths)
  assert.equal(leaves.size, paths.length)
  // A collision would leave fewer variables than there are rows without children.
  const rows = referenceTable(SettingsSchema)
    .split('\n')
    .slice(2, -1)
    .map((row) => row.split('`')[1] ?? '')
  const isLeaf = (key: string) =>
    !rows.some((other) => other.startsWith(`${key}.`) && !other.startsWith(`${key}.<name>`))
  const expected = rows.filter((key) => !key.includes('<name>') && isLeaf(key))
  assert.deepEqual([...leaves].sort(), expected.sort())
  for (const variable of variablesOf(SettingsSchema).keys()) {
    assert.doesNotMatch(variable, /_(?:SERVICE_HOST|SERVICE_PORT|PORT)$/)
  }
})
