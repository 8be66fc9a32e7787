// Owns the deployment that rules are checked against in tests, and findings in one line.
import assert from 'node:assert/strict'
import { type CheckedRules, checkRules } from '../../src/ruleset/check/check.ts'
import type { CheckContext } from '../../src/ruleset/check/checking.ts'
import { CONTEXT, load } from './rules.ts'

/** Users' tokens come by boutique/frontend, agents' by boutique/frontend and shop/front. */
export const CHECK_CONTEXT: CheckContext = {
  issuer: CONTEXT.selfIss,
  issuers: new Map([
    [
      'corporate',
      {
        iss: 'https://login.corp.example',
        presentedBy: new Map([
          ['https://api.shop.example', new Set(['boutique/frontend', 'shop/front'])],
        ]),
        subjectPrefix: 'corp',
        scopesFrom: [
          { path: ['scope'], prefix: '' },
          { path: ['roles'], prefix: 'role:' },
        ],
      },
    ],
    [
      'agents',
      {
        iss: 'https://agents.example',
        presentedBy: new Map([['https://agents.shop.example', new Set(['boutique/assistant'])]]),
        subjectPrefix: 'agents',
        scopesFrom: [{ path: ['scope'], prefix: 'agent:' }],
      },
    ],
  ]),
  selfIss: CONTEXT.selfIss,
  workloadAudiences: [CONTEXT.selfIss],
  algorithm: 'ES256',
  maxTokenCharacters: 8192,
  rulesetClaim: false,
}

/** Checks rule texts, one file each, with load errors and findings together. */
export function check(texts: readonly string[], change: Partial<CheckContext> = {}): CheckedRules {
  const { ruleset, problems, written } = load(...texts)
  const checked = checkRules(written, ruleset, { ...CHECK_CONTEXT, ...change })
  return { ...checked, findings: [...problems, ...checked.findings] }
}

/** `line:column id`, and with `says` the message and suggestion, of each finding of one file. */
export function found(text: string, change: Partial<CheckContext> = {}): string[] {
  return check([text], change).findings.map(({ line, column, id }) => `${line}:${column} ${id}`)
}

/** The message of the one finding of that id. */
export function said(text: string, id: string, change: Partial<CheckContext> = {}): string {
  const { findings } = check([text], change)
  const [finding, ...others] = findings.filter((each) => each.id === id)
  assert.ok(finding !== undefined && others.length === 0, JSON.stringify(findings))
  return finding.suggestion === undefined
    ? finding.message
    : `${finding.message} → ${finding.suggestion}`
}

/** Replaces what must be there, once. */
export function changed(text: string, from: string, to: string): string {
  assert.equal(text.split(from).length, 2, `${from} stands once`)
  return text.replace(from, to)
}

/** A ruleset of which nothing is to be said; tests change one thing. */
export const CLEAN = `
namespace: boutique
services:
  frontend:
    calls: [checkout, ads]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote]
    claims: [email, risk]
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        actors: [agents]
        scopes:
          checkout:quote: [shop:browse, shop:buy]
          checkout:place: {all: [shop:buy, shop:verified]}
        embed: [payment]
  payment:
    scopes: [payment:charge]
    claims: [risk]
    token: {lifetime: 1m}
    embeddable: true
    accepts:
      - from: checkout
        scopes: {payment:charge: [checkout:place]}
    denies:
      - {when: has(subject.claims.risk) && subject.claims.risk == "high", reason: high-risk}
  mailer:
    scopes: [mail:send]
    claims: [email]
    accepts:
      - {from: [checkout], scopes: {mail:send: [checkout:place]}}
  ads:
    scopes: [ads:show]
    accepts:
      - {from: frontend, issuer: corporate, act: impersonate, scopes: {ads:show: [shop:browse]}}
  nightly:
    grants: [books:close]
    calls: [ledger]
  ledger:
    external: true
    audience: https://ledger.partner.example
    scopes: [ledger:post]
    accepts:
      - {from: nightly, issuer: workload, scopes: {ledger:post: [books:close]}}
`
