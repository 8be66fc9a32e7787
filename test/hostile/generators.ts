// Owns one generator per parser of text from outside: from valid inputs, with one or a few things changed.
// Must not judge anything.
import { JWT_BEARER_ASSERTION, TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../src/oauth/names.ts'
import { AGENTS, CORPORATE, STS } from '../support/deployment.ts'
import { mutateTree, print, treeOf } from './json-tree.ts'
import { hostileJwt, type JwtTemplate } from './jwt-generator.ts'
import { PUBLIC_JWKS } from './public-jwks.ts'
import type { Random } from './random.ts'
import { mutateText, nastyText } from './text-mutations.ts'

const CALLER = 'spiffe://cluster.local/ns/boutique/sa/frontend'

// X-Forwarded-Client-Cert

const HASH = '0123456789abcdef'.repeat(4)
const XFCC_LINES: readonly string[] = [
  `By=${STS};Hash=${HASH};Subject="";URI=${CALLER}`,
  `By=${STS};URI=${CALLER}`,
  `By=${STS};Hash=${HASH};Cert="-----BEGIN%20CERTIFICATE-----%0AMIIB%3D%3D";Chain="x%2By";Subject="CN=x";URI=${CALLER};DNS=a.example;DNS=b.example;Issuer="O=cluster.local"`,
  `By=${STS};Hash=${HASH};Subject="O=a\\,b,CN=\\"x\\"";URI=${CALLER}`,
  `By=a;URI=b,By=${STS};URI=${CALLER}`,
]
const XFCC_KEYS = ['By', 'Hash', 'Cert', 'Chain', 'Subject', 'URI', 'DNS', 'Issuer', 'uri', 'New']

/** A pair by the grammar, or nearly so. */
function xfccPair(random: Random): string {
  const value = random.pick([STS, CALLER, HASH, 'a', '', nastyText(random)])
  const written = random.chance(0.5)
    ? value
    : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  return `${random.pick(XFCC_KEYS)}=${written}`
}

/** A line of X-Forwarded-Client-Cert. */
export function hostileXfcc(random: Random): string {
  const line = random.pick(XFCC_LINES)
  switch (random.below(5)) {
    case 0: {
      const pairs = line.split(';')
      pairs[random.below(pairs.length)] = xfccPair(random)
      return pairs.join(random.chance(0.9) ? ';' : ',')
    }
    case 1: {
      const pairs = Array.from({ length: 1 + random.below(6) }, () => xfccPair(random))
      return pairs.reduce((all, pair) => all + random.pick([';', ';', ',']) + pair)
    }
    case 2:
      return random.chance(0.5) ? line : `${line};${xfccPair(random)}`
    default:
      return mutateText(line, random)
  }
}

// Forms

/** Names and values of a form, in order. */
export type Parameters = [name: string, value: string][]

/** A token in shape only. */
const A_TOKEN = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.${'A'.repeat(86)}`
const FORMS: readonly Parameters[] = [
  [
    ['grant_type', TOKEN_EXCHANGE_GRANT],
    ['subject_token', A_TOKEN],
    ['subject_token_type', TOKEN_TYPES.access_token],
    ['audience', 'https://checkout.boutique.example'],
    ['scope', 'checkout:place checkout:quote'],
  ],
  [
    ['grant_type', TOKEN_EXCHANGE_GRANT],
    ['subject_token', A_TOKEN],
    ['subject_token_type', TOKEN_TYPES.jwt],
    ['actor_token', A_TOKEN],
    ['actor_token_type', TOKEN_TYPES.access_token],
    ['requested_token_type', TOKEN_TYPES.jwt],
    ['resource', 'https://checkout.boutique.example'],
    ['resource', 'https://payment.boutique.example/a?b=c'],
    ['audience', 'payment'],
  ],
  [
    ['grant_type', TOKEN_EXCHANGE_GRANT],
    ['subject_token', A_TOKEN],
    ['subject_token_type', TOKEN_TYPES.id_token],
    ['audience', 'boutique/payment'],
    ['client_id', CALLER],
    ['client_assertion_type', JWT_BEARER_ASSERTION],
    ['client_assertion', A_TOKEN],
  ],
]

const PARAMETERS = [...new Set(FORMS.flat().map(([name]) => name))]

/** A parameter's value, percent-encoded with or without need. */
function written(value: string, random: Random): string {
  if (random.chance(0.1)) return value
  const encoded = encodeURIComponent(Buffer.from(value).toString()).replaceAll('%20', '+')
  if (random.chance(0.9)) return encoded
  return [...Buffer.from(value)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
}

/** Changes the parameters of a form, one thing. */
export function hostileParameters(valid: Parameters, random: Random): Parameters {
  const form: Parameters = valid.map(([name, value]) => [name, value])
  const index = random.below(form.length)
  const [name, value] = form[index] ?? ['', '']
  switch (random.below(10)) {
    case 0:
      form.splice(index, 1)
      break
    case 1:
      form.push([name, value])
      break
    case 2:
      form.push([name, ''])
      break
    case 3:
      form[index] = [name, '']
      break
    case 4:
      form[index] = [name, nastyText(random)]
      break
    case 5:
      form[index] = [name, mutateText(value, random)]
      break
    case 6:
      form[index] = [random.pick([name.toUpperCase(), `${name}[]`, `${name} `, ` ${name}`]), value]
      break
    case 7:
      form.splice(random.below(form.length + 1), 0, [
        random.pick([...PARAMETERS, nastyText(random)]),
        nastyText(random),
      ])
      break
    case 8: {
      const other = random.below(form.length)
      const taken = form[other]?.[1] ?? ''
      form[other] = [form[other]?.[0] ?? '', value]
      form[index] = [name, taken]
      break
    }
    default:
      for (let more = random.pick([1, 60, 70]); more > 0; more--) form.push([`p${more}`, 'x'])
  }
  return form
}

/** The text of a form. */
export const formText = (form: Parameters, random: Random): string =>
  form.map(([name, value]) => `${written(name, random)}=${written(value, random)}`).join('&')

/** The body of a form, as it is after its bytes were read as UTF-8. */
export function hostileForm(random: Random): string {
  const valid = random.pick(FORMS)
  const text = formText(random.chance(0.6) ? hostileParameters(valid, random) : valid, random)
  const body = random.chance(0.4) ? mutateText(text, random) : text
  return Buffer.from(body).toString('utf8')
}

// Tokens

const NOW = 1_800_000_000
const TOKENS: readonly [header: object, claims: object][] = [
  [
    { alg: 'RS256', kid: 'corp-1', typ: 'at+jwt' },
    {
      iss: CORPORATE,
      sub: 'alice',
      aud: ['https://api.shop.example', 'https://other.example'],
      scope: 'shop:browse shop:buy',
      email: 'alice@shop.example',
      realm_access: { roles: ['admin', 'user of things'] },
      iat: NOW,
      exp: NOW + 3600,
      jti: 'one',
    },
  ],
  [
    { alg: 'ES256', kid: 'sts-1', typ: 'at+jwt' },
    {
      iss: 'https://sts.boutique.example',
      sub: 'corp:alice',
      aud: 'https://checkout.boutique.example',
      client_id: CALLER,
      scope: 'checkout:place',
      iat: NOW,
      nbf: NOW,
      exp: NOW + 300,
      jti: 'two',
      act: { sub: CALLER, act: { sub: 'agent-7', iss: AGENTS } },
      may_act: { sub: CALLER },
      chain: [CALLER],
    },
  ],
  [{ alg: 'EdDSA' }, { sub: CALLER, aud: ['https://sts.boutique.example'], exp: NOW + 60.5 }],
]

/** A compact JWT whose signature says nothing. */
export function hostileToken(random: Random): string {
  const [header, claims] = random.pick(TOKENS)
  const template: JwtTemplate = {
    header: { ...header },
    claims: { ...claims },
    sign: () => random.bytes(random.pick([64, 64, 256])),
  }
  return hostileJwt(template, random)
}

// SPIFFE IDs and patterns of them

const SPIFFE_IDS: readonly string[] = [
  CALLER,
  STS,
  'spiffe://partner.example/a',
  'spiffe://a_b-c.9/x/y.z/_/-',
  'spiffe://cluster.local/ns/*/sa/courier',
]
const SEGMENTS = ['a', 'A-Z_0.9', '', '.', '..', '...', '*', 'é', '%2e', 'a b', '0star0']

/** A SPIFFE ID, or a pattern. */
export function hostileSpiffeId(random: Random): string {
  if (random.chance(0.5)) return mutateText(random.pick(SPIFFE_IDS), random)
  const segments = Array.from({ length: random.below(6) }, () => random.pick(SEGMENTS))
  const domain = random.pick(['cluster.local', 'UPPER', 'a'.repeat(256), '', '*', 'td:80', 'u@td'])
  const scheme = random.pick(['spiffe://', 'spiffe://', 'SPIFFE://', 'spiffe:/', 'https://'])
  const path = random.chance(0.02) ? [...segments, 'x'.repeat(2048)] : segments
  return [scheme + (random.chance(0.7) ? 'cluster.local' : domain), ...path].join('/')
}

// JWK sets

/** A JWK Set as text, one of its keys changed. */
export function hostileKeySet(random: Random): string {
  const first = random.below(PUBLIC_JWKS.length)
  const jwks = PUBLIC_JWKS.slice(first, first + 1 + random.below(2)).map((jwk) =>
    random.chance(0.2) ? { ...jwk, use: 'jwt-svid' } : jwk,
  )
  const set = { spiffe_refresh_hint: 60, keys: jwks }
  if (random.chance(0.3)) return print(mutateTree(treeOf(set), random))
  if (random.chance(0.2)) return mutateText(JSON.stringify(set), random)
  let changed = treeOf(jwks[0])
  do changed = mutateTree(changed, random)
  while (random.chance(0.3))
  const keys = [print(changed), ...jwks.slice(1).map((jwk) => JSON.stringify(jwk))]
  return `{"keys":[${keys.join(',')}]}`
}

// Small texts

const SMALL_TEXTS: readonly string[] = [
  ...['500ms', '30s', '5m', '2h', '30d', '999999999d', '1000000000s', '0s', '05m', '1h30m'],
  ...['500MB', '20GB', '4GiB', '9999999TiB', '10000000kB', '1B', '1.5GB', '20 GB', '20gb'],
  ...['127.0.0.1:8080', '[::1]:8080', 'localhost:0', '[::ffff:127.0.0.1]:65535', '0.0.0.0:65536'],
]

/** A duration, a size or an address. */
export const hostileSmallText = (random: Random): string =>
  random.chance(0.3)
    ? random.pick(SMALL_TEXTS)
    : random.chance(0.7)
      ? mutateText(random.pick(SMALL_TEXTS), random)
      : `${random.below(1e9)}${random.pick(['ms', 's', 'm', 'h', 'd', 'kB', 'GiB', 'w', ''])}`

const TRACE_PARENTS: readonly string[] = [
  '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  '01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more',
  'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
  `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
]

/** A `traceparent` header. */
export const hostileTraceParent = (random: Random): string =>
  random.chance(0.15) ? random.pick(TRACE_PARENTS) : mutateText(random.pick(TRACE_PARENTS), random)
