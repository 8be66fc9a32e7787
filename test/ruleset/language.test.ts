// The keys of the language beyond plain rules: how each is checked when it is loaded.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { load, told } from '../support/rules.ts'
import { SHOP } from './shop.ts'

describe('the language', () => {
  it('loads every key where it is used rightly', () => {
    const { ruleset, problems } = load(SHOP)
    assert.deepEqual(problems, [])
    const desk = ruleset?.services.get('shop/desk')
    const rule = desk?.rules.get('shop/front|corporate')
    assert.equal(rule?.when?.expression.source, 'subject.claims.email_verified == true')
    assert.deepEqual(rule?.embed, [{ to: 'shop/till', member: 'till', required: false }])
    assert.deepEqual(desk?.readClaims, ['amr', 'email_verified', 'organisation', 'risk'])
    assert.deepEqual(
      desk?.denies.map(({ id, mode, when }) => [id, mode, when === undefined]),
      [
        ['shop/desk denies closing', 'audit', true],
        ['shop/desk denies risky', 'enforce', false],
      ],
    )
    assert.equal(
      ruleset?.services.get('shop/feed')?.rules.get('shop/front|corporate')?.forward,
      true,
    )
    assert.deepEqual([...(ruleset?.services.get('shop/report')?.grants ?? [])], ['books:close'])
  })

  const place = (text: string): string => {
    const before = SHOP.slice(0, SHOP.indexOf(text)).split('\n')
    return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`
  }

  const faults: readonly (readonly [
    name: string,
    from: string,
    to: string,
    id: string,
    said: RegExp,
  ])[] = [
    [
      'a condition that does not parse',
      'subject.claims.email_verified == true',
      'subject.claims.email_verified ==',
      'condition-invalid',
      /^19:/,
    ],
    [
      'a condition that reads an unknown member',
      'subject.claims.email_verified == true',
      'subject.claim.email_verified == true',
      'condition-invalid',
      /^19:/,
    ],
    [
      'a condition of another type',
      'subject.claims.email_verified == true',
      'subject.sub',
      'condition-invalid',
      /true or false/,
    ],
    [
      'a regular expression',
      'subject.claims.email_verified == true',
      'subject.sub.matches("a+")',
      'condition-invalid',
      /regular expression/,
    ],
    [
      'a mode without a condition',
      'when: subject.claims.email_verified == true',
      'mode: audit',
      'mode-without-when',
      /no `when`/,
    ],
    [
      'a renamed claim that is ours',
      'claim: organisation',
      'claim: scope',
      'claim-reserved',
      /registered or ours/,
    ],
    [
      'a computed claim that does not parse',
      `'"staff" in subject.scopes'`,
      `'"staff" in'`,
      'condition-invalid',
      /./,
    ],
    [
      'embedding what is not embeddable',
      'embeddable: true\n    calls: [bank]',
      'calls: [bank]',
      'embed-not-embeddable',
      /embeddable: true/,
    ],
    [
      'embedding by somebody with two identities',
      'audience: https://desk.shop.example',
      'identity: [spiffe://cluster.local/a, spiffe://cluster.local/b]',
      'embed-identity',
      /exactly one identity/,
    ],
    [
      'embedding by somebody with a pattern',
      'audience: https://desk.shop.example',
      'identity: spiffe://cluster.local/ns/*/sa/desk',
      'embed-identity',
      /without \*/,
    ],
    [
      'embedding for whom the hop does not call',
      'calls: [till]',
      'calls: [bank]',
      'embed-not-called',
      /does not list shop\/till/,
    ],
    [
      'embedding for whom no rule is',
      '{from: desk, scopes: {till:open: [desk:write]}',
      '{from: front, issuer: corporate, scopes: {till:open: [desk:write]}',
      'embed-without-rule',
      /no rule for shop\/desk/,
    ],
    [
      'embedding nobody',
      'embed: [till]',
      'embed: [tills]',
      'service-unknown',
      /shop\/tills → shop\/till/,
    ],
    [
      'embedding twice',
      'embed: [till]',
      'embed: [till, {to: till, required: true}]',
      'item-repeated',
      /twice in embed/,
    ],
    [
      'embedding what impersonates',
      '{from: desk, scopes',
      '{from: desk, act: impersonate, scopes',
      'embed-impersonate',
      /carries act/,
    ],
    [
      'embedding what forwards',
      '{from: till, scopes: {bank:book: [till:open]}}',
      '{from: till, forward: true}',
      'embed-forward',
      /forwards/,
    ],
    [
      'forwarding with scopes',
      'forward: true}',
      'forward: true, scopes: [a]}',
      'forward-alone',
      /`scopes` has no meaning/,
    ],
    [
      "forwarding a workload's own token",
      '- {from: front, issuer: corporate, forward: true}',
      '- {from: front, issuer: workload, forward: true}',
      'forward-workload',
      /could act as that workload/,
    ],
    [
      'an audience of ours for somebody else',
      'also_audiences: [https://api.shop.example]',
      'also_audiences: [https://sts.boutique.example/]',
      'audience-own-issuer',
      /for this service alone/,
    ],
    [
      'conditions that take too long together',
      '      - {reason: closing, mode: audit}',
      Array.from(
        { length: 16 },
        (_, at) =>
          `      - {reason: r${at}, when: 'subject.claims.g.all(x, x.name.startsWith("${at}") || x.b == 1 || true)'}`,
      ).join('\n'),
      'conditions-too-costly',
      /hold up all other requests/,
    ],
    [
      'forwarding with an actor',
      'forward: true}',
      'forward: true, actors: [agents]}',
      'forward-alone',
      /`actors` has no meaning/,
    ],
    [
      'a rule with neither scopes nor forward',
      'forward: true}',
      'forward: false}',
      'rule-without-scopes',
      /allows nothing/,
    ],
    [
      'a grant that is not there',
      'ledger:post: [books:close]',
      'ledger:post: [books:clos]',
      'scope-unjustifiable',
      /no grant books:clos .* → books:close/,
    ],
    [
      'grants of what is outside the mesh',
      'grants: [books:close]',
      'grants: [books:close]\n    client_keys: {jwks_file: k.json}',
      'identity-and-keys',
      /of no workload/,
    ],
    [
      'grants of an external service',
      'external: true',
      'external: true\n    grants: [x]',
      'external-with',
      /it has no grants/,
    ],
    [
      'an audience that stands twice',
      'also_audiences: [https://api.shop.example]',
      'also_audiences: [https://a.example, https://a.example]',
      'item-repeated',
      /twice in also_audiences/,
    ],
    [
      'a waiver without a word why',
      'namespace: shop',
      'namespace: shop\nwaivers: [{finding: service-unused, reason: ok}]',
      'shape-invalid',
      /say why/,
    ],
    [
      'a name in ctx that no policy could match',
      'tenant: {claim',
      'Ten ant: {claim',
      'shape-invalid',
      /member of ctx/,
    ],
  ]
  for (const [name, from, to, id, said] of faults) {
    it(`refuses ${name}`, () => {
      const changed = SHOP.replace(from, to)
      assert.notEqual(changed, SHOP, 'the fault changes the file')
      const { ruleset, problems } = load(changed)
      assert.equal(ruleset, undefined)
      const lines = told(problems)
      assert.ok(
        problems.some((problem, at) => problem.id === id && said.test(lines[at] ?? '')),
        lines.join('\n'),
      )
    })
  }

  it('points into the expression', () => {
    const [line, column] = place('subject.claims.email_verified').split(':')
    const { problems } = load(SHOP.replace('subject.claims.email_verified', 'subject.clams.email'))
    assert.equal(problems[0]?.line, Number(line))
    assert.equal(problems[0]?.column, Number(column) + 'subject.'.length)
  })

  it('points into a quoted expression', () => {
    const source = `'has(subject.claims.risk)`
    const [line, column] = place(source).split(':')
    const { problems } = load(SHOP.replace(source, `'has(subject.claims.risk, 1)`))
    assert.equal(problems[0]?.line, Number(line))
    assert.ok((problems[0]?.column ?? 0) > Number(column))
  })

  const circle = (depth: number, last: string): string => {
    const hops = Array.from(
      { length: depth },
      (_, at) => `
  hop${at}:
    scopes: [a]
    embeddable: true
    calls: [${at === depth - 1 ? last : `hop${at + 1}`}]
    accepts:
      - {from: ${at === 0 ? 'entry' : `hop${at - 1}`}, ${at === 0 ? 'issuer: corporate, ' : ''}scopes: {a: [a]}, embed: [${at === depth - 1 ? last : `hop${at + 1}`}]}${
        last === `hop0` && at === 0
          ? `\n      - {from: hop${depth - 1}, scopes: {a: [a]}, embed: [hop1]}`
          : ''
      }`,
    )
    const leaf =
      last === 'leaf'
        ? `
  leaf:
    scopes: [a]
    embeddable: true
    accepts: [{from: hop${depth - 1}, scopes: {a: [a]}}]`
        : ''
    return `namespace: deep\nservices:\n  entry: {calls: [hop0]}${hops.join('')}${leaf}\n`
  }

  it('refuses a circle of embeddings, whoever closes it', () => {
    const { problems } = load(circle(3, 'hop0'))
    assert.ok(problems.length > 0)
    for (const { id, message } of problems) {
      assert.equal(id, 'embed-cycle')
      assert.match(message, /deep\/hop\d → .*deep\/hop\d/)
    }
  })

  it('takes four levels of tokens within tokens, and no fifth', () => {
    assert.deepEqual(told(load(circle(4, 'leaf')).problems), [])
    const { problems } = load(circle(5, 'leaf'))
    assert.deepEqual(
      problems.map(({ id }) => id),
      ['embed-too-deep'],
    )
  })

  it('takes sixteen tokens along with one, and no more', () => {
    const wide = (amount: number) => {
      const names = Array.from({ length: amount }, (_, at) => `leaf-${at}x`)
      const leaves = names.map(
        (name) =>
          `  ${name}: {scopes: [a], embeddable: true, accepts: [{from: hub, scopes: {a: [a]}}]}\n`,
      )
      return `namespace: wide\nservices:\n  entry: {calls: [hub]}\n  hub:\n    scopes: [a]\n    calls: [${names}]\n    accepts: [{from: entry, issuer: corporate, scopes: {a: [a]}, embed: [${names}]}]\n${leaves.join('')}`
    }
    assert.deepEqual(told(load(wide(16)).problems), [])
    assert.deepEqual(
      load(wide(17)).problems.map(({ id }) => id),
      ['embed-too-many'],
    )
  })

  it('the hash says which key file stands for a caller outside the mesh', () => {
    const hashOf = (file: string) => {
      const text = SHOP.replace(
        '  tour:\n',
        `  partner: {client_keys: {jwks_file: ${file}}, calls: [tour]}\n  tour:\n`,
      )
      const { ruleset, problems } = load(text)
      assert.deepEqual(problems, [])
      return ruleset?.hash
    }
    assert.equal(hashOf('a.jwks.json'), hashOf('a.jwks.json'))
    assert.notEqual(hashOf('a.jwks.json'), hashOf('b.jwks.json'))
  })

  it('P6 names denies alike in any order', () => {
    const ids = (denies: string[]) =>
      load(SHOP.replace(/ {4}denies:\n(?: {6}.*\n)+/, `    denies: [${denies.join(', ')}]\n`))
        .ruleset?.services.get('shop/desk')
        ?.denies.map(({ id, from }) => [id, from === undefined ? '*' : [...from].join()])
    const denies = ['{reason: a, from: front}', '{reason: a}', '{reason: b, issuer: corporate}']
    const expected = ids(denies)
    assert.equal(expected?.length, 3)
    assert.deepEqual(ids(denies.toReversed()), expected)
  })
})
