// Both halves of a consent, denies that leave nothing of a rule, and what stands there for nothing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLEAN, changed, found, said } from '../../support/checks.ts'
import { SHOP } from '../shop.ts'

const DENY =
  '      - {when: has(subject.claims.risk) && subject.claims.risk == "high", reason: high-risk}'
const LEDGER = 'from: nightly, issuer: workload, scopes: {ledger:post: [books:close]}'

describe('rules check: a ruleset of which nothing is to be said', () => {
  it('has no findings', () => assert.deepEqual(found(CLEAN), []))
})

describe('rules check: halves of a consent', () => {
  for (const [name, from, to, expected] of [
    [
      'a caller that does not list the target',
      'calls: [checkout, ads]',
      'calls: [ads]',
      ['12:15 rule-without-call'],
    ],
    [
      'one caller of a list that does not',
      'from: [checkout], scopes: {mail:send: [checkout:place]}',
      'from: [ledger-reader, checkout], issuer: self, scopes: {mail:send: [checkout:place]}}\n  ledger-reader:\n    scopes: [checkout:place]\n    calls: [ads]\n    accepts:\n      - {from: frontend, issuer: corporate, scopes: {checkout:place: [shop:buy]}',
      ['33:17 rule-without-call', '36:13 call-without-rule', '38:16 rule-without-call'],
    ],
    [
      'a namespace of which nobody lists the target',
      'from: frontend, issuer: corporate, act: impersonate',
      'from: other/*, issuer: corporate, act: impersonate',
      ['37:16 namespace-unknown'],
    ],
    [
      'a target that has no rule for its caller',
      'calls: [payment, mailer]',
      'calls: [payment, mailer, ads]',
      ['10:30 call-without-rule'],
    ],
    [
      'a rule for another issuer than its caller may present',
      'issuer: corporate, act: impersonate',
      'issuer: agents, act: impersonate',
      ['37:34 presenter-missing'],
    ],
    [
      'a deny of everybody whom a rule lets in',
      DENY,
      '      - {from: boutique/*, reason: closed}',
      ['25:15 rule-shadowed'],
    ],
    ['the same in audit mode', DENY, '      - {mode: audit, reason: closed}', []],
    [
      'a deny of some other issuer',
      DENY,
      '      - {issuer: agents, reason: closed}',
      ['28:9 deny-never-fires'],
    ],
    ['a deny with a condition', DENY, '      - {when: subject.sub == "eve", reason: eve}', []],
  ] as const) {
    it(name, () => assert.deepEqual(found(changed(CLEAN, from, to)), expected))
  }

  it('says which half is missing', () => {
    assert.equal(
      said(changed(CLEAN, 'calls: [checkout, ads]', 'calls: [ads]'), 'rule-without-call'),
      'boutique/frontend does not list boutique/checkout in calls, so this rule gives nothing to it',
    )
    const glob = changed(CLEAN, LEDGER, LEDGER.replace('nightly', 'boutique/*'))
    assert.equal(
      said(changed(glob, 'calls: [ledger]', 'calls: [ads]'), 'rule-without-call'),
      'no service of boutique/* lists boutique/ledger in calls, so this rule gives nothing',
    )
  })

  it('a workload that brings nothing of its own', () => {
    const text = changed(CLEAN, '    grants: [books:close]\n', '')
    // Whoever is named alone is an error when rules are loaded.
    assert.match(said(text, 'scope-unjustifiable'), /boutique\/nightly has no grant books:close/)
    const glob = changed(text, LEDGER, LEDGER.replace('nightly', 'boutique/*'))
    assert.equal(
      said(glob, 'presenter-missing'),
      'boutique/* has no grants, so as itself it brings nothing',
    )
  })
})

describe('rules check: what is there for nothing', () => {
  for (const [name, from, to, expected] of [
    ['a service', '  ads:\n', '  orphan: {scopes: []}\n  ads:\n', ['34:3 service-unused']],
    [
      'a scope',
      '[payment:charge]\n    claims',
      '[payment:charge, payment:refund]\n    claims',
      ['20:30 scope-never-given'],
    ],
    [
      'a grant',
      'grants: [books:close]',
      'grants: [books:open, books:close]',
      ['39:14 grant-unused'],
    ],
    ['embeddable', '  ads:\n', '  ads:\n    embeddable: true\n', ['35:17 embeddable-unused']],
    [
      'also_audiences',
      '  ads:\n',
      '  ads:\n    also_audiences: [https://a.example]\n',
      ['35:5 also-audience-unused'],
    ],
  ] as const) {
    it(name, () => assert.deepEqual(found(changed(CLEAN, from, to)), expected))
  }

  it('scopes of a service to which tokens are forwarded come with them', () => {
    const feed = changed(SHOP, 'feed:\n', 'feed:\n    scopes: [shop:read]\n')
    assert.deepEqual(found(changed(feed, 'scopes: [ui]', 'scopes: []')), ['23:9 budget-over-cache'])
  })
})
