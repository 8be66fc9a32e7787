import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientEvidence } from '../../src/clients/client.ts'
import { parseSpiffeId } from '../../src/clients/spiffe-id.ts'
import { createXfcc, DEFAULT_XFCC_PROXIES, type XfccOptions } from '../../src/clients/xfcc.ts'
import type { Reason } from '../../src/oauth/reasons.ts'

const SELF = parseSpiffeId('spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts')
assert.ok(SELF)
const HASH = 'ef32'.repeat(16)
const CART = 'spiffe://cluster.local/ns/default/sa/cart'
const VICTIM = 'spiffe://cluster.local/ns/default/sa/victim'
const element = (uri: string, by: string = SELF) => `By=${by};Hash=${HASH};Subject="";URI=${uri}`

type Evidence = Pick<ClientEvidence, 'peerAddress' | 'xfccLines'>
const OPTIONS: XfccOptions = {
  proxies: DEFAULT_XFCC_PROXIES,
  mode: 'sanitize_set',
  self: SELF,
  trustDomains: new Set(['cluster.local']),
}
const VALID: Evidence = { peerAddress: '127.0.0.6', xfccLines: [element(CART)] }

function authenticate(evidence: Partial<Evidence> = {}, options: Partial<XfccOptions> = {}) {
  return createXfcc({ ...OPTIONS, ...options })({ ...VALID, ...evidence })
}

const reasonOf = (...change: Parameters<typeof authenticate>) => {
  const result = authenticate(...change)
  return result.ok ? result.value : result.reason
}

for (const mode of ['sanitize_set', 'append_forward'] as const) {
  test(`${mode}: the peer of the sidecar is the caller`, () => {
    assert.deepEqual(authenticate({}, { mode }), { ok: true, value: CART })
  })
}

test('a waypoint’s element without a hash names the caller', () => {
  assert.equal(reasonOf({ xfccLines: [`By=${SELF};URI=${CART}`] }), CART)
})

test('append_forward: the last element counts, not what came before it', () => {
  const xfccLines = [`${element(VICTIM)},${element(CART)}`]
  assert.equal(reasonOf({ xfccLines }, { mode: 'append_forward' }), CART)
})

for (const peerAddress of ['127.0.0.1', '127.0.0.6', '::1', '::6', '::ffff:127.0.0.6', '0:0::6']) {
  test(`a sidecar in this pod dials from ${peerAddress}`, () => {
    assert.equal(reasonOf({ peerAddress }), CART)
  })
}

test('a configured proxy replaces the default ones', () => {
  const options = { proxies: ['10.0.0.7', 'FD00:0::1'] }
  assert.equal(reasonOf({ peerAddress: '10.0.0.7' }, options), CART)
  assert.equal(reasonOf({ peerAddress: 'fd00::1' }, options), CART)
  assert.equal(reasonOf({}, options), 'client_xfcc_peer_not_trusted')
})

test('no proxy means nobody, a proxy that is no address means no start', () => {
  assert.equal(reasonOf({}, { proxies: [] }), 'client_xfcc_peer_not_trusted')
  for (const proxy of ['10.0.0.0/8', 'localhost', '*', '']) {
    assert.throws(() => createXfcc({ ...OPTIONS, proxies: [proxy] }), TypeError)
  }
})

const DENIED: Readonly<
  Record<string, { reason: Reason; evidence?: Partial<Evidence>; options?: Partial<XfccOptions> }>
> = {
  'field-6 #16: a peer that is not pinned': {
    reason: 'client_xfcc_peer_not_trusted',
    evidence: { peerAddress: '10.1.2.3' },
  },
  'field-6 #16: a loopback address that is not pinned': {
    reason: 'client_xfcc_peer_not_trusted',
    evidence: { peerAddress: '127.0.0.2' },
  },
  'a peer without an address': {
    reason: 'client_xfcc_peer_not_trusted',
    evidence: { peerAddress: '' },
  },
  'plaintext: a sidecar sends no header': { reason: 'client_missing', evidence: { xfccLines: [] } },
  'two lines never passed Envoy': {
    reason: 'client_xfcc_repeated',
    evidence: { xfccLines: [element(CART), element(CART)] },
  },
  'an empty line': { reason: 'client_xfcc_malformed', evidence: { xfccLines: [''] } },
  'an open quote': {
    reason: 'client_xfcc_malformed',
    evidence: { xfccLines: [`${element(CART)};Cert="`] },
  },
  'JSON of Envoy 1.38': {
    reason: 'client_xfcc_json',
    evidence: { xfccLines: [`[{"by":["${SELF}"],"hash":"${HASH}","uri":["${CART}"]}]`] },
  },
  'P8, field-6 #16: a forged element in front, though the last is right': {
    reason: 'client_xfcc_several_elements',
    evidence: { xfccLines: [`${element(VICTIM)},${element(CART)}`] },
  },
  'P8, field-6 #16: a URI SAN that writes a whole element': {
    reason: 'client_xfcc_several_elements',
    evidence: { xfccLines: [element(`spiffe://cluster.local/x,${element(VICTIM)}`)] },
  },
  'By names another service': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [element(CART, `${SELF}x`)] },
  },
  'By differs by case': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [element(CART, SELF.toUpperCase())] },
  },
  'no By': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [`Hash=${HASH};Subject="";URI=${CART}`] },
  },
  'two By, one of them ours': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [`By=${SELF};${element(CART, 'spiffe://cluster.local/x')}`] },
  },
  'two By, both ours': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [`By=${SELF};${element(CART)}`] },
  },
  'no URI: the peer has no SPIFFE ID': {
    reason: 'client_xfcc_uri',
    evidence: { xfccLines: [`By=${SELF};Hash=${HASH};Subject="CN=x"`] },
  },
  'an empty URI': { reason: 'client_xfcc_uri', evidence: { xfccLines: [element('')] } },
  'two URIs': {
    reason: 'client_xfcc_uri',
    evidence: { xfccLines: [`${element(CART)};URI=${VICTIM}`] },
  },
  'an empty URI beside one': {
    reason: 'client_xfcc_uri',
    evidence: { xfccLines: [`By=${SELF};Subject="";URI=;URI=${CART}`] },
  },
  'a URI that is no SPIFFE ID': {
    reason: 'client_spiffe_id_malformed',
    evidence: { xfccLines: [element('https://cart.example/')] },
  },
  'a SPIFFE ID with percent encoding': {
    reason: 'client_spiffe_id_malformed',
    evidence: { xfccLines: [element('spiffe://cluster.local/ns/a%2fb')] },
  },
  'a trust domain without a workload': {
    reason: 'client_spiffe_id_malformed',
    evidence: { xfccLines: [element('spiffe://cluster.local')] },
  },
  'field-6 #23: another trust domain': {
    reason: 'client_trust_domain_not_allowed',
    evidence: { xfccLines: [element('spiffe://other.example/ns/default/sa/cart')] },
  },
  'no trust domain allowed': {
    reason: 'client_trust_domain_not_allowed',
    options: { trustDomains: new Set() },
  },
  'append_forward: the last element is another service’s': {
    reason: 'client_xfcc_by_mismatch',
    evidence: { xfccLines: [`${element(VICTIM)},${element(CART, 'spiffe://cluster.local/x')}`] },
    options: { mode: 'append_forward' },
  },
  'append_forward, field-6 #16: a prefix with an open quote': {
    reason: 'client_xfcc_malformed',
    evidence: { xfccLines: [`By=${SELF};URI=${VICTIM};Subject=",${element(CART)}`] },
    options: { mode: 'append_forward' },
  },
}

for (const [name, { reason, evidence, options }] of Object.entries(DENIED)) {
  test(`refused: ${name}`, () => {
    assert.equal(reasonOf(evidence, options), reason)
  })
}
