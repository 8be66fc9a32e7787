// Owns the way from settings to the sources of other people's public keys.
// Must not decide which keys are accepted: subjects/ and clients/ do.
import { readFileSync } from 'node:fs'
import type { IssuerKeys } from '../config/issuers.ts'
import type { BundleSource } from '../config/settings.ts'
import type { Algorithm } from '../jwt/algorithms.ts'
import { jwksFileSource } from '../jwt/jwks-file.ts'
import { jwksUrlSource } from '../jwt/jwks-url.ts'
import type { KeySource, KeySourceLog } from '../jwt/key-source.ts'

/** What every source is made with. */
export interface KeySourceContext {
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
  readonly log: KeySourceLog
  /** A named relaxation: keys may be fetched by http. */
  readonly allowHttp: boolean
  /** Takes what has to be closed when the server stops. */
  readonly onClose: (close: () => void) => void
}

/** Makes the source of a set of keys. `bundle` for SPIFFE trust bundles, whose sets may be empty. */
export function keySource(
  source: IssuerKeys | BundleSource,
  use: { readonly allowed: readonly Algorithm[]; readonly iss?: string; readonly bundle?: boolean },
  context: KeySourceContext,
): KeySource {
  const { monotonic, log, allowHttp } = context
  const shape = use.bundle === true ? ({ use: 'jwt-svid' } as const) : {}
  if (source.kind === 'file') {
    return jwksFileSource({ path: source.path, allowed: use.allowed, monotonic, log, ...shape })
  }
  const from = source.kind === 'url' ? { jwksUri: source.url } : { discoveryIssuer: use.iss ?? '' }
  const url = jwksUrlSource({
    from,
    allowed: use.allowed,
    monotonic,
    log,
    allowHttp,
    ...shape,
    ...(source.caFile === undefined ? {} : { ca: readFileSync(source.caFile, 'utf8') }),
  })
  context.onClose(() => url.close())
  return url
}
