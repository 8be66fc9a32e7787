// Owns `rules prove`: the `never` entries beside the rules, over every chain of exchanges.
// Must not prove anything itself; src/ruleset does.

import { resolve } from 'node:path'
import type { Problem } from '../../config/problem.ts'
import type { Settings } from '../../config/settings.ts'
import type { Never } from '../../ruleset/prove/never.ts'
import { holds, prove } from '../../ruleset/prove/prove.ts'
import { readTestFile } from '../../ruleset/rehearse/test-file.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import {
  type Arguments,
  CONFIG_OPTION,
  defineCommand,
  JSON_OPTION,
  UsageError,
} from '../command.ts'
import { configFileOf, shownFile, tellProblems } from '../configured.ts'
import { loadDeployment } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from '../io.ts'
import { journeysText, type NeverPlace, proofJson, proofText } from './proof-text.ts'
import { worldOf } from './proof-world.ts'
import { surroundingsOf } from './surroundings.ts'
import { readTestSources } from './test-files.ts'
import { neversOf } from './test-nevers.ts'

const OPTIONS = {
  config: CONFIG_OPTION,
  journey: { help: 'Print the counter-examples as journeys of a test file, and nothing else.' },
  json: JSON_OPTION,
}

type Args = Arguments<keyof typeof OPTIONS>

/** `mesh-sts rules prove` */
export const rulesProve = defineCommand(
  {
    name: 'rules prove',
    summary:
      'Prove the `never` entries beside the rules (*.test.yaml) over every chain of exchanges.',
    details: [
      "From every issuer's possible tokens and every workload's grants, through embedding and forwarding;\n" +
        'conditions count as possibly true. Also: that every scope, claim and lifetime comes from somewhere.\n' +
        'Prints `holds`, or a shortest chain of requests to what must not be (docs/rules-prove.md).\n' +
        'Exits with 1 where something does not hold.',
    ],
    positionals: '[file or folder …]',
    options: OPTIONS,
  },
  async (args, io) => {
    if (args.has('json') && args.has('journey')) {
      throw new UsageError('--json has the journeys already: give it or --journey')
    }
    const configFile = configFileOf(args.text('config'), io)
    const { settings, ruleset, problems } = loadDeployment(configFile, io.env)
    if (settings === undefined || ruleset === undefined) return refuse(problems, args, io)
    const found = findNevers(args, settings, ruleset, io)
    const all = [...problems, ...found.problems]
    if (found.problems.some(({ severity }) => severity === 'error')) return refuse(all, args, io)
    if (!args.has('json')) tellProblems(io, all)

    const world = worldOf(settings, ruleset)
    const proof = prove(
      world,
      found.nevers.map(({ never }) => never),
    )
    const placed = proof.nevers.flatMap((verdict, at) => {
      const place = found.nevers[at]?.place
      return place === undefined ? [] : [{ ...verdict, place }]
    })
    const ok = holds(proof)
    if (args.has('json')) {
      printJson(io, { ok, ...proofJson(world, proof, placed), problems: all })
    } else if (args.has('journey')) io.stdout(journeysText(world, placed))
    else io.stdout(proofText(proof, placed))
    return ok ? EXIT_OK : EXIT_FAILED
  },
)

function refuse(problems: readonly Problem[], args: Args, io: CliIo): number {
  if (args.has('json')) printJson(io, { ok: false, problems })
  else tellProblems(io, problems)
  return EXIT_FAILED
}

interface Found {
  readonly nevers: readonly { readonly never: Never; readonly place: NeverPlace }[]
  readonly problems: readonly Problem[]
}

function findNevers(args: Args, settings: Settings, ruleset: Ruleset, io: CliIo): Found {
  const named = args.positionals.map((path) => resolve(io.cwd, path))
  const { sources, problems: unread } = readTestSources(named.length === 0 ? settings.rules : named)
  const world = { ruleset, surroundings: surroundingsOf(settings) }
  const nevers: { never: Never; place: NeverPlace }[] = []
  const problems: Problem[] = [...unread]
  for (const source of sources) {
    const { set, problems: faults } = readTestFile(source, world)
    problems.push(...faults)
    if (set === undefined) continue
    const own = neversOf(set, ruleset)
    problems.push(...own.problems)
    for (const { never, line, column } of own.nevers) {
      nevers.push({ never, place: { file: shownFile(source.file, io), line, column } })
    }
  }
  return { nevers, problems }
}
