// Owns client authentication by X-Forwarded-Client-Cert: whose header counts, and which element (P8).
// Must not be asked on a listener that ends mesh TLS itself: there the header is the sender's own.
import { fail, ok, type Result } from '../oauth/reasons.ts'
import type { ClientEvidence } from './client.ts'
import { canonicalAddress } from './peer-address.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from './spiffe-id.ts'
import { parseXfcc, type XfccElement } from './xfcc-grammar.ts'

/** Where a sidecar in the same pod dials from: loopback, and Istio's inbound passthrough addresses. */
export const DEFAULT_XFCC_PROXIES = ['127.0.0.1', '127.0.0.6', '::1', '::6'] as const

export interface XfccOptions {
  /** Exact addresses of the proxies whose header counts. */
  readonly proxies: readonly string[]
  /**
   * What the proxy does with a header that it receives. `sanitize_set`: exactly one element may come.
   * `append_forward`: the last counts; sound only while the mesh's CA signs no free-form SAN.
   */
  readonly mode: 'sanitize_set' | 'append_forward'
  /** This service's SPIFFE ID; `By` must name it. */
  readonly self: SpiffeId
  readonly trustDomains: ReadonlySet<string>
}

/** Gives the identity that a pinned proxy vouches for, or a `client_…` reason. */
export type AuthenticateXfcc = (
  evidence: Pick<ClientEvidence, 'peerAddress' | 'xfccLines'>,
) => Result<SpiffeId>

/** Makes the check; throws where an address in the options is none. */
export function createXfcc(options: XfccOptions): AuthenticateXfcc {
  const proxies = new Set(options.proxies.map(requireAddress))
  return ({ peerAddress, xfccLines }) => {
    const peer = canonicalAddress(peerAddress)
    if (peer === undefined || !proxies.has(peer)) return fail('client_xfcc_peer_not_trusted')
    const element = elementOf(xfccLines, options.mode)
    return element.ok ? identityOf(element.value, options) : element
  }
}

function elementOf(lines: readonly string[], mode: XfccOptions['mode']): Result<XfccElement> {
  const [line] = lines
  if (line === undefined) return fail('client_missing')
  // Envoy merges lines before it adds its own element: more than one line never passed it.
  if (lines.length > 1) return fail('client_xfcc_repeated')
  const parsed = parseXfcc(line)
  if (!parsed.ok) return fail(`client_xfcc_${parsed.problem}`)
  if (mode === 'sanitize_set' && parsed.elements.length > 1) {
    return fail('client_xfcc_several_elements')
  }
  const last = parsed.elements.at(-1)
  return last === undefined ? fail('client_xfcc_malformed') : ok(last)
}

function identityOf(element: XfccElement, options: XfccOptions): Result<SpiffeId> {
  // Envoy writes By once per URI SAN of its own certificate; an SVID has one, so a second is forged.
  const by = soleValue(element, 'by')
  if (by !== options.self) return fail('client_xfcc_by_mismatch')
  const uri = soleValue(element, 'uri')
  if (uri === undefined || uri === '') return fail('client_xfcc_uri')
  const id = parseSpiffeId(uri)
  if (id === undefined) return fail('client_spiffe_id_malformed')
  return options.trustDomains.has(trustDomainOf(id))
    ? ok(id)
    : fail('client_trust_domain_not_allowed', trustDomainOf(id))
}

/** The value of a key that must come exactly once. */
function soleValue(element: XfccElement, key: string): string | undefined {
  const pairs = element.filter((pair) => pair.key === key)
  return pairs.length === 1 ? pairs[0]?.value : undefined
}

function requireAddress(text: string): string {
  const address = canonicalAddress(text)
  if (address === undefined) throw new TypeError('a proxy must be an IP address')
  return address
}
