// Owns the written form of the issuers file: whom we trust. docs/configuration.md is made from it.
// Must not know sts.yaml; issuers.ts checks one against the other.
import { z } from 'zod'
import { ALGORITHMS } from '../jwt/algorithms.ts'
import { TOKEN_TYPES, type TokenType } from '../oauth/names.ts'
import { parseClaimPath } from '../subjects/scopes-from.ts'
import { SELF, WORKLOAD } from '../subjects/subject.ts'
import { issuerUrl, list, path, url } from './scalars.ts'

const TOKEN_TYPE_NAMES = Object.keys(TOKEN_TYPES) as [TokenType, ...TokenType[]]

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NAME_WORDS = 'must be lower-case letters, digits and hyphens, such as corporate'
const SERVICE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Printable ASCII: claim names of other issuers may be URLs. */
const CLAIM = /^[\x21-\x7e]{1,256}$/
const PREFIX = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/
const TYP = /^[A-Za-z0-9!#$&^_.+/-]{1,64}$/
const AUDIENCE = /^[\x21-\x7e]{1,512}$/

const claimName = () => z.string().regex(CLAIM, 'must be a claim name')

const dottedClaim = () =>
  z
    .string()
    .regex(CLAIM, 'must be a claim name, or names joined by dots')
    .refine((text) => parseClaimPath(text) !== undefined, 'has an empty name between its dots')

const claimPath = z.union([dottedClaim(), list(claimName(), 8)], {
  error: 'must be a claim name, names joined by dots, or a list of names',
})

const scopeSource = z.union(
  [
    dottedClaim(),
    z.strictObject({
      claim: claimPath.describe(
        'A claim: its name, names joined by dots (`realm_access.roles`), or a list of names where one contains a dot itself.',
      ),
      prefix: z
        .string()
        .regex(PREFIX, 'must be characters of a scope (RFC 6749 §3.3)')
        .optional()
        .describe('Written before each value, so that roles and scopes are told apart.'),
    }),
  ],
  { error: 'must be a claim name or {claim: …, prefix: …}' },
)

/** One entry of the issuers file. */
export const IssuerSchema = z.strictObject({
  issuer: issuerUrl().describe('Compared exactly with `iss`; an https URL.'),
  jwks_uri: url()
    .optional()
    .describe('Where its keys are. One of `jwks_uri`, `jwks_file` and `discovery` is required.'),
  jwks_file: path()
    .optional()
    .describe('A file with its keys (JWK Set); read again when it changes.'),
  discovery: z
    .literal(true, { error: 'must be true, or left out' })
    .optional()
    .describe('Finds `jwks_uri` in the issuer’s metadata (OpenID Connect Discovery, RFC 8414).'),
  ca_file: path()
    .optional()
    .describe('Certificates (PEM) that vouch for its server, instead of the system’s.'),
  algorithms: list(z.enum(ALGORITHMS)).describe('Signature algorithms that its tokens may use.'),
  token_types: list(z.enum(TOKEN_TYPE_NAMES)).describe('What its tokens may be handed in as.'),
  access_token_typ: list(z.string().regex(TYP, 'must be a `typ` value, such as at+jwt'))
    .default(['at+jwt'])
    .describe(
      '`typ` values of its access tokens (RFC 9068 §4). Many identity providers send `JWT`: then say so here; `absent` accepts tokens without it.',
    ),
  presented_by: z
    .record(
      z.string().regex(AUDIENCE, 'an audience is printable ASCII without spaces'),
      list(
        z.string().regex(SERVICE, 'must be a full service name, such as boutique/frontend'),
        1000,
      ),
    )
    .refine((map) => Object.keys(map).length > 0, 'must not be empty')
    .describe('Who may hand in its tokens: `aud` of the token → full names of services.'),
  scopes_from: list(scopeSource).describe(
    'What counts as a scope that a token brings. A text value is split at spaces, a list is taken as it is.',
  ),
  subject_prefix: z
    .string({ error: NAME_WORDS })
    .regex(NAME, NAME_WORDS)
    .describe(
      'Written before `sub` (`corp:alice`), so that no subjects of two issuers are taken for one another. Unique, and not `spiffe`.',
    ),
})

/** The issuers file: a name for each trusted issuer. */
export const IssuersSchema = z.record(z.string().regex(NAME, NAME_WORDS), IssuerSchema)

/** Names that are built in. */
export const RESERVED_ISSUER_NAMES: ReadonlySet<string> = new Set([SELF, WORKLOAD])

/** Before `//cluster.local/…` it would make a user's `sub` a workload's SPIFFE ID. */
export const RESERVED_SUBJECT_PREFIX = 'spiffe'

export type IssuerEntry = z.output<typeof IssuerSchema>
