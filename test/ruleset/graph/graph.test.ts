// The graph: what is a node, what an edge, what stands at them; the same whatever the order of the rules.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import type { GraphEdge, GraphService } from '../../../src/ruleset/graph/model.ts'
import { compiled } from '../../support/rules.ts'
import { EVERYTHING, large, OPS } from './fixture.ts'

const GRAPH = graphOf(compiled(EVERYTHING, OPS))

const service = (name: string): GraphService => {
  const found = GRAPH.services.find((one) => one.name === name)
  assert.ok(found, name)
  return found
}

function edge(from: string, to: string, issuer = 'self'): GraphEdge {
  const found = GRAPH.edges.find((e) => e.from === from && e.to === to && e.issuer === issuer)
  assert.ok(found, `${from} → ${to}`)
  return found
}

describe('services', () => {
  test('every service is there, sorted', () => {
    assert.deepEqual(
      GRAPH.services.map(({ name }) => name),
      [
        'ops/robot',
        'ops/support',
        'shop/ads',
        'shop/bank',
        'shop/checkout',
        'shop/frontend',
        'shop/legacy',
        'shop/mailer',
        'shop/nightly',
        'shop/partner-batch',
        'shop/payment',
        'shop/search',
        'shop/unused',
      ],
    )
  })
  test('what belongs to a service', () => {
    assert.deepEqual(service('shop/payment'), {
      name: 'shop/payment',
      namespace: 'shop',
      kind: 'mesh',
      audience: undefined,
      lifetimeSeconds: 60,
      embeddable: true,
      grants: [],
      claims: [],
      ctx: [],
      denies: [
        {
          reason: 'high-risk',
          mode: 'enforce',
          when: 'has(subject.claims.risk) && subject.claims.risk == "high"',
          from: undefined,
          issuer: undefined,
        },
      ],
    })
  })
  test('audience where it is not the default, claims, ctx and grants sorted', () => {
    const checkout = service('shop/checkout')
    assert.equal(checkout.audience, 'https://checkout.shop.example')
    assert.deepEqual(checkout.claims, ['email', 'risk'])
    assert.deepEqual(checkout.ctx, ['channel', 'tongue'])
    assert.deepEqual(service('shop/nightly').grants, ['reports:send'])
  })
  test('kinds', () => {
    assert.equal(service('shop/bank').kind, 'external')
    assert.equal(service('shop/partner-batch').kind, 'outside')
  })
  test('no lifetime where no token is issued: nobody calls, or tokens are only forwarded', () => {
    assert.equal(service('shop/frontend').lifetimeSeconds, undefined)
    assert.equal(service('shop/unused').lifetimeSeconds, undefined)
    assert.equal(service('shop/legacy').lifetimeSeconds, undefined)
  })
  test('a deny that names a caller stands at its edge, one that meets no edge at the service', () => {
    assert.deepEqual(service('shop/mailer').denies, [])
    const { services } = graphOf(compiled(AUDITORS))
    const ledger = services.find(({ name }) => name === 'audit/ledger')
    assert.deepEqual(
      ledger?.denies.map(({ reason }) => reason),
      ['nobody-asks'],
    )
  })
})

const AUDITORS = `
namespace: audit
services:
  reader:
    calls: [ledger]
  other: {}
  ledger:
    scopes: [read]
    accepts:
      - {from: reader, issuer: corporate, scopes: {read: [books:read]}}
    denies:
      - {from: other, reason: nobody-asks}
      - {from: audit/*, issuer: corporate, when: subject.sub == "x", reason: x}
      - {issuer: corporate, reason: y}
`

describe('edges', () => {
  test('a rule of one caller is one edge with all that the rule says', () => {
    assert.deepEqual(edge('shop/frontend', 'shop/checkout', 'corporate'), {
      from: 'shop/frontend',
      to: 'shop/checkout',
      rule: 'shop/checkout <- shop/frontend [corporate]',
      issuer: 'corporate',
      scopes: [
        {
          scope: 'place',
          mode: 'all',
          from: ['shop:buy', 'shop:verified'],
          when: { source: '"mfa" in subject.claims.amr', mode: 'enforce' },
        },
        { scope: 'quote', mode: 'any', from: ['shop:browse', 'shop:buy'], when: undefined },
      ],
      act: 'delegate',
      actors: ['agents'],
      when: { source: 'subject.claims.email_verified == true', mode: 'enforce' },
      forward: false,
      embeds: [
        { to: 'shop/mailer', required: false, levels: 1 },
        { to: 'shop/payment', required: true, levels: 2 },
      ],
      embeddedBy: [],
      denies: [],
      denied: false,
      lifetimeSeconds: 300,
    })
  })
  test('a rule for a namespace is an edge of each caller that lists the target', () => {
    const rule = 'shop/checkout <- ops/* [corporate]'
    assert.deepEqual(
      GRAPH.edges.filter((one) => one.rule === rule).map(({ from }) => from),
      ['ops/robot', 'ops/support'],
    )
  })
  test('a rule that no caller can use is no edge and is told', () => {
    assert.deepEqual(GRAPH.unusable, ['shop/unused <- shop/frontend [corporate]'])
    assert.ok(GRAPH.edges.every(({ to }) => to !== 'shop/unused'))
  })
  test('calls without a rule are no edge', () => {
    assert.ok(GRAPH.edges.every(({ from }) => from !== 'shop/partner-batch'))
    assert.ok(!GRAPH.edges.some(({ from, to }) => from === 'ops/robot' && to === 'shop/payment'))
  })
  test('embedding: who carries the token, and only tokens of ours are carried', () => {
    const { embeddedBy } = edge('shop/checkout', 'shop/payment')
    assert.deepEqual(embeddedBy, ['shop/checkout <- shop/frontend [corporate]'])
    const bank = edge('shop/payment', 'shop/bank')
    assert.deepEqual(bank.embeddedBy, ['shop/payment <- shop/checkout [self]'])
    assert.deepEqual(edge('shop/nightly', 'shop/mailer', 'workload').embeddedBy, [])
  })
  test('a rule of the same two for another issuer is not what is embedded', () => {
    const rule = '{from: checkout, scopes: {charge: [place]}}'
    const more = '\n      - {from: checkout, issuer: corporate, scopes: {charge: [pay]}}\n'
    const text = EVERYTHING.replace(
      /( {6}- )from: checkout\n {8}scopes: \{charge: \[place\]\}\n {8}embed: \[bank\]\n/,
      `$1${rule}${more}`,
    )
    const { edges } = graphOf(compiled(text, OPS))
    const charged = edges.filter((e) => e.from === 'shop/checkout' && e.to === 'shop/payment')
    assert.deepEqual(
      charged.map(({ issuer, embeddedBy }) => [issuer, embeddedBy.length]),
      [
        ['corporate', 0],
        ['self', 1],
      ],
    )
  })
  test('forwarding: no lifetime, no scopes', () => {
    const { forward, scopes, lifetimeSeconds } = edge('shop/frontend', 'shop/legacy', 'corporate')
    assert.deepEqual([forward, scopes, lifetimeSeconds], [true, [], undefined])
  })
  test('impersonation and audit mode', () => {
    assert.equal(edge('shop/frontend', 'shop/ads', 'corporate').act, 'impersonate')
    assert.equal(edge('shop/frontend', 'shop/search', 'corporate').when?.mode, 'audit')
  })
  test('a deny in audit mode, or with a condition, shuts nothing', () => {
    const nightly = edge('shop/nightly', 'shop/mailer', 'workload')
    assert.equal(nightly.denied, false)
    assert.deepEqual(
      nightly.denies.map(({ reason, mode }) => [reason, mode]),
      [['quiet-hours', 'audit']],
    )
    assert.equal(edge('shop/checkout', 'shop/payment').denied, false)
  })
  test('denies of the caller, of its namespace and of the issuer; one without condition shuts', () => {
    const { edges } = graphOf(compiled(AUDITORS))
    assert.deepEqual(
      edges.map(({ denied, denies }) => [denied, denies.map(({ reason }) => reason).sort()]),
      [[true, ['x', 'y']]],
    )
    const open = graphOf(
      compiled(AUDITORS.replace('{issuer: corporate, reason: y}', '{issuer: agents, reason: y}')),
    )
    assert.deepEqual(
      open.edges.map(({ denied, denies }) => [denied, denies.map(({ reason }) => reason)]),
      [[false, ['x']]],
    )
  })
  test('a deny for everybody shuts the edge, and stands at the service', () => {
    const { edges, services } = graphOf(compiled(AUDITORS.replace('{from: other, ', '{')))
    assert.deepEqual(
      edges.map(({ denied }) => denied),
      [true],
    )
    const ledger = services.find(({ name }) => name === 'audit/ledger')
    assert.deepEqual(
      ledger?.denies.map(({ reason }) => reason),
      ['nobody-asks'],
    )
  })
})

test('issuers are roots: who hands in tokens of which; our own are none', () => {
  assert.deepEqual(GRAPH.issuers, ['corporate', 'workload'])
  assert.deepEqual(GRAPH.sources, [
    { issuer: 'corporate', to: 'ops/robot' },
    { issuer: 'corporate', to: 'ops/support' },
    { issuer: 'corporate', to: 'shop/frontend' },
    { issuer: 'workload', to: 'shop/nightly' },
  ])
})

test('embedding in a circle, which loading refuses, still gives a graph', () => {
  const ruleset = compiled(EVERYTHING, OPS)
  const payment = ruleset.services.get('shop/payment')
  const rule = payment?.rules.get('shop/checkout|self')
  assert.ok(payment && rule)
  const embed = [{ to: 'shop/payment', member: 'payment', required: false }]
  const rules = new Map([['shop/payment|self', { ...rule, from: 'shop/payment', embed }]])
  const calls = new Set(['shop/payment'])
  const services = new Map(ruleset.services).set('shop/payment', { ...payment, rules, calls })
  const { edges } = graphOf({ ...ruleset, services })
  assert.deepEqual(edges.find(({ from }) => from === 'shop/payment')?.embeds[0]?.to, 'shop/payment')
})

test('the order of files, services and rules changes nothing', () => {
  const entries = (text: string) => {
    const [head = '', ...services] = text.split(/\n(?= {2}\S)/)
    return { head, services: services.map((one) => one.trimEnd()) }
  }
  const shop = entries(EVERYTHING)
  const ops = entries(OPS)
  const shuffled = fc.tuple(
    fc.shuffledSubarray(shop.services, { minLength: shop.services.length }),
    fc.shuffledSubarray(ops.services, { minLength: ops.services.length }),
    fc.boolean(),
  )
  const property = fc.property(shuffled, ([services, others, isTurned]) => {
    const texts = [[shop.head, ...services].join('\n'), [ops.head, ...others].join('\n')]
    assert.deepEqual(graphOf(compiled(...(isTurned ? texts.reverse() : texts))), GRAPH)
  })
  fc.assert(property, { numRuns: 25 })
})

test('a graph of 10,000 rules is made at once', () => {
  const ruleset = compiled(large(1000))
  const before = performance.now()
  const { edges } = graphOf(ruleset)
  assert.equal(edges.length, 10_000)
  // It takes a tenth of this on a busy machine.
  assert.ok(performance.now() - before < 5_000)
})
