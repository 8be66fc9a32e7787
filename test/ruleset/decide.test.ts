// The decision: each denial starts from one allowed request and changes one thing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Reason } from '../../src/oauth/reasons.ts'
import { decide } from '../../src/ruleset/decide.ts'
import type { Decision, Facts } from '../../src/ruleset/decision.ts'
import { actor, facts, ISSUER, workload } from '../support/facts.ts'
import { BOUTIQUE, compiled } from '../support/rules.ts'

const RULES = compiled(BOUTIQUE)
const VALID = facts(RULES)

const withSubject = (change: Partial<Facts['subject']>): Facts => ({
  ...VALID,
  subject: { ...VALID.subject, ...change },
})
const withRequest = (change: Partial<Facts['request']>): Facts => ({
  ...VALID,
  request: { ...VALID.request, ...change },
})
const reasonOf = (decision: Decision): Reason | 'allowed' =>
  decision.allow ? 'allowed' : decision.reason

describe('decide', () => {
  it('allows what both sides consent to and the subject token justifies', () => {
    const decision = decide(RULES, VALID)
    assert.ok(decision.allow)
    assert.equal(decision.target.name, 'boutique/checkout')
    assert.equal(decision.rule.id, 'boutique/checkout <- boutique/frontend [corporate]')
    assert.deepEqual(decision.scopes, ['checkout:place'])
  })

  it('grants all that is justified, in the order of the vocabulary, where no scope is asked', () => {
    const decision = decide(RULES, withRequest({ scopes: undefined }))
    assert.ok(decision.allow)
    assert.deepEqual(decision.scopes, ['checkout:place', 'checkout:quote'])
    const less = decide(RULES, {
      ...withSubject({ scopes: new Set(['shop:browse']) }),
      request: withRequest({ scopes: undefined }).request,
    })
    assert.ok(less.allow)
    assert.deepEqual(less.scopes, ['checkout:quote'])
  })

  for (const audience of ['checkout', 'boutique/checkout', 'https://checkout.boutique.example']) {
    it(`TE-29 takes audience ${audience} for the one service`, () => {
      assert.equal(reasonOf(decide(RULES, withRequest({ audiences: [audience] }))), 'allowed')
    })
  }

  it('TE-05 RI-04 audiences and resources that all mean one service are one target', () => {
    const resource = 'https://checkout.boutique.example'
    const request = { audiences: ['checkout', resource], resources: [resource, resource] }
    assert.equal(reasonOf(decide(RULES, withRequest(request))), 'allowed')
  })

  const denials: readonly (readonly [string, Facts, Reason])[] = [
    ['TE-15 no target', withRequest({ audiences: [] }), 'target_missing'],
    ['field-6 #9 an unknown audience', withRequest({ audiences: ['chekout'] }), 'target_unknown'],
    [
      'field-6 #9 an unknown audience beside a known one',
      withRequest({ audiences: ['checkout', 'unknown'] }),
      'target_unknown',
    ],
    [
      'RI-02 an unknown resource',
      withRequest({ resources: ['https://x.example'] }),
      'target_unknown',
    ],
    [
      'a name is no resource',
      withRequest({ audiences: [], resources: ['boutique/checkout'] }),
      'target_unknown',
    ],
    ['TE-06 two targets', withRequest({ audiences: ['checkout', 'payment'] }), 'target_ambiguous'],
    [
      'TE-06 two targets, one a resource',
      withRequest({ audiences: ['payment'], resources: ['https://checkout.boutique.example'] }),
      'target_ambiguous',
    ],
    [
      'a target that the caller does not call',
      withRequest({ audiences: ['payment'] }),
      'target_not_in_calls',
    ],
    [
      'an issuer that the target does not take from this caller',
      withSubject({ issuer: 'self' }),
      'target_issuer_not_accepted',
    ],
    [
      'a scope outside the vocabulary',
      withRequest({ scopes: ['payment:charge'] }),
      'scope_unknown',
    ],
    [
      'field-6 #3 a scope that the subject token does not justify',
      withSubject({ scopes: new Set(['shop:buy']) }),
      'scope_not_justified',
    ],
    [
      'one of two scopes is not justified: no silent narrowing',
      {
        ...withSubject({ scopes: new Set(['shop:buy']) }),
        request: withRequest({ scopes: ['checkout:quote', 'checkout:place'] }).request,
      },
      'scope_not_justified',
    ],
    [
      'field-6 #20 a subject token without scopes',
      {
        ...withSubject({ scopes: new Set() }),
        request: withRequest({ scopes: undefined }).request,
      },
      'scope_none_justified',
    ],
    [
      'an actor token of an issuer that the rule does not list',
      { ...VALID, actor: actor({ issuer: 'corporate' }) },
      'actor_not_allowed',
    ],
    [
      'TE-23 field-6 #2 may_act that names somebody else',
      withSubject({ mayAct: { sub: 'spiffe://cluster.local/ns/boutique/sa/other' } }),
      'act_may_act_mismatch',
    ],
    [
      'TE-23 may_act with another issuer for the caller',
      withSubject({ mayAct: { sub: VALID.caller.id, iss: 'https://other.example' } }),
      'act_may_act_mismatch',
    ],
    [
      'TE-23 may_act names the caller, but an actor token acts',
      { ...withSubject({ mayAct: { sub: VALID.caller.id } }), actor: actor() },
      'act_may_act_mismatch',
    ],
    [
      'TE-23 may_act names the actor under another issuer',
      { ...withSubject({ mayAct: { sub: 'agent-7' } }), actor: actor() },
      'act_may_act_mismatch',
    ],
  ]
  for (const [name, changed, reason] of denials) {
    it(`denies ${name}`, () => assert.equal(reasonOf(decide(RULES, changed)), reason))
  }

  it('TE-23 honours may_act that names the caller or the actor token', () => {
    for (const mayAct of [{ sub: VALID.caller.id }, { sub: VALID.caller.id, iss: ISSUER }]) {
      assert.equal(reasonOf(decide(RULES, withSubject({ mayAct }))), 'allowed')
    }
    const named = withSubject({ mayAct: { sub: 'agent-7', iss: 'https://agents.example' } })
    assert.equal(reasonOf(decide(RULES, { ...named, actor: actor() })), 'allowed')
  })

  it('field-6 #4 an actor token widens nothing', () => {
    const narrow = { ...withSubject({ scopes: new Set(['shop:buy']) }), actor: actor() }
    assert.equal(reasonOf(decide(RULES, narrow)), 'scope_not_justified')
  })

  describe('P2 impersonation', () => {
    const base = facts(
      RULES,
      { request: { audiences: ['mailer'], resources: [], scopes: ['mail:send'] } },
      'checkout',
    )
    const self = {
      ...base,
      subject: {
        ...base.subject,
        issuer: 'self',
        iss: ISSUER,
        scopes: new Set(['checkout:place']),
      },
    }
    it('is allowed for a subject that nobody acts for', () =>
      assert.equal(reasonOf(decide(RULES, self)), 'allowed'))
    const carried: Partial<Facts['subject']>[] = [
      { act: { sub: 'x' } },
      { mayAct: { sub: self.caller.id } },
    ]
    for (const change of carried) {
      it(`field-6 #1 is refused where the subject carries ${Object.keys(change)[0]}`, () => {
        const changed = { ...self, subject: { ...self.subject, ...change } }
        assert.equal(reasonOf(decide(RULES, changed)), 'act_impersonation_refused')
      })
    }
    it('is refused with an actor token', () => {
      const rules = compiled(BOUTIQUE)
      const decision = decide(rules, { ...self, actor: actor() })
      // impersonation lists no actors, so the actor token is refused first
      assert.equal(reasonOf(decision), 'actor_not_allowed')
    })
  })

  it('a target without a rule for the caller is not accepted', () => {
    const rules = compiled(BOUTIQUE.replace('calls: [checkout]', 'calls: [checkout, payment]'))
    const asked = facts(rules, {
      request: { audiences: ['payment'], resources: [], scopes: undefined },
    })
    assert.equal(reasonOf(decide(rules, asked)), 'target_not_accepted')
  })

  const denies: readonly (readonly [string, boolean])[] = [
    ['{reason: closed}', true],
    ['{from: frontend, reason: closed}', true],
    ['{from: boutique/*, reason: closed}', true],
    ['{from: [payment, frontend], issuer: corporate, reason: closed}', true],
    ['{from: payment, reason: closed}', false],
    ['{issuer: self, reason: closed}', false],
  ]
  for (const [deny, wins] of denies) {
    it(`a deny ${deny} ${wins ? 'wins over' : 'leaves'} the rule`, () => {
      const rules = compiled(BOUTIQUE.replace('claims: [email, risk]', `denies: [${deny}]`))
      const decision = decide(rules, facts(rules))
      assert.equal(reasonOf(decision), wins ? 'target_denied' : 'allowed')
      if (wins && !decision.allow) assert.match(decision.detail, /closed/)
    })
  }

  it('a namespace glob accepts each caller of the namespace and nobody of another', () => {
    const rules = compiled(
      BOUTIQUE.replace('from: frontend', 'from: boutique/*'),
      'namespace: other\nservices: {frontend: {calls: [boutique/checkout]}}',
    )
    assert.equal(reasonOf(decide(rules, facts(rules))), 'allowed')
    const service = rules.services.get('other/frontend')
    assert.ok(service)
    const foreign = {
      ...facts(rules),
      caller: { service, id: workload('frontend').id, iss: undefined },
    }
    const asked = { ...foreign, request: { ...foreign.request, audiences: ['boutique/checkout'] } }
    assert.equal(reasonOf(decide(rules, asked)), 'target_not_accepted')
  })

  it('P6 never throws, whatever the facts', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('__proto__', 'constructor', 'toString', 'checkout', 'boutique/*'),
    )
    fc.assert(
      fc.property(
        fc.array(text),
        fc.array(text),
        fc.option(fc.array(text), { nil: undefined }),
        text,
        (audiences, resources, scopes, issuer) => {
          const decision = decide(RULES, {
            ...VALID,
            subject: { ...VALID.subject, issuer },
            request: { audiences, resources, scopes },
          })
          assert.equal(typeof decision.allow, 'boolean')
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('P6 adding a deny never grants, whatever is asked', () => {
    const strict = compiled(
      BOUTIQUE.replace('claims: [email, risk]', 'denies: [{from: frontend, reason: x}]'),
    )
    const some = fc.subarray(['shop:browse', 'shop:buy', 'shop:verified', 'checkout:place'])
    const asked = fc.option(fc.subarray(['checkout:place', 'checkout:quote'], { minLength: 1 }), {
      nil: undefined,
    })
    fc.assert(
      fc.property(
        some,
        asked,
        fc.constantFrom('corporate', 'self', 'agents'),
        (scopes, wanted, issuer) => {
          const change = (rules: typeof RULES) =>
            facts(rules, {
              subject: { ...VALID.subject, issuer, scopes: new Set(scopes) },
              request: { ...VALID.request, scopes: wanted },
            })
          const before = decide(RULES, change(RULES))
          const after = decide(strict, change(strict))
          assert.ok(!after.allow || before.allow)
          if (before.allow && wanted !== undefined) assert.deepEqual(before.scopes, wanted)
        },
      ),
    )
  })
})
