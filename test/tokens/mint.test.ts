// Minting: what a token carries, and that nothing that widens is ever signed (P1, P2).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ok } from '../../src/oauth/reasons.ts'
import { decide } from '../../src/ruleset/decide.ts'
import type { Allow } from '../../src/ruleset/decision.ts'
import type { Act, Actor, Subject } from '../../src/subjects/subject.ts'
import { AttenuationError, attenuate } from '../../src/tokens/attenuation.ts'
import { buildClaims, depthOf, MAX_ACT_DEPTH } from '../../src/tokens/claims.ts'
import { type MintTools, mint } from '../../src/tokens/mint.ts'
import type { IssuedClaims, MintOrder } from '../../src/tokens/minted.ts'
import { tailor } from '../../src/tokens/tailor.ts'
import { actor, facts, ISSUER, NOW, NOW_SECONDS, subject, workload } from '../support/facts.ts'
import { BOUTIQUE, compiled } from '../support/rules.ts'

const RULES = compiled(BOUTIQUE)

function allowed(from: string, to: string, given: Subject, act?: Actor): Allow {
  const decision = decide(
    RULES,
    facts(
      RULES,
      {
        subject: { ...given, act: given.act, mayAct: given.mayAct },
        actor: act,
        request: { audiences: [to], resources: [], scopes: undefined },
      },
      from,
    ),
  )
  assert.ok(decision.allow, JSON.stringify(decision))
  return decision
}

/** A workload as decisions know it. */
const callerOf = (name: string): MintOrder['caller'] => {
  const service = RULES.services.get(`boutique/${name}`)
  assert.ok(service)
  return { service, id: workload(name).id, iss: undefined }
}

/** Tailors an exchange of frontend for checkout, and mints it. */
function mintOne(sign: MintTools['sign'], maxTokenCharacters = 8192) {
  const tailored = tailor(RULES, {
    caller: callerOf('frontend'),
    subject: subject(),
    actor: undefined,
    request: { audiences: ['checkout'], resources: [], scopes: undefined },
    issuer: ISSUER,
    now: NOW,
    newTokenId: () => 'jti-1',
    rulesetClaim: false,
  })
  assert.ok(tailored.outcome === 'tailored')
  return mint(tailored, { sign, maxTokenCharacters })
}

const order = (change: Partial<MintOrder> = {}): MintOrder => {
  const given = change.subject ?? subject()
  return {
    decision: change.decision ?? allowed('frontend', 'checkout', given, change.actor),
    subject: given,
    actor: undefined,
    caller: callerOf('frontend'),
    rulesetHash: undefined,
    issuer: ISSUER,
    now: NOW,
    jti: 'jti-1',
    ...change,
  }
}

const built = (of: MintOrder): IssuedClaims => {
  const result = buildClaims(of)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value.claims
}

/** A self-issued subject of the second hop. */
const second = (change: Partial<Subject> = {}): Subject =>
  subject({
    issuer: 'self',
    iss: ISSUER,
    sub: 'corp:alice',
    qualifiedSub: 'corp:alice',
    audiences: ['https://checkout.boutique.example'],
    scopes: new Set(['checkout:place']),
    act: { sub: workload('frontend').id },
    chain: [workload('frontend').id],
    ...change,
  })
const secondHop = (given = second()): MintOrder =>
  order({
    subject: given,
    caller: callerOf('checkout'),
    decision: allowed('checkout', 'payment', given),
  })

describe('mint', () => {
  it('AT-03 TE-19 carries every required claim, the caller in act, and only what the target lists', () => {
    assert.deepEqual(built(order()), {
      iss: ISSUER,
      sub: 'corp:alice',
      aud: 'https://checkout.boutique.example',
      client_id: workload('frontend').id,
      scope: 'checkout:place checkout:quote',
      iat: NOW_SECONDS,
      exp: NOW_SECONDS + 300,
      jti: 'jti-1',
      act: { sub: workload('frontend').id },
      chain: [workload('frontend').id],
      email: 'a@x.example',
      risk: 'low',
    })
  })

  it('TE-20 P2 field-6 #1 the second hop nests the first caller inside', () => {
    const claims = built(secondHop())
    assert.deepEqual(claims.act, {
      sub: workload('checkout').id,
      act: { sub: workload('frontend').id },
    })
    assert.deepEqual(claims.chain, [workload('frontend').id, workload('checkout').id])
  })

  it('P2 an actor token sits directly inside the caller, then the prior act', () => {
    const given = subject({ act: { iss: 'https://login.corp.example', sub: 'robot' } })
    const acting = actor()
    const claims = built(
      order({
        subject: given,
        actor: acting,
        decision: allowed('frontend', 'checkout', given, acting),
      }),
    )
    assert.deepEqual(claims.act, {
      sub: workload('frontend').id,
      act: {
        iss: acting.iss,
        sub: acting.sub,
        act: { iss: 'https://login.corp.example', sub: 'robot' },
      },
    })
  })

  it('TE-24 impersonation writes neither act nor chain, and still the client_id', () => {
    const given = subject({ issuer: 'self', iss: ISSUER, scopes: new Set(['checkout:place']) })
    const claims = built(
      order({
        subject: given,
        caller: callerOf('checkout'),
        decision: allowed('checkout', 'mailer', given),
      }),
    )
    assert.equal(claims.act, undefined)
    assert.equal(claims.chain, undefined)
    assert.equal(claims.client_id, workload('checkout').id)
  })

  it('a caller outside the mesh acts as a service name under our issuer', () => {
    const caller = { ...callerOf('frontend'), id: 'boutique/frontend', iss: ISSUER }
    assert.deepEqual(built(order({ caller })).act, { iss: ISSUER, sub: 'boutique/frontend' })
  })

  const refusals: readonly (readonly [string, Partial<Subject>, string])[] = [
    ['mint_subject_expiring', { exp: NOW_SECONDS }, 'a subject token with no second left'],
    ['mint_claim_malformed', { claims: { email: 'a\nb' } }, 'a control character in a claim'],
    [
      'mint_claim_malformed',
      { claims: { email: { 'a\u0000': 1 } } },
      'a control character in a member name',
    ],
    ['mint_claim_malformed', { claims: { risk: 2 ** 53 } }, 'an integer that is another one too'],
    [
      'mint_claim_malformed',
      { claims: { risk: [Number('1e400')] } },
      'a number that JSON cannot write',
    ],
  ]
  for (const [reason, change, name] of refusals) {
    it(`refuses ${name}`, () => {
      const result = buildClaims(order({ subject: subject(change) }))
      assert.equal(result.ok ? 'ok' : result.reason, reason)
    })
  }

  it('field-6 #13 act_chain_too_deep: a chain at the cap is refused, never cut', () => {
    let act: Act = { sub: 'first' }
    for (let depth = 1; depth < MAX_ACT_DEPTH; depth++) act = { sub: 'x', act }
    assert.equal(depthOf(act), MAX_ACT_DEPTH)
    const given = subject({ act })
    const result = buildClaims(
      order({ subject: given, decision: allowed('frontend', 'checkout', given) }),
    )
    assert.equal(result.ok ? 'ok' : result.reason, 'act_chain_too_deep')
    const shorter = subject({ act: act.act as Act })
    assert.equal(depthOf(built(order({ subject: shorter })).act as Act), MAX_ACT_DEPTH)
  })

  it('mint_token_too_large: a token over the cap does not leave', () => {
    const result = mintOne(() => ok({ token: 'x'.repeat(8193), kid: 'k' }))
    assert.equal(result.ok ? 'ok' : result.reason, 'mint_token_too_large')
    assert.ok(mintOne(() => ok({ token: 'x'.repeat(8192), kid: 'k' })).ok)
  })

  it('passes on a failing signer', () => {
    const failure = { ok: false, reason: 'signing_key_unavailable' } as const
    assert.equal(
      mintOne(() => failure),
      failure,
    )
  })

  it('P1 field-6 #5 exp is the least of subject, actor and target, over any hops', () => {
    const later = fc.integer({ min: 1, max: 10_000 })
    fc.assert(
      fc.property(later, fc.option(later, { nil: undefined }), (subjectLeft, actorLeft) => {
        const given = subject({ exp: NOW_SECONDS + subjectLeft })
        const acting = actorLeft === undefined ? undefined : actor({ exp: NOW_SECONDS + actorLeft })
        const claims = built(
          order({
            subject: given,
            actor: acting,
            decision: allowed('frontend', 'checkout', given, acting),
          }),
        )
        assert.equal(claims.exp - NOW_SECONDS, Math.min(300, subjectLeft, actorLeft ?? 300))
      }),
    )
  })
})

describe('P1 attenuate refuses to sign what would widen, whatever rules and decision said', () => {
  const base = order()
  const claims = built(base)
  const hop = secondHop()
  const hopClaims = built(hop)

  it('passes what was built', () => {
    assert.equal(attenuate(claims, base), claims)
    assert.equal(attenuate(hopClaims, hop), hopClaims)
  })

  const widened: readonly (readonly [string, Partial<Record<string, unknown>>, MintOrder?])[] = [
    [
      'a later exp than the subject token',
      { exp: NOW_SECONDS + 200 },
      order({ subject: subject({ exp: NOW_SECONDS + 100 }), decision: base.decision }),
    ],
    [
      'a later exp than the actor token',
      { exp: NOW_SECONDS + 200 },
      { ...base, actor: actor({ exp: NOW_SECONDS + 100 }) },
    ],
    ['a later exp than the target allows', { exp: NOW_SECONDS + 301 }],
    ['an exp that has passed', { exp: NOW_SECONDS }],
    ['an iat that is not now', { iat: NOW_SECONDS - 1 }],
    ['another issuer', { iss: 'https://other.example' }],
    ['another sub', { sub: 'corp:mallory' }],
    ['an unqualified sub (field-6 #19)', { sub: 'alice' }],
    ['another audience', { aud: 'https://payment.boutique.example' }],
    ['two audiences', { aud: [claims.aud, 'x'] }],
    ['another client_id', { client_id: 'x' }],
    ['a scope of another target', { scope: 'payment:charge' }],
    [
      'a scope without justification',
      { scope: 'checkout:place' },
      { ...base, subject: subject({ scopes: new Set(['shop:buy']) }) },
    ],
    ['no scope', { scope: '' }],
    ['a scope twice', { scope: 'checkout:quote checkout:quote' }],
    ['a claim that the target does not list', { phone: '+1' }],
    ['a claim that the subject token does not have so', { email: 'b@x.example' }],
    ['a reserved claim', { may_act: { sub: 'x' } }],
    ['a member of ctx that the target does not declare', { ctx: { tier: 'gold' } }],
    ['a token inside that the rule does not embed', { embedded: { payment: 'x.y.z' } }],
    ['rules that did not decide', { ruleset: 'ab'.repeat(32) }],
    ['no act', { act: undefined }],
    ['another act', { act: { sub: 'x' } }],
    ['a chain without the caller', { chain: [] }],
    ['a chain with more', { chain: ['x', workload('frontend').id] }],
    ['the prior act dropped', { act: { sub: workload('checkout').id } }, hop],
    ['the prior act renamed', { act: { sub: workload('checkout').id, act: { sub: 'x' } } }, hop],
    [
      'the prior act given an issuer',
      { act: { sub: workload('checkout').id, act: { sub: workload('frontend').id, iss: 'x' } } },
      hop,
    ],
    ['the prior chain dropped', { chain: [workload('checkout').id] }, hop],
    ['the actor left out of act', {}, { ...base, actor: actor() }],
    [
      'a rule that is not the target’s',
      {},
      { ...base, decision: { ...base.decision, rule: { ...base.decision.rule } } },
    ],
    [
      'an impersonating rule with act',
      {},
      {
        ...base,
        decision: { ...base.decision, rule: { ...base.decision.rule, act: 'impersonate' } },
      },
    ],
  ]
  for (const [name, change, changed] of widened) {
    it(`refuses ${name}`, () => {
      const from = changed === hop ? hopClaims : claims
      assert.throws(
        () => attenuate({ ...from, ...change } as IssuedClaims, changed ?? base),
        AttenuationError,
      )
    })
  }
})
