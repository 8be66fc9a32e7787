// Owns hostile YAML: valid files of rules, settings and issuers with one or a few things changed.
// Must not judge anything.
import { BOUTIQUE_RULES, FULL_ISSUERS, fullSettings } from '../e2e/full-configuration.ts'
import { ISSUERS, SETTINGS } from '../support/deployment.ts'
import { BOUTIQUE } from '../support/rules.ts'
import type { Random } from './random.ts'
import { mutateText, nastyText } from './text-mutations.ts'

const SETTINGS_FILES = [SETTINGS, fullSettings()] as const
const ISSUERS_FILES = [ISSUERS, FULL_ISSUERS] as const
const RULE_FILES = [BOUTIQUE, BOUTIQUE_RULES] as const

/** Scalars and collections that YAML reads in more than one way, or at a price. */
const NASTY_NODES: readonly string[] = [
  '',
  '~',
  'null',
  'true',
  'yes',
  'on',
  '0',
  '-0',
  '0x1F',
  '0o17',
  '0777',
  '1e3',
  '1e400',
  '.inf',
  '.nan',
  '2026-11-23',
  '12:30:45',
  '!!binary aGk=',
  '!!set {a, b}',
  '!!timestamp 2026-11-23',
  '!!js/function "function(){}"',
  '!local x',
  '&a x',
  '*a',
  '&a [*a]',
  '<<: {a: b}',
  '{<<: {a: b}}',
  '[]',
  '{}',
  '[[[[]]]]',
  '{a: {a: {a: {a: {}}}}}',
  '{? [a, b] : c}',
  '{1: a}',
  '{null: a}',
  '{"__proto__": {admin: true}}',
  '{constructor: {prototype: {}}}',
  '"\\u0000"',
  '"\\ud800"',
  '"\\x1b[31m"',
  '"a\\\n b"',
  "'it''s'",
  '|\n  text',
  '>-\n  text',
  '@x',
  '`x`',
  '%x',
  'a: b: c',
  'a #b',
  '- - - a',
  '5m',
  '0s',
  '20GB',
  'https://x.example',
  'http://x.example/?a#b',
  'spiffe://*/*',
  'boutique/*',
  '*/*',
]

const KEYS: readonly string[] = [
  ...['issuer', 'services', 'namespace', 'accepts', 'from', 'scopes', 'calls', 'act', 'actors'],
  ...[
    'denies',
    'reason',
    'token',
    'lifetime',
    'claims',
    'audience',
    'identity',
    'external',
    'when',
  ],
  ...['embed', 'listeners', 'keys', 'store', 'limits', 'relaxations', 'audit', 'jwks_uri'],
  ...['__proto__', 'constructor', '"a b"', '? ', '"\\u0000"', "''", 'é', '1', 'null', '<<'],
]

/** Where a value begins in a line: behind its colon or dash. */
const VALUE = /^(\s*(?:- )*(?:[A-Za-z_:/.-]+: |- ))(.+)$/
const KEY = /^(\s*(?:- )?)([a-z_]+)(: ?.*)$/

type LineMutation = (lines: string[], index: number, random: Random) => void

const LINE_MUTATIONS: readonly LineMutation[] = [
  (lines, index) => void lines.splice(index, 1),
  (lines, index) => void lines.splice(index, 0, lines[index] ?? ''),
  (lines, index, random) => {
    lines[index] = `${' '.repeat(random.pick([1, 2, 4, 80]))}${lines[index]}`
  },
  (lines, index) => {
    lines[index] = (lines[index] ?? '').trimStart()
  },
  (lines, index) => {
    lines[index] = `\t${lines[index]}`
  },
  (lines, index, random) => {
    const other = random.below(lines.length)
    const [one = '', two = ''] = [lines[index], lines[other]]
    lines[index] = two
    lines[other] = one
  },
  (lines, index, random) => {
    const node = random.chance(0.6) ? random.pick(NASTY_NODES) : nastyText(random)
    lines[index] = (lines[index] ?? '').replace(VALUE, (_all, before: string) => before + node)
  },
  (lines, index, random) => {
    lines[index] = (lines[index] ?? '').replace(
      KEY,
      (_all, indent: string, _key: string, rest: string) => indent + random.pick(KEYS) + rest,
    )
  },
  (lines, index, random) => {
    const indent = /^\s*/.exec(lines[index] ?? '')?.[0] ?? ''
    lines.splice(index, 0, `${indent}${random.pick(KEYS)}: ${random.pick(NASTY_NODES)}`)
  },
  (lines, index, random) => {
    lines[index] = (lines[index] ?? '').replace(
      VALUE,
      (_all, before: string, value: string) =>
        `${before}${random.pick(['&a ', '!x ', '!!str ', '"', "'", '- ', '[', '{'])}${value}`,
    )
  },
  (lines, index, random) => {
    lines.splice(
      index,
      0,
      random.pick(['---', '...', '%YAML 1.1', '# a', '? a', '*a', '- a', '\u0085']),
    )
  },
  (lines, index, random) => {
    lines[index] = mutateText(lines[index] ?? '', random)
  },
]

/** Changes one thing of a file, seldom two or three. */
function mutateYaml(text: string, random: Random): string {
  if (random.chance(0.04)) return mutateText(text, random)
  const lines = text.trim().split('\n')
  do random.pick(LINE_MUTATIONS)(lines, random.below(lines.length), random)
  while (random.chance(0.25))
  if (random.chance(0.02)) lines.unshift('\ufeff')
  return `${lines.join(random.chance(0.02) ? '\r' : '\n')}\n`
}

/** A rule file that is right, whatever its numbers: services, edges, scopes in a random order. */
function rightRules(random: Random): string {
  const names = ['alpha', 'beta', 'gamma', 'delta'].slice(0, 2 + random.below(3))
  const services = names.map((name, index) => {
    const calls = names.slice(index + 1)
    const callers = names.slice(0, index)
    const accepts = callers.map((caller) => {
      const issuer = random.pick(['', ', issuer: corporate', ', issuer: agents'])
      const act = random.pick(['', ', act: impersonate'])
      const justified = random.pick(['[x:read]', '{any: [x:read, y:read]}', '{all: [x:read]}'])
      return `      - {from: ${caller}${issuer}${act}, scopes: {${name}:do: ${justified}}}`
    })
    return [
      `  ${name}:`,
      `    scopes: [${name}:do]`,
      `    token: {lifetime: ${10 + random.below(3000)}s}`,
      ...(random.chance(0.5) ? ['    claims: [email]'] : []),
      ...(calls.length === 0 ? [] : [`    calls: [${calls.join(', ')}]`]),
      ...(accepts.length === 0 ? [] : ['    accepts:', ...accepts]),
      ...(random.chance(0.2) ? ['    denies:', '      - {reason: closed}'] : []),
    ].join('\n')
  })
  return `namespace: greek\nservices:\n${services.join('\n')}\n`
}

/** A rule file. */
export function hostileRules(random: Random): string {
  if (random.chance(0.2)) return rightRules(random)
  const text = random.chance(0.3) ? rightRules(random) : random.pick(RULE_FILES)
  return mutateYaml(text, random)
}

/** sts.yaml and the issuers file, one of them changed; and an environment that overrides a key. */
export interface HostileSettings {
  readonly settings: string
  readonly issuers: string
  readonly env: Readonly<Record<string, string>>
}

const VARIABLES: readonly string[] = [
  ...['STS_ISSUER', 'STS_LIMITS_BURST', 'STS_KEYS_PUBLISH_BEFORE', 'STS_AUDIT_MAX_SIZE'],
  ...['STS_LISTENERS_TOKEN_ADDRESS', 'STS_TRUST_DOMAINS', 'STS_RULES', 'STS_NOPE', 'STS_'],
  ...['STS_RELAXATIONS_ALLOW_HTTP_ISSUER', 'STS_PORT', 'STS___PROTO__', 'STS_CONSTRUCTOR'],
]

/** A deployment's configuration. */
export function hostileSettings(random: Random): HostileSettings {
  const settings = random.pick(SETTINGS_FILES)
  const issuers = random.pick(ISSUERS_FILES)
  const env = random.chance(0.2)
    ? {
        [random.pick(VARIABLES)]: random.chance(0.7) ? random.pick(NASTY_NODES) : nastyText(random),
      }
    : {}
  return random.chance(0.55)
    ? { settings: mutateYaml(settings, random), issuers, env }
    : { settings, issuers: mutateYaml(issuers, random), env }
}

/** Any YAML: more of what no schema is asked about. */
export function hostileYaml(random: Random): string {
  const node = (): string => random.pick(NASTY_NODES)
  if (random.chance(0.3)) {
    return Array.from({ length: 1 + random.below(5) }, () =>
      random.pick([`k${random.below(3)}: ${node()}`, `- ${node()}`, node(), nastyText(random)]),
    ).join('\n')
  }
  return mutateYaml(random.pick([...SETTINGS_FILES, ...ISSUERS_FILES, ...RULE_FILES]), random)
}
