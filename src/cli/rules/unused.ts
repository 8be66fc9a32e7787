// Owns `rules unused`: what of the configured rules no granted exchange needed since a time.
// Must not compare rules with what was used; src/ruleset/history/unused.ts does.
import { oldestEvent } from '../../audit/query.ts'
import { type Usage, usageSince } from '../../audit/usage.ts'
import { printable } from '../../config/problem.ts'
import {
  UNUSED_KINDS,
  type UnusedKind,
  type UnusedPart,
  unusedOf,
} from '../../ruleset/history/unused.ts'
import { type FindPlace, type Place, placesOf } from '../../ruleset/places.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import { CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from '../command.ts'
import { shownFile, tellProblems, withDatabase } from '../configured.ts'
import { loadRules } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { alignTable, timeText } from '../table.ts'
import { timeOption } from './time-option.ts'

const OPTIONS = {
  config: CONFIG_OPTION,
  since: { value: '<time>', help: 'From when on: 90d ago, or 2026-11-23. Required.' },
  json: JSON_OPTION,
}

/** `mesh-sts rules unused` */
export const rulesUnused = defineCommand(
  {
    name: 'rules unused',
    summary: 'Tell what of the rules was not used since a time, by what the audit holds.',
    details: [
      'Used means that a granted exchange needed it. Exits with 1 where something was not used. The audit\n' +
        'cannot know what is used once a year: look at how far back it reaches.',
    ],
    options: OPTIONS,
  },
  async (args, io) => {
    const since = timeOption('since', args.text('since'), io.now())
    if (since === undefined) throw new UsageError('--since is required, such as --since 90d')
    const isJson = args.has('json')
    const call = { config: args.text('config'), isJson, readonly: true }
    return withDatabase(call, io, (db, settings) => {
      const { ruleset, problems, sources } = loadRules(settings)
      if (ruleset === undefined) {
        if (isJson) printJson(io, { ok: false, problems })
        else tellProblems(io, problems)
        return EXIT_FAILED
      }
      if (!isJson) tellProblems(io, problems)
      const usage = usageSince(db, since)
      const findPlace = placesOf(sources, ruleset)
      return tell({ ruleset, usage, since, oldest: oldestEvent(db), findPlace, io }, isJson)
    })
  },
)

interface Telling {
  readonly ruleset: Ruleset
  readonly usage: Usage
  readonly since: number
  readonly oldest: number | undefined
  readonly findPlace: FindPlace
  readonly io: CliIo
}

function tell(telling: Telling, isJson: boolean): number {
  const { ruleset, usage, io } = telling
  const { parts, quietDenies } = unusedOf(ruleset, usage)
  if (isJson) {
    printJson(io, { ok: parts.length === 0, ...json(telling, parts), quiet_denies: quietDenies })
  } else {
    io.stdout(reachText(telling))
    for (const kind of UNUSED_KINDS) io.stdout(kindText(kind, parts, telling))
    if (quietDenies.length > 0) {
      io.stdout(`\nfor information, denies that never fired:\n${list(quietDenies)}`)
    }
    if (parts.length === 0) io.stdout('\nall of the rules was used\n')
  }
  return parts.length === 0 ? EXIT_OK : EXIT_FAILED
}

const list = (ids: readonly string[]): string => ids.map((id) => `  ${printable(id)}\n`).join('')

/** As much of a hash as people compare. */
const HASH_CHARACTERS = 12

/** What the findings rest on. */
function reachText({ ruleset, usage: { rulesets }, since, oldest }: Telling): string {
  const rows = rulesets.map(({ hash, count, first, last }) => [
    `  ${hash.slice(0, HASH_CHARACTERS)}${hash === ruleset.hash ? ' (these rules)' : ''}`,
    `${count}`,
    timeText(first),
    timeText(last),
  ])
  const seen =
    rows.length === 0
      ? 'no exchange was recorded\n'
      : alignTable([['  decided by', 'count', 'first', 'last'], ...rows])
  const isShort = oldest !== undefined && oldest > since
  const reach = isShort
    ? `the audit reaches back to ${timeText(oldest)} only: what was used before is not known\n`
    : ''
  return `not used since ${timeText(since)}\n${reach}${seen}`
}

const TITLES: Readonly<Record<UnusedKind, string>> = {
  rule: 'rules',
  forward: 'rules that forward',
  scope: 'scopes of rules that are used',
  embed: 'tokens inside others',
  calls: 'calls',
  claim: 'claims that were never passed on',
  grant: 'grants',
}

function kindText(
  kind: UnusedKind,
  parts: readonly UnusedPart[],
  { findPlace, io }: Telling,
): string {
  const found = parts.filter((part) => part.kind === kind)
  if (found.length === 0) return ''
  const rows = found.map((part) => [
    `  ${textOf(part)}`,
    placeText(findPlace(part.place), io),
    part.denied === 0 ? '' : `denied ${part.denied}×`,
  ])
  return `\n${TITLES[kind]}:\n${alignTable(rows)}`
}

const textOf = ({ kind, service, rule, name }: UnusedPart): string => {
  if (name === undefined) return rule ?? service
  return kind === 'scope' || kind === 'embed' ? `${rule}: ${name}` : `${service}: ${name}`
}

const placeText = (place: Place | undefined, io: CliIo): string =>
  place === undefined ? '' : `${shownFile(place.file, io)}:${place.line}`

function json(
  { ruleset, usage, since, oldest, findPlace, io }: Telling,
  parts: readonly UnusedPart[],
): object {
  const timeJson = (time: number) => new Date(time).toISOString()
  return {
    ruleset_hash: ruleset.hash,
    since: timeJson(since),
    oldest: oldest === undefined ? undefined : timeJson(oldest),
    reaches_back: oldest !== undefined && oldest <= since,
    rulesets: usage.rulesets.map(({ hash, count, first, last }) => {
      return { hash, count, first: timeJson(first), last: timeJson(last) }
    }),
    unused: parts.map(({ place, ...part }) => {
      const found = findPlace(place)
      return found === undefined
        ? part
        : { ...part, file: shownFile(found.file, io), line: found.line, column: found.column }
    }),
  }
}
