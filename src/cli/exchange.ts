// Owns `exchange`: a client for people, who see the token before and after, and why it changed.
// Must not decide or verify by itself: exchange-client.ts talks to the server, token-diff.ts explains.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decodeJwt } from 'jose'
import { printable } from '../config/problem.ts'
import { commandPrefix, DEFAULT_FOLDER } from '../dev/banner.ts'
import { type DevelopmentAddresses, readAddresses } from '../dev/profile.ts'
import { TOKEN_TYPES, type TokenType } from '../oauth/names.ts'
import { type Arguments, CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from './command.ts'
import { configFileOf } from './configured.ts'
import { loadDeployment } from './deployment.ts'
import {
  ClientError,
  type Discovered,
  discover,
  type ExchangeAnswer,
  type ExchangeRequest,
  getText,
  requestExchange,
  type Verified,
  verifyIssued,
} from './exchange-client.ts'
import { edgeOf } from './exchange-edge.ts'
import { type CliIo, EXIT_FAILED, EXIT_OK, printJson } from './io.ts'
import { SIGNS_LEGEND, tokenColumns } from './token-columns.ts'
import { type Claims, type DiffRow, diffTokens } from './token-diff.ts'

const OPTIONS = {
  dev: { help: 'Ask the development profile that runs here, with fresh credentials.' },
  user: { value: '<name>', help: 'With --dev: whose token is handed in, such as alice.' },
  as: { value: '<service>', help: 'With --dev: who calls, such as frontend.' },
  folder: { value: '<folder>', help: `With --dev: its folder. Default: ${DEFAULT_FOLDER}.` },
  for: { value: '<service>', help: 'The same as --audience.' },
  audience: { value: '<service>', help: 'The target, by its name or its audience.' },
  resource: { value: '<uri>', help: 'The target, by its audience URI.' },
  scope: {
    value: '<scopes>',
    help: 'Scopes, with spaces between. Default: all that is justified.',
  },
  sts: { value: '<issuer>', help: 'Issuer URL; endpoint and keys are found in its metadata.' },
  'token-endpoint': { value: '<url>', help: 'Instead of the endpoint in the metadata.' },
  'subject-token': { value: '<file>', help: 'The token to exchange; - reads standard input.' },
  'subject-token-type': {
    value: '<type>',
    help: `${Object.keys(TOKEN_TYPES).join(', ')}. Default: access_token.`,
  },
  'actor-token': { value: '<file>', help: 'A token of who acts as well.' },
  svid: { value: '<file>', help: 'A JWT-SVID: who calls.' },
  assertion: {
    value: '<file>',
    help: 'Another client assertion, such as a service-account token.',
  },
  config: { ...CONFIG_OPTION, help: 'Reasons are told by the rules of this configuration.' },
  raw: { help: 'Print the received token alone, for $(…).' },
  json: JSON_OPTION,
} as const

type Args = Arguments<keyof typeof OPTIONS>

export const exchangeCommand = defineCommand<keyof typeof OPTIONS>(
  {
    name: 'exchange',
    summary: 'Exchange a token and see what became of it, claim by claim, and why.',
    details: [
      'In the development profile: mesh-sts exchange --dev --user alice --as frontend --for checkout',
      'Elsewhere: mesh-sts exchange --sts https://sts.example --subject-token token.txt --svid svid.txt --audience checkout',
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

/** Where the command looks for what is not on its line. */
interface Context {
  /** The running development profile, with --dev. */
  readonly dev: DevelopmentAddresses | undefined
  /** Absolute; undefined where the rules are not at hand. */
  readonly configFile: string | undefined
  /** As it is typed in a hint. */
  readonly configHint: string
}

function contextOf(args: Args, io: CliIo): Context {
  const config = args.text('config')
  if (!args.has('dev')) {
    for (const name of ['user', 'as', 'folder'] as const) {
      if (args.has(name)) throw new UsageError(`--${name} goes with --dev`)
    }
    const configFile = config === undefined ? undefined : configFileOf(config, io)
    return { dev: undefined, configFile, configHint: config ?? '<sts.yaml>' }
  }
  const folder = args.text('folder') ?? DEFAULT_FOLDER
  const dev = readAddresses(resolve(io.cwd, folder))
  if (dev === undefined) {
    throw new ClientError(
      `there is no development profile in ${folder}; start one with "npm start"`,
    )
  }
  const configHint = config ?? join(folder, 'sts.yaml')
  return { dev, configFile: configFileOf(configHint, io), configHint }
}

interface Server {
  readonly tokenEndpoint: string
  /** Undefined where only an endpoint was named: then nothing can be verified. */
  readonly discovered: Discovered | undefined
}

async function discoverServer(args: Args, { dev }: Context, io: CliIo): Promise<Server> {
  const issuer = args.text('sts') ?? dev?.issuer
  const endpoint = args.text('token-endpoint')
  if (issuer !== undefined) {
    const discovered = await discover(issuer, io.signal)
    return { tokenEndpoint: endpoint ?? discovered.tokenEndpoint, discovered }
  }
  if (endpoint === undefined) throw new UsageError('--sts, --token-endpoint or --dev is needed')
  return { tokenEndpoint: endpoint, discovered: undefined }
}

async function requestOf(
  args: Args,
  context: Context,
  { tokenEndpoint }: Server,
  io: CliIo,
): Promise<ExchangeRequest> {
  const audience = args.text('for') ?? args.text('audience')
  const resource = args.text('resource')
  if (audience === undefined && resource === undefined) {
    throw new UsageError(
      '--audience (or --for, or --resource) is needed: a token is for one target',
    )
  }
  const actor = args.text('actor-token')
  return {
    tokenEndpoint,
    subjectToken: await subjectToken(args, context, io),
    subjectTokenType: subjectTokenType(args),
    assertion: await assertion(args, context, io),
    actorToken: actor === undefined ? undefined : readToken(actor, io),
    audience,
    resource,
    scope: args.text('scope'),
  }
}

async function subjectToken(args: Args, { dev }: Context, io: CliIo): Promise<string> {
  const file = args.text('subject-token')
  if (file !== undefined) return readToken(file, io)
  const user = args.text('user')
  if (dev === undefined || user === undefined) {
    throw new UsageError(`--subject-token${dev === undefined ? '' : ' or --user'} is needed`)
  }
  return getText(`${dev.identity}/user/${encodeURIComponent(user)}`, io.signal)
}

function subjectTokenType(args: Args): TokenType {
  const type = args.text('subject-token-type') ?? 'access_token'
  if (Object.hasOwn(TOKEN_TYPES, type)) return type as TokenType
  throw new UsageError(`--subject-token-type is one of ${Object.keys(TOKEN_TYPES).join(', ')}`)
}

async function assertion(
  args: Args,
  { dev }: Context,
  io: CliIo,
): Promise<ExchangeRequest['assertion']> {
  const svid = args.text('svid')
  if (svid !== undefined) return { kind: 'spiffe', token: readToken(svid, io) }
  const other = args.text('assertion')
  if (other !== undefined) return { kind: 'bearer', token: readToken(other, io) }
  const service = args.text('as')
  if (dev === undefined || service === undefined) {
    throw new UsageError(
      dev === undefined ? '--svid or --assertion is needed' : '--as or --svid is needed',
    )
  }
  const name = service.includes('/') ? service : `boutique/${service}`
  const path = name.split('/').map(encodeURIComponent).join('/')
  return { kind: 'spiffe', token: await getText(`${dev.identity}/svid/${path}`, io.signal) }
}

const STDIN = 0
/** Where no terminal says how wide it is: as much as a page of documentation shows. */
const FILE_COLUMNS = 100

function readToken(file: string, io: CliIo): string {
  let text: string
  try {
    text = readFileSync(file === '-' ? STDIN : resolve(io.cwd, file), 'utf8').trim()
  } catch (error) {
    throw new ClientError(`cannot read ${file} (${(error as NodeJS.ErrnoException).code})`)
  }
  if (text === '') throw new ClientError(`${file === '-' ? 'standard input' : file} holds no token`)
  return text
}

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
