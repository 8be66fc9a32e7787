// Owns the HTTP server in which the development profile's identity provider and trust domain are reached.
// Must not listen beyond loopback: it gives credentials to whoever asks.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { IdentityProvider } from './identity-provider.ts'
import type { TrustDomain } from './trust-domain.ts'

export interface CredentialsServerOptions {
  /** 0 lets the system choose. */
  readonly port: number
  readonly identityProvider: IdentityProvider
  readonly trustDomain: TrustDomain
}

export interface CredentialsServer {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Starts it on 127.0.0.1; rejects with the system's error where the port is taken. */
export async function startCredentialsServer(
  options: CredentialsServerOptions,
): Promise<CredentialsServer> {
  const server = createServer((request, response) => {
    answer(options, request).then(
      (found) => write(response, found),
      () => write(response, { status: 500, type: 'text/plain', body: 'failed\n' }),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Answer {
  readonly status: number
  readonly type: 'text/plain' | 'application/json'
  readonly body: string
}

const json = (value: object): Answer => ({
  status: 200,
  type: 'application/json',
  body: `${JSON.stringify(value)}\n`,
})

const text = (status: number, body: string): Answer => ({
  status,
  type: 'text/plain',
  body: `${body}\n`,
})

/** A page in a browser can point a name of its own at 127.0.0.1; it cannot choose this header. */
const LOCAL_HOST = /^(?:127\.0\.0\.1|localhost)(?::[0-9]+)?$/

async function answer(
  options: CredentialsServerOptions,
  request: IncomingMessage,
): Promise<Answer> {
  const { identityProvider, trustDomain } = options
  if (!LOCAL_HOST.test(request.headers.host ?? '')) return text(403, 'ask 127.0.0.1')
  if (request.method !== 'GET') return text(405, 'only GET')
  const path = (request.url ?? '/').replace(/\?.*$/, '')
  switch (path) {
    case '/.well-known/openid-configuration':
      return json(identityProvider.discovery)
    case '/jwks.json':
      return json(identityProvider.jwks)
    case '/bundle.json':
      return json(trustDomain.bundle)
  }
  const credential = await credentialAt(options, path)
  return credential === undefined
    ? text(404, 'there are /user/<name> and /svid/<namespace>/<service account>')
    : text(200, credential)
}

async function credentialAt(
  { identityProvider, trustDomain }: CredentialsServerOptions,
  path: string,
): Promise<string | undefined> {
  const [, kind, first, second, ...rest] = path.split('/')
  if (first === undefined || rest.length > 0) return undefined
  if (kind === 'user' && second === undefined) return identityProvider.tokenFor(first)
  if (kind === 'svid' && second !== undefined) return trustDomain.svidFor(first, second)
  return undefined
}

function write(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(status === 405 ? { allow: 'GET' } : {}),
  })
  response.end(body)
}
