// Owns client authentication by X.509-SVID on TLS that this process ends (X509-SVID.md §2, §4, §5; SC-04).
// Must not build or verify chains: the TLS server did, against the trust bundle only (tls-server.ts).
import { createHash } from 'node:crypto'
import type { Certificate, Extension } from '@peculiar/asn1-x509'
import { type Failure, fail, ok, type Result } from '../oauth/reasons.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from './spiffe-id.ts'

export interface MtlsOptions {
  /** The trust domain whose bundle the TLS server verifies against. */
  readonly trustDomain: string
}

/**
 * Gives the SPIFFE ID of a certificate (DER) that TLS already verified, or a `client_…` reason.
 * `now` in milliseconds: a kept-alive connection may outlive the certificate that opened it.
 */
export type AuthenticateMtls = (certificate: Uint8Array, now: number) => Promise<Result<SpiffeId>>

/** Certificates of a few thousand workloads; each entry holds an ID and two dates. */
const MAX_CACHED_CERTIFICATES = 4096

interface CheckedLeaf {
  readonly identity: Result<SpiffeId>
  readonly notBefore: number
  readonly notAfter: number
}

/** Makes the check. What does not depend on time is remembered by the certificate's SHA-256. */
export function createMtls(options: MtlsOptions): AuthenticateMtls {
  const checked = new Map<string, CheckedLeaf>()
  return async (certificate, now) => {
    const fingerprint = createHash('sha256').update(certificate).digest('base64')
    let leaf = checked.get(fingerprint)
    if (leaf === undefined) {
      leaf = checkLeaf(await loadAsn1(), certificate, options.trustDomain)
      if (checked.size >= MAX_CACHED_CERTIFICATES) forgetOldest(checked)
      checked.set(fingerprint, leaf)
    }
    if (!leaf.identity.ok) return leaf.identity
    if (now < leaf.notBefore) return refuse('not yet valid')
    return now > leaf.notAfter ? refuse('expired since the handshake') : leaf.identity
  }
}

interface Asn1 {
  readonly schema: typeof import('@peculiar/asn1-schema')
  readonly x509: typeof import('@peculiar/asn1-x509')
}

let asn1: Promise<Asn1> | undefined

/** Loaded on the first certificate: deployments behind a sidecar never need it. */
function loadAsn1(): Promise<Asn1> {
  asn1 ??= Promise.all([import('@peculiar/asn1-schema'), import('@peculiar/asn1-x509')]).then(
    ([schema, x509]) => ({ schema, x509 }),
  )
  return asn1
}

function checkLeaf(asn1: Asn1, der: Uint8Array, trustDomain: string): CheckedLeaf {
  try {
    const certificate = asn1.schema.AsnConvert.parse(der, asn1.x509.Certificate)
    const { notBefore, notAfter } = certificate.tbsCertificate.validity
    return {
      identity: identityOf(asn1, certificate, trustDomain),
      notBefore: notBefore.getTime().getTime(),
      notAfter: notAfter.getTime().getTime(),
    }
  } catch {
    // The parser throws on what it cannot read; TLS accepted it, so it is odd rather than broken.
    return { identity: refuse('unreadable'), notBefore: 0, notAfter: 0 }
  }
}

function identityOf(asn1: Asn1, certificate: Certificate, trustDomain: string): Result<SpiffeId> {
  const extensions = certificate.tbsCertificate.extensions ?? []
  // RFC 5280 §4.2: never two instances of one extension; readers would choose differently.
  if (new Set(extensions.map((extension) => extension.extnID)).size !== extensions.length) {
    return refuse('an extension comes twice')
  }
  const byId = new Map(extensions.map((extension) => [extension.extnID, extension]))
  const unfit = unfitUse(asn1, byId)
  if (unfit !== undefined) return refuse(unfit)

  const names = byId.get(asn1.x509.id_ce_subjectAltName)
  const uris =
    names === undefined
      ? []
      : read(asn1, names, asn1.x509.SubjectAlternativeName).flatMap(
          (name) => name.uniformResourceIdentifier ?? [],
        )
  const [uri] = uris
  if (uri === undefined || uris.length > 1) return refuse('not exactly one URI SAN')
  const id = parseSpiffeId(uri)
  if (id === undefined) return fail('client_spiffe_id_malformed')
  return trustDomainOf(id) === trustDomain
    ? ok(id)
    : fail('client_trust_domain_not_allowed', trustDomainOf(id))
}

/** X509-SVID.md §4.1, §4.3: a leaf is no CA, and signs neither certificates nor revocation lists. */
function unfitUse(asn1: Asn1, byId: ReadonlyMap<string, Extension>): string | undefined {
  const { x509 } = asn1
  const constraints = byId.get(x509.id_ce_basicConstraints)
  if (constraints !== undefined && read(asn1, constraints, x509.BasicConstraints).cA) {
    return 'a certificate authority'
  }
  const usage = byId.get(x509.id_ce_keyUsage)
  if (usage === undefined) return 'no key usage'
  const bits = read(asn1, usage, x509.KeyUsage).toNumber()
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags
  if ((bits & digitalSignature) === 0) return 'key usage without digitalSignature'
  return (bits & (keyCertSign | cRLSign)) === 0 ? undefined : 'key usage of an authority'
}

function read<T>(asn1: Asn1, extension: Extension, type: new () => T): T {
  return asn1.schema.AsnConvert.parse(extension.extnValue.buffer, type)
}

const refuse = (detail: string): Failure => fail('client_certificate_not_accepted', detail)

function forgetOldest(checked: Map<string, CheckedLeaf>): void {
  const [oldest] = checked.keys()
  if (oldest !== undefined) checked.delete(oldest)
}
