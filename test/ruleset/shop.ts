// Owns a small ruleset in which every key of the language is used once, and rightly.
// Must not test anything.

/** A shop in which every key of the language is used once, and rightly. */
export const SHOP = `
namespace: shop
services:
  front:
    scopes: [ui]
    calls: [desk, feed, tour]
  desk:
    audience: https://desk.shop.example
    scopes: [desk:read, desk:write]
    claims: [email, risk]
    calls: [till]
    ctx:
      tenant: {claim: organisation}
      region: {value: eu}
      staff: {computed: '"staff" in subject.scopes'}
    accepts:
      - from: front
        issuer: corporate
        when: subject.claims.email_verified == true
        scopes:
          desk:read: [shop:browse]
          desk:write: {all: [shop:buy], when: '"mfa" in subject.claims.amr', mode: audit}
        embed: [till]
    denies:
      - {from: front, when: 'has(subject.claims.risk) && subject.claims.risk == "high"', reason: risky}
      - {reason: closing, mode: audit}
  till:
    scopes: [till:open]
    embeddable: true
    calls: [bank]
    accepts:
      - {from: desk, scopes: {till:open: [desk:write]}, embed: [{to: bank, required: true}]}
  bank:
    scopes: [bank:book]
    embeddable: true
    accepts:
      - {from: till, scopes: {bank:book: [till:open]}}
  feed:
    also_audiences: [https://api.shop.example]
    accepts:
      - {from: front, issuer: corporate, forward: true}
  tour:
    scopes: [tour:go]
    accepts:
      - {from: front, issuer: corporate, scopes: {tour:go: [shop:browse]}}
  report:
    grants: [books:close]
    calls: [ledger]
  ledger:
    external: true
    audience: https://ledger.partner.example
    scopes: [ledger:post]
    accepts:
      - {from: report, issuer: workload, scopes: {ledger:post: [books:close]}}
`
