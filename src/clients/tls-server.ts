// Owns the TLS side of a listener that ends mesh TLS itself: its files, and replacing them while it runs.
// Must not read identities out of certificates (mtls.ts) or serve HTTP.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions, type Server } from 'node:tls'

export interface TlsFiles {
  /** PEM: the server's certificate, then intermediates. */
  readonly certFile: string
  /** PEM. */
  readonly keyFile: string
  /** PEM: the trust domain's roots. With it every client must show a certificate that they verify. */
  readonly clientBundleFile?: string
}

/** Options for `https.createServer` or `tls.createServer`; also what `setSecureContext` takes. */
export interface TlsContext extends SecureContextOptions {
  readonly requestCert: boolean
  readonly rejectUnauthorized: boolean
}

export interface TlsWatchLog {
  readonly info: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

export interface WatchTlsOptions {
  readonly files: TlsFiles
  readonly log: TlsWatchLog
  /** Default 30 s: a tenth of the shortest overlap that issuers leave at a renewal. */
  readonly intervalMs?: number
  /** Called after a new context is in use: connections opened before it were verified by the old one. */
  readonly onReplaced?: () => void
}

export interface TlsWatch {
  /** Looks at the files now. */
  readonly check: () => Promise<'unchanged' | 'replaced' | 'kept'>
  readonly stop: () => void
}

const DEFAULT_INTERVAL_MS = 30_000
/** Far above any chain or bundle of roots; a wrong path to a huge file must not fill the memory. */
const MAX_FILE_BYTES = 1_048_576
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/**
 * Reads the files and checks that they belong together; throws, naming the file, where they do not.
 * The client bundle is the only trust anchor: never the system's (SC-06).
 */
export async function createTlsContext(files: TlsFiles): Promise<TlsContext> {
  return contextOf(await readFiles(files))
}

/**
 * Re-reads the files on a timer and gives the server a new context when their content has changed.
 * Files that are broken, or caught in the middle of a renewal, leave the last good context in use;
 * that is logged once per content. Contents are compared, since mounted secrets change by symlink.
 * TLS sessions are resumed only within one context, so a removed root ends resumption too.
 */
export function watchTls(
  server: Pick<Server, 'setSecureContext'>,
  current: TlsContext,
  options: WatchTlsOptions,
): TlsWatch {
  const { files, log, intervalMs = DEFAULT_INTERVAL_MS, onReplaced } = options
  let inUse = digestOf(current)
  let refused = ''
  let running: ReturnType<TlsWatch['check']> | undefined

  const keep = (seen: string, problem: string) => {
    if (seen !== refused) log.error({ problem, files }, 'tls files are not usable, the last stay')
    refused = seen
    return 'kept' as const
  }

  const look = async () => {
    let contents: Contents
    try {
      contents = await readFiles(files)
    } catch (error) {
      return keep(messageOf(error), messageOf(error))
    }
    let context: TlsContext
    try {
      context = contextOf(contents)
    } catch (error) {
      return keep(digestOf(contents), messageOf(error))
    }
    refused = ''
    const seen = digestOf(context)
    if (seen === inUse) return 'unchanged' as const
    server.setSecureContext(context)
    inUse = seen
    log.info({ files }, 'tls files replaced')
    onReplaced?.()
    return 'replaced' as const
  }

  /** One look at a time: two could apply their contents in the wrong order. */
  const check = () => {
    running ??= look().finally(() => {
      running = undefined
    })
    return running
  }

  const timer = setInterval(() => void check(), intervalMs)
  timer.unref()
  return { check, stop: () => clearInterval(timer) }
}

interface Contents {
  readonly cert: string
  readonly key: string
  readonly bundle: string | undefined
}

async function readFiles(files: TlsFiles): Promise<Contents> {
  const [cert, key, bundle] = await Promise.all([
    readText(files.certFile),
    readText(files.keyFile),
    files.clientBundleFile === undefined ? undefined : readText(files.clientBundleFile),
  ])
  return { cert, key, bundle }
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path)
  if (bytes.length > MAX_FILE_BYTES) throw new Error(`${path} is larger than a certificate file`)
  return bytes.toString('latin1')
}

function contextOf({ cert, key, bundle }: Contents): TlsContext {
  const context: TlsContext = {
    cert,
    key,
    minVersion: 'TLSv1.2',
    requestCert: bundle !== undefined,
    rejectUnauthorized: bundle !== undefined,
    ...(bundle === undefined ? {} : { ca: anchorsOf(bundle) }),
  }
  // OpenSSL would start without a certificate where the file is empty: each is read here first.
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error('the key does not belong to the certificate')
  }
  createSecureContext(context)
  return context
}

/**
 * Node ignores what it cannot read in `ca`, and an empty `ca` means the system's roots: so each anchor
 * is read here, and none at all is an error.
 */
function anchorsOf(bundle: string): string[] {
  const anchors = bundle.match(CERTIFICATE) ?? []
  if (anchors.length === 0) throw new Error('the client bundle holds no certificate')
  // A file caught while it is written would lose roots without a word.
  if (anchors.length !== bundle.split('-----BEGIN').length - 1) {
    throw new Error('the client bundle holds something else than whole certificates')
  }
  for (const anchor of anchors) {
    if (!new X509Certificate(anchor).ca) throw new Error('the client bundle holds a leaf')
  }
  return anchors
}

function digestOf(contents: object): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('base64')
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown')
