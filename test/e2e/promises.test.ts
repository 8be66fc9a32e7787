// Promises of the whole service that no single room can keep: P3, P7, P9 and P10 on a running server.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { xfcc } from '../support/deployment.ts'
import { makeKey } from '../support/jwt-fixtures.ts'
import {
  agentToken,
  ask,
  both,
  byAccountToken,
  byPrivateKey,
  bySvid,
  type Change,
  seconds,
  userToken,
  withActor,
} from './exchange-request.ts'
import {
  type FullDeployment,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { type Answer, send } from './http-client.ts'
import { assertWire, eventOf, granted, refused } from './outcome.ts'
import { holdStore } from './surroundings.ts'

describe('promises', () => {
  const full = sharedFullDeployment()

  it('P3 while the audit cannot be written no token leaves, and the server says so; then it serves on', async (t) => {
    const release = holdStore(t, full())
    const answer = await ask(full())
    assertWire(answer, 'audit_unavailable')
    assert.equal(answer.text.includes('eyJ'), false)
    const readiness = async () => (await send({ url: `${full().adminUrl}/readyz` })).status
    assert.equal(await readiness(), 503)
    // Verifiers are no part of the trouble.
    const jwks = await send({ url: `${full().publicUrl}/.well-known/jwks.json` })
    assert.equal(jwks.status, 200)
    release()
    await granted(full())
    assert.equal(await readiness(), 200)
  })

  it('P3 a denial of a known caller is recorded like a grant, a stranger is only counted', async (t) => {
    const own = await startFullDeployment(t)
    const rows = () =>
      own.db.prepare<[], { rows: number }>('SELECT count(*) AS rows FROM audit_events').get()?.rows
    await granted(own)
    await refused(own, { form: { scope: 'checkout:cancel' } }, 'scope_unknown')
    assert.equal(rows(), 2)
    const stranger = { headers: { 'x-forwarded-client-cert': undefined } }
    for (let times = 0; times < 5; times++) await refused(own, stranger, 'client_missing')
    assert.equal(rows(), 2)
    const counts = own.db.prepare<[], { reason: string; peer: string; count: number }>(
      'SELECT reason, peer, count FROM refusal_counts',
    )
    // What was counted is written when the server stops, at the latest.
    await own.server.stop()
    assert.deepEqual(
      counts.all().map(({ reason, peer }) => [reason, peer]),
      counts.all().map(() => ['client_missing', '127.0.0.1']),
    )
    assert.equal(
      counts.all().reduce((sum, { count }) => sum + count, 0),
      5,
    )
  })

  it('P7 no part of any token is in a log line, the audit, a metric, or an answer that is not its own', async (t) => {
    const own = await startFullDeployment(t)
    const [user, agent] = [userToken(own), agentToken(own)]
    const forged = userToken(own, { key: makeKey('RS256', 'forger'), header: { kid: 'corp-1' } })
    const expired = userToken(own, { claims: { exp: seconds() - 5 } })
    const elsewhere = userToken(own, { claims: { iss: 'https://elsewhere.example' } })
    const opaque = `opaque-${randomUUID()}-${randomUUID()}`
    const secrets = [user, agent, forged, expired, elsewhere, opaque]
    const changes: Change[] = [
      { form: { subject_token: user } },
      { form: { subject_token: user, ...withActor(agent) } },
      ...[forged, expired, elsewhere, opaque].map((token) => ({ form: { subject_token: token } })),
      { form: { subject_token: user, ...withActor(opaque) } },
      { form: { subject_token: user, audience: user } },
      { form: { subject_token: user, scope: opaque } },
      { headers: { authorization: `Bearer ${user}` } },
      { headers: { 'x-forwarded-client-cert': `${xfcc('frontend')};Subject="${opaque}` } },
      { path: `/token?subject_token=${opaque}` },
      { path: `/${opaque}` },
    ]
    for (const by of [bySvid, byAccountToken, byPrivateKey]) {
      for (const change of [by(), by({ claims: { exp: 1 } }), by({ key: makeKey('ES256', 'x') })]) {
        secrets.push(String(change.form?.client_assertion))
        changes.push(change, both(change, { form: { client_assertion: `${opaque}.x` } }))
      }
    }
    const answers: Answer[] = []
    for (const change of changes) answers.push(await ask(own, change))
    assert.ok(answers.some(({ status }) => status === 200))
    const issued = answers.flatMap(({ body }) =>
      typeof body.access_token === 'string' ? [body.access_token] : [],
    )
    const metrics = await send({ url: `${own.adminUrl}/metrics` })
    await own.server.stop()

    const told = [metrics.text, ...own.logLines, ...recordsOf(own)].join('\n')
    assert.ok(told.length > 10_000)
    for (const token of [...secrets, ...issued]) assertAbsent(token, told)
    // A token of ours shares claims with the one that it was made from.
    const answered = answers.map(({ text, body }) => text.replace(String(body.access_token), ''))
    for (const token of secrets) assertAbsent(token, answered.join('\n'))
  })

  it('P9 no private key is in any file of the store', async (t) => {
    const own = await startFullDeployment(t)
    await granted(own)
    await own.server.stop()
    const files = readdirSync(own.folder).filter((name) => name.startsWith('sts.db'))
    assert.ok(files.length > 0)
    for (const name of files) {
      const bytes = readFileSync(join(own.folder, name))
      for (const mark of ['PRIVATE KEY', '"d":', '"p":']) {
        assert.equal(bytes.includes(mark), false, `${name} holds ${mark}`)
      }
      // PKCS#8 of a P-256 or RSA key in DER begins with these object identifiers.
      for (const mark of [
        '06072a8648ce3d020106082a8648ce3d030107',
        '300d06092a864886f70d0101010500',
      ]) {
        assert.equal(bytes.toString('hex').includes(mark), false, `${name} holds a key in DER`)
      }
    }
  })

  it('P10 the id that a caller is told leads an operator to the rule that came nearest, and to what failed', async () => {
    const change = { subject: { claims: { scope: 'shop:browse' } } }
    const answer = await refused(full(), change, 'scope_not_justified')
    const event = eventOf(full(), answer.body.decision_id)
    assert.equal(event?.target, 'boutique/checkout')
    assert.ok(event?.rule?.includes('boutique/frontend'), event?.rule)
    assert.match(
      event?.detail ?? '',
      /^checkout:place needs all of shop:buy shop:verified; the subject token brings shop:browse$/,
    )
  })

  it('P10 all that is wrong with a subject token looks alike from outside', async () => {
    const shapes = new Set<string>()
    for (const [change, reason] of [
      [{ subject: { claims: { exp: seconds() - 5 } } }, 'subject_token_expired'],
      [{ subject: { claims: { aud: 'x' } } }, 'subject_token_presenter_not_allowed'],
      [{ subject: { header: { kid: 'x' } } }, 'subject_token_key_unknown'],
      [{ subject: { claims: { iss: 'https://x.example' } } }, 'subject_token_issuer_not_trusted'],
    ] as const) {
      const { status, body } = await refused(full(), change, reason)
      shapes.add(JSON.stringify([status, body.error, body.error_description]))
    }
    assert.equal(shapes.size, 1)
  })
})

const recordsOf = ({ db }: FullDeployment): string[] =>
  db
    .prepare<[], { record: string }>('SELECT record FROM audit_events')
    .all()
    .map(({ record }) => record)

/** Neither the whole, nor a part between its dots, nor a piece of a part that could be used. */
function assertAbsent(token: string, text: string): void {
  for (const part of token.split('.')) {
    // Headers are the same in many tokens, and no secret.
    if (part.length < 24 || part === token.split('.')[0]) continue
    for (let at = 0; at + 24 <= part.length; at += 24) {
      const piece = part.slice(at, at + 24)
      assert.equal(text.includes(piece), false, `a piece of a token: ${piece}`)
    }
  }
  assert.equal(token.includes('.') || !text.includes(token), true, 'an opaque token')
}
