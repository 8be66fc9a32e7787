// Replay of single records: what each gap of a record leaves open, and what it does not. What rules decide is
// compared with the live server in test/e2e/replay-live.test.ts.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ctxHashOf } from '../../../src/audit/ctx-hash.ts'
import { wholeDecisions } from '../../../src/audit/decisions.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { Reason } from '../../../src/oauth/reasons.ts'
import { type Replayed, replay } from '../../../src/ruleset/history/replay.ts'
import {
  failuresOf,
  MAX_GROUPS,
  newReplayTally,
  REPLAY_GATES,
} from '../../../src/ruleset/history/replay-report.ts'
import { granted as fixture } from '../../support/audit-store.ts'
import { ISSUER, NOW, NOW_SECONDS, workload } from '../../support/facts.ts'
import { SHOP_RULES, SURROUNDINGS } from '../../support/rule-tests.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(SHOP_RULES)
const RULE = 'boutique/checkout <- boutique/frontend [corporate]'
const FRONTEND = workload('frontend').id

/** alice's token became one for a quote: nothing is inside. */
const BASE = fixture({
  time: NOW,
  rulesetHash: 'another',
  actor: undefined,
  request: {
    audiences: ['checkout'],
    resources: [],
    scopes: ['checkout:quote'],
    requestedTokenType: 'access_token',
  },
  rule: RULE,
  wouldDeny: [],
  truncated: undefined,
})
const SUBJECT: NonNullable<AuditEvent['subject']> = {
  ...BASE.subject!,
  scopes: ['shop:buy'],
  exp: NOW_SECONDS + 3600,
  act: undefined,
  mayAct: undefined,
  chain: [],
  claims: { email_verified: true, level: 2, locale: 'en' },
  absentClaims: ['amr', 'blocked', 'odd'],
}
const GRANTED: AuditEvent = {
  ...BASE,
  caller: { ...BASE.caller, audience: 'https://frontend.boutique.example' },
  subject: SUBJECT,
  issued: {
    ...BASE.issued!,
    claims: ['email', 'risk'],
    ctx: ['channel', 'language', 'strong'],
    ctxHash: ctxHashOf({ channel: 'web', language: 'en', strong: true }),
    embedded: [],
    chain: [FRONTEND],
    act: { sub: FRONTEND },
    exp: NOW_SECONDS + 300,
  },
}
/** The same, denied for a reason. */
const denied = (reason: Reason, change: Partial<AuditEvent> = {}): AuditEvent => ({
  ...GRANTED,
  outcome: 'denied',
  reason,
  detail: undefined,
  issued: undefined,
  ...change,
})
/** Nothing was verified yet. */
const early = (reason: Reason, change: Partial<AuditEvent> = {}): AuditEvent =>
  denied(reason, { subject: undefined, target: undefined, rule: undefined, ...change })

const with_ = (from: string, to: string) => {
  assert.ok(SHOP_RULES.includes(from), from)
  return compiled(SHOP_RULES.replace(from, to))
}
const replayed = (
  event: AuditEvent,
  ruleset = RULES,
  inside: readonly AuditEvent[] = [],
): Replayed => replay({ event, inside }, { ruleset, surroundings: SURROUNDINGS })
const told = (...args: Parameters<typeof replayed>) => {
  const { class: name, now, differences, why } = replayed(...args)
  return [name, now, ...differences.map(({ text }) => text), ...why]
}

describe('what is the same', () => {
  it('a grant', () => {
    assert.deepEqual(told(GRANTED), ['same', 'granted checkout:quote'])
    assert.equal(replayed(GRANTED).gains, false)
  })
  it('a denial, also for another reason', () => {
    const event = denied('condition_false', {
      subject: { ...SUBJECT, claims: { ...SUBJECT.claims, email_verified: false } },
    })
    assert.deepEqual(told(event), ['same', 'condition_false'])
    const strict = with_('calls: [checkout, ads', 'calls: [ads')
    assert.deepEqual(told(event, strict), ['same', 'target_not_in_calls'])
  })
  it('whatever the record leaves open, where the same rules decided', () => {
    const open = { ...GRANTED, subject: { ...SUBJECT, claims: {} } }
    assert.deepEqual(told(open)[0], 'undecidable')
    const own = replayed({ ...open, rulesetHash: RULES.hash })
    assert.deepEqual([own.class, own.gains], ['same', false])
  })
  it('but not where the same rules decide otherwise: then something else is wrong', () => {
    const event = { ...denied('scope_not_justified'), rulesetHash: RULES.hash }
    assert.deepEqual(told(event), ['newly_allowed', 'granted checkout:quote', RULE])
  })
})

describe('what is not about rules', () => {
  for (const event of [
    early('subject_token_expired'),
    early('scope_malformed'),
    denied('actor_token_signature_invalid'),
    denied('signing_key_unavailable'),
    denied('internal_error'),
  ]) {
    it(event.reason ?? '', () => assert.deepEqual(told(event), ['not_about_rules', undefined]))
  }
})

describe('what was not recorded', () => {
  it('a claim that a condition reads, where it decides', () => {
    const rules = with_(
      'email_verified == true',
      'email_verified == true && subject.claims.age > 17',
    )
    const why = 'claim age is read and was not recorded'
    assert.deepEqual(told(GRANTED, rules), ['undecidable', undefined, why])
    assert.ok(replayed(GRANTED, rules).gains)
  })
  it('the same claim, where it is denied either way', () => {
    const rules = compiled(
      SHOP_RULES.replace(
        'email_verified == true',
        'email_verified == true && subject.claims.age > 17',
      ).replace('checkout:quote: [shop:browse, shop:buy]', 'checkout:quote: [shop:browse]'),
    )
    assert.deepEqual(told(GRANTED, rules), [
      'newly_denied',
      'scope_not_justified',
      `${RULE} scope checkout:quote`,
    ])
  })
  it('a claim of a scope that nobody needs: it is granted either way, perhaps with more', () => {
    const event = { ...GRANTED, request: { ...GRANTED.request!, scopes: undefined } }
    const rules = with_('checkout:never]', 'checkout:never, checkout:gift]')
    assert.deepEqual(told(event, rules), ['same', 'granted checkout:quote'])
    const gift = compiled(
      SHOP_RULES.replace('checkout:never]', 'checkout:gift]').replace(
        '          checkout:quote:',
        "          checkout:gift: {any: [shop:buy], when: 'has(subject.claims.age)'}\n          checkout:quote:",
      ),
    )
    // Read as an error the scope is dropped, read as true it is given.
    const [name, now, why = ''] = told(event, gift)
    assert.deepEqual([name, now], ['undecidable', undefined])
    assert.match(why, /^perhaps scope \+checkout:gift/)
  })
  it('whether the token has a claim that is listed now', () => {
    const rules = with_('claims: [email, risk]', 'claims: [email, risk, phone]')
    assert.deepEqual(told(GRANTED, rules), [
      'undecidable',
      undefined,
      'boutique/checkout lists phone; whether the token has it was not recorded',
    ])
    const absent = { ...SUBJECT, absentClaims: [...SUBJECT.absentClaims, 'phone'] }
    assert.equal(told({ ...GRANTED, subject: absent }, rules)[0], 'same')
    const nothing = { ...SUBJECT, claims: { ...SUBJECT.claims, phone: null } }
    assert.equal(told({ ...GRANTED, subject: nothing }, rules)[0], 'same')
    const tooLong = { ...GRANTED, truncated: ['subject.claims.phone: left out'] }
    assert.deepEqual(told(tooLong, rules), ['changed', 'granted checkout:quote', 'claim +phone'])
    // What changes surely is told; what may change beside it is not hidden.
    const both = compiled(SHOP_RULES.replace('claims: [email, risk]', 'claims: [risk, phone]'))
    const { class: name, differences, gains } = replayed(GRANTED, both)
    assert.deepEqual(
      [name, differences, gains],
      ['changed', [{ text: 'claim -email', wider: false }], true],
    )
  })
  it('records without absent claims, as they were once written', () => {
    const old = { ...GRANTED, subject: { ...SUBJECT, claims: {}, absentClaims: [] } }
    assert.equal(told(old)[0], 'undecidable')
  })
  it('the size of a token', () => {
    assert.equal(told(denied('mint_token_too_large'))[0], 'undecidable')
    assert.equal(told(denied('embed_required_denied'))[0], 'undecidable')
    const inside = [{ ...denied('condition_false'), parent: GRANTED.decisionId }]
    assert.equal(told(denied('embed_required_denied'), RULES, inside)[0], 'newly_allowed')
  })
  it('what could not pass cannot pass now, unless it is not listed any more', () => {
    const event = denied('mint_claim_malformed', { detail: 'email' })
    assert.deepEqual(told(event), ['same', 'mint_claim_malformed'])
    const rules = with_('claims: [email, risk]', 'claims: [risk]')
    assert.equal(told(event, rules)[0], 'newly_allowed')
  })
})

describe('who presents a token', () => {
  const renamed = with_(
    'audience: https://frontend.boutique.example',
    'audience: https://shop.example',
  )
  for (const role of ['subject', 'actor'] as const) {
    const event = (change: Partial<AuditEvent> = {}) =>
      early(`${role}_token_presenter_not_allowed`, { caller: GRANTED.caller, ...change })
    it(`${role}: refused as before where the caller is who it was`, () => {
      assert.deepEqual(told(event()), ['same', `${role}_token_presenter_not_allowed`])
    })
    it(`${role}: open where its audience is another, or was not recorded`, () => {
      assert.equal(told(event(), renamed)[0], 'undecidable')
      const caller = { ...GRANTED.caller, audience: undefined }
      assert.equal(told(event({ caller }))[0], 'undecidable')
    })
  }
  it('an actor token counts where the caller is who it was', () => {
    const actor = { ...BASE, ...fixture() }.actor
    const issued = {
      ...GRANTED.issued!,
      act: { sub: FRONTEND, act: { sub: 'agent-7', iss: 'https://agents.example' } },
    }
    const event = { ...GRANTED, actor, issued }
    assert.equal(told(event)[0], 'same')
    assert.equal(told(event, renamed)[0], 'undecidable')
  })
  it('who is not known stays unknown; who is now known is open', () => {
    const stranger = { ...GRANTED.caller, id: workload('stranger').id, service: undefined }
    const event = early('client_unknown', { caller: stranger })
    assert.deepEqual(told(event), ['same', 'client_unknown'])
    const known = compiled(`${SHOP_RULES}  stranger: {scopes: [x]}\n`)
    assert.equal(told(event, known)[0], 'undecidable')
    assert.deepEqual(told({ ...GRANTED, caller: stranger }), ['newly_denied', 'client_unknown'])
  })
  it('a caller outside the mesh needs its keys', () => {
    const caller = {
      ...GRANTED.caller,
      id: 'boutique/frontend',
      method: 'private_key_jwt' as const,
    }
    assert.deepEqual(told({ ...GRANTED, caller }), [
      'newly_denied',
      'client_assertion_not_registered',
      'boutique/frontend client_keys',
    ])
  })
  it('an issuer whose subjects are named otherwise now', () => {
    const issuers = new Map(
      [...SURROUNDINGS.issuers].map(([name, one]) => [name, { ...one, subjectPrefix: 'x' }]),
    )
    const rules = { ruleset: RULES, surroundings: { ...SURROUNDINGS, issuers } }
    const { class: name, differences } = replay({ event: GRANTED, inside: [] }, rules)
    assert.deepEqual([name, differences], ['changed', [{ text: 'sub differs', wider: true }]])
  })
  it('an issuer that is not trusted any more', () => {
    const surroundings = { ...SURROUNDINGS, issuers: new Map() }
    const { class: name, now } = replay(
      { event: GRANTED, inside: [] },
      { ruleset: RULES, surroundings },
    )
    assert.deepEqual([name, now], ['newly_denied', 'subject_token_presenter_not_allowed'])
  })
})

describe('lists of a denial that were cut', () => {
  const cut = (reason: Reason, ...names: readonly string[]) =>
    denied(reason, { truncated: names.map((name) => `${name}: 3 of 9 left out`) })
  it('open where it would be granted', () => {
    const note = 'request.scopes: 3 of 9 left out'
    assert.deepEqual(told(cut('scope_unknown', 'request.scopes')), ['undecidable', undefined, note])
  })
  it('denied as before where more values make no difference', () => {
    const event = cut('target_unknown', 'request.audiences')
    const unknown = { ...event, request: { ...event.request!, audiences: ['nobody', 'checkout'] } }
    assert.deepEqual(told(unknown), ['same', 'target_unknown'])
    const more = cut('scope_unknown', 'request.scopes')
    const asked = { ...more, request: { ...more.request!, scopes: ['nothing', 'checkout:quote'] } }
    assert.deepEqual(told(asked), ['same', 'scope_unknown'])
  })
  it('open where more scopes of the token could justify', () => {
    const event = cut('scope_not_justified', 'subject.scopes')
    const few = { ...event, subject: { ...SUBJECT, scopes: ['a'] } }
    assert.equal(told(few)[0], 'undecidable')
  })
})

describe('tokens inside', () => {
  const scopes = ['shop:buy', 'shop:verified']
  const parent: AuditEvent = {
    ...GRANTED,
    request: { ...GRANTED.request!, scopes: ['checkout:place'] },
    subject: {
      ...SUBJECT,
      scopes,
      claims: { ...SUBJECT.claims, amr: ['mfa'] },
      absentClaims: ['blocked', 'odd'],
    },
    issued: { ...GRANTED.issued!, scopes: ['checkout:place'] },
  }
  /** payment's deny reads risk, which the parent's record does not have. */
  const child = denied('deny_condition_met', {
    decisionId: 'child',
    parent: parent.decisionId,
    caller: {
      ...GRANTED.caller,
      id: workload('checkout').id,
      method: 'embedded',
      service: 'boutique/checkout',
    },
    subject: {
      ...SUBJECT,
      issuer: 'self',
      iss: ISSUER,
      scopes: ['checkout:place'],
      claims: { risk: 'high' },
      absentClaims: [],
    },
    request: {
      audiences: ['boutique/payment'],
      resources: [],
      scopes: undefined,
      requestedTokenType: 'access_token',
    },
    target: 'boutique/payment',
  })
  it('what their records say of the claims is known of the parent', () => {
    assert.deepEqual(told(parent, RULES, [child]), ['same', 'granted checkout:place'])
    const [name, , why] = told(parent)
    assert.equal(name, 'undecidable')
    assert.match(why ?? '', /^perhaps inside \+boutique\/payment/)
  })
  it('one that was left out and comes along now gives more', () => {
    const rules = with_('subject.claims.risk == "high"', 'subject.claims.risk == "higher"')
    const { class: name, differences, gains } = replayed(parent, rules, [child])
    assert.deepEqual([name, gains], ['changed', true])
    assert.deepEqual(differences, [{ text: 'inside +boutique/payment', wider: true }])
  })
  it('one that was too large may be small enough now', () => {
    const large = {
      ...child,
      reason: 'mint_token_too_large' as const,
      subject: { ...child.subject!, claims: { risk: 'low' } },
    }
    assert.equal(told(parent, RULES, [large])[0], 'undecidable')
  })
  it('records that are gone leave it open', () => {
    const issued = { ...parent.issued!, embedded: ['payment'] }
    const [name, , why] = told({ ...parent, issued }, RULES, [child])
    assert.deepEqual(
      [name, why],
      ['undecidable', 'the records of the tokens inside are not complete'],
    )
  })
  it('one that lists a claim gets it where its parent has it', () => {
    const listing = SHOP_RULES.replace(
      'scopes: [payment:charge, payment:refund]',
      'scopes: [payment:charge, payment:refund]\n    claims: [email]',
    )
    const own = { jti: 'inside', tokenHash: '', kid: 'k', sub: 'corp:alice', chain: [FRONTEND] }
    const issued = {
      ...{ ...own, aud: 'payment.boutique', scopes: ['payment:charge'], claims: ['email'] },
      ...{ ctx: [], ctxHash: undefined, embedded: [], exp: NOW_SECONDS + 60 },
      ...{ chain: [FRONTEND, workload('checkout').id] },
      act: { sub: workload('checkout').id, act: { sub: FRONTEND } },
    }
    const given: AuditEvent = {
      ...child,
      outcome: 'granted',
      reason: undefined,
      subject: { ...child.subject!, claims: { risk: 'low' } },
      issued,
    }
    const whole = { ...parent, issued: { ...parent.issued!, embedded: ['payment'] } }
    // What is inside of it is not its matter here.
    const flat = listing.replace('        embed: [{to: bank, required: true}]\n', '')
    assert.deepEqual(told(whole, compiled(flat), [given]), ['same', 'granted checkout:place'])
    const less = compiled(flat.replace('claims: [email, risk]', 'claims: [risk]'))
    assert.deepEqual(told(whole, less, [given]).slice(2), [
      'claim -email',
      'inside boutique/payment: claim -email',
    ])
  })
  it('no more than a millisecond of events is held', () => {
    let read = 0
    const events = function* () {
      for (const time of [NOW, NOW + 1, NOW + 2]) {
        read += 1
        yield { ...GRANTED, time }
      }
    }
    wholeDecisions(events()).next()
    assert.equal(read, 2)
  })
  it('are found again, in either order of time', () => {
    const grandchild = { ...child, decisionId: 'grandchild', parent: 'child' }
    const later = { ...GRANTED, decisionId: 'later', time: NOW + 1 }
    const orphan = { ...child, decisionId: 'orphan', parent: 'gone' }
    const events = [orphan, parent, child, grandchild, later]
    for (const ordered of [events, events.toReversed()]) {
      const found = [...wholeDecisions(ordered)].map(({ event, inside }) => [
        event.decisionId,
        inside.map(({ decisionId }) => decisionId),
      ])
      const own = [
        [parent.decisionId, ['child', 'grandchild']],
        ['later', []],
      ]
      assert.deepEqual(found, ordered === events ? own : own.toReversed())
    }
  })
})

describe('the report', () => {
  const strict = with_('checkout:quote: [shop:browse, shop:buy]', 'checkout:quote: [shop:browse]')
  const report = (events: readonly AuditEvent[], ruleset = strict) => {
    const tally = newReplayTally()
    for (const event of events) tally.add(event, replayed(event, ruleset))
    return tally.report()
  }
  it('equal decisions are one group, with the newest as an example', () => {
    const times = [NOW, NOW + 2_000, NOW + 1_000]
    const { groups, totals, decisions } = report([
      ...times.map((time, at) => ({ ...GRANTED, time, decisionId: `d${at}` })),
      { ...GRANTED, request: { ...GRANTED.request!, scopes: undefined } },
      early('subject_token_expired'),
    ])
    assert.deepEqual([decisions, totals.newly_denied, totals.not_about_rules], [5, 4, 1])
    assert.deepEqual(
      groups.map(({ count, first, last, example, asked }) => [count, first, last, example, asked]),
      [
        [3, NOW, NOW + 2_000, 'd1', ['checkout:quote']],
        [1, NOW, NOW, GRANTED.decisionId, undefined],
      ],
    )
  })
  it('what is most important comes first', () => {
    const found = report([early('client_unknown'), GRANTED, denied('scope_none_justified')], RULES)
    assert.deepEqual(
      found.groups.map((group) => group.class),
      ['newly_allowed', 'undecidable'],
    )
  })
  it('does not grow with what callers ask for', () => {
    const many = Array.from({ length: MAX_GROUPS + 5 }, (_, at) => ({
      ...GRANTED,
      request: { ...GRANTED.request!, scopes: ['checkout:quote', `x:${at}`] },
    }))
    const { groups, ungrouped, totals } = report(many)
    assert.deepEqual(
      [groups.length, ungrouped, totals.newly_denied],
      [MAX_GROUPS, 5, MAX_GROUPS + 5],
    )
  })
  it('each gate fails on what it names, and on what cannot be decided', () => {
    const gates = (events: readonly AuditEvent[], ruleset = RULES) => {
      const found = report(events, ruleset)
      return REPLAY_GATES.filter((gate) => failuresOf(gate, found) > 0)
    }
    assert.deepEqual(gates([GRANTED]), [])
    assert.deepEqual(gates([denied('target_denied')]), ['new-allow', 'any'])
    assert.deepEqual(gates([GRANTED], strict), ['new-deny', 'any'])
    const longer = with_('lifetime: 5m', 'lifetime: 9m')
    assert.deepEqual(gates([GRANTED], longer), ['new-allow', 'changed', 'any'])
    const shorter = with_('lifetime: 5m', 'lifetime: 1m')
    assert.deepEqual(gates([GRANTED], shorter), ['changed', 'any'])
    assert.deepEqual(gates([denied('mint_token_too_large')]), [...REPLAY_GATES])
  })
  it('counts what audit mode would deny', () => {
    const odd = {
      ...SUBJECT,
      claims: { ...SUBJECT.claims, odd: 1 },
      absentClaims: ['amr', 'blocked'],
    }
    const { wouldDeny } = report([{ ...GRANTED, subject: odd }, GRANTED], RULES)
    assert.deepEqual([...wouldDeny], [['boutique/checkout denies odd', 1]])
  })
})

it('P6 a deny that is added never allows anything, whatever was recorded', () => {
  const text = fc.constantFrom('checkout', 'payment', 'boutique/checkout', 'nobody', '')
  const scope = fc.constantFrom('checkout:quote', 'checkout:place', 'x')
  const claim = fc.constantFrom('email_verified', 'level', 'locale', 'risk', 'amr', 'odd')
  const event = fc
    .record({
      audiences: fc.array(text, { maxLength: 2 }),
      scopes: fc.option(fc.array(scope, { maxLength: 2 }), { nil: undefined }),
      brings: fc.uniqueArray(fc.constantFrom('shop:buy', 'shop:browse', 'shop:verified')),
      claims: fc.dictionary(claim, fc.constantFrom(true, 1, 'low', null, ['mfa'])),
      absentClaims: fc.uniqueArray(claim),
      isGranted: fc.boolean(),
    })
    .map(
      ({ audiences, scopes, brings, claims, absentClaims, isGranted }): AuditEvent => ({
        ...(isGranted ? GRANTED : denied('scope_not_justified')),
        request: { ...GRANTED.request!, audiences, scopes },
        subject: { ...SUBJECT, scopes: brings, claims, absentClaims },
      }),
    )
  const closed = with_(
    '    denies:\n      - {from: frontend, when',
    '    denies:\n      - {reason: shut}\n      - {from: frontend, when',
  )
  fc.assert(
    fc.property(event, (one) => {
      const { class: name } = replayed(one, closed)
      assert.ok(['same', 'newly_denied'].includes(name), JSON.stringify(replayed(one, closed)))
    }),
    { numRuns: 200 },
  )
})
