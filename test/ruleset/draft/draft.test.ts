// From observations to the text of rule files: what is in force, what is behind a `#`, what is asked.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSpiffeId } from '../../../src/clients/spiffe-id.ts'
import { type Observations, observed } from '../../../src/ruleset/draft/observed.ts'
import { planDraft } from '../../../src/ruleset/draft/plan.ts'
import { draftFiles, draftText } from '../../../src/ruleset/draft/text.ts'
import { loadRuleset } from '../../../src/ruleset/load.ts'
import type { Ruleset } from '../../../src/ruleset/ruleset.ts'
import { CONTEXT, compiled, load } from '../../support/rules.ts'
import { tickAll } from './tick.ts'

const NONE = compiled()
const id = (text: string) => {
  const parsed = parseSpiffeId(text)
  assert.ok(parsed)
  return parsed
}

function plan(seen: Partial<Observations>, ruleset: Ruleset = NONE) {
  return planDraft(observed(seen), {
    trustDomain: 'cluster.local',
    ownIdentity: 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts',
    selfIss: 'https://sts.mesh/',
    ruleset,
  })
}

/** The drafted files without their headers, by namespace. */
function drafts(seen: Partial<Observations>, ruleset?: Ruleset): Record<string, string> {
  const files = draftFiles(plan(seen, ruleset), 'a test')
  return Object.fromEntries(
    files.map((file) => [file.namespace, draftText(file).replace(/^[\s\S]*?(?=^namespace)/m, '')]),
  )
}

const questions = (seen: Partial<Observations>, ruleset?: Ruleset) =>
  plan(seen, ruleset).questions.map(({ text }) => text)

const named = (...names: string[]) =>
  names.map((name) => ({ name, by: 'name' as const, identity: undefined }))
const edge = (from: string, to: string, scopes: string[] = []) => ({
  from,
  to,
  scopes,
  source: 'in a test',
  hints: [],
})
/** An edge and its two ends. */
const edges = (...all: [from: string, to: string, scopes?: string[]][]) => ({
  services: named(...all.flatMap(([from, to]) => [from, to] as const)),
  edges: all.map(([from, to, scopes]) => edge(from, to, scopes)),
})

const T = Date.UTC(2026, 10, 23, 3, 0, 0)
const tally = { count: 1, first: T, last: T }
const ask = {
  from: 'boutique/checkout',
  to: 'boutique/payment',
  issuer: 'self',
  ...tally,
  reasons: { target_not_accepted: 1 },
  scopes: [{ scope: 'payment:charge', ...tally, brought: ['checkout:place'] }],
  unnamed: 0,
  lacksCall: true,
  rule: undefined,
  moreScopes: false,
} as const

describe('edges', () => {
  it('calls and scopes are in force; the rule is not, and asks for what it lacks', () => {
    assert.deepEqual(drafts(edges(['b/web', 'b/shop', ['s:x', 's:y']])), {
      b: `namespace: b
services:

  shop:
    scopes: [s:x, s:y]
#    accepts:
      # DECIDE b/web -> b/shop: with whose tokens (self, or an issuer), and which scopes of those justify s:x
      # s:y? Seen in a test.
#      - from: web
#        issuer: DECIDE
#        scopes:
#          s:x: []
#          s:y: []

  web:
    calls: [shop]
`,
    })
  })
  it('without scopes', () => {
    assert.match(
      drafts(edges(['b/web', 'b/shop'])).b ?? '',
      /^ {2}shop:\n {4}claims: \[\]\n# {4}scopes: \[DECIDE\]\n# {4}accepts:\n(?: {6}# .*\n)+# {6}- from: web\n# {8}issuer: DECIDE\n# {8}scopes:\n# {10}DECIDE: \[\]$/m,
    )
  })
  it('over namespaces: a file each, full names', () => {
    const files = drafts(edges(['a/web', 'b/shop']))
    assert.match(files.a ?? '', /^ {4}calls: \[b\/shop\]$/m)
    assert.match(files.b ?? '', /^# {6}- from: a\/web$/m)
    assert.equal(load(files.a ?? '', files.b ?? '').problems.length, 0)
  })
  it('the same edge twice is one, with the scopes of both', () => {
    const { services } = plan(edges(['b/web', 'b/shop', ['x']], ['b/web', 'b/shop', ['y', 'x']]))
    const [shop, web] = services
    assert.equal(shop?.rules.length, 1)
    assert.deepEqual(
      shop?.scopes.map(({ text }) => text),
      ['x', 'y'],
    )
    assert.deepEqual(
      web?.calls.map(({ text }) => text),
      ['b/shop'],
    )
  })
  it('a long list has an item a line', () => {
    const calls = Array.from(
      { length: 20 },
      (_, at) => `some-service-${String(at).padStart(2, '0')}`,
    )
    const text = drafts(edges(...calls.map((to): [string, string] => ['b/web', `b/${to}`]))).b ?? ''
    assert.match(text, /^ {2}web:\n {4}calls:\n {6}- some-service-00\n {6}- some-service-01$/m)
    assert.deepEqual(load(text).problems, [])
  })
  it('what was seen of a policy is told, each sighting once', () => {
    const base = edges(['b/web', 'b/shop'])
    const again = { ...edge('b/web', 'b/shop'), source: 'in policy b/x', hints: ['methods GET'] }
    const [shop] = plan({ ...base, edges: [...base.edges, again, again] }).services
    assert.match(
      shop?.rules[0]?.question ?? '',
      / Seen in a test, and in policy b\/x \(methods GET\)\.$/,
    )
  })
  it('a service that was seen by its label only: whether it runs as that account', () => {
    const seen = edges(['b/web', 'b/shop'])
    const byLabel = seen.services.map((one) => ({ ...one, by: 'label' as const }))
    const [shop, web] = plan({ ...seen, services: byLabel }).services
    assert.match(shop?.questions[0] ?? '', /^b\/shop was seen by its label or Service only/)
    assert.equal(web?.questions.length, 1)
    const [known] = plan({ ...seen, services: [...byLabel, ...named('b/shop')] }).services
    assert.deepEqual(known?.questions, [])
  })
})

describe('identities', () => {
  const partner = {
    name: 'b/web',
    by: 'identity' as const,
    identity: id('spiffe://p.example/ns/b/sa/web'),
  }
  const own = { ...partner, identity: undefined }
  const seen = edges(['b/web', 'b/shop'])
  const [, shop] = seen.services
  assert.ok(shop)

  it('one that is not the default is written', () => {
    const text = drafts({ ...seen, services: [partner, shop] }).b ?? ''
    assert.match(
      text,
      /^ {2}web:\n {4}identity: spiffe:\/\/p\.example\/ns\/b\/sa\/web\n {4}calls: \[shop\]$/m,
    )
  })
  it('two of one name are no one service', () => {
    const both = { ...seen, services: [partner, own, shop] }
    assert.deepEqual(drafts(both).b?.includes('web:'), false)
    assert.deepEqual(questions(both), [
      'b/web is left out: it was seen as spiffe://p.example/ns/b/sa/web and as spiffe://cluster.local/ns/b/sa/web: are they one service?',
      'b/web -> b/shop is left out. Seen in a test.',
    ])
  })
  it('a label of that name is one of our own trust domain', () => {
    const byLabel = { name: 'b/web', by: 'label' as const, identity: undefined }
    const both = { ...seen, services: [partner, byLabel, shop] }
    assert.match(questions(both)[0] ?? '', /^b\/web is left out: it was seen as /)
  })
})

describe('what could not load is left out, and told with its edges', () => {
  const cases: readonly [name: string, lost: string, why: string][] = [
    // The name that sorts first stays, whichever was seen first.
    ['b/sh0p', 'b/shop', 'it looks like b/sh0p, and a ruleset cannot have both'],
    ['mesh-sts/mesh-sts', 'mesh-sts/mesh-sts', 'it is this token service, which needs no rules'],
    [
      'mesh/sts',
      'mesh/sts',
      'its audience would be sts.mesh, the issuer URL of this token service',
    ],
  ]
  for (const [name, lost, why] of cases) {
    it(name, () => {
      const seen = edges(['b/web', 'b/shop'], ['b/web', name], ['b/web', 'b/rest'])
      assert.deepEqual(questions(seen), [
        `${lost} is left out: ${why}`,
        `b/web -> ${lost} is left out. Seen in a test.`,
      ])
      const [file = '', ...others] = Object.values(drafts(seen))
      assert.equal(others.length, 0)
      assert.deepEqual(load(file).problems, [])
    })
  }
  it('a service with nothing but such edges is not drafted', () =>
    assert.deepEqual(Object.keys(drafts(edges(['m/prom', 'mesh-sts/mesh-sts']))), ['mesh-sts']))
})

const RULES = `
namespace: boutique
services:
  frontend: {calls: [checkout]}
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place]
    calls: [cart]
    accepts: [{from: frontend, issuer: corporate, scopes: {checkout:place: [shop:buy]}}]
  cart: {scopes: [cart:read], accepts: [{from: boutique/*, issuer: corporate, scopes: {cart:read: [x]}}]}
  payment: {scopes: [payment:charge], audience: https://pay.other}
  reporting: {identity: 'spiffe://cluster.local/ns/reporting/sa/*'}
`
const ruleset = compiled(RULES)

describe('beside rules that are there', () => {
  it('an edge that they have is not drafted again', () => {
    assert.deepEqual(plan(edges(['boutique/frontend', 'boutique/checkout']), ruleset).services, [])
    assert.deepEqual(plan(edges(['boutique/checkout', 'boutique/cart']), ruleset).services, [])
  })
  it('what entries lack stands behind #, to be moved into them', () => {
    const seen = edges([
      'boutique/frontend',
      'boutique/payment',
      ['payment:charge', 'payment:refund'],
    ])
    assert.deepEqual(drafts(seen, ruleset), {
      boutique: `namespace: boutique
services: {}

  # In your rules already: what you tick goes into the entry that is there.

#  frontend:
#    calls: [payment]

#  payment:
#    scopes: [payment:refund]
#    accepts:
      # DECIDE boutique/frontend -> boutique/payment: with whose tokens (self, or an issuer), and which scopes
      # of those justify payment:charge payment:refund? Seen in a test.
#      - from: frontend
#        issuer: DECIDE
#        scopes:
#          payment:charge: []
#          payment:refund: []
`,
    })
  })
  it('a new caller of an old target is in force, and loads beside them', () => {
    const { boutique = '' } = drafts(edges(['boutique/new', 'boutique/payment']), ruleset)
    assert.match(boutique, /^services:\n\n {2}new:\n {4}calls: \[payment\]\n/m)
    const { problems } = load(RULES, boutique)
    assert.deepEqual(problems, [])
  })
  it('a new caller whose namespace a rule accepts already: the call alone would be a grant', () => {
    const { boutique = '' } = drafts(edges(['boutique/new', 'boutique/cart']), ruleset)
    assert.match(
      boutique,
      /^ {2}# DECIDE boutique\/new -> boutique\/cart: the rule boutique\/cart <- boutique\/\* \[corporate\] is there/m,
    )
    assert.match(boutique, /^ {2}new:\n {4}claims: \[\]\n# {4}calls: \[cart\]\n$/m)
    assert.deepEqual(load(RULES, boutique).problems, [])
    assert.ok(load(RULES, tickAll(boutique)).ruleset?.services.get('boutique/new')?.calls.size)
  })
  it('a principal is the service that has its identity, whatever its name', () => {
    const seen = edges(['reporting/daily', 'boutique/payment'])
    const services = seen.services.map((one) => ({ ...one, by: 'identity' as const }))
    const [payment, reporting] = plan({ ...seen, services }, ruleset).services
    assert.deepEqual(
      [payment?.rules[0]?.from, reporting?.name],
      ['boutique/reporting', 'boutique/reporting'],
    )
  })
  const conflicts: readonly [what: string, name: string, why: string][] = [
    [
      'a name whose identity another has',
      'reporting/daily',
      'spiffe://cluster.local/ns/reporting/sa/daily is boutique/reporting in your rules',
    ],
    [
      'a look-alike',
      'boutique/payrnent',
      'it looks like boutique/payment, and a ruleset cannot have both',
    ],
    [
      'an audience that another has',
      'other/pay',
      'its audience pay.other would look like that of boutique/payment',
    ],
  ]
  for (const [what, name, why] of conflicts) {
    it(what, () => {
      const told = questions(edges([name, 'boutique/payment']), ruleset)
      assert.equal(told[0], `${name} is left out: ${why}`)
    })
  }
  it('a principal of which the name is taken by another identity', () => {
    const other = compiled(
      RULES.replace('payment: {', "payment: {identity: 'spiffe://cluster.local/ns/x/sa/y', "),
    )
    const by = (how: 'identity' | 'label') => ({
      name: 'boutique/payment',
      by: how,
      identity: undefined,
    })
    const told = (...services: ReturnType<typeof by>[]) => questions({ services }, other)
    assert.deepEqual(told(by('identity')), [
      'boutique/payment is left out: there is a boutique/payment with another identity',
    ])
    assert.deepEqual(told(by('identity'), by('label')), [
      'boutique/payment is left out: it was seen as a service that is not in your rules and as boutique/payment: which is it?',
    ])
    assert.deepEqual(told(by('label')), [])
  })
})

describe('denials', () => {
  it('nothing of them is in force', () => {
    assert.deepEqual(drafts({ asks: [ask] }, ruleset), {
      boutique: `namespace: boutique
services: {}

  # In your rules already: what you tick goes into the entry that is there.

#  checkout:
#    calls:
#      - payment  # asked once, 2026-11-23T03:00:00Z

#  payment:
#    accepts:
      # DECIDE boutique/checkout -> boutique/payment with tokens of self: asked once, 2026-11-23T03:00:00Z,
      # denied as target_not_accepted 1. Is it right?
#      - from: checkout
#        issuer: self
#        scopes:
#          payment:charge: [checkout:place]  # asked once, 2026-11-23T03:00:00Z
`,
    })
  })
  const textOf = (change: object) =>
    drafts({ asks: [{ ...ask, ...change }] }, ruleset).boutique ?? ''
  it('several scopes that came along justify only together', () => {
    const scopes = [{ ...ask.scopes[0], brought: ['a', 'b,c'] }]
    assert.match(textOf({ scopes }), /^# {10}payment:charge: \{all: \[a, "b,c"\]\}/m)
  })
  it('where none came along every time, a person has to say it', () => {
    const scopes = [{ ...ask.scopes[0], brought: [] }]
    assert.match(
      textOf({ scopes }),
      /^# {10}payment:charge: \[\] {2}# asked once, .*; no scope was brought every time$/m,
    )
  })
  it('a scope that the target does not have yet', () => {
    const scopes = [{ ...ask.scopes[0], scope: 'payment:new' }]
    assert.match(textOf({ scopes }), /^# {2}payment:\n# {4}scopes: \[payment:new\]\n# {4}accepts:/m)
  })
  it('a rule that is there, of one caller or of a namespace', () => {
    const rule = 'boutique/payment <- boutique/checkout [self]'
    assert.match(
      textOf({ rule }).replace(/\n {2,}# (?!DECIDE)/g, ' '),
      /The rule boutique\/payment <- boutique\/checkout \[self\] is there: what you tick goes into it\.$/m,
    )
    assert.match(textOf({ rule: rule.replace('checkout [', '* [') }), /of a whole namespace/)
    assert.doesNotMatch(textOf({ rule }), /of a whole namespace/)
  })
  it('a rule that lacks nothing is not told; the call is', () => {
    const text = textOf({ rule: 'boutique/payment <- boutique/checkout [self]', scopes: [] })
    assert.match(text, /^# {6}- payment/m)
    assert.doesNotMatch(text, /accepts/)
  })
  it('requests without scopes, and more scopes than are kept', () => {
    const text = textOf({ scopes: [], unnamed: 3, moreScopes: true }).replace(
      /\n {2,}# (?!DECIDE)/g,
      ' ',
    )
    assert.match(text, /3 named no scope, so asked for all that is justified: which is meant\?/)
    assert.match(text, /More scopes were asked for than are kept here\./)
    assert.match(text, /^# {10}DECIDE: \[\]$/m)
  })
  it('a target that is no service is proposed', () => {
    const text = textOf({ to: 'boutique/gift' })
    assert.match(text, /# Not in your rules: .*\n\n# {2}gift:\n# {4}scopes:/)
    assert.match(text, /^# {6}- gift {2}# asked once/m)
  })
  it('a target that can be no service is a question, once, with each of its asks', () => {
    const asks = [
      { ...ask, to: 'mesh/sts' },
      { ...ask, to: 'mesh/sts', issuer: 'corporate' },
    ]
    const told = questions({ asks }, ruleset)
    assert.equal(told.length, 3)
    assert.match(told[0] ?? '', /^mesh\/sts is left out: its audience would be/)
    assert.match(
      told[1] ?? '',
      /^boutique\/checkout -> mesh\/sts is left out\. .* tokens of corporate: asked once/,
    )
  })
})

describe('callers that no service is', () => {
  const caller = (text: string) => ({ callers: [{ id: text, ...tally }] })
  const told = 'asked once, 2026-11-23T03:00:00Z and is no service: is it one?'

  it('are proposed under the name of their service account', () => {
    const text = drafts(caller('spiffe://cluster.local/ns/boutique/sa/gift')).boutique ?? ''
    assert.match(text, /^ {2}# DECIDE spiffe:\/\/cluster.local\/ns\/boutique\/sa\/gift asked once/m)
    assert.match(text, /^services: \{\}$/m)
    assert.match(text, /^# {2}gift: \{\}$/m)
    assert.ok(load(tickAll(text)).ruleset?.services.has('boutique/gift'))
  })
  it('with their identity where it is another', () => {
    const text = drafts(caller('spiffe://partner.example/ns/boutique/sa/gift')).boutique ?? ''
    assert.match(
      text,
      /^# {2}gift:\n# {4}identity: spiffe:\/\/partner\.example\/ns\/boutique\/sa\/gift$/m,
    )
    const service = load(tickAll(text)).ruleset?.services.get('boutique/gift')
    assert.deepEqual(service?.identities, ['spiffe://partner.example/ns/boutique/sa/gift'])
  })
  for (const text of [
    'spiffe://cluster.local/vm/one',
    'spiffe://UPPER/ns/boutique/sa/gift',
    'spiffe://cluster.local/ns/b/sa/a.b',
    'boutique/gone',
    '\u001b[31m',
  ]) {
    it(`are a question where they have no such name: ${JSON.stringify(text)}`, () =>
      assert.deepEqual(plan(caller(text)), {
        services: [],
        questions: [{ namespace: undefined, text: `${text} ${told}` }],
      }))
  }
  it('are a question where the name is taken', () => {
    const taken = caller('spiffe://partner.example/ns/boutique/sa/cart')
    assert.deepEqual(questions(taken, ruleset), [
      'boutique/cart is left out: there is a boutique/cart with another identity',
      `spiffe://partner.example/ns/boutique/sa/cart ${told}`,
    ])
  })
})

describe('files', () => {
  it('a question stands in the file of its namespace, in the first where there is none', () => {
    const asked = ['b', 'x', undefined].map((namespace) => ({ namespace, text: `of ${namespace}` }))
    const files = draftFiles(plan({ ...edges(['a/web', 'b/shop']), questions: asked }), 'a test')
    assert.deepEqual(
      files.map(({ namespace, questions: all }) => [namespace, all]),
      [
        ['a', ['of x', 'of undefined']],
        ['b', ['of b']],
      ],
    )
  })
  it('without services those of questions; without either none', () => {
    const only = plan({ questions: [{ namespace: 'x', text: 'of x' }] })
    const [file, ...others] = draftFiles(only, 'a test')
    assert.ok(file && others.length === 0)
    assert.deepEqual(load(draftText(file)).problems, [])
    assert.deepEqual(draftFiles(plan({ questions: [{ namespace: undefined, text: '' }] }), ''), [])
  })
  it('hold comments on lines of one width, with one space between words, and not without end', () => {
    const text = `a  b\u00a0c ${'word '.repeat(1000)}`
    const [file] = draftFiles(plan({ questions: [{ namespace: 'x', text }] }), 'a test')
    assert.ok(file)
    const lines = draftText(file).split('\n')
    assert.ok(lines.some((line) => line.startsWith('# DECIDE a b c word word')))
    assert.ok(lines.every((line) => line.length <= 112))
    assert.ok(lines.join('').length < 2_500, `${lines.join('').length}`)
  })
  it('say what they were drafted from, and that they grant nothing', () => {
    const [file] = draftFiles(plan(edges(['b/web', 'b/shop'])), '1 edge\nnamespace: evil')
    assert.ok(file)
    const text = draftText(file)
    assert.match(
      text,
      /^# Drafted by mesh-sts rules init from 1 edge\\u\{a\}namespace: evil\.\n# It grants nothing:/,
    )
    assert.deepEqual(loadRuleset([{ file: 'x', text }], CONTEXT).problems, [])
  })
})
