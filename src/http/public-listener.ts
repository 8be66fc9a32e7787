// Owns the public listener: the key set and the metadata documents, for istiod, Envoy and verifiers.
// Must not make keys or documents, and never answers 200 with anything but a whole one (P5).
import { createHash } from 'node:crypto'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { TlsOptions } from 'node:tls'
import fastify, { type FastifyInstance } from 'fastify'
import type { MetadataDocument, MetadataPaths } from '../oauth/metadata.ts'
import { answerClientErrors } from './client-error.ts'
import { isKnownToClient } from './conditional.ts'
import type { ListenerLog } from './exchange-log.ts'
import {
  type PlainRefusal,
  plainRefusalText,
  writePlain,
  writePlainRefusal,
} from './plain-answer.ts'
import { createServer, SERVER_LIMITS, type ServerLimits } from './server.ts'

/** A key set as it goes out, byte for byte. */
export interface PublishedJwks {
  readonly body: string
  /** As sent, quotes included; changes whenever the body does. */
  readonly etag: string
  readonly maxAgeSeconds: number
}

export interface PublicListenerOptions {
  /** The last complete set, from memory; undefined before the first one. */
  readonly jwks: () => PublishedJwks | undefined
  readonly authorizationServer: MetadataDocument
  readonly openidConfiguration: MetadataDocument
  readonly paths: MetadataPaths
  /** Counts answers of the key set. */
  readonly observeJwks: (status: 200 | 304 | 503) => void
  readonly log: ListenerLog
  readonly tls?: TlsOptions
  readonly limits?: Partial<ServerLimits>
}

/**
 * The registered type of a key set (RFC 7517 §8.5.2). istiod and Envoy don't read the type, jose and
 * oauth4webapi take this one and application/json.
 */
const JWKS_TYPE = 'application/jwk-set+json'
/** A verifier whose cache outlives an outage of ours is better off than one without keys. */
const STALE_IF_ERROR_SECONDS = 86_400
/** Metadata change with a deployment only. */
const METADATA_MAX_AGE_SECONDS = 300
/** The first set takes a store and a key; istiod asks again after a second by itself. */
const RETRY_AFTER_SECONDS = 2

/** Builds the public listener; the caller calls `listen` and `close`. */
export function buildPublicListener(options: PublicListenerOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    // P5: the key set is served for as long as the process lives.
    return503OnClosing: false,
    serverFactory: (handler) =>
      createServer(handler, { ...SERVER_LIMITS, ...options.limits }, options.tls),
    frameworkErrors: (_error, _request, reply) => {
      writePlainRefusal(reply.raw, 'unreadable')
    },
    clientErrorHandler: (error, socket) => onClientError(error, socket),
  })
  const onClientError = answerClientErrors(app.server, (reason) => plainRefusalText(reason))
  app.removeAllContentTypeParsers()

  const get = (paths: readonly string[], answer: Answer) => {
    for (const url of paths) {
      app.route({
        method: ['GET', 'HEAD'],
        url,
        handler: (request, reply) => {
          answer(request.raw, reply.raw)
        },
      })
    }
  }
  get(options.paths.jwks, jwksAnswer(options))
  get(options.paths.authorizationServer, documentAnswer(options.authorizationServer))
  get(options.paths.openidConfiguration, documentAnswer(options.openidConfiguration))

  const known = new Set(Object.values(options.paths).flat())
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    writePlainRefusal(reply.raw, known.has(path) ? 'method' : 'not_found')
  })
  app.setErrorHandler((error, _request, reply) => {
    const refusal: PlainRefusal = isInputError(error) ? 'unreadable' : 'failed'
    if (refusal === 'failed') options.log.error({ err: error }, 'public request failed')
    writePlainRefusal(reply.raw, refusal)
  })
  return app
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

function jwksAnswer(options: PublicListenerOptions): Answer {
  const lastFitSet = keepFitSets(options)
  return (request, response) => {
    const jwks = lastFitSet()
    if (jwks === undefined) {
      options.observeJwks(503)
      writePlainRefusal(response, 'no_keys', { 'retry-after': String(RETRY_AFTER_SECONDS) })
      return
    }
    const cache = `public, max-age=${jwks.maxAgeSeconds}, stale-if-error=${STALE_IF_ERROR_SECONDS}`
    options.observeJwks(conditional(request, response, jwks, JWKS_TYPE, cache))
  }
}

/**
 * The set to serve: the present one, or the last before it that was fit to publish. An unfit one is a
 * bug elsewhere, but istiod would hand it to every proxy and Envoy would refuse the whole listener.
 */
function keepFitSets(options: PublicListenerOptions): () => PublishedJwks | undefined {
  let fit: PublishedJwks | undefined
  let unfit: string | undefined
  return () => {
    const jwks = options.jwks()
    if (jwks === undefined || jwks.body === fit?.body || jwks.body === unfit) return fit
    if (holdsKeys(jwks.body)) {
      fit = jwks
    } else {
      unfit = jwks.body
      options.log.error({ etag: jwks.etag }, 'key set is not fit to publish')
    }
    return fit
  }
}

function holdsKeys(body: string): boolean {
  try {
    const set: { readonly keys?: unknown } | null = JSON.parse(body)
    return Array.isArray(set?.keys) && set.keys.length > 0
  } catch {
    return false
  }
}

function documentAnswer(document: MetadataDocument): Answer {
  const body = JSON.stringify(document)
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  const cache = `public, max-age=${METADATA_MAX_AGE_SECONDS}`
  return (request, response) => {
    conditional(request, response, { body, etag }, 'application/json', cache)
  }
}

/** Writes an entity, or 304 where the client has it; gives the status. */
function conditional(
  request: IncomingMessage,
  response: ServerResponse,
  entity: { readonly body: string; readonly etag: string },
  type: string,
  cache: string,
): 200 | 304 {
  const headers: OutgoingHttpHeaders = { etag: entity.etag, 'cache-control': cache }
  if (isKnownToClient(request.headers['if-none-match'], entity.etag)) {
    response.writeHead(304, headers).end()
    return 304
  }
  headers['content-type'] = type
  writePlain(response, 200, headers, entity.body)
  return 200
}

function isInputError(error: unknown): boolean {
  const status = (error as { readonly statusCode?: unknown }).statusCode
  return typeof status === 'number' && status < 500
}
