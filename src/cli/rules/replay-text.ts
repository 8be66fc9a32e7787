// Owns how a replay is told: as text, as Markdown for a review, as JSON.
// Must not replay or judge.

import { printable } from '../../config/problem.ts'
import { REPLAY_CLASSES, type ReplayClass } from '../../ruleset/history/replay.ts'
import type { Difference } from '../../ruleset/history/replay-differences.ts'
import {
  failuresOf,
  REPLAY_GATES,
  type ReplayGate,
  type ReplayGroup,
  type ReplayReport,
} from '../../ruleset/history/replay-report.ts'
import { alignTable, timeText } from '../table.ts'

/** A replay and what is said of it. */
export interface ReplayTelling {
  readonly report: ReplayReport
  readonly rulesetHash: string
  /** Milliseconds since the epoch. */
  readonly since: number | undefined
  /** When the oldest event that is kept was recorded. */
  readonly oldest: number | undefined
  /** Gates that were asked for and did not hold. */
  readonly failed: readonly ReplayGate[]
}

const WORDS: Readonly<Record<ReplayClass, string>> = {
  newly_allowed: 'newly allowed',
  newly_denied: 'newly denied',
  changed: 'changed',
  undecidable: 'undecidable',
  same: 'the same',
  not_about_rules: 'not about rules',
}

/** As much of a hash as people compare. */
const HASH_CHARACTERS = 12

/** The replay as text. */
export function replayText(telling: ReplayTelling): string {
  const { report } = telling
  const parts = [
    headText(telling),
    ...report.groups.map(groupText),
    ...notes(telling).map((note) => `${printable(note)}\n`),
  ]
  return parts.join('\n')
}

function headText({ report, rulesetHash }: ReplayTelling): string {
  const { decisions, totals } = report
  const count = decisions === 1 ? '1 decision' : `${decisions} decisions`
  const found = REPLAY_CLASSES.filter((name) => totals[name] > 0)
  const rows = found.map((name) => [`  ${WORDS[name]}`, `${totals[name]}`])
  return `${count} against ruleset ${rulesetHash.slice(0, HASH_CHARACTERS)}\n${alignTable(rows)}`
}

function groupText(group: ReplayGroup): string {
  const title = `${WORDS[group.class]}, ${group.count}×: ${edgeText(group)}`
  const rows = [
    ['  asked for', group.asked?.join(' ') ?? 'all that is justified'],
    ['  then', group.before],
    ['  now', nowText(group)],
    ...group.differences.map(({ text }) => ['  different', text]),
    ...group.why.map((why) => [`  ${WHY[group.class]}`, why]),
    ...(group.detail === undefined ? [] : [['  detail', group.detail]]),
    ['  when', whenText(group)],
    ['  such as', group.example],
  ]
  return `${printable(title)}\n${alignTable(rows)}`
}

/** What the reasons of a class are. */
const WHY: Readonly<Record<ReplayClass, string>> = {
  newly_allowed: 'by',
  newly_denied: 'failed',
  changed: 'not known',
  undecidable: 'not known',
  same: 'why',
  not_about_rules: 'why',
}

const edgeText = ({ caller, target, issuer }: ReplayGroup): string =>
  `${caller} → ${target}${issuer === undefined ? '' : `, token of ${issuer}`}`

const nowText = ({ class: name, now, before, why }: ReplayGroup): string => {
  if (name === 'undecidable') return 'cannot be said'
  if (name === 'changed' && why.length > 0) return `${now}, perhaps more`
  return now === before ? 'the same scopes, another token' : (now ?? '')
}

const whenText = ({ first, last }: ReplayGroup): string =>
  first === last ? timeText(last) : `${timeText(first)} to ${timeText(last)}`

function notes({ report, since, oldest, failed }: ReplayTelling): readonly string[] {
  const { ungrouped, wouldDeny, decisions } = report
  return [
    ...(ungrouped === 0 ? [] : [`${ungrouped} more are in no group: there are too many of them`]),
    ...[...wouldDeny].map(([id, count]) => `audit mode, would deny ${count}×: ${id}`),
    ...(decisions === 0 ? ['no decision was recorded'] : []),
    ...(since !== undefined && oldest !== undefined && oldest > since
      ? [`the audit reaches back to ${timeText(oldest)} only`]
      : []),
    ...failed.map((gate) => `--fail-on ${gate}: ${failuresOf(gate, report)}`),
  ]
}

/** The replay as Markdown, for a comment on a change of rules. */
export function replayMarkdown(telling: ReplayTelling): string {
  const { report, rulesetHash } = telling
  const found = REPLAY_CLASSES.filter((name) => report.totals[name] > 0)
  const totals = found.map((name) => `${report.totals[name]} ${WORDS[name]}`).join(', ')
  const hash = rulesetHash.slice(0, HASH_CHARACTERS)
  const head = `**${report.decisions} recorded decisions against ruleset \`${hash}\`**: ${totals === '' ? 'none' : totals}.`
  const rows = report.groups.map((group) => [
    WORDS[group.class],
    `${group.count}`,
    edgeText(group),
    group.asked?.join(' ') ?? 'all that is justified',
    `${group.before} → ${nowText(group)}`,
    [...group.differences.map(({ text }) => text), ...group.why].join('; '),
    whenText(group),
    group.example,
  ])
  const table =
    rows.length === 0
      ? []
      : [MARKDOWN_HEAD, ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`)]
  const told = notes(telling).map((note) => `- ${cell(note)}`)
  const parts = [[head], table, told].filter((part) => part.length > 0)
  return `${parts.map((part) => part.join('\n')).join('\n\n')}\n`
}

const MARKDOWN_HEAD =
  '| | count | who → whom | asked for | then → now | why | when | such as |\n|---|---|---|---|---|---|---|---|'

/** Text of requests must not become markup. */
const cell = (text: string): string => printable(text).replace(/[\\`*_{}[\]<>#|!~&@]/g, '\\$&')

/** The replay as JSON. */
export function replayJson(telling: ReplayTelling): object {
  const { report, rulesetHash, since, oldest, failed } = telling
  const timeJson = (time: number) => new Date(time).toISOString()
  return {
    ok: failed.length === 0,
    failed_on: failed,
    ruleset_hash: rulesetHash,
    since: since === undefined ? undefined : timeJson(since),
    oldest: oldest === undefined ? undefined : timeJson(oldest),
    decisions: report.decisions,
    totals: report.totals,
    gates: Object.fromEntries(REPLAY_GATES.map((gate) => [gate, failuresOf(gate, report)])),
    would_deny: Object.fromEntries(report.wouldDeny),
    ungrouped: report.ungrouped,
    groups: report.groups.map((group) => ({
      class: group.class,
      gains: group.gains,
      count: group.count,
      caller: group.caller,
      issuer: group.issuer,
      target: group.target,
      asked: group.asked,
      before: group.before,
      now: group.now,
      differences: group.differences.map(({ text, wider }: Difference) => ({ text, wider })),
      why: group.why,
      detail: group.detail,
      first: timeJson(group.first),
      last: timeJson(group.last),
      example: group.example,
    })),
  }
}
