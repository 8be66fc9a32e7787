// Conditions, denies, forwarding, ctx and audit mode in a decision.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decide } from '../../src/ruleset/decide.ts'
import type { Decision, Facts, Step } from '../../src/ruleset/decision.ts'
import type { Subject } from '../../src/subjects/subject.ts'
import { ISSUER, NOW, subject } from '../support/facts.ts'
import { compiled } from '../support/rules.ts'
import { SHOP } from './shop.ts'

const RULES = compiled(SHOP)

/** A shopper whom every condition of SHOP lets pass. */
const CLAIMS = {
  email_verified: true,
  amr: ['mfa'],
  risk: 'low',
  organisation: 'acme',
  email: 'a@x',
}

/** front asks for desk with a shopper's token. */
function asked(
  change: Partial<Subject> = {},
  request: Partial<Facts['request']> = {},
  rules = RULES,
): Facts {
  const service = rules.services.get('shop/front')
  assert.ok(service)
  return {
    caller: { service, id: 'spiffe://cluster.local/ns/shop/sa/front', iss: undefined },
    subject: subject({ scopes: new Set(['shop:browse', 'shop:buy']), claims: CLAIMS, ...change }),
    actor: undefined,
    request: { audiences: ['desk'], resources: [], scopes: undefined, ...request },
    selfIss: ISSUER,
    now: NOW,
  }
}

const claims = (change: Record<string, unknown>): Partial<Subject> => {
  const all: Record<string, unknown> = { ...CLAIMS, ...change }
  for (const [name, value] of Object.entries(change)) if (value === undefined) delete all[name]
  return { claims: all }
}

const outcome = (decision: Decision): string =>
  decision.allow ? decision.scopes.join(' ') : decision.reason

const desk = (change: Partial<Subject> = {}, request: Partial<Facts['request']> = {}) =>
  outcome(decide(RULES, asked(change, request)))

describe('conditions', () => {
  it('grants where every condition holds', () => {
    assert.equal(desk(), 'desk:read desk:write')
  })

  it('condition_false: a `when` that is false denies the rule', () => {
    assert.equal(desk(claims({ email_verified: false })), 'condition_false')
  })
  it('condition_error: reading an absent claim is an error, and denies', () => {
    assert.equal(desk(claims({ email_verified: undefined })), 'condition_error')
  })
  it('condition_error: a value that is neither true nor false', () => {
    const rules = compiled(
      SHOP.replace('subject.claims.email_verified == true', 'subject.claims.email_verified'),
    )
    assert.equal(outcome(decide(rules, asked({}, {}, rules))), 'desk:read desk:write')
    const decision = decide(rules, asked(claims({ email_verified: 'yes' }), {}, rules))
    assert.equal(outcome(decision), 'condition_error')
  })
  it('deny_condition_met: a deny whose condition is true wins over every rule', () => {
    assert.equal(desk(claims({ risk: 'high' })), 'deny_condition_met')
  })
  it('a deny whose condition is false, or guarded and absent, does not fire', () => {
    assert.equal(desk(claims({ risk: undefined })), 'desk:read desk:write')
  })
  it('deny_condition_error: an error in a deny denies', () => {
    const rules = compiled(SHOP.replace('has(subject.claims.risk) && ', ''))
    const decision = decide(rules, asked(claims({ risk: undefined }), {}, rules))
    assert.equal(outcome(decision), 'deny_condition_error')
  })

  const strict = compiled(SHOP.replace(', mode: audit}\n        embed', '}\n        embed'))
  const strictly = (change: Partial<Subject>, scopes?: string[]) =>
    outcome(decide(strict, asked(change, { scopes }, strict)))
  it('a scope whose `when` is false or in error is dropped where nothing is asked', () => {
    assert.equal(strictly({}), 'desk:read desk:write')
    assert.equal(strictly(claims({ amr: ['pwd'] })), 'desk:read')
    assert.equal(strictly(claims({ amr: undefined })), 'desk:read')
  })
  it('scope_condition_failed: and refused where it is asked, never narrowed', () => {
    assert.equal(strictly({}, ['desk:write']), 'desk:write')
    assert.equal(
      strictly(claims({ amr: ['pwd'] }), ['desk:read', 'desk:write']),
      'scope_condition_failed',
    )
    assert.equal(strictly(claims({ amr: undefined }), ['desk:write']), 'scope_condition_failed')
  })

  it('ctx: renamed, constant and computed members; an absent claim is left out', () => {
    const decision = decide(RULES, asked())
    assert.ok(decision.allow)
    assert.deepEqual(decision.ctx, { tenant: 'acme', region: 'eu', staff: false })
    const without = decide(RULES, asked(claims({ organisation: undefined })))
    assert.deepEqual(without.allow && without.ctx, { region: 'eu', staff: false })
  })
  it('ctx_failed: an error in a computed member denies', () => {
    const rules = compiled(
      SHOP.replace(`'"staff" in subject.scopes'`, 'subject.claims.level + 1.0'),
    )
    assert.equal(
      outcome(decide(rules, asked(claims({ level: 2 }), {}, rules))),
      'desk:read desk:write',
    )
    assert.equal(outcome(decide(rules, asked({}, {}, rules))), 'ctx_failed')
  })
})

describe('audit mode', () => {
  it('decides as if the predicate were absent, and says what it would have denied', () => {
    const decision = decide(RULES, asked(claims({ amr: ['pwd'] })))
    assert.equal(outcome(decision), 'desk:read desk:write')
    assert.deepEqual(decision.wouldDeny, [
      'shop/desk denies closing',
      'shop/desk <- shop/front [corporate] scope desk:write when',
    ])
  })
  it('says so of a denial as well', () => {
    const decision = decide(RULES, asked(claims({ email_verified: false })))
    assert.equal(outcome(decision), 'condition_false')
    assert.deepEqual(decision.wouldDeny, ['shop/desk denies closing'])
  })
  it('an error counts as a denial that would be', () => {
    const rules = compiled(
      SHOP.replace(
        'when: subject.claims.email_verified == true',
        'when: subject.claims.email_verified == true\n        mode: audit',
      ),
    )
    const decision = decide(rules, asked(claims({ email_verified: undefined }), {}, rules))
    assert.equal(outcome(decision), 'desk:read desk:write')
    assert.ok(decision.wouldDeny.includes('shop/desk <- shop/front [corporate] when'))
  })
})

describe('forwarding', () => {
  const feed = (change: Partial<Subject> = {}, scopes?: string[]) =>
    outcome(decide(RULES, asked(change, { audiences: ['feed'], scopes })))

  it('hands on a token for one of also_audiences, with all that it brings', () => {
    assert.equal(feed(), 'shop:browse shop:buy')
    assert.equal(feed({}, ['shop:buy']), 'shop:browse shop:buy')
    assert.equal(feed({ audiences: ['other', 'feed.shop'] }), 'shop:browse shop:buy')
  })
  it('forward_audience_mismatch: no token that is for somebody else', () => {
    assert.equal(feed({ audiences: ['https://other.example'] }), 'forward_audience_mismatch')
  })
  it('scope_not_justified: what the token does not bring is not pretended', () => {
    assert.equal(feed({}, ['shop:buy', 'shop:admin']), 'scope_not_justified')
  })
  it('P2 may_act gates a forwarded token as any other', () => {
    assert.equal(
      feed({ mayAct: { sub: 'spiffe://cluster.local/ns/shop/sa/tour' } }),
      'act_may_act_mismatch',
    )
  })
})

describe('trace', () => {
  const anyClaims = fc.dictionary(
    fc.constantFrom('email_verified', 'amr', 'risk', 'organisation', 'level'),
    fc.oneof(fc.jsonValue(), fc.constantFrom(true, 'high', ['mfa'])) as fc.Arbitrary<unknown>,
    { noNullPrototype: true },
  )
  const anyScopes = fc.subarray(['shop:browse', 'shop:buy'])
  const anyAsked = fc.option(fc.subarray(['desk:read', 'desk:write', 'desk:x']), { nil: undefined })

  it('P6 changes no decision, and its last failed step is the reason', () => {
    fc.assert(
      fc.property(
        anyClaims,
        anyScopes,
        anyAsked,
        fc.constantFrom('desk', 'feed', 'till'),
        (given, brings, scopes, to) => {
          const facts = asked(
            { claims: given, scopes: new Set(brings) },
            { audiences: [to], scopes },
          )
          const steps: Step[] = []
          const plain = decide(RULES, facts)
          const traced = decide(RULES, facts, { trace: (step) => void steps.push(step) })
          assert.deepEqual(traced, plain)
          if (plain.allow) return
          const failed = steps.filter(({ passed }) => !passed)
          assert.ok(failed.length > 0, plain.reason)
        },
      ),
    )
  })

  it('names each predicate once for one that was looked at once', () => {
    const steps: Step[] = []
    decide(RULES, asked(), { trace: (step) => void steps.push(step) })
    assert.deepEqual(
      steps.map(({ kind, predicate }) => `${kind}: ${predicate}`),
      [
        'target: target shop/desk',
        'calls: shop/front calls shop/desk',
        'rule: shop/desk <- shop/front [corporate]',
        'deny: shop/desk denies closing',
        'deny: shop/desk denies risky',
        'when: shop/desk <- shop/front [corporate] when',
        'scope: shop/desk <- shop/front [corporate] scope desk:read',
        'scope: shop/desk <- shop/front [corporate] scope desk:write',
        'scope_when: shop/desk <- shop/front [corporate] scope desk:write when',
        'ctx: shop/desk ctx staff',
      ],
    )
  })
})
