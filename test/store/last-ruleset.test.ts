// The stored ruleset: what is written is read, once, and nothing that was damaged.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RuleSource } from '../../src/ruleset/load.ts'
import { packRules, readStoredRules } from '../../src/store/last-ruleset.ts'
import { migratedPath, NOW, open, startWriter } from '../support/audit-store.ts'

const SOURCES: readonly RuleSource[] = [
  { file: '/rules/a.yaml', text: 'namespace: a\nservices: {}\n' },
  { file: '/rules/b.yaml', text: '# é \u{1f512}\u2028\n' },
]

test('the last of two sets is read back, from another connection', async (t) => {
  const path = migratedPath(t)
  const writer = await startWriter(t, path)
  assert.equal(readStoredRules(open(t, path)), undefined)
  for (const [sources, hash] of [
    [[], 'h1'],
    [SOURCES, 'h2'],
  ] as const) {
    const { digest, bytes } = packRules(sources)
    assert.ok((await writer.write('save_ruleset', [digest, hash, NOW, bytes])).ok)
  }
  const stored = readStoredRules(open(t, path))
  assert.deepEqual(
    [stored?.digest, stored?.hash, stored?.loadedAt, stored?.sources()],
    [packRules(SOURCES).digest, 'h2', NOW, SOURCES],
  )
})

test('whatever the names and texts are, they come back, and other ones have another digest', (t) => {
  const db = open(t, migratedPath(t))
  const save = db.prepare('INSERT OR REPLACE INTO last_ruleset VALUES (1, ?, ?, ?, ?)')
  const digests = new Map<string, string>()
  const source = fc.record(
    { file: fc.string(), text: fc.string({ unit: 'binary' }) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(source, { maxLength: 5 }), (sources) => {
      const { digest, bytes } = packRules(sources)
      save.run(digest, 'h', NOW, bytes)
      assert.deepEqual(readStoredRules(db)?.sources(), sources)
      const json = JSON.stringify(sources)
      assert.equal(digests.get(digest) ?? json, json)
      digests.set(digest, json)
    }),
  )
})

test('what is damaged, or unpacks to more than rules can be, is not read', (t) => {
  const db = open(t, migratedPath(t))
  const save = db.prepare('INSERT OR REPLACE INTO last_ruleset VALUES (1, ?, ?, ?, ?)')
  const { digest, bytes } = packRules(SOURCES)
  const bomb = packRules([{ file: 'a', text: 'a'.repeat(130 * 1024 * 1024) }])
  const broken: readonly (readonly [digest: string, bytes: Uint8Array])[] = [
    [digest, bytes.subarray(0, -1)],
    [digest, Buffer.from('no gzip')],
    [packRules([]).digest, bytes],
    [bomb.digest, bomb.bytes],
  ]
  for (const [asDigest, content] of broken) {
    save.run(asDigest, 'h', NOW, content)
    assert.equal(readStoredRules(db)?.sources(), undefined)
  }
  save.run(digest, 'h', NOW, bytes)
  assert.deepEqual(readStoredRules(db)?.sources(), SOURCES)
})
