// Proofs by hand: what holds, the least counter-example of what does not, and its conditions.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type NeverEntry, resolveNever } from '../../../src/ruleset/prove/never.ts'
import {
  type CounterExample,
  explain,
  holds,
  type Proof,
  prove,
} from '../../../src/ruleset/prove/prove.ts'
import type { Journey } from '../../../src/ruleset/reach/journey.ts'
import { journeyEntry } from '../../../src/ruleset/reach/journey-entry.ts'
import type { World } from '../../../src/ruleset/reach/token.ts'
import { worldOf } from '../../support/core-realm.ts'
import { randomRules } from '../../support/random-ruleset.ts'
import { everyWay, reachOf } from '../../support/reach-judge.ts'
import { runTests, SHOP_RULES, SURROUNDINGS } from '../../support/rule-tests.ts'
import { compiled } from '../../support/rules.ts'

const WORLD: World = {
  ruleset: compiled(SHOP_RULES),
  selfIss: SURROUNDINGS.issuer,
  workloadAudiences: [SURROUNDINGS.issuer],
  issuers: new Map(
    [...SURROUNDINGS.issuers].map(([name, issuer]) => [
      name,
      { ...issuer, scopesFrom: [{ path: ['scope'], prefix: '' }] },
    ]),
  ),
}

function proved(entries: readonly NeverEntry[], rules = SHOP_RULES, options = {}): Proof {
  const world = { ...WORLD, ruleset: compiled(rules) }
  const nevers = entries.map((entry) => {
    const { never } = resolveNever(entry, 'boutique', world.ruleset)
    assert.ok(never, JSON.stringify(entry))
    return never
  })
  return prove(world, nevers, options)
}

function example(entry: NeverEntry, rules = SHOP_RULES): CounterExample {
  const { nevers } = proved([entry], rules)
  const [{ counterExample } = assert.fail()] = nevers
  assert.ok(counterExample, 'it holds')
  return counterExample
}

const shown = ({ root, hops, goal }: Journey) => ({
  root: [root.issuer, root.audiences.join(' '), root.scopes.join(' '), root.claims],
  hops: hops.map(({ caller, target, scopes }) =>
    [caller.name, target.name, scopes?.join(' ')].join(' → '),
  ),
  goal: [goal.holder, goal.scope ?? goal.claim, ...goal.path].join(' '),
})

describe('prove', () => {
  it('holds where no chain leads to it', () => {
    const proof = proved([
      { caller: 'frontend', obtains: 'payment:refund' },
      { caller: 'mailer', obtains: 'payment:charge' },
      { service: 'bank', sees: 'email' },
      { caller: 'nightly', obtains: 'checkout:place' },
    ])
    assert.ok(holds(proof))
    assert.deepEqual(
      proof.nevers.map(({ counterExample }) => counterExample),
      [undefined, undefined, undefined, undefined],
    )
    assert.ok(proof.explored.exchanges > 5)
  })

  it('the holder of a token holds what is inside, with the least that is needed for it', () => {
    const { journey, holders, isFulfilled } = example({ caller: 'frontend', obtains: 'bank:book' })
    assert.deepEqual(shown(journey), {
      root: [
        'corporate',
        'https://api.shop.example',
        'shop:buy shop:verified',
        { amr: ['mfa'], email_verified: true, level: 1 },
      ],
      hops: ['boutique/frontend → boutique/checkout → checkout:place'],
      goal: 'boutique/frontend bank:book payment bank',
    })
    assert.deepEqual([holders, isFulfilled], [['boutique/frontend'], true])
  })

  it('tells the conditions on the way, and that claims were found for them', () => {
    const { assumptions } = example({ caller: 'frontend', obtains: 'payment:charge' })
    assert.deepEqual(
      assumptions.map(({ predicate, as }) => `${predicate}: ${as}`),
      [
        'boutique/checkout denies blocked: false',
        'boutique/checkout <- boutique/frontend [corporate] when: true',
        'boutique/checkout <- boutique/frontend [corporate] scope checkout:place when: true',
        'boutique/checkout ctx strong: computed',
        'boutique/payment denies high-risk-session: false',
        'boutique/bank <- boutique/payment [self] when: true',
      ],
    )
  })

  it('where none are found it says so', () => {
    const rules = SHOP_RULES.replace(
      'when: subject.claims.email_verified == true',
      'when: subject.claims.a.b.c == 1 && subject.sub == "bob"',
    )
    const { isFulfilled, journey } = example(
      { caller: 'frontend', obtains: 'payment:charge' },
      rules,
    )
    assert.deepEqual([isFulfilled, journey.root.claims], [false, {}])
  })

  it('a claim is followed by its own way, with no other claim', () => {
    const rules = SHOP_RULES.replace(
      'scopes: [mail:send]',
      'scopes: [mail:send]\n    claims: [risk]',
    )
    const { journey } = example({ service: 'mailer', sees: 'risk' }, rules)
    assert.deepEqual(Object.keys(journey.root.claims), ['amr', 'email_verified', 'level', 'risk'])
    assert.deepEqual(shown(journey).hops, [
      'boutique/frontend → boutique/checkout → checkout:place',
      'boutique/checkout → boutique/mailer → mail:send',
    ])
  })

  it('who may hand in an issuer’s token sees all of it, without any request', () => {
    const { journey } = example({ service: 'frontend', sees: 'email' })
    assert.deepEqual(shown(journey), {
      root: ['corporate', 'https://api.shop.example', '', { email: 'email' }],
      hops: [],
      goal: 'boutique/frontend email',
    })
    assert.equal(journeyEntry(WORLD, journey, 'x'), undefined)
  })

  it('a token that a service may hand in is sent without asking anybody', () => {
    const { journey } = example({ caller: 'frontend', obtains: 'shop:browse', of: 'feed' })
    assert.deepEqual(shown(journey).hops, [])
  })

  it('a workload by its grants', () => {
    const { journey } = example({ caller: 'nightly', obtains: 'ledger:post' })
    assert.deepEqual(shown(journey).root, ['workload', SURROUNDINGS.issuer, 'books:close', {}])
    assert.equal(journey.root.workload?.name, 'boutique/nightly')
  })

  it('of several holders the nearest, and who else', () => {
    const { journey, holders } = example({ caller: 'boutique/*', obtains: 'bank:book' })
    assert.equal(journey.hops.length, 1)
    assert.deepEqual(holders, ['boutique/checkout', 'boutique/frontend', 'boutique/payment'])
  })

  it('does not hold what it could not look at', () => {
    const proof = proved([], SHOP_RULES, { maxExchanges: 1 })
    assert.deepEqual([proof.explored.complete, holds(proof)], [false, false])
  })

  it('lists the conditions that counted as possibly true, not those that are only audited', () => {
    const { conditions } = proved([])
    assert.ok(conditions.includes('boutique/payment denies high-risk-session'))
    assert.ok(conditions.includes('boutique/checkout ctx strong'))
    assert.ok(!conditions.includes('boutique/checkout denies odd'))
  })

  it('every token of every ruleset has its scopes, claims and lifetime from somewhere', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const proof = prove(worldOf(randomRules(seed)), [])
        assert.deepEqual(
          proof.invariants.map(({ breach }) => breach),
          [undefined, undefined, undefined],
        )
      }),
      { numRuns: 25 },
    )
  })
})

describe('a counter-example as a journey of a test file', () => {
  it('runs, in all its parts', () => {
    let ran = 0
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = worldOf(randomRules(seed, { conditions: seed % 2 === 1 }))
        // The proof knows no size of tokens.
        const maxTokenCharacters = 61_440
        const surroundings = { ...SURROUNDINGS, issuers: world.issuers, maxTokenCharacters }
        for (const { way, wanted } of everyWay(reachOf(world))) {
          const { journey, isFulfilled } = explain(world, way, wanted)
          const entry = journeyEntry(world, journey, 'never', {})
          if (!isFulfilled || entry === undefined) continue
          const text = JSON.stringify({ namespace: 'boutique', journeys: [entry] })
          const [result] = runTests(text, world.ruleset, surroundings)
          assert.ok(
            result?.passed,
            `${text}\n${JSON.stringify(result?.hops.map(({ differences }) => differences))}`,
          )
          ran++
        }
      }),
      { numRuns: 12 },
    )
    assert.ok(ran > 100)
  })
})
