// Owns a ruleset that uses every predicate of the language, tests for it, and the ways to run them in memory.
// Must not assert what a test is about.
import assert from 'node:assert/strict'
import type { Scene } from '../../src/ruleset/rehearse/scenario.ts'
import type { Surroundings } from '../../src/ruleset/rehearse/surroundings.ts'
import { readTestFile } from '../../src/ruleset/rehearse/test-file.ts'
import { casesOf, runTest, type TestResult } from '../../src/ruleset/rehearse/test-run.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'
import { ISSUER } from './facts.ts'
import { compiled, told } from './rules.ts'

/** Every kind of predicate once: conditions, denies, actors, impersonation, embedding, forwarding, grants, ctx. */
export const SHOP_RULES = `
namespace: boutique
services:
  frontend:
    audience: https://frontend.boutique.example
    scopes: [ui]
    calls: [checkout, ads, feed, closed]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote, checkout:never]
    claims: [email, risk]
    ctx:
      channel: {value: web}
      language: {claim: locale}
      strong: {computed: 'subject.claims.level > 1'}
    token: {lifetime: 5m}
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        when: subject.claims.email_verified == true
        scopes:
          checkout:quote: [shop:browse, shop:buy]
          checkout:place: {all: [shop:buy, shop:verified], when: '"mfa" in subject.claims.amr'}
        actors: [agents]
        embed: [payment]
    denies:
      - {from: frontend, when: 'has(subject.claims.blocked)', reason: blocked}
      - {when: 'has(subject.claims.odd)', reason: odd, mode: audit}
  payment:
    scopes: [payment:charge, payment:refund]
    token: {lifetime: 1m}
    embeddable: true
    calls: [bank]
    accepts:
      - from: checkout
        scopes: {payment:charge: [checkout:place]}
        embed: [{to: bank, required: true}]
    denies:
      - {when: 'has(subject.claims.risk) && subject.claims.risk == "high"', reason: high-risk-session}
  bank:
    scopes: [bank:book]
    token: {lifetime: 30s}
    embeddable: true
    accepts:
      - {from: payment, scopes: {bank:book: [payment:charge]}, when: '!("bank:closed" in subject.scopes)'}
  mailer:
    scopes: [mail:send]
    accepts:
      - {from: checkout, scopes: {mail:send: [checkout:place]}}
  ads:
    scopes: [ads:show]
    accepts:
      - {from: frontend, issuer: corporate, act: impersonate, scopes: {ads:show: [shop:browse]}}
  feed:
    also_audiences: [https://api.shop.example]
    accepts:
      - {from: frontend, issuer: corporate, forward: true}
  closed:
    scopes: [closed:in]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {closed:in: [shop:browse]}}
    denies:
      - {from: frontend, reason: for-good}
  nightly:
    grants: [books:close, books:read]
    calls: [ledger]
  ledger:
    external: true
    audience: https://ledger.partner.example
    scopes: [ledger:post]
    accepts:
      - {from: nightly, issuer: workload, scopes: {ledger:post: [books:close]}}
`

/** The deployment around them. */
export const SURROUNDINGS: Surroundings = {
  issuer: ISSUER,
  issuers: new Map([
    [
      'corporate',
      {
        iss: 'https://login.corp.example',
        presentedBy: new Map([
          ['https://api.shop.example', new Set(['boutique/frontend'])],
          ['https://desk.shop.example', new Set(['boutique/checkout'])],
        ]),
        subjectPrefix: 'corp',
      },
    ],
    [
      'agents',
      {
        iss: 'https://agents.example',
        presentedBy: new Map([['https://agents.boutique.example', new Set(['boutique/frontend'])]]),
        subjectPrefix: 'agent',
      },
    ],
  ]),
  algorithm: 'ES256',
  maxTokenCharacters: 8192,
  rulesetClaim: false,
}

/** A shopper who may place an order; one test changes one thing. */
export const SHOPPER =
  '{issuer: corporate, sub: alice, scope: shop:buy shop:verified, claims: {email_verified: true, amr: [mfa], level: 2, email: a@x.example, risk: low}}'

/** The scene of written requests. */
export const sceneOf = (ruleset: Ruleset, surroundings = SURROUNDINGS): Scene => ({
  ruleset,
  surroundings,
  namespace: 'boutique',
})

/** What reading a test file says: `line:column message → suggestion`. */
export const faultsOf = (text: string, ruleset = compiled(SHOP_RULES)): string[] =>
  told(
    readTestFile({ file: 'x.test.yaml', text }, { ruleset, surroundings: SURROUNDINGS }).problems,
  )

/** Runs a test file that must be in order. */
export function runTests(
  text: string,
  ruleset = compiled(SHOP_RULES),
  surroundings = SURROUNDINGS,
): TestResult[] {
  const { set, problems } = readTestFile({ file: 'x.test.yaml', text }, { ruleset, surroundings })
  assert.deepEqual(told(problems), [])
  assert.ok(set)
  return casesOf(set).map((test) => runTest(test, ruleset, surroundings))
}

/** `what: expected / actual` of each difference of the tests, by hop. */
export const differencesIn = (results: readonly TestResult[]): string[] =>
  results.flatMap(({ hops }) =>
    hops.flatMap(({ differences }) =>
      differences.map(({ what, expected, actual }) => `${what}: ${expected} / ${actual}`),
    ),
  )
