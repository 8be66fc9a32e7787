// Owns `rules replay`: recorded decisions, read while the server may be running, against a candidate ruleset.
// Must not decide or compare; src/ruleset does.
import { resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { wholeDecisions } from '../../audit/decisions.ts'
import { oldestEvent, queryAudit } from '../../audit/query.ts'
import type { Settings } from '../../config/settings.ts'
import { replay } from '../../ruleset/history/replay.ts'
import {
  failuresOf,
  newReplayTally,
  REPLAY_GATES,
  type ReplayGate,
  type ReplayReport,
} from '../../ruleset/history/replay-report.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import type { Database } from '../../store/database.ts'
import {
  type Arguments,
  CONFIG_OPTION,
  defineCommand,
  JSON_OPTION,
  UsageError,
} from '../command.ts'
import { tellFailure, tellProblems, withDatabase } from '../configured.ts'
import { loadRules } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { replayJson, replayMarkdown, replayText } from './replay-text.ts'
import { surroundingsOf } from './surroundings.ts'
import { timeOption } from './time-option.ts'

const FORMATS = ['text', 'md'] as const
type Format = (typeof FORMATS)[number]

const OPTIONS = {
  config: CONFIG_OPTION,
  since: { value: '<time>', help: 'Not before: 7d ago, or 2026-11-23T10:00Z. Default: all.' },
  limit: { value: '<n>', help: 'At most the newest so many decisions.' },
  'fail-on': {
    value: '<what>',
    help: `Exit with 1 where there is one: ${REPLAY_GATES.join(', ')}. Several with commas.`,
  },
  format: { value: FORMATS.join('|'), help: 'text, or Markdown for a review. Default: text.' },
  json: JSON_OPTION,
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts rules replay` */
export const rulesReplay = defineCommand(
  {
    name: 'rules replay',
    summary:
      'Decide what the audit recorded anew by other rules, and tell what would be different.',
    details: [
      'The rules are files or folders, by default those of the configuration. The audit is only read: the\n' +
        'server may be running.',
      'new-allow fails on whatever gives, or may give, something that was not given: newly allowed\n' +
        'decisions, changed ones that give more, and those that cannot be decided from the record.',
    ],
    positionals: '[file or folder …]',
    options: OPTIONS,
  },
  async (args, io) => {
    const asked: Asked = {
      since: timeOption('since', args.text('since'), io.now()),
      limit: limitOf(args.text('limit')),
      gates: gatesOf(args.text('fail-on')),
      format: formatOf(args),
      paths: args.positionals.map((path) => resolve(io.cwd, path)),
    }
    const call = { config: args.text('config'), isJson: args.has('json'), readonly: true }
    return withDatabase(call, io, (db, settings) => run({ db, settings, asked, io }))
  },
)

interface Asked {
  readonly since: number | undefined
  readonly limit: number | undefined
  readonly gates: readonly ReplayGate[]
  /** Undefined where JSON is asked for. */
  readonly format: Format | undefined
  readonly paths: readonly string[]
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new UsageError('--limit must be a number')
  return Number(text)
}

function gatesOf(text: string | undefined): readonly ReplayGate[] {
  return (text?.split(',') ?? []).map((word) => {
    const gate = REPLAY_GATES.find((known) => known === word.trim())
    if (gate === undefined) throw new UsageError(`--fail-on must be ${REPLAY_GATES.join(', ')}`)
    return gate
  })
}

function formatOf(args: Args): Format | undefined {
  const text = args.text('format')
  if (args.has('json')) {
    if (text !== undefined) throw new UsageError('--json and --format exclude each other')
    return undefined
  }
  const format = FORMATS.find((known) => known === (text ?? 'text'))
  if (format === undefined) throw new UsageError(`--format must be ${FORMATS.join(' or ')}`)
  return format
}

interface Running {
  readonly db: Database
  readonly settings: Settings
  readonly asked: Asked
  readonly io: CliIo
}

async function run({ db, settings, asked, io }: Running): Promise<number> {
  const isJson = asked.format === undefined
  const paths = asked.paths.length === 0 ? settings.rules : asked.paths
  const { ruleset, problems } = loadRules(settings, paths)
  if (ruleset === undefined) {
    if (isJson) printJson(io, { ok: false, problems })
    else tellProblems(io, problems)
    return EXIT_FAILED
  }
  if (!isJson) tellProblems(io, problems)
  const report = await replayAll({ db, settings, asked, io }, ruleset)
  if (report === undefined) {
    const message = 'it was interrupted before all decisions were replayed'
    return tellFailure(io, isJson, { problem: 'interrupted', message })
  }
  return tell(report, { db, settings, asked, io }, ruleset)
}

/** Between two looks at whether the process was asked to end: some milliseconds of work. */
const DECISIONS_AT_ONCE = 200
const PROGRESS_EVERY_MS = 2_000

/** Undefined where it was interrupted. */
async function replayAll(
  { db, settings, asked, io }: Running,
  ruleset: Ruleset,
): Promise<ReplayReport | undefined> {
  const rules = { ruleset, surroundings: surroundingsOf(settings) }
  const tally = newReplayTally()
  const events = queryAudit(db, asked.since === undefined ? {} : { since: asked.since })
  const progress = progressOn(io)
  let count = 0
  for (const decision of wholeDecisions(events)) {
    if (count === asked.limit) break
    tally.add(decision.event, replay(decision, rules))
    count += 1
    if (count % DECISIONS_AT_ONCE !== 0) continue
    await setImmediate()
    if (io.signal.aborted) return undefined
    progress.at(count)
  }
  progress.end(count)
  return tally.report()
}

/** Tells how far it is; nothing where it does not take long. */
function progressOn(io: CliIo) {
  const start = io.monotonic()
  let told = start
  const line = (count: number, what: string) => {
    const seconds = (io.monotonic() - start) / 1000
    io.stderr(`${what} ${count} decisions, ${Math.round(count / seconds)}/s\n`)
  }
  return {
    at: (count: number) => {
      if (io.monotonic() - told < PROGRESS_EVERY_MS) return
      told = io.monotonic()
      line(count, 'replaying:')
    },
    end: (count: number) => {
      if (told !== start) line(count, 'replayed')
    },
  }
}

function tell(report: ReplayReport, { db, asked, io }: Running, ruleset: Ruleset): number {
  const failed = asked.gates.filter((gate) => failuresOf(gate, report) > 0)
  const telling = {
    report,
    rulesetHash: ruleset.hash,
    since: asked.since,
    oldest: oldestEvent(db),
    failed,
  }
  if (asked.format === undefined) printJson(io, replayJson(telling))
  else io.stdout(asked.format === 'md' ? replayMarkdown(telling) : replayText(telling))
  return failed.length === 0 ? EXIT_OK : EXIT_FAILED
}
