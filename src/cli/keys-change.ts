// Owns `keys rotate`, `keys revoke` and `keys rewrap`. Must not decide what is safe; keys/ does.
import { keyPolicyOf } from '../compose/key-policy.ts'
import { nearest } from '../config/problem.ts'
import type { Settings } from '../config/settings.ts'
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../jwt/algorithms.ts'
import type { EncryptionKeys } from '../keys/key-encryption.ts'
import type { KeyOutcome } from '../keys/key-outcome.ts'
import {
  type KeyChanges,
  type KeyOperation,
  revokeKey,
  rewrapKeys,
  rotateKeys,
} from '../keys/operations.ts'
import type { Database } from '../store/database.ts'
import { type Arguments, CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from './command.ts'
import { encryptionKeysOf, tellFailure, withDatabase } from './configured.ts'
import { type CliIo, EXIT_OK, printJson } from './io.ts'

const EMERGENCY = { help: 'Do it although verifiers may not know the key that signs then.' }

const EMERGENCY_DETAILS =
  '--emergency is for a private key that somebody else knows: verifiers refuse the tokens of a key\n' +
  'that they do not know yet, for up to an hour.'

/** `mesh-sts keys rotate` */
export const keysRotate = defineCommand(
  {
    name: 'keys rotate',
    summary: 'Let the next key sign now, instead of when its time has come.',
    details: [EMERGENCY_DETAILS],
    options: {
      config: CONFIG_OPTION,
      algorithm: { value: '<alg>', help: 'Only of this algorithm. Default: of all.' },
      emergency: EMERGENCY,
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const algorithm = algorithmOf(args.text('algorithm'))
    return change(args, io, (db, operation) =>
      rotateKeys(db, {
        ...operation,
        emergency: args.has('emergency'),
        ...(algorithm === undefined ? {} : { algorithm }),
      }),
    )
  },
)

/** `mesh-sts keys revoke <kid>` */
export const keysRevoke = defineCommand(
  {
    name: 'keys revoke',
    summary: 'Take a key out of the published set at once: tokens that it signed stop being valid.',
    details: ['A key that signs needs --emergency; its successor signs first.', EMERGENCY_DETAILS],
    positionals: '<kid>',
    options: { config: CONFIG_OPTION, emergency: EMERGENCY, json: JSON_OPTION },
  },
  async (args, io) => {
    const [kid, ...rest] = args.positionals
    if (kid === undefined || rest.length > 0) {
      throw new UsageError('name one key, as "mesh-sts keys list" shows it')
    }
    return change(args, io, (db, operation) =>
      revokeKey(db, { ...operation, kid, emergency: args.has('emergency') }),
    )
  },
)

/** `mesh-sts keys rewrap` */
export const keysRewrap = defineCommand(
  {
    name: 'keys rewrap',
    summary: 'Encrypt the private keys under the current key-encryption key.',
    details: [
      'To change it: add a new file to keys.encryption_keys, make it current, restart every process,\n' +
        'rewrap, then take the old file away.',
    ],
    options: { config: CONFIG_OPTION, json: JSON_OPTION },
  },
  async (args, io) => {
    const isJson = args.has('json')
    return withKeys(args, io, (db, _, encryptionKeys) => {
      const outcome = rewrapKeys(db, encryptionKeys)
      if (!outcome.ok) return tellFailure(io, isJson, outcome)
      const { current } = encryptionKeys
      if (isJson) printJson(io, { ok: true, rewrapped: outcome.value, encryption_key: current })
      else io.stdout(`${outcome.value} private keys were encrypted under ${current} anew\n`)
      return EXIT_OK
    })
  },
)

type Shared = Arguments<'config' | 'json'>

function withKeys(
  args: Shared,
  io: CliIo,
  work: (
    db: Database,
    settings: Settings,
    encryptionKeys: EncryptionKeys,
  ) => Promise<number> | number,
): Promise<number> {
  const isJson = args.has('json')
  return withDatabase({ config: args.text('config'), isJson }, io, (db, settings) => {
    const encryptionKeys = encryptionKeysOf(settings)
    if (!encryptionKeys.ok) return tellFailure(io, isJson, encryptionKeys)
    return work(db, settings, encryptionKeys.value)
  })
}

function change(
  args: Shared,
  io: CliIo,
  run: (db: Database, operation: KeyOperation) => Promise<KeyOutcome<KeyChanges>>,
): Promise<number> {
  const isJson = args.has('json')
  return withKeys(args, io, async (db, settings, encryptionKeys) => {
    const policy = keyPolicyOf(settings)
    const outcome = await run(db, { policy, encryptionKeys, now: io.now() })
    if (!outcome.ok) return tellFailure(io, isJson, outcome)
    if (isJson) printJson(io, { ok: true, ...outcome.value })
    else io.stdout(changesText(outcome.value))
    return EXIT_OK
  })
}

const MOVED = {
  next: 'is next',
  active: 'signs now',
  retiring: 'signs no more',
  gone: 'is removed',
}

function changesText({ moves, created }: KeyChanges): string {
  const lines = [
    ...moves.map(({ kid, to }) => `${kid} ${MOVED[to]}`),
    ...created.map((kid) => `${kid} is new and signs now`),
  ]
  return lines.length === 0
    ? 'nothing to do\n'
    : `${lines.join('\n')}\nRunning processes follow within a minute.\n`
}

function algorithmOf(text: string | undefined): SigningAlgorithm | undefined {
  if (text === undefined) return undefined
  const algorithm = SIGNING_ALGORITHMS.find((known) => known === text)
  if (algorithm !== undefined) return algorithm
  const near = nearest(text, SIGNING_ALGORITHMS)
  const hint = near === undefined ? '' : `; did you mean ${near}?`
  throw new UsageError(`--algorithm must be one of ${SIGNING_ALGORITHMS.join(', ')}${hint}`)
}
