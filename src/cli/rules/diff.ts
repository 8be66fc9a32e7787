// Owns `rules diff`: what other rules make possible, for whoever reviews a change.
// Must not compare anything itself; src/ruleset does.
import { resolve } from 'node:path'
import type { Settings } from '../../config/settings.ts'
import { allowsMore, diffRules } from '../../ruleset/diff/diff.ts'
import type { World } from '../../ruleset/reach/token.ts'
import {
  type Arguments,
  CONFIG_OPTION,
  defineCommand,
  JSON_OPTION,
  UsageError,
} from '../command.ts'
import { readSettings, tellProblems } from '../configured.ts'
import { loadRules } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { diffJson, diffMarkdown, diffText } from './diff-text.ts'
import { worldOf } from './proof-world.ts'

const OPTIONS = {
  config: CONFIG_OPTION,
  'old-config': { value: '<file>', help: 'Configuration of the old rules, with their issuers.' },
  'new-config': { value: '<file>', help: 'Configuration of the new rules, with their issuers.' },
  'fail-on': {
    value: 'new-allow',
    help: 'Exit with 1 where anything is, or may be, newly allowed.',
  },
  format: { value: '<format>', help: '`text` (default) or `md`, Markdown for code review.' },
  json: JSON_OPTION,
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts rules diff` */
export const rulesDiff = defineCommand(
  {
    name: 'rules diff',
    summary: 'Tell what other rules make possible that these do not, and what they no longer do.',
    details: [
      'OLD and NEW are folders or files of rules; NEW is what the configuration names, unless it is given.\n' +
        'Who comes to hold which scope and to see which claim, by which chain of exchanges; which rules are\n' +
        'eased; and the other way round what is lost (docs/rules-diff.md).',
    ],
    positionals: 'OLD [NEW]',
    options: OPTIONS,
  },
  async (args, io) => {
    checkArguments(args)
    const [oldPath, newPath] = args.positionals
    const config = args.text('config')
    const [oldConfig, newConfig] = [
      args.text('old-config') ?? config,
      args.text('new-config') ?? config,
    ]
    const oldSettings = readSettings(oldConfig, io, args.has('json'))
    const newSettings =
      oldConfig === newConfig ? oldSettings : readSettings(newConfig, io, args.has('json'))
    if (oldSettings === undefined || newSettings === undefined) return EXIT_FAILED
    const before = load(oldSettings, oldPath, args, io)
    const after = before && load(newSettings, newPath, args, io)
    if (before === undefined || after === undefined) return EXIT_FAILED
    const diff = diffRules(before, after)
    const isMore = allowsMore(diff)
    if (args.has('json')) printJson(io, { ok: !isMore, new_allow: isMore, ...diffJson(diff) })
    else io.stdout(args.text('format') === 'md' ? diffMarkdown(diff) : diffText(diff))
    return isMore && args.has('fail-on') ? EXIT_FAILED : EXIT_OK
  },
)

function checkArguments(args: Args): void {
  const { length } = args.positionals
  if (length === 0 && !args.has('old-config')) {
    throw new UsageError('which rules are the old ones? Give a folder or a file')
  }
  if (length > 2) throw new UsageError('there are two rulesets, OLD and NEW')
  const failOn = args.text('fail-on') ?? 'new-allow'
  if (failOn !== 'new-allow') throw new UsageError('--fail-on takes new-allow')
  const format = args.text('format') ?? 'text'
  if (format !== 'text' && format !== 'md') throw new UsageError('--format takes text or md')
  if (args.has('json') && args.has('format')) throw new UsageError('--json is a format of its own')
}

/** Rules of a path, or those of the configuration; undefined and told where they do not load. */
function load(
  settings: Settings,
  path: string | undefined,
  args: Args,
  io: CliIo,
): World | undefined {
  const paths = path === undefined ? settings.rules : [resolve(io.cwd, path)]
  const { ruleset, problems } = loadRules(settings, paths)
  if (ruleset !== undefined) return worldOf(settings, ruleset)
  if (args.has('json')) printJson(io, { ok: false, problems })
  else tellProblems(io, problems)
  return undefined
}
