// Owns the measurement of `rules prove`: 1,000 services and 10,000 rules, in three shapes of call graph.
// Must not assert a time; it prints what was measured.
import { parseDuration } from '../src/config/duration.ts'
import { loadRuleset } from '../src/ruleset/load.ts'
import { resolveNever } from '../src/ruleset/prove/never.ts'
import { prove } from '../src/ruleset/prove/prove.ts'
import type { World } from '../src/ruleset/reach/token.ts'
import type { Ruleset } from '../src/ruleset/ruleset.ts'
import { createRandom, type Random } from '../test/hostile/random.ts'

const SERVICES = 1_000
const RULES_PER_SERVICE = 10
const SCOPES = 4
/** Services that the edge calls with users' tokens; all others are reached through these. */
const FIRST = 30
const CLAIMS = ['email', 'name', 'risk', 'country'] as const
const SELF_ISS = 'https://sts.bench.example'

/** Whom a service is called by: somebody before it, somebody near (circles are small), or anybody. */
const SHAPES = {
  layers: (random: Random, index: number) => random.below(Math.max(1, index)),
  near: (random: Random, index: number) => Math.max(1, index + random.below(60) - 40),
  anybody: (random: Random) => 1 + random.below(SERVICES - 1),
} as const

const name = (index: number): string => `s${index}x`
const scope = (index: number, at: number): string => `${name(index)}:${at}`
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at)

/** A rule file as JSON, which is YAML. */
function rulesText(shape: keyof typeof SHAPES): string {
  const random = createRandom('prove', shape)
  const calls = numbers(SERVICES).map(() => new Set<string>())
  const services = numbers(SERVICES).map((index) => {
    const accepts: object[] = []
    if (index > 0 && index <= FIRST) {
      calls[0]?.add(name(index))
      const scopes = numbers(SCOPES).map((at) => [scope(index, at), [`user:${(index + at) % 50}`]])
      accepts.push({ from: name(0), issuer: 'corporate', scopes: Object.fromEntries(scopes) })
    }
    const callers = new Set<number>()
    for (let tried = 0; tried < 60 && accepts.length < RULES_PER_SERVICE && index > 0; tried++) {
      const caller = Math.min(SHAPES[shape](random, index), SERVICES - 1)
      if (caller === 0 || caller === index || callers.has(caller)) continue
      callers.add(caller)
      calls[caller]?.add(name(index))
      accepts.push(ruleOf(random, index, caller))
    }
    return {
      scopes: numbers(SCOPES).map((at) => scope(index, at)),
      claims: CLAIMS.filter(() => random.chance(0.5)),
      accepts,
    }
  })
  const entries = services.map((service, index) => [
    name(index),
    { ...service, calls: [...(calls[index] ?? [])] },
  ])
  return JSON.stringify({ namespace: 'bench', services: Object.fromEntries(entries) })
}

function ruleOf(random: Random, index: number, caller: number): object {
  const needs = () => [
    ...new Set([scope(caller, random.below(SCOPES)), scope(caller, random.below(SCOPES))]),
  ]
  const scopes = numbers(SCOPES)
    .filter((at) => at === 0 || random.chance(0.6))
    .map((at) => [scope(index, at), at === 2 ? { all: needs() } : needs()])
  return {
    from: name(caller),
    scopes: Object.fromEntries(scopes),
    ...(random.chance(0.1) ? { when: 'subject.claims.email_verified == true' } : {}),
  }
}

function load(shape: keyof typeof SHAPES): Ruleset {
  const { ruleset, problems } = loadRuleset([{ file: 'bench.yaml', text: rulesText(shape) }], {
    trustDomains: ['cluster.local'],
    issuers: ['corporate'],
    algorithms: ['ES256'],
    selfIss: SELF_ISS,
    parseDuration,
  })
  if (ruleset === undefined) throw new Error(JSON.stringify(problems[0]))
  return ruleset
}

const worldOf = (ruleset: Ruleset): World => ({
  ruleset,
  selfIss: SELF_ISS,
  workloadAudiences: [SELF_ISS],
  issuers: new Map([
    [
      'corporate',
      {
        iss: 'https://login.bench.example',
        presentedBy: new Map([['https://api.bench.example', new Set([`bench/${name(0)}`])]]),
        subjectPrefix: 'corp',
        scopesFrom: [{ path: ['scope'], prefix: '' }],
      },
    ],
  ]),
})

const rows: Record<string, object> = {}
for (const shape of Object.keys(SHAPES) as (keyof typeof SHAPES)[]) {
  const ruleset = load(shape)
  const last = name(SERVICES - 1)
  const nevers = [
    { caller: 'bench/*', obtains: scope(SERVICES - 1, 1) },
    { service: last, sees: 'email' },
  ].flatMap((entry) => resolveNever(entry, 'bench', ruleset).never ?? [])
  const started = performance.now()
  const { explored, nevers: verdicts } = prove(worldOf(ruleset), nevers)
  const seconds = (performance.now() - started) / 1000
  const rules = [...ruleset.services.values()].reduce((sum, { rules: own }) => sum + own.size, 0)
  rows[shape] = {
    services: SERVICES,
    rules,
    seconds: Number(seconds.toFixed(2)),
    'MB in use': Math.round(process.memoryUsage().heapUsed / 1e6),
    tokens: explored.tokens,
    exchanges: explored.exchanges,
    requests: explored.depth,
    'counter-examples': verdicts
      .map(({ counterExample }) => counterExample?.journey.hops.length)
      .join(' '),
  }
}
console.table(rows)
