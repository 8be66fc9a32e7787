// Hostile requests on real connections to a real deployment: the promises hold for every answer, and afterwards.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queryAudit } from '../../src/audit/query.ts'
import { exchangeForm, startDeployment, xfcc } from '../support/deployment.ts'
import { signJwt } from '../support/jwt-fixtures.ts'
import { servedAgain } from '../support/load.ts'
import { HOSTILE_FILES, KEYS } from './deployment-model.ts'
import { runHttp } from './http-run.ts'

/** `npm run fuzz -- --only http` takes others. */
const SEED = 20_261_123
const REQUESTS = 4000

test('P1 P2 P3 P6 P7: four thousand hostile requests get nothing that they may not', async (t) => {
  const deployment = await startDeployment(t, HOSTILE_FILES)
  const { granted, byStatus, decisionIds } = await runHttp(deployment, {
    seed: SEED,
    goesOn: (sent) => sent < REQUESTS,
    connections: 6,
  })

  // The run was worth something: all kinds of ends, and many of each that matters.
  const reasons = new Set([...queryAudit(deployment.db, {})].map(({ reason }) => reason))
  assert.ok(granted.length > REQUESTS / 10, `${granted.length} granted`)
  assert.ok(reasons.size > 30, [...reasons].join(' '))
  for (const status of [200, 400, 401, 404, 405, 415, 431])
    assert.ok(byStatus.get(status), `no ${status}`)
  for (const target of ['checkout', 'payment', 'mailer', 'profile', 'ledger']) {
    assert.ok(
      granted.some(({ grant }) => grant.target === target),
      `nothing for ${target}`,
    )
  }
  assert.ok(granted.some(({ grant }) => grant.actor !== undefined))
  assert.ok(reasons.has('subject_token_not_own'))
  assert.ok(granted.some(({ grant }) => grant.subject.claims.act !== undefined))
  assert.ok(granted.some(({ grant }) => grant.subject.claims.may_act !== undefined))
  assert.equal(new Set(decisionIds).size, decisionIds.length)

  // It still serves.
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 'https://login.corp.example',
    sub: 'alice',
    aud: 'https://api.shop.example',
  }
  const token = signJwt(KEYS.corporate, {
    ...claims,
    scope: 'shop:buy shop:verified',
    iat: now,
    exp: now + 60,
  })
  await servedAgain({
    url: deployment.tokenUrl,
    form: exchangeForm(token),
    headers: { 'x-forwarded-client-cert': xfcc('frontend') },
  })

  // P3: what has no row in the audit is counted.
  await deployment.server.stop()
  const rows = new Set([...queryAudit(deployment.db, {})].map(({ decisionId }) => decisionId))
  const unrecorded = decisionIds.filter((id) => !rows.has(id)).length
  const counted = deployment.db.prepare('SELECT sum(count) FROM refusal_counts').pluck().get()
  assert.ok(Number(counted) >= unrecorded && unrecorded > 0, `${counted} for ${unrecorded}`)
})
