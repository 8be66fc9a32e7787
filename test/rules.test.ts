// Owns the test of the shipped rules: they load as they stand, and decide as their comments say.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { loadDeployment } from '../src/cli/deployment.ts'
import { parseSpiffeId } from '../src/clients/spiffe-id.ts'
import { prepareProfile } from '../src/dev/profile.ts'
import { decide } from '../src/ruleset/decide.ts'
import type { Facts } from '../src/ruleset/decision.ts'
import type { Ruleset } from '../src/ruleset/ruleset.ts'

const STS = 'http://127.0.0.1:8081'
const CORPORATE = 'http://127.0.0.1:8083'
let folder: string
let rules: Ruleset

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
  const { configFile } = await prepareProfile({
    folder,
    ports: { token: 8080, public: 8081, admin: 8082, identity: 8083 },
    rules: join(process.cwd(), 'rules'),
  })
  const { ruleset, problems } = loadDeployment(configFile, {})
  assert.deepEqual(problems, [])
  assert.ok(ruleset)
  rules = ruleset
})
after(() => rmSync(folder, { recursive: true, force: true }))

interface Asked {
  /** Who calls, by SPIFFE ID after `spiffe://cluster.local/ns/`. */
  readonly caller: string
  readonly issuer: 'corporate' | 'self'
  /** What the subject token brings. */
  readonly brings: string
  readonly target: string
  /** Undefined asks for everything. */
  readonly scope?: string
  readonly act?: true
  readonly actor?: true
}

const ALICE = 'shop:browse shop:buy shop:verified'
/** What is asked → the scopes that are granted, or the reason of the denial. */
const DECISIONS: readonly (readonly [string, Asked, string])[] = [
  [
    'a verified shopper places an order',
    { caller: 'boutique/sa/frontend', issuer: 'corporate', brings: ALICE, target: 'checkout' },
    'checkout:quote checkout:place',
  ],
  [
    'all means all: without shop:verified there is no order',
    {
      caller: 'boutique/sa/frontend',
      issuer: 'corporate',
      brings: 'shop:browse shop:buy',
      target: 'checkout',
      scope: 'checkout:place',
    },
    'scope_not_justified',
  ],
  [
    'any of two justifies a quote',
    {
      caller: 'boutique/sa/frontend',
      issuer: 'corporate',
      brings: 'shop:browse',
      target: 'checkout',
    },
    'checkout:quote',
  ],
  [
    'the order is charged by checkout',
    { caller: 'boutique/sa/checkout', issuer: 'self', brings: 'checkout:place', target: 'payment' },
    'payment:charge',
  ],
  [
    'a quote may not become a charge',
    {
      caller: 'boutique/sa/checkout',
      issuer: 'self',
      brings: 'checkout:quote',
      target: 'payment',
      scope: 'payment:charge',
    },
    'scope_not_justified',
  ],
  [
    'checkout refunds nothing',
    {
      caller: 'boutique/sa/checkout',
      issuer: 'self',
      brings: 'checkout:place',
      target: 'payment',
      scope: 'payment:refund',
    },
    'scope_not_justified',
  ],
  [
    'frontend does not reach payment',
    { caller: 'boutique/sa/frontend', issuer: 'corporate', brings: ALICE, target: 'payment' },
    'target_not_in_calls',
  ],
  [
    'a user token is no token of checkout',
    { caller: 'boutique/sa/checkout', issuer: 'corporate', brings: ALICE, target: 'payment' },
    'target_issuer_not_accepted',
  ],
  [
    'payment reaches the card network, in another security domain',
    {
      caller: 'boutique/sa/payment',
      issuer: 'self',
      brings: 'payment:charge',
      target: 'https://api.cards.example',
    },
    'cards:authorize',
  ],
  [
    'nobody obtains a token for frontend',
    {
      caller: 'boutique/sa/checkout',
      issuer: 'self',
      brings: 'checkout:place',
      target: 'frontend',
    },
    'target_not_in_calls',
  ],
  [
    'checkout has it sent',
    {
      caller: 'boutique/sa/checkout',
      issuer: 'self',
      brings: 'checkout:place',
      target: 'shipping',
    },
    'shipping:quote shipping:send',
  ],
  [
    'checkout has it confirmed',
    { caller: 'boutique/sa/checkout', issuer: 'self', brings: 'checkout:place', target: 'email' },
    'email:confirm',
  ],
  [
    'browsing fills no cart',
    {
      caller: 'boutique/sa/frontend',
      issuer: 'corporate',
      brings: 'shop:browse',
      target: 'cart',
      scope: 'cart:write',
    },
    'scope_not_justified',
  ],
  [
    'the same name justifies: recommendation passes catalog:read on',
    {
      caller: 'boutique/sa/recommendation',
      issuer: 'self',
      brings: 'recommendation:list catalog:read',
      target: 'catalog',
    },
    'catalog:read',
  ],
  [
    'a recommendation alone reads no catalog',
    {
      caller: 'boutique/sa/recommendation',
      issuer: 'self',
      brings: 'recommendation:list',
      target: 'catalog',
    },
    'scope_none_justified',
  ],
  [
    'ads are shown as the user',
    { caller: 'boutique/sa/frontend', issuer: 'corporate', brings: 'shop:browse', target: 'ads' },
    'ads:show',
  ],
  [
    'ads take no token that carries act',
    {
      caller: 'boutique/sa/frontend',
      issuer: 'corporate',
      brings: 'shop:browse',
      target: 'ads',
      act: true,
    },
    'act_impersonation_refused',
  ],
  [
    'support reads an order, with the employee as actor',
    {
      caller: 'backoffice/sa/support',
      issuer: 'corporate',
      brings: 'support:orders',
      target: 'https://checkout.boutique.example',
      actor: true,
    },
    'checkout:read',
  ],
  [
    'frontend brings no actor',
    {
      caller: 'boutique/sa/frontend',
      issuer: 'corporate',
      brings: ALICE,
      target: 'checkout',
      actor: true,
    },
    'actor_not_allowed',
  ],
  [
    'a refund needs an approval',
    {
      caller: 'backoffice/sa/support',
      issuer: 'corporate',
      brings: 'support:refunds',
      target: 'boutique/payment',
      scope: 'payment:refund',
    },
    'scope_not_justified',
  ],
  [
    'an approved refund',
    {
      caller: 'backoffice/sa/support',
      issuer: 'corporate',
      brings: 'support:refunds support:approved',
      target: 'boutique/payment',
    },
    'payment:refund',
  ],
  [
    'a deny wins: reporting is part of backoffice/* and kept out of payment',
    {
      caller: 'reporting/sa/monthly',
      issuer: 'corporate',
      brings: 'books:read',
      target: 'boutique/payment',
    },
    'target_denied',
  ],
  [
    'every service account of the namespace reporting is reporting',
    {
      caller: 'reporting/sa/daily',
      issuer: 'corporate',
      brings: 'books:read',
      target: 'boutique/catalog',
    },
    'catalog:read',
  ],
  [
    'an unknown target',
    { caller: 'boutique/sa/frontend', issuer: 'corporate', brings: ALICE, target: 'cartt' },
    'target_unknown',
  ],
]

for (const [name, asked, expected] of DECISIONS) {
  test(`boutique: ${name}`, () => {
    const decision = decide(rules, factsOf(asked))
    assert.equal(decision.allow ? decision.scopes.join(' ') : decision.reason, expected)
  })
}

function factsOf(asked: Asked): Facts {
  const id = parseSpiffeId(`spiffe://cluster.local/ns/${asked.caller}`)
  const service = id && rules.serviceOf(id)
  assert.ok(id && service, asked.caller)
  const iss = asked.issuer === 'self' ? STS : CORPORATE
  return {
    caller: { service, id, iss: undefined },
    subject: {
      issuer: asked.issuer,
      iss,
      sub: 'alice',
      scopes: new Set(asked.brings.split(' ')),
      act: asked.act && { sub: 'somebody' },
      mayAct: undefined,
    },
    actor: asked.actor && { issuer: 'corporate', iss: CORPORATE, sub: 'erin' },
    request: { audiences: [asked.target], resources: [], scopes: asked.scope?.split(' ') },
    selfIss: STS,
  }
}

test('boutique: claims narrow from hop to hop', () => {
  const claims = (name: string) => rules.services.get(`boutique/${name}`)?.claims
  assert.deepEqual(claims('checkout'), ['email', 'address'])
  assert.deepEqual(claims('email'), ['email'])
  assert.deepEqual(claims('shipping'), ['address'])
  assert.deepEqual(claims('payment'), [])
})

test('boutique: no service account outside the namespace reporting is reporting', () => {
  for (const text of ['reporting2/sa/x', 'reporting/sa/x/y', 'backoffice/sa/reporting']) {
    const id = parseSpiffeId(`spiffe://cluster.local/ns/${text}`)
    assert.ok(id)
    assert.equal(rules.serviceOf(id), undefined, text)
  }
})
