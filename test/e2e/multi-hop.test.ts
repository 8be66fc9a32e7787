// Chains of exchanges on a real deployment: what grows, what shrinks, what stays, and who may take part.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { STS } from '../support/deployment.ts'
import {
  agentToken,
  byPrivateKey,
  type Change,
  type Claims,
  seconds,
  spiffeId,
  withActor,
} from './exchange-request.ts'
import { sharedFullDeployment, startFullDeployment } from './full-deployment.ts'
import { type Granted, granted, refused } from './outcome.ts'

const LEDGER = 'https://ledger.partner.example'

/** A workload's exchange of the token that it was sent. */
const hop = (
  caller: string,
  subjectToken: string,
  audience: string,
  scope: string,
  namespace = 'boutique',
): Change => ({
  headers: {
    'x-forwarded-client-cert': `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${spiffeId(caller, namespace)}`,
  },
  form: { subject_token: subjectToken, audience, scope },
})

const depthOf = (claims: Claims): number => {
  let depth = 0
  for (
    let act = claims.act as Claims | undefined;
    act !== undefined;
    act = act.act as Claims | undefined
  )
    depth++
  return depth
}

describe('chains of exchanges', () => {
  const full = sharedFullDeployment()
  const forCheckout = (subject: Claims = {}) => granted(full(), { subject: { claims: subject } })
  const forPayment = async ({ token }: Granted) =>
    granted(full(), hop('checkout', token, 'payment', 'payment:charge'))

  it('P1 P2 field-6 #5 user → frontend → checkout → payment → a ledger outside the mesh', async () => {
    const user = { exp: seconds() + 100 }
    const first = await forCheckout(user)
    const second = await forPayment(first)
    const third = await granted(full(), hop('payment', second.token, LEDGER, 'ledger:post'))
    const hops = [first, second, third]

    assert.deepEqual(
      hops.map(({ claims }) => [claims.aud, claims.scope, claims.client_id]),
      [
        ['https://checkout.boutique.example', 'checkout:place', spiffeId('frontend')],
        ['payment.boutique', 'payment:charge', spiffeId('checkout')],
        [LEDGER, 'ledger:post', spiffeId('payment')],
      ],
    )
    assert.deepEqual(third.claims.act, {
      sub: spiffeId('payment'),
      act: { sub: spiffeId('checkout'), act: { sub: spiffeId('frontend') } },
    })
    assert.deepEqual(
      third.claims.chain,
      ['frontend', 'checkout', 'payment'].map((name) => spiffeId(name)),
    )
    let exp = user.exp
    for (const { claims } of hops) {
      assert.equal(claims.sub, 'corp:alice')
      assert.ok(Number(claims.exp) <= exp)
      exp = Number(claims.exp)
    }
    // What checkout may see of the user goes no further.
    assert.deepEqual(
      hops.map(({ claims }) => claims.email),
      ['alice@shop.example', undefined, undefined],
    )
  })

  it('field-6 #6 a token is presented by the service that it was issued to, and nobody else', async () => {
    const { token } = await forCheckout()
    await granted(full(), hop('checkout', token, 'payment', 'payment:charge'))
    for (const [caller, namespace] of [
      ['payment', 'boutique'],
      ['mailer', 'boutique'],
      ['stock', 'depot'],
      ['courier', 'depot'],
      // The one who obtained it has passed it on: it was never its own.
      ['frontend', 'boutique'],
    ] as const) {
      const change = hop(caller, token, 'payment', 'payment:charge', namespace)
      await refused(full(), change, 'subject_token_presenter_not_allowed')
    }
  })

  it('field-6 #6 nor by a partner with its own key', async () => {
    const { token } = await forCheckout()
    const { form, ...rest } = byPrivateKey()
    const change = { ...rest, form: { ...form, subject_token: token } }
    await refused(full(), change, 'subject_token_presenter_not_allowed')
  })

  it('P2 an actor token’s subject stays inside the chain, behind every later caller', async () => {
    const agent = { iss: 'https://agents.example', sub: 'agent-7' }
    const first = await granted(full(), { form: withActor(agentToken(full())) })
    assert.deepEqual(first.claims.act, { sub: spiffeId('frontend'), act: agent })
    // Nobody but callers that were authenticated here stands in the flat list.
    assert.deepEqual(first.claims.chain, [spiffeId('frontend')])
    const second = await forPayment(first)
    assert.deepEqual(second.claims.act, {
      sub: spiffeId('checkout'),
      act: { sub: spiffeId('frontend'), act: agent },
    })
    assert.equal(second.event.subject?.act?.act?.sub, 'agent-7')
  })

  it('P1 exp is also below the actor token’s', async () => {
    const exp = seconds() + 50
    const actor = agentToken(full(), { claims: { exp } })
    const { claims } = await granted(full(), { form: withActor(actor) })
    assert.equal(claims.exp, exp)
  })

  it('P2 may_act is consumed by the first hop; the act that came along is not', async () => {
    const first = await forCheckout({
      may_act: { sub: spiffeId('frontend') },
      act: { sub: 'portal' },
    })
    const second = await forPayment(first)
    for (const { claims } of [first, second]) assert.equal('may_act' in claims, false)
    assert.deepEqual(second.claims.act, {
      sub: spiffeId('checkout'),
      act: {
        sub: spiffeId('frontend'),
        act: { sub: 'portal', iss: 'https://login.corp.example' },
      },
    })
  })

  it('P2 impersonation at the first hop is possible, later it is not', async () => {
    const toMailer = { form: { audience: 'mailer', scope: 'mail:send' } }
    const first = await granted(full(), toMailer)
    assert.deepEqual([first.claims.act, first.claims.chain], [undefined, undefined])
    const { token } = await forCheckout()
    await refused(
      full(),
      hop('checkout', token, 'mailer', 'mail:send'),
      'act_impersonation_refused',
    )
  })

  it('crosses namespaces by full names only', async () => {
    const { token } = await forCheckout()
    const { claims } = await granted(full(), hop('checkout', token, 'depot/stock', 'stock:take'))
    assert.deepEqual([claims.aud, claims.scope], ['stock.depot', 'stock:take'])
    await refused(full(), hop('checkout', token, 'stock', 'stock:take'), 'target_unknown')
    await refused(full(), hop('checkout', token, 'depot/payment', 'stock:take'), 'target_unknown')
  })

  it('an external target is only a target: no workload is taken for it', async () => {
    const { token } = await granted(full(), byPrivateKey())
    const change = hop('ledger', token, 'payment', 'payment:charge', 'partners')
    await refused(full(), change, 'client_unknown')
  })

  it('field-6 #5 P1 exp never grows, however long two services pass a token to and fro', async (t) => {
    let ahead = 0
    const clocked = await startFullDeployment(t, { now: () => Date.now() + ahead })
    const end = seconds() + 130
    const first = await granted(clocked, { subject: { claims: { exp: end } } })
    let { token, claims } = await granted(
      clocked,
      hop('checkout', first.token, 'depot/stock', 'stock:take'),
    )
    let exp = Number(claims.exp)
    // Lifetimes are 300 s: without the bound each of these would add 10 s.
    for (let round = 0; depthOf(claims) < 10; round++) {
      ahead += 10_000
      const next =
        round % 2 === 0
          ? hop('stock', token, 'courier', 'courier:go', 'depot')
          : hop('courier', token, 'stock', 'stock:take', 'depot')
      const after = await granted(clocked, next)
      assert.equal(depthOf(after.claims), depthOf(claims) + 1)
      ;({ token, claims } = after)
      assert.ok(Number(claims.exp) <= exp)
      exp = Number(claims.exp)
    }
    assert.equal(exp, end)
    // A chain ends by depth, and with time.
    const next = hop('stock', token, 'courier', 'courier:go', 'depot')
    await refused(clocked, next, 'act_chain_too_deep')
    ahead += 130_000
    await refused(clocked, next, 'subject_token_expired')
  })
})
