// Owns what must hold of each parser for every input (P4, P6): a typed value or a known problem, never a throw.
// Must not choose inputs; generators.ts does.
import assert from 'node:assert/strict'
import { parseSpiffeId, serviceAccountId, trustDomainOf } from '../../src/clients/spiffe-id.ts'
import { createXfcc } from '../../src/clients/xfcc.ts'
import { parseXfcc } from '../../src/clients/xfcc-grammar.ts'
import { formatDuration, parseDuration } from '../../src/config/duration.ts'
import { parseAddress } from '../../src/config/scalars.ts'
import { parseSize } from '../../src/config/size.ts'
import { traceIdOf } from '../../src/http/trace-parent.ts'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import {
  audiencesOf,
  checkTimes,
  checkTyp,
  isPlainText,
  requiredText,
} from '../../src/jwt/claims.ts'
import { parseCompactJwt, type UnverifiedJwt } from '../../src/jwt/compact.ts'
import { parseKeySet } from '../../src/jwt/key-set.ts'
import { parseJsonObject } from '../../src/jwt/strict-json.ts'
import { parseForm } from '../../src/oauth/form.ts'
import { type Reason, type Result, WIRE } from '../../src/oauth/reasons.ts'
import { checkRepeats, parseClientParameters, parseTokenRequest } from '../../src/oauth/request.ts'
import { createIdentityIndex, parseIdentityPattern } from '../../src/ruleset/identity.ts'
import { parseAct, parseChain, parseMayAct } from '../../src/subjects/act.ts'
import { scopesOf } from '../../src/subjects/scopes-from.ts'
import { STS } from '../support/deployment.ts'
import {
  hostileForm,
  hostileKeySet,
  hostileSmallText,
  hostileSpiffeId,
  hostileToken,
  hostileTraceParent,
  hostileXfcc,
} from './generators.ts'
import {
  isSpiffeId,
  type Json,
  readForm,
  readJsonObject,
  readJwtPart,
  readTraceParent,
  readXfcc,
} from './oracles.ts'
import type { Random } from './random.ts'
import { checkRules, checkSettings, checkYaml } from './yaml-checks.ts'
import { hostileRules, hostileSettings, hostileYaml } from './yaml-generator.ts'

/** A parser under test: its inputs, and what must hold of each. */
export interface ParserTarget {
  readonly generate: (random: Random) => unknown
  /** Gives whether the input was accepted; throws where a promise is broken. */
  readonly check: (input: never) => boolean
}

const target = <Input>(
  generate: (random: Random) => Input,
  check: (input: Input) => boolean,
): ParserTarget => ({ generate, check })

/** A failure's reason stands in the one table, and its detail is short text for a log line. */
function assertKnown(result: Result<unknown>): void {
  if (result.ok) return
  assert.ok(Object.hasOwn(WIRE, result.reason), `unknown reason ${result.reason}`)
  assertDetail(result.detail)
}

/** P7 and log injection: a detail is bounded and holds no control characters. */
function assertDetail(detail: string | undefined): void {
  assert.ok(detail === undefined || detail.length <= 512, 'a detail is long')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(detail ?? '', /[\u0000-\u001f\u007f-\u009f]/)
}

const XFCC = createXfcc({
  proxies: ['127.0.0.1'],
  mode: 'sanitize_set',
  self: parseSpiffeId(STS) ?? assert.fail('no SPIFFE ID'),
  trustDomains: new Set(['cluster.local']),
})

function checkXfcc(line: string): boolean {
  const parsed = parseXfcc(line)
  const meant = readXfcc(line)
  if (!parsed.ok) assert.match(parsed.problem, /^(?:json|malformed)$/)
  assert.deepEqual(
    parsed.ok
      ? parsed.elements.map((pairs) => pairs.map(({ key, value }) => [key, value]))
      : undefined,
    meant,
  )
  const identity = XFCC({ peerAddress: '127.0.0.1', xfccLines: [line] })
  assertKnown(identity)
  if (!identity.ok) return false
  const [element = [], ...more] = meant ?? []
  const valuesOf = (key: string) =>
    element.filter(([name]) => name === key).map(([, value]) => value)
  assert.equal(more.length, 0)
  assert.deepEqual(valuesOf('by'), [STS])
  assert.deepEqual(valuesOf('uri'), [identity.value])
  assert.ok(isSpiffeId(identity.value) && identity.value.startsWith('spiffe://cluster.local/'))
  return true
}

const PRINTABLE = /^[!-~]+$/

function checkForm(body: string): boolean {
  const parsed = parseForm(body)
  assertKnown(parsed)
  assert.deepEqual(parsed.ok ? new Map(parsed.value) : undefined, readForm(body))
  if (!parsed.ok) return false
  const repeats = checkRepeats(parsed.value)
  assertKnown(repeats)
  const client = parseClientParameters(parsed.value)
  assertKnown(client)
  const request = parseTokenRequest(parsed.value)
  assertKnown(request)
  if (client.ok) {
    const { clientAssertion, clientAssertionType } = client.value
    assert.equal(clientAssertion === undefined, clientAssertionType === undefined)
  }
  if (!request.ok) return false
  const { audiences, resources, scopes, subjectToken, actorToken } = request.value
  for (const name of [...audiences, ...resources, ...(scopes ?? [])]) assert.match(name, PRINTABLE)
  for (const resource of resources) assert.match(resource, /^[A-Za-z][^#]*:[^#]+$/)
  assert.equal(new Set(scopes).size, scopes?.length ?? 0)
  assert.ok(subjectToken !== '' && actorToken?.token !== '')
  return repeats.ok && client.ok
}

const ALG: ReadonlySet<unknown> = new Set(ALGORITHMS)
const REFUSED_MEMBERS = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c']
const isShort = (value: unknown, max: number): boolean =>
  value === undefined ||
  (typeof value === 'string' &&
    value.length <= max &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    !/[\u0000-\u001f\u007f-\u009f]/.test(value))

/** Claims of a compact JWT that must be accepted; undefined where it must be refused. */
function readJwt(token: string): { header: object; claims: object } | undefined {
  const [first = '', second = '', third = '', ...more] = token.split('.')
  if (token.length > 16_384 || more.length > 0 || token.split('.').length !== 3) return undefined
  if (Buffer.from(third, 'base64url').toString('base64url') !== third) return undefined
  const header = readJwtPart(first)
  const claims = readJwtPart(second)
  if (header === undefined || claims === undefined || !ALG.has(header.alg)) return undefined
  const isRefused =
    REFUSED_MEMBERS.some((name) => name in header) ||
    !isShort(header.kid, 256) ||
    !isShort(header.typ, 64)
  return isRefused ? undefined : { header, claims }
}

function checkToken(token: string): boolean {
  const parsed = parseCompactJwt(token)
  const meant = readJwt(token)
  if (!parsed.ok) {
    assert.ok(Object.hasOwn(WIRE, `subject_token_${parsed.problem}`))
    assertDetail(parsed.detail)
    assert.equal(meant, undefined, 'a token that is right is refused')
    return false
  }
  const { header, claims, signature, signingInput } = parsed.value
  assert.deepEqual(claims, meant?.claims)
  assert.deepEqual({ ...meant?.header, ...header }, { ...meant?.header })
  assert.equal(`${signingInput}.${signature.toString('base64url')}`, token)
  assertFrozen(claims)
  checkClaims(parsed.value)
  return true
}

/** Frozen, without prototype, at every depth: nothing a token says can change what code finds. */
function assertFrozen(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  assert.ok(Object.isFrozen(value))
  if (!Array.isArray(value)) assert.equal(Object.getPrototypeOf(value), null)
  for (const member of Object.values(value)) assertFrozen(member)
}

const SOURCES = [
  { path: ['scope'], prefix: '' },
  { path: ['realm_access', 'roles'], prefix: 'role:' },
]

/** What reads claims gives plain values or a known problem, whatever the claims are. */
function checkClaims({ claims, header }: UnverifiedJwt): void {
  const times = checkTimes(claims, { now: 1_800_000_000_000, skewSeconds: 30 })
  if (times.ok) assert.ok(Number.isSafeInteger(times.value.exp) && times.value.exp > 1_800_000_000)
  const audiences = audiencesOf(claims)
  if (audiences.ok)
    assert.ok(audiences.value.length > 0 && audiences.value.every((one) => isPlainText(one)))
  const sub = requiredText(claims, 'sub')
  const scopes = scopesOf(claims, SOURCES)
  if (scopes.ok) for (const scope of scopes.value) assert.match(scope, PRINTABLE)
  for (const result of [times, audiences, sub, scopes, checkTyp(header, ['at+jwt'])]) {
    if (!result.ok) {
      assert.ok(Object.hasOwn(WIRE, `client_assertion_${result.problem}` satisfies Reason))
      assertDetail(result.detail)
    }
  }
  const act = parseAct(claims.act, { iss: 'https://a.example', selfIss: 'https://b.example' })
  const chain = parseChain(claims.chain)
  for (const result of [act, parseMayAct(claims.may_act), chain]) assertKnown(result)
  // Every level of another issuer's `act` says whose word it is, and never that it is ours.
  for (let level = act.ok ? act.value : undefined; level !== undefined; level = level.act) {
    assert.ok(isPlainText(level.sub) && isPlainText(level.iss) && level.iss !== 'https://b.example')
  }
}

/** The JSON that tokens and key sets are made of, both ways: what is right is accepted. */
function checkJson(text: string): boolean {
  const parsed = parseJsonObject(text)
  assert.deepEqual(parsed.ok ? parsed.value : undefined, readJsonObject(text))
  return parsed.ok
}

function checkSpiffeId(text: string): boolean {
  const id = parseSpiffeId(text)
  assert.equal(id !== undefined, isSpiffeId(text))
  const part = text.slice('spiffe://cluster.local/ns/'.length)
  const account = serviceAccountId('cluster.local', 'boutique', part)
  if (account !== undefined) assert.ok(isSpiffeId(account) && account.split('/').length === 7)
  const pattern = parseIdentityPattern(text)
  if (pattern !== undefined) {
    const index = createIdentityIndex<string>()
    assert.equal(index.add(pattern, 'owner'), undefined)
    assert.equal(pattern.isExact, isSpiffeId(text))
    // `*` is one whole segment: it matches any one, and never two.
    const one = parseSpiffeId(text.replaceAll('*', 'x.y'))
    const two = parseSpiffeId(text.replaceAll('*', 'x/y'))
    assert.equal(one && index.find(one), 'owner')
    if (!pattern.isExact) assert.equal(two && index.find(two), undefined)
  }
  if (id === undefined) return pattern !== undefined
  assert.equal(trustDomainOf(id), text.split('/')[2])
  return true
}

/** Whether a member of a key set may be used at all: RFC 7517 §4.2, §4.3, and nothing private is shown. */
function isPublicKeyFor(member: Json, use: readonly (string | undefined)[]): boolean {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return false
  const { key_ops: operations } = member
  return (
    use.some((one) => one === member.use) &&
    ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].every((name) => member[name] === undefined) &&
    (operations === undefined || (Array.isArray(operations) && operations.includes('verify')))
  )
}

function checkKeySet(text: string): boolean {
  const allowed = ['ES256', 'RS256', 'EdDSA'] as const
  const asBundle = parseKeySet(text, allowed, { use: 'jwt-svid' })
  const parsed = parseKeySet(text, allowed)
  for (const set of [asBundle, parsed]) {
    if ('unusable' in set) {
      assertDetail(set.unusable)
      continue
    }
    for (const reason of set.skipped) assertDetail(reason)
    const { keys: members } = readJsonObject(text) ?? assert.fail('no JSON is accepted')
    assert.ok(Array.isArray(members))
    const use = set === asBundle ? ['jwt-svid'] : ['sig', undefined]
    assert.ok(set.keys.length <= members.filter((member) => isPublicKeyFor(member, use)).length)
    assert.match(set.version, /^[0-9a-f]{64}$/)
    for (const { key, algorithm, kid } of set.keys) {
      assert.ok(allowed.some((one) => one === algorithm))
      assert.equal(key.type, 'public')
      assert.ok(kid === undefined || kid.length <= 256)
      const { modulusLength = 2048, namedCurve } = key.asymmetricKeyDetails ?? {}
      const type = { ES256: 'ec', RS256: 'rsa', EdDSA: 'ed25519' }[algorithm as 'ES256']
      assert.equal(key.asymmetricKeyType, type)
      assert.ok(modulusLength >= 2048 && (algorithm !== 'ES256' || namedCurve === 'prime256v1'))
    }
  }
  return !('unusable' in parsed) && parsed.keys.length > 0
}

function checkSmallText(text: string): boolean {
  const duration = parseDuration(text)
  if (duration !== undefined) {
    assert.ok(Number.isInteger(duration) && duration > 0)
    assert.equal(parseDuration(formatDuration(duration)) ?? duration, duration)
    assert.ok(text.startsWith(String(Number.parseInt(text, 10))) && /^\d+[a-z]+$/.test(text))
  }
  const size = parseSize(text)
  if (size !== undefined) assert.ok(Number.isInteger(size) && size > 0)
  const address = parseAddress(text)
  if (address !== undefined) {
    assert.ok(address.port >= 0 && address.port <= 65_535)
    const host = address.host.includes(':') ? `[${address.host}]` : address.host
    assert.ok(URL.canParse(`http://${host}:${address.port}/`))
  }
  return duration !== undefined || size !== undefined || address !== undefined
}

function checkTraceParent(text: string): boolean {
  const traceId = traceIdOf(text)
  assert.equal(traceId, readTraceParent(text))
  return traceId !== undefined
}

const jsonOf = (random: Random): string => {
  const token = hostileToken(random)
  const part = token.split('.')[random.below(2)] ?? ''
  return Buffer.from(part, 'base64url').toString('utf8')
}

/** Every parser of text from outside. */
export const PARSERS = {
  xfcc: target(hostileXfcc, checkXfcc),
  form: target(hostileForm, checkForm),
  token: target(hostileToken, checkToken),
  json: target(jsonOf, checkJson),
  spiffe: target(hostileSpiffeId, checkSpiffeId),
  traceparent: target(hostileTraceParent, checkTraceParent),
  small: target(hostileSmallText, checkSmallText),
  keyset: target(hostileKeySet, checkKeySet),
  yaml: target(hostileYaml, checkYaml),
  rules: target(hostileRules, checkRules),
  settings: target(hostileSettings, checkSettings),
} as const satisfies Readonly<Record<string, ParserTarget>>

export type ParserName = keyof typeof PARSERS
