// Owns `exchange`: a client for people, who see the token before and after, and why it changed.
// Must not decide or verify by itself: exchange-client.ts talks to the server, token-diff.ts explains.
import { decodeJwt } from 'jose'
import { printable } from '../config/problem.ts'
import { commandPrefix } from '../dev/banner.ts'
import { defineCommand } from './command.ts'
import { loadDeployment } from './deployment.ts'
import {
  ClientError,
  type ExchangeAnswer,
  type ExchangeRequest,
  requestExchange,
  type Verified,
  verifyIssued,
} from './exchange-client.ts'
import { edgeOf } from './exchange-edge.ts'
import {
  type Args,
  type Context,
  contextOf,
  discoverServer,
  OPTIONS,
  requestOf,
  type Server,
} from './exchange-inputs.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from './io.ts'
import { SIGNS_LEGEND, tokenColumns } from './token-columns.ts'
import { type Claims, type DiffRow, diffTokens } from './token-diff.ts'

/** Where no terminal says how wide it is: as much as a page of documentation shows. */
const FILE_COLUMNS = 100

export const exchangeCommand = defineCommand<keyof typeof OPTIONS>(
  {
    name: 'exchange',
    summary: 'Exchange a token and see what became of it, claim by claim, and why.',
    details: [
      'In the development profile: mesh-sts exchange --dev --user alice --as frontend --for checkout',
      'Elsewhere: mesh-sts exchange --sts https://sts.example --subject-token token.txt --svid svid.txt --audience checkout',
      'A job without a user: mesh-sts exchange --dev --own --as loadgenerator --for frontend',
    ],
    options: OPTIONS,
  },
  async (args, io) => {
    try {
      const context = contextOf(args, io)
      const server = await discoverServer(args, context, io)
      const request = await requestOf(args, context, server, io)
      const answer = await requestExchange(request, io.signal)
      if (!answer.granted) return tellRefusal(args, context, answer, io)
      return await tellGrant(args, context, server, request, answer, io)
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      io.stderr(`mesh-sts: ${printable(error.message)}\n`)
      return EXIT_FAILED
    }
  },
)

type Refusal = Extract<ExchangeAnswer, { granted: false }>
type Grant = Extract<ExchangeAnswer, { granted: true }>

function tellRefusal(args: Args, context: Context, answer: Refusal, io: CliIo): number {
  const { decisionId, status, error, description } = answer
  if (args.has('json')) {
    printJson(io, { outcome: 'refused', status, error, description, decision_id: decisionId })
    return EXIT_FAILED
  }
  const lines = [`refused   ${error || status}: ${description}`]
  if (decisionId !== undefined) lines.push(`decision  ${decisionId}`)
  if (status === 401) {
    lines.push('          the caller was not known: such requests are counted, not recorded')
  } else if (decisionId !== undefined) {
    const config = context.configHint
    lines.push(
      '          what was recorded, and why:',
      `${commandPrefix(io)} audit query --config ${config} --id ${decisionId}`,
    )
  }
  io.stderr(lines.map((line) => `${printable(line)}\n`).join(''))
  return EXIT_FAILED
}

async function tellGrant(
  args: Args,
  context: Context,
  server: Server,
  request: ExchangeRequest,
  answer: Grant,
  io: CliIo,
): Promise<number> {
  const { accessToken, decisionId, response } = answer
  const verified =
    server.discovered && (await verifyIssued(accessToken, server.discovered, io.now(), io.signal))
  if (args.has('raw')) {
    io.stdout(`${accessToken}\n`)
    return EXIT_OK
  }
  const before = claimsOf(request.subjectToken, 'the subject token')
  const after = verified?.claims ?? claimsOf(accessToken, 'the received token')
  const changes = compare(context, request, before, after, io)
  if (args.has('json')) {
    printJson(io, {
      outcome: 'granted',
      decision_id: decisionId,
      access_token: accessToken,
      ...response,
      before,
      after,
      changes,
      verified: verified && { kid: verified.kid, alg: verified.algorithm },
    })
    return EXIT_OK
  }
  const width = io.isTty ? io.columns : FILE_COLUMNS
  const colour = io.isTty && io.env.NO_COLOR === undefined
  const lines = [
    `granted   ${String(after.client_id ?? 'caller')} -> ${String(after.aud)}`,
    `decision  ${decisionId ?? 'without an id'}`,
    `verified  ${verifiedText(server, verified)}`,
  ]
  io.stdout(lines.map((line) => `${printable(line)}\n`).join(''))
  // What paints has already made its text printable.
  io.stdout(`\n${tokenColumns(changes, { width, colour }).join('\n')}\n`)
  io.stdout(`\n${SIGNS_LEGEND}\n`)
  return EXIT_OK
}

function verifiedText({ discovered }: Server, verified: Verified | undefined): string {
  return verified === undefined || discovered === undefined
    ? 'no: without --sts the keys are not known'
    : `${verified.algorithm}, key ${verified.kid} of ${discovered.jwksUri}`
}

function compare(
  context: Context,
  request: ExchangeRequest,
  before: Claims,
  after: Claims,
  io: CliIo,
): readonly DiffRow[] {
  const asked = request.scope?.split(' ').filter((scope) => scope !== '')
  if (context.configFile === undefined) {
    return diffTokens({ before, after, asked, edge: undefined })
  }
  // A profile ignores the environment, and so do its rules.
  const env = context.dev === undefined ? io.env : {}
  const { settings, ruleset } = loadDeployment(context.configFile, env)
  if (settings === undefined || ruleset === undefined) {
    throw new ClientError(`${context.configHint} has errors; see "mesh-sts rules check"`)
  }
  const edge = edgeOf(settings, ruleset, { before, after })
  return diffTokens({ before, after, asked, edge })
}

function claimsOf(token: string, what: string): Claims {
  try {
    return decodeJwt(token)
  } catch {
    throw new ClientError(`${what} is no JWT: there is nothing to compare`)
  }
}
