// One exchange, end to end: settings from files, a real server, a client that was written by others.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  claimsOf,
  exchangeForm,
  post,
  startDeployment,
  userToken,
  xfcc,
} from '../support/deployment.ts'

it('exchanges a user token for a tailored one, and the next hop too', async (t) => {
  const deployment = await startDeployment(t)
  const first = await post(deployment.tokenUrl, exchangeForm(userToken(deployment)))
  assert.equal(first.status, 200, JSON.stringify(first.body) + deployment.logLines.join('\n'))
  const claims = claimsOf(first.body.access_token)
  assert.equal(claims.sub, 'corp:alice')
  assert.equal(claims.scope, 'checkout:place')
  const second = await post(
    deployment.tokenUrl,
    exchangeForm(String(first.body.access_token), { audience: 'payment', scope: 'payment:charge' }),
    { 'x-forwarded-client-cert': xfcc('checkout') },
  )
  assert.equal(second.status, 200, JSON.stringify(second.body) + deployment.logLines.join('\n'))
  assert.deepEqual(claimsOf(second.body.access_token).chain, [
    'spiffe://cluster.local/ns/boutique/sa/frontend',
    'spiffe://cluster.local/ns/boutique/sa/checkout',
  ])
})
