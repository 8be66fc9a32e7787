import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseClaimPath, type ScopeSource, scopesOf } from '../../src/subjects/scopes-from.ts'

const source = (claim: string | readonly string[], prefix = ''): ScopeSource => {
  const path = parseClaimPath(claim)
  assert.ok(path)
  return { path, prefix }
}
const SCOPE = source('scope')
const ROLES = source('realm_access.roles', 'role:')

function outcome(claims: Record<string, unknown>, ...sources: ScopeSource[]): string {
  const result = scopesOf(claims, sources)
  return result.ok ? [...result.value].join() : `${result.problem}: ${result.detail}`
}

test('TE-21 a text is split on spaces', () => {
  assert.equal(outcome({ scope: 'shop:buy  shop:browse shop:buy ' }, SCOPE), 'shop:buy,shop:browse')
})

test('a list counts one by one, and sources add up with their prefixes', () => {
  const claims = { scope: 'shop:buy', realm_access: { roles: ['admin', 'buyer'] } }
  assert.equal(outcome(claims, SCOPE, ROLES), 'shop:buy,role:admin,role:buyer')
})

test('a claim whose name has dots is named by a list', () => {
  const claims = { 'https://shop.example/roles': ['admin'], https: { '//shop': 'no' } }
  assert.equal(outcome(claims, source(['https://shop.example/roles'], 'r:')), 'r:admin')
})

test('TE-21 what is absent brings nothing, and no source brings nothing', () => {
  for (const claims of [{}, { realm_access: {} }, { scope: '' }, { realm_access: { roles: [] } }]) {
    assert.equal(outcome(claims, SCOPE, ROLES), '')
  }
  assert.equal(outcome({ scope: 'shop:buy' }), '')
})

test('nothing inherited counts', () => {
  assert.equal(outcome({}, source('constructor.name')), '')
  assert.equal(outcome({ a: {} }, source('a.toString')), '')
})

for (const [name, claims, claim] of [
  ['a number', { scope: 1 }, 'scope'],
  ['null', { scope: null }, 'scope'],
  ['an object', { scope: { a: 1 } }, 'scope'],
  ['a list with a number', { scope: ['a', 1] }, 'scope'],
  ['a list of lists', { scope: [['a']] }, 'scope'],
  ['a quote in a text', { scope: 'a "b' }, 'scope'],
  ['a backslash in a text', { scope: 'a\\b' }, 'scope'],
  ['a line feed in a text', { scope: 'a\nb' }, 'scope'],
  ['a letter outside ASCII in a text', { scope: 'ä' }, 'scope'],
  ['a text beyond the cap', { scope: 's'.repeat(257) }, 'scope'],
] as const) {
  test(`scopes refused: ${name}`, () => {
    assert.equal(outcome(claims, SCOPE), `claim_malformed: ${claim} is no source of scopes`)
  })
}

for (const value of ['roles', null, 1, ['roles']]) {
  test(`scopes refused: a path through ${JSON.stringify(value)}`, () => {
    assert.equal(
      outcome({ realm_access: value }, ROLES),
      'claim_malformed: realm_access.roles leads through what is no object',
    )
  })
}

test('values of a list that cannot be scopes bring nothing', () => {
  const roles = ['admin', 'Team Lead', '', 'Süd', 'a"b', 'a\0', 'r'.repeat(257)]
  assert.equal(outcome({ realm_access: { roles } }, ROLES), 'role:admin')
})

test('the cap on the number of scopes', () => {
  const many = (count: number) => ({ scope: Array.from({ length: count }, (_, at) => `s${at}`) })
  assert.equal(outcome(many(512), SCOPE).split(',').length, 512)
  assert.equal(outcome(many(513), SCOPE), 'claim_malformed: too many scopes')
})

test('a scope cannot pass for a value of a source with a prefix', () => {
  const claims = { scope: 'role:admin shop:buy', groups: ['role:admin', 'x'] }
  assert.equal(outcome(claims, SCOPE, ROLES), 'shop:buy')
  assert.equal(outcome(claims, ROLES, source('groups')), 'x')
  assert.equal(outcome(claims, source('groups', 'group:'), ROLES), 'group:role:admin,group:x')
  assert.equal(outcome(claims, SCOPE), 'role:admin,shop:buy')
})

test('a claim path has no empty names', () => {
  assert.deepEqual(parseClaimPath('a.b'), ['a', 'b'])
  assert.deepEqual(parseClaimPath(['a.b']), ['a.b'])
  for (const claim of ['', '.', 'a.', '.a', 'a..b', [], ['']]) {
    assert.equal(parseClaimPath(claim), undefined, JSON.stringify(claim))
  }
})

test('property: only scope-tokens of RFC 6749 come out, and nothing is made up', () => {
  const values = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.string({ unit: 'binary' })),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(values, values, (scope, roles) => {
      const result = scopesOf({ scope, realm_access: { roles } }, [SCOPE, ROLES])
      if (!result.ok) return
      const brought = [scope, roles].flat().flatMap((one) => [one, ...String(one).split(' ')])
      for (const one of result.value) {
        assert.match(one, /^[\x21\x23-\x5b\x5d-\x7e]+$/)
        assert.ok(brought.includes(one) || brought.includes(one.slice('role:'.length)))
      }
    }),
  )
})
