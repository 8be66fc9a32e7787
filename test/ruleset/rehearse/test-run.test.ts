// Tests of rules: what a written request comes to, what is compared, and what a test file may not say.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Reason } from '../../../src/oauth/reasons.ts'
import {
  differencesIn,
  faultsOf,
  runTests,
  SHOP_RULES,
  SHOPPER,
  SURROUNDINGS,
} from '../../support/rule-tests.ts'
import { compiled } from '../../support/rules.ts'

const one = (rest: string): string => `namespace: boutique\ntests:\n  - name: it\n${rest}`
const asked = (
  expect: string,
  {
    caller = 'frontend',
    subject = SHOPPER,
    request = '{audience: checkout, scope: checkout:place}',
    more = '',
  } = {},
): string =>
  one(
    `    caller: ${caller}\n    subject: ${subject}\n    request: ${request}\n${more}    expect: ${expect}\n`,
  )
const differences = (...args: Parameters<typeof asked>): string[] =>
  differencesIn(runTests(asked(...args)))
const passes = (...args: Parameters<typeof asked>): void =>
  assert.deepEqual(differences(...args), [])

describe('what a test expects', () => {
  it('the example of the design passes', () => {
    passes(
      '{allow: {scope: checkout:place, claims: [email, risk], embedded: {payment: payment:charge}}}',
    )
  })

  for (const [name, right, wrong, told] of [
    [
      'scope',
      'scope: checkout:place',
      'scope: checkout:quote',
      'scope: checkout:quote / checkout:place',
    ],
    ['claims', 'claims: [risk, email]', 'claims: [email]', 'claims: email / email risk'],
    ['no claims', 'claims: [email, risk]', 'claims: []', 'claims: none / email risk'],
    [
      'values of claims',
      'claims: {risk: low, email: a@x.example}',
      'claims: {risk: high, email: a@x.example}',
      'claims: {"risk":"high","email":"a@x.example"} / {"email":"a@x.example","risk":"low"}',
    ],
    [
      'ctx',
      'ctx: {strong: true, channel: web}',
      'ctx: {channel: web}',
      'ctx: {"channel":"web"} / {"channel":"web","strong":true}',
    ],
    [
      'act',
      'act: [frontend]',
      'act: []',
      'act: [] / ["spiffe://cluster.local/ns/boutique/sa/frontend"]',
    ],
    ['lifetime', 'lifetime: 5m', 'lifetime: 1m', 'lifetime: 1m / 5m'],
    [
      'members of embedded',
      'embedded: {payment: payment:charge}',
      'embedded: {}',
      'embedded: none / payment',
    ],
    [
      'the scope of an embedded token',
      'embedded: {payment: {scope: payment:charge}}',
      'embedded: {payment: payment:refund}',
      'embedded.payment.scope: payment:refund / payment:charge',
    ],
    [
      'a token within an embedded token',
      'embedded: {payment: {embedded: {bank: {scope: bank:book, lifetime: 30s}}}}',
      'embedded: {payment: {embedded: {bank: {lifetime: 1m}}}}',
      'embedded.payment.embedded.bank.lifetime: 1m / 30s',
    ],
    [
      'forward',
      'scope: checkout:place',
      'forward: true',
      'forward: the subject token / a token of ours',
    ],
  ] as const) {
    it(`compares ${name}`, () => {
      passes(`{allow: {${right}}}`)
      assert.deepEqual(differences(`{allow: {${wrong}}}`), [told])
    })
  }

  it('compares nothing that is not given', () => passes('{allow: {}}'))

  it('order of scopes says nothing, each of them counts', () => {
    const request = '{audience: checkout}'
    passes('{allow: {scope: checkout:place checkout:quote}}', { request })
    passes('{allow: {scope: checkout:quote checkout:place}}', { request })
    assert.equal(differences('{allow: {scope: checkout:quote}}', { request }).length, 1)
  })

  it('a denial by its reason, and what came instead with its detail', () => {
    const subject = SHOPPER.replace('shop:verified', 'shop:browse')
    passes('{deny: scope_not_justified}', { subject })
    assert.deepEqual(differences('{deny: scope_unknown}', { subject }), [
      'outcome: deny scope_unknown / deny scope_not_justified: checkout:place needs all of shop:buy shop:verified; the subject token brings shop:buy shop:browse',
    ])
    assert.deepEqual(differences('{deny: scope_not_justified}'), [
      'outcome: deny scope_not_justified / allow checkout:place',
    ])
    assert.match(
      differences('{allow: {}}', { subject })[0] ?? '',
      /^outcome: allow \/ deny scope_not_justified/,
    )
  })

  it('what audit mode would have denied: by id or by the word of the deny', () => {
    const subject = SHOPPER.replace('risk: low', 'odd: 1')
    for (const id of ['odd', 'boutique/checkout denies odd']) {
      passes(`{allow: {}, would_deny: [${id}]}`, { subject })
    }
    passes('{allow: {}}', { subject })
    passes('{allow: {}, would_deny: []}')
    assert.deepEqual(differences('{allow: {}, would_deny: []}', { subject }), [
      'would_deny: [] / ["boutique/checkout denies odd"]',
    ])
    assert.deepEqual(differences('{allow: {}, would_deny: [odd]}'), ['would_deny: ["odd"] / []'])
  })

  it('says why an embedded token was left out', () => {
    const subject = SHOPPER.replace('risk: low', 'risk: high')
    passes('{allow: {embedded: {}}}', { subject })
    assert.deepEqual(differences('{allow: {embedded: {payment: payment:charge}}}', { subject }), [
      'embedded: payment / none; payment left out: deny_condition_met',
    ])
  })

  it('of a token that is handed on only the scopes can be compared', () => {
    const change = { request: '{audience: feed}' }
    passes('{allow: {forward: true, scope: shop:buy shop:verified}}', change)
    passes('{allow: {}}', change)
    assert.deepEqual(differences('{allow: {claims: []}}', change), [
      'claims: [] / the subject token is handed on as it is',
    ])
    assert.deepEqual(differences('{allow: {scope: shop:buy}}', change), [
      'scope: shop:buy / shop:buy shop:verified',
    ])
  })
})

describe('what a written token comes to', () => {
  const quote = '{audience: checkout, scope: checkout:quote}'
  it('P1 lives no longer than the subject and the actor token', () => {
    const subject = SHOPPER.replace('sub: alice', 'sub: alice, exp: 90s')
    passes('{allow: {lifetime: 90s}}', { subject })
    passes('{allow: {lifetime: 20s}}', { more: '    actor: {issuer: agents, sub: a, exp: 20s}\n' })
  })

  it('P2 act of the subject stays inside, with its issuer; services mean their identity', () => {
    const act = 'act: [agent-7, {sub: frontend, iss: https://other.example}], '
    const subject = SHOPPER.replace('sub: alice', `${act}sub: alice`)
    passes('{allow: {act: [frontend, agent-7, frontend]}}', { subject })
    for (const same of ['act: {sub: agent-7, act: {sub: frontend}}', 'act: [agent-7, frontend]']) {
      const nested = SHOPPER.replace('sub: alice', `${same}, sub: alice`)
      passes('{allow: {act: [frontend, agent-7, frontend]}}', { subject: nested })
    }
    const single = SHOPPER.replace('sub: alice', 'act: agent-7, sub: alice')
    passes('{allow: {act: [frontend, agent-7]}}', { subject: single })
  })

  it('a token of ours: for the caller, with chain; the next hop sees both', () => {
    const subject =
      '{issuer: self, sub: corp:alice, scope: checkout:place, act: [frontend], chain: [frontend]}'
    const change = { caller: 'checkout', subject, request: '{audience: mailer}' }
    passes('{allow: {act: [checkout, frontend]}}', change)
    const [result] = runTests(asked('{allow: {}}', change))
    const granted = result?.hops[0]?.rehearsal?.result
    assert.ok(granted?.ok && granted.value.kind === 'minted')
    assert.deepEqual(granted.value.minted.token.claims.chain, [
      'spiffe://cluster.local/ns/boutique/sa/frontend',
      'spiffe://cluster.local/ns/boutique/sa/checkout',
    ])
    assert.equal(granted.value.minted.token.claims.sub, 'corp:alice')
  })

  it('sub of another issuer gets its prefix', () => {
    const [result] = runTests(asked('{allow: {}}'))
    const granted = result?.hops[0]?.rehearsal?.result
    assert.ok(granted?.ok && granted.value.kind === 'minted')
    assert.equal(granted.value.minted.token.claims.sub, 'corp:alice')
  })

  it('conditions read the time of the test', () => {
    const rules = SHOP_RULES.replace(
      'when: subject.claims.email_verified == true',
      'when: now < timestamp("2026-06-01T00:00:00Z")',
    )
    const at = (now: string) =>
      differencesIn(runTests(asked('{allow: {}}', { more: now }), compiled(rules)))
    assert.deepEqual(at(''), [])
    assert.deepEqual(at('    now: 2026-05-31T23:59:59Z\n'), [])
    assert.equal(at('    now: 2026-06-01T00:00:01Z\n').length, 1)
  })

  it('issuer workload brings the grants of the caller, or fewer of them', () => {
    const job = { caller: 'nightly', request: '{audience: https://ledger.partner.example}' }
    passes('{allow: {scope: ledger:post}}', { ...job, subject: '{issuer: workload}' })
    passes('{deny: scope_none_justified}', {
      ...job,
      subject: '{issuer: workload, scope: books:read}',
    })
    passes('{deny: scope_none_justified}', { ...job, subject: "{issuer: workload, scope: ''}" })
    passes('{deny: subject_token_not_own}', {
      ...job,
      subject: '{issuer: workload, sub: frontend}',
    })
    passes('{allow: {}}', { ...job, subject: '{issuer: workload, sub: nightly}' })
  })

  it('a caller by its SPIFFE ID, and one that no service has', () => {
    const id = 'spiffe://cluster.local/ns/boutique/sa/frontend'
    passes('{allow: {act: [frontend]}}', { caller: id })
    passes('{deny: client_unknown}', { caller: `${id}2` })
    passes('{deny: client_spiffe_id_malformed}', { caller: 'spiffe://cluster.local' })
  })

  it('a service with `*` in its identity calls as one of its workloads', () => {
    const identity = 'frontend:\n    identity: spiffe://cluster.local/ns/web/sa/*'
    const rules = compiled(SHOP_RULES.replace('frontend:', identity))
    const expect = '{allow: {act: [spiffe://cluster.local/ns/web/sa/frontend]}}'
    assert.deepEqual(differencesIn(runTests(asked(expect), rules)), [])
  })

  it('a caller outside the mesh acts under its name', () => {
    const keys = 'frontend:\n    client_keys: {jwks_file: x.json}'
    const rules = compiled(SHOP_RULES.replace('frontend:', keys))
    assert.deepEqual(
      differencesIn(runTests(asked('{allow: {act: [boutique/frontend]}}'), rules)),
      [],
    )
  })

  const denials: readonly (readonly [string, Reason, Parameters<typeof asked>[1]])[] = [
    [
      'a token that the caller may not present',
      'subject_token_presenter_not_allowed',
      { subject: SHOPPER.replace('sub: alice', 'aud: https://desk.shop.example, sub: alice') },
    ],
    [
      'a token of an issuer that lists the caller nowhere',
      'subject_token_presenter_not_allowed',
      { caller: 'payment', request: '{audience: bank}' },
    ],
    [
      'a token of ours for somebody else',
      'subject_token_presenter_not_allowed',
      { subject: '{issuer: self, aud: payment, scope: x}' },
    ],
    [
      'a token that is bound to a key',
      'subject_token_confirmation_unsupported',
      { subject: SHOPPER.replace('risk: low', 'cnf: {jkt: x}') },
    ],
    [
      'an act that names our issuer',
      'subject_token_act_malformed',
      {
        subject: SHOPPER.replace(
          'sub: alice',
          `act: [{sub: x, iss: ${SURROUNDINGS.issuer}}], sub: alice`,
        ),
      },
    ],
    ['a resource that is no URI', 'resource_malformed', { request: '{resource: checkout}' }],
    ['an audience with a space', 'audience_malformed', { request: "{audience: 'a b'}" }],
    ['a scope with a quote', 'scope_malformed', { request: "{audience: checkout, scope: 'a\"b'}" }],
    ['no target', 'target_missing', { request: '{}' }],
    ['an empty target', 'target_missing', { request: "{audience: ''}" }],
    ['two targets', 'target_ambiguous', { request: '{audience: [checkout, feed]}' }],
    [
      'a rule condition',
      'condition_false',
      { subject: SHOPPER.replace('email_verified: true', 'email_verified: false') },
    ],
    ['a scope condition', 'scope_condition_failed', { subject: SHOPPER.replace('[mfa]', '[pwd]') }],
    [
      'a condition in error',
      'condition_error',
      { subject: SHOPPER.replace('email_verified: true, ', '') },
    ],
    ['a deny', 'deny_condition_met', { subject: SHOPPER.replace('risk: low', 'blocked: 1') }],
    ['a deny without condition', 'target_denied', { request: '{audience: closed}' }],
    ['a computed claim in error', 'ctx_failed', { subject: SHOPPER.replace('level: 2, ', '') }],
    [
      'impersonation of a delegated subject',
      'act_impersonation_refused',
      {
        subject: '{issuer: corporate, scope: shop:browse, act: [x]}',
        request: '{audience: ads}',
      },
    ],
    [
      'may_act that names somebody else',
      'act_may_act_mismatch',
      { subject: SHOPPER.replace('sub: alice', 'may_act: checkout, sub: alice') },
    ],
    [
      'an actor of an issuer that the rule does not take',
      'actor_not_allowed',
      { more: '    actor: {issuer: corporate, sub: x}\n' },
    ],
    [
      'an actor token that the caller may not present',
      'actor_token_presenter_not_allowed',
      { more: '    actor: {issuer: agents, sub: x, aud: https://nobody.example}\n' },
    ],
    [
      "a workload's own token as actor token",
      'actor_token_issuer_not_trusted',
      { more: '    actor: {issuer: workload, sub: x}\n' },
    ],
    [
      'a claim that cannot be passed on',
      'mint_claim_malformed',
      { subject: SHOPPER.replace('a@x.example', '"a\\u0007"') },
    ],
  ]
  for (const [name, reason, change] of denials) {
    it(`${reason}: ${name}`, () => passes(`{deny: ${reason}}`, change))
  }
  it('may_act that names the caller, an actor that the rule takes', () => {
    passes('{allow: {}}', {
      subject: SHOPPER.replace('sub: alice', 'may_act: frontend, sub: alice'),
    })
    passes('{allow: {act: [frontend, x]}}', { more: '    actor: {issuer: agents, sub: x}\n' })
    passes('{allow: {act: [frontend]}}', { request: quote })
  })

  it('mint_token_too_large: the size is that of a signed token', () => {
    const at = (maxTokenCharacters: number) =>
      runTests(asked('{allow: {}}'), compiled(SHOP_RULES), { ...SURROUNDINGS, maxTokenCharacters })
    const granted = at(8192)[0]?.hops[0]?.rehearsal?.result
    assert.ok(granted?.ok && granted.value.kind === 'minted')
    const { length } = granted.value.minted.token.token
    assert.ok(length > 1000)
    assert.deepEqual(differencesIn(at(length)), [])
    assert.match(differencesIn(at(length - 1))[0] ?? '', /deny mint_token_too_large/)
  })

  it('embed_required_denied: a token that is required inside', () => {
    const rules = compiled(
      SHOP_RULES.replace('embed: [payment]', 'embed: [{to: payment, required: true}]'),
    )
    const subject = SHOPPER.replace('risk: low', 'risk: high')
    const run = (expect: string) => differencesIn(runTests(asked(expect, { subject }), rules))
    assert.deepEqual(run('{deny: embed_required_denied}'), [])
  })
})

describe('journeys', () => {
  const journey = (hops: string, subject = SHOPPER): string =>
    `namespace: boutique\njourneys:\n  - name: it\n    subject: ${subject}\n    hops:\n${hops}`
  const hop = (rest: string): string => `      - {${rest}}\n`
  const first = hop(
    'caller: frontend, request: {audience: checkout}, expect: {allow: {scope: checkout:place checkout:quote}}',
  )

  it("each hop hands in the last one's result", () => {
    const text = journey(
      first +
        hop(
          'caller: checkout, request: {audience: payment}, expect: {allow: {scope: payment:charge, act: [checkout, frontend], claims: []}}',
        ) +
        hop(
          'caller: payment, request: {audience: bank}, expect: {allow: {act: [payment, checkout, frontend], lifetime: 30s}}',
        ),
    )
    const results = runTests(text)
    assert.deepEqual(differencesIn(results), [])
    assert.equal(results[0]?.hops.length, 3)
  })

  it('a token inside the last result, and one inside that', () => {
    const text = (uses: string) =>
      journey(
        first +
          hop(
            `caller: payment, uses: ${uses}, request: {audience: bank}, expect: {allow: {act: [payment, checkout, frontend]}}`,
          ),
      )
    assert.deepEqual(differencesIn(runTests(text('payment'))), [])
    assert.match(
      differencesIn(runTests(text('[payment, bank]')))[0] ?? '',
      /deny subject_token_presenter_not_allowed/,
    )
    assert.deepEqual(differencesIn(runTests(text('bank'))), [
      'uses: embedded.bank / not in the result before',
    ])
    assert.deepEqual(differencesIn(runTests(text('[payment, nothing]'))), [
      'uses: embedded.payment.embedded.nothing / not in the result before',
    ])
  })

  it('only the service that a token is for can hand it in', () => {
    const text = journey(
      first +
        hop(
          'caller: payment, request: {audience: bank}, expect: {deny: subject_token_presenter_not_allowed}',
        ),
    )
    assert.deepEqual(differencesIn(runTests(text)), [])
  })

  it('a token that is handed on stays what it was', () => {
    const text = journey(
      hop('caller: frontend, request: {audience: feed}, expect: {allow: {forward: true}}') +
        hop('caller: frontend, request: {audience: checkout}, expect: {allow: {act: [frontend]}}'),
    )
    assert.deepEqual(differencesIn(runTests(text)), [])
    const inside = text.replace(
      'caller: frontend, request: {audience: checkout}',
      'caller: frontend, uses: payment, request: {audience: checkout}',
    )
    assert.equal(differencesIn(runTests(inside)).length, 1)
  })

  it('ends at the hop that fails', () => {
    const text = journey(
      hop(
        'caller: frontend, request: {audience: checkout}, expect: {allow: {scope: checkout:quote}}',
      ) + hop('caller: checkout, request: {audience: payment}, expect: {allow: {}}'),
    )
    const [result] = runTests(text)
    assert.deepEqual([result?.passed, result?.hops.length], [false, 1])
  })

  it('its time is that of each hop', () => {
    const rules = compiled(
      SHOP_RULES.replace(
        'when: \'!("bank:closed" in subject.scopes)\'',
        'when: \'now < timestamp("2026-06-01T00:00:00Z")\'',
      ),
    )
    const text = (now: string) =>
      journey(
        first + hop('caller: checkout, request: {audience: payment}, expect: {allow: {}}'),
      ).replace('    subject:', `    now: ${now}\n    subject:`)
    assert.deepEqual(differencesIn(runTests(text('2026-05-31T00:00:00Z'), rules)), [])
    assert.match(
      differencesIn(runTests(text('2026-06-02T00:00:00Z'), rules))[0] ?? '',
      /embed_required_denied/,
    )
  })
})

describe('faults of a test file', () => {
  const sound = asked('{allow: {}}')
  const changed = (from: string, to: string): string[] => {
    assert.ok(sound.includes(from), from)
    return faultsOf(sound.replace(from, to))
  }
  it('none in a sound file', () => assert.deepEqual(faultsOf(sound), []))

  for (const [name, from, to, faults] of [
    [
      'an unknown key',
      'caller:',
      'calller:',
      ['3:5 the key `caller` is missing', '4:5 unknown key → caller'],
    ],
    ['an unknown key of a subject', 'sub: alice', 'subj: alice', ['5:34 unknown key → sub']],
    [
      'an unknown namespace',
      'namespace: boutique',
      'namespace: boutiqe',
      [
        '1:12 no rule file has the namespace boutiqe → boutique',
        '4:13 no service boutiqe/frontend → boutique/frontend',
      ],
    ],
    [
      'an unknown caller',
      'caller: frontend',
      'caller: fronted',
      ['4:13 no service boutique/fronted → boutique/frontend'],
    ],
    [
      'an external caller',
      'caller: frontend',
      'caller: ledger',
      ['4:13 boutique/ledger is external: it calls nobody'],
    ],
    [
      'an unknown issuer',
      'issuer: corporate',
      'issuer: coporate',
      ['5:23 no issuer coporate in the issuers file → corporate'],
    ],
    [
      'an unknown reason',
      '{allow: {}}',
      '{deny: scope_unjustified}',
      ['7:20 is no reason for a refusal (docs/errors.md) → scope_not_justified'],
    ],
    [
      'allow and deny',
      '{allow: {}}',
      '{allow: {}, deny: scope_unknown}',
      ['7:13 either `allow` or `deny` is expected'],
    ],
    ['neither', '{allow: {}}', '{would_deny: []}', ['7:13 either `allow` or `deny` is expected']],
    ['a claim that is a key', 'risk: low', 'aud: x', ['5:155 write `aud` beside `claims`']],
    ['iss among the claims', 'risk: low', 'iss: x', ['5:155 `issuer` says it']],
    [
      'a chain of another issuer',
      'sub: alice',
      'chain: [frontend]',
      ['5:41 only tokens that this service issued have a chain'],
    ],
    ['a duration in words', 'sub: alice', 'exp: an hour', ['5:39 must be a duration, such as 5m']],
    [
      'a lifetime without unit',
      '{allow: {}}',
      "{allow: {lifetime: '300'}}",
      ['7:32 must be a duration, such as 5m'],
    ],
    [
      'a time without zone',
      '    expect',
      '    now: 2026-01-02T03:04:05\n    expect',
      ['7:10 must be a time in UTC, such as 2026-01-02T03:04:05Z'],
    ],
    [
      'an expected member that is not known',
      '{allow: {}}',
      '{allow: {scopes: x}}',
      ['7:22 unknown key → scope'],
    ],
    ['forward: false', '{allow: {}}', '{allow: {forward: false}}', ['7:31 must be true']],
    [
      'an actor of an unknown issuer',
      '    expect',
      '    actor: {issuer: agent, sub: x}\n    expect',
      ['7:21 no issuer agent in the issuers file → agents'],
    ],
  ] as const) {
    it(name, () => assert.deepEqual(changed(from, to), faults))
  }

  it('a workload that brings more than its grants, or delegation', () => {
    const job = (subject: string) =>
      faultsOf(asked('{allow: {}}', { caller: 'nightly', subject, request: '{audience: x}' }))
    assert.deepEqual(job('{issuer: workload, scope: books:clos}'), [
      '5:40 boutique/nightly is not granted books:clos → books:close',
    ])
    assert.deepEqual(job('{issuer: workload, act: [x]}'), [
      "5:38 a workload's own token has no act",
    ])
    assert.deepEqual(job('{issuer: workload, may_act: x}'), [
      "5:42 a workload's own token has no may_act",
    ])
  })

  it('two tests of one name, journeys too', () => {
    const twice = `${sound}journeys:\n  - name: it\n    subject: {issuer: corporate}\n    hops:\n      - {caller: frontend, request: {}, expect: {deny: target_missing}}\n`
    assert.deepEqual(faultsOf(twice), ['9:11 another test has this name'])
  })

  it('a journey that goes on after a denial, or begins inside a token', () => {
    const hops =
      '      - {caller: frontend, uses: x, request: {}, expect: {deny: target_missing}}\n      - {caller: checkut, request: {}, expect: {allow: {}}}\n'
    const text = `namespace: boutique\njourneys:\n  - name: it\n    subject: {issuer: corporat}\n    hops:\n${hops}`
    assert.deepEqual(faultsOf(text), [
      '4:23 no issuer corporat in the issuers file → corporate',
      '6:34 the first hop hands in the subject of the journey',
      '6:58 after a denial there is no token for the next hop',
      '7:18 no service boutique/checkut → boutique/checkout',
    ])
  })

  it('hostile files: no exception, always a fault or tests', () => {
    const piece = fc.constantFrom(
      'namespace: boutique',
      'tests:',
      '  - name: x',
      '    caller: frontend',
      '    subject: {issuer: self',
      '}',
      '[',
      ']',
      '    subject: {issuer: corporate, act: {sub: a, act: {sub: b, act: [c]}}}',
      '    expect: {allow: {embedded: {a: {embedded: {b: 1}}}}}',
      'never: [{caller: frontend, obtains: x}]',
      '__proto__: 1',
      '    request: {audience: [1, null, x]}',
      '? a',
      '&a *a',
      '\u0000',
      'journeys: [{hops: []}]',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        faultsOf(pieces.join('\n'), RULES)
      }),
      { numRuns: 500 },
    )
  })
})

const RULES = compiled(SHOP_RULES)
