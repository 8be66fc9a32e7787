// The record: round trip, members in step with the document, and no token in it.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent, RecordedToken } from '../../src/audit/event.ts'
import { fromJsonLine, toJsonLine } from '../../src/audit/json-line.ts'
import { fromRow, toRow } from '../../src/audit/row.ts'
import { CLIENT_AUTH_METHODS } from '../../src/clients/client.ts'
import { type Reason, WIRE } from '../../src/oauth/reasons.ts'
import type { Act } from '../../src/subjects/subject.ts'
import { denied, granted, migratedPath, open } from '../support/audit-store.ts'

/** Plain objects: records of fast-check have no prototype half of the time, which deepStrictEqual sees. */
const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true })
const text = fc.string({ unit: 'binary', maxLength: 20 })
const texts = fc.array(text, { maxLength: 4 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const seconds = fc.nat()
const act: fc.Arbitrary<Act> = fc.letrec<{ act: Act }>((tie) => ({
  act: fc.record(
    { sub: text, iss: text, act: tie('act') },
    { requiredKeys: ['sub'], noNullPrototype: true },
  ),
})).act
const token: fc.Arbitrary<RecordedToken> = record({
  issuer: text,
  iss: text,
  sub: text,
  tokenType: text,
  audiences: texts,
  scopes: texts,
  exp: seconds,
  act: maybe(act),
  mayAct: maybe(
    fc.record({ sub: text, iss: text }, { requiredKeys: ['sub'], noNullPrototype: true }),
  ),
  chain: texts,
  jti: maybe(text),
  tokenHash: text,
  claims: fc.dictionary(
    text,
    fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
    { noNullPrototype: true },
  ),
  absentClaims: texts,
})
const event: fc.Arbitrary<AuditEvent> = record({
  decisionId: text,
  parent: maybe(text),
  time: fc.nat({ max: 8_640_000_000_000_000 }),
  outcome: fc.constantFrom('granted', 'denied'),
  reason: maybe(fc.constantFrom(...(Object.keys(WIRE) as Reason[]))),
  detail: maybe(text),
  rulesetHash: text,
  caller: record({
    id: text,
    method: fc.constantFrom(...CLIENT_AUTH_METHODS, 'embedded' as const),
    peer: text,
    listener: text,
    service: maybe(text),
    audience: maybe(text),
  }),
  subject: maybe(token),
  actor: maybe(
    record({
      issuer: text,
      iss: text,
      sub: text,
      exp: seconds,
      jti: maybe(text),
      tokenHash: text,
    }),
  ),
  request: maybe(
    record({
      audiences: texts,
      resources: texts,
      scopes: maybe(texts),
      requestedTokenType: text,
    }),
  ),
  target: maybe(text),
  rule: maybe(text),
  wouldDeny: texts,
  forwarded: fc.boolean(),
  issued: maybe(
    record({
      jti: text,
      tokenHash: text,
      kid: text,
      aud: text,
      sub: text,
      scopes: texts,
      claims: texts,
      ctx: texts,
      ctxHash: maybe(text),
      embedded: texts,
      chain: texts,
      act: maybe(act),
      exp: seconds,
    }),
  ),
  traceId: maybe(text),
  truncated: maybe(texts),
})

test('P3 an event comes back from its row as it was, through SQLite, whatever its texts hold', (t) => {
  const db = open(t, migratedPath(t))
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  const read = db.prepare<[number | bigint], { time: number; record: string }>(
    'SELECT time, record FROM audit_events WHERE seq = ?',
  )
  fc.assert(
    fc.property(event, (original) => {
      const row = read.get(insert.run(...toRow(original)).lastInsertRowid)
      assert.ok(row !== undefined)
      assert.equal(row.time, original.time)
      assert.deepStrictEqual(fromRow([row.time, row.record]), original)
    }),
    { numRuns: 300 },
  )
})

test('a record is one line', () => {
  fc.assert(
    fc.property(event, (original) => {
      assert.doesNotMatch(toJsonLine(original), /[\n\r]/)
    }),
  )
})

/** An event with every member. */
const full = () =>
  granted({ reason: 'target_unknown', detail: 'x', parent: 'another', forwarded: true })

/** `a.b` for each member that is not an object of members itself; `act`, `may_act` and `claims` count as one. */
function membersOf(value: object, name = ''): string[] {
  return Object.entries(value).flatMap(([key, member]) => {
    const path = name === '' ? key : `${name}.${key}`
    const isGroup =
      typeof member === 'object' && !Array.isArray(member) && !/(?:act|claims)$/.test(key)
    return isGroup ? membersOf(member, path) : [path]
  })
}

test('docs/audit.md describes every member of the JSON line, and no other', () => {
  const written = membersOf(JSON.parse(toJsonLine(full())))
  const document = readFileSync('docs/audit.md', 'utf8')
  const described = [...document.matchAll(/^\| `([a-z_.]+)` \| (\S.*?) \| \S.* \|$/gm)].map(
    (row) => row[1],
  )
  assert.deepEqual(described, written)
  assert.ok(written.length > 40)
})

test('docs/audit.md tells the types of the members', () => {
  const line = JSON.parse(toJsonLine(full()))
  const document = readFileSync('docs/audit.md', 'utf8')
  for (const [, path = '', type] of document.matchAll(/^\| `([a-z_.]+)` \| (\S.*?) \|/gm)) {
    const value = path.split('.').reduce((at, key) => at[key], line)
    const actual = Array.isArray(value) ? 'list of strings' : typeof value
    assert.equal(type, actual, path)
  }
})

test('what does not apply is absent from the line and undefined in the event', () => {
  const line = toJsonLine(denied())
  for (const name of ['subject', 'actor', 'target', 'rule', 'issued', 'trace_id']) {
    assert.ok(!(name in JSON.parse(line)), name)
  }
  assert.equal(fromJsonLine(line).subject, undefined)
})

test('P7 no byte of a token gets into a row, even where an object carries more than its type says', () => {
  const tokens = [
    'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl',
    'eyJ0.eyJh.YWN0b3I',
    'eyJp.aXNz.dWVk',
  ]
  const hash = (value: string) => createHash('sha256').update(value).digest('hex')
  const leaky = <T extends object>(value: T, raw: string) => ({
    ...value,
    tokenHash: hash(raw),
    token: raw,
    claims: { raw },
  })
  const base = granted()
  const event = {
    ...base,
    token: tokens[0],
    caller: { ...base.caller, token: tokens[0] },
    subject: {
      ...leaky(base.subject!, tokens[0]!),
      // What is recorded of them is chosen before (inputs.ts).
      claims: {},
      act: { ...base.subject!.act!, token: tokens[0] },
      mayAct: { ...base.subject!.mayAct!, token: tokens[0] },
    },
    actor: leaky(base.actor!, tokens[1]!),
    request: { ...base.request!, subjectToken: tokens[0] },
    issued: { ...base.issued!, tokenHash: hash(tokens[2]!), token: tokens[2] },
  }
  const row = toRow(event).join('\n')
  for (const raw of tokens) {
    assert.ok(row.includes(hash(raw)))
    for (const part of raw.split('.')) assert.ok(!row.includes(part), part)
  }
})

test('a damaged record throws', () => {
  assert.throws(() => fromJsonLine('{"decision_id":'), SyntaxError)
})
