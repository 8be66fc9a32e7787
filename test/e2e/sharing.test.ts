// The three ways to share tokens, and audit mode, on a real deployment: what is answered, recorded and counted.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { AuditEvent } from '../../src/audit/event.ts'
import { fromJsonLine } from '../../src/audit/json-line.ts'
import { TOKEN_TYPES } from '../../src/oauth/names.ts'
import {
  claimsOf,
  type Deployment,
  exchangeForm,
  post,
  SETTINGS,
  startDeployment,
  type TokenAnswer,
  userToken,
  xfcc,
} from '../support/deployment.ts'
import { verifyWithJwks } from '../support/verify.ts'

const RULES = `
namespace: boutique
services:
  frontend: {scopes: [ui], calls: [checkout, feed]}
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote]
    claims: [email]
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        scopes: {checkout:quote: [shop:browse], checkout:place: [shop:buy]}
        embed: [payment, {to: mailer, required: true}]
    denies:
      - {when: has(subject.claims.risk) && subject.claims.risk == "low", reason: too-calm, mode: audit}
  payment:
    scopes: [payment:charge]
    embeddable: true
    calls: [bank]
    token: {lifetime: 1m}
    accepts:
      - {from: checkout, scopes: {payment:charge: [checkout:place]}, embed: [bank]}
  bank:
    scopes: [bank:book]
    embeddable: true
    accepts:
      - {from: payment, scopes: {bank:book: [payment:charge]}}
  mailer:
    scopes: [mail:send]
    claims: [email]
    embeddable: true
    accepts:
      - {from: checkout, scopes: {mail:send: [checkout:place, checkout:quote]}}
    denies:
      - {when: has(subject.claims.email) && subject.claims.email == "nobody@shop.example", reason: unreachable-address}
  feed:
    also_audiences: [https://api.shop.example]
    accepts:
      - {from: frontend, issuer: corporate, forward: true}
`

const start = (t: TestContext, settings = SETTINGS): Promise<Deployment> =>
  startDeployment(t, { 'rules/boutique.yaml': RULES, 'sts.yaml': settings })

const ask = (on: Deployment, claims: object = {}, form: Record<string, string | undefined> = {}) =>
  post(on.tokenUrl, exchangeForm(userToken(on, { ...claims }), { scope: undefined, ...form }))

const events = (on: Deployment): AuditEvent[] =>
  (on.db.prepare('SELECT record FROM audit_events ORDER BY seq').pluck().all() as string[]).map(
    fromJsonLine,
  )

const token = ({ status, body }: TokenAnswer): string => {
  assert.equal(status, 200, JSON.stringify(body))
  return String(body.access_token)
}

describe('embedding', () => {
  it('one exchange gives the tokens of the next hops, each signed, decided and recorded', async (t) => {
    const on = await start(t)
    const answer = await ask(on)
    const parent = await verifyWithJwks(on.publicUrl, token(answer))
    const embedded = parent.embedded as Record<string, string>
    assert.deepEqual(Object.keys(embedded), ['mailer', 'payment'])
    const payment = await verifyWithJwks(on.publicUrl, embedded.payment ?? '')
    assert.equal(payment.aud, 'payment.boutique')
    assert.equal(payment.email, undefined)
    assert.ok(Number(payment.exp) <= Number(parent.exp))
    const bank = await verifyWithJwks(
      on.publicUrl,
      (payment.embedded as Record<string, string>).bank ?? '',
    )
    assert.equal(bank.scope, 'bank:book')

    const rows = events(on)
    assert.deepEqual(
      rows.map(({ outcome, caller, target, issued }) => [
        outcome,
        caller.service,
        caller.method,
        target,
        issued?.scopes.join(' '),
      ]),
      [
        [
          'granted',
          'boutique/frontend',
          'xfcc',
          'boutique/checkout',
          'checkout:place checkout:quote',
        ],
        ['granted', 'boutique/checkout', 'embedded', 'boutique/mailer', 'mail:send'],
        ['granted', 'boutique/checkout', 'embedded', 'boutique/payment', 'payment:charge'],
        ['granted', 'boutique/payment', 'embedded', 'boutique/bank', 'bank:book'],
      ],
    )
    assert.equal(rows[0]?.decisionId, answer.headers.get('mesh-sts-decision-id'))
    assert.deepEqual(
      rows.map(({ parent: of }) => rows.findIndex(({ decisionId }) => decisionId === of)),
      [-1, 0, 0, 2],
    )
    assert.deepEqual(rows[0]?.issued?.embedded, ['mailer', 'payment'])
    assert.equal(rows[2]?.issued?.jti, payment.jti)
    assert.equal(rows[3]?.subject?.tokenHash, rows[2]?.issued?.tokenHash)
  })

  it('the next hop uses what was inside as its own, and exchanges it further', async (t) => {
    const on = await start(t)
    const parent = claimsOf(token(await ask(on)))
    const inside = (parent.embedded as Record<string, string>).payment ?? ''
    const answer = await post(
      on.tokenUrl,
      exchangeForm(inside, { audience: 'bank', scope: 'bank:book' }),
      { 'x-forwarded-client-cert': xfcc('payment') },
    )
    const chain = claimsOf(token(answer)).chain as string[]
    assert.deepEqual(
      chain.map((id) => id.split('/').at(-1)),
      ['frontend', 'checkout', 'payment'],
    )
    const byOther = await post(
      on.tokenUrl,
      exchangeForm(inside, { audience: 'bank', scope: 'bank:book' }),
      {
        'x-forwarded-client-cert': xfcc('checkout'),
      },
    )
    assert.equal(byOther.status, 400)
  })

  it('what is denied is left out and recorded, with its own reason', async (t) => {
    const on = await start(t)
    const parent = claimsOf(token(await ask(on, { scope: 'shop:browse' })))
    assert.deepEqual(Object.keys(parent.embedded as object), ['mailer'])
    const denied = events(on).find(({ target }) => target === 'boutique/payment')
    assert.equal(denied?.reason, 'scope_none_justified')
    assert.equal(denied?.parent, events(on)[0]?.decisionId)
  })

  it('embed_required_denied: the caller learns the class, the operator which token and why', async (t) => {
    const on = await start(t)
    const answer = await ask(on, { email: 'nobody@shop.example' })
    assert.deepEqual([answer.status, answer.body.error], [400, 'invalid_target'])
    const rows = events(on)
    assert.deepEqual(
      rows.map(({ reason, target }) => [reason, target]),
      [
        ['embed_required_denied', 'boutique/checkout'],
        ['deny_condition_met', 'boutique/mailer'],
      ],
    )
    assert.equal(rows[1]?.parent, rows[0]?.decisionId)
    assert.deepEqual(rows[1]?.subject?.claims, { email: 'nobody@shop.example' })
  })

  it('P7 no event holds a byte of a token, inside or outside', async (t) => {
    const on = await start(t)
    const parent = token(await ask(on))
    const inside = Object.values(claimsOf(parent).embedded as Record<string, string>)
    const written = JSON.stringify(events(on)) + on.logLines.join('\n')
    for (const secret of [parent, ...inside]) {
      for (const part of secret.split('.')) assert.ok(!written.includes(part.slice(0, 40)))
    }
  })

  it('mint_token_too_large: tokens.max_size bounds the whole', async (t) => {
    const on = await start(t, `${SETTINGS}tokens: {max_size: 1KiB}\n`)
    const answer = await ask(on)
    assert.equal(answer.status, 400)
    assert.equal(events(on)[0]?.reason, 'mint_token_too_large')
  })
})

describe('forwarding', () => {
  it('gives the token that was handed in, and records that nothing was issued', async (t) => {
    const on = await start(t)
    const given = userToken(on)
    const answer = await post(
      on.tokenUrl,
      exchangeForm(given, { audience: 'feed', scope: undefined }),
    )
    assert.equal(token(answer), given)
    assert.equal(answer.body.issued_token_type, TOKEN_TYPES.access_token)
    assert.equal(answer.body.scope, 'shop:browse shop:buy shop:verified')
    assert.ok(Number(answer.body.expires_in) > 3500)
    const [row] = events(on)
    assert.deepEqual([row?.outcome, row?.forwarded, row?.issued], ['granted', true, undefined])
  })

  it('an ID token travels as what it is', async (t) => {
    const on = await start(t)
    const id = userToken(on, {}).split('.')
    assert.equal(id.length, 3)
    const answer = await post(
      on.tokenUrl,
      exchangeForm(userToken(on), {
        audience: 'feed',
        scope: undefined,
        subject_token_type: TOKEN_TYPES.jwt,
      }),
    )
    assert.deepEqual(
      [answer.body.issued_token_type, answer.body.token_type],
      [TOKEN_TYPES.jwt, 'N_A'],
    )
  })
})

describe('audit mode and the hash of the rules', () => {
  it('grants, and counts and records what would have been denied', async (t) => {
    const on = await start(t)
    token(await ask(on))
    assert.deepEqual(events(on)[0]?.wouldDeny, ['boutique/checkout denies too-calm'])
    const metrics = await (await fetch(`${on.adminUrl}/metrics`)).text()
    assert.match(
      metrics,
      /mesh_sts_would_deny_total\{predicate="boutique\/checkout denies too-calm"\} 1/,
    )
    assert.match(metrics, /mesh_sts_embedded_tokens_total\{outcome="granted"\} 3/)
  })

  it('stands in tokens where tokens.ruleset asks for it, and in each event', async (t) => {
    const plain = await start(t)
    assert.equal(claimsOf(token(await ask(plain))).ruleset, undefined)
    const on = await start(t, `${SETTINGS}tokens: {ruleset: true}\n`)
    const claims = claimsOf(token(await ask(on)))
    assert.equal(claims.ruleset, on.ruleset.hash)
    assert.ok(events(on).every(({ rulesetHash }) => rulesetHash === on.ruleset.hash))
  })
})
