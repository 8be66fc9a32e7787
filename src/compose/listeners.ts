// Owns the way from settings to open listeners: which ones there are, their TLS, their addresses.
// Must not know what an exchange is made of.
import type { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { createTlsContext, type TlsFiles, watchTls } from '../clients/tls-server.ts'
import type { ListenAddress } from '../config/scalars.ts'
import type { Settings } from '../config/settings.ts'
import { buildAdminListener, type Health } from '../http/admin-listener.ts'
import type { Drain, Listeners } from '../http/drain.ts'
import type { ListenerLog } from '../http/exchange-log.ts'
import type { Metrics } from '../http/metrics.ts'
import type { OverloadGuard } from '../http/overload.ts'
import { buildPublicListener, type PublishedJwks } from '../http/public-listener.ts'
import { buildTokenListener, type TokenListenerOptions } from '../http/token-listener.ts'
import { ALGORITHMS } from '../jwt/algorithms.ts'
import {
  authorizationServerMetadata,
  metadataPaths,
  openidConfiguration,
} from '../oauth/metadata.ts'

/** What the listeners are made of. */
export interface ListenerParts
  extends Pick<TokenListenerOptions, 'exchange' | 'refuse' | 'stopwatch'> {
  readonly checks: Readonly<Record<string, () => Health>>
  readonly jwks: () => PublishedJwks | undefined
  readonly drain: Drain
  readonly overload: OverloadGuard
  readonly metrics: Metrics
  readonly log: ListenerLog
  readonly onClose: (close: () => void | Promise<void>) => void
}

/** The addresses that listeners got. */
export interface Addresses {
  readonly token: ListenAddress
  readonly tokenMtls: ListenAddress | undefined
  readonly tokenExternal: ListenAddress | undefined
  readonly public: ListenAddress
  readonly admin: ListenAddress
}

/** Opens every listener of the settings, the public one first: verifiers before tokens. */
export async function openListeners(
  settings: Settings,
  parts: ListenerParts,
): Promise<{ readonly apps: Listeners; readonly addresses: Addresses }> {
  const { listeners } = settings
  const opened: FastifyInstance[] = []
  try {
    const publicApp = publicListener(settings, parts)
    opened.push(publicApp)
    const publicAddress = await listen(publicApp, listeners.public.address)
    const token = tokenListener('token', undefined, parts)
    opened.push(token)
    const tokenAddress = await listen(token, listeners.token.address)
    const mtlsFiles = listeners.tokenMtls && {
      ...listeners.tokenMtls.tls,
      ...(settings.clientAuth.mtls && { clientBundleFile: settings.clientAuth.mtls.bundleFile }),
    }
    const mtls = await openTls('token_mtls', listeners.tokenMtls?.address, mtlsFiles, parts, opened)
    const { tokenExternal } = listeners
    const external = await openTls(
      'token_external',
      tokenExternal?.address,
      tokenExternal?.tls,
      parts,
      opened,
    )
    const admin = await adminListener(settings, parts)
    opened.push(admin)
    const adminAddress = await listen(admin, listeners.admin.address)
    return {
      apps: {
        token: opened.filter((app) => app !== publicApp && app !== admin),
        public: publicApp,
        admin,
      },
      addresses: {
        token: tokenAddress,
        tokenMtls: mtls,
        tokenExternal: external,
        public: publicAddress,
        admin: adminAddress,
      },
    }
  } catch (error) {
    await Promise.all(opened.map((app) => app.close()))
    throw error
  }
}

async function listen(app: FastifyInstance, { host, port }: ListenAddress): Promise<ListenAddress> {
  await app.listen({ host, port })
  const address = app.server.address()
  return { host, port: typeof address === 'object' && address !== null ? address.port : port }
}

function tokenListener(
  name: string,
  tls: TokenListenerOptions['tls'],
  { exchange, refuse, drain, overload, metrics, stopwatch, log }: ListenerParts,
): FastifyInstance {
  return buildTokenListener({
    name,
    exchange,
    refuse,
    observe: metrics.exchange,
    overload,
    phase: drain.phase,
    log,
    stopwatch,
    ...(tls === undefined ? {} : { tls }),
  })
}

async function openTls(
  name: string,
  address: ListenAddress | undefined,
  files: TlsFiles | undefined,
  parts: ListenerParts,
  opened: FastifyInstance[],
): Promise<ListenAddress | undefined> {
  if (address === undefined || files === undefined) return undefined
  const context = await createTlsContext(files)
  const app = tokenListener(name, context, parts)
  opened.push(app)
  const watch = watchTls(app.server as unknown as TlsServer, context, {
    files,
    log: parts.log,
    // A connection that is already open was verified by the old bundle.
    onReplaced: () => app.server.closeAllConnections(),
  })
  parts.onClose(watch.stop)
  return listen(app, address)
}

function publicListener(
  settings: Settings,
  { jwks, metrics, log }: ListenerParts,
): FastifyInstance {
  const { listeners, issuer, tokenEndpoint, keys } = settings
  const methods = [listeners.token, listeners.tokenMtls, listeners.tokenExternal].flatMap(
    (listener) => listener?.clientAuth ?? [],
  )
  const facts = {
    issuer,
    tokenEndpoint,
    jwksUri: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`,
    clientAuthMethods: [...new Set(methods)],
    clientAssertionAlgorithms: ALGORITHMS,
    signingAlgorithms: keys.algorithms,
  }
  return buildPublicListener({
    jwks,
    authorizationServer: authorizationServerMetadata(facts),
    openidConfiguration: openidConfiguration(facts),
    paths: metadataPaths(issuer),
    observeJwks: metrics.jwksAnswer,
    log,
  })
}

async function adminListener(settings: Settings, parts: ListenerParts): Promise<FastifyInstance> {
  const { tls } = settings.listeners.admin
  return buildAdminListener({
    checks: parts.checks,
    isDraining: () => parts.drain.phase() !== 'serving',
    metrics: parts.metrics.render,
    log: parts.log,
    ...(tls === undefined
      ? {}
      : { tls: await createTlsContext({ ...tls, clientBundleFile: tls.clientCaFile }) }),
  })
}
