// Owns small rulesets for tests, compiled by the real loader.
import assert from 'node:assert/strict'
import type { Problem } from '../../src/config/problem.ts'
import { loadRuleset } from '../../src/ruleset/load.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'

/** The deployment that test rules are compiled against. */
export const CONTEXT = {
  trustDomains: ['cluster.local', 'partner.example'],
  issuers: ['corporate', 'agents'],
  algorithms: ['ES256', 'RS256'] as const,
  selfIss: 'https://sts.boutique.example',
  parseDuration: (text: string): number | undefined => {
    const match = /^(\d+)(s|m|h)$/.exec(text)
    if (match === null) return undefined
    const unit = { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
    return Number(match[1]) * unit
  },
}

/** A valid ruleset that denial tests change in one thing. */
export const BOUTIQUE = `
namespace: boutique
services:
  frontend:
    audience: https://frontend.boutique.example
    scopes: [ui]
    calls: [checkout]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote]
    claims: [email, risk]
    token: {lifetime: 5m}
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        scopes:
          checkout:quote: [shop:browse, shop:buy]
          checkout:place: {all: [shop:buy, shop:verified]}
        actors: [agents]
  payment:
    scopes: [payment:charge, payment:refund]
    token: {lifetime: 1m}
    accepts:
      - from: checkout
        scopes: {payment:charge: [checkout:place]}
  mailer:
    scopes: [mail:send]
    accepts:
      - from: checkout
        act: impersonate
        scopes: {mail:send: [checkout:place]}
`

/** Loads rule texts, one file each. */
export const load = (...texts: string[]) =>
  loadRuleset(
    texts.map((text, index) => ({ file: `rules/${index}.yaml`, text })),
    CONTEXT,
  )

/** Compiles rules that must be right. */
export function compiled(...texts: string[]): Ruleset {
  const { ruleset, problems } = load(...texts)
  assert.deepEqual(problems, [])
  assert.ok(ruleset)
  return ruleset
}

/** `line:column message` of each problem. */
export const told = (problems: readonly Problem[]): string[] =>
  problems.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? '' : ` → ${suggestion}`}`,
  )
