// The flow of claims: what conditions, lists, ctx and denies read, and whether it can be there.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLEAN, changed, found, said } from '../../support/checks.ts'

const CHARGE = '      - from: checkout\n        scopes: {payment:charge: [checkout:place]}'
const DENY = 'has(subject.claims.risk) && subject.claims.risk == "high"'

/** CLEAN with a condition on the rule for checkout's tokens. */
const charging = (when: string) => changed(CLEAN, CHARGE, `${CHARGE}\n        when: '${when}'`)
const scoped = (when: string) =>
  changed(
    CLEAN,
    '{payment:charge: [checkout:place]}',
    `{payment:charge: {any: [checkout:place], when: '${when}'}}`,
  )
const denying = (when: string) => changed(CLEAN, DENY, `'${when}'`)
const ctx = (entry: string) =>
  changed(CLEAN, 'embeddable: true', `embeddable: true\n    ctx: {x: ${entry}}`)

describe('rules check: conditions on claims', () => {
  for (const [when, id] of [
    ['subject.claims.risk == "low"', undefined],
    ['subject.claims.phone == "1"', 'claim-never-there'],
    // Tested first, it is still never true.
    ['has(subject.claims.phone) && subject.claims.phone == "1"', 'claim-never-there'],
    ['!has(subject.claims.phone) || subject.claims.phone == "1"', 'claim-test-never-true'],
    // Reading what is absent is an error, even where it does not decide.
    ['subject.sub == "x" || subject.claims.phone == "1"', 'claim-never-there'],
    ['subject.claims.client_id == "x" && subject.claims.act.sub == "y"', undefined],
    ['actor.sub == "x"', 'actor-never-there'],
    ['!has(actor.sub) || actor.issuer == "agents"', undefined],
  ] as const) {
    it(`of a rule: ${when}`, () => {
      const ids = id === undefined ? [] : [`27:15 ${id}`]
      assert.deepEqual(found(charging(when)), ids)
    })
    it(`of a scope: ${when}`, () => {
      const ids = id === undefined ? [] : [`26:64 ${id}`]
      assert.deepEqual(found(scoped(when)), ids)
    })
  }

  it('says what follows', () => {
    const when = 'subject.claims.phone == "1"'
    const why = 'boutique/checkout does not list phone in claims'
    assert.equal(said(charging(when), 'claim-never-there'), `${why}, so this rule always denies`)
    assert.equal(
      said(scoped(when), 'claim-never-there'),
      `${why}, so payment:charge is never given`,
    )
    assert.equal(
      said(charging(`subject.sub == "x" || ${when}`), 'claim-never-there'),
      `${why}, and reading it is an error`,
    )
    assert.equal(
      said(charging('actor.sub == "x"'), 'actor-never-there'),
      'boutique/payment <- boutique/checkout [self] takes no actor token (actors), so this rule always denies',
    )
  })

  it('says what is only looked for', () => {
    assert.equal(
      said(charging('!has(subject.claims.phone) || true'), 'claim-test-never-true'),
      'boutique/checkout does not list phone in claims, so it is never there',
    )
  })

  it('tokens of other issuers may carry any claim, and actor tokens come where they are taken', () => {
    const rule = 'actors: [agents]\n'
    const text = changed(
      CLEAN,
      rule,
      `${rule}        when: subject.claims.x == 1 && actor.sub == "a"\n`,
    )
    assert.deepEqual(found(text), [])
  })

  it('a claim that a hop lists and no hop before it passes on', () => {
    const phone = 'subject.claims.phone == "1"'
    const mailed = CLEAN.replace('claims: [email]\n', 'claims: [email, phone]\n')
    assert.deepEqual(found(mailed), ['31:21 claim-never-arrives'])
    const text = changed(
      changed(
        mailed,
        '  ads:\n',
        `  post:\n    scopes: [post:send]\n    accepts:\n      - {from: mailer, when: '${phone}', scopes: {post:send: [mail:send]}}\n  ads:\n`,
      ),
      'scopes: [mail:send]',
      'scopes: [mail:send]\n    calls: [post]',
    )
    assert.deepEqual(found(text), ['32:21 claim-never-arrives', '38:30 claim-never-there'])
    assert.match(
      said(text, 'claim-never-there'),
      /^boutique\/mailer lists phone in claims, but no token for it carries one, so this rule/,
    )
  })

  it('one of several callers that passes a claim on is enough', () => {
    const text = changed(
      changed(CLEAN, 'calls: [checkout, ads]', 'calls: [checkout, ads, payment]'),
      CHARGE,
      `${CHARGE}\n      - {from: frontend, issuer: corporate, scopes: {payment:charge: [shop:buy]}}`,
    )
    assert.deepEqual(found(changed(text, 'claims: [email, risk]', 'claims: [email]')), [
      '29:16 claim-test-never-true',
    ])
    assert.match(
      said(changed(text, 'claims: [email, risk]', 'claims: [email]'), 'claim-test-never-true'),
      /so this deny is blind to it there$/,
    )
  })

  it('a circle of services passes nothing on that did not come in', () => {
    const text = `
namespace: boutique
services:
  frontend: {calls: [a]}
  a:
    scopes: [a]
    claims: [email, phone]
    calls: [b]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {a: [shop:buy]}}
      - {from: b, scopes: {a: [b]}}
  b:
    scopes: [b]
    claims: [phone, risk]
    calls: [a]
    accepts:
      - {from: a, scopes: {b: [a]}}
`
    assert.deepEqual(found(text), ['14:21 claim-never-arrives'])
  })

  it('where no token can come at all, only that is told', () => {
    const text = changed(CLEAN, 'calls: [checkout, ads]', 'calls: [ads]')
    assert.deepEqual(found(text), ['12:15 rule-without-call'])
  })
})

describe('rules check: denies', () => {
  for (const [when, id] of [
    [DENY, undefined],
    ['subject.claims.phone == "1"', 'claim-never-there'],
    ['has(subject.claims.phone) && subject.claims.phone == "1"', 'deny-never-fires'],
    ['has(subject.claims.phone) || subject.sub == "eve"', 'claim-test-never-true'],
    ['has(actor.sub) && actor.issuer == "agents"', 'deny-never-fires'],
    ['subject.sub == "eve"', undefined],
  ] as const) {
    it(when, () => {
      const expected = id === undefined ? [] : [`28:16 ${id}`]
      const text = denying(when)
      const ids = found(text).filter((line) => !line.endsWith('claim-never-arrives'))
      assert.deepEqual(ids, expected)
    })
  }
  it('an error in a deny denies', () => {
    assert.equal(
      said(denying('subject.claims.phone == "1"'), 'claim-never-there'),
      'boutique/checkout does not list phone in claims: reading it is an error, and an error in a deny denies what boutique/payment <- boutique/checkout [self] gives',
    )
  })
  it('a caller whom no rule lets in', () => {
    const text = changed(CLEAN, '- {when: has', '- {from: frontend, when: has')
    assert.deepEqual(found(text), ['28:9 deny-never-fires'])
  })
  it('a caller who is let in by name or namespace', () => {
    for (const from of ['checkout', 'boutique/*', '[frontend, checkout]']) {
      assert.deepEqual(found(changed(CLEAN, '- {when: has', `- {from: ${from}, when: has`)), [])
    }
  })
})

describe('rules check: ctx', () => {
  for (const [entry, expected] of [
    ['{claim: risk}', []],
    ['{value: 1}', []],
    ['{claim: phone}', ['24:22 claim-never-arrives']],
    ["{computed: 'subject.claims.phone'}", ['24:25 claim-never-there']],
    ["{computed: 'has(subject.claims.phone) ? 1 : 2'}", ['24:25 claim-test-never-true']],
    ["{computed: 'has(subject.claims.risk) ? 1 : 2'}", []],
  ] as const) {
    it(entry, () => assert.deepEqual(found(ctx(entry)), expected))
  }

  const two = (entry: string) =>
    changed(
      changed(ctx(entry), 'calls: [checkout, ads]', 'calls: [checkout, ads, payment]'),
      CHARGE,
      `${CHARGE}\n      - {from: frontend, issuer: corporate, scopes: {payment:charge: [shop:buy]}}`,
    )
  for (const [entry, expected] of [
    ['{claim: phone}', []],
    ["{computed: 'has(subject.claims.phone) ? 1 : 2'}", []],
    ["{computed: 'subject.claims.phone'}", ['24:25 claim-never-there']],
  ] as const) {
    it(`${entry} where one of two rules may bring it`, () => {
      assert.deepEqual(found(two(entry)), expected)
    })
  }
})
