// Owns the words of a picture of the rules: what stands at a service and at an edge, in lines that fit.
// Must stay pure, and must not escape anything or know a format.
import { formatDuration } from '../../config/duration.ts'
import { clip, printable } from '../../config/problem.ts'
import type {
  GraphCondition,
  GraphDeny,
  GraphEdge,
  GraphScope,
  GraphService,
  GraphStray,
} from './model.ts'

/** Characters a line: three such labels side by side still fit a screen. */
const WIDTH = 40
/** A condition that is longer is read in its file. */
const MAX_CONDITION = 96
const MAX_NAMES = 3
const MAX_SCOPES = 4
const MAX_DENIES = 3

const KINDS = {
  mesh: undefined,
  external: 'outside the mesh, only a target',
  outside: 'outside the mesh, calls with a key',
} as const

/** What stands below a service's name. */
export function serviceLines(service: GraphService): readonly string[] {
  const { kind, audience, lifetimeSeconds, grants, claims, ctx, denies } = service
  return wrapped([
    KINDS[kind],
    audience,
    lifetimeSeconds && `token lives ${formatDuration(lifetimeSeconds * 1000)}`,
    service.embeddable && 'embeddable',
    grants.length > 0 && `brings ${few(grants)}`,
    claims.length > 0 && `sees ${few(claims)}`,
    ctx.length > 0 && `sees ctx ${few(ctx)}`,
    ...denyLines(denies),
  ])
}

/** What stands at an edge. */
export function edgeLines(edge: GraphEdge): readonly string[] {
  const { embeds, actors, denies, to } = edge
  // What a deny shuts gives nothing.
  if (edge.denied) {
    const why = denies.length === 0 ? ['denied to everybody'] : denyLines(denies)
    return wrapped([tokenText(edge), ...why, countsText(edge)])
  }
  return wrapped([
    tokenText(edge),
    edge.when && conditionText('only when', edge.when),
    ...(edge.forward ? ['handed on unchanged'] : scopeLines(edge.scopes)),
    actors.length > 0 && `may bring an actor of ${few(actors)}`,
    ...embeds.map((embed) => `carries ${embedText(embed, to)}`),
    ...denyLines(denies),
    joined([edge.act === 'impersonate' && 'impersonates', countsText(edge)]),
  ])
}

const ISSUERS: Readonly<Record<string, string>> = { self: '', workload: 'as itself' }
const tokenText = ({ issuer }: GraphEdge): string => ISSUERS[issuer] ?? `token of ${issuer}`

/** What stands at requests without an edge. */
export const strayLines = ({ granted, denied }: GraphStray): readonly string[] =>
  wrapped([
    'no such edge',
    denied > 0 && `denied ${times(denied)}`,
    granted > 0 && `${times(granted)} before`,
  ])

/** Scopes that the same scopes justify stand together, and so do those that justify themselves. */
function scopeLines(scopes: readonly GraphScope[]): readonly string[] {
  const groups = new Map<string, { readonly scope: GraphScope; readonly given: string[] }>()
  for (const scope of scopes) {
    const key = isSameName(scope) ? '' : JSON.stringify([scope.mode, scope.from, scope.when])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { scope, given: [scope.scope] })
    else group.given.push(scope.scope)
  }
  const lines = [...groups].map(([key, { scope, given }]) => {
    if (key === '') return [`${few(given)} → the same`]
    const need = few(scope.from, scope.mode === 'all' ? ' and ' : ' or ')
    const when = scope.when === undefined ? [] : [conditionText('if', scope.when)]
    const line = `${need} → ${few(given)}`
    return [...(line.length > WIDTH ? [need, `→ ${few(given)}`] : [line]), ...when]
  })
  return capped(lines, MAX_SCOPES).flat()
}

const isSameName = ({ scope, from, when }: GraphScope): boolean =>
  from.length === 1 && from[0] === scope && when === undefined

const denyLines = (denies: readonly GraphDeny[]): readonly string[] =>
  capped(
    denies.map(({ reason, when, mode }) => {
      const word = mode === 'audit' ? 'audit only' : 'denied'
      const condition = when === undefined ? '' : ` when ${oneLine(when)}`
      return `${word}: ${reason}${condition}`
    }),
    MAX_DENIES,
  )

const conditionText = (word: string, { source, mode }: GraphCondition): string =>
  `${word} ${oneLine(source)}${mode === 'audit' ? ' (audit only)' : ''}`

const oneLine = (source: string): string => clip(source.replace(/\s+/g, ' '), MAX_CONDITION)

function embedText({ to, required, levels }: GraphEdge['embeds'][number], holder: string): string {
  const [namespace = ''] = holder.split('/', 1)
  const name = to.startsWith(`${namespace}/`) ? to.slice(namespace.length + 1) : to
  const facts = [required && 'required', levels > 1 && `${levels} levels`].filter(Boolean)
  return `${name}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`
}

function countsText({ counts }: GraphEdge): string {
  if (counts === undefined) return ''
  const { granted, embedded, denied, wouldDeny } = counts
  return joined([
    granted === 0 ? 'not used' : times(granted),
    embedded > 0 && `${thousands(embedded)} embedded`,
    denied > 0 && `denied ${times(denied)}`,
    wouldDeny > 0 && `audit only ${times(wouldDeny)}`,
  ])
}

const joined = (facts: readonly (string | false)[]): string => facts.filter(Boolean).join(' · ')

const times = (count: number): string => `×${thousands(count)}`
const thousands = (count: number): string => String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')

/** `a, b, c +3` */
function few(names: readonly string[], joint = ', '): string {
  const left = names.length - MAX_NAMES
  return `${names.slice(0, MAX_NAMES).join(joint)}${left > 0 ? ` +${left}` : ''}`
}

function capped<T>(items: readonly T[], max: number): readonly (T | string)[] {
  const left = items.length - max
  return left > 0 ? [...items.slice(0, max), `+${left} more`] : items
}

/** Lines that fit; what is not there is left out. */
const wrapped = (texts: readonly (string | false | 0 | undefined)[]): readonly string[] =>
  texts.flatMap((text) => (text ? wrap(printable(text)) : []))

/** Breaks at spaces, and words that are longer than a line anywhere. */
function wrap(text: string): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
    for (; line.length > WIDTH; line = line.slice(WIDTH)) lines.push(line.slice(0, WIDTH))
  }
  return line === '' ? lines : [...lines, line]
}
