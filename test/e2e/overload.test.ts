// More at once than fits: refused at once and said so, and nothing is lost by it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queryAudit } from '../../src/audit/query.ts'
import { exchangeForm, SETTINGS, startDeployment, userToken, xfcc } from '../support/deployment.ts'
import { servedAgain, startLoad } from '../support/load.ts'

const AT_ONCE = 3
const CLIENTS = 48
const ANSWERS = 1500

test('overload: what does not fit answers 503 with Retry-After, and afterwards everything fits again', async (t) => {
  const deployment = await startDeployment(t, {
    'sts.yaml': SETTINGS.replace('limits: {', `limits: {concurrent_exchanges: ${AT_ONCE}, `),
  })
  const target = {
    url: deployment.tokenUrl,
    form: exchangeForm(userToken(deployment)),
    headers: { 'x-forwarded-client-cert': xfcc('frontend') },
  }
  let isOver = false
  const load = startLoad(target, { clients: CLIENTS, goesOn: () => !isOver })
  await load.reached(ANSWERS)
  isOver = true
  await load.ended
  assert.deepEqual(load.failures, [])

  const granted = load.answers.filter(({ status }) => status === 200)
  const refused = load.answers.filter(({ status }) => status !== 200)
  assert.ok(granted.length > 0 && refused.length > 0, `${granted.length} and ${refused.length}`)
  for (const { status, headers, body } of refused) {
    assert.deepEqual([status, body.error], [503, 'temporarily_unavailable'])
    assert.match(String(headers['retry-after']), /^[1-9][0-9]?$/)
    assert.equal(headers['cache-control'], 'no-store')
  }

  // Every place is free again: no end of an exchange forgot to leave.
  const text = await metricsOf(deployment.adminUrl)
  assert.match(text, /^mesh_sts_exchanges_in_flight 0$/m)
  assert.match(text, new RegExp(`reason="overloaded"} ${refused.length}$`, 'm'))
  for (let served = 0; served < 2 * AT_ONCE; served++) await servedAgain(target)

  // P3: one row for each that was granted, none for what never started.
  const rows = [...queryAudit(deployment.db, {})]
  assert.equal(rows.length, granted.length + 2 * AT_ONCE)
  assert.deepEqual(new Set(rows.map(({ outcome }) => outcome)), new Set(['granted']))
})

const metricsOf = async (adminUrl: string): Promise<string> =>
  (await fetch(`${adminUrl}/metrics`)).text()
