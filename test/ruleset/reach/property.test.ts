// Soundness and truth of the exploration over random rulesets: nothing beyond it is ever had, all of it can be.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { explain } from '../../../src/ruleset/prove/prove.ts'
import { depthOf } from '../../../src/ruleset/reach/facts.ts'
import { attack } from '../../support/adversary.ts'
import { callersIn, createCoreRealm, issuerIn, worldOf } from '../../support/core-realm.ts'
import { runJourney } from '../../support/journey-runner.ts'
import { randomRules } from '../../support/random-ruleset.ts'
import { createJudge, everyWay, reachOf } from '../../support/reach-judge.ts'

/** `REACH_RUNS=5000 node scripts/test.mjs reach/property` looks for longer. */
const RUNS = Number(process.env.REACH_RUNS ?? 80)
const REQUESTS = 200

describe('explore', () => {
  for (const conditions of [false, true]) {
    it(`finds whatever can be had (${conditions ? 'with' : 'without'} conditions)`, async () => {
      let granted = 0
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const rules = randomRules(seed, { conditions })
          const world = worldOf(rules)
          const realm = createCoreRealm(world)
          granted += await attack({
            rules,
            realm,
            witness: createJudge(world),
            issuerOf: issuerIn(world),
            callers: callersIn(world),
            calledBy: (caller) => [...(world.ruleset.services.get(caller)?.calls ?? [])],
            serviceOf: (audience) => world.ruleset.targets.get(audience)?.name,
            requests: REQUESTS,
            seed,
            workloadAudience: world.selfIss,
          })
        }),
        { numRuns: RUNS },
      )
      // A realm that refuses everything would show nothing.
      assert.ok(granted > RUNS * 10, `${granted} granted`)
    })
  }

  for (const conditions of [false, true]) {
    it(`finds nothing that cannot be had (${conditions ? 'with' : 'without'} conditions)`, async () => {
      let ran = 0
      let assumed = 0
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const world = worldOf(randomRules(seed, { conditions }))
          const realm = createCoreRealm(world)
          for (const { way, wanted } of everyWay(reachOf(world))) {
            const { journey, assumptions, isFulfilled } = explain(world, way, wanted)
            assert.ok(journey.hops.length === depthOf(way))
            if (!isFulfilled) {
              assert.ok(assumptions.length > 0, 'nothing is assumed, and it does not run')
              assumed++
              continue
            }
            ran++
            await runJourney(realm, issuerIn(world), journey)
          }
        }),
        { numRuns: RUNS / 4 },
      )
      assert.ok(ran > RUNS && ran > assumed, `${ran} ran, ${assumed} are assumed`)
    })
  }
})
