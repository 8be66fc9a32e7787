// How large tokens may become: an upper bound, against tokens that are really made.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ASSUMED, type Budget } from '../../../src/ruleset/check/budget.ts'
import { unsignedMint } from '../../../src/ruleset/rehearse/surroundings.ts'
import type { Ruleset, Service } from '../../../src/ruleset/ruleset.ts'
import type { Subject } from '../../../src/subjects/subject.ts'
import { mint } from '../../../src/tokens/mint.ts'
import { subjectOf, tailor } from '../../../src/tokens/tailor.ts'
import { CHECK_CONTEXT, CLEAN, changed, check, found, said } from '../../support/checks.ts'
import { NOW, subject } from '../../support/facts.ts'
import { compiled } from '../../support/rules.ts'
import { SHOP } from '../shop.ts'

const budgetOf = (budgets: readonly Budget[], rule: string): Budget => {
  const budget = budgets.find((each) => each.rule === rule)
  assert.ok(budget, rule)
  return budget
}

/** A claim as long as is assumed. */
const LONG = 'x'.repeat(ASSUMED.claim - 2)

/** What a user brings at most, by what the budget assumes. */
const user = (claims: object): Subject =>
  subject({
    sub: 'x'.repeat(ASSUMED.sub - 5),
    qualifiedSub: `corp:${'x'.repeat(ASSUMED.sub - 5)}`,
    claims: { ...claims },
  })

function exchange(
  ruleset: Ruleset,
  caller: Service,
  handed: Subject,
  target: string,
): { readonly subject: Subject; readonly characters: number } {
  const [id = ''] = caller.identities
  const tailored = tailor(ruleset, {
    caller: { service: caller, id, iss: undefined },
    subject: handed,
    actor: undefined,
    request: { audiences: [target], resources: [], scopes: undefined },
    issuer: CHECK_CONTEXT.issuer,
    now: NOW,
    newTokenId: () => '00000000-0000-4000-8000-000000000000',
    rulesetClaim: false,
  })
  assert.equal(tailored.outcome, 'tailored', JSON.stringify(tailored))
  if (tailored.outcome !== 'tailored') throw new Error('unreachable')
  const minted = mint(tailored, unsignedMint({ algorithm: 'ES256', maxTokenCharacters: 1e6 }))
  assert.ok(minted.ok)
  return { subject: subjectOf(tailored.built.claims), characters: minted.value.token.token.length }
}

const serviceOf = (ruleset: Ruleset, name: string): Service => {
  const service = ruleset.services.get(name)
  assert.ok(service)
  return service
}

/** The budget holds, and is no guess far away. */
function close(characters: number, budget: Budget): void {
  assert.ok(characters <= budget.characters, `${characters} of ${budget.characters}`)
  assert.ok(characters > budget.characters * 0.9, `${characters} of ${budget.characters}`)
}

describe('budgets', () => {
  it('bound a token with tokens inside, and its chain', () => {
    const ruleset = compiled(CLEAN)
    const { budgets } = check([CLEAN])
    const order = 'boutique/checkout <- boutique/frontend [corporate]'
    const charge = 'boutique/payment <- boutique/checkout [self]'
    const frontend = serviceOf(ruleset, 'boutique/frontend')
    const checkout = serviceOf(ruleset, 'boutique/checkout')

    const first = exchange(ruleset, frontend, user({ email: LONG, risk: LONG }), 'checkout')
    const budget = budgetOf(budgets, order)
    // The actor's token that may come along did not.
    assert.ok(first.characters <= budget.characters && first.characters > budget.characters * 0.8)
    assert.deepEqual([budget.depth, budget.hops], [1, 1])

    const second = exchange(ruleset, checkout, first.subject, 'payment')
    close(second.characters, budgetOf(budgets, charge))
    assert.deepEqual([budgetOf(budgets, charge).depth, budgetOf(budgets, charge).hops], [0, 2])
  })

  it('count ctx, impersonation and several levels', () => {
    const text = changed(SHOP, 'scopes: [ui]', 'scopes: []')
    const ruleset = compiled(text)
    const { budgets } = check([text])
    const front = serviceOf(ruleset, 'shop/front')
    const claims = {
      email: LONG,
      risk: LONG,
      organisation: LONG,
      email_verified: true,
      amr: ['mfa'],
    }
    const { characters } = exchange(ruleset, front, user(claims), 'desk')
    const desk = budgetOf(budgets, 'shop/desk <- shop/front [corporate]')
    assert.equal(desk.depth, 2)
    assert.ok(characters <= desk.characters && characters > desk.characters * 0.8)

    const ads = exchange(
      compiled(CLEAN),
      serviceOf(compiled(CLEAN), 'boutique/frontend'),
      user({}),
      'ads',
    )
    const budget = budgetOf(check([CLEAN]).budgets, 'boutique/ads <- boutique/frontend [corporate]')
    assert.equal(budget.hops, 0)
    close(ads.characters, budget)
  })

  it('count a constant as it is', () => {
    const text = changed(SHOP, 'region: {value: eu}', `region: {value: ${'x'.repeat(250)}}`)
    const of = (rules: string) =>
      budgetOf(check([rules]).budgets, 'shop/desk <- shop/front [corporate]').characters
    assert.ok(Math.abs(of(text) - of(SHOP) - (248 * 4) / 3) < 2)
  })

  it('count no caller for what was forwarded', () => {
    const text = changed(
      changed(
        SHOP,
        '  tour:\n',
        '  after:\n    scopes: [a]\n    accepts: [{from: feed, scopes: {a: [f]}}]\n  tour:\n',
      ),
      '  feed:\n',
      '  feed:\n    scopes: [f]\n    calls: [after]\n',
    )
    assert.equal(budgetOf(check([text]).budgets, 'shop/after <- shop/feed [self]').hops, 1)
  })

  it('are told of rules that mint, the largest first', () => {
    const { budgets } = check([SHOP])
    assert.deepEqual(
      budgets.map(({ rule }) => rule.split(' ')[0]),
      ['shop/desk', 'shop/till', 'shop/bank', 'shop/ledger', 'shop/tour'],
    )
  })

  it('grow with the algorithm, the ruleset hash and an actor', () => {
    const rule = 'boutique/payment <- boutique/checkout [self]'
    const of = (text: string, change: object) =>
      budgetOf(check([text], change).budgets, rule).characters
    const plain = of(CLEAN, {})
    assert.equal(of(CLEAN, { algorithm: 'RS256' }) - plain, 342 - 86)
    assert.equal(of(changed(CLEAN, 'lifetime: 1m', 'algorithm: RS256'), {}) - plain, 342 - 86)
    assert.ok(of(CLEAN, { rulesetClaim: true }) > plain + 90)
    const actors = '{payment:charge: [checkout:place]}\n        actors: [agents]'
    const more = of(changed(CLEAN, '{payment:charge: [checkout:place]}', actors), {}) - plain
    assert.ok(more > 145 && more < 160, `${more}`)
  })

  it('go round circles of exchanges ten times, as deep as `act` may be', () => {
    const text = `
namespace: boutique
services:
  frontend: {calls: [a]}
  a:
    scopes: [a]
    calls: [b]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}
      - {from: b, scopes: {a: [b]}}
  b: {scopes: [b], calls: [a], accepts: [{from: a, scopes: {b: [a]}}]}
`
    assert.equal(budgetOf(check([text]).budgets, 'boutique/b <- boutique/a [self]').hops, 10)
  })
})

describe('rules check: budgets', () => {
  it('more than this deployment mints', () => {
    assert.deepEqual(found(CLEAN, { maxTokenCharacters: 2000 }), ['18:9 budget-over-cap'])
    assert.match(
      said(CLEAN, 'budget-over-cap', { maxTokenCharacters: 2000 }),
      /^up to 2\d\d\d characters, 1 levels of tokens inside; this deployment mints 2000 at most/,
    )
  })

  it('more than a cache or a server takes', () => {
    const claims = Array.from({ length: 20 }, (_, at) => `claim${at}`)
    const text = changed(CLEAN, 'scopes: [ads:show]', `scopes: [ads:show]\n    claims: [${claims}]`)
    assert.deepEqual(found(text), ['38:9 budget-over-cache'])
    assert.match(
      said(text, 'budget-over-cache'),
      /more than fits into Envoy's cache of verified tokens \(4096\)$/,
    )
    const more = Array.from({ length: 60 }, (_, at) => `claim${at}`)
    const large = changed(CLEAN, 'scopes: [ads:show]', `scopes: [ads:show]\n    claims: [${more}]`)
    assert.match(
      said(large, 'budget-over-cache', { maxTokenCharacters: 60_000 }),
      /\(4096\) and the headers of many servers \(8192\)$/,
    )
  })

  it('a forwarded token has none', () => {
    assert.ok(!check([SHOP]).budgets.some(({ rule }) => rule.startsWith('shop/feed')))
  })
})
