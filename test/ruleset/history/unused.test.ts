// What is unused: each kind alone, from rules of which everything else was used.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Usage } from '../../../src/audit/usage.ts'
import { type UnusedKind, unusedOf } from '../../../src/ruleset/history/unused.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(`
namespace: b
services:
  front: {calls: [shop, feed]}
  shop:
    scopes: [s:a, s:b]
    claims: [email]
    calls: [pay]
    accepts:
      - {from: front, issuer: corporate, scopes: {s:a: [u], s:b: [u]}, embed: [pay]}
    denies:
      - {when: 'subject.sub == "x"', reason: quiet}
      - {when: 'subject.sub == "y"', reason: loud}
      - {when: 'subject.sub == "z"', reason: watching, mode: audit}
  pay:
    scopes: [p:a]
    embeddable: true
    accepts:
      - {from: shop, scopes: {p:a: [s:a]}}
  feed:
    also_audiences: [https://api.example]
    accepts:
      - {from: front, issuer: corporate, forward: true}
  job: {grants: [g:1, g:2], calls: [ledger]}
  ledger:
    scopes: [l:post, l:read]
    accepts:
      - {from: job, issuer: workload, scopes: {l:post: [g:1], l:read: [g:1, g:2]}}
`)
const SHOP = 'b/shop <- b/front [corporate]'
const PAY = 'b/pay <- b/shop [self]'
const FEED = 'b/feed <- b/front [corporate]'
const LEDGER = 'b/ledger <- b/job [workload]'

const edge = (rule: string, caller: string, target: string, granted = 1, denied = 0) => {
  const last = granted > 0 ? 1 : undefined
  return { rule, caller, target, granted, embedded: 0, denied, wouldDeny: 0, lastGranted: last }
}
const scope = (rule: string, target: string, name: string) => ({
  rule,
  target,
  scope: name,
  count: 1,
  last: 1,
})

const ALL: Usage = {
  edges: [
    edge(SHOP, 'b/front', 'b/shop'),
    edge(PAY, 'b/shop', 'b/pay'),
    edge(FEED, 'b/front', 'b/feed'),
    edge(LEDGER, 'b/job', 'b/ledger'),
  ],
  scopes: [
    scope(SHOP, 'b/shop', 's:a'),
    scope(SHOP, 'b/shop', 's:b'),
    scope(PAY, 'b/pay', 'p:a'),
    scope(LEDGER, 'b/ledger', 'l:post'),
    scope(LEDGER, 'b/ledger', 'l:read'),
  ],
  claims: [{ target: 'b/shop', claim: 'email', count: 1, last: 1 }],
  predicates: [{ predicate: 'b/shop denies watching', count: 1, last: 1 }],
  embeds: [{ rule: SHOP, member: 'pay', count: 1, last: 1 }],
  denies: [{ predicate: 'b/shop denies loud', count: 1, last: 1 }],
  rulesets: [],
}
const told = (change: Partial<Usage>) =>
  unusedOf(RULES, { ...ALL, ...change }).parts.map(
    ({
      kind,
      service,
      rule,
      name,
      denied,
    }): [UnusedKind, string | undefined, string | undefined, number] => [
      kind,
      rule ?? service,
      name,
      denied,
    ],
  )
const without = <T>(list: readonly T[], at: number): readonly T[] => list.filter((_, i) => i !== at)

describe('what is not used', () => {
  it('nothing, where all was', () => assert.deepEqual(told({}), []))
  it('a rule and the call, not its scopes and what it embeds', () => {
    const [, ...edges] = ALL.edges
    const denied = edge(SHOP, 'b/front', 'b/shop', 0, 7)
    const rest = { edges: [...edges, denied], scopes: ALL.scopes.slice(2), embeds: [] }
    assert.deepEqual(told(rest), [
      ['rule', SHOP, undefined, 7],
      ['calls', 'b/front', 'b/shop', 0],
    ])
  })
  it('a rule that forwards', () => {
    assert.deepEqual(told({ edges: without(ALL.edges, 2) }), [
      ['forward', FEED, undefined, 0],
      ['calls', 'b/front', 'b/feed', 0],
    ])
  })
  it('a scope of a rule', () => {
    assert.deepEqual(told({ scopes: without(ALL.scopes, 1) }), [['scope', SHOP, 's:b', 0]])
  })
  it('a token inside: by the rule that embeds, not by the one that decides on it', () => {
    assert.deepEqual(told({ embeds: [] }), [['embed', SHOP, 'b/pay', 0]])
    const other = [{ rule: 'another', member: 'pay', count: 1, last: 1 }]
    assert.deepEqual(told({ embeds: other }), [['embed', SHOP, 'b/pay', 0]])
  })
  it('a claim: by its service', () => {
    assert.deepEqual(told({ claims: [{ target: 'b/pay', claim: 'email', count: 1, last: 1 }] }), [
      ['claim', 'b/shop', 'email', 0],
    ])
  })
  it('a grant that no granted scope can need', () => {
    assert.deepEqual(told({ scopes: without(ALL.scopes, 4) }), [
      ['scope', LEDGER, 'l:read', 0],
      ['grant', 'b/job', 'g:2', 0],
    ])
    const none = told({ edges: without(ALL.edges, 3), scopes: ALL.scopes.slice(0, 3) })
    assert.deepEqual(none.slice(-2), [
      ['grant', 'b/job', 'g:1', 0],
      ['grant', 'b/job', 'g:2', 0],
    ])
  })
  it('denies that never fired, for information: neither refused nor would have', () => {
    const { quietDenies, parts } = unusedOf(RULES, ALL)
    assert.deepEqual([quietDenies, parts], [['b/shop denies quiet'], []])
    assert.equal(unusedOf(RULES, { ...ALL, denies: [], predicates: [] }).quietDenies.length, 3)
  })
})
