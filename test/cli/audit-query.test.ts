// audit query, over a database that init made.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { createDecisionIds } from '../../src/audit/decision-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { toRow } from '../../src/audit/row.ts'
import { openDatabase } from '../../src/store/database.ts'
import { deployment, runCli } from './run-cli.ts'

const HOUR_MS = 3_600_000
const newId = createDecisionIds(randomBytes)

function event(hoursAgo: number, changes: Partial<AuditEvent> = {}): AuditEvent {
  const time = Date.now() - hoursAgo * HOUR_MS
  return {
    decisionId: newId(time),
    parent: undefined,
    time,
    outcome: 'denied',
    reason: 'scope_not_justified',
    detail: 'payment:refund is not justified',
    rulesetHash: 'a'.repeat(64),
    caller: {
      id: 'spiffe://cluster.local/ns/boutique/sa/checkout',
      method: 'xfcc',
      peer: '127.0.0.6',
      listener: 'token',
      service: 'boutique/checkout',
      audience: 'https://checkout.boutique.example',
    },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.corp.example',
      sub: 'alice',
      tokenType: 'access_token',
      audiences: ['https://api.shop.example'],
      scopes: ['shop:buy'],
      exp: Math.floor(time / 1000) + 300,
      act: undefined,
      mayAct: undefined,
      chain: [],
      jti: undefined,
      tokenHash: 'b'.repeat(64),
      claims: {},
      absentClaims: [],
    },
    actor: undefined,
    request: {
      audiences: ['payment'],
      resources: [],
      scopes: ['payment:refund'],
      requestedTokenType: 'access_token',
    },
    target: 'boutique/payment',
    rule: 'boutique/payment <- boutique/checkout [self]',
    wouldDeny: [],
    forwarded: false,
    issued: undefined,
    traceId: undefined,
    truncated: undefined,
    ...changes,
  }
}

const granted: Partial<AuditEvent> = {
  outcome: 'granted',
  reason: undefined,
  detail: undefined,
  issued: {
    jti: 'j',
    tokenHash: 'c'.repeat(64),
    kid: 'k',
    aud: 'payment',
    sub: 'corp:alice',
    scopes: ['payment:charge'],
    claims: [],
    ctx: [],
    ctxHash: undefined,
    embedded: [],
    chain: [],
    act: undefined,
    exp: 1,
  },
}
const EVENTS = [
  event(5, granted),
  event(4, { target: 'boutique/ledger' }),
  event(3, {
    caller: {
      ...event(3).caller,
      id: 'spiffe://cluster.local/ns/boutique/sa/other',
      service: 'boutique/other',
    },
  }),
  event(2, { reason: 'subject_token_expired', subject: undefined, detail: '\u001b[31mred' }),
  event(1),
]

const cwd = deployment()
before(async () => {
  const init = await runCli(['init', '--make-encryption-key'], { cwd })
  assert.equal(init.code, 0, init.stderr)
  const db = openDatabase(join(cwd, 'sts.db'))
  const insert = db.prepare('INSERT INTO audit_events (time, record) VALUES (?, ?)')
  for (const each of EVENTS) insert.run(...toRow(each))
  db.close()
})

/** Indexes into EVENTS of what a query gives, in its order. */
async function found(...args: string[]): Promise<number[]> {
  const run = await runCli(['audit', 'query', '--json', ...args], { cwd })
  assert.equal(run.code, 0, run.stderr)
  const lines = run.stdout.split('\n').slice(0, -1)
  return lines.map((line) =>
    EVENTS.findIndex(({ decisionId }) => decisionId === JSON.parse(line).decision_id),
  )
}

describe('filters', () => {
  const cases: readonly [args: string[], expected: number[]][] = [
    [[], [4, 3, 2, 1, 0]],
    [['--oldest-first'], [0, 1, 2, 3, 4]],
    [
      ['--limit', '2'],
      [4, 3],
    ],
    [
      ['--limit', 'all'],
      [4, 3, 2, 1, 0],
    ],
    [
      ['--since', '150m'],
      [4, 3],
    ],
    [
      ['--until', '150m'],
      [2, 1, 0],
    ],
    [['--since', new Date(Date.now() - 3.5 * HOUR_MS).toISOString(), '--until', '150m'], [2]],
    [['--outcome', 'granted'], [0]],
    [['--outcome', 'denied', '--target', 'boutique/ledger'], [1]],
    [['--reason', 'subject_token_expired'], [3]],
    [['--caller', 'boutique/other'], [2]],
    [['--caller', 'spiffe://cluster.local/ns/boutique/sa/other'], [2]],
    [['--subject', 'corp:alice'], [0]],
    [['--subject', 'nobody'], []],
    [['--id', EVENTS[1]?.decisionId ?? ''], [1]],
  ]
  for (const [args, expected] of cases) {
    test(args.join(' ') || 'none', async () => assert.deepEqual(await found(...args), expected))
  }
})

describe('for people', () => {
  test('a table without colour where nobody looks', async () => {
    const run = await runCli(['audit', 'query'], { cwd })
    assert.equal(run.code, 0)
    const lines = run.stdout.trimEnd().split('\n')
    assert.equal(lines.length, EVENTS.length + 1)
    assert.match(lines[0] ?? '', /^TIME +OUTCOME +REASON +CALLER/)
    assert.ok(!run.stdout.includes('\u001b'))
  })
  test('a note where the limit cut it off', async () => {
    const run = await runCli(['audit', 'query', '--limit', '2'], { cwd })
    assert.match(run.stderr, /^the first 2; there may be more/)
  })
  test('P10: one decision in full, by the id that the caller was told', async () => {
    const run = await runCli(['audit', 'query', '--id', EVENTS[4]?.decisionId ?? ''], { cwd })
    assert.equal(run.code, 0)
    assert.match(run.stdout, /^rule +boutique\/payment <- boutique\/checkout \[self\]$/m)
    assert.match(run.stdout, /^detail +payment:refund is not justified$/m)
  })
  test('text from outside does not act on a terminal', async () => {
    const run = await runCli(['audit', 'query', '--id', EVENTS[3]?.decisionId ?? ''], { cwd })
    assert.match(run.stdout, /^detail +\\u\{1b\}\[31mred$/m)
  })
  test('an id that nobody has', async () => {
    const run = await runCli(['audit', 'query', '--id', newId(Date.now())], { cwd })
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.match(run.stderr, /there is no such decision/)
  })
  test('nothing found is no failure', async () => {
    const run = await runCli(['audit', 'query', '--target', 'x/y'], { cwd })
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, '', 'no decision matches\n'])
  })
})
