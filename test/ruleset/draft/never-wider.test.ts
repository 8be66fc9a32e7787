// The promise of a draft, over random observations with hostile text: it loads as it is, grants nothing, and once all
// of it is ticked it gives nothing that was not seen.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { observeDenials } from '../../../src/ruleset/draft/denials.ts'
import { type Observations, observed, together } from '../../../src/ruleset/draft/observed.ts'
import { planDraft } from '../../../src/ruleset/draft/plan.ts'
import { draftFiles, draftText } from '../../../src/ruleset/draft/text.ts'
import { isJustified } from '../../../src/ruleset/justify.ts'
import { ruleFor } from '../../../src/ruleset/rule-for.ts'
import type { Ruleset } from '../../../src/ruleset/ruleset.ts'
import { denied, granted } from '../../support/audit-store.ts'
import { CONTEXT, load } from '../../support/rules.ts'
import { decided, readRules } from './tick.ts'

const BASE = `
namespace: shop
services:
  web: {scopes: [ui, 'a,b', '[x]'], calls: [cart]}
  cart:
    scopes: [cart:read, 'true']
    accepts: [{from: web, issuer: corporate, scopes: {cart:read: [buy]}}]
  pay: {scopes: [charge], calls: [cart]}
`
/** A target that takes whoever is in its namespace: there a call alone is a grant. */
const OPEN = `${BASE}  open:
    scopes: [come]
    accepts: [{from: shop/*, issuer: corporate, scopes: {come: [buy]}}]
`
const IN_BASE = ['shop/web', 'shop/cart', 'shop/pay']
/** Not names that only look alike, and some that do. */
const NAMES = [
  ...IN_BASE,
  'shop/open',
  'shop/pa1',
  'shop/pal',
  'shop/gift',
  'back/office',
  'back/0ffice',
  'a/b',
]
const SCOPES = [
  'charge',
  'buy',
  'a,b',
  '[x]',
  'true',
  '1e3',
  '#x',
  '*a',
  '&a',
  "'",
  '{}',
  'a:',
  '-',
  '~',
]
/** What must not become a line of YAML, nor a line to tick. */
const HOSTILE = [
  '\n#  evil:\n#    calls: [cart]\nx: y',
  '\r\n  evil: {}\u2028services:\u0085  z: {}',
  '\u001b[31m\u202e\ud800',
  '#  evil: {}',
  'a\t#      - evil',
  `${'word '.repeat(60)}#      - from: evil`,
]

const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 30 }))
const name = fc.constantFrom(...NAMES)
const scopes = fc.uniqueArray(fc.constantFrom(...SCOPES), { maxLength: 4 })

const edge = fc.record({
  from: name,
  to: name,
  scopes,
  source: hostile,
  hints: fc.array(hostile, { maxLength: 2 }),
})
const edges = fc.array(edge, { maxLength: 8 }).map((all) =>
  observed({
    edges: all,
    services: all.flatMap(({ from, to }) =>
      [from, to].map((one) => ({ name: one, by: 'name' as const, identity: undefined })),
    ),
  }),
)
const questions = fc
  .array(fc.record({ text: hostile, namespace: fc.constantFrom('shop', 'back', undefined) }), {
    maxLength: 3,
  })
  .map((all) => observed({ questions: all }))
const callers = fc
  .uniqueArray(
    fc.oneof(
      hostile,
      name.map((one) => `spiffe://partner.example/ns/${one.replace('/', '/sa/')}`),
      name.map((one) => `spiffe://cluster.local/ns/${one.replace('/', '/sa/')}`),
    ),
    { maxLength: 3 },
  )
  .map((all) =>
    observed({
      callers: all
        .filter((id) => !IN_BASE.some((one) => id.endsWith(`local/ns/${one.replace('/', '/sa/')}`)))
        .map((id) => ({ id, count: 1, first: 0, last: 0 })),
    }),
  )

const denial = fc
  .record({
    caller: fc.constantFrom(...IN_BASE),
    target: name,
    issuer: fc.constantFrom('self', 'corporate', 'agents'),
    asked: fc.option(scopes, { nil: undefined }),
    brought: scopes,
    hostile,
  })
  .map((one): AuditEvent => {
    const { subject, caller } = granted()
    assert.ok(subject)
    // Our own token for web brings scopes of web.
    const brought =
      one.issuer === 'self'
        ? one.brought.filter((scope) => one.caller === 'shop/web' && ['a,b', '[x]'].includes(scope))
        : [...one.brought, one.hostile]
    return denied({
      reason: 'target_not_accepted',
      target: IN_BASE.includes(one.target) ? one.target : undefined,
      caller: { ...caller, id: `spiffe://cluster.local/ns/${one.caller.replace('/', '/sa/')}` },
      subject: { ...subject, issuer: one.issuer, scopes: brought },
      request: {
        audiences: [one.target],
        resources: [],
        scopes: one.asked,
        requestedTokenType: 'access_token',
      },
    })
  })

function compiledFrom(texts: readonly string[]): Ruleset {
  const { ruleset, problems } = load(...texts)
  assert.deepEqual(problems, [], texts.join('\n---\n'))
  assert.ok(ruleset)
  return ruleset
}

const base = compiledFrom([BASE])
const open = compiledFrom([OPEN])
const none = compiledFrom([])

function draftsOf(seen: Observations, ruleset: Ruleset): readonly string[] {
  const context = {
    trustDomain: 'cluster.local',
    ownIdentity: 'spiffe://cluster.local/ns/a/sa/b',
    selfIss: CONTEXT.selfIss,
    ruleset,
  }
  return draftFiles(planDraft(seen, context), HOSTILE.join(' ')).map(draftText)
}

/** What one ruleset has beyond another, as facts that can be looked for in observations. */
function gained(after: Ruleset, before: Ruleset) {
  const calls: string[] = []
  const vocabulary: string[] = []
  const rules: {
    from: string
    to: string
    issuer: string
    scope: string
    needs: readonly string[]
  }[] = []
  for (const service of after.services.values()) {
    const old = before.services.get(service.name)
    for (const to of service.calls) if (!old?.calls.has(to)) calls.push(`${service.name} ${to}`)
    for (const one of service.scopes)
      if (!old?.scopes.has(one)) vocabulary.push(`${service.name} ${one}`)
    for (const [key, { from, issuer, scopes: given }] of service.rules) {
      for (const [scope, { mode, scopes: needs }] of given) {
        const known = old?.rules.get(key)?.scopes.get(scope)
        if (known !== undefined && JSON.stringify(known.scopes) === JSON.stringify(needs)) continue
        assert.ok(mode === 'all' || needs.length === 1, 'what is ticked needs all that was brought')
        rules.push({ from, to: service.name, issuer, scope, needs })
      }
    }
  }
  return { calls, vocabulary, rules }
}

it('a draft loads as it is, beside the rules that are there, and has no rule', () => {
  fc.assert(
    fc.property(
      edges,
      questions,
      callers,
      fc.array(denial, { maxLength: 5 }),
      fc.boolean(),
      (e, q, c, events, isFirst) => {
        const ruleset = isFirst ? none : open
        const seen = together([e, q, c, observeDenials(events, ruleset).seen])
        const texts = draftsOf(seen, ruleset)
        const after = compiledFrom(isFirst ? texts : [OPEN, ...texts])
        const { calls, vocabulary, rules } = gained(after, ruleset)
        assert.deepEqual(rules, [])
        for (const call of calls) {
          const [caller, target] = call.split(' ').map((one) => after.services.get(one))
          assert.ok(caller && target)
          for (const issuer of CONTEXT.issuers) {
            assert.equal(ruleFor(target, caller, issuer), undefined, call)
          }
        }
        const right = new Set(e.edges.map(({ from, to }) => `${from} ${to}`))
        assert.ok(calls.every((call) => right.has(call)))
        const named = new Set(
          e.edges.flatMap(({ to, scopes: all }) => all.map((one) => `${to} ${one}`)),
        )
        assert.ok(vocabulary.every((one) => named.has(one)))
        const seenNames = new Set(e.services.map((one) => one.name))
        for (const service of after.services.values()) {
          if (ruleset.services.has(service.name)) continue
          assert.ok(seenNames.has(service.name), service.name)
          assert.deepEqual(service.identities, [
            `spiffe://cluster.local/ns/${service.name.replace('/', '/sa/')}`,
          ])
          assert.deepEqual([service.denies, service.claims, service.embeddable], [[], [], false])
        }
      },
    ),
    { numRuns: 300 },
  )
})

it('with everything ticked, a draft gives what was asked to those who asked, for all that they brought', () => {
  let ticked = 0
  fc.assert(
    fc.property(
      edges,
      questions,
      callers,
      fc.array(denial, { maxLength: 6 }),
      (e, q, c, events) => {
        const seen = together([e, q, c, observeDenials(events, base).seen])
        const after = compiledFrom(decided([readRules(BASE)], draftsOf(seen, base)))
        const { calls, vocabulary, rules } = gained(after, base)
        const asks = events.map(({ caller, request, subject, target }) => ({
          from: caller.id.replace('spiffe://cluster.local/ns/', '').replace('/sa/', '/'),
          to: target ?? request?.audiences[0],
          issuer: subject?.issuer,
          scopes: request?.scopes ?? [],
          brought: new Set(subject?.scopes),
        }))
        const edgesSeen = new Set([...e.edges, ...asks].map(({ from, to }) => `${from} ${to}`))
        assert.ok(
          calls.every((call) => edgesSeen.has(call)),
          calls.join(', '),
        )
        const named = [...e.edges, ...asks].flatMap(({ to, scopes: all }) =>
          all.map((one) => `${to} ${one}`),
        )
        assert.ok(vocabulary.every((one) => named.includes(one) || one.endsWith(' DECIDE')))
        for (const { from, to, issuer, scope, needs } of rules) {
          const matching = asks.filter(
            (one) =>
              one.from === from &&
              one.to === to &&
              one.issuer === issuer &&
              one.scopes.includes(scope),
          )
          assert.ok(matching.length > 0, `${to} <- ${from} [${issuer}] ${scope}`)
          // What the rules gave before counts as no denial that is to be covered.
          const old = base.services.get(to)?.rules.get(`${from}|${issuer}`)?.scopes.get(scope)
          const missing = matching.filter(
            ({ brought }) => old === undefined || !isJustified(old, brought),
          )
          assert.ok(missing.length > 0 && needs.length > 0)
          for (const { brought } of missing) assert.ok(needs.every((one) => brought.has(one)))
          ticked++
        }
      },
    ),
    { numRuns: 300 },
  )
  assert.ok(ticked > 100, `only ${ticked} rules were ticked`)
})

it('nothing in a draft acts on a terminal or ends a comment', () => {
  fc.assert(
    fc.property(edges, questions, callers, (e, q, c) => {
      for (const text of draftsOf(together([e, q, c]), base)) {
        assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}]/u)
        const bare = text.split('\n').filter((line) => !/^ *#/.test(line))
        assert.deepEqual(readRules(bare.join('\n')), readRules(text))
        assert.ok(bare.every((line) => !line.includes('evil')))
      }
    }),
    { numRuns: 200 },
  )
})
