// Owns what a test expects of an exchange against what came of it. Pure; must not run anything.
import { formatDuration, parseDuration } from '../../config/duration.ts'
import type { Act } from '../../subjects/subject.ts'
import type { Minted } from '../../tokens/mint.ts'
import type { Ruleset } from '../ruleset.ts'
import type { Granted, Rehearsal } from './rehearsal.ts'
import { type Scene, subOf } from './scenario.ts'
import type { AllowEntry, ExpectEntry } from './test-schema.ts'

/** One thing that is not as it was expected. */
export interface Difference {
  /** `outcome`, `scope`, `embedded.payment.claims` … */
  readonly what: string
  readonly expected: string
  readonly actual: string
}

/** Compares; nothing means that all is as expected. */
export function differencesOf(
  expected: ExpectEntry,
  { result, tailored }: Pick<Rehearsal, 'result' | 'tailored'>,
  scene: Scene,
): readonly Difference[] {
  const audited = auditDifference(expected.would_deny, tailored?.decision.wouldDeny ?? [], scene)
  const actual = result.ok ? `allow ${scopeOf(result.value)}` : `deny ${result.reason}`
  const detail = result.ok || result.detail === undefined ? '' : `: ${result.detail}`
  if (expected.deny !== undefined) {
    if (!result.ok && result.reason === expected.deny) return audited
    const outcome = { what: 'outcome', expected: `deny ${expected.deny}`, actual: actual + detail }
    return [outcome, ...audited]
  }
  if (!result.ok)
    return [{ what: 'outcome', expected: 'allow', actual: actual + detail }, ...audited]
  return [...compareGrant(expected.allow ?? {}, result.value, scene), ...audited]
}

const scopeOf = (granted: Granted): string =>
  granted.kind === 'minted' ? granted.minted.token.claims.scope : granted.decision.scopes.join(' ')

function compareGrant(expected: AllowEntry, granted: Granted, scene: Scene): Difference[] {
  if (granted.kind === 'minted') {
    const forward: Difference[] =
      expected.forward === undefined
        ? []
        : [{ what: 'forward', expected: 'the subject token', actual: 'a token of ours' }]
    return [...forward, ...compareToken(expected, granted.minted, scene, '')]
  }
  const handedOn = 'the subject token is handed on as it is'
  return [
    ...compareWords('scope', expected.scope, granted.decision.scopes),
    ...(['claims', 'ctx', 'act', 'lifetime', 'embedded'] as const).flatMap((what) =>
      expected[what] === undefined
        ? []
        : [{ what, expected: JSON.stringify(expected[what]), actual: handedOn }],
    ),
  ]
}

function compareToken(
  expected: AllowEntry,
  minted: Minted,
  scene: Scene,
  prefix: string,
): Difference[] {
  const { claims, passedClaims } = minted.token
  const lifetime = (claims.exp - claims.iat) * 1000
  const actors = actorsOf(claims.act)
  const differences = [
    ...compareWords('scope', expected.scope, claims.scope.split(' ')),
    ...compareClaims(expected.claims, claims, passedClaims),
    ...compareJson('ctx', expected.ctx, claims.ctx ?? {}),
    ...compareJson(
      'act',
      expected.act?.map((one) => subOf(one, scene)),
      actors,
    ),
    ...(expected.lifetime === undefined || parseDuration(expected.lifetime) === lifetime
      ? []
      : [{ what: 'lifetime', expected: expected.lifetime, actual: formatDuration(lifetime) }]),
    ...compareEmbedded(expected.embedded, minted, scene),
  ]
  return differences.map(({ what, ...rest }) => ({ what: prefix + what, ...rest }))
}

function compareEmbedded(
  expected: AllowEntry['embedded'],
  { children }: Minted,
  scene: Scene,
): Difference[] {
  if (expected === undefined) return []
  const inside = new Map<string, Minted>()
  const leftOut: string[] = []
  for (const { child, minted } of children) {
    if (minted.ok) inside.set(child.embed.member, minted.value)
    else leftOut.push(`${child.embed.member} left out: ${minted.reason}`)
  }
  const members = Object.keys(expected)
  const differences = compareWords('embedded', members.join(' '), [...inside.keys()])
  const first = differences[0]
  if (first !== undefined) {
    const actual = [first.actual, ...leftOut].join('; ')
    return [{ ...first, actual }]
  }
  return Object.entries(expected).flatMap(([member, what]) => {
    const minted = inside.get(member)
    const allow = typeof what === 'string' ? { scope: what } : what
    return minted === undefined ? [] : compareToken(allow, minted, scene, `embedded.${member}.`)
  })
}

function compareClaims(
  expected: AllowEntry['claims'],
  claims: Readonly<Record<string, unknown>>,
  passed: readonly string[],
): Difference[] {
  if (expected === undefined) return []
  if (isList(expected)) return compareWords('claims', expected.join(' '), passed)
  return compareJson(
    'claims',
    expected,
    Object.fromEntries(passed.map((name) => [name, claims[name]])),
  )
}

const isList = (claims: NonNullable<AllowEntry['claims']>): claims is readonly string[] =>
  Array.isArray(claims)

/** As sets: order says nothing. */
function compareWords(
  what: string,
  expected: string | undefined,
  actual: readonly string[],
): Difference[] {
  if (expected === undefined) return []
  const wanted = [...new Set(expected.split(' ').filter((word) => word !== ''))].sort().join(' ')
  const found = [...actual].sort().join(' ')
  if (wanted === found) return []
  return [{ what, expected: wanted || 'none', actual: found || 'none' }]
}

function compareJson(what: string, expected: unknown, actual: unknown): Difference[] {
  if (expected === undefined || sameJson(expected, actual)) return []
  return [{ what, expected: JSON.stringify(expected), actual: JSON.stringify(actual) }]
}

function auditDifference(
  expected: readonly string[] | undefined,
  actual: readonly string[],
  { ruleset }: Scene,
): Difference[] {
  if (expected === undefined) return []
  const meant = actual.map(
    (id) => expected.find((one) => one === id || one === reasonOf(id, ruleset)) ?? id,
  )
  return compareJson('would_deny', [...new Set(expected)].sort(), [...new Set(meant)].sort())
}

/** The admin's word for a deny, by the deny's id. */
function reasonOf(id: string, { services }: Ruleset): string | undefined {
  const [name = ''] = id.split(' ')
  return services.get(name)?.denies.find((deny) => deny.id === id)?.reason
}

/** `sub` of each level, the outermost first. */
export function actorsOf(act: Act | undefined): string[] {
  const actors: string[] = []
  for (let level = act; level !== undefined; level = level.act) actors.push(level.sub)
  return actors
}

/** Whether two JSON values are the same, whatever the order of members. */
function sameJson(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) {
    return Object.is(one, other)
  }
  if (Array.isArray(one) !== Array.isArray(other)) return false
  const keys = Object.keys(one)
  return (
    keys.length === Object.keys(other).length &&
    keys.every(
      (key) =>
        Object.hasOwn(other, key) &&
        sameJson((one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key]),
    )
  )
}
