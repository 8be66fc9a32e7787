// Owns `rules explain`: a decision that was recorded, or a request that is described, and why it ends so.
// Must not decide or explain by itself; src/ruleset does.
import { timeOfDecisionId } from '../../audit/decision-id.ts'
import { queryAudit } from '../../audit/query.ts'
import { explain } from '../../ruleset/explain/explain.ts'
import {
  explainRecorded,
  type RecordedExplanation,
} from '../../ruleset/explain/explain-recorded.ts'
import { readRuleSources } from '../../ruleset/load.ts'
import { type FindPlace, placesOf } from '../../ruleset/places.ts'
import { readRequest } from '../../ruleset/rehearse/request-file.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import { defineCommand, UsageError } from '../command.ts'
import { configFileOf, tellFailure, tellProblems, withDatabase } from '../configured.ts'
import { loadDeployment } from '../deployment.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, printJson } from '../io.ts'
import { type Args, inputOf, OPTIONS } from './explain-inputs.ts'
import { recordJson, recordText } from './explain-record-report.ts'
import { explanationJson, explanationText, outcomeOf, type Telling } from './explain-report.ts'
import { surroundingsOf } from './surroundings.ts'

/** `mesh-sts rules explain` */
export const rulesExplain = defineCommand<keyof typeof OPTIONS>(
  {
    name: 'rules explain',
    summary: 'Explain a decision: the way to it, and what would have to be different.',
    details: [
      'A request:   mesh-sts rules explain --caller frontend --issuer corporate --subject-scope shop:buy --audience checkout\n' +
        'In a file:   mesh-sts rules explain --request request.yaml\n' +
        'A decision:  mesh-sts rules explain --decision 01a20671-fe99-720a-952e-f10ddada1966',
      'Exits with 0 where it could be explained, also where it was denied; with 1 where the record does not say enough.',
    ],
    options: OPTIONS,
  },
  async (args, io) => {
    const input = inputOf(args, io)
    if (input.kind === 'decision' && timeOfDecisionId(input.id) === undefined) {
      throw new UsageError('--decision takes the id of a decision, a UUID')
    }
    const { settings, ruleset, problems } = loadDeployment(
      configFileOf(args.text('config'), io),
      io.env,
    )
    if (settings === undefined || ruleset === undefined) {
      if (args.has('json')) printJson(io, { ok: false, problems })
      else tellProblems(io, problems)
      return EXIT_FAILED
    }
    const world: World = {
      ruleset,
      surroundings: surroundingsOf(settings),
      findPlace: placesOf(readRuleSources(settings.rules).sources, ruleset),
    }
    if (input.kind === 'decision') return explainDecision(input.id, args, world, io)
    const request = readRequest(input.document, world)
    if (!request.ok) {
      if (args.has('json')) printJson(io, { ok: false, problems: request.problems })
      else tellProblems(io, request.problems)
      return EXIT_USAGE
    }
    const { entry, namespace } = request
    const explanation = explain(entry, { ...world, namespace })
    const telling = { explanation, findPlace: world.findPlace, io, undecidable: [] }
    if (args.has('json')) printJson(io, explanationJson(telling))
    else io.stdout(explanationText(telling))
    return EXIT_OK
  },
)

interface World {
  readonly ruleset: Ruleset
  readonly surroundings: ReturnType<typeof surroundingsOf>
  readonly findPlace: FindPlace
}

function explainDecision(id: string, args: Args, world: World, io: CliIo): Promise<number> {
  const isJson = args.has('json')
  const call = { config: args.text('config'), isJson, readonly: true }
  return withDatabase(call, io, (db) => {
    const [event] = queryAudit(db, { decisionId: id, limit: 1 })
    if (event === undefined) return tellUnknown(io, isJson)
    const recorded = explainRecorded(event, world)
    const telling = tellingOf(recorded, world, io)
    if (isJson) printJson(io, recordJson(recorded, telling))
    else io.stdout(recordText(recorded, telling))
    return telling !== undefined && outcomeOf(telling) === 'undecidable' ? EXIT_FAILED : EXIT_OK
  })
}

function tellingOf(
  { event, explanation, undecidable }: RecordedExplanation,
  { findPlace }: World,
  io: CliIo,
): Telling | undefined {
  // A denied exchange passed nothing on.
  const recordedClaims = event.issued?.claims ?? []
  return explanation && { explanation, findPlace, io, undecidable, recordedClaims }
}

function tellUnknown(io: CliIo, isJson: boolean): number {
  const message =
    'there is no such decision: it may be older than audit.retain, or the request was refused before its caller was known'
  return tellFailure(io, isJson, { problem: 'decision_unknown', message })
}
