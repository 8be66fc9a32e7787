// Owns the measurement of the decision alone, from 10 to 100,000 rules.
// Must not start a server.

import { compileRuleset } from '../src/ruleset/compile/compile.ts'
import { decide } from '../src/ruleset/decide.ts'
import type { Facts } from '../src/ruleset/decision.ts'
import type { Ruleset } from '../src/ruleset/ruleset.ts'
import type { RuleFile } from '../src/ruleset/schema.ts'

const SIZES = [10, 100, 1_000, 10_000, 100_000]
const DECISIONS = 400_000
/** Distinct requests in turn: what a busy deployment asks again and again, whatever else its rules hold. */
const WORKING_SET = 10
const REPEATS = 7

function rulesetOf(rules: number): Ruleset {
  const services: RuleFile['services'] = {}
  for (let index = 0; index < rules; index++) {
    services[`svc-${index}`] = {
      scopes: ['read'],
      calls: [`svc-${(index + 1) % rules}`],
      accepts: [
        {
          from: `svc-${(index + rules - 1) % rules}`,
          issuer: 'corporate',
          scopes: { read: ['shop:buy'] },
        },
      ],
    }
  }
  const { ruleset, problems } = compileRuleset([{ namespace: 'bench', services }], {
    trustDomains: ['cluster.local'],
    issuers: ['corporate'],
    algorithms: ['ES256'],
    selfIss: 'https://sts.bench.example',
    parseDuration: () => undefined,
    resolveFile: (_, path) => path,
  })
  if (ruleset === undefined) throw new Error(JSON.stringify(problems[0]))
  return ruleset
}

function factsOf(ruleset: Ruleset, rules: number, index: number): Facts {
  const service = ruleset.services.get(`bench/svc-${index}`)
  if (service === undefined) throw new Error(`no service ${index}`)
  return {
    caller: { service, id: `spiffe://cluster.local/ns/bench/sa/svc-${index}`, iss: undefined },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.bench.example',
      sub: 'alice',
      audiences: [],
      scopes: new Set(['shop:buy']),
      claims: {},
      chain: [],
    },
    actor: undefined,
    request: { audiences: [`svc-${(index + 1) % rules}.bench`], resources: [], scopes: ['read'] },
    selfIss: 'https://sts.bench.example',
    now: 0,
  }
}

/** Prints a table; gives the ratio of the largest ruleset's cost to the smallest's. */
export function decisionCost(): number {
  const prepared = SIZES.map((rules) => {
    const ruleset = rulesetOf(rules)
    const step = Math.floor(rules / WORKING_SET)
    const facts = Array.from({ length: WORKING_SET }, (_, at) => factsOf(ruleset, rules, at * step))
    return { rules, ruleset, facts, best: Number.POSITIVE_INFINITY }
  })
  // In turn and the best of several, so that noise and warm-up meet all sizes alike.
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const each of prepared) {
      const started = performance.now()
      for (let index = 0; index < DECISIONS; index++) {
        const facts = each.facts[index % WORKING_SET]
        if (facts === undefined || !decide(each.ruleset, facts).allow) throw new Error('denied')
      }
      each.best = Math.min(each.best, ((performance.now() - started) / DECISIONS) * 1e6)
    }
  }
  const base = prepared[0]?.best ?? Number.NaN
  console.log('\nThe decision alone')
  console.table(
    Object.fromEntries(
      prepared.map(({ rules, best }) => [
        `${rules.toLocaleString('en')} rules`,
        { 'ns/decision': Math.round(best), ratio: Number((best / base).toFixed(2)) },
      ]),
    ),
  )
  return (prepared.at(-1)?.best ?? Number.NaN) / base
}
