// Owns random rulesets that load: services, rules, embeddings, forwards, grants, denies and (where asked) conditions.
// Must not compile anything: it gives texts of rule files, in any order of files, rules and lists.
import { createRandom, type Random } from '../hostile/random.ts'
import { AGENTS, CORPORATE } from './deployment.ts'
import { ISSUER } from './facts.ts'
import { load } from './rules.ts'

type Entry = Record<string, unknown>

/** Rules before they are written down, and the issuers that go with them. */
export interface RandomRules {
  /** `namespace/name` → what stands under it. */
  readonly services: Readonly<Record<string, Entry>>
  readonly issuers: readonly RandomIssuer[]
}

export interface RandomIssuer {
  readonly name: 'corporate' | 'agents'
  readonly iss: string
  /** Audience → full names of services. */
  readonly presentedBy: Readonly<Record<string, readonly string[]>>
}

export interface RandomRulesOptions {
  /** Conditions stand on some rules, scopes and denies. */
  readonly conditions?: boolean
  readonly services?: number
}

const SHORT_NAMES = ['alpha', 'bravo', 'carol', 'delta', 'echo', 'fox', 'golf'] as const
const NAMESPACES = ['boutique', 'depot'] as const
const CLAIMS = ['email', 'risk', 'tier', 'phone'] as const
const USER_SCOPES = ['u:1', 'u:2', 'u:3'] as const
const GRANTS = ['g:1', 'g:2'] as const
const CONDITIONS = [
  'subject.claims.email == "email-1"',
  'has(subject.claims.risk) && subject.claims.risk != "high"',
  '"u:1" in subject.scopes || subject.issuer == "self"',
  'has(subject.claims.tier)',
  'size(subject.scopes) < 3',
  'caller.namespace == "boutique"',
] as const
const ATTEMPTS = 60

/** Random rules that load; the same for the same seed. Throws where the generator no longer makes such rules. */
export function randomRules(seed: number, options: RandomRulesOptions = {}): RandomRules {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const random = createRandom('rules', seed, attempt)
    const rules = draw(random, options)
    if (load(...ruleTexts(rules)).ruleset !== undefined) return rules
  }
  throw new Error(`no random ruleset of seed ${seed} loads`)
}

/** Each text is a rule file; JSON is YAML. Without a source of order each namespace is one file. */
export function ruleTexts({ services }: RandomRules, order?: Random): readonly string[] {
  const files: { namespace: string; services: Record<string, Entry> }[] = []
  for (const name of shuffled(Object.keys(services), order)) {
    const [namespace = '', short = ''] = name.split('/')
    const known = files.find((file) => file.namespace === namespace)
    const file =
      known === undefined || order?.chance(0.4) === true ? { namespace, services: {} } : known
    if (file !== known) files.unshift(file)
    file.services[short] = reordered(services[name] ?? {}, order) as Entry
  }
  return shuffled(files, order).map((file) => JSON.stringify(file))
}

/** The issuers file. */
export const issuersText = ({ issuers }: RandomRules): string =>
  JSON.stringify(
    Object.fromEntries(
      issuers.map(({ name, iss, presentedBy }) => [
        name,
        {
          issuer: iss,
          jwks_file: `${name}.jwks.json`,
          algorithms: ['RS256', 'ES256'],
          token_types: ['access_token'],
          presented_by: presentedBy,
          scopes_from: ['scope'],
          subject_prefix: name === 'corporate' ? 'corp' : 'agent',
        },
      ]),
    ),
  )

/** Lists and mappings mean the same in any order. */
function reordered(value: unknown, order: Random | undefined): unknown {
  if (Array.isArray(value)) {
    return shuffled(
      value.map((item) => reordered(item, order)),
      order,
    )
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    shuffled(Object.entries(value), order).map(([key, item]) => [key, reordered(item, order)]),
  )
}

function shuffled<T>(items: readonly T[], order: Random | undefined): T[] {
  const list = [...items]
  if (order === undefined) return list
  for (let at = list.length - 1; at > 0; at--) {
    const other = order.below(at + 1)
    ;[list[at], list[other]] = [list[other] as T, list[at] as T]
  }
  return list
}

interface Draft {
  readonly name: string
  readonly namespace: string
  readonly scopes: readonly string[]
  readonly grants: readonly string[]
  readonly external: boolean
  readonly audience: string
  readonly embeddable: boolean
  readonly entry: Entry
  readonly calls: Set<string>
  readonly rules: Entry[]
}

function draw(random: Random, { conditions = false, services }: RandomRulesOptions): RandomRules {
  const count = services ?? 3 + random.below(5)
  const drafts = SHORT_NAMES.slice(0, count).map((short, index) =>
    drawService(random, short, index),
  )
  const condition = () =>
    conditions && random.chance(0.3) ? { when: random.pick(CONDITIONS) } : {}
  for (const target of drafts) drawRules(random, target, drafts, condition)
  for (const [index, target] of drafts.entries()) {
    // Later ones only: so that embedding never goes in a circle.
    for (const rule of target.rules) drawEmbeds(random, rule, target, drafts.slice(index + 1))
    drawDenies(random, target, drafts, conditions)
  }
  return {
    services: Object.fromEntries(drafts.map((draft) => [draft.name, entryOf(draft)])),
    issuers: drawIssuers(random, drafts),
  }
}

function drawService(random: Random, short: string, index: number): Draft {
  const namespace = index > 0 && random.chance(0.3) ? NAMESPACES[1] : NAMESPACES[0]
  const letters = ['a', 'b', 'c'].slice(0, 1 + random.below(3))
  const scopes = letters.map((letter) => `${short}:${letter}`)
  // A scope that other services know by the same name.
  if (random.chance(0.3)) scopes.push('read')
  const external = index > 1 && random.chance(0.1)
  const hasUri = random.chance(0.3)
  const grants = !external && random.chance(0.3) ? some(random, GRANTS) : []
  const claims = CLAIMS.filter(() => random.chance(0.5))
  return {
    name: `${namespace}/${short}`,
    namespace,
    scopes,
    grants,
    external,
    audience: hasUri ? `https://${short}.example` : `${short}.${namespace}`,
    embeddable: random.chance(0.7),
    entry: {
      ...(hasUri ? { audience: `https://${short}.example` } : {}),
      ...(external ? { external } : {}),
      ...(random.chance(0.15) && !external
        ? { identity: `spiffe://cluster.local/ns/jobs-${short}/sa/*` }
        : {}),
      scopes,
      ...(claims.length > 0 ? { claims } : {}),
      ...(grants.length > 0 ? { grants } : {}),
      ...drawCtx(random),
      token: { lifetime: random.pick(['10s', '1m', '5m', '1h']) },
    },
    calls: new Set(),
    rules: [],
  }
}

function drawCtx(random: Random): Entry {
  if (!random.chance(0.3)) return {}
  const claim = random.pick(CLAIMS)
  const members: readonly Entry[] = [
    { renamed: { claim } },
    { constant: { value: 'eu' } },
    { told: { computed: `has(subject.claims.${claim}) ? subject.claims.${claim} : "none"` } },
  ]
  return { ctx: Object.assign({}, ...some(random, members)) as Entry }
}

function drawRules(
  random: Random,
  target: Draft,
  drafts: readonly Draft[],
  condition: () => Entry,
): void {
  const taken = new Set<string>()
  for (const caller of drafts) {
    if (caller.external || caller === target) continue
    for (const issuer of ['self', 'self', 'corporate', 'agents', 'workload']) {
      if (!random.chance(issuer === 'self' ? 0.35 : 0.2)) continue
      const glob = `${caller.namespace}/*`
      const from = random.chance(0.15) ? glob : caller.name
      const covered = [...taken].some(
        (key) => key === `${caller.name} ${issuer}` || key === `${glob} ${issuer}`,
      )
      const coversOthers =
        from === glob &&
        [...taken].some(
          (key) => key.startsWith(`${caller.namespace}/`) && key.endsWith(` ${issuer}`),
        )
      if (covered || coversOthers) continue
      const rule = drawRule(random, target, { from, issuer, caller, drafts }, condition)
      if (rule === undefined) continue
      taken.add(`${from} ${issuer}`)
      target.rules.push(rule)
      if (random.chance(0.9)) caller.calls.add(target.name)
    }
  }
  for (const caller of drafts) {
    if (!caller.external && random.chance(0.1)) caller.calls.add(target.name)
  }
}

function drawRule(
  random: Random,
  target: Draft,
  {
    from,
    issuer,
    caller,
    drafts,
  }: {
    readonly from: string
    readonly issuer: string
    readonly caller: Draft
    readonly drafts: readonly Draft[]
  },
  condition: () => Entry,
): Entry | undefined {
  const common = { from, ...(issuer === 'self' ? {} : { issuer }), ...condition() }
  if (random.chance(0.12)) {
    const also =
      issuer === 'self' ? caller.audience : issuer === 'workload' ? ISSUER : 'https://api.example'
    const known = (target.entry.also_audiences as string[] | undefined) ?? []
    if (random.chance(0.8)) target.entry.also_audiences = [...new Set([...known, also])]
    return { ...common, forward: true }
  }
  const vocabulary =
    issuer === 'self'
      ? from.endsWith('/*')
        ? drafts.filter(({ namespace }) => namespace === caller.namespace).flatMap((d) => d.scopes)
        : caller.scopes
      : issuer === 'workload'
        ? from.endsWith('/*')
          ? GRANTS
          : caller.grants
        : USER_SCOPES
  if (vocabulary.length === 0) return undefined
  const scopes = some(random, target.scopes).map((scope) => {
    const needed = [...new Set(some(random, vocabulary))]
    const extra = condition()
    if (random.chance(0.3)) return [scope, { all: needed, ...extra }]
    return [scope, Object.keys(extra).length > 0 ? { any: needed, ...extra } : needed]
  })
  return {
    ...common,
    scopes: Object.fromEntries(scopes) as Entry,
    ...(random.chance(0.15)
      ? { act: 'impersonate' }
      : random.chance(0.15)
        ? { actors: ['agents'] }
        : {}),
  }
}

function drawEmbeds(random: Random, rule: Entry, target: Draft, later: readonly Draft[]): void {
  if (rule.forward === true || target.external || 'identity' in target.entry) return
  const fitting = later.filter((child) => {
    const accepting = child.rules.find(
      ({ from, issuer }) =>
        (from === target.name || from === `${target.namespace}/*`) && issuer === undefined,
    )
    if (accepting === undefined || !child.embeddable || accepting.forward === true) return false
    return accepting.act !== 'impersonate' || rule.act === 'impersonate'
  })
  const embed = fitting
    .filter(() => random.chance(0.5))
    .map((child) => {
      target.calls.add(child.name)
      return random.chance(0.25) ? { to: child.name, required: true } : child.name
    })
  if (embed.length > 0) rule.embed = embed
}

function drawDenies(
  random: Random,
  target: Draft,
  drafts: readonly Draft[],
  conditions: boolean,
): void {
  if (!random.chance(0.2)) return
  const callers = drafts.filter(({ external }) => !external)
  target.entry.denies = [
    {
      reason: 'closed',
      ...(random.chance(0.8) ? { from: random.pick(callers).name } : {}),
      ...(random.chance(0.5) ? { issuer: random.pick(['self', 'corporate']) } : {}),
      ...(conditions && random.chance(0.7) ? { when: random.pick(CONDITIONS) } : {}),
      ...(random.chance(0.3) ? { mode: 'audit' } : {}),
    },
  ]
}

function entryOf({ entry, calls, rules, embeddable }: Draft): Entry {
  return {
    ...entry,
    ...(embeddable ? { embeddable } : {}),
    ...(calls.size > 0 ? { calls: [...calls] } : {}),
    ...(rules.length > 0 ? { accepts: rules } : {}),
  }
}

function drawIssuers(random: Random, drafts: readonly Draft[]): readonly RandomIssuer[] {
  const callers = drafts.filter(({ external }) => !external).map(({ name }) => name)
  const first = callers[0] ?? ''
  return [
    {
      name: 'corporate',
      iss: CORPORATE,
      presentedBy: {
        'https://api.example': [...new Set([first, ...some(random, callers).slice(0, 1)])],
        'https://app.example': some(random, callers).slice(0, 2),
      },
    },
    {
      name: 'agents',
      iss: AGENTS,
      presentedBy: { 'https://agents.example': some(random, callers).slice(0, 1) },
    },
  ]
}

/** At least one. */
function some<T>(random: Random, items: readonly T[]): T[] {
  const first = random.pick(items)
  return items.filter((item) => item === first || random.chance(0.4))
}
