// Owns a migrated database in a temp folder, its writer, and valid audit events that tests change in one thing.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createDecisionIds } from '../../src/audit/decision-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrations.ts'
import { createWriter, type Writer, type WriterOptions } from '../../src/store/writer.ts'

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
/** Tests run from the project's root. */
export const MIGRATIONS = join(process.cwd(), 'migrations')

/** The path of a database that has the schema and nothing else; gone after the test. */
export function migratedPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'sts.db')
  const db = openDatabase(path, { create: true })
  migrate(db, MIGRATIONS, NOW)
  db.close()
  return path
}

/** A second connection, closed after the test. */
export function open(t: TestContext, path: string): Database {
  const db = openDatabase(path)
  t.after(() => db.close())
  return db
}

/** What was logged, by message. */
export interface RecordedLog {
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[]
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

export function recordedLog(): RecordedLog {
  const lines: RecordedLog['lines'] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message })
  }
  return { lines, info: at('info'), warn: at('warn'), error: at('error') }
}

/** A writer that is closed after the test, and writable now. */
export async function startWriter(
  t: TestContext,
  path: string,
  options: Partial<WriterOptions> = {},
): Promise<Writer> {
  const writer = createWriter({ path, log: recordedLog(), ...options })
  t.after(() => writer.close())
  await until(() => writer.writable())
  return writer
}

/** Waits for something that a thread or a process does; fails after 20 s. */
export async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > end) throw new Error('it did not happen within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const newDecisionId = createDecisionIds(randomBytes)

/** A denial of an authenticated caller, before its subject token was verified. */
export const denied = (change: Partial<AuditEvent> = {}): AuditEvent => ({
  ...granted(),
  outcome: 'denied',
  reason: 'subject_token_expired',
  detail: 'exp was 1700000000',
  subject: undefined,
  actor: undefined,
  target: undefined,
  rule: undefined,
  issued: undefined,
  traceId: undefined,
  truncated: undefined,
  ...change,
})

/** A grant with every member present. */
export function granted(change: Partial<AuditEvent> = {}): AuditEvent {
  const time = change.time ?? NOW
  return {
    decisionId: newDecisionId(time),
    parent: undefined,
    time,
    outcome: 'granted',
    reason: undefined,
    detail: undefined,
    rulesetHash: 'ab'.repeat(32),
    caller: {
      id: 'spiffe://cluster.local/ns/boutique/sa/frontend',
      method: 'xfcc',
      peer: '127.0.0.6',
      listener: 'token',
      service: 'boutique/frontend',
      audience: 'frontend.boutique',
    },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.corp.example',
      sub: 'alice',
      tokenType: 'access_token',
      audiences: ['https://api.shop.example'],
      scopes: ['shop:browse', 'shop:buy'],
      exp: 1_800_000_000,
      act: { sub: 'agent-1', iss: 'https://agents.example', act: { sub: 'agent-0' } },
      mayAct: { sub: 'spiffe://cluster.local/ns/boutique/sa/frontend' },
      chain: ['spiffe://cluster.local/ns/boutique/sa/gateway'],
      jti: 'subject-1',
      tokenHash: 'cd'.repeat(32),
      claims: { email_verified: true },
      absentClaims: ['risk'],
    },
    actor: {
      issuer: 'agents',
      iss: 'https://agents.example',
      sub: 'agent-7',
      exp: 1_800_000_001,
      jti: 'actor-1',
      tokenHash: 'ef'.repeat(32),
    },
    request: {
      audiences: ['checkout'],
      resources: [],
      scopes: ['checkout:quote'],
      requestedTokenType: 'access_token',
    },
    target: 'boutique/checkout',
    rule: 'boutique/checkout accepts boutique/frontend with corporate',
    wouldDeny: ['boutique/checkout denies risky'],
    forwarded: false,
    issued: {
      jti: 'issued-1',
      tokenHash: '12'.repeat(32),
      kid: 'key-1',
      aud: 'https://checkout.boutique.example',
      sub: 'corp:alice',
      scopes: ['checkout:quote'],
      claims: ['email'],
      ctx: ['channel'],
      ctxHash: '0123456789abcdef',
      embedded: ['payment'],
      chain: ['spiffe://cluster.local/ns/boutique/sa/frontend'],
      act: { sub: 'spiffe://cluster.local/ns/boutique/sa/frontend' },
      exp: 1_700_000_300,
    },
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    truncated: ['request.audiences: 3 of 5 left out'],
    ...change,
  }
}
