// Coverage: what counts as seen of a rule, a scope and a predicate, and what does not.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Coverage, coverageOf, percentOf } from '../../../src/ruleset/rehearse/coverage.ts'
import { runTests, SHOP_RULES, SHOPPER } from '../../support/rule-tests.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(SHOP_RULES)
const QUOTE = 'boutique/checkout <- boutique/frontend [corporate]'

/** One test a line: subject, request, expectation. */
const tests = (
  ...lines: readonly (readonly [subject: string, request: string, expect: string])[]
) =>
  `namespace: boutique\ntests:\n${lines
    .map(
      ([subject, request, expect], at) =>
        `  - {name: t${at}, caller: frontend, subject: ${subject}, request: ${request}, expect: ${expect}}\n`,
    )
    .join('')}`

const covered = (text: string, rules = RULES): Coverage => coverageOf(runTests(text, rules), rules)
const seen = (coverage: Coverage, id: string): string[] =>
  coverage.items.filter((item) => item.id === id && item.covered).map(({ what }) => what)
const unseen = (coverage: Coverage, id: string): string[] =>
  coverage.items.filter((item) => item.id === id && !item.covered).map(({ what }) => what)

const CHECKOUT = '{audience: checkout}'
const withScope = (scope: string) => SHOPPER.replace('shop:buy shop:verified', scope)

describe('coverage', () => {
  it('nothing is seen by a test of nothing', () => {
    const { totals } = covered(tests([SHOPPER, '{}', '{deny: target_missing}']))
    for (const { covered: number, total } of Object.values(totals)) {
      assert.equal(number, 0)
      assert.ok(total > 5)
    }
  })

  it('a rule is seen when it grants, not when it is reached', () => {
    const denied = covered(
      tests([
        SHOPPER,
        '{audience: checkout, scope: checkout:never}',
        '{deny: scope_not_justified}',
      ]),
    )
    assert.deepEqual(seen(denied, QUOTE), [])
    const granted = covered(tests([SHOPPER, '{audience: checkout}', '{allow: {}}']))
    assert.deepEqual(seen(granted, QUOTE), ['granted', 'with boutique/payment inside'])
  })

  it('so are the rules of embedded tokens, and what they hold', () => {
    const inside = covered(tests([SHOPPER, CHECKOUT, '{allow: {}}']))
    for (const id of [
      'boutique/payment <- boutique/checkout [self]',
      'boutique/bank <- boutique/payment [self]',
    ]) {
      assert.ok(seen(inside, id).includes('granted'), id)
    }
    const scope = 'boutique/bank <- boutique/payment [self] scope bank:book'
    assert.deepEqual(seen(inside, scope), ['granted', 'justified by payment:charge alone'])
    assert.deepEqual(unseen(inside, scope), ['refused'])
  })

  it('of `any` each alternative alone, and the refusal', () => {
    const id = `${QUOTE} scope checkout:quote`
    const both = covered(tests([withScope('shop:browse shop:buy'), CHECKOUT, '{allow: {}}']))
    assert.deepEqual(unseen(both, id), [
      'justified by shop:browse alone',
      'justified by shop:buy alone',
      'refused',
    ])
    const each = covered(
      tests(
        [withScope('shop:browse'), CHECKOUT, '{allow: {}}'],
        [withScope('shop:buy'), CHECKOUT, '{allow: {}}'],
        [withScope('shop:look'), CHECKOUT, '{deny: scope_none_justified}'],
      ),
    )
    assert.deepEqual(unseen(each, id), [])
  })

  it('of `all` the whole, and each part missing alone', () => {
    const id = `${QUOTE} scope checkout:place`
    const none = covered(tests([withScope('shop:browse'), CHECKOUT, '{allow: {}}']))
    assert.deepEqual(seen(none, id), [])
    assert.equal(unseen(none, id).length, 4)
    const parts = covered(
      tests(
        [SHOPPER, CHECKOUT, '{allow: {}}'],
        [withScope('shop:buy'), CHECKOUT, '{allow: {}}'],
        [withScope('shop:verified shop:browse'), CHECKOUT, '{allow: {}}'],
      ),
    )
    assert.deepEqual(unseen(parts, id), [])
  })

  it('of a condition both ends', () => {
    const id = `${QUOTE} when`
    const holds = covered(tests([SHOPPER, CHECKOUT, '{allow: {}}']))
    assert.deepEqual([seen(holds, id), unseen(holds, id)], [['true'], ['false']])
    const fails = covered(
      tests([
        SHOPPER.replace('email_verified: true', 'email_verified: false'),
        CHECKOUT,
        '{deny: condition_false}',
      ]),
    )
    assert.deepEqual([seen(fails, id), unseen(fails, id)], [['false'], ['true']])
  })

  it('of a scope condition too', () => {
    const id = `${QUOTE} scope checkout:place when`
    const holds = covered(tests([SHOPPER, CHECKOUT, '{allow: {}}']))
    assert.deepEqual(unseen(holds, id), ['false'])
    const fails = covered(tests([SHOPPER.replace('[mfa]', '[]'), CHECKOUT, '{allow: {}}']))
    assert.deepEqual(unseen(fails, id), ['true'])
  })

  it('of a deny that it fires and that it does not, also in audit mode; of one without condition that it fires', () => {
    for (const [claim, id] of [
      ['blocked', 'boutique/checkout denies blocked'],
      ['odd', 'boutique/checkout denies odd'],
    ] as const) {
      const quiet = covered(tests([SHOPPER, CHECKOUT, '{allow: {}}']))
      assert.deepEqual([seen(quiet, id), unseen(quiet, id)], [['does not fire'], ['fires']])
      const expect = claim === 'odd' ? '{allow: {}}' : '{deny: deny_condition_met}'
      const fired = covered(tests([SHOPPER.replace('risk: low', `${claim}: 1`), CHECKOUT, expect]))
      assert.deepEqual([seen(fired, id), unseen(fired, id)], [['fires'], ['does not fire']])
    }
    const id = 'boutique/closed denies for-good'
    assert.deepEqual(unseen(covered(tests([SHOPPER, CHECKOUT, '{allow: {}}'])), id), ['fires'])
    const always = covered(tests([SHOPPER, '{audience: closed}', '{deny: target_denied}']))
    assert.deepEqual([seen(always, id), unseen(always, id)], [['fires'], []])
  })

  it('of forwarding both ends, of a computed claim that it is computed, of actors each issuer', () => {
    const forward = 'boutique/feed <- boutique/frontend [corporate] forward'
    const on = covered(tests([SHOPPER, '{audience: feed}', '{allow: {forward: true}}']))
    assert.deepEqual([seen(on, forward), unseen(on, forward)], [['true'], ['false']])
    assert.deepEqual(seen(on, 'boutique/feed <- boutique/frontend [corporate]'), ['granted'])
    const ctx = 'boutique/checkout ctx strong'
    assert.deepEqual(unseen(on, ctx), ['true'])
    const actor = tests([SHOPPER, CHECKOUT, '{allow: {}}']).replace(
      'request:',
      'actor: {issuer: agents, sub: x}, request:',
    )
    const acted = covered(actor)
    assert.deepEqual([seen(acted, ctx), unseen(acted, ctx)], [['true'], []])
    assert.deepEqual(seen(acted, `${QUOTE} actors`), ['taken of agents'])
    assert.deepEqual(unseen(on, `${QUOTE} actors`), ['taken of agents'])
  })

  it('a test that fails shows nothing', () => {
    const text = tests([SHOPPER, CHECKOUT, '{allow: {scope: x}}'])
    assert.equal(covered(text).totals.rule.covered, 0)
  })

  it('only the namespaces that are asked for', () => {
    const rules = compiled(
      SHOP_RULES,
      'namespace: other\nservices: {a: {calls: [b]}, b: {scopes: [s], accepts: [{from: a, issuer: corporate, scopes: {s: [t]}}]}}',
    )
    const results = runTests(tests([SHOPPER, CHECKOUT, '{allow: {}}']), rules)
    const all = coverageOf(results, rules).totals.rule
    const own = coverageOf(results, rules, new Set(['boutique'])).totals.rule
    assert.deepEqual([all.total - own.total, all.covered - own.covered], [1, 0])
  })

  it('percents are rounded down: 100 means all', () => {
    assert.deepEqual(
      [
        [0, 0],
        [0, 3],
        [999, 1000],
        [3, 3],
      ].map(([number = 0, total = 0]) => percentOf({ covered: number, total })),
      [100, 0, 99, 100],
    )
  })

  it('forwarding what every token is right for shows nothing, and is not counted', () => {
    const ends = (issuer: string, also: string) =>
      coverageOf(
        [],
        compiled(`namespace: n
services:
  a: {calls: [b], scopes: [s]}
  b: {scopes: [s], also_audiences: [${also}], accepts: [{from: a, issuer: ${issuer}, forward: true}]}
`),
      ).items.filter(({ id }) => id.endsWith(' forward')).length
    assert.equal(ends('self', 'a.n'), 0)
    assert.equal(ends('self', 'other.n'), 2)
    assert.equal(ends('corporate', 'a.n'), 2)
  })

  it('a justification that every token fulfils shows nothing, and is not counted', () => {
    const ends = (id: string, rules = RULES) =>
      coverageOf([], rules)
        .items.filter((item) => item.id === id)
        .map(({ what }) => what)
    const rulesWith = (from: string, to: string) => compiled(SHOP_RULES.replace(from, to))
    const ledger = 'boutique/ledger <- boutique/nightly [workload] scope ledger:post'
    assert.deepEqual(ends(ledger), ['granted'])
    const book = 'boutique/bank <- boutique/payment [self] scope bank:book'
    assert.deepEqual(ends(book), ['granted', 'justified by payment:charge alone', 'refused'])
    const only = rulesWith('scopes: [payment:charge, payment:refund]', 'scopes: [payment:charge]')
    assert.deepEqual(ends(book, only), ['granted'])
    const both = rulesWith(
      '{bank:book: [payment:charge]}',
      '{bank:book: [payment:charge, payment:refund]}',
    )
    assert.deepEqual(ends(book, both), ['granted'])
    const all = rulesWith(
      '{bank:book: [payment:charge]}',
      '{bank:book: {all: [payment:charge, payment:refund]}}',
    )
    assert.equal(ends(book, all).length, 4)
    const glob = rulesWith(
      '{from: payment, scopes: {bank:book',
      '{from: boutique/*, scopes: {bank:book',
    )
    assert.equal(ends(book.replace('boutique/payment', 'boutique/*'), glob).length, 3)
  })
})
