// What is wider or longer than it needs to be: wildcards, lifetimes, conditions that read nothing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLEAN, changed, found, said } from '../../support/checks.ts'

describe('rules check: wildcards', () => {
  const glob = changed(
    CLEAN,
    'from: nightly, issuer: workload',
    'from: boutique/*, issuer: workload',
  )

  it('a namespace of which most do not call', () => {
    assert.deepEqual(found(glob), ['46:16 wildcard-from'])
    assert.equal(
      said(glob, 'wildcard-from'),
      'boutique/* means 6 services, of which 1 call boutique/ledger → boutique/nightly',
    )
  })

  it('a namespace of which most call is right', () => {
    const text = `
namespace: jobs
services:
  one: {grants: [books:close], calls: [ledger]}
  two: {grants: [books:close], calls: [ledger]}
  three: {scopes: [a], accepts: [{from: one, issuer: workload, scopes: {a: [books:close]}}]}
  ledger:
    external: true
    scopes: [ledger:post]
    accepts:
      - {from: jobs/*, issuer: workload, scopes: {ledger:post: [books:close]}}
`
    const three = changed(text, 'calls: [ledger]}\n  two', 'calls: [ledger, three]}\n  two')
    assert.deepEqual(found(three), [])
    const one = three.replace(
      'grants: [books:close], calls: [ledger]}\n  three',
      'calls: []}\n  three',
    )
    assert.deepEqual(found(one), ['11:16 wildcard-from'])
  })

  it('an identity of every workload of a namespace is right', () => {
    const identity = 'spiffe://cluster.local/ns/mail/sa/*'
    assert.deepEqual(
      found(changed(CLEAN, '  mailer:\n', `  mailer:\n    identity: ${identity}\n`)),
      [],
    )
  })

  for (const [name, identity] of [
    ['a name in every namespace', 'spiffe://cluster.local/ns/*/sa/mailer'],
    ['everybody', 'spiffe://partner.example/ns/*/sa/*'],
    ['everybody below a path', 'spiffe://partner.example/*/mailer'],
  ] as const) {
    it(`an identity of ${name}`, () => {
      const text = changed(CLEAN, '  mailer:\n', `  mailer:\n    identity: ${identity}\n`)
      assert.deepEqual(found(text), ['30:15 wildcard-identity'])
    })
  }

  it('a pattern in a list, at its place', () => {
    const own = 'spiffe://cluster.local/ns/boutique/sa/mailer'
    const text = changed(
      CLEAN,
      '  mailer:\n',
      `  mailer:\n    identity: [${own}, spiffe://cluster.local/ns/*/sa/mailer2]\n`,
    )
    assert.deepEqual(found(text), ['30:62 wildcard-identity'])
  })

  it('a grant for whatever fits a pattern', () => {
    const text = changed(
      CLEAN,
      '    grants: [books:close]\n',
      '    grants: [books:close]\n    identity: spiffe://cluster.local/ns/jobs/sa/*\n',
    )
    assert.deepEqual(found(text), ['40:15 wildcard-grant'])
  })
})

describe('rules check: lifetimes', () => {
  for (const [name, lifetime, expected] of [
    ['as long as what is handed in', '5m', []],
    ['longer than what is handed in', '6m', ['22:23 lifetime-cut']],
  ] as const) {
    it(name, () => {
      assert.deepEqual(found(changed(CLEAN, 'lifetime: 1m', `lifetime: ${lifetime}`)), expected)
    })
  }

  it('of what is cut on its own way already', () => {
    const chain = (lifetime: string) => `
namespace: boutique
services:
  frontend: {calls: [a]}
  a:
    scopes: [a]
    token: {lifetime: 1m}
    calls: [b]
    accepts: [{from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}]
  b:
    scopes: [b]
    calls: [c]
    accepts: [{from: a, scopes: {b: [a]}}]
  c:
    scopes: [c]
    token: {lifetime: ${lifetime}}
    accepts: [{from: b, scopes: {c: [b]}}]
`
    assert.deepEqual(found(chain('60s')), [])
    assert.deepEqual(found(chain('61s')), ['16:23 lifetime-cut'])
    assert.equal(
      said(chain('2m'), 'lifetime-cut'),
      'no token that is handed in for one lives longer than 60s, so 2m is never reached',
    )
  })

  it('tokens of other issuers may live as long as they like, and so what is made of them', () => {
    assert.deepEqual(
      found(changed(CLEAN, 'scopes: [ads:show]', 'scopes: [ads:show]\n    token: {lifetime: 1h}')),
      [],
    )
  })
})

describe('rules check: conditions that read nothing', () => {
  for (const [where, from, to, expected] of [
    [
      'a rule',
      '- from: checkout\n',
      '- from: checkout\n        when: 1 == 1\n',
      ['26:15 condition-constant'],
    ],
    [
      'a scope',
      '{payment:charge: [checkout:place]}',
      "{payment:charge: {any: [checkout:place], when: 'true'}}",
      ['26:64 condition-constant'],
    ],
    [
      'a deny',
      '- {when: has(subject.claims.risk)',
      "- {when: '[1].exists(x, x == 2)', reason: none}\n      - {when: has(subject.claims.risk)",
      ['28:16 condition-constant'],
    ],
    [
      'none, with a name in quotes',
      '- from: checkout\n',
      `- from: checkout\n        when: '"subject" == "caller"'\n`,
      ['26:15 condition-constant'],
    ],
  ] as const) {
    it(where, () => assert.deepEqual(found(changed(CLEAN, from, to)), expected))
  }
})
