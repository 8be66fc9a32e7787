// What entries of `never` mean, and what is told of names that mean nothing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { safeParse } from '../../../src/config/zod-problems.ts'
import { type NeverEntry, neverEntry, resolveNever } from '../../../src/ruleset/prove/never.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(
  `
namespace: shop
services:
  front: {calls: [desk], grants: [job:run]}
  desk:
    scopes: [desk:read, read]
    claims: [email]
    accepts: [{from: front, issuer: corporate, scopes: {desk:read: [user:browse]}}]
    denies: [{when: has(subject.claims.blocked), reason: blocked}]
  till: {scopes: [till:open, read]}
`,
  'namespace: depot\nservices: {stock: {}}\n',
)

const resolve = (entry: NeverEntry) => resolveNever(entry, 'shop', RULES)

/** `path message → suggestion` of each problem. */
const told = (entry: NeverEntry): string[] =>
  resolve(entry).problems.map(
    ({ path, message, suggestion, severity }) =>
      `${severity} ${path.join('.')} ${message} → ${suggestion}`,
  )

function meant(entry: NeverEntry) {
  const { never, problems } = resolve(entry)
  assert.deepEqual(problems, [])
  assert.ok(never)
  return {
    holders: never.holders.map(({ name }) => name),
    targets: never.kind === 'obtains' ? never.targets?.map(({ name }) => name) : undefined,
    text: never.text,
    reason: never.reason,
  }
}

describe('never', () => {
  it('a scope means tokens for the services that know it', () => {
    assert.deepEqual(meant({ caller: 'front', obtains: 'till:open', reason: 'no cash' }), {
      holders: ['shop/front'],
      targets: ['shop/till'],
      text: 'shop/front obtains till:open',
      reason: 'no cash',
    })
    assert.deepEqual(meant({ caller: 'front', obtains: 'read' }).targets, [
      'shop/desk',
      'shop/till',
    ])
  })
  it('`of` says whose', () => {
    const { targets, text } = meant({ caller: 'depot/stock', obtains: 'read', of: 'till' })
    assert.deepEqual([targets, text], [['shop/till'], 'depot/stock obtains read of shop/till'])
  })
  it('a scope of another issuer, and a grant, count wherever they are accepted', () => {
    assert.equal(meant({ caller: 'desk', obtains: 'user:browse' }).targets, undefined)
    assert.equal(meant({ caller: 'desk', obtains: 'job:run' }).targets, undefined)
  })
  it('a namespace means each of its services', () => {
    const holders = ['shop/front', 'shop/desk', 'shop/till']
    assert.deepEqual(
      meant({ caller: 'shop/*', obtains: 'read' }).holders.toSorted(),
      holders.toSorted(),
    )
    assert.deepEqual(meant({ service: 'shop/*', sees: 'email' }).text, 'shop/* sees email')
  })
  it('claims that services list, and that conditions read', () => {
    assert.deepEqual(meant({ service: 'till', sees: 'email' }).holders, ['shop/till'])
    assert.deepEqual(meant({ service: 'till', sees: 'blocked' }).holders, ['shop/till'])
  })

  it('names that mean nothing are errors, with what was probably meant', () => {
    assert.deepEqual(told({ caller: 'frunt', obtains: 'till:open' }), [
      'error caller no service shop/frunt → shop/front',
    ])
    assert.deepEqual(told({ caller: 'shup/*', obtains: 'till:open' }), [
      'error caller no namespace shup → shop/*',
    ])
    assert.deepEqual(told({ caller: 'front', obtains: 'till:opne', of: 'tull' }), [
      'error of no service shop/tull → shop/till',
      'error obtains no service knows the scope till:opne, and no rule names it → till:open',
    ])
    assert.deepEqual(told({ caller: 'front', obtains: 'read', of: 'shop/*' }), [
      'error of no service shop/* → undefined',
    ])
    assert.deepEqual(told({ service: 'desk', sees: 'emial' }), [
      'error sees no service lists the claim emial → email',
    ])
    assert.deepEqual(told({ service: 'desk', sees: 'sub' }), [
      'error sees sub is no claim of a user that a service could list: rules do not withhold it → undefined',
    ])
    for (const entry of [
      { caller: 'frunt', obtains: 'till:open' },
      { service: 'desk', sees: 'emial' },
    ]) {
      assert.equal(resolve(entry).never, undefined)
    }
  })
  it('a claim that nobody lists may be meant for later: a warning, and it is proved', () => {
    const entry = { service: 'desk', sees: 'passport_number' }
    assert.deepEqual(told(entry), [
      'warning sees no service lists the claim passport_number → undefined',
    ])
    assert.ok(resolve(entry).never)
  })

  it('is one of two forms and nothing else', () => {
    const parses = (value: unknown) => safeParse(neverEntry, value).success
    assert.ok(parses({ caller: 'a', obtains: 'b', of: 'c', reason: 'd' }))
    assert.ok(parses({ service: 'a', sees: 'b', reason: 'd' }))
    for (const value of [
      {},
      { caller: 'a' },
      { caller: 'a', sees: 'b' },
      { service: 'a', sees: 'b', of: 'c' },
      { caller: 'a', obtains: 'b', service: 'c', sees: 'd' },
      { caller: '', obtains: 'b' },
      { caller: 'a', obtains: ['b'] },
      { caller: 'a'.repeat(129), obtains: 'b' },
      'a',
    ]) {
      assert.ok(!parses(value), JSON.stringify(value))
    }
  })
})
