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
const audienceText = z
  .string()
  .regex(AUDIENCE, 'an audience is printable ASCII without space, quote or backslash')
  .refine((text) => !mayHoldToken(text), NO_TOKEN)
const issuerReference = z
  .string()
  .max(127)
  .describe('A trusted issuer by its name in the issuers file, `self` or `workload`.')
const oneOrMany = <T extends z.ZodType>(item: T) =>
  z.union([
    item,
    z.array(item).min(1, 'an empty list means nobody: leave the entry out').max(MAX_LIST),
  ])
const scopeList = z.array(scope).min(1, 'an empty list justifies nothing').max(MAX_LIST)

/** Longer ones than the compiler of expressions takes are read, so that it can say so. */
const MAX_EXPRESSION_READ = 16_384
const expression = z.string().max(MAX_EXPRESSION_READ, 'an expression has at most 1024 characters')
const mode = z
  .enum(['enforce', 'audit'])
  .optional()
  .describe(
    '`audit` decides as if the condition were absent, and counts and records what it would have denied. Default `enforce`.',
  )
const scopeWhen = expression
  .optional()
  .describe('CEL (docs/conditions.md); without it true the scope is not given.')

const justification = z.union(
  [
    scopeList,
    z.strictObject({
      any: scopeList.describe('One of these justifies the scope.'),
      when: scopeWhen,
      mode,
    }),
    z.strictObject({
      all: scopeList.describe('Only all of these together justify the scope.'),
      when: scopeWhen,
      mode,
    }),
  ],
  { error: 'expected a list of scopes, {any: [...]} or {all: [...]}' },
)

const embed = z.union(
  [
    serviceReference,
    z.strictObject({
      to: serviceReference,
      required: z
        .boolean()
        .optional()
        .describe('Denies the whole exchange where this token is denied. Default: it is left out.'),
    }),
  ],
  { error: 'expected a service or {to: service, required: true}' },
)

const ctxName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,63}$/, 'a member of ctx is lower-case letters, digits and _')
const MAX_CTX_TEXT = 256
const ctxEntry = z.union(
  [
    z.strictObject({
      claim: z.string().regex(CLAIM).describe('A claim of the subject token, under this name.'),
    }),
    z.strictObject({
      value: z
        .union([z.string().max(MAX_CTX_TEXT), z.number(), z.boolean()])
        .describe('A constant.'),
    }),
    z.strictObject({
      computed: expression.describe('CEL (docs/conditions.md); an error denies the exchange.'),
    }),
  ],
  { error: 'expected {claim: name}, {value: constant} or {computed: expression}' },
)

const rule = z.strictObject({
  from: oneOrMany(callerReference).describe('Who may call: a service, a list, or `namespace/*`.'),
  issuer: issuerReference
    .optional()
    .describe(
      'Whose subject tokens count. Default `self`: tokens that this service issued to `from`; `workload`: its own SVID or service-account token.',
    ),
  when: expression.optional().describe('CEL (docs/conditions.md); must be true, an error denies.'),
  mode,
  scopes: z
    .union([scopeList, z.record(scope, justification)], {
      error:
        'expected a list of scopes (justified by the same name) or a mapping scope: justification',
    })
    .optional()
    .describe(
      'What can be obtained, and which scopes of the subject token justify it. Only a `forward` rule has none.',
    ),
  forward: z
    .boolean()
    .optional()
    .describe(
      "Hands the subject token on unchanged, where its audience is the target's or one of its `also_audiences`.",
    ),
  embed: z
    .array(embed)
    .min(1, 'an empty list embeds nothing: leave the entry out')
    .max(MAX_LIST)
    .optional()
    .describe('Tokens that are minted along with it and travel in its claim `embedded`.'),
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
  when: expression
    .optional()
    .describe('CEL (docs/conditions.md); denies where it is true or in error. Default: always.'),
  mode,
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
  audience: audienceText
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
  ctx: z
    .record(ctxName, ctxEntry)
    .optional()
    .describe('Renamed, constant and computed claims; they stand under the one claim `ctx`.'),
  also_audiences: z
    .array(audienceText)
    .max(MAX_LIST)
    .optional()
    .describe('Audiences whose tokens it accepts beside its own: what `forward` may hand to it.'),
  embeddable: z
    .boolean()
    .optional()
    .describe('Whether a token for it may travel inside another. Default: no.'),
  grants: z
    .array(scope)
    .max(MAX_LIST)
    .optional()
    .describe('Scopes that it brings as itself (issuer `workload`), for jobs without a user.'),
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
    .describe('Who may not, whatever rules say; a deny always wins.'),
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

const waiver = z.strictObject({
  finding: z.string().regex(REASON).describe('Its id, as `rules check` prints it.'),
  at: name
    .optional()
    .describe('The service of this file that it is about. Default: the whole file.'),
  reason: z
    .string()
    .min(10, 'say why, so that the next reader can judge whether it still holds')
    .max(500)
    .describe('Why it is right here.'),
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
  waivers: z
    .array(waiver)
    .max(MAX_LIST)
    .optional()
    .describe('Warnings of `rules check` that are right as they are.'),
})

export type RuleFile = z.infer<typeof RuleFileSchema>
export type ServiceEntry = z.infer<typeof service>
export type RuleEntry = z.infer<typeof rule>
export type JustificationEntry = z.infer<typeof justification>
export type EmbedEntry = z.infer<typeof embed>
