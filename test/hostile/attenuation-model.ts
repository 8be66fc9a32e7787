// Owns the bounds of a granted exchange (P1, P2), computed anew from the bytes that were sent and the model's data.
// Must not use anything of the product: it is what the product is held against.
import assert from 'node:assert/strict'
import { createHash, verify } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { STS } from '../support/deployment.ts'
import type { TestKey } from '../support/jwt-fixtures.ts'
import { CLUSTER, type Edge, ISSUER, KEYS, SERVICES, TRUSTED } from './deployment-model.ts'
import { isSpiffeId, type Json, readForm, readJwtPart, readXfcc } from './oracles.ts'

/** A request as it was sent, and when. */
export interface SentExchange {
  readonly body: string
  readonly xfccLines: readonly string[]
  /** Milliseconds since the epoch. */
  readonly sentAt: number
  readonly answeredAt: number
}

type Claims = { readonly [name: string]: Json }

/** A token of the request that its issuer did sign. */
interface Verified {
  readonly claims: Claims
  /** `self`, `workload`, or a name of the issuers file. */
  readonly issuer: string
  readonly hash: string
}

/** What a granted exchange turned out to be; for the record to be held against. */
export interface JudgedGrant {
  readonly caller: string
  readonly target: string
  readonly token: string
  readonly claims: Claims
  readonly subject: Verified
  readonly actor: Verified | undefined
}

const sole = (form: ReadonlyMap<string, readonly string[]>, name: string): string | undefined => {
  const values = form.get(name) ?? []
  assert.ok(values.length <= 1, `${name} is there twice`)
  return values[0]
}

/** Judges a granted exchange. Throws where it is more than the request's tokens and the rules justify. */
export async function judgeGrant(
  sent: SentExchange,
  answer: Claims,
  jwks: JSONWebKeySet,
): Promise<JudgedGrant> {
  const form = readForm(sent.body)
  assert.ok(form, 'a malformed form is granted')
  assert.equal(sole(form, 'grant_type'), 'urn:ietf:params:oauth:grant-type:token-exchange')
  const now = Math.floor(sent.sentAt / 1000)
  const caller = callerOf(sent, form, now)
  const name = caller.slice('spiffe://cluster.local/ns/boutique/sa/'.length)
  assert.equal(caller, `spiffe://cluster.local/ns/boutique/sa/${name}`)
  const subject = verified(sole(form, 'subject_token') ?? '', jwks, now)
  if (subject.issuer === 'workload') assertOwn(subject, caller, form)
  else assertPresenter(subject, name)
  const actorToken = sole(form, 'actor_token')
  const actor = actorToken === undefined ? undefined : verified(actorToken, jwks, now)
  if (actor !== undefined) assertPresenter(actor, name)
  const brings = subject.issuer === 'workload' ? SERVICES[name]?.grants : scopesOf(subject.claims)

  const target = targetOf(form)
  const service = SERVICES[target]
  assert.ok(service && SERVICES[name]?.calls?.includes(target), `${name} does not call ${target}`)
  assert.equal(service.denies, undefined, 'a deny does not win')
  const edges = service.accepts?.filter(
    (edge) => edge.from === name && (edge.issuer ?? 'self') === subject.issuer,
  )
  assert.equal(edges?.length, 1, 'no rule')
  const [edge] = edges ?? []
  assert.ok(edge)
  if (actor !== undefined) assert.ok(edge.actors?.includes(actor.issuer), 'no such actor')

  const token = String(answer.access_token)
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), {
    issuer: ISSUER,
    audience: service.audience ?? `${target}.boutique`,
    typ: 'at+jwt',
    currentDate: new Date(sent.sentAt),
    algorithms: [service.token?.algorithm ?? 'ES256'],
  })
  assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ'])
  const claims = payload as Claims
  assert.equal(typeof claims.aud, 'string')
  assert.equal(claims.client_id, caller)
  assert.equal(claims.sub, qualifiedSub(subject))
  assertTimes(claims, sent, subject, actor, service.token?.lifetime ?? '5m')
  assertScope(claims, brings ?? [], edge.scopes, service.scopes, sole(form, 'scope'))
  assertPassed(claims, subject, service.claims ?? [])
  assertDelegation(claims, subject, actor, caller, edge.act === 'impersonate')
  assertAnswer(answer, claims, form)
  return { caller, target, token, claims, subject, actor }
}

/** P8: who the request proves to be, from its one assertion or its one XFCC element. */
function callerOf(
  { xfccLines }: SentExchange,
  form: ReadonlyMap<string, readonly string[]>,
  now: number,
): string {
  const assertion = sole(form, 'client_assertion')
  const caller = assertion === undefined ? fromXfcc(xfccLines) : fromAssertion(assertion, form, now)
  assert.ok(isSpiffeId(caller), `${caller} is no SPIFFE ID`)
  assert.equal(sole(form, 'client_id') ?? caller, caller)
  return caller
}

function fromXfcc(lines: readonly string[]): string {
  assert.equal(lines.length, 1, 'XFCC is there more than once, or never')
  const elements = readXfcc(lines[0] ?? '')
  assert.equal(elements?.length, 1, 'not one element')
  const valuesOf = (key: string) =>
    elements?.[0]?.filter(([name]) => name === key).map(([, value]) => value) ?? []
  assert.deepEqual(valuesOf('by'), [STS])
  const [uri = '', ...more] = valuesOf('uri')
  assert.equal(more.length, 0)
  return uri
}

function fromAssertion(
  assertion: string,
  form: ReadonlyMap<string, readonly string[]>,
  now: number,
): string {
  const isSvid = sole(form, 'client_assertion_type')?.endsWith(':jwt-spiffe') === true
  const claims = signedClaims(assertion, isSvid ? KEYS.bundle : KEYS.cluster)
  assert.deepEqual([claims.aud].flat(), [ISSUER])
  assert.ok(Number(claims.exp) > now)
  if (isSvid) return String(claims.sub)
  assert.equal(claims.iss, CLUSTER)
  return accountOf(claims)
}

function accountOf({ sub }: Claims): string {
  const [, , namespace, account] = String(sub).split(':')
  return `spiffe://cluster.local/ns/${namespace}/sa/${account}`
}

/** Whom a workload's token names. */
const workloadOf = ({ claims }: Verified): string =>
  claims.iss === CLUSTER ? accountOf(claims) : String(claims.sub)

/** A workload's token is its own, for us alone, undelegated, and said to be a JWT. */
function assertOwn(
  subject: Verified,
  caller: string,
  form: ReadonlyMap<string, readonly string[]>,
): void {
  const { aud, act, may_act: mayAct } = subject.claims
  assert.equal(workloadOf(subject), caller, "somebody else's token brings its grants")
  assert.deepEqual([[aud].flat(), act, mayAct], [[ISSUER], undefined, undefined])
  assert.match(sole(form, 'subject_token_type') ?? '', /:jwt$/)
}

/** Claims of a token, after its signature was checked with a key and nothing else. */
function signedClaims(token: string, key: Pick<TestKey, 'publicKey'>, digest = 'sha256'): Claims {
  const [header = '', payload = '', signature = '', ...more] = token.split('.')
  assert.equal(more.length, 0)
  const isSigned = verify(
    digest,
    Buffer.from(`${header}.${payload}`),
    { key: key.publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  )
  assert.ok(isSigned, 'a token whose signature is wrong is accepted')
  const members = readJwtPart(header)
  assert.ok(members && members.crit === undefined)
  const claims = readJwtPart(payload)
  assert.ok(claims, 'a token whose payload is no strict JSON object is accepted')
  return claims
}

function verified(token: string, jwks: JSONWebKeySet, now: number): Verified {
  const claimed = readJwtPart(token.split('.')[1] ?? '')
  assert.ok(claimed, 'a malformed token is accepted')
  const issuer =
    claimed.iss === ISSUER
      ? 'self'
      : (Object.keys(TRUSTED).find((name) => TRUSTED[name]?.iss === claimed.iss) ?? 'workload')
  if (issuer === 'self') {
    const { kid } = decodeProtectedHeader(token)
    assert.ok(jwks.keys.some((key) => key.kid === kid))
  } else {
    // What no trusted issuer says can only be a workload's.
    const ofWorkload = claimed.iss === CLUSTER ? KEYS.cluster : KEYS.bundle
    assert.deepEqual(signedClaims(token, TRUSTED[issuer]?.key ?? ofWorkload), claimed)
  }
  assert.ok(Number(claimed.exp) > now && typeof claimed.exp === 'number', 'an expired token')
  for (const time of [claimed.nbf, claimed.iat]) {
    assert.ok(time === undefined || (typeof time === 'number' && time <= now + 120), 'too early')
  }
  assert.equal(claimed.cnf, undefined)
  assert.ok(typeof claimed.sub === 'string' && claimed.sub !== '')
  return { claims: claimed, issuer, hash: createHash('sha256').update(token).digest('hex') }
}

function assertPresenter({ claims, issuer }: Verified, presenter: string): void {
  const audiences = [claims.aud].flat()
  const isAllowed =
    issuer === 'self'
      ? audiences.includes(SERVICES[presenter]?.audience ?? `${presenter}.boutique`)
      : audiences.some((audience) =>
          TRUSTED[issuer]?.presentedBy[String(audience)]?.includes(`boutique/${presenter}`),
        )
  assert.ok(isAllowed, `${presenter} may not present a token for ${audiences}`)
}

/** All that are named mean one service. */
function targetOf(form: ReadonlyMap<string, readonly string[]>): string {
  const named = [...(form.get('audience') ?? []), ...(form.get('resource') ?? [])].map((text) =>
    Object.keys(SERVICES).find((name) => {
      const audience = SERVICES[name]?.audience ?? `${name}.boutique`
      return [name, `boutique/${name}`, audience].includes(text)
    }),
  )
  const [target] = named
  assert.ok(target !== undefined && named.every((one) => one === target), 'not one target')
  return target
}

function qualifiedSub(subject: Verified): string {
  const { issuer, claims } = subject
  if (issuer === 'workload') return workloadOf(subject)
  return issuer === 'self' ? String(claims.sub) : `${TRUSTED[issuer]?.prefix}:${claims.sub}`
}

const LIFETIMES: Readonly<Record<string, number>> = { '5m': 300, '1m': 60 }

/** P1: no longer than what was handed in, nor than the target allows; no skew is added. */
function assertTimes(
  { exp, iat }: Claims,
  { sentAt, answeredAt }: SentExchange,
  subject: Verified,
  actor: Verified | undefined,
  lifetime: string,
): void {
  assert.ok(typeof exp === 'number' && typeof iat === 'number' && Number.isSafeInteger(exp))
  assert.ok(iat >= Math.floor(sentAt / 1000) && iat <= answeredAt / 1000)
  assert.ok(exp > iat && exp <= iat + (LIFETIMES[lifetime] ?? 0))
  assert.ok(exp <= Number(subject.claims.exp), 'longer than the subject token')
  assert.ok(actor === undefined || exp <= Number(actor.claims.exp), 'longer than the actor token')
}

const scopesOf = ({ scope }: Claims): readonly string[] =>
  Array.isArray(scope) ? scope.map(String) : String(scope ?? '').split(' ')

/** P1: every scope is justified by the subject token; what was asked is what is there. */
function assertScope(
  { scope }: Claims,
  brings: readonly string[],
  justifications: Edge['scopes'],
  known: readonly string[],
  asked: string | undefined,
): void {
  const granted = String(scope).split(' ')
  for (const one of granted) {
    const justified = justifications[one]
    assert.ok(justified && known.includes(one), `scope ${one} is not of this rule`)
    const isJustified =
      'all' in justified
        ? justified.all.every((each) => brings.includes(each))
        : justified.some((each) => brings.includes(each))
    assert.ok(isJustified, `scope ${one} is not justified by ${brings}`)
  }
  if (asked === undefined) return
  const wanted = new Set(asked.split(' ').filter((one) => one !== ''))
  assert.deepEqual(new Set(granted), wanted, 'not what was asked')
}

const OWN = ['iss', 'sub', 'aud', 'client_id', 'scope', 'iat', 'exp', 'jti', 'act', 'chain']

/** P1: only claims that the target lists, each as the subject token has it. */
function assertPassed(claims: Claims, subject: Verified, listed: readonly string[]): void {
  for (const [name, value] of Object.entries(claims)) {
    if (OWN.includes(name)) continue
    assert.ok(listed.includes(name), `claim ${name} passes`)
    assert.deepEqual(plain(value), plain(subject.claims[name] ?? null), `claim ${name} is changed`)
    // Envoy answers 503 to whoever sends a token with such a claim.
    assert.doesNotMatch(JSON.stringify(value), /\\u00[01]|\\[bfnrt]|\u007f/, `claim ${name}`)
  }
}

/** Without what two readers may give differently: prototypes, and the sign of zero. */
const plain = (value: Json): Json => {
  // Numbers that a double does not hold exactly are somebody else's id.
  if (typeof value === 'number') {
    assert.ok(!Number.isInteger(value) || Number.isSafeInteger(value), `${value} is not exact`)
    return value + 0
  }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}

interface Level {
  readonly sub: Json
  readonly iss?: Json
  readonly act?: Level
}

/** P2: the caller outermost, the actor token's subject inside it, then what the subject token carries. */
function assertDelegation(
  claims: Claims,
  subject: Verified,
  actor: Verified | undefined,
  caller: string,
  isImpersonation: boolean,
): void {
  const { act, may_act: mayAct } = subject.claims
  assertMayAct(mayAct, subject, actor, caller)
  if (isImpersonation) {
    assert.deepEqual([act, mayAct, actor, claims.act, claims.chain], Array(5).fill(undefined))
    return
  }
  const prior = act === undefined ? undefined : levelOf(act, subject)
  const inner =
    actor === undefined
      ? prior
      : { sub: actor.claims.sub ?? '', iss: actor.claims.iss ?? '', ...(prior && { act: prior }) }
  const expected: Level = { sub: caller, ...(inner && { act: inner }) }
  assert.deepEqual(plain(claims.act ?? null), JSON.parse(JSON.stringify(expected)))
  const chain = subject.issuer === 'self' ? ((subject.claims.chain as string[]) ?? []) : []
  assert.deepEqual(claims.chain, [...chain, caller])
}

/** One level of an `act`; another issuer's says whose word it is. */
function levelOf(act: Json, subject: Verified): Level {
  assert.ok(typeof act === 'object' && act !== null && !Array.isArray(act))
  assert.ok(typeof act.sub === 'string', 'act without sub')
  const own = subject.issuer === 'self'
  const iss = act.iss ?? (own ? undefined : (subject.claims.iss ?? undefined))
  assert.ok(own || iss !== ISSUER, 'another issuer speaks for us')
  return {
    sub: act.sub,
    ...(iss !== undefined && { iss }),
    ...(act.act !== undefined && { act: levelOf(act.act, subject) }),
  }
}

function assertMayAct(
  mayAct: Json | undefined,
  subject: Verified,
  actor: Verified | undefined,
  caller: string,
): void {
  if (mayAct === undefined) return
  assert.ok(typeof mayAct === 'object' && mayAct !== null && !Array.isArray(mayAct))
  assert.ok(Object.keys(mayAct).every((name) => name === 'sub' || name === 'iss'))
  if (actor === undefined) {
    assert.deepEqual([mayAct.sub, mayAct.iss ?? ISSUER], [caller, ISSUER])
  } else {
    const iss = mayAct.iss ?? subject.claims.iss
    assert.deepEqual([mayAct.sub, iss], [actor.claims.sub, actor.claims.iss])
  }
}

/** RFC 8693 §2.2.1. */
function assertAnswer(
  answer: Claims,
  claims: Claims,
  form: ReadonlyMap<string, readonly string[]>,
): void {
  const type = sole(form, 'requested_token_type') ?? 'urn:ietf:params:oauth:token-type:access_token'
  assert.deepEqual(
    { ...answer, access_token: undefined },
    {
      access_token: undefined,
      issued_token_type: type,
      token_type: type.endsWith(':access_token') ? 'Bearer' : 'N_A',
      expires_in: Number(claims.exp) - Number(claims.iat),
      scope: claims.scope,
    },
  )
}
