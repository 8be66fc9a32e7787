// Mutants: each weakens one predicate, and only a test that depends on it notices.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type MutantResult, mutantsOf, runMutants } from '../../../src/ruleset/rehearse/mutate.ts'
import { runTests, SHOP_RULES, SHOPPER, SURROUNDINGS } from '../../support/rule-tests.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(SHOP_RULES)
const RULE = 'boutique/checkout <- boutique/frontend [corporate]'

const line = (name: string, subject: string, request: string, expect: string): string =>
  `  - {name: ${name}, caller: frontend, subject: ${subject}, request: ${request}, expect: ${expect}}\n`
const PLACE = '{audience: checkout, scope: checkout:place}'
const CHECKOUT = '{audience: checkout}'
const without = (scope: string) => SHOPPER.replace('shop:buy shop:verified', scope)

function mutated(tests: string, rules = RULES): readonly MutantResult[] {
  const results = runTests(`namespace: boutique\ntests:\n${tests}`, rules)
  assert.ok(
    results.every(({ passed }) => passed),
    JSON.stringify(results.flatMap(({ hops }) => hops.flatMap(({ differences }) => differences))),
  )
  return runMutants(results, rules, SURROUNDINGS)
}

const find = (results: readonly MutantResult[], id: string, what: string): MutantResult => {
  const found = results.filter(({ mutant }) => mutant.id === id && mutant.what === what)
  assert.equal(found.length, 1, `${id} ${what}`)
  return found[0] as MutantResult
}

const granted = line(
  'granted',
  SHOPPER,
  CHECKOUT,
  '{allow: {scope: checkout:place checkout:quote, embedded: {payment: payment:charge}}}',
)

describe('mutants', () => {
  it('are one for each predicate that decides', () => {
    const told = mutantsOf(RULES, new Set()).map(({ id, what }) => `${id}: ${what}`)
    assert.deepEqual(
      told.filter((one) => one.startsWith('boutique/checkout')),
      [
        `${RULE} when: the condition is dropped`,
        `${RULE} scope checkout:place when: the condition is dropped`,
        `${RULE} scope checkout:place: any scope justifies it`,
        `${RULE} scope checkout:place: shop:buy is not needed`,
        `${RULE} scope checkout:place: shop:verified is not needed`,
        `${RULE} scope checkout:quote: any scope justifies it`,
        'boutique/checkout denies blocked: the deny is dropped',
      ],
    )
    assert.ok(
      told.includes(
        'boutique/payment <- boutique/checkout [self]: the token for boutique/bank is not required',
      ),
    )
    assert.ok(!told.some((one) => one.includes('odd')), 'what is in audit mode decides nothing')
    assert.ok(
      !told.some((one) => one.includes('ledger')),
      'a workload always brings all its grants',
    )
  })

  it('only those of the namespaces that are asked for', () => {
    assert.deepEqual(mutantsOf(RULES, new Set(), new Set(['other'])), [])
    assert.ok(mutantsOf(RULES, new Set(), new Set(['boutique'])).length > 10)
  })

  const noticed: readonly (readonly [name: string, id: string, what: string, test: string])[] = [
    [
      'a rule condition',
      `${RULE} when`,
      'the condition is dropped',
      line(
        'it',
        SHOPPER.replace('email_verified: true', 'email_verified: false'),
        CHECKOUT,
        '{deny: condition_false}',
      ),
    ],
    [
      'a scope condition',
      `${RULE} scope checkout:place when`,
      'the condition is dropped',
      line('it', SHOPPER.replace('[mfa]', '[]'), PLACE, '{deny: scope_condition_failed}'),
    ],
    [
      'a justification',
      `${RULE} scope checkout:quote`,
      'any scope justifies it',
      line('it', without('shop:other'), CHECKOUT, '{deny: scope_none_justified}'),
    ],
    [
      'a part of all',
      `${RULE} scope checkout:place`,
      'shop:buy is not needed',
      line('it', without('shop:verified'), PLACE, '{deny: scope_not_justified}'),
    ],
    [
      'the other part of all',
      `${RULE} scope checkout:place`,
      'shop:verified is not needed',
      line('it', without('shop:buy'), PLACE, '{deny: scope_not_justified}'),
    ],
    [
      'a deny with a condition',
      'boutique/checkout denies blocked',
      'the deny is dropped',
      line(
        'it',
        SHOPPER.replace('risk: low', 'blocked: 1'),
        CHECKOUT,
        '{deny: deny_condition_met}',
      ),
    ],
    [
      'a deny without one',
      'boutique/closed denies for-good',
      'the deny is dropped',
      line('it', without('shop:browse'), '{audience: closed}', '{deny: target_denied}'),
    ],
    [
      'a deny that leaves an embedded token out',
      'boutique/payment denies high-risk-session',
      'the deny is dropped',
      line('it', SHOPPER.replace('risk: low', 'risk: high'), CHECKOUT, '{allow: {embedded: {}}}'),
    ],
  ]
  for (const [name, id, what, test] of noticed) {
    it(`${name}: survives without its test, is noticed with it`, () => {
      const before = find(mutated(granted), id, what)
      assert.equal(before.noticedBy, undefined)
      const after = find(mutated(granted + test), id, what)
      assert.equal(after.noticedBy, 'it')
      assert.ok(after.looked >= 1)
    })
  }

  it('an embedded token that is required', () => {
    const rules = compiled(
      SHOP_RULES.replace(
        'when: \'!("bank:closed" in subject.scopes)\'',
        'when: \'now > timestamp("2030-01-01T00:00:00Z")\'',
      ),
    )
    const [id, what] = [
      'boutique/payment <- boutique/checkout [self]',
      'the token for boutique/bank is not required',
    ]
    const loose = line('loose', SHOPPER, CHECKOUT, '{allow: {}}')
    assert.equal(find(mutated(loose, rules), id, what).noticedBy, undefined)
    const strict = line('it', SHOPPER, CHECKOUT, '{allow: {embedded: {}}}')
    assert.equal(find(mutated(loose + strict, rules), id, what).noticedBy, 'it')
  })

  it('what no test looks at survives, and that is said', () => {
    const { noticedBy, looked } = find(
      mutated(granted),
      'boutique/ads <- boutique/frontend [corporate] scope ads:show',
      'any scope justifies it',
    )
    assert.deepEqual([noticedBy, looked], [undefined, 0])
  })

  it('the ruleset itself stays as it is', () => {
    const shown = () =>
      JSON.stringify(
        [...RULES.services.values()].map(({ rules, denies }) => [
          denies,
          [...rules.values()].map(({ scopes, ...rule }) => [rule, [...scopes]]),
        ]),
      )
    const before = shown()
    assert.ok(mutated(granted).length > 10)
    assert.equal(shown(), before)
  })
})
