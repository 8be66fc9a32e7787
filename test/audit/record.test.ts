// P3: durable first, then told; and nothing is told of what is not durable.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromJsonLine } from '../../src/audit/json-line.ts'
import { queryAudit } from '../../src/audit/query.ts'
import { createAuditRecorder } from '../../src/audit/record.ts'
import { fail } from '../../src/oauth/reasons.ts'
import type { Writer } from '../../src/store/writer.ts'
import { denied, granted, migratedPath, open, startWriter } from '../support/audit-store.ts'

for (const [name, event] of [
  ['a grant', granted()],
  ['a denial', denied()],
] as const) {
  test(`P3 ${name} is readable by another connection when record() resolves`, async (t) => {
    const path = migratedPath(t)
    const record = createAuditRecorder({ writer: await startWriter(t, path) })
    assert.deepEqual(await record([event]), { ok: true, value: undefined })
    assert.deepStrictEqual([...queryAudit(open(t, path), {})], [event])
  })
}

test('P3 the line on stdout comes after the event is durable, and is the record', async (t) => {
  const path = migratedPath(t)
  const db = open(t, path)
  const stored = db.prepare('SELECT record FROM audit_events').pluck()
  const lines: string[] = []
  const stdout = (line: string) => {
    assert.equal(stored.get(), line)
    lines.push(line)
  }
  const event = granted()
  await createAuditRecorder({ writer: await startWriter(t, path), stdout })([event])
  assert.deepStrictEqual(lines.map(fromJsonLine), [event])
})

test('P3 what cannot be written fails with audit_unavailable and gives no line', async () => {
  const write: Writer['write'] = async () => fail('audit_unavailable', 'why', 1)
  const stdout = () => assert.fail('a line')
  const recorded = await createAuditRecorder({ writer: { write }, stdout })([granted()])
  assert.deepEqual(recorded, fail('audit_unavailable', 'why', 1))
})
