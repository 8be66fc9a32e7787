// Owns hostile HTTP requests: a valid exchange with one or a few things changed, from the token's claims to the bytes.
// Must not judge answers.
import {
  JWT_BEARER_ASSERTION,
  JWT_SPIFFE_ASSERTION,
  TOKEN_EXCHANGE_GRANT,
  TOKEN_TYPES,
} from '../../src/oauth/names.ts'
import { AGENTS, CORPORATE, xfcc } from '../support/deployment.ts'
import { signatureOf, type TestKey } from '../support/jwt-fixtures.ts'
import { CLUSTER, ISSUER, KEYS } from './deployment-model.ts'
import {
  formText,
  hostileParameters,
  hostileTraceParent,
  hostileXfcc,
  type Parameters,
} from './generators.ts'
import { hostileJwt, hostileSigned } from './jwt-generator.ts'
import type { Random } from './random.ts'
import { mutateText, nastyText } from './text-mutations.ts'

/** A request to send. */
export interface HostileRequest {
  readonly bytes: Buffer
  /** Whether it is one whole HTTP request whatever else is wrong: then there must be one answer. */
  readonly isFramed: boolean
  readonly body: string
  readonly xfccLines: readonly string[]
  /** Signatures of its tokens; nothing of them may be found again. */
  readonly signatures: readonly string[]
}

/** What requests are made from besides choices. */
export interface RequestContext {
  /** Seconds since the epoch. */
  readonly now: number
  /** Tokens for checkout that the server granted before. */
  readonly granted: readonly string[]
}

type Claims = Readonly<Record<string, unknown>>

const CALLER = 'spiffe://cluster.local/ns/boutique/sa/frontend'

const actOf = (levels: number, iss: string | undefined): Claims => ({
  sub: `agent-${levels}`,
  ...(iss === undefined ? {} : { iss }),
  ...(levels > 1 ? { act: actOf(levels - 1, iss) } : {}),
})

/** Changes of claims that bounds depend on; most leave the token acceptable. */
const SEMANTIC: readonly ((random: Random, now: number) => Claims)[] = [
  (random, now) => ({
    exp: now + random.pick([0, -1, 1.5, 2, 7, 30.9, 59, 61, 299, 301, 86_400, 1e9, 1e12]),
  }),
  (random, now) => ({ nbf: now + random.pick([-5, 0, 0.5, 20, 90, 1e9]) }),
  (random, now) => ({ iat: now + random.pick([-1e6, 0, 20, 90, 1e9]) }),
  (random) => ({
    scope: random.pick<unknown>([
      undefined,
      '',
      'shop:browse',
      'shop:buy',
      ' shop:buy  shop:verified ',
      ['shop:buy', 'shop:verified'],
      ['shop:buy', 'not a scope', ''],
      'SHOP:BUY shop:browse',
      'checkout:place payment:refund vault:open',
      'shop:browse "',
      'shop:browse\tshop:buy',
      7,
    ]),
  }),
  (random) => ({
    act: actOf(random.pick([1, 2, 8, 9, 10, 11]), random.pick([undefined, AGENTS, ISSUER])),
  }),
  (random) => ({
    may_act: random.pick<unknown>([
      { sub: CALLER },
      { sub: CALLER, iss: ISSUER },
      { sub: CALLER, iss: CORPORATE },
      { sub: 'agent-7', iss: AGENTS },
      { sub: 'agent-7' },
      { sub: CALLER, role: 'admin' },
      [{ sub: CALLER }],
      CALLER,
    ]),
  }),
  (random) => ({
    aud: random.pick<unknown>([
      ['https://api.shop.example'],
      ['https://other.example', 'https://api.shop.example'],
      ['https://api.shop.example/'],
      'https://checkout.shop.example',
      'https://checkout.boutique.example',
      [],
      ['https://api.shop.example', 7],
    ]),
  }),
  (random) => ({ iss: random.pick([ISSUER, AGENTS, CORPORATE, `${CORPORATE}/`, CLUSTER]) }),
  (random) => ({
    email: random.pick<unknown>(['é@x', 'a\nb', { a: [{ b: 'c' }] }, ['x', null], '\u202e', 0]),
  }),
  (random) => ({
    groups: random.pick<unknown>([
      ['a', 'b'],
      { a: 1 },
      'x'.repeat(7000),
      null,
      2 ** 53,
      [[-(2 ** 60)]],
    ]),
  }),
  (random) => ({
    sub: random.pick<unknown>(['a b', '\u202ealice', 'x'.repeat(2044), '', null, 1]),
  }),
  () => ({ chain: ['spiffe://cluster.local/ns/boutique/sa/payment'] }),
  () => ({ cnf: { jkt: 'x' } }),
  () => ({ client_id: 'somebody', embedded: { payment: 'x' }, ctx: { admin: true } }),
  () => ({}),
]

/** What tokens of one request are made with. */
interface Maker extends RequestContext {
  readonly random: Random
  /** Takes every signature that goes into the request. */
  readonly signatures: string[]
}

/** A token of an issuer, signed by its key, whatever it says. */
function signedToken(maker: Maker, key: TestKey, claims: Claims, header: Claims): string {
  const { random, now, signatures } = maker
  const changed = { ...claims, ...(random.chance(0.5) ? random.pick(SEMANTIC)(random, now) : {}) }
  const more = random.chance(0.2) ? random.pick(SEMANTIC)(random, now) : {}
  const template = {
    header: { alg: key.alg, kid: key.kid, ...header },
    claims: { ...changed, ...more },
    sign: (input: string) => {
      const signature = signatureOf(input, key)
      signatures.push(signature.toString('base64url'))
      return signature
    },
  }
  if (random.chance(0.5)) {
    const input = [template.header, template.claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${input}.${template.sign(input).toString('base64url')}`
  }
  return random.chance(0.8) ? hostileSigned(template, random) : hostileJwt(template, random)
}

const userClaims = (random: Random, now: number): Claims => ({
  iss: CORPORATE,
  sub: 'alice',
  aud: 'https://api.shop.example',
  scope: 'shop:browse shop:buy shop:verified',
  email: 'alice@shop.example',
  risk: 'low',
  groups: ['a', 'b'],
  phone: '+1',
  iat: now,
  exp: now + 3600,
  jti: random.bytes(12).toString('hex'),
})

const agentClaims = (random: Random, now: number): Claims => ({
  iss: AGENTS,
  sub: 'agent-7',
  aud: 'https://agents.boutique.example',
  scope: 'shop:browse',
  iat: now,
  exp: now + random.pick([20, 3600]),
  jti: random.bytes(12).toString('hex'),
})

/** Who asks for what, with whose token. */
interface Edge {
  readonly caller: string
  readonly issuer: 'corporate' | 'agents' | 'self' | 'workload'
  readonly audience: string
  readonly scope?: string
}

const CHECKOUT = 'https://checkout.boutique.example'
const EDGES: readonly Edge[] = [
  { caller: 'frontend', issuer: 'corporate', audience: CHECKOUT, scope: 'checkout:place' },
  { caller: 'frontend', issuer: 'corporate', audience: CHECKOUT, scope: 'checkout:place' },
  { caller: 'frontend', issuer: 'corporate', audience: 'checkout' },
  {
    caller: 'frontend',
    issuer: 'corporate',
    audience: 'boutique/checkout',
    scope: 'checkout:quote checkout:place',
  },
  { caller: 'frontend', issuer: 'corporate', audience: CHECKOUT, scope: 'checkout:note' },
  { caller: 'frontend', issuer: 'agents', audience: CHECKOUT, scope: 'checkout:quote' },
  { caller: 'frontend', issuer: 'corporate', audience: 'mailer', scope: 'mail:send' },
  { caller: 'frontend', issuer: 'corporate', audience: 'profile' },
  { caller: 'frontend', issuer: 'corporate', audience: 'vault', scope: 'vault:open' },
  { caller: 'frontend', issuer: 'corporate', audience: 'payment', scope: 'payment:charge' },
  { caller: 'checkout', issuer: 'corporate', audience: 'payment', scope: 'payment:charge' },
  { caller: 'checkout', issuer: 'self', audience: 'payment', scope: 'payment:charge' },
  { caller: 'checkout', issuer: 'self', audience: 'payment.boutique' },
  { caller: 'checkout', issuer: 'self', audience: 'payment', scope: 'payment:refund' },
  { caller: 'checkout', issuer: 'self', audience: 'mailer' },
  { caller: 'checkout', issuer: 'self', audience: 'vault' },
  { caller: 'frontend', issuer: 'self', audience: CHECKOUT },
  { caller: 'stranger', issuer: 'corporate', audience: CHECKOUT },
  { caller: 'nightly', issuer: 'workload', audience: 'ledger', scope: 'ledger:close' },
  { caller: 'nightly', issuer: 'workload', audience: 'ledger' },
  { caller: 'nightly', issuer: 'workload', audience: 'ledger', scope: 'ledger:void' },
  { caller: 'nightly', issuer: 'corporate', audience: 'ledger' },
  { caller: 'frontend', issuer: 'workload', audience: CHECKOUT },
]

const AT = { typ: 'at+jwt' }

function subjectToken({ caller, issuer }: Edge, maker: Maker): string {
  const { random, now, granted, signatures } = maker
  if (issuer === 'agents') return signedToken(maker, KEYS.agents, agentClaims(random, now), AT)
  if (issuer === 'self' && granted.length > 0) {
    const token = random.pick(granted)
    signatures.push(token.split('.')[2] ?? '')
    return random.chance(0.85) ? token : mutateText(token, random)
  }
  if (issuer === 'workload') {
    const whose = random.chance(0.85) ? caller : random.pick(['frontend', 'nightly', 'payment'])
    const key = random.chance(0.95) ? undefined : random.pick([KEYS.bundle, KEYS.cluster])
    return random.chance(0.5) ? svidOf(whose, maker, key) : accountTokenOf(whose, maker, key)
  }
  return signedToken(maker, KEYS.corporate, userClaims(random, now), AT)
}

/** The parameters of an assertion in place of XFCC. */
function assertion({ caller }: Edge, maker: Maker): Parameters {
  const isSvid = maker.random.chance(0.5)
  return [
    ['client_assertion_type', isSvid ? JWT_SPIFFE_ASSERTION : JWT_BEARER_ASSERTION],
    ['client_assertion', isSvid ? svidOf(caller, maker) : accountTokenOf(caller, maker)],
  ]
}

/** A JWT-SVID of a workload. */
function svidOf(name: string, maker: Maker, key: TestKey = KEYS.bundle): string {
  const { now } = maker
  const sub = `spiffe://cluster.local/ns/boutique/sa/${name}`
  return signedToken(maker, key, { sub, aud: ISSUER, iat: now, exp: now + 600 }, { typ: 'JWT' })
}

/** A projected service-account token of a workload. */
function accountTokenOf(name: string, maker: Maker, key: TestKey = KEYS.cluster): string {
  const { now } = maker
  const claims = {
    iss: CLUSTER,
    sub: `system:serviceaccount:boutique:${name}`,
    aud: [ISSUER],
    'kubernetes.io': { namespace: 'boutique', serviceaccount: { name, uid: 'a' } },
    iat: now,
    exp: now + 600,
  }
  return signedToken(maker, key, claims, {})
}

const REQUEST_LINES: readonly string[] = [
  ...[
    'GET /token',
    'PUT /token',
    'DELETE /token',
    'PROPFIND /token',
    'OPTIONS *',
    'OPTIONS /token',
  ],
  ...['POST /token?', 'POST /token?scope=a', 'POST /token/', 'POST //token', 'POST /TOKEN'],
  ...['POST /%74oken', 'POST /token%00', 'POST /%', 'POST /token;a=b', 'POST /../token', 'POST /'],
  ...['POST http://sts/token', 'POST https://other.example/token', 'POST *', 'POST /__proto__'],
  ...[`POST /${'a'.repeat(9000)}`, 'TRACE /token', 'SEARCH /token', 'POST /token/é'],
].map((line) => `${line} HTTP/1.1`)

const LINES: readonly string[] = [
  'Authorization: Basic eDp5',
  'Authorization: Bearer x',
  'authorization:',
  'Content-Type: application/json',
  'Content-Type: multipart/form-data; boundary=a',
  'Content-Type: application/x-www-form-urlencoded; charset=utf-16',
  'Content-Type: application/x-www-form-urlencoded; charset="UTF-8"',
  `Content-Type: application/x-www-form-urlencoded;${' '.repeat(4000)}a`,
  'Content-Encoding: gzip',
  'Content-Encoding: identity',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Connection: close',
  'Connection: upgrade',
  'Upgrade: h2c',
  'Host: other',
  'X-Forwarded-For: 127.0.0.6',
  'Forwarded: for=127.0.0.6',
  'X-HTTP-Method-Override: GET',
  'Accept-Version: 1.x',
  'Accept: text/html',
  'Accept-Encoding: gzip',
  'Cookie: a=b',
  'X_Forwarded_Client_Cert: By=a;URI=b',
  'DPoP: eyJ',
  `X-Long: ${'x'.repeat(15_000)}`,
  `X-Longer: ${'x'.repeat(20_000)}`,
]

/** Text that stays inside its header line. */
const inLine = (text: string): string => text.replaceAll(/[\r\n]/g, '')

/** Changes one thing about the lines of a head. */
function changeHead(lines: string[], random: Random): void {
  switch (random.below(7)) {
    case 0:
      lines[0] = random.pick(REQUEST_LINES)
      break
    case 1:
    case 2:
      lines.push(random.pick(LINES))
      break
    case 3:
      lines.push(`traceparent: ${inLine(hostileTraceParent(random))}`)
      break
    case 4:
      lines.push(`X-Nasty: ${inLine(nastyText(random))}`)
      break
    case 5:
      lines.push(`${inLine(nastyText(random)).replaceAll(':', '')}: x`)
      break
    default:
      for (let more = random.pick([20, 130, 1100]); more > 0; more--) lines.push(`x-${more}: y`)
  }
}

const xfccLinesOf = (lines: readonly string[]): readonly string[] =>
  lines
    .filter((line) => /^x-forwarded-client-cert:/i.test(line))
    .map((line) => line.slice(line.indexOf(':') + 1).replace(/^[ \t]+|[ \t]+$/g, ''))

/** A request with something wrong at one level; about a third is right. */
export function hostileRequest(random: Random, context: RequestContext): HostileRequest {
  const maker: Maker = { ...context, random, signatures: [] }
  const edge = random.pick(EDGES)
  const level = random.below(20)
  const valid = validForm(edge, maker)
  const lines = ['POST /token HTTP/1.1', 'Host: sts']
  if (level === 0) valid.push(...assertion(edge, maker))
  else lines.push(`X-Forwarded-Client-Cert: ${xfccOf(edge, level === 1, random)}`)
  if (level === 2) lines.push(`x-forwarded-client-cert: ${xfccOf(edge, true, random)}`)
  const form = level === 3 || level === 4 ? hostileParameters(valid, random) : valid
  const text = formText(form, random)
  const body = Buffer.from(level === 5 ? mutateText(text, random) : text).toString('utf8')
  lines.push('Content-Type: application/x-www-form-urlencoded')
  if (level === 6 || level === 7) changeHead(lines, random)
  lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  const isFramed = level !== 8
  // A body that was cut and pasted may hold a piece of a token anywhere; no server can tell.
  const isPasted = level === 5 || !isFramed
  return {
    bytes: isFramed
      ? Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`)
      : unframed(lines, body, random),
    isFramed,
    body,
    xfccLines: xfccLinesOf(lines),
    signatures: isPasted ? [] : maker.signatures,
  }
}

function validForm(edge: Edge, maker: Maker): Parameters {
  const { random, now } = maker
  const form: Parameters = [
    ['grant_type', TOKEN_EXCHANGE_GRANT],
    ['subject_token', subjectToken(edge, maker)],
    ['subject_token_type', random.pick([TOKEN_TYPES.access_token, TOKEN_TYPES.jwt])],
    [random.chance(0.9) ? 'audience' : 'resource', edge.audience],
  ]
  if (edge.scope !== undefined) form.push(['scope', edge.scope])
  if (random.chance(0.1)) form.push(['requested_token_type', TOKEN_TYPES.jwt])
  if (random.chance(0.15)) {
    const actor = signedToken(maker, KEYS.agents, agentClaims(random, now), AT)
    form.push(['actor_token', actor], ['actor_token_type', TOKEN_TYPES.access_token])
  }
  return form
}

const xfccOf = ({ caller }: Edge, isHostile: boolean, random: Random): string =>
  isHostile ? inLine(hostileXfcc(random)) : xfcc(caller)

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** Bytes that may be no request, two requests, or one to a careless reader and two to another. */
function unframed(lines: readonly string[], body: string, random: Random): Buffer {
  const head = lines.filter((line) => !line.startsWith('Content-Length')).join('\r\n')
  const whole = `${lines.join('\r\n')}\r\n\r\n${body}`
  const chunked = 'Transfer-Encoding: chunked'
  const texts: readonly (() => string)[] = [
    () => mutateText(`${lines.join('\r\n')}\r\n\r\n`, random) + body,
    () => `${head}\r\n${chunked}\r\n\r\n${chunk(body)}0\r\n\r\n`,
    () => `${head}\r\n${chunked}\r\n\r\n${mutateText(`${chunk(body)}0\r\n\r\n`, random)}`,
    () => `${head}\r\n${chunked}\r\nContent-Length: 5\r\n\r\n${chunk(body)}0\r\n\r\n`,
    () => `${head}\r\nContent-Length: 5\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () =>
      `${head}\r\nContent-Length: ${random.pick(['-1', '+5', '5, 5', '0x5', '1e2', ' '])}\r\n\r\n${body}`,
    () =>
      `${head}\r\nTransfer-Encoding: ${random.pick(['gzip', 'identity', 'chunked, gzip', ' chunked', 'xchunked'])}\r\n\r\n${chunk(body)}0\r\n\r\n`,
    () => `${head}\r\n\tfolded: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () => `${head}\nContent-Length: ${body.length}\n\n${body}`,
    () => whole + whole,
    () => whole.slice(0, random.below(whole.length)),
    () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    () => `${nastyText(random)}\r\n\r\n`,
    () => 'GET / HTTP/0.9\r\n\r\n',
    () => 'CONNECT sts:443 HTTP/1.1\r\nHost: sts\r\n\r\n',
  ]
  return random.chance(0.08)
    ? Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), random.bytes(300)])
    : Buffer.from(random.pick(texts)())
}
