// Owns how an explanation is told, as text and as JSON. Must not explain.

import { formatDuration } from '../../config/duration.ts'
import { printable } from '../../config/problem.ts'
import type { Explanation } from '../../ruleset/explain/explain.ts'
import { UNDECIDABLE } from '../../ruleset/history/recorded.ts'
import type { FindPlace } from '../../ruleset/places.ts'
import { actorsOf } from '../../ruleset/rehearse/expectation.ts'
import type { Granted } from '../../ruleset/rehearse/rehearsal.ts'
import type { Minted, MintedChild } from '../../tokens/mint.ts'
import type { CliIo } from '../io.ts'
import { alignTable } from '../table.ts'
import { placeOf, placeText } from './test-report.ts'
import { traceText } from './trace-text.ts'

/** What an explanation is told with. */
export interface Telling {
  readonly explanation: Explanation
  readonly findPlace: FindPlace
  readonly io: Pick<CliIo, 'cwd'>
  /** What the record does not say; nothing for a request that is described. */
  readonly undecidable: readonly string[]
  /** The names of the claims that passed, where all is known from a record; it has no more of them. */
  readonly recordedClaims?: readonly string[] | undefined
}

/** The explanation as text. */
export function explanationText(telling: Telling): string {
  const { explanation } = telling
  const { trace } = explanation.rehearsal
  const parts = [alignTable(headRows(telling))]
  if (trace.length > 0) parts.push(traceText(trace, '  '))
  const changes = changesText(telling)
  if (changes !== '') parts.push(changes)
  return parts.join('\n')
}

/** `granted`, `denied` or `undecidable`. */
export function outcomeOf({
  explanation,
  undecidable,
}: Pick<Telling, 'explanation' | 'undecidable'>) {
  if (undecidable.length > 0) return 'undecidable' as const
  return explanation.rehearsal.result.ok ? ('granted' as const) : ('denied' as const)
}

function headRows(telling: Telling): string[][] {
  const { explanation, findPlace, io, undecidable } = telling
  const { result, order, tailored } = explanation.rehearsal
  const rule = tailored?.decision.rule
  const outcome = outcomeOf(telling)
  const what = result.ok ? grantText(result.value) : result.reason
  return [
    [outcome, outcome === 'undecidable' ? `as far as it is known ${what}` : what],
    ...(result.ok ? tokenRows(result.value, telling) : refusalRows(explanation)),
    ...undecidable.map((note) => ['not known', note]),
    ...(order === undefined
      ? []
      : [
          ['caller', `${order.caller.service.name}, ${order.caller.id}`],
          ['subject', subjectText(order.subject)],
          ...(order.actor === undefined
            ? []
            : [['actor', `${order.actor.issuer}: ${order.actor.sub}`]]),
          ['asked', askedText(order.request)],
        ]),
    ...(rule === undefined ? [] : [['rule', withPlace(rule.id, rule.id, findPlace, io)]]),
    ...(tailored?.decision.wouldDeny ?? []).map((id) => ['would deny', `${id} (mode: audit)`]),
  ]
}

function refusalRows({ wire, rehearsal }: Explanation): string[][] {
  if (wire === undefined || rehearsal.result.ok) return []
  const { reason, detail } = rehearsal.result
  return [
    ...(detail === undefined ? [] : [['detail', detail]]),
    ['answer', `${wire.status} ${wire.error}: ${wire.description}`],
    ['see', `docs/errors.md#${reason}`],
  ]
}

const subjectText = ({
  issuer,
  qualifiedSub,
  scopes,
}: NonNullable<Explanation['rehearsal']['order']>['subject']): string =>
  `${issuer}: ${qualifiedSub}, brings ${scopes.size === 0 ? 'no scope' : [...scopes].join(' ')}`

const askedText = ({
  audiences,
  resources,
  scopes,
}: NonNullable<Explanation['rehearsal']['order']>['request']): string =>
  [
    ...audiences.map((one) => `audience ${one}`),
    ...resources.map((one) => `resource ${one}`),
    scopes === undefined ? 'all that is justified' : `scope ${scopes.join(' ')}`,
  ].join(', ')

const grantText = (granted: Granted): string =>
  granted.kind === 'forwarded'
    ? `the subject token itself, with ${granted.decision.scopes.join(' ') || 'no scope'}`
    : granted.minted.token.claims.scope

function tokenRows(granted: Granted, { recordedClaims }: Telling): string[][] {
  if (granted.kind === 'forwarded') return []
  const { token, children } = granted.minted
  const { claims, passedClaims } = token
  const lifetime = formatDuration((claims.exp - claims.iat) * 1000)
  const names = (recordedClaims ?? passedClaims).join(' ') || 'none'
  return [
    ['token', `for ${claims.aud}, ${lifetime}, claims ${names}`],
    ...(claims.act === undefined ? [] : [['act', actorsOf(claims.act).join(' for ')]]),
    ...(claims.ctx === undefined ? [] : [['ctx', JSON.stringify(claims.ctx)]]),
    ...children.map((child) => ['embedded', `${child.child.embed.member}: ${insideText(child)}`]),
  ]
}

function insideText({ minted }: MintedChild): string {
  if (minted.ok) return minted.value.token.claims.scope
  // Where a condition read what was not recorded nobody knows whether it was left out.
  return minted.detail?.includes(UNDECIDABLE) === true ? 'not known' : `left out, ${minted.reason}`
}

function changesText({ explanation, findPlace, io }: Telling): string {
  const { changes, suffices } = explanation
  if (changes.length === 0) return ''
  const lines = changes.map(
    ({ what, at }, index) => `  ${index + 1}. ${withPlace(what, at, findPlace, io)}`,
  )
  const end = suffices
    ? changes.length > 1
      ? ['  All of these together would do.']
      : []
    : ['  What would come after that is not known.']
  return ['What would have to be different:', ...lines, ...end]
    .map((line) => `${printable(line)}\n`)
    .join('')
}

function withPlace(
  text: string,
  id: string | undefined,
  findPlace: FindPlace,
  io: Pick<CliIo, 'cwd'>,
) {
  const place = id === undefined ? '' : placeText(placeOf(id, findPlace), io)
  return place === '' ? text : `${text} (${place})`
}

/** The explanation as JSON. */
export function explanationJson(telling: Telling): object {
  const { explanation, findPlace, io, undecidable } = telling
  const { rehearsal, wire, changes, suffices } = explanation
  const { result, tailored, trace, stage } = rehearsal
  const where = (id: string | undefined) => {
    const place = id === undefined ? '' : placeText(placeOf(id, findPlace), io)
    return place === '' ? {} : { place }
  }
  const root = trace[0]?.facts
  return {
    outcome: outcomeOf(telling),
    ...(result.ok
      ? grantJson(result.value, telling)
      : { reason: result.reason, detail: result.detail, stage, answer: wire }),
    ...(undecidable.length > 0 ? { undecidable } : {}),
    target: tailored?.decision.target?.name,
    rule: tailored?.decision.rule?.id,
    ...where(tailored?.decision.rule?.id),
    would_deny: tailored?.decision.wouldDeny ?? [],
    steps: trace.map(({ step, facts }) => ({
      ...step,
      ...(facts === root ? {} : { inside: facts.caller.service.name }),
    })),
    changes: changes.map(({ what, at }) => ({ what, ...where(at) })),
    suffices,
  }
}

function grantJson(granted: Granted, { recordedClaims }: Telling): object {
  if (granted.kind === 'forwarded') return { forwarded: true, scopes: granted.decision.scopes }
  const token = tokenJson(granted.minted)
  return recordedClaims === undefined ? token : { ...token, claims: recordedClaims }
}

function tokenJson({ token: { claims, passedClaims }, children }: Minted): object {
  const inside = children.flatMap(({ child, minted }): [string, object][] =>
    minted.ok ? [[child.embed.member, tokenJson(minted.value)]] : [],
  )
  return {
    scopes: claims.scope.split(' '),
    sub: claims.sub,
    aud: claims.aud,
    lifetime_seconds: claims.exp - claims.iat,
    claims: Object.fromEntries(passedClaims.map((name) => [name, claims[name]])),
    ctx: claims.ctx,
    act: claims.act,
    chain: claims.chain,
    ...(inside.length > 0 ? { embedded: Object.fromEntries(inside) } : {}),
  }
}
