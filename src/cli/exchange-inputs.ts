// Owns what `mesh-sts exchange` is given: its options, and the request that they make.
// Must not send the exchange or tell its end.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DEFAULT_FOLDER } from '../dev/banner.ts'
import { type DevelopmentAddresses, readAddresses } from '../dev/profile.ts'
import { TOKEN_TYPES, type TokenType } from '../oauth/names.ts'
import { type Arguments, CONFIG_OPTION, JSON_OPTION, UsageError } from './command.ts'
import { configFileOf } from './configured.ts'
import {
  ClientError,
  type Discovered,
  discover,
  type ExchangeRequest,
  getText,
} from './exchange-client.ts'
import type { CliIo } from './io.ts'

/** The options of the command. */
export const OPTIONS = {
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
  own: { help: 'Hand in the proof of who calls itself: a job without a user.' },
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

/** Its arguments. */
export type Args = Arguments<keyof typeof OPTIONS>

/** Where the command looks for what is not on its line. */
export interface Context {
  /** The running development profile, with --dev. */
  readonly dev: DevelopmentAddresses | undefined
  /** Absolute; undefined where the rules are not at hand. */
  readonly configFile: string | undefined
  /** As it is typed in a hint. */
  readonly configHint: string
}

/** Finds the development profile and the configuration that the arguments mean. */
export function contextOf(args: Args, io: CliIo): Context {
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

/** The server that is asked. */
export interface Server {
  readonly tokenEndpoint: string
  /** Undefined where only an endpoint was named: then nothing can be verified. */
  readonly discovered: Discovered | undefined
}

/** Reads the server's metadata, unless only an endpoint is named. */
export async function discoverServer(args: Args, { dev }: Context, io: CliIo): Promise<Server> {
  const issuer = args.text('sts') ?? dev?.issuer
  const endpoint = args.text('token-endpoint')
  if (issuer !== undefined) {
    const discovered = await discover(issuer, io.signal)
    return { tokenEndpoint: endpoint ?? discovered.tokenEndpoint, discovered }
  }
  if (endpoint === undefined) throw new UsageError('--sts, --token-endpoint or --dev is needed')
  return { tokenEndpoint: endpoint, discovered: undefined }
}

/** Collects the tokens and the target; fetches fresh credentials with --dev. */
export async function requestOf(
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
  const given = args.has('own') ? checkOwn(args) : await subjectOf(args, context, io)
  const proof = await assertion(args, context, io)
  const subject = given ?? { token: proof.token, type: 'jwt' as const }
  return {
    tokenEndpoint,
    subjectToken: subject.token,
    subjectTokenType: subject.type,
    assertion: proof,
    actorToken: actor === undefined ? undefined : readToken(actor, io),
    audience,
    resource,
    scope: args.text('scope'),
  }
}

/** Nothing is read: standard input can be read once. */
function checkOwn(args: Args): undefined {
  for (const name of ['user', 'subject-token', 'subject-token-type'] as const) {
    if (args.has(name)) throw new UsageError(`--own is instead of --${name}`)
  }
}

const subjectOf = async (args: Args, context: Context, io: CliIo) => ({
  token: await subjectToken(args, context, io),
  type: subjectTokenType(args),
})

async function subjectToken(args: Args, { dev }: Context, io: CliIo): Promise<string> {
  const file = args.text('subject-token')
  if (file !== undefined) return readToken(file, io)
  const user = args.text('user')
  if (dev === undefined || user === undefined) {
    throw new UsageError(`--subject-token${dev === undefined ? '' : ', --user'} or --own is needed`)
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
