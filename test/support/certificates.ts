// Owns a small certificate authority for tests: X.509-SVIDs as a mesh issues them, and wrong ones.
// Must not be used outside tests; every key lives in memory.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

export interface TestCertificate {
  readonly der: Buffer
  readonly certPem: string
  readonly keyPem: string
  readonly key: KeyObject
}

export interface TestCa extends TestCertificate {
  readonly trustDomain: string
  readonly subject: Name
}

/** What a certificate may have that is not an SVID's; `'absent'` leaves the extension out. */
export interface CertificateOverrides {
  /** Replaces the SPIFFE ID; in order, as they are, whatever they contain. */
  readonly uris?: readonly string[]
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  /** Default: an empty subject, as Istio's. */
  readonly subject?: { readonly organization?: string; readonly commonName?: string }
  readonly isCa?: boolean | 'absent'
  readonly keyUsage?: readonly (keyof typeof KeyUsageFlags)[] | 'absent'
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Extensions appended as they are, e.g. a second subjectAltName. */
  readonly extraExtensions?: readonly Extension[]
}

const ECDSA_SHA256 = '1.2.840.10045.4.3.2'
const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectAltName: '2.5.29.17',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const
const HOUR_MS = 3_600_000

/** Makes a root for a trust domain. Its name is unique, so two roots never stand in for each other. */
export function makeCa(trustDomain: string): TestCa {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = nameOf({
    organization: trustDomain,
    commonName: `root ${randomBytes(4).toString('hex')}`,
  })
  const certificate = issue(keys, {
    issuer: subject,
    issuerKey: keys.privateKey,
    subject,
    uris: [`spiffe://${trustDomain}`],
    isCa: true,
    keyUsage: ['keyCertSign', 'cRLSign'],
    extendedKeyUsage: false,
  })
  return { ...certificate, trustDomain, subject }
}

/** Issues an X.509-SVID with a fresh P-256 key, good as client and as server; see overrides. */
export function issueSvid(
  ca: TestCa,
  spiffeId: string,
  overrides: CertificateOverrides = {},
): TestCertificate {
  const { subject, ...rest } = overrides
  return issue(generateKeyPairSync('ec', { namedCurve: 'P-256' }), {
    issuer: ca.subject,
    issuerKey: ca.key,
    subject: nameOf(subject ?? {}),
    uris: [spiffeId],
    isCa: false,
    keyUsage: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsage: true,
    ...rest,
  })
}

/** A subjectAltName extension, for `extraExtensions`. */
export function subjectAltName(
  names: Pick<CertificateOverrides, 'uris' | 'dns' | 'ips'>,
  critical = false,
): Extension {
  return extension(
    OID.subjectAltName,
    critical,
    new SubjectAlternativeName([
      ...(names.uris ?? []).map((uri) => new GeneralName({ uniformResourceIdentifier: uri })),
      ...(names.dns ?? []).map((dns) => new GeneralName({ dNSName: dns })),
      ...(names.ips ?? []).map((ip) => new GeneralName({ iPAddress: ip })),
    ]),
  )
}

interface Order extends Omit<CertificateOverrides, 'subject'> {
  readonly issuer: Name
  readonly issuerKey: KeyObject
  readonly subject: Name
  readonly extendedKeyUsage: boolean
}

function issue(
  keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  order: Order,
): TestCertificate {
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_SHA256 })
  const spki = keys.publicKey.export({ format: 'der', type: 'spki' })
  const now = Date.now()
  const tbs = new TBSCertificate({
    version: Version.v3,
    serialNumber: arrayBuffer(Buffer.concat([Buffer.of(0x40), randomBytes(15)])),
    signature: algorithm,
    issuer: order.issuer,
    validity: new Validity({
      notBefore: order.notBefore ?? new Date(now - HOUR_MS),
      notAfter: order.notAfter ?? new Date(now + 24 * HOUR_MS),
    }),
    subject: order.subject,
    subjectPublicKeyInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(order)),
  })
  const signed = AsnConvert.serialize(tbs)
  const der = Buffer.from(
    AsnConvert.serialize(
      new Certificate({
        tbsCertificate: tbs,
        signatureAlgorithm: algorithm,
        signatureValue: arrayBuffer(sign('sha256', Buffer.from(signed), order.issuerKey)),
      }),
    ),
  )
  return {
    der,
    certPem: pem('CERTIFICATE', der),
    keyPem: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    key: keys.privateKey,
  }
}

function extensionsOf(order: Order): Extension[] {
  const extensions: Extension[] = []
  const hasNames = [order.uris, order.dns, order.ips].some((names) => (names ?? []).length > 0)
  // RFC 5280 §4.2.1.6: critical where the subject is empty.
  if (hasNames) extensions.push(subjectAltName(order, order.subject.length === 0))
  if (order.isCa !== 'absent') {
    const constraints = new BasicConstraints({ cA: order.isCa ?? false })
    extensions.push(extension(OID.basicConstraints, true, constraints))
  }
  if (order.keyUsage !== 'absent') {
    const bits = (order.keyUsage ?? []).reduce((all, name) => all | KeyUsageFlags[name], 0)
    extensions.push(extension(OID.keyUsage, true, new KeyUsage(bits)))
  }
  if (order.extendedKeyUsage) {
    const usages = new ExtendedKeyUsage([OID.serverAuth, OID.clientAuth])
    extensions.push(extension(OID.extendedKeyUsage, false, usages))
  }
  return [...extensions, ...(order.extraExtensions ?? [])]
}

function extension(id: string, critical: boolean, value: object): Extension {
  return new Extension({
    extnID: id,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  })
}

function nameOf(subject: { organization?: string; commonName?: string }): Name {
  const part = (type: string, text: string | undefined) =>
    text === undefined
      ? []
      : [
          new RelativeDistinguishedName([
            new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: text }) }),
          ]),
        ]
  return new Name([
    ...part(OID.organization, subject.organization),
    ...part(OID.commonName, subject.commonName),
  ])
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
