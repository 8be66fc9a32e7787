// Owns hostile compact JWTs: a valid one with one or a few things changed, at any level of its encoding.
// Must not know keys: whoever asks brings the signature, so that hostile claims can be signed well.
import { mutateTree, print, treeOf } from './json-tree.ts'
import type { Random } from './random.ts'
import { mutateText, nastyText, swapCharacters } from './text-mutations.ts'

type Members = Readonly<Record<string, unknown>>

/** A valid token, taken apart. */
export interface JwtTemplate {
  readonly header: Members
  readonly claims: Members
  readonly sign: (signingInput: string) => Buffer
}

/** Headers that choose keys, algorithms or meanings which nobody offered. */
const HEADERS: readonly Members[] = [
  { alg: 'none' },
  { alg: 'None' },
  { alg: 'NONE' },
  { alg: 'HS256' },
  { alg: 'HS512' },
  { alg: 'ES256' },
  { alg: 'es256' },
  { alg: 'ES256K' },
  { alg: 'ES384' },
  { alg: 'RS256' },
  { alg: 'PS256' },
  { alg: 'EdDSA' },
  { alg: ['RS256'] },
  { alg: ' RS256' },
  { alg: 'RS256\u0000' },
  { alg: undefined },
  { kid: undefined },
  { kid: '' },
  { kid: '../../../../dev/null' },
  { kid: "' OR 1=1 --" },
  { kid: 'x'.repeat(257) },
  { kid: 7 },
  { kid: null },
  { typ: undefined },
  { typ: 'JWT' },
  { typ: 'AT+JWT' },
  { typ: 'application/at+jwt' },
  { typ: 'application/application/at+jwt' },
  { typ: 'at+jwt\n' },
  { typ: 'logout+jwt' },
  { typ: 'absent' },
  { crit: ['b64'], b64: false },
  { crit: [] },
  { b64: true },
  { jwk: { kty: 'oct', k: 'AA' } },
  { jku: 'https://keys.attacker.example' },
  { x5u: 'https://keys.attacker.example' },
  { x5c: ['MIIB'] },
  { zip: 'DEF' },
  { cty: 'JWT' },
]

/** Bytes that are not UTF-8, or are read in more than one way. */
const NASTY_BYTES: readonly Buffer[] = [
  Buffer.from([0]),
  Buffer.from([0xff]),
  Buffer.from([0xc0, 0xaf]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xe0, 0x80, 0xaf]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]),
  Buffer.from([0xf4, 0x90, 0x80, 0x80]),
  Buffer.from([0xef, 0xbb, 0xbf]),
  Buffer.from([0xfe, 0xff]),
  Buffer.from([0x80]),
]

const withBytes = (text: string, random: Random): Buffer => {
  const bytes = Buffer.from(text)
  const at = random.below(bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), random.pick(NASTY_BYTES), bytes.subarray(at)])
}

const encode = (part: string | Buffer): string => Buffer.from(part).toString('base64url')

/** A token with one thing changed, correctly signed over what it then says. */
export function hostileSigned(template: JwtTemplate, random: Random): string {
  const header = print(treeOf(template.header))
  const claims = print(treeOf(template.claims))
  const token = (newHeader: string | Buffer, newClaims: string | Buffer) => {
    const input = `${encode(newHeader)}.${encode(newClaims)}`
    return `${input}.${encode(template.sign(input))}`
  }
  switch (random.below(12)) {
    case 0:
      return token(header, claims)
    case 1:
      return token(print(treeOf({ ...template.header, ...random.pick(HEADERS) })), claims)
    case 2:
      return token(print(mutateTree(treeOf(template.header), random)), claims)
    case 3:
      return token(mutateText(header, random), claims)
    case 4:
      return token(header, mutateText(claims, random))
    case 5:
      return token(header, withBytes(claims, random))
    case 6:
      return token(withBytes(header, random), claims)
    case 7:
      return token(header, print(mutateTree(mutateTree(treeOf(template.claims), random), random)))
    default:
      return token(header, print(mutateTree(treeOf(template.claims), random)))
  }
}

type TokenMutation = (token: string, random: Random) => string

/** One part of a token, changed. */
function onPart(token: string, random: Random, change: (part: string) => string): string {
  const parts = token.split('.')
  const index = random.below(parts.length)
  return parts.map((part, at) => (at === index ? change(part) : part)).join('.')
}

const NEXT_CHARACTER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The next letter of the alphabet in the last place: other unused bits, often the same bytes. */
const nudged = (part: string): string => {
  const at = NEXT_CHARACTER.indexOf(part.slice(-1))
  return at === -1 ? part : part.slice(0, -1) + NEXT_CHARACTER[(at + 1) % 64]
}

const flipped = (part: string, random: Random): string => {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.length === 0) return part
  const at = random.below(bytes.length)
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at)
  return bytes.toString('base64url')
}

const TOKEN_MUTATIONS: readonly TokenMutation[] = [
  (token, random) => onPart(token, random, nudged),
  (token, random) => onPart(token, random, (part) => flipped(part, random)),
  (token, random) => onPart(token, random, (part) => `${part}=`),
  (token, random) => onPart(token, random, (part) => `${part}==`),
  (token, random) =>
    onPart(token, random, (part) => part.replaceAll('-', '+').replaceAll('_', '/')),
  (token, random) => onPart(token, random, (part) => swapCharacters(part, random)),
  (token, random) => onPart(token, random, () => ''),
  (token, random) => onPart(token, random, (part) => part + nastyText(random)),
  (token, random) => {
    const size = random.pick([63, 64, 65, 255, 256, 257, 512])
    return token.replace(/[^.]*$/, encode(random.bytes(size)))
  },
  (token) => token.replace(/[^.]*$/, ''),
  (token) => token.replace(/[^.]*$/, encode(Buffer.alloc(64))),
  (token) => token.split('.').slice(0, 2).join('.'),
  (token) => token.split('.').reverse().join('.'),
  (token) => `${token}.`,
  (token) => `.${token}`,
  (token) => `${token}.${token}`,
  (token) => ` ${token}`,
  (token) => `${token}\n`,
  (token) => `Bearer ${token}`,
  (token) => encodeURIComponent(token.replaceAll('.', '%2E')),
  (token) => encode(token),
  mutateText,
]

/** A token with one thing changed: what it says, or its text. */
export function hostileJwt(template: JwtTemplate, random: Random): string {
  const token = hostileSigned(template, random)
  return random.chance(0.35) ? random.pick(TOKEN_MUTATIONS)(token, random) : token
}
