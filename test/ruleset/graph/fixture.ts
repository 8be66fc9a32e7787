// Owns the rulesets of the graph's tests: one that has everything a picture can show, and large ones.
import fc from 'fast-check'
import type { ObservedUse } from '../../../src/ruleset/graph/view.ts'

/** Every way of sharing, both kinds of strangers, conditions, denies, audit mode. */
export const EVERYTHING = `
namespace: shop
services:
  frontend:
    calls: [checkout, ads, legacy, search]
  checkout:
    audience: https://checkout.shop.example
    scopes: [quote, place]
    claims: [risk, email]
    ctx: {tongue: {claim: locale}, channel: {value: web}}
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        when: subject.claims.email_verified == true
        scopes:
          quote: [shop:buy, shop:browse]
          place: {all: [shop:buy, shop:verified], when: '"mfa" in subject.claims.amr'}
        embed: [{to: payment, required: true}, mailer]
        actors: [agents]
      - from: ops/*
        issuer: corporate
        scopes: {quote: [ops:read]}
  payment:
    scopes: [charge, refund]
    embeddable: true
    token: {lifetime: 1m}
    calls: [bank]
    accepts:
      - from: checkout
        scopes: {charge: [place]}
        embed: [bank]
    denies:
      - {when: 'has(subject.claims.risk) && subject.claims.risk == "high"', reason: high-risk}
  bank:
    external: true
    embeddable: true
    audience: https://bank.example
    scopes: [post]
    token: {lifetime: 30s}
    accepts:
      - {from: payment, scopes: {post: [charge]}}
  mailer:
    scopes: [send]
    claims: [email]
    embeddable: true
    accepts:
      - {from: checkout, scopes: {send: [place, quote]}}
      - {from: nightly, issuer: workload, scopes: {send: [reports:send]}}
    denies:
      - {from: nightly, reason: quiet-hours, mode: audit}
  ads:
    scopes: [show]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {show: [shop:browse]}, act: impersonate}
  legacy:
    also_audiences: [https://api.shop.example]
    accepts:
      - {from: frontend, issuer: corporate, forward: true}
  search:
    scopes: [find, suggest]
    accepts:
      - {from: frontend, issuer: corporate, scopes: [find, suggest], when: 'now > timestamp("2026-01-01T00:00:00Z")', mode: audit}
  unused:
    scopes: [x]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {x: [shop:browse]}}
  nightly:
    grants: [reports:send]
    calls: [mailer]
  partner-batch:
    client_keys: {jwks_file: keys/partner.json}
    calls: [search]
`

/** Another namespace, one of whose services is shut out. */
export const OPS = `
namespace: ops
services:
  support:
    calls: [shop/checkout]
  robot:
    calls: [shop/checkout, shop/payment]
`

/** What an audit of those could have counted. */
export const OBSERVED: readonly ObservedUse[] = [
  use('shop/checkout <- shop/frontend [corporate]', 'shop/frontend', 'shop/checkout', 12_345, 17),
  use('shop/payment <- shop/checkout [self]', 'shop/checkout', 'shop/payment', 11_000, 3, 10_900),
  use('shop/bank <- shop/payment [self]', 'shop/payment', 'shop/bank', 10_000, 0, 10_000),
  use('shop/mailer <- shop/nightly [workload]', 'shop/nightly', 'shop/mailer', 30, 0, 0, 30),
  use('shop/checkout <- ops/* [corporate]', 'ops/robot', 'shop/checkout', 2, 0),
  use(undefined, 'ops/robot', 'shop/payment', 0, 40),
  use('shop/bank <- shop/checkout [self]', 'shop/checkout', 'shop/bank', 5, 1),
  use(undefined, 'shop/gone', 'shop/payment', 0, 9),
]

function use(
  rule: string | undefined,
  caller: string,
  target: string,
  granted: number,
  denied: number,
  embedded = 0,
  wouldDeny = 0,
): ObservedUse {
  return { rule, caller, target, granted, embedded, denied, wouldDeny }
}

/** Many services, each of which calls ten others (fewer where there are not so many). */
export function large(services: number): string {
  const reach = (at: number, direction: 1 | -1): readonly number[] => [
    ...new Set(STEPS.map((step) => (at + direction * step + 1000 * services) % services)),
  ]
  const lines = ['namespace: big', 'services:']
  for (let at = 0; at < services; at++) {
    const calls = reach(at, 1).map((other) => `s${other}`)
    lines.push(
      `  s${at}:`,
      `    scopes: [r${at}]`,
      `    calls: [${calls.join(', ')}]`,
      '    accepts:',
    )
    for (const caller of reach(at, -1)) {
      lines.push(`      - {from: s${caller}, scopes: {r${at}: [r${caller}]}}`)
    }
  }
  return lines.join('\n')
}

const STEPS = [1, 2, 4, 7, 11, 16, 22, 29, 37, 46]

/** Any text that may be a scope, most of it hostile. */
export const scopeText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(..."<>&|{}[]()#;%`*_~$^=-'/:.!@+,?"),
      fc.constantFrom('style', 'classDef', 'end', '-->', '%%{', ']]>', '<br/>', '&lt;', '#34;'),
      fc.constantFrom(...'abXY09'),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join('').slice(0, 30))

/** A scope where scopes can stand, and in a condition. */
export const hostile = (scope: string): string => `
namespace: h
services:
  a: {calls: [b]}
  b:
    scopes: [${JSON.stringify(scope)}]
    accepts:
      - from: a
        issuer: corporate
        when: ${JSON.stringify(`subject.sub != ${JSON.stringify(scope)}`)}
        scopes: [${JSON.stringify(scope)}]
`
