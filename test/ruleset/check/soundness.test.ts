// What `rules check` says can never be, never is: over random rulesets, and services that try everything.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Problem } from '../../../src/config/problem.ts'
import { checkRules } from '../../../src/ruleset/check/check.ts'
import { ruleFor } from '../../../src/ruleset/rule-for.ts'
import { attack, type ReadToken, type Realm, readToken } from '../../support/adversary.ts'
import { CHECK_CONTEXT } from '../../support/checks.ts'
import { callersIn, createCoreRealm, issuerIn, worldOf } from '../../support/core-realm.ts'
import { type RandomRules, randomRules, ruleTexts } from '../../support/random-ruleset.ts'
import { load } from '../../support/rules.ts'

/** `CHECK_RUNS=5000 node scripts/test.mjs check/soundness` looks for longer. */
const RUNS = Number(process.env.CHECK_RUNS ?? 60)
const REQUESTS = 200

/** What is never to happen: `<rule id>`, `<rule id> <scope>`, `<rule id> embeds <service>`. */
type Never = string

interface RuleEntry {
  readonly from: string | readonly string[]
  readonly issuer?: string
  readonly embed?: readonly (string | { readonly to: string })[]
}

const RULE_IDS = new Set([
  'rule-unreachable',
  'rule-without-call',
  'rule-shadowed',
  'presenter-missing',
])

/** What a finding says of a rule; undefined where it is about something else, or about one of several callers. */
function neverOf(
  { services }: RandomRules,
  namespace: string,
  problem: Problem,
): Never | undefined {
  const [, short = '', index = '', rest = ''] =
    /^services\.(\w+)\.accepts\[(\d+)\](.*)$/.exec(problem.path) ?? []
  const entry = (services[`${namespace}/${short}`]?.accepts as RuleEntry[] | undefined)?.[
    Number(index)
  ]
  if (entry === undefined || typeof entry.from !== 'string') return undefined
  const full = (name: string) => (name.includes('/') ? name : `${namespace}/${name}`)
  const rule = `${namespace}/${short} <- ${full(entry.from)} [${entry.issuer ?? 'self'}]`
  const scope = /^\.scopes\["?([^"\]]+)"?\]|^\.scopes\.(\w+)/.exec(rest)
  const id = problem.id ?? ''
  if (RULE_IDS.has(id) || /always denies$/.test(problem.message)) return rule
  if (id === 'scope-unreachable' || /is never given$/.test(problem.message)) {
    return `${rule} ${scope?.[1] ?? scope?.[2]}`
  }
  if (id !== 'embed-unreachable') return undefined
  const embed = entry.embed?.[Number(/\d+/.exec(rest)?.[0])] ?? ''
  return `${rule} embeds ${full(typeof embed === 'string' ? embed : embed.to)}`
}

/** Everything that happened, in the same words. */
function watched(rules: RandomRules, realm: Realm, happened: Set<Never>): Realm {
  const world = worldOf(rules)
  const { services, targets } = world.ruleset
  const note = (caller: string, issuer: string, token: ReadToken): void => {
    const target = targets.get(token.audiences[0] ?? '')
    const by = services.get(caller)
    const rule = target && by && ruleFor(target, by, issuer)
    if (target === undefined || rule === undefined) return
    happened.add(rule.id)
    for (const scope of token.scopes) happened.add(`${rule.id} ${scope}`)
    for (const inner of Object.values(token.inside)) {
      const to = targets.get(inner.audiences[0] ?? '')?.name
      happened.add(`${rule.id} embeds ${to}`)
      note(target.name, 'self', inner)
    }
  }
  return {
    ...realm,
    exchange: async (request) => {
      const given = await realm.exchange(request)
      if (given === undefined) return undefined
      const before = readToken(request.token, issuerIn(world))
      const issuer = request.isWorkloads ? 'workload' : before.issuer
      if (given !== request.token) note(request.caller, issuer, readToken(given, issuerIn(world)))
      else {
        const target = services.get(request.target)
        const caller = services.get(request.caller)
        const rule = target && caller && ruleFor(target, caller, issuer)
        if (rule !== undefined) happened.add(rule.id)
      }
      return given
    },
  }
}

describe('rules check', () => {
  it('says of nothing that happens that it never does', async () => {
    const counts = { nevers: 0, happened: 0 }
    const told = new Set<string | undefined>()
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const rules = randomRules(seed, { conditions: true })
        const world = worldOf(rules)
        const { written, ruleset } = load(...ruleTexts(rules))
        const { findings } = checkRules(written, ruleset, { ...CHECK_CONTEXT, ...world })
        const nevers = findings.flatMap((problem) => {
          const file = Number(/\d+/.exec(problem.file)?.[0])
          const never = neverOf(rules, written.files[file]?.namespace ?? '', problem)
          if (never !== undefined) told.add(problem.id)
          return never === undefined ? [] : [never]
        })
        const happened = new Set<Never>()
        await attack({
          rules,
          realm: watched(rules, createCoreRealm(world), happened),
          witness: { holds: () => {}, mayForward: () => {} },
          issuerOf: issuerIn(world),
          callers: callersIn(world),
          calledBy: (caller) => [...(world.ruleset.services.get(caller)?.calls ?? [])],
          serviceOf: (audience) => world.ruleset.targets.get(audience)?.name,
          requests: REQUESTS,
          seed,
          workloadAudience: world.selfIss,
        })
        counts.nevers += nevers.length
        counts.happened += happened.size
        for (const never of nevers) assert.ok(!happened.has(never), never)
      }),
      { numRuns: RUNS },
    )
    assert.ok(counts.nevers > RUNS && counts.happened > RUNS * 3, JSON.stringify(counts))
    // All seven kinds turn up in each run so far.
    assert.ok(told.size >= 5, [...told].join(' '))
  })
})
