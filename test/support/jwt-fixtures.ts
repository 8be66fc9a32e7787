// Owns keys, tokens and key servers for tests. Keys are made once per process; RSA ones are slow to make.
import {
  sign as cryptoSign,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Algorithm, CRYPTO } from '../../src/jwt/algorithms.ts'

export interface TestKey {
  readonly alg: Algorithm
  readonly kid: string | undefined
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** As published: kid, alg and use included. */
  readonly jwk: JsonWebKey
}

const made = new Map<string, TestKey>()

/** A key pair; the same one for the same algorithm and kid within a process. */
export function makeKey(alg: Algorithm, kid?: string): TestKey {
  const name = `${alg} ${kid ?? ''}`
  const known = made.get(name)
  if (known !== undefined) return known
  const { privateKey, publicKey } = generatePair(alg)
  const jwk: JsonWebKey = {
    ...publicKey.export({ format: 'jwk' }),
    ...(kid === undefined ? {} : { kid }),
    alg,
    use: 'sig',
  }
  const key: TestKey = { alg, kid, privateKey, publicKey, jwk }
  made.set(name, key)
  return key
}

function generatePair(alg: Algorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (alg) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'ES384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'ES512':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('rsa', { modulusLength: 2048 })
  }
}

/** Text or bytes as base64url. */
export const base64url = (value: string | Buffer): string =>
  Buffer.from(value).toString('base64url')

/** A signature by a key over any text. */
export function signatureOf(input: string, key: TestKey): Buffer {
  const { digest, options } = CRYPTO[key.alg]
  return cryptoSign(digest, Buffer.from(input), { ...options, key: key.privateKey })
}

/** A correctly signed token over exactly these texts, however odd they are. */
export function signRaw(headerText: string, payloadText: string | Buffer, key: TestKey): string {
  const input = `${base64url(headerText)}.${base64url(payloadText)}`
  return `${input}.${base64url(signatureOf(input, key))}`
}

/**
 * A signed token. The header is `alg`, `kid` and `typ: at+jwt`, changed by `header`; a member that is
 * undefined there is left out.
 */
export function signJwt(
  key: TestKey,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = {},
): string {
  const members = { alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header }
  return signRaw(JSON.stringify(members), JSON.stringify(claims), key)
}

/** A JWKS document. Takes keys, or JWKs that are already in a shape to test. */
export function jwksOf(
  keys: readonly (TestKey | Readonly<Record<string, unknown>>)[],
  members: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({ ...members, keys: keys.map((key) => ('jwk' in key ? key.jwk : key)) })
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A key server on loopback whose answer can change between requests. */
export interface JwksServer {
  readonly origin: string
  /** The URL of its key set. */
  readonly url: string
  /** Method and path of every request so far. */
  readonly hits: readonly string[]
  /** Answers 200 with this text from now on. */
  serve(body: string): void
  /** Answers in any way from now on. */
  handle(handler: Handler): void
  /** Ends every connection and the server. */
  close(): Promise<void>
}

/** Starts a key server. Close it in the test's `after`. */
export async function startJwksServer(body = '{"keys":[]}'): Promise<JwksServer> {
  const hits: string[] = []
  const answering =
    (text: string): Handler =>
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(text)
    }
  let handler = answering(body)
  const server = createServer((request, response) => {
    hits.push(`${request.method} ${request.url}`)
    handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    url: `${origin}/jwks`,
    hits,
    serve(text) {
      handler = answering(text)
    },
    handle(next) {
      handler = next
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
