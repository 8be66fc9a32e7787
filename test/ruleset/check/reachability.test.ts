// Rules, scopes and embedded tokens that nobody can ever have; of what follows from one fault, that fault alone.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkRules } from '../../../src/ruleset/check/check.ts'
import { rootCauses } from '../../../src/ruleset/check/root-causes.ts'
import { CHECK_CONTEXT, CLEAN, changed, found, said } from '../../support/checks.ts'
import { load } from '../../support/rules.ts'

const THIRD = `  bank:
    scopes: [bank:book]
    accepts:
      - {from: payment, scopes: {bank:book: [payment:charge]}}
`
/** CLEAN with a third hop. */
const LONG = changed(
  changed(CLEAN, '  ads:\n', `${THIRD}  ads:\n`),
  '    scopes: [payment:charge]\n',
  '    scopes: [payment:charge]\n    calls: [bank]\n',
)

describe('rules check: rules that no token can use', () => {
  it('a longer chain is fine', () => assert.deepEqual(found(LONG), []))

  it('a forgotten issuer at the edge, once for the whole chain behind it', () => {
    const scopes = 'scopes: [shop:browse, shop:buy, shop:verified]'
    const text = changed(
      changed(LONG, 'issuer: corporate\n        actors', 'actors'),
      'frontend:\n',
      `frontend:\n    ${scopes}\n`,
    )
    assert.deepEqual(
      found(text).filter((line) => !line.includes('scope-never-given')),
      ['13:9 rule-unreachable'],
    )
    assert.equal(
      said(text, 'rule-unreachable'),
      'this rule takes tokens that this service issued to boutique/frontend, and there are none → issuer: corporate',
    )
    const explicit = changed(text, 'actors: [agents]', 'issuer: self\n        actors: [agents]')
    assert.doesNotMatch(said(explicit, 'rule-unreachable'), /→/)
  })

  it('a forgotten issuer of a job', () => {
    const text = changed(
      changed(CLEAN, 'from: nightly, issuer: workload', 'from: nightly'),
      'grants: [books:close]',
      'grants: [books:close]\n    scopes: [books:close]',
    )
    assert.match(said(text, 'rule-unreachable'), /→ issuer: workload$/)
  })

  it('impersonation of tokens that carry act', () => {
    const rule = '{from: [checkout], scopes'
    const text = changed(CLEAN, rule, rule.replace('scopes', 'act: impersonate, scopes'))
    assert.deepEqual(found(text), ['33:9 rule-unreachable'])
    assert.equal(
      said(text, 'rule-unreachable'),
      'every token for boutique/checkout carries act, and impersonation refuses those',
    )
  })

  it('impersonation of tokens that carry none', () => {
    const text = changed(
      changed(
        CLEAN,
        '{ads:show: [shop:browse]}}',
        '{ads:show: [shop:browse]}}\n  stats:\n    scopes: [stats:count]\n    accepts:\n      - {from: ads, act: impersonate, scopes: {stats:count: [ads:show]}}',
      ),
      'scopes: [ads:show]',
      'scopes: [ads:show]\n    calls: [stats]',
    )
    assert.deepEqual(found(text), [])
  })

  it("a workload's own token where none is accepted", () => {
    assert.deepEqual(found(CLEAN, { workloadAudiences: [] }), ['46:9 rule-unreachable'])
    assert.match(
      said(CLEAN, 'rule-unreachable', { workloadAudiences: [] }),
      /^no workload's own token is accepted here: client_auth has neither jwt_svid nor kubernetes$/,
    )
  })

  it('scopes that the issuer cannot bring (scopes_from)', () => {
    const text = changed(
      CLEAN,
      'scopes: {ads:show: [shop:browse]}',
      'scopes: {ads:show: ["role:"]}',
    )
    assert.deepEqual(found(text), ['37:9 rule-unreachable'])
    assert.equal(
      said(text, 'rule-unreachable'),
      'no token that boutique/frontend can hand in gives any of its scopes',
    )
  })

  it('forwarding without an audience', () => {
    const text = changed(
      changed(
        CLEAN,
        '  ads:\n',
        '  till:\n    accepts:\n      - {from: checkout, forward: true}\n  ads:\n',
      ),
      'calls: [payment, mailer]',
      'calls: [payment, mailer, till]',
    )
    assert.deepEqual(found(text), ['36:9 rule-unreachable'])
    const fixed = changed(
      text,
      'till:\n',
      'till:\n    also_audiences: [https://checkout.boutique.example]\n',
    )
    assert.deepEqual(found(fixed), [])
  })

  it('a required token inside that is always denied', () => {
    const text = changed(
      changed(CLEAN, 'embed: [payment]', 'embed: [{to: payment, required: true}]'),
      'checkout:place: {all: [shop:buy, shop:verified]}\n',
      '\n',
    )
    assert.match(
      said(text, 'rule-unreachable'),
      /gives any of its scopes together with what it must embed \(boutique\/payment\)$/,
    )
  })

  it('a circle that nothing leads into, all of it', () => {
    const text = `
namespace: boutique
services:
  a: {scopes: [a], calls: [b], accepts: [{from: b, scopes: {a: [b]}}]}
  b: {scopes: [b], calls: [a], accepts: [{from: a, scopes: {b: [a]}}]}
`
    assert.deepEqual(found(text), ['4:42 rule-unreachable', '5:42 rule-unreachable'])
  })
})

describe('rules check: scopes that no token can justify', () => {
  const QUOTE = 'checkout:quote: [shop:browse, shop:buy]'
  it('both of two that never come together', () => {
    const text = changed(
      changed(
        CLEAN,
        '{payment:charge: [checkout:place]}',
        '{payment:charge: {all: [checkout:place, checkout:gift]}, payment:read: [checkout:place]}',
      ),
      'scopes: [payment:charge]',
      'scopes: [payment:charge, payment:read]',
    )
    const gifts = changed(
      changed(
        text,
        'scopes: [checkout:place, checkout:quote]',
        'scopes: [checkout:place, checkout:quote, checkout:gift]',
      ),
      'calls: [checkout, ads]',
      'calls: [checkout, ads]\n  kiosk:\n    scopes: [kiosk:gift]\n    calls: [checkout]\n    accepts:\n      - {from: frontend, issuer: corporate, scopes: {kiosk:gift: [shop:buy]}}',
    )
    const both = changed(
      changed(gifts, 'calls: [checkout, ads]', 'calls: [checkout, ads, kiosk]'),
      '      - from: frontend\n',
      '      - {from: kiosk, scopes: {checkout:gift: [kiosk:gift]}}\n      - from: frontend\n',
    )
    assert.deepEqual(found(both), ['32:18 scope-unreachable'])
    assert.equal(
      said(both, 'scope-unreachable'),
      'no token that boutique/checkout can hand in justifies payment:charge',
    )
  })

  it('what follows from a scope that no rule gives is not told again', () => {
    const text = changed(LONG, `          ${QUOTE}\n`, '')
    const more = changed(
      changed(
        text,
        '{payment:charge: [checkout:place]}',
        '{payment:charge: [checkout:place], payment:ask: [checkout:quote]}',
      ),
      'scopes: [payment:charge]',
      'scopes: [payment:charge, payment:ask]',
    )
    assert.deepEqual(found(more), ['8:30 scope-never-given'])
  })

  it('what follows from a scope that cannot be justified is not told again', () => {
    const text = changed(LONG, 'all: [shop:buy, shop:verified]', 'all: [shop:buy, "role:"]')
    assert.deepEqual(found(text), ['17:11 scope-unreachable'])
  })

  it('of a plain list, at its place', () => {
    const text = changed(CLEAN, '{ads:show: [shop:browse]}', '["role:", ads:show]')
    const known = changed(text, 'scopes: [ads:show]', 'scopes: [ads:show, "role:"]')
    assert.deepEqual(found(known), ['37:72 scope-unreachable'])
  })
})

describe('rules check: embedded tokens', () => {
  it('one that is always left out', () => {
    const text = changed(
      changed(CLEAN, 'embed: [payment]', 'embed: [mailer, payment]'),
      '  mailer:\n    scopes: [mail:send]\n',
      '  mailer:\n    embeddable: true\n    scopes: [mail:send]\n',
    )
    assert.deepEqual(found(text), ['18:9 budget-over-cache'])
    const quote = changed(
      text,
      '          checkout:place: {all: [shop:buy, shop:verified]}\n        embed: [mailer, payment]\n',
      '        embed: [mailer, payment]\n      - {from: ads, scopes: {checkout:place: [ads:show]}}\n',
    )
    const through = changed(
      quote,
      'scopes: [ads:show]',
      'scopes: [ads:show]\n    calls: [checkout]',
    )
    assert.deepEqual(found(through), [
      '17:9 budget-over-cache',
      '17:17 embed-unreachable',
      '17:25 embed-unreachable',
    ])
  })
})

describe('rules check: what is too much to try', () => {
  const unreachable = changed(
    CLEAN,
    '{from: [checkout], scopes',
    '{from: [checkout], act: impersonate, scopes',
  )
  const checkedWith = (maxExchanges: number) => {
    const { written, ruleset } = load(unreachable)
    return checkRules(written, ruleset, CHECK_CONTEXT, maxExchanges)
  }
  it('is left out, and said', () => {
    const { left, findings } = checkedWith(2)
    assert.equal(left, 'what nobody could ever obtain: there are too many ways to try')
    assert.deepEqual(findings, [])
  })
  it('not where all was tried', () => {
    const { left, findings } = checkedWith(20)
    assert.deepEqual([left, findings.map(({ id }) => id)], [undefined, ['rule-unreachable']])
  })
})

describe('root causes', () => {
  const roots = (causes: Record<string, readonly string[]>) =>
    [...rootCauses(new Map(Object.entries(causes)))].join(' ')
  for (const [name, causes, expected] of [
    ['nothing', {}, ''],
    ['faults of their own', { a: [], b: [] }, 'a b'],
    ['a chain', { a: [], b: ['a'], c: ['b'] }, 'a'],
    ['one that follows from either of two', { a: [], b: [], c: ['a', 'b'] }, 'a b'],
    ['one that follows from what is told elsewhere', { b: ['elsewhere'], c: ['b'] }, ''],
    ['a circle', { a: ['b'], b: ['a'] }, 'a b'],
    ['a circle that something leads into', { x: [], a: ['b', 'x'], b: ['a'] }, 'x'],
    ['a circle and what follows from it', { a: ['a'], b: ['a'] }, 'a b'],
  ] as const) {
    it(name, () => assert.equal(roots(causes), expected))
  }
})
