// Owns the tests of the comparison of two tokens and of its look in a terminal.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { edgeOf } from '../../src/cli/exchange-edge.ts'
import { SIGNS_LEGEND, tokenColumns } from '../../src/cli/token-columns.ts'
import { type Claims, type DiffInput, diffTokens } from '../../src/cli/token-diff.ts'
import { BOUTIQUE, compiled } from '../support/rules.ts'

const SELF = 'https://sts.boutique.example'
const LOGIN = 'https://login.corp.example'
const FRONTEND = 'spiffe://cluster.local/ns/boutique/sa/frontend'
const rules = compiled(BOUTIQUE)
const settings = {
  issuer: SELF,
  issuers: [{ name: 'corporate', issuer: LOGIN }] as never,
  clientAuth: {} as never,
}

const BEFORE: Claims = {
  iss: LOGIN,
  sub: 'alice',
  aud: 'https://api.shop.example',
  scope: 'shop:browse shop:buy shop:verified',
  iat: 1000,
  exp: 1600,
  email: 'a@x.example',
  phone: '+1',
  nonce: 'n',
  may_act: { sub: FRONTEND },
}
const AFTER: Claims = {
  iss: SELF,
  sub: 'corp:alice',
  aud: 'https://checkout.boutique.example',
  client_id: FRONTEND,
  scope: 'checkout:place',
  iat: 1000,
  exp: 1300,
  jti: 'j',
  act: { sub: FRONTEND },
  chain: [FRONTEND],
  email: 'a@x.example',
}

const edge = edgeOf(settings, rules, { before: BEFORE, after: AFTER })
const input = (change: Partial<DiffInput> = {}): DiffInput => ({
  before: BEFORE,
  after: AFTER,
  asked: ['checkout:place'],
  edge,
  ...change,
})

const rowOf = (claim: string, change: Partial<DiffInput> = {}) =>
  diffTokens(input(change)).find((row) => row.claim === claim)
const scopeOf = (scope: string, change: Partial<DiffInput> = {}) =>
  diffTokens(input(change)).find((row) => row.scope === scope)

test('the edge is found by audience, client and issuer; not where one is foreign', () => {
  assert.equal(edge?.rule.id, 'boutique/checkout <- boutique/frontend [corporate]')
  for (const change of [
    { after: { ...AFTER, aud: 'https://other.example' } },
    { after: { ...AFTER, client_id: 'spiffe://cluster.local/ns/x/sa/y' } },
    { after: { ...AFTER, client_id: undefined } },
    { before: { ...BEFORE, iss: 'https://other.example' } },
    { before: { ...BEFORE, iss: SELF } },
  ]) {
    assert.equal(edgeOf(settings, rules, { before: BEFORE, after: AFTER, ...change }), undefined)
  }
})

test('P7: of tokens that travel inside, only their names are told', () => {
  const after = { ...AFTER, embedded: { payment: 'eyJ.eyJ.x', 'depot/stock': 'eyJ.eyJ.y' } }
  assert.deepEqual(rowOf('embedded', { after })?.after, [
    'payment (a token)',
    'depot/stock (a token)',
  ])
  assert.deepEqual(
    rowOf('embedded', { before: after, after: { ...AFTER, embedded: 'eyJ' } })?.after,
    ['(a token)'],
  )
  assert.match(rowOf('embedded', { after })?.why ?? '', /minted along/)
})

test('the edge of a job is found by what its token says of its issuer', () => {
  const jobs = compiled(`
namespace: boutique
services:
  job:
    grants: [books:close]
    calls: [ledger]
  ledger:
    scopes: [ledger:close]
    accepts: [{from: job, issuer: workload, scopes: {ledger:close: [books:close]}}]
`)
  const id = 'spiffe://cluster.local/ns/boutique/sa/job'
  const account = { iss: 'https://cluster.example', sub: 'system:serviceaccount:boutique:job' }
  const after = { ...AFTER, sub: id, aud: 'ledger.boutique', client_id: id, scope: 'ledger:close' }
  const clientAuth = { kubernetes: { issuer: account.iss } } as never
  const found = (before: Claims) => edgeOf({ ...settings, clientAuth }, jobs, { before, after })
  for (const before of [{ sub: id }, { sub: id, iss: 'https://spire.example' }, account]) {
    assert.equal(found(before)?.rule.id, 'boutique/ledger <- boutique/job [workload]')
  }
  for (const iss of [LOGIN, SELF]) assert.equal(found({ sub: id, iss }), undefined)
  const edge = found(account)
  const why = (claim: string) =>
    rowOf(claim, { before: account, after, edge, asked: undefined })?.why
  assert.equal(why('sub'), 'the SPIFFE ID that the service account has in the mesh')
  assert.equal(why('scope'), 'granted: justified by books:close')
})

test('own claims: what changed and why', () => {
  assert.equal(rowOf('sub')?.change, 'changed')
  assert.match(rowOf('sub')?.why ?? '', /subject_prefix/)
  assert.match(rowOf('aud')?.why ?? '', /one target, so one audience/)
  assert.equal(rowOf('act')?.change, 'added')
  assert.equal(rowOf('may_act')?.change, 'dropped')
  assert.match(rowOf('may_act')?.why ?? '', /never copied/)
  assert.match(rowOf('nonce')?.why ?? '', /never copied/)
})

test('act is one actor a line, the current one first', () => {
  const act = { sub: 'c', act: { sub: 'b', iss: 'https://b', act: { sub: 'a' } } }
  const row = rowOf('act', { before: { ...BEFORE, act: act.act }, after: { ...AFTER, act } })
  assert.deepEqual(row?.after, ['c', 'b (of https://b)', 'a'])
  assert.match(row?.why ?? '', /outermost/)
})

test('exp is the least of what is left and what the target allows', () => {
  assert.equal(
    rowOf('exp')?.why,
    'least of: the subject token has 10m left, boutique/checkout allows 5m',
  )
  assert.deepEqual(rowOf('exp')?.after, ['1970-01-01T00:21:40Z (5m)'])
  assert.match(rowOf('exp', { edge: undefined })?.why ?? '', /the target allows less/)
  const same = { edge: undefined, after: { ...AFTER, exp: 1600 } }
  assert.match(rowOf('exp', same)?.why ?? '', /nothing may outlive it/)
})

test('scopes: granted by what, not asked for, not justified, no rule', () => {
  assert.equal(scopeOf('checkout:place')?.why, 'granted: justified by shop:buy and shop:verified')
  assert.equal(scopeOf('checkout:quote')?.why, 'not asked for (needs any of shop:browse, shop:buy)')
  const all = { asked: undefined, after: { ...AFTER, scope: 'checkout:quote' } }
  assert.equal(
    scopeOf('checkout:place', { ...all, before: { ...BEFORE, scope: 'shop:browse' } })?.why,
    'not justified: needs all of shop:buy, shop:verified',
  )
  assert.equal(
    scopeOf('checkout:quote', { ...all, before: { ...BEFORE, scope: 'shop:browse' } })?.why,
    'granted: justified by shop:browse (any of shop:browse, shop:buy)',
  )
  assert.equal(scopeOf('shop:buy')?.why, 'boutique/checkout has no such scope')
  assert.equal(scopeOf('shop:buy', { edge: undefined })?.why, 'not granted for the target')
})

test('a scope that no rule gives to this caller', () => {
  const next = {
    before: { ...AFTER },
    after: {
      ...AFTER,
      aud: 'payment.boutique',
      scope: 'payment:charge',
      client_id: 'spiffe://cluster.local/ns/boutique/sa/checkout',
    },
  }
  const hop = edgeOf(settings, rules, next)
  assert.ok(hop)
  const row = scopeOf('payment:refund', { ...next, edge: hop, asked: undefined })
  assert.equal(row?.change, 'withheld')
  assert.equal(row?.why, 'no rule gives it to boutique/checkout')
})

test('claims: kept because listed, dropped because not', () => {
  assert.equal(rowOf('email')?.change, 'kept')
  assert.equal(rowOf('email')?.why, 'boutique/checkout lists it in claims')
  assert.equal(rowOf('phone')?.why, 'boutique/checkout does not list it in claims')
  assert.equal(rowOf('phone', { edge: undefined })?.why, 'the target does not list it in claims')
})

test('impersonation is said where act would stand', () => {
  const rule = edge?.rule
  assert.ok(edge && rule)
  const { act: _, chain: __, ...after } = AFTER
  const row = rowOf('act', { after, edge: { ...edge, rule: { ...rule, act: 'impersonate' } } })
  assert.equal(row?.change, 'withheld')
  assert.match(row?.why ?? '', /impersonate/)
  assert.equal(rowOf('act', { after }), undefined)
})

test('the columns, at a fixed width', () => {
  const text = tokenColumns(diffTokens(input()), { width: 90, colour: false }).join('\n')
  assert.equal(
    text,
    `  claim      before                                 after
~ iss        https://login.corp.example             https://sts.boutique.example
             › this service issued it; its verifiers trust this issuer alone
~ sub        alice                                  corp:alice
             › the issuer's subject_prefix stands before it: no two issuers' subjects are
               one
~ aud        https://api.shop.example               https://checkout.boutique.example
             › one target, so one audience
+ client_id                                         spiffe://cluster.local/ns/boutique/
                                                    sa/frontend
             › who asked for this token
- scope      shop:browse
             shop:buy
             shop:verified
             › boutique/checkout has no such scope
+                                                   checkout:place
             › granted: justified by shop:buy and shop:verified
.                                                   (checkout:quote)
             › not asked for (needs any of shop:browse, shop:buy)
= iat        1970-01-01T00:16:40Z                   1970-01-01T00:16:40Z
~ exp        1970-01-01T00:26:40Z (10m)             1970-01-01T00:21:40Z (5m)
             › least of: the subject token has 10m left, boutique/checkout allows 5m
+ jti                                               j
+ act                                               spiffe://cluster.local/ns/boutique/
                                                    sa/frontend
             › who acts for the subject now
+ chain                                             spiffe://cluster.local/ns/boutique/
                                                    sa/frontend
             › callers that this service authenticated, first caller first
= email      a@x.example                            a@x.example
             › boutique/checkout lists it in claims
- phone      +1
             › boutique/checkout does not list it in claims
- nonce      n
             › never copied from one token into another
- may_act    {"sub":"spiffe://cluster.local/ns/
             boutique/sa/frontend"}
             › it named who may act, was checked, and is never copied`,
  )
})

test('every change has a sign of its own, with and without colour', () => {
  const rows = diffTokens(input())
  const plain = tokenColumns(rows, { width: 90, colour: false })
  const painted = tokenColumns(rows, { width: 90, colour: true })
  assert.ok(painted.some((line) => line.includes('\u001b[')))
  assert.deepEqual(
    painted.map((line) => stripVTControlCharacters(line)),
    plain,
  )
  const signs = new Set(plain.slice(1).map((line) => line[0]))
  for (const sign of ['=', '~', '+', '-', '.']) {
    assert.ok(signs.has(sign), sign)
    assert.ok(SIGNS_LEGEND.includes(`${sign} `))
  }
})

test('whatever tokens say: nothing throws, lines fit, and nothing steers the terminal', () => {
  const claims = fc.dictionary(
    fc.oneof(fc.constantFrom('act', 'exp', 'iat', 'scope', 'chain', 'aud', 'email'), fc.string()),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(claims, claims, fc.integer({ min: 1, max: 300 }), (before, after, width) => {
      for (const each of [edge, undefined]) {
        const rows = diffTokens({ before, after, asked: undefined, edge: each })
        for (const line of tokenColumns(rows, { width, colour: false })) {
          assert.ok(line.length <= Math.max(60, Math.min(width, 160)), line)
          // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
          assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u202e]/)
        }
      }
    }),
  )
})
