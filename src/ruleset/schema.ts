// Owns the written form of a rule file (docs/rules.md): its keys, their types and their meaning.
// Must not know other files, trust domains or issuers; compile.ts joins them.
import { z } from 'zod'
import { SIGNING_ALGORITHMS } from '../jwt/algorithms.ts'
import { mayHoldToken } from '../oauth/request.ts'

/** Tokens live this long where a service says nothing. */
export const DEFAULT_LIFETIME_SECONDS = 300
/** A bearer token that lives longer than this defeats its purpose; key tails are computed from it. */
export const MAX_LIFETIME_SECONDS = 3600
export const MIN_LIFETIME_SECONDS = 10

/** A Kubernetes name (RFC 1123 label): lower-case letters, digits and hyphens. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** RFC 6749 §3.3, bounded. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/
const CLAIM = /^[\x21-\x5a\x5c\x5e-\x7e]{1,128}$/
const REASON = /^[a-z0-9][a-z0-9-]{0,63}$/
const AUDIENCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/

// Caps keep a hostile or mistaken file from exhausting memory; none is near what a mesh needs.
const MAX_SERVICES_PER_FILE = 20_000
const MAX_LIST = 1_000
const MAX_ACCEPTS = 100_000

const NO_TOKEN = 'it could be taken for a token: at most 79 letters, digits, - and _ in a row'

const name = z.string().regex(NAME, 'a name is lower-case letters, digits and hyphens')
const scope = z
  .string()
  .regex(SCOPE, 'a scope is printable ASCII without space, quote or backslash')
  .refine((text) => !mayHoldToken(text), NO_TOKEN)
const serviceReference = z
  .string()
  .max(127)
  .describe('A service: `name` in this namespace, or `namespace/name`.')
const callerReference = z
  .string()
  .max(127)
  .describe('A service, or `namespace/*` for every service of a namespace.')
const issuerReference = z
  .string()
  .max(127)
  .describe('A trusted issuer by its name in the issuers file, or `self`.')
const oneOrMany = <T extends z.ZodType>(item: T) =>
  z.union([
    item,
    z.array(item).min(1, 'an empty list means nobody: leave the entry out').max(MAX_LIST),
  ])
const scopeList = z.array(scope).min(1, 'an empty list justifies nothing').max(MAX_LIST)

const justification = z.union(
  [
    scopeList,
    z.strictObject({ any: scopeList.describe('One of these justifies the scope.') }),
    z.strictObject({ all: scopeList.describe('Only all of these together justify the scope.') }),
  ],
  { error: 'expected a list of scopes, {any: [...]} or {all: [...]}' },
)

const rule = z.strictObject({
  from: oneOrMany(callerReference).describe('Who may call: a service, a list, or `namespace/*`.'),
  issuer: issuerReference
    .optional()
    .describe(
      'Whose subject tokens count. Default `self`: tokens that this service issued to `from`.',
    ),
  scopes: z
    .union([scopeList, z.record(scope, justification)], {
      error:
        'expected a list of scopes (justified by the same name) or a mapping scope: justification',
    })
    .describe('What can be obtained, and which scopes of the subject token justify it.'),
  act: z
    .enum(['delegate', 'impersonate'])
    .optional()
    .describe('`delegate` (default) writes the caller into `act`; `impersonate` does not.'),
  actors: z
    .array(issuerReference)
    .min(1, 'an empty list means nobody: leave the entry out')
    .max(MAX_LIST)
    .optional()
    .describe('Issuers whose actor tokens may be presented. Default: none.'),
})

const deny = z.strictObject({
  from: oneOrMany(callerReference).optional().describe('Callers that are denied. Default: all.'),
  issuer: issuerReference.optional().describe('Issuer whose tokens are denied. Default: all.'),
  reason: z
    .string()
    .regex(REASON, 'a reason is lower-case letters, digits and hyphens')
    .describe('Your word for it; it stands in the audit.'),
})

const service = z.strictObject({
  identity: oneOrMany(z.string().max(2048))
    .optional()
    .describe(
      'SPIFFE ID(s) of its workloads; `*` is exactly one path segment. Default `spiffe://<own trust domain>/ns/<namespace>/sa/<name>`.',
    ),
  audience: z
    .string()
    .regex(AUDIENCE, 'an audience is printable ASCII without space, quote or backslash')
    .refine((text) => !mayHoldToken(text), NO_TOKEN)
    .optional()
    .describe('The `aud` of tokens for it. Default `<name>.<namespace>`.'),
  scopes: z
    .array(scope)
    .max(MAX_LIST)
    .optional()
    .describe('The scopes that this service understands.'),
  claims: z
    .array(z.string().regex(CLAIM, 'a claim name is printable ASCII without space and brackets'))
    .max(MAX_LIST)
    .optional()
    .describe('Subject claims that it may see, and so pass on.'),
  token: z
    .strictObject({
      lifetime: z
        .string()
        .optional()
        .describe(`How long a token lives at most, as \`5m\`; 10s to 1h. Default 5m.`),
      algorithm: z
        .enum(SIGNING_ALGORITHMS)
        .optional()
        .describe("One of the deployment's `keys.algorithms`. Default: its first."),
    })
    .optional()
    .describe('What tokens for it look like.'),
  calls: z
    .array(serviceReference)
    .max(MAX_LIST)
    .optional()
    .describe("The caller's side of the consent: it can obtain tokens for these and no others."),
  accepts: z
    .array(rule)
    .max(MAX_ACCEPTS)
    .optional()
    .describe("The target's side: who may obtain what."),
  denies: z
    .array(deny)
    .max(MAX_LIST)
    .optional()
    .describe('Denies without condition; a deny always wins.'),
  external: z
    .boolean()
    .optional()
    .describe('No workload of this mesh: only a target, in another security domain.'),
  client_keys: z
    .strictObject({
      jwks_file: z.string().min(1).describe('Public keys, relative to the rule file.'),
    })
    .optional()
    .describe('A caller outside the mesh: it authenticates by private_key_jwt with these keys.'),
})

/** One rule file. */
export const RuleFileSchema = z.strictObject({
  namespace: name.describe('Names in this file are `namespace/…`; others are written in full.'),
  services: z
    .record(name, service)
    .refine((services) => Object.keys(services).length <= MAX_SERVICES_PER_FILE, {
      error: `at most ${MAX_SERVICES_PER_FILE} services in one file`,
    })
    .describe('The services of this namespace, by name.'),
})

export type RuleFile = z.infer<typeof RuleFileSchema>
export type ServiceEntry = z.infer<typeof service>
export type RuleEntry = z.infer<typeof rule>
export type JustificationEntry = z.infer<typeof justification>

/** Keys of the rule language that this version does not know yet; each is a load error that says so. */
export const LATER_KEYS: ReadonlySet<string> = new Set([
  'when',
  'embed',
  'embeddable',
  'forward',
  'also_audiences',
  'grants',
  'ctx',
  'mode',
  'tests',
  'never',
])
