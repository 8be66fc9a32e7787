// The promise of `--fail-on new-allow`: where a change of rules tells of nothing more, nothing more is granted.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { allowsMore, diffRules } from '../../src/ruleset/diff/diff.ts'
import type { World } from '../../src/ruleset/reach/token.ts'
import { createRandom, type Random } from '../hostile/random.ts'
import { attack, type ReadToken, type Realm, readToken } from '../support/adversary.ts'
import { callersIn, createCoreRealm, issuerIn, worldOf } from '../support/core-realm.ts'
import { type RandomRules, randomRules, ruleTexts } from '../support/random-ruleset.ts'
import { load } from '../support/rules.ts'

/** `DIFF_RUNS=5000 node scripts/test.mjs diff-property` looks for longer. */
const RUNS = Number(process.env.DIFF_RUNS ?? 100)

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** The rules after somebody has changed one thing; undefined where they do not load then. */
function edited(rules: RandomRules, other: RandomRules, random: Random): RandomRules | undefined {
  const services = structuredClone(rules.services) as Record<string, Record<string, Json>>
  const name = random.pick(Object.keys(services))
  const donor = (other.services[name] ?? {}) as Record<string, Json>
  const entry = services[name] ?? {}
  edit(entry, donor, random)
  const after = { ...rules, services }
  return load(...ruleTexts(after)).ruleset === undefined ? undefined : after
}

/** Leaves something out, turns it round, or takes what another ruleset has there. */
function edit(at: Json, donor: Json, random: Random): void {
  if (Array.isArray(at)) {
    const index = random.below(Math.max(1, at.length))
    const inner = at[index]
    if (typeof inner === 'object' && inner !== null && random.chance(0.7)) {
      edit(inner, Array.isArray(donor) ? (donor[index] ?? null) : null, random)
    } else if (at.length > 1) at.splice(index, 1)
    return
  }
  if (typeof at !== 'object' || at === null) return
  const given = typeof donor === 'object' && donor !== null && !Array.isArray(donor) ? donor : {}
  const key = random.pick([...Object.keys(at), ...Object.keys(given)])
  const value = at[key]
  if (key === 'all' || key === 'any') {
    delete at[key]
    at[key === 'all' ? 'any' : 'all'] = value ?? []
  } else if (random.chance(0.25) && Object.hasOwn(given, key)) at[key] = given[key] ?? null
  else if (typeof value === 'object' && value !== null && random.chance(0.8)) {
    edit(value, given[key] ?? null, random)
  } else if (Object.keys(at).length > 1) delete at[key]
}

/**
 * Refuses nothing that a realm grants, but sees to it that another one grants it too, and no less: with the
 * token that the same requests had led to there.
 */
function compared(after: Realm, before: Realm, worlds: { after: World; before: World }): Realm {
  const counterparts = new Map<string, string>()
  const pair = (one: ReadToken, other: ReadToken): void => {
    counterparts.set(one.compact, other.compact)
    for (const [member, inner] of Object.entries(one.inside)) {
      const old = other.inside[member]
      if (old !== undefined) pair(inner, old)
    }
  }
  return {
    ...after,
    async exchange(request) {
      const result = await after.exchange(request)
      if (result === undefined) return undefined
      const told = JSON.stringify({ ...request, token: readToken(request.token, String).payload })
      const token = counterparts.get(request.token) ?? request.token
      const old = await before.exchange({ ...request, token })
      assert.ok(old, `newly granted: ${told}`)
      if (result !== request.token) {
        const [one, other] = [
          readToken(result, issuerIn(worlds.after)),
          readToken(old, issuerIn(worlds.before)),
        ]
        assertNoMore(one, other, told)
        pair(one, other)
      }
      return result
    },
  }
}

/** No more scopes, claims, life, tokens inside; and no fewer actors. */
function assertNoMore(after: ReadToken, before: ReadToken, what: string): void {
  const { iat: _, exp, scope, act, chain, ctx = {}, ...claims } = after.payload
  assert.ok(Number(exp) <= Number(before.payload.exp), `it lives longer: ${what}`)
  for (const one of after.scopes) assert.ok(before.scopes.includes(one), `${one}: ${what}`)
  assert.deepEqual({ act, chain }, { act: before.payload.act, chain: before.payload.chain }, what)
  for (const [name, value] of Object.entries(claims)) {
    assert.equal(JSON.stringify(before.payload[name]), JSON.stringify(value), `${name}: ${what}`)
  }
  for (const [name, value] of Object.entries(ctx as object)) {
    const old = ((before.payload.ctx ?? {}) as Record<string, unknown>)[name]
    // A computed one may say that something is no longer there.
    assert.ok(old !== undefined && (old === value || value === 'none'), `ctx.${name}: ${what}`)
  }
  for (const [member, inner] of Object.entries(after.inside)) {
    const old = before.inside[member]
    assert.ok(old, `${member} inside: ${what}`)
    assertNoMore(inner, old, `${member} inside: ${what}`)
  }
}

describe('diff', () => {
  it('tells of whatever is newly granted', async () => {
    let [silent, loud, granted] = [0, 0, 0]
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const rules = randomRules(seed, { conditions: seed % 2 === 1 })
        const random = createRandom('edit', seed)
        const other = randomRules(seed + 1, { conditions: true })
        let after = rules
        for (let edits = random.below(4); edits >= 0; edits--) {
          after = edited(after, other, random) ?? after
        }
        const worlds = { before: worldOf(rules), after: worldOf(after) }
        const isMore = allowsMore(diffRules(worlds.before, worlds.after))
        if (isMore) {
          loud++
          return
        }
        silent++
        granted += await attack({
          rules: after,
          realm: compared(createCoreRealm(worlds.after), createCoreRealm(worlds.before), worlds),
          witness: { holds: () => {}, mayForward: () => {} },
          issuerOf: issuerIn(worlds.after),
          callers: callersIn(worlds.after),
          calledBy: (caller) => [...(worlds.after.ruleset.services.get(caller)?.calls ?? [])],
          serviceOf: (audience) => worlds.after.ruleset.targets.get(audience)?.name,
          requests: 120,
          seed,
          workloadAudience: worlds.after.selfIss,
        })
      }),
      { numRuns: RUNS },
    )
    // It would be easy to be right by always or never telling of something.
    assert.ok(
      silent > RUNS / 10 && loud > RUNS / 40 && granted > RUNS,
      `${silent} ${loud} ${granted}`,
    )
  })
})
