// Rules for several callers, and several rules of one target: one that can is enough, and one fault hides no other.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLEAN, changed, found, said } from '../../support/checks.ts'
import { SHOP } from '../shop.ts'

/** A namespace of which `a` alone has tokens and claims of ours, and `frontend` alone users' tokens. */
const GLOBS = `
namespace: boutique
services:
  frontend: {calls: [a, t, u]}
  a:
    scopes: [a]
    claims: [email]
    calls: [t, u]
    accepts: [{from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}]
  b: {calls: [t, u]}
  t:
    scopes: [t]
    claims: [email]
    accepts: [{from: boutique/*, when: subject.claims.email == 1, scopes: {t: [a]}}]
    denies: [{from: a, when: subject.claims.email == 2, reason: two}]
  u:
    scopes: [u]
    claims: [phone]
    accepts: [{from: boutique/*, issuer: corporate, scopes: {u: [shop:buy]}}]
`

describe('rules check: rules for a namespace', () => {
  it('one caller that can is enough', () => assert.deepEqual(found(GLOBS), []))

  it('a scope that no caller knows, nobody else tells', () => {
    const text = changed(GLOBS, 'scopes: {t: [a]}', 'scopes: {t: [nowhere]}')
    assert.deepEqual(found(text), ['14:15 rule-unreachable'])
    assert.equal(
      said(text, 'rule-unreachable'),
      'no token that boutique/* can hand in gives any of its scopes',
    )
    const known = changed(text, '    scopes: [a]\n', '    scopes: [a, nowhere]\n')
    assert.deepEqual(found(known), ['6:17 scope-never-given'])
  })

  it('one that lists a claim, and to which it does not come', () => {
    const text = changed(GLOBS, 'subject.claims.email == 1', 'subject.claims.tier == 1')
    assert.match(said(text, 'claim-never-there'), /^boutique\/\* does not list tier in claims, so/)
    const chain = `
namespace: boutique
services:
  frontend: {calls: [a]}
  a: {scopes: [a], calls: [b, c], accepts: [{from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}]}
  b: {scopes: [s], claims: [tier], calls: [t], accepts: [{from: a, scopes: {s: [a]}}]}
  c: {scopes: [s], calls: [t], accepts: [{from: a, scopes: {s: [a]}}]}
  t:
    scopes: [t]
    accepts: [{from: boutique/*, when: subject.claims.tier == 1, scopes: {t: [s]}}]
`
    assert.match(
      said(chain, 'claim-never-there'),
      /^boutique\/\* lists tier in claims, but no token for it carries one/,
    )
  })

  it('nobody has a token of ours, and one has users’: that issuer is meant', () => {
    const text = changed(
      GLOBS,
      '  t:\n    scopes: [t]\n',
      '  v:\n    scopes: [v]\n    accepts: [{from: boutique/*, scopes: {v: [v]}}]\n  t:\n    scopes: [t]\n',
    )
    const calling = changed(
      changed(text, 'calls: [a, t, u]', 'calls: [a, t, u, v]'),
      '  b: {calls: [t, u]}',
      '  b: {calls: [t, u, v]}\n  w: {calls: [v]}',
    )
    assert.match(said(calling, 'rule-unreachable'), /and there are none → issuer: corporate$/)
  })

  it('impersonation of one that has tokens without act, but not these', () => {
    const text = `
namespace: boutique
services:
  frontend: {calls: [a, b]}
  a: {scopes: [a], calls: [t], accepts: [{from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}]}
  b: {scopes: [b], calls: [t], accepts: [{from: frontend, issuer: corporate, act: impersonate, scopes: {b: [shop:buy]}}]}
  t:
    scopes: [t]
    accepts: [{from: boutique/*, act: impersonate, scopes: {t: [a]}}]
`
    assert.equal(
      said(text, 'rule-unreachable'),
      'no token that boutique/* can hand in gives any of its scopes',
    )
    assert.match(
      said(
        changed(text, 'issuer: corporate, act: impersonate', 'issuer: corporate'),
        'rule-unreachable',
      ),
      /^every token for boutique\/\* carries act/,
    )
  })

  it('workloads whose grants are others', () => {
    const rule = 'from: nightly, issuer: workload, scopes: {ledger:post: [books:close]}'
    const text = changed(
      CLEAN,
      rule,
      rule.replace('nightly', 'boutique/*').replace('close', 'open'),
    )
    assert.equal(
      said(text, 'rule-unreachable'),
      'no token that boutique/* can hand in gives any of its scopes',
    )
  })
})

describe('rules check: several rules of one target', () => {
  it('a deny on an actor, where one rule takes actors', () => {
    const denies = '    denies: [{when: has(actor.sub) && actor.sub == "x", reason: x}]\n'
    const assistant =
      '      - {from: assistant, issuer: agents, scopes: {checkout:quote: ["agent:buy"]}}\n'
    const text = changed(
      changed(
        CLEAN,
        '        embed: [payment]\n',
        `        embed: [payment]\n${assistant}${denies}`,
      ),
      'services:\n',
      'services:\n  assistant: {calls: [checkout]}\n',
    )
    assert.deepEqual(found(text), [])
    assert.deepEqual(found(changed(text, '        actors: [agents]\n', '')), [
      '20:21 deny-never-fires',
    ])
  })

  it('one that forwards is enough for also_audiences', () => {
    const text = changed(
      SHOP,
      '- {from: front, issuer: corporate, forward: true}',
      '- {from: front, issuer: corporate, forward: true}\n      - {from: desk, scopes: {feed:read: [desk:read]}}',
    )
    const fed = changed(
      changed(text, 'calls: [till]', 'calls: [till, feed]'),
      '  feed:\n',
      '  feed:\n    scopes: [feed:read]\n',
    )
    assert.ok(!found(fed).some((line) => line.endsWith('also-audience-unused')), found(fed).join())
  })
})

describe('rules check: one fault hides no other', () => {
  const FORWARD = `
namespace: boutique
services:
  frontend: {calls: [feed]}
  feed:
    scopes: [f]
    claims: [email]
    calls: [next]
    also_audiences: [https://api.shop.example]
    accepts: [{from: frontend, issuer: corporate, forward: true}]
  next:
    scopes: [n]
    accepts: [{from: feed, when: subject.claims.phone == 1, scopes: {n: [f]}}]
`
  it('a forwarded token makes no token of the service that it is handed to', () => {
    assert.deepEqual(found(FORWARD), ['13:15 rule-unreachable'])
  })

  it('a forwarded token of an issuer that its caller may not present', () => {
    const text = changed(FORWARD, 'issuer: corporate', 'issuer: agents')
    assert.ok(found(text).includes('10:40 presenter-missing'), found(text).join())
  })

  it('a presenter that is missing says nothing of claims behind it', () => {
    const text = changed(
      CLEAN,
      'issuer: corporate\n        actors',
      'issuer: agents\n        actors',
    )
    assert.deepEqual(found(text), ['13:17 presenter-missing'])
  })

  it('a deny of everybody, by name or not', () => {
    const denies = '    denies: [{reason: closed}]\n'
    assert.deepEqual(found(changed(CLEAN, '  ads:\n', `${denies}  ads:\n`)), [
      '33:17 rule-shadowed',
    ])
  })

  it('a deny of somebody else hides no rule that is unreachable', () => {
    const rule = '- {from: [checkout], scopes: {mail:send: [checkout:place]}}'
    const text = changed(
      CLEAN,
      rule,
      `${rule.replace('scopes', 'act: impersonate, scopes')}\n    denies: [{from: ads, reason: ads}]`,
    )
    assert.deepEqual(found(text), ['33:9 rule-unreachable', '34:14 deny-never-fires'])
  })

  it('a scope that is justified and kept back by what must be embedded', () => {
    const text = changed(
      changed(CLEAN, 'all: [shop:buy, shop:verified]', 'all: [shop:buy, "role:"]'),
      'scopes: {payment:charge: [checkout:place]}\n',
      'scopes: {payment:charge: [checkout:place], payment:ask: [checkout:quote]}\n        embed: [{to: bank, required: true}]\n',
    )
    const banked = changed(
      changed(
        text,
        '    scopes: [payment:charge]\n',
        '    scopes: [payment:charge, payment:ask]\n    calls: [bank]\n',
      ),
      '  ads:\n',
      '  bank:\n    scopes: [bank:book]\n    embeddable: true\n    accepts: [{from: payment, scopes: {bank:book: [payment:charge]}}]\n  ads:\n',
    )
    assert.deepEqual(
      found(banked).filter((line) => !line.includes('budget')),
      ['17:11 scope-unreachable', '26:9 rule-unreachable'],
    )
  })
})
