// What `rules prove` says, held against a real server: random rules, real tokens, requests over HTTP.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explain } from '../../src/ruleset/prove/prove.ts'
import { createRandom } from '../hostile/random.ts'
import { attack } from '../support/adversary.ts'
import { callersIn, issuerIn, worldOf } from '../support/core-realm.ts'
import { runJourney } from '../support/journey-runner.ts'
import { createLiveRealm, startRandom } from '../support/live-realm.ts'
import { randomRules } from '../support/random-ruleset.ts'
import { createJudge, everyWay, reachOf } from '../support/reach-judge.ts'

/** `PROVE_RULESETS=200 PROVE_SEED=1000 node scripts/test.mjs prove-live` looks for longer, and elsewhere. */
const RULESETS = Number(process.env.PROVE_RULESETS ?? 4)
const FIRST_SEED = Number(process.env.PROVE_SEED ?? 0)
const REQUESTS = 250
/** Of a ruleset's journeys; the pure ones are all run in reach/property.test.ts. */
const JOURNEYS = 20

describe('a proof and the server that it is about', () => {
  const total = { granted: 0, ran: 0 }

  for (let seed = FIRST_SEED; seed < FIRST_SEED + RULESETS; seed++) {
    it(`nothing more can be had, and all that can be is had (seed ${seed})`, async (t) => {
      const rules = randomRules(seed, { conditions: seed % 3 === 2 })
      const deployment = await startRandom(t, rules)
      const world = worldOf(rules)
      const realm = createLiveRealm(deployment, world)
      const reach = reachOf(world)

      const granted = await attack({
        rules,
        realm,
        witness: createJudge(world, reach),
        issuerOf: issuerIn(world),
        callers: callersIn(world),
        calledBy: (caller) => [...(world.ruleset.services.get(caller)?.calls ?? [])],
        serviceOf: (audience) => world.ruleset.targets.get(audience)?.name,
        requests: REQUESTS,
        seed,
        workloadAudience: world.selfIss,
      })
      total.granted += granted
      const random = createRandom('journeys', seed)
      const ways = everyWay(reach)
      for (let number = 0; number < Math.min(JOURNEYS, ways.length); number++) {
        const { way, wanted } = random.pick(ways)
        const { journey, isFulfilled } = explain(world, way, wanted)
        if (!isFulfilled) continue
        await runJourney(realm, issuerIn(world), journey)
        total.ran++
      }
    })
  }

  // A server that refuses everything would show nothing.
  it('enough was granted, and run', () => {
    assert.ok(total.granted > RULESETS * 5, `${total.granted} granted`)
    assert.ok(total.ran > RULESETS * 10, `${total.ran} run`)
  })
})
