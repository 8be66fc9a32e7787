// Owns deployments on disk for processes under load, and what must hold of every token that a client got.
// Must not hold tests.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { TestContext } from 'node:test'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { queryAudit } from '../../src/audit/query.ts'
import { readKeys } from '../../src/keys/key-store.ts'
import { openDatabase } from '../../src/store/database.ts'
import {
  exchangeForm,
  initialise,
  loaded,
  userToken,
  writeDeployment,
  xfcc,
} from '../support/deployment.ts'
import type { Load, LoadRequest } from '../support/load.ts'
import type { ServerProcess } from '../support/server-process.ts'

/** A deployment that processes can serve. */
export interface DiskDeployment {
  readonly config: string
  readonly database: string
  /** Frontend's valid exchange of a user's token for checkout. */
  readonly requestTo: (server: Pick<ServerProcess, 'tokenUrl'>) => LoadRequest
}

/** Makes what `mesh-sts init` makes. */
export async function diskDeployment(t: TestContext): Promise<DiskDeployment> {
  const written = writeDeployment(t)
  const { settings } = loaded(written.config)
  await initialise(settings)
  const form = exchangeForm(userToken(written))
  return {
    config: written.config,
    database: settings.store.sqlite,
    requestTo: ({ tokenUrl }) => ({
      url: tokenUrl,
      form,
      headers: { 'x-forwarded-client-cert': xfcc('frontend') },
    }),
  }
}

/** Tokens that clients received. */
export const tokensOf = ({ answers }: Pick<Load, 'answers'>): string[] =>
  answers.filter(({ status }) => status === 200).map(({ body }) => String(body.access_token))

/** The key set as it is published, byte for byte. */
export async function publishedKeys({ publicUrl }: ServerProcess): Promise<string> {
  const answer = await fetch(`${publicUrl}/.well-known/jwks.json`)
  assert.equal(answer.status, 200)
  return answer.text()
}

/** Whether a process says that it is ready. */
export async function isReady({ adminUrl }: ServerProcess): Promise<boolean> {
  const { status } = await fetch(`${adminUrl}/readyz`)
  return status === 200
}

/** What of each key must not change while it lives. */
export function keysIn(database: string): readonly string[] {
  const db = openDatabase(database, { readonly: true })
  try {
    return readKeys(db).keys.map(({ record, publicJwk }) =>
      [record.kid, record.algorithm, record.state, publicJwk].join(' '),
    )
  } finally {
    db.close()
  }
}

/**
 * P3, P5: each token has its row, by jti and hash, and verifies with the published keys.
 * Gives the number of grants that are recorded; more than were received where processes were killed.
 */
export async function assertAllRecorded(
  database: string,
  tokens: readonly string[],
  keySet: string,
): Promise<number> {
  const db = openDatabase(database, { readonly: true })
  const recorded = new Map<string | undefined, string>()
  try {
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok')
    for (const { issued } of queryAudit(db, { outcome: 'granted' })) {
      recorded.set(issued?.jti, issued?.tokenHash ?? '')
    }
  } finally {
    db.close()
  }
  const keys = createLocalJWKSet(JSON.parse(keySet) as JSONWebKeySet)
  for (const token of tokens) {
    const { payload } = await jwtVerify(token, keys, { typ: 'at+jwt' })
    const hash = createHash('sha256').update(token).digest('hex')
    assert.equal(recorded.get(payload.jti), hash, `a token left unrecorded: ${payload.jti}`)
  }
  assert.equal(new Set(tokens).size, tokens.length)
  return recorded.size
}
