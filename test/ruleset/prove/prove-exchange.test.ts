// The second opinion on an exchange: each fault that a decision or a token could have is seen.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { breachOf } from '../../../src/ruleset/prove/prove-exchange.ts'
import type { Tailored } from '../../../src/tokens/tailor.ts'
import { tailor } from '../../../src/tokens/tailor.ts'
import { ISSUER, NOW, NOW_SECONDS, subject } from '../../support/facts.ts'
import { compiled } from '../../support/rules.ts'

const RULES = compiled(`
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [b:1, b:2, b:3]
    claims: [email]
    ctx: {level: {claim: risk}}
    calls: [c]
    accepts:
      - from: a
        issuer: corporate
        scopes: {b:1: [u:1, u:2], b:2: {all: [u:1, u:2]}}
        embed: [c]
      - {from: a, issuer: agents, scopes: {b:3: [u:1]}}
  c: {scopes: [c:1], embeddable: true, accepts: [{from: b, scopes: {c:1: [b:1]}}]}
`)

type Minted = Extract<Tailored, { outcome: 'tailored' }>

function serviceOf(name: string) {
  const service = RULES.services.get(`n/${name}`)
  assert.ok(service)
  return service
}

/** A sound exchange of `a` for `b`, with a token for `c` inside. */
function sound(): Minted {
  const tailored = tailor(RULES, {
    caller: { service: serviceOf('a'), id: 'a', iss: undefined },
    subject: subject({ scopes: new Set(['u:1', 'u:2']) }),
    actor: undefined,
    request: { audiences: ['n/b'], resources: [], scopes: undefined },
    issuer: ISSUER,
    now: NOW,
    newTokenId: () => 'jti',
    rulesetClaim: false,
  })
  assert.ok(tailored.outcome === 'tailored')
  return tailored
}

const withClaims = (claims: Record<string, unknown>, from = sound()): Minted => ({
  ...from,
  built: { ...from.built, claims: { ...from.built.claims, ...claims } },
})

const withSubject = (change: Parameters<typeof subject>[0], from = sound()): Minted => ({
  ...from,
  order: { ...from.order, subject: subject({ scopes: new Set(['u:1', 'u:2']), ...change }) },
})

const FAULTS: readonly (readonly [string, Tailored, RegExp | undefined])[] = [
  ['nothing', sound(), undefined],
  [
    'one of several that justify',
    withClaims({ scope: 'b:1' }, withSubject({ scopes: new Set(['u:2']) })),
    undefined,
  ],
  ['a scope that the target does not know', withClaims({ scope: 'b:9' }), /^scopes.*b:9/],
  ['a scope that the rule does not give', withClaims({ scope: 'b:3' }), /^scopes.*b:3/],
  ['any of nothing', withSubject({ scopes: new Set(['u:3']) }), /^scopes.*b:1/],
  [
    'all but one',
    withClaims({ scope: 'b:2' }, withSubject({ scopes: new Set(['u:1']) })),
    /^scopes.*b:2/,
  ],
  ['another issuer', withSubject({ issuer: 'agents' }), /^scopes.*no rule for n\/a with agents/],
  [
    'another caller',
    {
      ...sound(),
      order: { ...sound().order, caller: { service: serviceOf('c'), id: 'c', iss: undefined } },
    },
    /^scopes.*no rule for n\/c/,
  ],
  ['a claim that is not listed', withClaims({ phone: '+1' }), /^claims.*does not list phone/],
  [
    'a claim that the subject token has not',
    withClaims({ email: 'b@x.example' }),
    /^claims.*email is not what/,
  ],
  [
    'a member of ctx that is not declared',
    withClaims({ ctx: { other: 1 } }),
    /^claims.*no ctx\.other/,
  ],
  ['what is declared in ctx', withClaims({ ctx: { level: 'low' } }), undefined],
  ['more than the target’s lifetime', withClaims({ exp: NOW_SECONDS + 301 }), /^lifetimes/],
  ['more than the subject token’s life', withSubject({ exp: NOW_SECONDS + 100 }), /^lifetimes/],
]

describe('breachOf', () => {
  for (const [what, tailored, fault] of FAULTS) {
    it(`${fault === undefined ? 'lets pass' : 'sees'} ${what}`, () => {
      const breach = breachOf(tailored)
      if (fault === undefined) assert.equal(breach, undefined)
      else assert.match(`${breach?.invariant} ${breach?.detail}`, fault)
    })
  }
  it('sees it in a token inside', () => {
    const parent = sound()
    const [child] = parent.children
    assert.ok(child?.tailored.outcome === 'tailored')
    const faulty = withClaims({ scope: 'c:9' }, child.tailored)
    const children = [{ ...child, tailored: faulty }]
    assert.equal(breachOf({ ...parent, children })?.invariant, 'scopes-have-roots')
  })
  it('an exchange that the caller does not consent to', () => {
    const parent = sound()
    const service = { ...serviceOf('a'), calls: new Set<string>() }
    const order = { ...parent.order, caller: { service, id: 'a', iss: undefined } }
    assert.match(breachOf({ ...parent, order })?.detail ?? '', /n\/a does not call n\/b/)
  })
  it('a rule that is not the target’s', () => {
    const parent = sound()
    const decision = { ...parent.decision, rule: { ...parent.decision.rule } }
    assert.match(breachOf({ ...parent, decision })?.detail ?? '', /is no rule for/)
  })
  it('what is denied or forwarded has nothing of ours', () => {
    assert.equal(breachOf({ outcome: 'forwarded', decision: sound().decision }), undefined)
  })
})
