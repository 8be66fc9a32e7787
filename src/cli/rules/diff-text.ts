// Owns how a difference of rules is told: to people, for code review (Markdown), as JSON.
// Must not compare.
import { printable } from '../../config/problem.ts'
import type { ClaimsGained, RulesDiff, ScopesGained, Surplus } from '../../ruleset/diff/diff.ts'
import type { Easing } from '../../ruleset/diff/edges.ts'
import type { Journey } from '../../ruleset/reach/journey.ts'
import { OTHER_CLAIMS } from '../../ruleset/reach/token.ts'
import { alignTable } from '../table.ts'

/** A part of the difference, as a table. */
interface Section {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const EASED_HEAD = ['where', 'what', 'was', 'is', 'for'] as const

function sectionsOf({ gained, lost }: RulesDiff): readonly Section[] {
  return [
    { title: 'Newly obtainable', head: ['who', 'scopes', 'for', 'by'], rows: scopeRows(gained) },
    { title: 'Newly visible', head: ['who', 'claims', 'by'], rows: claimRows(gained) },
    { title: 'New exchanges', head: ['exchange'], rows: edgeRows(gained) },
    { title: 'Eased', head: EASED_HEAD, rows: easedRows(gained, 'eased') },
    {
      title: 'Changed, and may allow more',
      head: EASED_HEAD,
      rows: easedRows(gained, 'changed'),
    },
    { title: 'No longer obtainable', head: ['who', 'scopes', 'for', 'by'], rows: scopeRows(lost) },
    { title: 'No longer visible', head: ['who', 'claims', 'by'], rows: claimRows(lost) },
    { title: 'Exchanges no longer possible', head: ['exchange'], rows: edgeRows(lost) },
    { title: 'Tightened', head: EASED_HEAD, rows: easedRows(lost, 'eased') },
  ].filter(({ rows }) => rows.length > 0)
}

const scopeRows = ({ scopes }: Surplus): string[][] =>
  scopes.map(({ holder, target, scopes: held, journey, requests }: ScopesGained) => [
    holder,
    held.join(' '),
    target,
    chainText(journey, requests),
  ])

const claimRows = ({ claims }: Surplus): string[][] =>
  claims.map(({ service, claims: seen, journey, requests }: ClaimsGained) => [
    service,
    seen.map((claim) => (claim === OTHER_CLAIMS ? 'every other claim' : claim)).join(' '),
    chainText(journey, requests),
  ])

const edgeRows = ({ edges }: Surplus): string[][] => edges.map((edge) => [edge])

const easedRows = ({ eased }: Surplus, kind: Easing['kind']): string[][] =>
  eased
    .filter((easing) => easing.kind === kind)
    .map(({ where, what, before = '-', after = '-', callers }) => [
      where,
      what,
      before,
      after,
      callers.join(' '),
    ])

/** `corporate (shop:buy) → boutique/frontend → boutique/checkout, embedded.payment`. */
function chainText(journey: Journey | undefined, requests: number): string {
  if (journey === undefined) return requests === 1 ? '1 request' : `${requests} requests`
  const { root, hops, goal } = journey
  const brings = root.scopes.length === 0 ? '' : ` (${root.scopes.join(' ')})`
  const [first] = hops
  const steps = hops.map(({ uses, caller, target }, at) => {
    const moved = at > 0 && uses.length > 0 ? `${insideText(uses)}: ${caller.name} → ` : ''
    return `${moved}${target.name}`
  })
  const start = [`${root.issuer}${brings}`, first?.caller.name ?? goal.holder]
  const end = goal.path.length === 0 ? '' : `, ${insideText(goal.path)}`
  return `${[...start, ...steps].join(' → ')}${end}`
}

const insideText = (path: readonly string[]): string =>
  path.map((member) => `embedded.${member}`).join('.')

const SAME = 'no difference in what can be obtained or seen, and nothing is eased or tightened'
const GAVE_UP = 'GAVE UP: there are too many combinations; more may be allowed than is told here'

/** For a terminal. */
export function diffText(diff: RulesDiff): string {
  const sections = sectionsOf(diff).map(
    ({ title, head, rows }) =>
      `${title} (${rows.length})\n${alignTable([head, ...rows].map((row) => ['', ...row]))}\n`,
  )
  return `${sections.join('')}${endOf(diff, sections.length === 0)}\n`
}

/** For a comment on a change. */
export function diffMarkdown(diff: RulesDiff): string {
  const sections = sectionsOf(diff).map(({ title, head, rows }) => {
    const line = (cells: readonly string[]) => `| ${cells.map(cellText).join(' | ')} |\n`
    const rule = `|${head.map(() => '---').join('|')}|\n`
    return `### ${title} (${rows.length})\n\n${line(head)}${rule}${rows.map(line).join('')}\n`
  })
  return `## Rules\n\n${sections.join('')}${endOf(diff, sections.length === 0)}\n`
}

/** Conditions hold `|` and backticks; nothing of a rule file becomes markup. */
const cellText = (text: string): string =>
  printable(text).replace(/[\\`*_[\]<>|~&@:]/g, (mark) => `&#${mark.charCodeAt(0)};`)

function endOf(diff: RulesDiff, isSame: boolean): string {
  if (!diff.complete) return GAVE_UP
  if (isSame) return SAME
  const { gained, lost } = diff
  return `gained: ${countsOf(gained)}\nlost: ${countsOf(lost)}`
}

const countsOf = ({ scopes, claims, edges, eased }: Surplus): string =>
  `${scopes.length} obtainable, ${claims.length} visible, ${edges.length} exchanges, ${eased.length} eased`

/** For programs. */
export function diffJson(diff: RulesDiff): object {
  const part = ({ scopes, claims, edges, eased }: Surplus) => ({
    obtainable: scopes.map(({ journey, requests, ...rest }) => ({
      ...rest,
      requests,
      by: chainText(journey, requests),
    })),
    visible: claims.map(({ journey, requests, ...rest }) => ({
      ...rest,
      requests,
      by: chainText(journey, requests),
    })),
    exchanges: edges,
    eased,
  })
  const { gained, lost, complete, explored } = diff
  return { complete, gained: part(gained), lost: part(lost), explored }
}
