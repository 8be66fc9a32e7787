// Owns a key set that another server publishes: when it is fetched, how long it is kept, how failures are spread out.
// Must not decide which keys are usable (key-set.ts) nor how a request is bounded (https-json.ts).
import type { Algorithm } from './algorithms.ts'
import { requestJson } from './https-json.ts'
import { type KeySetOptions, MAX_KEY_SET_BYTES, type ParsedKeySet, parseKeySet } from './key-set.ts'
import type { KeySet, KeySource, KeySourceLog, KeySourceOutage } from './key-source.ts'
import { parseJsonObject } from './strict-json.ts'

export interface JwksUrlOptions extends KeySetOptions {
  /** The set's URL, or the issuer whose OpenID configuration names it (OIDC Discovery §4). */
  readonly from: { readonly jwksUri: string } | { readonly discoveryIssuer: string }
  readonly allowed: readonly Algorithm[]
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
  readonly log: KeySourceLog
  /** PEM of the only certificate authorities to trust; the system's where it is absent. */
  readonly ca?: string
  /** Permits http, for development. Default false. */
  readonly allowHttp?: boolean
  /** Age from which a set is refreshed beside the requests that use it. Default 10 min. */
  readonly refreshEveryMs?: number
  /** Age up to which a set is used while the issuer fails. Default 24 h. */
  readonly staleUpToMs?: number
  /** For one refresh as a whole. Default 5 s. */
  readonly timeoutMs?: number
  /** After a refresh, unknown kids cause no other for so long. Default 30 s. */
  readonly cooldownMs?: number
}

/** A source that holds a connection while it fetches; `close` ends that and every later attempt. */
export interface ClosableKeySource extends KeySource {
  close(): void
}

const MINUTE = 60_000
const DEFAULTS = {
  refreshEveryMs: 10 * MINUTE,
  staleUpToMs: 24 * 60 * MINUTE,
  timeoutMs: 5000,
  cooldownMs: 30_000,
} as const
/** A failure is remembered for so long, doubled up to the maximum: meanwhile nobody waits for the issuer. */
const FIRST_FAILURE_MS = 10_000
const MAX_FAILURE_MS = 60_000
/** A bundle's refresh hint may ask for more than the configured refreshes, down to this. */
const MIN_REFRESH_MS = 30_000
/** A set that nobody used for this many intervals is not used before a refresh: it may hold revoked keys. */
const IDLE_INTERVALS = 3

/**
 * A key source on a URL. One fetch at a time, whoever asks; a set of normal age is answered from memory;
 * an older one too while a fetch runs beside it; a dead issuer costs its own tokens one time-out per
 * window and everybody else nothing. A fetched document without usable keys is a failure like any other.
 */
export function jwksUrlSource(options: JwksUrlOptions): ClosableKeySource {
  const { monotonic, log } = options
  const limits = { ...DEFAULTS, ...definedOf(options) }
  const closing = new AbortController()
  let held: { readonly set: ParsedKeySet; readonly at: number } | undefined
  let failure:
    | { readonly problem: string; readonly until: number; readonly waitMs: number }
    | undefined
  let inFlight: Promise<KeySet | KeySourceOutage> | undefined

  function load(): Promise<KeySet | KeySourceOutage> {
    inFlight ??= fetchKeySet(options, limits.timeoutMs, closing.signal)
      .then((fetched) => ('unusable' in fetched ? failed(fetched.unusable) : loaded(fetched)))
      // A bug of ours or of a library: it must cost neither this source nor, as nobody may wait, the process.
      .catch((error: unknown) =>
        failed(`unexpected ${error instanceof Error ? error.name : 'failure'}`),
      )
      .finally(() => {
        inFlight = undefined
      })
    return inFlight
  }

  function loaded(set: ParsedKeySet): KeySet {
    if (held?.set.version !== set.version) {
      log.info(
        { from: options.from, keys: set.keys.length, skipped: set.skipped },
        'key set fetched',
      )
    }
    held = { set, at: monotonic() }
    failure = undefined
    return set
  }

  function failed(problem: string): KeySourceOutage {
    const waitMs =
      failure === undefined ? FIRST_FAILURE_MS : Math.min(failure.waitMs * 2, MAX_FAILURE_MS)
    failure = { problem, until: monotonic() + waitMs, waitMs }
    log.warn(
      { from: options.from, problem, keeps_last: held !== undefined },
      'key set could not be fetched',
    )
    return { unavailable: problem, retryAfterSeconds: waitMs / 1000 }
  }

  /** Undefined outside the window after a failure. */
  function outageAt(now: number): KeySourceOutage | undefined {
    if (failure === undefined || now >= failure.until) return undefined
    return {
      unavailable: failure.problem,
      retryAfterSeconds: Math.ceil((failure.until - now) / 1000),
    }
  }

  function refreshEveryMs(set: ParsedKeySet): number {
    if (options.use !== 'jwt-svid' || set.refreshHintSeconds === undefined)
      return limits.refreshEveryMs
    return Math.min(Math.max(set.refreshHintSeconds * 1000, MIN_REFRESH_MS), limits.refreshEveryMs)
  }

  function current(): KeySet | Promise<KeySet | KeySourceOutage> {
    const now = monotonic()
    const outage = outageAt(now)
    if (held === undefined || now - held.at >= limits.staleUpToMs) {
      return outage === undefined ? load() : Promise.resolve(outage)
    }
    const { set, at } = held
    const interval = refreshEveryMs(set)
    if (now - at < interval || outage !== undefined) return set
    const loading = load()
    const wasIdle = failure === undefined && now - at >= IDLE_INTERVALS * interval
    return wasIdle ? loading.then((result) => ('unavailable' in result ? set : result)) : set
  }

  async function refreshed(): Promise<KeySet | KeySourceOutage> {
    const now = monotonic()
    const outage = outageAt(now)
    if (outage !== undefined) return outage
    if (held !== undefined && now - held.at < limits.cooldownMs) return held.set
    return load()
  }

  return { current, refreshed, close: () => closing.abort() }
}

type Limits = { [Name in keyof typeof DEFAULTS]: number }

function definedOf(options: JwksUrlOptions): Partial<Limits> {
  const { refreshEveryMs, staleUpToMs, timeoutMs, cooldownMs } = options
  return Object.fromEntries(
    Object.entries({ refreshEveryMs, staleUpToMs, timeoutMs, cooldownMs }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}

async function fetchKeySet(
  options: JwksUrlOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ParsedKeySet | { readonly unusable: string }> {
  const deadline = options.monotonic() + timeoutMs
  const get = async (url: string): Promise<{ text: string } | { unusable: string }> => {
    const response = await requestJson({
      url,
      method: 'GET',
      timeoutMs: Math.max(1, deadline - options.monotonic()),
      maxBytes: MAX_KEY_SET_BYTES,
      allowHttp: options.allowHttp ?? false,
      signal,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    })
    if (!response.ok) return { unusable: response.problem }
    return response.status === 200 ? response : { unusable: `answered ${response.status}` }
  }

  let jwksUri: string
  if ('jwksUri' in options.from) {
    jwksUri = options.from.jwksUri
  } else {
    const issuer = options.from.discoveryIssuer
    const document = await get(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if ('unusable' in document) return { unusable: `discovery: ${document.unusable}` }
    const found = jwksUriOf(document.text, issuer)
    if (typeof found !== 'string') return { unusable: `discovery: ${found.unusable}` }
    jwksUri = found
  }
  const document = await get(jwksUri)
  return 'unusable' in document ? document : parseKeySet(document.text, options.allowed, options)
}

/** OIDC Discovery §4.3: the document's issuer must be identical to the one that was asked. */
function jwksUriOf(text: string, issuer: string): string | { readonly unusable: string } {
  const document = parseJsonObject(text)
  if (!document.ok) return { unusable: `the document is refused: ${document.detail}` }
  if (document.value.issuer !== issuer) return { unusable: 'the document names another issuer' }
  const uri = document.value.jwks_uri
  return typeof uri === 'string' ? uri : { unusable: 'the document has no jwks_uri' }
}
