// Explanations: the predicate that failed, what would have to be different, and that it would do.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { parseYaml } from '../../../src/config/yaml.ts'
import type { Reason } from '../../../src/oauth/reasons.ts'
import { decide } from '../../../src/ruleset/decide.ts'
import type { Facts } from '../../../src/ruleset/decision.ts'
import { type Explanation, explain } from '../../../src/ruleset/explain/explain.ts'
import { explainRecorded } from '../../../src/ruleset/explain/explain-recorded.ts'
import { placesOf } from '../../../src/ruleset/places.ts'
import { readRequest } from '../../../src/ruleset/rehearse/request-file.ts'
import type { Service } from '../../../src/ruleset/ruleset.ts'
import { ISSUER, NOW, workload } from '../../support/facts.ts'
import { SHOP_RULES, SHOPPER, SURROUNDINGS, sceneOf } from '../../support/rule-tests.ts'
import { compiled, told } from '../../support/rules.ts'

const RULES = compiled(SHOP_RULES)
const RULE = 'boutique/checkout <- boutique/frontend [corporate]'

function explained(
  {
    caller = 'frontend',
    subject = SHOPPER,
    request = '{audience: checkout, scope: checkout:place}',
    more = '',
  },
  rules = RULES,
): Explanation {
  const text = `caller: ${caller}\nsubject: ${subject}\nrequest: ${request}\n${more}`
  const yaml = parseYaml(text, 'request.yaml')
  assert.ok(yaml.ok)
  const read = readRequest(yaml.document, { ruleset: rules, surroundings: SURROUNDINGS })
  assert.ok(read.ok, JSON.stringify(read))
  return explain(read.entry, { ...sceneOf(rules), namespace: read.namespace })
}

const reasonOf = ({ rehearsal: { result } }: Explanation): Reason | 'granted' =>
  result.ok ? 'granted' : result.reason
const changesOf = ({ changes }: Explanation): string[] => changes.map(({ what }) => what)
const subject = (from: string, to: string): string => {
  assert.ok(SHOPPER.includes(from), from)
  return SHOPPER.replace(from, to)
}

describe('explain', () => {
  it('what is granted needs no change', () => {
    const explanation = explained({})
    assert.deepEqual(
      [reasonOf(explanation), changesOf(explanation), explanation.wire],
      ['granted', [], undefined],
    )
    assert.ok(explanation.rehearsal.trace.every(({ step }) => step.passed))
  })

  const denials: readonly (readonly [
    Reason,
    Parameters<typeof explained>[0],
    readonly string[],
    suffices: boolean,
  ])[] = [
    [
      'target_missing',
      { request: '{}' },
      ['the request must name its target: `audience` or `resource`'],
      false,
    ],
    [
      'target_unknown',
      { request: '{audience: chekout}' },
      [
        'a service must have the audience `chekout`, or the request name another; was `checkout` meant?',
      ],
      false,
    ],
    [
      'target_ambiguous',
      { request: '{audience: [checkout, feed]}' },
      ['the request must mean one service: boutique/checkout and boutique/feed are asked at once'],
      false,
    ],
    [
      'target_not_in_calls',
      { request: '{audience: bank}' },
      [
        '`boutique/frontend` must list `boutique/bank` in `calls`',
        '`boutique/bank` must accept `boutique/frontend` with tokens of `corporate`: it accepts `boutique/payment`',
      ],
      false,
    ],
    [
      'target_issuer_not_accepted',
      { subject: '{issuer: self, scope: x}' },
      [
        'the subject token must be of `corporate`, or `boutique/checkout` accept those of `self` from `boutique/frontend`',
      ],
      false,
    ],
    [
      'target_denied',
      { subject: subject('shop:buy', 'shop:browse'), request: '{audience: closed}' },
      [
        '`boutique/closed denies for-good` must not be there: it denies callers `boutique/frontend`, whatever rules say',
      ],
      true,
    ],
    [
      'deny_condition_met',
      { subject: subject('risk: low', 'blocked: yes') },
      [
        '`boutique/checkout denies blocked` must not match: `has(subject.claims.blocked)` must be false; claim `blocked` is "yes"',
      ],
      true,
    ],
    [
      'actor_not_allowed',
      { more: 'actor: {issuer: corporate, sub: x}\n' },
      [`\`${RULE}\` must list \`corporate\` in \`actors\`, or the request bring no actor token`],
      true,
    ],
    [
      'act_may_act_mismatch',
      { subject: subject('sub: alice', 'may_act: checkout, sub: alice') },
      [
        '`may_act` of the subject token must name `spiffe://cluster.local/ns/boutique/sa/frontend`, not `spiffe://cluster.local/ns/boutique/sa/checkout`',
      ],
      true,
    ],
    [
      'act_impersonation_refused',
      { subject: '{issuer: corporate, scope: shop:browse, act: x}', request: '{audience: ads}' },
      [
        '`boutique/ads <- boutique/frontend [corporate]` must delegate, or no token say who acts: impersonation would hide it',
      ],
      true,
    ],
    [
      'condition_false',
      { subject: subject('email_verified: true', 'email_verified: false') },
      [
        'it must be true that `subject.claims.email_verified == true`; claim `email_verified` is false',
      ],
      true,
    ],
    [
      'condition_error',
      { subject: subject('email_verified: true, ', '') },
      [
        'it must be true that `subject.claims.email_verified == true`; claim `email_verified` is absent',
      ],
      true,
    ],
    [
      'scope_unknown',
      { request: '{audience: checkout, scope: checkout:plac}' },
      [
        '`boutique/checkout` must have a scope `checkout:plac`, or the request not ask for it: it has `checkout:place`, `checkout:quote` and `checkout:never`; was `checkout:place` meant?',
      ],
      false,
    ],
    [
      'scope_not_justified',
      { request: '{audience: checkout, scope: checkout:never checkout:place}' },
      [
        `\`${RULE}\` must give \`checkout:never\`, with what justifies it: it gives \`checkout:place\` and \`checkout:quote\``,
      ],
      true,
    ],
    [
      'scope_not_justified',
      { subject: subject('shop:buy shop:verified', 'shop:buy') },
      ['the subject token must bring `shop:verified` as well, for `checkout:place`'],
      true,
    ],
    [
      'scope_not_justified',
      {
        subject: subject('shop:buy shop:verified', 'shop:look'),
        request: '{audience: checkout, scope: checkout:quote}',
      },
      ['the subject token must bring `shop:browse` or `shop:buy`, for `checkout:quote`'],
      true,
    ],
    [
      'scope_not_justified',
      { request: '{audience: feed, scope: shop:fly}' },
      ['the subject token must bring `shop:fly`, for `shop:fly`'],
      true,
    ],
    [
      'scope_none_justified',
      { subject: subject('shop:buy shop:verified', 'shop:look'), request: '{audience: checkout}' },
      [
        `the subject token must bring what justifies a scope of \`${RULE}\`: \`checkout:place\` needs \`shop:buy\` and \`shop:verified\`, \`checkout:quote\` needs \`shop:browse\` or \`shop:buy\``,
      ],
      false,
    ],
    [
      'scope_condition_failed',
      { subject: subject('[mfa]', '[pwd]') },
      [
        'for `checkout:place` it must be true that `"mfa" in subject.claims.amr`; claim `amr` is ["pwd"]',
      ],
      true,
    ],
    [
      'ctx_failed',
      { subject: subject('level: 2, ', '') },
      ['`ctx.strong` of `boutique/checkout` must be computable; claim `level` is absent'],
      true,
    ],
    [
      'mint_claim_malformed',
      { subject: subject('a@x.example', '"a\\u0007"') },
      ['claim `email` must have a value that can be passed on, or the target not list it'],
      false,
    ],
    [
      'subject_token_presenter_not_allowed',
      { subject: subject('sub: alice', 'aud: https://desk.shop.example, sub: alice') },
      [
        'the issuers file must let `boutique/frontend` present tokens of `corporate`: `presented_by`, under an audience of the token (`https://desk.shop.example`)',
      ],
      true,
    ],
    [
      'subject_token_presenter_not_allowed',
      {
        caller: 'checkout',
        subject: '{issuer: self, aud: bank, scope: checkout:place}',
        request: '{audience: mailer}',
      },
      [
        'the subject token must have been issued for `boutique/checkout`: its audience (`bank.boutique`) is not `https://checkout.boutique.example`',
      ],
      true,
    ],
    [
      'actor_token_presenter_not_allowed',
      { more: 'actor: {issuer: agents, sub: x, aud: y}\n' },
      [
        'the issuers file must let `boutique/frontend` present tokens of `agents`: `presented_by`, under an audience of the token',
      ],
      true,
    ],
    [
      'subject_token_not_own',
      {
        caller: 'nightly',
        subject: '{issuer: workload, sub: frontend}',
        request: '{audience: https://ledger.partner.example}',
      },
      [
        '`subject_token_not_own` must not be: boutique/nightly with a token of spiffe://cluster.local/ns/boutique/sa/frontend',
      ],
      true,
    ],
    [
      'client_unknown',
      { caller: 'spiffe://cluster.local/ns/x/sa/y' },
      ['`client_unknown` must not be: no service has this identity'],
      false,
    ],
    [
      'scope_malformed',
      { request: "{audience: checkout, scope: 'a\"b'}" },
      ['`scope_malformed` must not be'],
      false,
    ],
  ]
  for (const [reason, change, changes, suffices] of denials) {
    it(`${reason}: ${JSON.stringify(change)}`, () => {
      const explanation = explained(change)
      assert.equal(reasonOf(explanation), reason)
      assert.deepEqual(changesOf(explanation), changes)
      assert.equal(explanation.suffices, suffices)
      assert.ok(explanation.wire !== undefined && explanation.wire.status >= 400)
    })
  }

  it('deny_condition_error: an expression that cannot be evaluated', () => {
    const rules = compiled(
      SHOP_RULES.replace("'has(subject.claims.blocked)'", 'subject.claims.blocked == true'),
    )
    const explanation = explained({}, rules)
    assert.equal(reasonOf(explanation), 'deny_condition_error')
    assert.match(changesOf(explanation)[0] ?? '', /must not match: .*claim `blocked` is absent$/)
    assert.ok(explanation.suffices)
  })

  it('forward_audience_mismatch: the token is for somebody else', () => {
    const rules = compiled(
      SHOP_RULES.replace(
        'also_audiences: [https://api.shop.example]',
        'also_audiences: [https://x.example]',
      ),
    )
    const explanation = explained({ request: '{audience: feed}' }, rules)
    assert.equal(reasonOf(explanation), 'forward_audience_mismatch')
    assert.deepEqual(changesOf(explanation), [
      'the subject token must be for `feed.boutique` and `https://x.example`, or `boutique/feed` list `https://api.shop.example` in `also_audiences`',
    ])
    assert.ok(explanation.suffices)
  })

  it('target_not_accepted: who is accepted instead', () => {
    const rules = compiled(
      SHOP_RULES.replace('calls: [checkout, ads, feed, closed]', 'calls: [checkout, bank]'),
    )
    const explanation = explained({ request: '{audience: bank}' }, rules)
    assert.equal(reasonOf(explanation), 'target_not_accepted')
    assert.deepEqual(changesOf(explanation), [
      '`boutique/bank` must accept `boutique/frontend` with tokens of `corporate`: it accepts `boutique/payment`',
    ])
  })

  it('act_chain_too_deep: nothing that rules could change', () => {
    const act = `[${Array.from({ length: 10 }, (_, at) => `a${at}`).join(', ')}]`
    const explanation = explained({ subject: subject('sub: alice', `act: ${act}, sub: alice`) })
    assert.equal(reasonOf(explanation), 'act_chain_too_deep')
    assert.deepEqual(changesOf(explanation), ['fewer services must act one after the other'])
  })

  it('embed_required_denied: what the required token needs, down to the last level', () => {
    const rules = compiled(
      SHOP_RULES.replace('embed: [payment]', 'embed: [{to: payment, required: true}]').replace(
        'when: \'!("bank:closed" in subject.scopes)\'',
        'when: \'"bank:open" in subject.scopes\'',
      ),
    )
    const explanation = explained({}, rules)
    assert.equal(reasonOf(explanation), 'embed_required_denied')
    assert.deepEqual(changesOf(explanation), [
      'for the required token for `boutique/payment`: for the required token for `boutique/bank`: it must be true that `"bank:open" in subject.scopes`',
    ])
    assert.ok(explanation.suffices)
  })

  it('goes on past what failed, until it would be granted', () => {
    const explanation = explained({
      subject:
        '{issuer: corporate, scope: shop:buy, claims: {blocked: 1, level: 2, amr: []}, may_act: y}',
      more: 'actor: {issuer: corporate, sub: x}\n',
    })
    assert.equal(reasonOf(explanation), 'deny_condition_met')
    assert.deepEqual(
      explanation.changes.map(({ at }) => at),
      [
        'boutique/checkout denies blocked',
        RULE,
        undefined,
        `${RULE} when`,
        `${RULE} scope checkout:place`,
        `${RULE} scope checkout:place`,
      ],
    )
    assert.ok(explanation.suffices)
  })

  it('places: each part of the rules is found in its file', () => {
    const find = placesOf([{ file: 'a.yaml', text: SHOP_RULES }], RULES)
    const line = (id: string) => SHOP_RULES.split('\n')[(find(id)?.line ?? 0) - 1]?.trim()
    assert.equal(line('boutique/checkout'), 'checkout:')
    assert.equal(line('boutique/checkout calls'), 'calls: [payment, mailer]')
    assert.equal(line(RULE), '- from: frontend')
    assert.equal(line(`${RULE} when`), 'when: subject.claims.email_verified == true')
    assert.match(line(`${RULE} scope checkout:place`) ?? '', /^checkout:place: /)
    assert.match(line(`${RULE} scope checkout:place when`) ?? '', /^checkout:place: /)
    assert.match(line('boutique/checkout denies odd') ?? '', /reason: odd/)
    assert.match(line('boutique/checkout ctx strong') ?? '', /^strong: /)
    assert.equal(find('boutique/nothing'), undefined)
  })

  it('places: denies of one reason are told apart, globs and lists resolved', () => {
    const rules = `
namespace: boutique
services:
  a: {calls: [b]}
  c: {calls: [b]}
  b:
    scopes: [s]
    accepts:
      - from: [a, c]
        issuer: corporate
        scopes: [s]
    denies:
      - {when: 'has(subject.claims.x)', reason: no}
      - {from: [boutique/a], when: 'has(subject.claims.x)', reason: no}
      - {from: [c, a], issuer: agents, reason: no, mode: audit}
`
    const ruleset = compiled(rules)
    const find = placesOf([{ file: 'a.yaml', text: rules }], ruleset)
    const denies = ruleset.services.get('boutique/b')?.denies ?? []
    const whens = new Map(
      denies.map(({ id, when, from }) => [find(id)?.line, [when === undefined, from?.size]]),
    )
    assert.deepEqual([...whens].sort(), [
      [13, [false, undefined]],
      [14, [false, 1]],
      [15, [true, 2]],
    ])
    assert.equal(find('boutique/b <- boutique/a [corporate]')?.line, 9)
    assert.equal(find('boutique/b <- boutique/c [corporate]')?.line, 9)
    assert.equal(find('boutique/b <- boutique/c [corporate] scope s')?.line, 11)
  })
})

describe('requests for explain', () => {
  const faults = (text: string, ...more: string[]): string[] => {
    const yaml = parseYaml(text, 'request.yaml')
    assert.ok(yaml.ok)
    const read = readRequest(yaml.document, {
      ruleset: compiled(SHOP_RULES, ...more),
      surroundings: SURROUNDINGS,
    })
    return read.ok ? [] : told(read.problems)
  }
  const sound = `caller: frontend\nsubject: ${SHOPPER}\nrequest: {audience: checkout}\n`
  const other = 'namespace: other\nservices: {frontend: {}}'

  it('one test of a test file will do', () => {
    assert.deepEqual(faults(sound), [])
    assert.deepEqual(faults(`name: x\nnamespace: boutique\nexpect: {allow: {}}\n${sound}`), [])
  })
  it('a name means the one service that has it', () => {
    assert.deepEqual(faults(sound, other), [
      '1:9 boutique and other have a service of this name: write one of them before it, with a slash',
    ])
    assert.deepEqual(faults(sound.replace('frontend', 'boutique/frontend'), other), [])
    assert.deepEqual(faults(`namespace: other\n${sound}`, other), [])
  })
  it('faults are told as those of tests', () => {
    assert.deepEqual(faults(sound.replace('frontend', 'fronted')), ['1:9 no service /fronted'])
    assert.deepEqual(faults(sound.replace('caller', 'caler')), [
      '1:1 the key `caller` is missing',
      '1:1 unknown key → caller',
    ])
    assert.deepEqual(faults(sound.replace('corporate', 'corprate')), [
      '2:19 no issuer corprate in the issuers file → corporate',
    ])
  })
})

describe('explain a record', () => {
  const scene = { ruleset: RULES, surroundings: SURROUNDINGS }
  /** Of frontend's exchange for checkout, as it is recorded. */
  const EVENT: AuditEvent = {
    decisionId: '01a20671-fe99-720a-952e-f10ddada1966',
    parent: undefined,
    time: NOW,
    outcome: 'granted',
    reason: undefined,
    detail: undefined,
    rulesetHash: RULES.hash,
    caller: {
      id: workload('frontend').id,
      method: 'xfcc',
      peer: '127.0.0.6',
      listener: 'token',
      service: 'boutique/frontend',
      audience: 'https://frontend.boutique.example',
    },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.corp.example',
      sub: 'alice',
      tokenType: 'access_token',
      audiences: ['https://api.shop.example'],
      scopes: ['shop:buy', 'shop:verified'],
      exp: NOW / 1000 + 3600,
      act: undefined,
      mayAct: undefined,
      chain: [],
      jti: undefined,
      tokenHash: 'ab'.repeat(32),
      claims: { email_verified: true, amr: ['mfa'], level: 2 },
      absentClaims: ['blocked', 'odd', 'locale'],
    },
    actor: undefined,
    request: {
      audiences: ['checkout'],
      resources: [],
      scopes: ['checkout:place'],
      requestedTokenType: 'access_token',
    },
    target: 'boutique/checkout',
    rule: RULE,
    wouldDeny: [],
    forwarded: false,
    issued: undefined,
    traceId: undefined,
    truncated: undefined,
  }
  const SUBJECT = EVENT.subject as NonNullable<AuditEvent['subject']>
  const record = (change: Partial<AuditEvent>) => explainRecorded({ ...EVENT, ...change }, scene)
  const now = (change: Partial<AuditEvent>) => {
    const { explanation, undecidable } = record(change)
    assert.ok(explanation)
    return [reasonOf(explanation), ...undecidable]
  }

  it('decides what was recorded', () => assert.deepEqual(now({}), ['granted']))
  it('each member of the record counts', () => {
    for (const [change, reason] of [
      [{ subject: { ...SUBJECT, scopes: ['shop:buy'] } }, 'scope_not_justified'],
      [
        { subject: { ...SUBJECT, claims: { ...SUBJECT.claims, email_verified: false } } },
        'condition_false',
      ],
      [
        { subject: { ...SUBJECT, claims: { ...SUBJECT.claims, blocked: 1 } } },
        'deny_condition_met',
      ],
      [{ subject: { ...SUBJECT, mayAct: { sub: 'x' } } }, 'act_may_act_mismatch'],
      [{ subject: { ...SUBJECT, issuer: 'agents' } }, 'subject_token_presenter_not_allowed'],
      [{ subject: { ...SUBJECT, audiences: ['x'] } }, 'subject_token_presenter_not_allowed'],
      [{ subject: { ...SUBJECT, exp: NOW / 1000 } }, 'mint_subject_expiring'],
      [
        {
          actor: {
            issuer: 'corporate',
            iss: 'x',
            sub: 'y',
            exp: NOW,
            jti: undefined,
            tokenHash: '',
          },
        },
        'actor_not_allowed',
      ],
      [
        {
          request: {
            ...(EVENT.request as NonNullable<AuditEvent['request']>),
            audiences: ['bank'],
          },
        },
        'target_not_in_calls',
      ],
      [
        { caller: { ...EVENT.caller, id: workload('checkout').id } },
        'subject_token_presenter_not_allowed',
      ],
    ] as const satisfies readonly (readonly [Partial<AuditEvent>, Reason])[]) {
      assert.deepEqual(now(change), [reason])
    }
  })
  it('a deeper act is kept, and the chain with it', () => {
    const act = Array.from({ length: 9 }, (_, at) => ({ sub: `a${at}` })).reduceRight<
      object | undefined
    >((inner, level) => (inner ? { ...level, act: inner } : level), undefined)
    const subject = { ...SUBJECT, act: { sub: 'b', act: act as { sub: string } } }
    assert.deepEqual(now({ subject }), ['act_chain_too_deep'])
  })

  it('a condition that reads what was not recorded is undecidable', () => {
    const subject = { ...SUBJECT, claims: { amr: ['mfa'], level: 2 } }
    assert.deepEqual(now({ subject }), [
      'condition_error',
      'subject.claims.email_verified: not recorded',
    ])
    const { explanation } = record({ subject })
    const failed = explanation?.rehearsal.trace.find(({ step }) => !step.passed)
    assert.match(failed?.step.detail ?? '', /undecidable: claim email_verified was not recorded/)
    const absent = { ...subject, absentClaims: [...subject.absentClaims, 'email_verified'] }
    assert.deepEqual(now({ subject: absent }), ['condition_error'])
  })
  it('so is what was cut, and not what only names a claim', () => {
    assert.deepEqual(now({ truncated: ['subject.scopes: 3 of 500 left out'] }), [
      'granted',
      'subject.scopes: 3 of 500 left out',
    ])
    assert.deepEqual(now({ truncated: ['subject.claims.email: left out'] }), ['granted'])
  })
  it('a condition on an embedded token that the record does not hold leaves the decision itself known', () => {
    const { explanation, undecidable, openInside } = record({})
    assert.ok(explanation && reasonOf(explanation) === 'granted')
    assert.deepEqual([undecidable, openInside], [[], ['subject.claims.risk: not recorded']])
    const rules = compiled(
      SHOP_RULES.replace('embed: [payment]', 'embed: [{to: payment, required: true}]'),
    )
    const required = explainRecorded(EVENT, { ...scene, ruleset: rules })
    assert.deepEqual(required.undecidable, ['subject.claims.risk: not recorded'])
    const silent = compiled(SHOP_RULES.replace('claims: [email, risk]', 'claims: [email]'))
    assert.deepEqual(explainRecorded(EVENT, { ...scene, ruleset: silent }).openInside, [])
  })
  it('by other rules', () => {
    const rules = compiled(
      SHOP_RULES.replace('{all: [shop:buy, shop:verified], when', '{all: [shop:admin], when'),
    )
    const { explanation, rulesetHash } = explainRecorded(EVENT, { ...scene, ruleset: rules })
    assert.ok(explanation && reasonOf(explanation) === 'scope_not_justified')
    assert.notEqual(rulesetHash, EVENT.rulesetHash)
  })
  it('what a workload brings is what the rules grant it now', () => {
    const job: Partial<AuditEvent> = {
      caller: { ...EVENT.caller, id: workload('nightly').id, service: 'boutique/nightly' },
      subject: {
        ...SUBJECT,
        issuer: 'workload',
        iss: 'spiffe://cluster.local',
        sub: workload('nightly').id,
        scopes: ['old:grant'],
      },
      request: {
        audiences: ['https://ledger.partner.example'],
        resources: [],
        scopes: undefined,
        requestedTokenType: 'jwt',
      },
    }
    assert.deepEqual(now(job), ['granted'])
  })
  it('a decision on an embedded token: nobody presented it', () => {
    const child: Partial<AuditEvent> = {
      parent: EVENT.decisionId,
      caller: {
        ...EVENT.caller,
        id: workload('checkout').id,
        method: 'embedded',
        service: 'boutique/checkout',
      },
      subject: {
        ...SUBJECT,
        issuer: 'self',
        iss: ISSUER,
        sub: 'corp:alice',
        audiences: ['x'],
        scopes: ['checkout:place'],
        claims: {},
        absentClaims: ['risk'],
      },
      request: {
        audiences: ['boutique/payment'],
        resources: [],
        scopes: undefined,
        requestedTokenType: 'access_token',
      },
    }
    assert.deepEqual(now(child), ['granted'])
    assert.deepEqual(now({ ...child, parent: undefined }), ['subject_token_presenter_not_allowed'])
  })
  it('what never came to a decision, and a caller that is gone', () => {
    assert.deepEqual(record({ subject: undefined }).why, 'never_decided')
    assert.deepEqual(record({ request: undefined }).why, 'never_decided')
    assert.deepEqual(
      record({ caller: { ...EVENT.caller, id: workload('gone').id } }).why,
      'caller_unknown',
    )
    assert.equal(record({ subject: undefined }).explanation, undefined)
  })
})

describe('P6 one decision function', () => {
  const FRONTEND = RULES.services.get('boutique/frontend') as Service
  const some = (...all: string[]) => fc.subarray(all)
  const factsGen: fc.Arbitrary<Facts> = fc
    .record({
      caller: fc.constantFrom(FRONTEND, FRONTEND, FRONTEND, ...RULES.services.values()),
      issuer: fc.constantFrom('corporate', 'corporate', 'corporate', 'self', 'workload', 'agents'),
      scopes: some(
        'shop:browse',
        'shop:buy',
        'shop:verified',
        'checkout:place',
        'payment:charge',
        'books:close',
      ),
      claims: fc.record(
        {
          email_verified: fc.boolean(),
          amr: fc.constantFrom(['mfa'], ['pwd'], 'mfa'),
          blocked: fc.constant(1),
          odd: fc.constant(1),
          level: fc.integer(),
          risk: fc.constantFrom('low', 'high'),
        },
        { requiredKeys: [] },
      ),
      act: fc.option(fc.constant({ sub: 'x' }), { nil: undefined }),
      mayAct: fc.option(fc.constantFrom({ sub: 'x' }, { sub: workload('frontend').id }), {
        nil: undefined,
      }),
      actor: fc.option(
        fc.constantFrom(
          { issuer: 'agents', iss: 'i', sub: 'x' },
          { issuer: 'corporate', iss: 'i', sub: 'x' },
        ),
        { nil: undefined },
      ),
      audiences: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(['checkout'], ['feed'], ['ads']) },
        some('checkout', 'payment', 'feed', 'ads', 'bank', 'closed', 'nobody'),
      ),
      wanted: fc.option(some('checkout:place', 'checkout:quote', 'shop:buy', 'odd:one'), {
        nil: undefined,
      }),
      presented: some('https://api.shop.example', 'https://x.example'),
    })
    .map(
      ({ caller, issuer, scopes, claims, act, mayAct, actor, audiences, wanted, presented }) => ({
        caller: { service: caller, id: workload('frontend').id, iss: undefined },
        subject: {
          issuer,
          iss: 'https://login.corp.example',
          sub: 'alice',
          audiences: presented,
          scopes: new Set(scopes),
          claims,
          act,
          mayAct,
          chain: [],
        },
        actor,
        request: { audiences, resources: [], scopes: wanted },
        selfIss: ISSUER,
        now: NOW,
      }),
    )

  it('decides alike with a trace and without, and the last step that failed is the reason', () => {
    const reasons = new Set<string>()
    fc.assert(
      fc.property(factsGen, (facts) => {
        const silent = decide(RULES, facts)
        const steps: boolean[] = []
        const traced = decide(RULES, facts, {
          trace: (step, of) => {
            assert.equal(of, facts)
            steps.push(step.passed)
          },
        })
        assert.deepEqual(traced, silent)
        reasons.add(silent.allow ? 'granted' : silent.reason)
        if (!silent.allow && silent.reason !== 'scope_none_justified')
          assert.equal(steps.at(-1), false)
      }),
      { numRuns: 3000 },
    )
    assert.ok(reasons.size >= 10, [...reasons].join(' '))
  })
})
