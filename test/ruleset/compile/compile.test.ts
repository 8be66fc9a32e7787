// What a rule file may say: each fault starts from a right file, changes one thing and names its place.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseSpiffeId } from '../../../src/clients/spiffe-id.ts'
import { parseIdentityPattern } from '../../../src/ruleset/identity.ts'
import { loadRuleset } from '../../../src/ruleset/load.ts'
import { BOUTIQUE, CONTEXT, compiled, load, told } from '../../support/rules.ts'

const id = (text: string) => {
  const parsed = parseSpiffeId(text)
  assert.ok(parsed)
  return parsed
}

describe('compileRuleset', () => {
  it('knows services by SPIFFE ID, audience and name', () => {
    const rules = compiled(BOUTIQUE)
    const checkout = rules.services.get('boutique/checkout')
    assert.ok(checkout)
    assert.equal(rules.serviceOf(id('spiffe://cluster.local/ns/boutique/sa/checkout')), checkout)
    assert.equal(rules.serviceOf(id('spiffe://partner.example/ns/boutique/sa/checkout')), undefined)
    assert.equal(rules.targets.get('https://checkout.boutique.example'), checkout)
    assert.equal(rules.services.get('boutique/payment')?.audience, 'payment.boutique')
    assert.equal(checkout.lifetimeSeconds, 300)
  })

  it('refuses a service that is this deployment itself', () => {
    const own = 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts'
    const problemsOf = (identity: string, ownIdentity: string | undefined) => {
      const text = BOUTIQUE.replace('scopes: [ui]', `identity: "${identity}"`)
      return told(
        loadRuleset([{ file: 'rules/0.yaml', text }], { ...CONTEXT, ownIdentity }).problems,
      )
    }
    for (const identity of [own, 'spiffe://cluster.local/ns/mesh-sts/sa/*']) {
      assert.deepEqual(problemsOf(identity, undefined), [])
      assert.deepEqual(problemsOf(identity, own), [
        `6:15 identity ${identity} is this deployment's own (client_auth.xfcc.self)`,
      ])
    }
    assert.deepEqual(problemsOf('spiffe://cluster.local/ns/mesh-sts/sa/other', own), [])
  })

  const faults: readonly (readonly [string, string, string, string[]])[] = [
    ['an unknown key', 'lifetime: 5m', 'lifetme: 5m', ['12:13 unknown key → lifetime']],
    [
      'a call to nobody',
      'calls: [checkout]',
      'calls: [chekout]',
      ['7:13 no service boutique/chekout → boutique/checkout'],
    ],
    [
      'a caller that does not exist',
      'from: frontend',
      'from: fronted',
      ['15:15 no service boutique/fronted → boutique/frontend'],
    ],
    [
      'a namespace that does not exist',
      'from: frontend',
      'from: boutiqe/*',
      ['15:15 no namespace boutiqe → boutique'],
    ],
    [
      'an issuer that does not exist',
      'issuer: corporate',
      'issuer: corporat',
      ['16:17 no issuer corporat in the issuers file → corporate'],
    ],
    [
      'a scope that the target does not have',
      'checkout:quote: [shop',
      'checkout:qoute: [shop',
      ['18:11 boutique/checkout has no scope checkout:qoute → checkout:quote'],
    ],
    [
      'a justification that our own tokens cannot bring',
      '[checkout:place]}\n  mailer',
      '[checkout:plaice]}\n  mailer',
      [
        '26:18 boutique/checkout has no scope checkout:plaice that could justify this → checkout:place',
      ],
    ],
    [
      'a registered claim',
      'claims: [email, risk]',
      'claims: [email, sub]',
      ['11:21 claim sub is registered or ours and cannot be passed on'],
    ],
    [
      'a lifetime without unit',
      'lifetime: 5m',
      'lifetime: "5"',
      ['12:23 a lifetime is a duration from 10s to 1h, as 5m'],
    ],
    [
      'a lifetime that is too long',
      'lifetime: 5m',
      'lifetime: 2h',
      ['12:23 a lifetime is a duration from 10s to 1h, as 5m'],
    ],
    [
      'an algorithm that the deployment has no key for',
      'lifetime: 5m',
      'algorithm: PS256',
      ['12:24 keys.algorithms of this deployment lists ES256, RS256 only'],
    ],
    [
      'field-6 #11 two rules for one caller and issuer',
      'actors: [agents]',
      'actors: [agents]\n      - {from: frontend, issuer: corporate, scopes: [checkout:quote]}',
      [
        '21:16 another rule of boutique/checkout already covers boutique/frontend with issuer corporate',
      ],
    ],
    [
      'field-6 #11 a glob over a named caller',
      'actors: [agents]',
      'actors: [agents]\n      - {from: boutique/*, issuer: corporate, scopes: [checkout:quote]}',
      ['21:16 another rule of boutique/checkout already covers boutique/* with issuer corporate'],
    ],
    [
      'an identity in a trust domain that is not ours',
      'scopes: [ui]',
      'identity: spiffe://else.example/x',
      ['6:15 trust domain else.example is not in trust_domains (cluster.local, partner.example)'],
    ],
    [
      'field-6 #10 an identity pattern with alternatives',
      'scopes: [ui]',
      'identity: "spiffe://cluster.local/ns/a|b/sa/x"',
      ['6:15 an identity is a SPIFFE ID in which `*` may stand for one whole path segment'],
    ],
    [
      'field-6 #10 an identity pattern within a segment',
      'scopes: [ui]',
      'identity: "spiffe://cluster.local/ns/pay*/sa/x"',
      ['6:15 an identity is a SPIFFE ID in which `*` may stand for one whole path segment'],
    ],
    [
      'field-6 #10 an identity pattern for the trust domain',
      'scopes: [ui]',
      'identity: "spiffe://*/ns/a/sa/x"',
      ['6:15 an identity is a SPIFFE ID in which `*` may stand for one whole path segment'],
    ],
    [
      'an identity of two services',
      'scopes: [ui]',
      'identity: spiffe://cluster.local/ns/boutique/sa/checkout',
      [
        '6:15 identity spiffe://cluster.local/ns/boutique/sa/checkout also belongs to boutique/checkout',
      ],
    ],
    [
      'an identity glob that meets another service',
      'scopes: [ui]',
      'identity: "spiffe://cluster.local/ns/*/sa/payment"',
      [
        '21:3 identity spiffe://cluster.local/ns/boutique/sa/payment also belongs to boutique/frontend',
      ],
    ],
    [
      'audiences that are one to Envoy',
      'audience: https://checkout.boutique.example',
      'audience: http://frontend.boutique.example/',
      [
        '5:15 audience https://frontend.boutique.example is the same to Envoy as http://frontend.boutique.example/ of boutique/checkout',
      ],
    ],
    [
      'audiences that look alike',
      'audience: https://checkout.boutique.example',
      'audience: https://fr0ntend.boutique.example',
      [
        '5:15 audience https://frontend.boutique.example looks like https://fr0ntend.boutique.example of boutique/checkout',
      ],
    ],
    [
      'an audience that requests could not name, for it could be a token (P7)',
      'audience: https://checkout.boutique.example',
      `audience: https://${'a'.repeat(80)}.example`,
      ['9:15 it could be taken for a token: at most 79 letters, digits, - and _ in a row'],
    ],
    [
      'an audience that reads like a name',
      'audience: https://checkout.boutique.example',
      'audience: payment',
      ['9:15 audience payment reads like a service name: write a URI or a dotted name'],
    ],
    [
      "this service's own issuer as audience",
      'audience: https://checkout.boutique.example',
      'audience: https://sts.boutique.example/',
      ["9:15 audience is this service's own issuer URL"],
    ],
    [
      'an empty list of scopes',
      'scopes: {mail:send: [checkout:place]}',
      'scopes: {}',
      ['32:9 a rule without scopes allows nothing'],
    ],
    [
      'an external caller',
      'scopes: [ui]',
      'external: true',
      [
        '7:5 an external service is only a target: it has no calls',
        '15:15 boutique/frontend is external: it calls nobody',
      ],
    ],
    [
      'actors where nobody acts',
      'act: impersonate',
      'act: impersonate\n        actors: [agents]',
      ['32:9 impersonation takes no actor token'],
    ],
    [
      'a scope that stands twice',
      'scopes: [ui]',
      'scopes: [ui, ui]',
      ['6:18 ui stands twice in scopes'],
    ],
  ]
  for (const [name, from, to, expected] of faults) {
    it(`refuses ${name}`, () => {
      const changed = BOUTIQUE.replace(from, to)
      assert.notEqual(changed, BOUTIQUE, 'the fault changes the file')
      const { ruleset, problems } = load(changed)
      assert.deepEqual(told(problems), expected)
      assert.equal(ruleset, undefined)
    })
  }

  for (const other of [
    'HTTPS://Frontend.boutique.example',
    'https://frontend.boutique.example:443',
  ]) {
    it(`refuses audience ${other} beside https://frontend.boutique.example`, () => {
      const { problems } = load(BOUTIQUE.replace('https://checkout.boutique.example', other))
      assert.match(told(problems).join(), /^5:15 audience .* looks like /)
    })
  }

  it('tells all faults of all files at once', () => {
    const { problems } = load(
      BOUTIQUE.replace('calls: [checkout]', 'calls: [chekout]').replace(
        'issuer: corporate',
        'issuer: corp',
      ),
      'namespace: other\nservices: {a: {calls: [b]}}',
    )
    assert.deepEqual(
      problems.map(({ file, line }) => `${file}:${line}`),
      ['rules/0.yaml:7', 'rules/0.yaml:16', 'rules/1.yaml:2'],
    )
  })

  it('refuses one service in two files', () => {
    const { problems } = load(BOUTIQUE, 'namespace: boutique\nservices:\n  mailer: {}')
    assert.deepEqual(told(problems), ['3:3 service boutique/mailer is defined more than once'])
  })

  it('refuses names that look alike', () => {
    const { problems } = load('namespace: a\nservices:\n  pay1: {}\n  payl: {}')
    assert.match(told(problems).join('\n'), /a\/payl looks like a\/pay1/)
  })

  it('P6 decides alike and hashes alike in any order of files and rules', () => {
    const a = 'namespace: a\nservices: {x: {scopes: [s, t], calls: [b/y]}, w: {calls: [b/y]}}'
    const rules = [
      '{from: a/x, scopes: {u: [s, t]}}',
      '{from: a/w, issuer: corporate, scopes: {u: [z]}}',
      '{from: a/w, issuer: agents, scopes: {u: [q]}}',
    ]
    const file = (order: string[]) =>
      `namespace: b\nservices: {y: {scopes: [u], accepts: [${order.join(', ')}]}}`
    const hash = compiled(a, file(rules)).hash
    fc.assert(
      fc.property(fc.shuffledSubarray(rules, { minLength: 3 }), fc.boolean(), (order, swap) => {
        const texts = swap ? [file(order), a] : [a, file(order)]
        assert.equal(compiled(...texts).hash, hash)
      }),
    )
    assert.notEqual(compiled(a, file(rules.slice(1))).hash, hash)
  })
})

describe('identity patterns', () => {
  const glob = BOUTIQUE.replace(
    'scopes: [ui]',
    'identity: ["spiffe://cluster.local/ns/*/sa/web", spiffe://partner.example/web]',
  )
  it('a star is exactly one segment', () => {
    const { serviceOf } = compiled(glob)
    const found = (text: string) => serviceOf(id(text))?.name
    assert.equal(found('spiffe://cluster.local/ns/any/sa/web'), 'boutique/frontend')
    assert.equal(found('spiffe://partner.example/web'), 'boutique/frontend')
    assert.equal(found('spiffe://cluster.local/ns/any/other/sa/web'), undefined)
    assert.equal(found('spiffe://cluster.local/ns/sa/web'), undefined)
    assert.equal(found('spiffe://cluster.local/ns/any/sa/web/x'), undefined)
    assert.equal(found('spiffe://partner.example/ns/any/sa/web'), undefined)
  })
  it('hostile: parsing never throws and accepts only whole-segment stars', () => {
    const part = fc.constantFrom(
      'spiffe://',
      'cluster.local',
      '/',
      '*',
      '/*',
      'a',
      '..',
      '|',
      '.*',
      '%2f',
      '0star0',
      ' ',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const pattern = parseIdentityPattern(parts.join(''))
        if (pattern === undefined) return
        assert.match(pattern.text, /^spiffe:\/\/[a-z0-9._-]+(\/(\*|[A-Za-z0-9._-]+))+$/)
        assert.equal(pattern.isExact, !pattern.segments.includes('*'))
      }),
      { numRuns: 5000 },
    )
  })
})
