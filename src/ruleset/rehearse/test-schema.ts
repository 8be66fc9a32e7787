// Owns the written form of a test file (`*.test.yaml`, docs/rules-test.md): its keys, types and meaning.
// Must not know a ruleset; test-file.ts checks the names against one.
import { z } from 'zod'
import { parseDuration } from '../../config/duration.ts'
import { type Reason, WIRE } from '../../oauth/reasons.ts'
import { MAX_EMBED_DEPTH } from '../compile/embedding.ts'
import { neverEntry } from '../prove/never.ts'

/** Tests run with this time where they say nothing, so that they mean the same every day. */
export const DEFAULT_NOW = '2026-01-02T03:04:05Z'
/** Longer than any token that a test hands in has to live. */
export const DEFAULT_EXP = '1h'

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
// Caps keep a mistaken file from exhausting memory; none is near what people write.
const MAX_TESTS = 10_000
const MAX_HOPS = 16
const MAX_LIST = 64
const MAX_TEXT = 4096
const MAX_TITLE = 200

const REASONS = Object.keys(WIRE) as [Reason, ...Reason[]]

const title = z.string().min(1).max(MAX_TITLE).describe('What it shows; unique in its file.')
const text = () => z.string().min(1).max(MAX_TEXT)
const oneOrMany = () => z.union([text(), z.array(text()).min(1).max(MAX_LIST)])
const duration = () =>
  z
    .string()
    .refine((written) => parseDuration(written) !== undefined, 'must be a duration, such as 5m')
const service = () =>
  text().describe('A service: `name` in this namespace, or `namespace/name`; or a SPIFFE ID.')
const issuer = () => text().describe('A trusted issuer by its name, `self` or `workload`.')

const MAX_YEAR_CHARACTERS = 40
const now = z
  .string()
  .max(MAX_YEAR_CHARACTERS)
  .refine(
    (written) => /^\d{4}-\d\d-\d\dT.*Z$/.test(written) && !Number.isNaN(Date.parse(written)),
    `must be a time in UTC, such as ${DEFAULT_NOW}`,
  )
  .optional()
  .describe(`When it happens; conditions may read it. Default \`${DEFAULT_NOW}\`.`)

const party = z.union(
  [service(), z.strictObject({ sub: service(), iss: text().optional().describe('Its issuer.') })],
  { error: 'expected a service, a `sub` or {sub: …, iss: …}' },
)

/** As a token has it: whom the outermost acts for stands inside. */
interface ActEntry {
  readonly sub: string
  readonly iss?: string | undefined
  readonly act?: ActEntry | undefined
}

const nested: z.ZodType<ActEntry> = z
  .strictObject({
    sub: service(),
    iss: text().optional().describe('Its issuer.'),
    act: z
      .lazy(() => nested)
      .optional()
      .describe('Who acted before.'),
  })
  .meta({ id: 'act' })

const subject = z
  .strictObject({
    issuer: issuer(),
    sub: text()
      .optional()
      .describe('As the token has it. Default `somebody`; of issuer `workload` the caller itself.'),
    aud: oneOrMany()
      .optional()
      .describe(
        'Of issuer `self` a service or its audience, default the caller; of others default one that the caller may present.',
      ),
    scope: z
      .string()
      .max(MAX_TEXT)
      .optional()
      .describe(
        'What counts as its scopes (`scopes_from` is not read). Default none; of issuer `workload` all `grants`.',
      ),
    claims: z.record(text(), z.unknown()).optional().describe('Its other claims.'),
    act: z
      .union([z.array(party).min(1).max(MAX_LIST), service(), nested], {
        error: 'expected who acts, a list of them, or {sub: …, act: {sub: …}}',
      })
      .optional()
      .describe(
        'Who acts: a list, the outermost first, or as a token has it. Services mean their identity.',
      ),
    may_act: party.optional().describe('Who alone may act.'),
    chain: z
      .array(service())
      .max(MAX_LIST)
      .optional()
      .describe('Of issuer `self`: callers, the first one first.'),
    exp: duration().optional().describe(`How long it still lives. Default \`${DEFAULT_EXP}\`.`),
  })
  .meta({ id: 'subject' })

const actor = z
  .strictObject({
    issuer: issuer(),
    sub: text().describe('As the token has it.'),
    aud: oneOrMany().optional().describe('As `aud` of a subject.'),
    exp: duration().optional().describe(`How long it still lives. Default \`${DEFAULT_EXP}\`.`),
  })
  .meta({ id: 'actor' })

/** Whatever a caller may send: that it is refused can be tested too. */
const sent = () => {
  const one = z.string().max(MAX_TEXT)
  return z
    .union([one, z.array(one).max(MAX_LIST)], { error: 'expected a text or a list of texts' })
    .optional()
    .describe('As a caller sends it, once or several times.')
}
const request = z.strictObject({
  audience: sent(),
  resource: sent(),
  scope: z
    .string()
    .max(MAX_TEXT)
    .optional()
    .describe('Scopes with spaces between. Default: all that is justified.'),
})

/** What is expected of a token. Members that are not given are not compared. */
export interface AllowEntry {
  readonly scope?: string | undefined
  readonly claims?: readonly string[] | Readonly<Record<string, unknown>> | undefined
  readonly ctx?: Readonly<Record<string, unknown>> | undefined
  readonly act?: readonly string[] | undefined
  readonly lifetime?: string | undefined
  readonly forward?: true | undefined
  readonly embedded?: Readonly<Record<string, string | AllowEntry>> | undefined
}

/** Tokens stand inside tokens so many levels deep, and no recursion has to be told to editors. */
function allowOf(depth: number): z.ZodType<AllowEntry> {
  const flat = {
    scope: z.string().max(MAX_TEXT).optional().describe('Exactly these scopes, in any order.'),
    claims: z
      .union([z.array(text()).max(MAX_LIST), z.record(text(), z.unknown())], {
        error: 'expected a list of names, or a mapping of names to values',
      })
      .optional()
      .describe('Exactly these claims of the subject; a mapping also says their values.'),
    ctx: z.record(text(), z.unknown()).optional().describe('Exactly this claim `ctx`.'),
    act: z
      .array(service())
      .max(MAX_LIST)
      .optional()
      .describe('Exactly these in `act`, the outermost first; `[]` is none.'),
    lifetime: duration().optional().describe('Exactly so long it lives.'),
    forward: z.literal(true).optional().describe('The subject token itself is handed on.'),
  }
  if (depth === 0) return z.strictObject(flat)
  return z.strictObject({
    ...flat,
    embedded: z
      .record(
        text(),
        z.union([z.string().max(MAX_TEXT), allowOf(depth - 1)], {
          error: 'expected the scopes of the embedded token, or what is expected of it',
        }),
      )
      .optional()
      .describe('Exactly these members of `embedded`: their scopes, or more of them.'),
  })
}

const expectation = z
  .strictObject({
    allow: allowOf(MAX_EMBED_DEPTH).optional().describe('A token comes back; `{}` is any.'),
    deny: z
      .enum(REASONS, { error: 'is no reason for a refusal (docs/errors.md)' })
      .optional()
      .describe('It is refused for this reason (docs/errors.md).'),
    would_deny: z
      .array(text())
      .max(MAX_LIST)
      .optional()
      .describe(
        'Exactly these predicates in audit mode would have denied: ids, or reasons of denies.',
      ),
  })
  .refine(({ allow, deny }) => (allow === undefined) !== (deny === undefined), {
    error: 'either `allow` or `deny` is expected',
  })
  .meta({ id: 'expect', description: 'What must come of it.' })

const asked = {
  caller: service().describe('Who calls; a service, or the SPIFFE ID of a workload.'),
  subject: subject.describe('The token that is handed in.'),
  actor: actor.optional().describe('A token of who acts as well.'),
  request: request.describe('What is asked.'),
  now,
}

const test = z.strictObject({ name: title, ...asked, expect: expectation })

const hop = z.strictObject({
  caller: asked.caller,
  uses: oneOrMany()
    .optional()
    .describe(
      'Hands in this token of `embedded` in the result before, instead of the result; a list goes inwards.',
    ),
  actor: asked.actor,
  request: asked.request,
  expect: expectation,
})

const journey = z.strictObject({
  name: title,
  subject: asked.subject.describe('The token that the first hop hands in.'),
  now,
  hops: z
    .array(hop)
    .min(1)
    .max(MAX_HOPS)
    .describe("Exchanges, each with the last one's result as its subject token."),
})

/** One test file. */
export const TestFileSchema = z.strictObject({
  namespace: z
    .string()
    .regex(NAME, 'a name is lower-case letters, digits and hyphens')
    .describe('Names in this file are `namespace/…`; others are written in full.'),
  tests: z.array(test).max(MAX_TESTS).optional().describe('One exchange each.'),
  journeys: z.array(journey).max(MAX_TESTS).optional().describe('Chains of exchanges.'),
  never: z
    .array(neverEntry)
    .max(MAX_TESTS)
    .optional()
    .describe('What must never be possible, over any chain of exchanges (`rules prove`).'),
})

/** A request in a file of its own, for `rules explain`: a test, of which only the request counts. */
export const RequestFileSchema = z.strictObject({
  namespace: TestFileSchema.shape.namespace.optional(),
  name: title.optional(),
  ...asked,
  expect: expectation.optional(),
})

export type TestFile = z.infer<typeof TestFileSchema>
export type TestEntry = z.infer<typeof test>
export type JourneyEntry = z.infer<typeof journey>
export type SubjectEntry = z.infer<typeof subject>
export type ActorEntry = z.infer<typeof actor>
export type RequestEntry = z.infer<typeof request>
export type ExpectEntry = z.infer<typeof expectation>
export type PartyEntry = z.infer<typeof party>
