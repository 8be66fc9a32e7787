import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMtls } from '../../src/clients/mtls.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import {
  type CertificateOverrides,
  issueSvid,
  makeCa,
  subjectAltName,
} from '../support/certificates.ts'

const CA = makeCa('cluster.local')
const CART = 'spiffe://cluster.local/ns/default/sa/cart'
const NOW = Date.now()

async function answer(der: Uint8Array, now = NOW) {
  const result = await createMtls({ trustDomain: 'cluster.local' })(der, now)
  return result.ok ? result.value : result.reason
}

test('SC-04: the URI SAN of an X.509-SVID is the caller', async () => {
  assert.equal(await answer(issueSvid(CA, CART).der), CART)
})

test('what an SVID may have besides', async () => {
  const allowed: CertificateOverrides[] = [
    { dns: ['cart.default.svc'], ips: ['10.0.0.1'] },
    { subject: { organization: 'x', commonName: 'spiffe://cluster.local/ns/x/sa/y' } },
    // RFC 5280 §4.2.1.9: absent means no authority.
    { isCa: 'absent' },
    { keyUsage: ['digitalSignature'] },
    { keyUsage: ['digitalSignature', 'keyEncipherment', 'keyAgreement'] },
  ]
  for (const overrides of allowed) {
    assert.equal(await answer(issueSvid(CA, CART, overrides).der), CART, JSON.stringify(overrides))
  }
})

const DENIED: Readonly<Record<string, readonly [Reason, CertificateOverrides]>> = {
  'no URI SAN': ['client_certificate_not_accepted', { uris: [], dns: ['cart.example'] }],
  'no SAN at all': ['client_certificate_not_accepted', { uris: [] }],
  'a common name is no identity': [
    'client_certificate_not_accepted',
    { uris: [], subject: { commonName: CART } },
  ],
  'two URI SANs': ['client_certificate_not_accepted', { uris: [CART, 'https://cart.example'] }],
  'the same URI SAN twice': ['client_certificate_not_accepted', { uris: [CART, CART] }],
  'a second SAN extension': [
    'client_certificate_not_accepted',
    {
      extraExtensions: [subjectAltName({ uris: ['spiffe://cluster.local/ns/default/sa/victim'] })],
    },
  ],
  'an authority': ['client_certificate_not_accepted', { isCa: true }],
  'no key usage': ['client_certificate_not_accepted', { keyUsage: 'absent' }],
  'key usage without digitalSignature': [
    'client_certificate_not_accepted',
    { keyUsage: ['keyEncipherment'] },
  ],
  'key usage with keyCertSign': [
    'client_certificate_not_accepted',
    { keyUsage: ['digitalSignature', 'keyCertSign'] },
  ],
  'key usage with cRLSign': [
    'client_certificate_not_accepted',
    { keyUsage: ['digitalSignature', 'cRLSign'] },
  ],
  'a URI that is no SPIFFE ID': ['client_spiffe_id_malformed', { uris: ['https://cart.example/'] }],
  'a trust domain alone': ['client_spiffe_id_malformed', { uris: ['spiffe://cluster.local'] }],
  'a NUL in the URI': ['client_spiffe_id_malformed', { uris: [`${CART}\0.evil.example`] }],
  'field-6 #23: another trust domain': [
    'client_trust_domain_not_allowed',
    { uris: ['spiffe://other.example/ns/default/sa/cart'] },
  ],
  'a trust domain that begins like ours': [
    'client_trust_domain_not_allowed',
    { uris: ['spiffe://cluster.local.evil.example/ns/default/sa/cart'] },
  ],
}

for (const [name, [reason, overrides]] of Object.entries(DENIED)) {
  test(`refused: ${name}`, async () => {
    assert.equal(await answer(issueSvid(CA, CART, overrides).der), reason)
  })
}

test('a certificate may run out while its connection lives', async () => {
  const authenticate = createMtls({ trustDomain: 'cluster.local' })
  const notAfter = new Date(Math.floor(NOW / 1000) * 1000 + 60_000)
  const { der } = issueSvid(CA, CART, { notBefore: new Date(NOW - 60_000), notAfter })
  assert.equal((await authenticate(der, notAfter.getTime())).ok, true)
  const late = await authenticate(der, notAfter.getTime() + 1)
  assert.equal(late.ok ? '' : late.reason, 'client_certificate_not_accepted')
  const early = await authenticate(der, NOW - 120_000)
  assert.equal(early.ok ? '' : early.reason, 'client_certificate_not_accepted')
})

test('what is remembered of one certificate is not said of another', async () => {
  const authenticate = createMtls({ trustDomain: 'cluster.local' })
  const good = issueSvid(CA, CART).der
  const bad = issueSvid(CA, CART, { isCa: true }).der
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await authenticate(good, NOW)).ok, true)
    assert.equal((await authenticate(bad, NOW)).ok, false)
  }
  const other = issueSvid(CA, 'spiffe://cluster.local/ns/default/sa/other').der
  assert.deepEqual(await authenticate(other, NOW), {
    ok: true,
    value: 'spiffe://cluster.local/ns/default/sa/other',
  })
})

test('hostile bytes are refused, never thrown', async () => {
  const { der } = issueSvid(CA, CART)
  const hostile = [Buffer.alloc(0), Buffer.from('not DER'), der.subarray(0, der.length / 2)]
  for (let at = 0; at < der.length; at += 7) {
    const changed = Buffer.from(der)
    changed[at] = (changed[at] ?? 0) ^ 0x55
    hostile.push(changed)
  }
  const authenticate = createMtls({ trustDomain: 'cluster.local' })
  for (const bytes of hostile) {
    const result = await authenticate(bytes, NOW)
    // A changed byte may hit a name or the signature, which TLS verified; it must end in a value.
    assert.equal(typeof result.ok, 'boolean')
  }
  assert.equal(await answer(Buffer.from('not DER')), 'client_certificate_not_accepted')
})
