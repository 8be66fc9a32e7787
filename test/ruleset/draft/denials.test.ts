// What recorded denials show. Each case changes one thing of a denial that asks for one rule.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { observeDenials, times } from '../../../src/ruleset/draft/denials.ts'
import { denied, granted } from '../../support/audit-store.ts'
import { compiled } from '../../support/rules.ts'

const RULES = `
namespace: boutique
services:
  frontend: {calls: [checkout, cart, ledger]}
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote]
    accepts:
      - from: frontend
        issuer: corporate
        scopes: {checkout:quote: [shop:browse]}
  cart:
    scopes: [cart:read]
    accepts: [{from: frontend, issuer: agents, scopes: {cart:read: [x]}}]
    denies: [{from: frontend, issuer: corporate, reason: never}]
  ledger:
    scopes: [ledger:read]
    also_audiences: [https://ledger.example]
    accepts: [{from: frontend, issuer: corporate, forward: true}]
  payment:
    scopes: [payment:charge]
    denies:
      - {when: 'request.scopes.size() > 1', reason: sometimes}
      - {mode: audit, reason: on-trial}
      - {from: checkout, reason: somebody-else}
  ads: {scopes: [ads:show], accepts: [{from: frontend, issuer: corporate, scopes: {ads:show: [x]}}]}
  batch: {client_keys: {jwks_file: k.json}}
`
const ruleset = compiled(RULES)
const T = Date.UTC(2026, 10, 23, 3, 0, 0)

/** frontend, with a corporate token that brings shop:buy, asks for checkout:place. */
function ask(change: Partial<AuditEvent> = {}, scopes = ['shop:buy']): AuditEvent {
  const subject = granted().subject
  assert.ok(subject)
  return denied({
    reason: 'scope_not_justified',
    time: T,
    target: 'boutique/checkout',
    subject: { ...subject, issuer: 'corporate', scopes },
    request: request(['checkout'], ['checkout:place']),
    ...change,
  })
}

const request = (audiences: readonly string[], scopes?: readonly string[]) => ({
  audiences,
  resources: [],
  scopes,
  requestedTokenType: 'access_token',
})

const observe = (...events: AuditEvent[]) => observeDenials(events, ruleset)

/** The one ask that these events make. */
function one(...events: AuditEvent[]) {
  const { seen, leftAlone, settled } = observe(...events)
  assert.deepEqual([seen.asks.length, leftAlone, settled], [1, {}, 0])
  const [only] = seen.asks
  assert.ok(only)
  return only
}

it('a scope that the rule does not give: asked with what every token brought', () => {
  assert.deepEqual(one(ask()), {
    from: 'boutique/frontend',
    to: 'boutique/checkout',
    issuer: 'corporate',
    lacksCall: false,
    rule: 'boutique/checkout <- boutique/frontend [corporate]',
    count: 1,
    first: T,
    last: T,
    reasons: { scope_not_justified: 1 },
    scopes: [{ scope: 'checkout:place', count: 1, first: T, last: T, brought: ['shop:buy'] }],
    unnamed: 0,
    moreScopes: false,
  })
})

describe('groups', () => {
  it('count, times and reasons; what is brought is what all brought', () => {
    const { count, first, last, reasons, scopes } = one(
      ask({ time: T + 2000 }, ['b', 'a', 'c']),
      ask({ time: T }, ['a', 'b']),
      ask({ time: T + 1000, reason: 'scope_unknown' }, ['d', 'b', 'a']),
    )
    assert.deepEqual([count, first, last], [3, T, T + 2000])
    assert.deepEqual(reasons, { scope_not_justified: 2, scope_unknown: 1 })
    assert.deepEqual(scopes, [
      { scope: 'checkout:place', count: 3, first: T, last: T + 2000, brought: ['a', 'b'] },
    ])
  })
  it('each scope by the requests that asked for it', () => {
    const { scopes } = one(
      ask({ request: request(['checkout'], ['x', 'y']) }, ['a', 'b']),
      ask({ request: request(['checkout'], ['y']) }, ['b']),
    )
    assert.deepEqual(
      scopes.map(({ scope, count, brought }) => [scope, count, brought]),
      [
        ['x', 1, ['a', 'b']],
        ['y', 2, ['b']],
      ],
    )
  })
  it('nothing in common is nothing brought', () =>
    assert.deepEqual(one(ask({}, ['a']), ask({}, ['b'])).scopes[0]?.brought, []))
  it('apart by caller, target and issuer', () => {
    const subject = ask().subject
    assert.ok(subject)
    const { seen } = observe(
      ask(),
      ask({ target: 'boutique/payment' }),
      ask({ subject: { ...subject, issuer: 'self' } }),
      ask({ caller: { ...ask().caller, id: 'boutique/batch' } }),
    )
    assert.deepEqual(
      seen.asks.map(({ from, to, issuer }) => `${from} ${to} ${issuer}`),
      [
        'boutique/frontend boutique/checkout corporate',
        'boutique/frontend boutique/payment corporate',
        'boutique/frontend boutique/checkout self',
        'boutique/batch boutique/checkout corporate',
      ],
    )
  })
  it('what no rule file could name is not kept', () => {
    const odd = ask({ request: request(['checkout'], ['checkout:place', 'a b']) }, ['c d', 'x'])
    assert.deepEqual(
      one(odd).scopes.map(({ scope, brought }) => [scope, brought]),
      [['checkout:place', ['x']]],
    )
  })
  it('a hundred scopes, and that there were more', () => {
    const scopes = Array.from({ length: 101 }, (_, at) => `s${at}`)
    const asked = one(ask({ request: request(['checkout'], scopes) }))
    assert.deepEqual([asked.scopes.length, asked.moreScopes], [100, true])
    assert.equal(one(ask({ request: request(['checkout'], scopes.slice(1)) })).moreScopes, false)
  })
  it('two thousand groups; the rest is counted', () => {
    const events = Array.from({ length: 2_003 }, (_, at) =>
      ask({ target: undefined, request: request([`t${at}`]) }),
    )
    const { seen, leftAlone } = observe(...events, events[0] ?? ask())
    assert.equal(seen.asks.length, 2_000)
    assert.equal(seen.asks[0]?.count, 2)
    assert.deepEqual(leftAlone, { 'more than 2000 different ones': 3 })
  })
  it('two thousand unknown callers; the rest is counted', () => {
    const events = Array.from({ length: 2_001 }, (_, at) =>
      ask({ caller: { ...ask().caller, id: `x${at}` } }),
    )
    const { seen, leftAlone } = observe(...events)
    assert.equal(seen.callers.length, 2_000)
    assert.deepEqual(leftAlone, { 'more than 2000 different ones': 1 })
  })
})

describe('what the rules of today lack', () => {
  it('the call and the rule', () => {
    const asked = one(ask({ reason: 'target_not_in_calls', target: 'boutique/payment' }))
    assert.deepEqual([asked.lacksCall, asked.rule], [true, undefined])
  })
  it('the call alone', () => {
    const shown = request(['ads'], ['ads:show'])
    const asked = one(
      ask({ reason: 'target_not_in_calls', target: 'boutique/ads', request: shown }, ['x']),
    )
    assert.deepEqual(
      [asked.lacksCall, asked.rule, asked.scopes],
      [true, 'boutique/ads <- boutique/frontend [corporate]', []],
    )
  })
  it('the rule for this issuer', () => {
    const subject = ask().subject
    assert.ok(subject)
    const other = ask({
      reason: 'target_issuer_not_accepted',
      subject: { ...subject, issuer: 'self' },
    })
    assert.deepEqual([one(other).lacksCall, one(other).rule], [false, undefined])
  })
  it('the scopes that were asked without a name', () => {
    const asked = one(ask({ reason: 'scope_none_justified', request: request(['checkout']) }))
    assert.deepEqual([asked.unnamed, asked.scopes], [1, []])
  })
  it('of several scopes, those that the rule does not give', () => {
    const both = request(['checkout'], ['checkout:quote', 'checkout:place'])
    const asked = one(ask({ request: both }, ['shop:browse', 'shop:buy']))
    assert.deepEqual(
      asked.scopes.map(({ scope }) => scope),
      ['checkout:place'],
    )
  })
  it('nothing any more: it was decided since', () => {
    const events = [
      ask({ request: request(['checkout'], ['checkout:quote']) }, ['shop:browse']),
      ask({ reason: 'scope_none_justified', request: request(['checkout']) }, ['shop:browse']),
      ask({ reason: 'client_unknown' }),
    ]
    const { seen, settled, denials } = observe(...events)
    assert.deepEqual([seen.asks, seen.callers, settled, denials], [[], [], 3, 3])
  })
})

describe('the target', () => {
  const target = (change: Partial<AuditEvent>) =>
    one(ask({ reason: 'target_unknown', target: undefined, ...change })).to

  it('a name that no service has, within the namespace of the caller', () =>
    assert.equal(target({ request: request(['mailer'], ['mail:send']) }), 'boutique/mailer'))
  it('a full name that no service has', () =>
    assert.equal(target({ request: request(['backoffice/mailer']) }), 'backoffice/mailer'))
  it('what has become a service since, by name or audience', () => {
    assert.equal(target({ request: request(['checkout'], ['y']) }), 'boutique/checkout')
    const resource = { ...request([], ['y']), resources: ['https://checkout.boutique.example'] }
    assert.equal(target({ request: resource }), 'boutique/checkout')
  })
  it('what was a service is asked by its name', () =>
    assert.equal(target({ target: 'boutique/gone', request: request(['gone']) }), 'boutique/gone'))
  for (const asked of [['https://mailer.example'], ['a', 'b'], ['No Name'], []]) {
    it(`a question where it is ${JSON.stringify(asked)}`, () => {
      const event = ask({ reason: 'target_unknown', target: undefined, request: request(asked) })
      const { seen } = observe(event, event)
      assert.deepEqual(seen.asks, [])
      assert.deepEqual(seen.questions, [
        {
          namespace: undefined,
          text: `boutique/frontend asked for a token for ${asked.join(' ')} (2 times, 2026-11-23T03:00:00Z to 2026-11-23T03:00:00Z): which service is it?`,
        },
      ])
    })
  }
})

describe('the caller', () => {
  const id = 'spiffe://cluster.local/ns/boutique/sa/new'
  it('that no service is', () => {
    const event = ask({ caller: { ...ask().caller, id, service: undefined } })
    const { seen } = observe(
      { ...event, reason: 'client_unknown', request: undefined, subject: undefined },
      { ...event, time: T + 1 },
    )
    assert.deepEqual(seen.callers, [{ id, count: 2, first: T, last: T + 1 }])
    assert.deepEqual(seen.asks, [])
  })
  it('outside the mesh, by its name', () =>
    assert.equal(
      one(ask({ caller: { ...ask().caller, id: 'boutique/batch' } })).from,
      'boutique/batch',
    ))
})

describe('left alone, and counted', () => {
  const alone: readonly [why: string, Partial<AuditEvent>][] = [
    ['subject_token_expired', { reason: 'subject_token_expired' }],
    ['condition_false', { reason: 'condition_false' }],
    ['target_denied', { target: 'boutique/cart', reason: 'target_not_accepted' }],
    ['the rule forwards', { target: 'boutique/ledger' }],
    ['recorded incompletely', { truncated: ['subject.scopes: 1 of 2 left out'] }],
    ['recorded incompletely', { truncated: ['request.scopes: 1 of 2 left out'] }],
    ['recorded incompletely', { subject: undefined }],
    ['recorded incompletely', { request: undefined }],
  ]
  for (const [why, change] of alone) {
    it(`${why} ${Object.keys(change).join(' ')}`, () => {
      const { seen, leftAlone } = observe(ask(change))
      assert.deepEqual([seen.asks, seen.callers, leftAlone], [[], [], { [why]: 1 }])
    })
  }
  it('claims that were left out take nothing from what was asked', () =>
    assert.equal(one(ask({ truncated: ['subject.claims.risk: left out'] })).count, 1))
  it('a deny on a condition, on trial or of another caller is none', () =>
    assert.equal(one(ask({ target: 'boutique/payment' })).to, 'boutique/payment'))
  it('a deny for another issuer is none for this one', () => {
    const subject = ask().subject
    assert.ok(subject)
    const other = { ...subject, issuer: 'self' }
    assert.equal(one(ask({ target: 'boutique/cart', subject: other })).to, 'boutique/cart')
  })
})

it('times, for people', () => {
  assert.equal(times({ count: 1, first: T, last: T }), 'once, 2026-11-23T03:00:00Z')
  assert.equal(
    times({ count: 2, first: T, last: T + 61_500 }),
    '2 times, 2026-11-23T03:00:00Z to 2026-11-23T03:01:01Z',
  )
})
