// Owns random exchanges of the rules of rule-tests.ts through a real server, with what a test would write of each.
// Must not assert what a test is about.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { queryAudit } from '../../src/audit/query.ts'
import { DECISION_ID_HEADER, TOKEN_TYPES } from '../../src/oauth/names.ts'
import type { RequestEntry, SubjectEntry } from '../../src/ruleset/rehearse/test-schema.ts'
import {
  AGENTS,
  CORPORATE,
  claimsOf,
  type Deployment,
  exchangeForm,
  ISSUERS,
  post,
  SETTINGS,
  STS,
  startDeployment,
  xfcc,
} from './deployment.ts'
import { jwksOf, makeKey, signJwt } from './jwt-fixtures.ts'
import { SHOP_RULES } from './rule-tests.ts'

export const NOW = Date.UTC(2026, 5, 7, 8, 9, 10)
const SECONDS = NOW / 1000
const ISSUER = 'https://sts.boutique.example'
const BUNDLE = makeKey('ES256', 'bundle-1')

export const startShop = (
  t: Parameters<typeof startDeployment>[0],
  files = {},
): Promise<Deployment> =>
  startDeployment(
    t,
    {
      'sts.yaml': SETTINGS.replace(
        'client_auth:\n',
        'client_auth:\n  jwt_svid: {bundles: {cluster.local: {file: bundle.json}}}\n',
      ),
      'bundle.json': jwksOf([{ ...BUNDLE.jwk, use: 'jwt-svid' }]),
      'issuers.yaml': ISSUERS.replace(
        'https://api.shop.example: [boutique/frontend, boutique/checkout]',
        'https://api.shop.example: [boutique/frontend], https://desk.shop.example: [boutique/checkout]',
      ),
      'rules/boutique.yaml': SHOP_RULES,
      ...files,
    },
    { now: () => NOW },
  )

/** A token as it is handed in, and as a test would describe it. */
export interface Handed {
  readonly token: string
  readonly type: keyof typeof TOKEN_TYPES
  readonly entry: SubjectEntry
}

/** Everything about an exchange that is drawn. */
export interface Drawn {
  readonly caller: string
  readonly subject: Handed
  readonly actor:
    | { readonly issuer: 'agents' | 'corporate'; readonly aud: string; readonly sub: string }
    | undefined
  readonly request: RequestEntry
}

export const id = (name: string) => `spiffe://cluster.local/ns/boutique/sa/${name}`

function userToken({ corporate }: Deployment, entry: SubjectEntry): Handed {
  const token = signJwt(corporate, {
    iss: CORPORATE,
    sub: entry.sub,
    aud: entry.aud,
    iat: SECONDS,
    exp: SECONDS + 600,
    scope: entry.scope,
    ...(entry.act === undefined ? {} : { act: entry.act }),
    ...(entry.may_act === undefined ? {} : { may_act: entry.may_act }),
    ...entry.claims,
  })
  return { token, type: 'access_token', entry: { ...entry, exp: '10m' } }
}

function svid(name: string): Handed {
  const token = signJwt(
    BUNDLE,
    { sub: id(name), aud: ISSUER, iat: SECONDS, exp: SECONDS + 300 },
    { typ: 'JWT' },
  )
  return { token, type: 'jwt', entry: { issuer: 'workload', sub: id(name), exp: '5m' } }
}

/** One of our own tokens as a test would describe it. */
function ownToken(token: string): Handed {
  const { iss: _, sub, aud, exp, scope, act, chain, ...claims } = claimsOf(token)
  const entry = {
    issuer: 'self',
    sub: String(sub),
    aud: String(aud),
    scope: String(scope),
    exp: `${Number(exp) - SECONDS}s`,
    ...(act === undefined ? {} : { act: act as never }),
    ...(chain === undefined ? {} : { chain: chain as string[] }),
    claims,
  }
  return { token, type: 'access_token', entry }
}

const SHOPPER: SubjectEntry = {
  issuer: 'corporate',
  sub: 'alice',
  aud: 'https://api.shop.example',
  scope: 'shop:buy shop:verified',
  claims: {
    email_verified: true,
    amr: ['mfa'],
    level: 2,
    email: 'a@x.example',
    risk: 'low',
    other: { nested: [1, 2] },
  },
}

/** What can be different about a shopper's token; two of them at once at most, so that some pass. */
const CHANGES: readonly Partial<SubjectEntry>[] = [
  { sub: 'bob' },
  { aud: 'https://desk.shop.example' },
  { aud: 'https://x.example' },
  { scope: '' },
  { scope: 'shop:browse' },
  { scope: 'shop:buy' },
  { scope: 'shop:browse shop:buy shop:verified' },
  { act: { sub: 'agent' } },
  { act: { sub: 'agent', act: { sub: 'before', iss: AGENTS } } },
  { may_act: { sub: id('frontend') } },
  { may_act: { sub: 'somebody' } },
  ...[
    { email_verified: false },
    { email_verified: undefined },
    { amr: ['mfa', 'pwd'] },
    { amr: ['pwd'] },
    { amr: 'mfa' },
    { level: 1 },
    { level: undefined },
    { email: 'b\u0007' },
    { risk: 'high' },
    { risk: undefined },
    { locale: 'en' },
    { blocked: 1 },
    { odd: true },
  ].map((claims) => ({ claims })),
]

const userEntry: fc.Arbitrary<SubjectEntry> = fc
  .tuple(fc.constantFrom(...CHANGES), fc.constantFrom(...CHANGES), fc.nat(2))
  .map((drawn) => (drawn.slice(0, drawn[2]) as Partial<SubjectEntry>[]).reduce(changed, SHOPPER))

function changed(entry: SubjectEntry, change: Partial<SubjectEntry>): SubjectEntry {
  const claims = Object.entries({ ...entry.claims, ...change.claims })
  const present = claims.filter(([, value]) => value !== undefined)
  return { ...entry, ...change, claims: Object.fromEntries(present) }
}

/** Whom each calls, so that not all are refused at the door. */
const CALLS: Readonly<Record<string, readonly RequestEntry[]>> = {
  frontend: [
    { audience: 'checkout', scope: 'checkout:place' },
    { audience: 'checkout' },
    { audience: 'checkout', scope: 'checkout:quote checkout:place' },
    { audience: 'checkout', scope: 'checkout:quote checkout:never' },
    { resource: 'https://checkout.boutique.example', scope: 'checkout:quote' },
    { audience: 'ads' },
    { audience: 'feed' },
    { audience: 'feed', scope: 'shop:browse' },
    { audience: 'closed' },
  ],
  checkout: [{ audience: 'payment' }, { audience: 'mailer', scope: 'mail:send' }],
  payment: [{ audience: 'bank' }, { audience: 'bank', scope: 'bank:rob' }],
  bank: [{ audience: 'checkout' }],
  nightly: [{ audience: 'https://ledger.partner.example' }],
}

/** What anybody may send. */
const ANY_REQUEST: readonly RequestEntry[] = [
  {},
  { audience: 'nobody' },
  { audience: 'bank' },
  { audience: 'payment', scope: 'payment:charge' },
  { audience: 'checkout', resource: 'https://ledger.partner.example' },
  { audience: 'checkout', resource: 'no uri' },
  { audience: 'checkout', scope: 'un"scoped' },
]

/** Mostly whose token it is, and whom that one calls. */
function drawnOf(subjects: fc.Arbitrary<Handed & { readonly of: string }>): fc.Arbitrary<Drawn> {
  const anybody = fc.constantFrom('frontend', 'checkout', 'payment', 'nightly', 'stranger')
  return subjects.chain(({ of, ...subject }) => {
    const own = fc.constantFrom(...(CALLS[of] ?? []))
    return fc.record({
      subject: fc.constant(subject),
      caller: fc.oneof(
        { weight: 9, arbitrary: fc.constant(of) },
        { weight: 1, arbitrary: anybody },
      ),
      request: fc.oneof(
        { weight: 6, arbitrary: own },
        { weight: 1, arbitrary: fc.constantFrom(...ANY_REQUEST) },
      ),
      actor,
    })
  })
}

const actor: fc.Arbitrary<Drawn['actor']> = fc.option(
  fc.record({
    issuer: fc.constantFrom('agents', 'corporate'),
    aud: fc.constantFrom(
      'https://agents.boutique.example',
      'https://api.shop.example',
      'https://x.example',
    ),
    sub: fc.constantFrom('agent-7', 'x'),
  }),
  { nil: undefined, freq: 1 },
)

function actorToken({ agents, corporate }: Deployment, drawn: NonNullable<Drawn['actor']>): string {
  const [key, iss] = drawn.issuer === 'agents' ? [agents, AGENTS] : [corporate, CORPORATE]
  return signJwt(key, { iss, sub: drawn.sub, aud: drawn.aud, iat: SECONDS, exp: SECONDS + 60 })
}

/** The server's answer, and the id of its decision. */
export async function ask(
  deployment: Deployment,
  { caller, subject, actor: acting, request: asked }: Drawn,
) {
  const form = exchangeForm(subject.token, {
    subject_token_type: TOKEN_TYPES[subject.type],
    audience: asked.audience as string | undefined,
    resource: asked.resource as string | undefined,
    scope: asked.scope,
    ...(acting === undefined
      ? {}
      : {
          actor_token: actorToken(deployment, acting),
          actor_token_type: TOKEN_TYPES.access_token,
        }),
  })
  const answer = await post(deployment.tokenUrl, form, {
    'x-forwarded-client-cert': xfcc(caller, STS),
  })
  const decisionId = answer.headers.get(DECISION_ID_HEADER) ?? ''
  return { answer, decisionId }
}

/** The server's answer and its record. */
export async function live(deployment: Deployment, drawn: Drawn) {
  const { answer, decisionId } = await ask(deployment, drawn)
  const [event] = queryAudit(deployment.db, { decisionId })
  assert.ok(event, decisionId)
  return { answer, event }
}

/** Random exchanges, and each difference once by itself, so that none is left to chance. */
export async function exchangesOf(deployment: Deployment): Promise<{
  readonly drawn: fc.Arbitrary<Drawn>
  readonly examples: readonly Drawn[]
}> {
  const shopper = (claims: SubjectEntry['claims']): Handed =>
    userToken(deployment, changed(SHOPPER, { claims }))
  // Real tokens of ours, for later hops: with and without a token inside.
  const own: (Handed & { readonly of: string })[] = []
  for (const change of [{}, { risk: 'high' }]) {
    const { answer } = await live(deployment, {
      caller: 'frontend',
      subject: shopper(change),
      actor: undefined,
      request: { audience: 'checkout' },
    })
    const token = String(answer.body.access_token)
    own.push({ ...ownToken(token), of: 'checkout' })
    const inside = (claimsOf(token).embedded ?? {}) as Readonly<Record<string, string>>
    for (const [of, one] of Object.entries(inside)) own.push({ ...ownToken(one), of })
  }
  assert.equal(own.length, 3)
  const drawn = drawnOf(
    fc.oneof(
      {
        weight: 7,
        arbitrary: userEntry.map((entry) => ({
          ...userToken(deployment, entry),
          of: 'frontend',
        })),
      },
      { weight: 2, arbitrary: fc.constantFrom(...own) },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom('nightly', 'frontend')
          .map((name) => ({ ...svid(name), of: name })),
      },
    ),
  )
  // Each difference once by itself, so that none is left to chance.
  const user = { ...shopper({}), of: 'frontend' }
  const place: RequestEntry = { audience: 'checkout', scope: 'checkout:place' }
  const examples: readonly Drawn[] = [
    ...CHANGES.map((change) => ({
      subject: userToken(deployment, changed(SHOPPER, change)),
      caller: 'frontend',
      request: place,
      actor: undefined,
    })),
    ...[user, ...own, { ...svid('nightly'), of: 'nightly' }].flatMap(({ of, ...subject }) =>
      [...(CALLS[of] ?? []), ...ANY_REQUEST].map((asked) => ({
        subject,
        caller: of,
        request: asked,
        actor: undefined,
      })),
    ),
    { subject: user, caller: 'stranger', request: place, actor: undefined },
    { subject: svid('nightly'), caller: 'frontend', request: place, actor: undefined },
    { subject: svid('frontend'), caller: 'frontend', request: place, actor: undefined },
    {
      subject: userToken(deployment, { ...SHOPPER, scope: 'shop:browse', act: { sub: 'agent' } }),
      caller: 'frontend',
      request: { audience: 'ads' },
      actor: undefined,
    },
    {
      subject: userToken(deployment, { ...SHOPPER, scope: 'shop:browse' }),
      caller: 'frontend',
      request: { audience: 'ads' },
      actor: undefined,
    },
    ...(['https://agents.boutique.example', 'https://x.example'] as const).map((aud) => ({
      subject: user,
      caller: 'frontend',
      request: place,
      actor: { issuer: 'agents' as const, aud, sub: 'agent-7' },
    })),
    {
      subject: user,
      caller: 'frontend',
      request: place,
      actor: { issuer: 'corporate', aud: 'https://api.shop.example', sub: 'bob' },
    },
  ]
  return { drawn, examples }
}
