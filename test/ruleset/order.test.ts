// The order of files, services, rules, denies and lists changes nothing: not the hash, not one decision.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { diffRules } from '../../src/ruleset/diff/diff.ts'
import { believedSubject, callerFacts } from '../../src/ruleset/reach/token.ts'
import type { Ruleset, Service } from '../../src/ruleset/ruleset.ts'
import { type Tailored, tailor } from '../../src/tokens/tailor.ts'
import { createRandom, type Random } from '../hostile/random.ts'
import { worldOf } from '../support/core-realm.ts'
import { ISSUER, NOW, NOW_SECONDS } from '../support/facts.ts'
import { randomRules, ruleTexts } from '../support/random-ruleset.ts'
import { compiled } from '../support/rules.ts'

const RUNS = 40
const REQUESTS = 60

/** A request that may be anything; the same random source gives the same one. */
function ask(ruleset: Ruleset, random: Random): Tailored {
  // Services are found by name: their order must not choose.
  const names = [...ruleset.services.keys()].sort()
  const service = (): Service => {
    const found = ruleset.services.get(random.pick(names))
    assert.ok(found)
    return found
  }
  const caller = service()
  const target = service()
  const issuer = random.pick(['self', 'corporate', 'agents', 'workload'])
  const known = ['u:1', 'u:2', 'u:3', 'g:1', 'g:2', ...[...caller.scopes].sort()]
  const claims = ['email', 'risk', 'tier', 'phone'].filter(() => random.chance(0.6))
  const subject = believedSubject({
    issuer,
    iss: ISSUER,
    sub: 'alice',
    subjectPrefix: undefined,
    audiences: [random.pick([caller.audience, 'https://api.example'])],
    scopes: new Set(known.filter(() => random.chance(0.6))),
    exp: NOW_SECONDS + 3600,
    claims: Object.fromEntries(claims.map((claim) => [claim, `${claim}-1`])),
    levels: random.below(2),
  })
  const some = [...target.scopes].sort().filter(() => random.chance(0.5))
  return tailor(ruleset, {
    caller: callerFacts(caller, ISSUER),
    subject,
    actor: undefined,
    request: {
      audiences: [random.pick([target.name, target.audience])],
      resources: [],
      scopes: some.length === 0 ? undefined : some,
    },
    issuer: ISSUER,
    now: NOW,
    newTokenId: () => 'jti',
    rulesetClaim: true,
  })
}

/** All that is told of a decision; lists that mean sets are sorted. */
function told(tailored: Tailored): unknown {
  if (tailored.outcome === 'denied') {
    const { decision, failure } = tailored
    return [failure.reason, decision.allow ? undefined : [decision.rule?.id, decision.wouldDeny]]
  }
  const { rule, target, wouldDeny, scopes } = tailored.decision
  const shared = [rule.id, target.name, wouldDeny, [...scopes].sort()]
  if (tailored.outcome === 'forwarded') return shared
  const { scope: _, ...claims } = tailored.built.claims
  const inside = tailored.children.map(({ embed, tailored: child }) => [embed, told(child)])
  return [...shared, sortedMembers(claims), [...tailored.built.passedClaims].sort(), inside]
}

const sortedMembers = (value: object): unknown =>
  Object.entries(value)
    .map(([name, member]): [string, unknown] => [
      name,
      typeof member === 'object' && member !== null && !Array.isArray(member)
        ? sortedMembers(member)
        : member,
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1))

describe('the order of rules', () => {
  it('changes neither the hash nor any decision, however they are split into files', () => {
    let granted = 0
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (seed, order) => {
        const rules = randomRules(seed, { conditions: seed % 2 === 1 })
        const one = compiled(...ruleTexts(rules))
        const other = compiled(...ruleTexts(rules, createRandom('order', order)))
        assert.equal(other.hash, one.hash)
        for (let number = 0; number < REQUESTS; number++) {
          const [first, second] = [one, other].map((ruleset) =>
            ask(ruleset, createRandom('request', seed, number)),
          )
          assert.ok(first !== undefined && second !== undefined)
          assert.deepEqual(told(second), told(first))
          if (first.outcome !== 'denied') granted++
        }
      }),
      { numRuns: RUNS },
    )
    assert.ok(granted > RUNS, `${granted} granted`)
  })

  it('changes nothing of what can be obtained', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (seed, order) => {
        const rules = randomRules(seed, { conditions: true })
        const one = worldOf(rules)
        const other = { ...one, ruleset: compiled(...ruleTexts(rules, createRandom(order))) }
        const { gained, lost, explored } = diffRules(one, other)
        assert.deepEqual([gained, lost], [NOTHING, NOTHING])
        assert.deepEqual(explored.after, explored.before)
      }),
      { numRuns: RUNS },
    )
  })
})

const NOTHING = { scopes: [], claims: [], edges: [], eased: [] }
