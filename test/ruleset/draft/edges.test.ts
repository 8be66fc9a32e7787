// The grammar of an edge on a command line.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readEdge } from '../../../src/ruleset/draft/edges.ts'
import { isScope, isServiceName } from '../../../src/ruleset/draft/observed.ts'

function edge(text: string, namespace?: string): string {
  const read = readEdge(text, namespace)
  if (!read.ok) return read.message
  const [{ from, to, scopes } = { from: '', to: '', scopes: [] }] = read.seen.edges
  return `${from} ${to} [${scopes.join(' ')}]`
}

describe('an edge', () => {
  const right: readonly [text: string, namespace: string | undefined, expected: string][] = [
    ['a/b:c/d', undefined, 'a/b c/d []'],
    ['b:d', 'n', 'n/b n/d []'],
    ['b:c/d', 'n', 'n/b c/d []'],
    ['a/b:c/d=x', undefined, 'a/b c/d [x]'],
    ['a/b:c/d=x:y,x:z,x:y', undefined, 'a/b c/d [x:y x:z]'],
    ['a/b:c/d=x=y', undefined, 'a/b c/d [x=y]'],
  ]
  for (const [text, namespace, expected] of right) {
    it(`${text} with ${namespace ?? 'no namespace'}`, () =>
      assert.equal(edge(text, namespace), expected))
  }
  const wrong: readonly [text: string, message: RegExp][] = [
    ['a/b', /^"a\/b" is no edge: write caller:target/],
    ['a/b->c/d', /is no edge/],
    ['b:c/d', /b has no namespace: write one before it, or --namespace/],
    ['a/b:d', /d has no namespace/],
    ['a/b:c/d:x', /is no edge/],
    ['A/b:c/d', /"A\/b" is no service/],
    ['a/b/c:c/d', /"a\/b\/c" is no service/],
    [':c/d', /"" is no service/],
    ['a/b:', /"" is no service/],
    ['a/b:c/*', /"c\/\*" is no service/],
    ['a/b:c/d=', /"" is no scope/],
    ['a/b:c/d=x,', /"" is no scope/],
    ['a/b:c/d=x y', /"x y" is no scope/],
    ['a/b:c/d=x\n', /is no scope/],
    [`a/b:c/d=${'x'.repeat(80)}`, /is no scope/],
    ['a/b:c/\u0000', /is no service/],
  ]
  for (const [text, message] of wrong) {
    it(`not ${JSON.stringify(text).slice(0, 40)}`, () => assert.match(edge(text), message))
  }
  it('shows both ends as services', () => {
    const read = readEdge('a/b:c/d', undefined)
    assert.ok(read.ok)
    assert.deepEqual(
      read.seen.services.map(({ name, by, identity }) => [name, by, identity]),
      [
        ['a/b', 'name', undefined],
        ['c/d', 'name', undefined],
      ],
    )
  })
})

it('any text: an edge of names and scopes that a rule file can have, or one bounded message', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const read = readEdge(text, 'n')
      if (!read.ok) {
        assert.ok(read.message.length < 1000)
        return
      }
      for (const { from, to, scopes } of read.seen.edges) {
        assert.ok(isServiceName(from) && isServiceName(to) && scopes.every(isScope))
      }
    }),
  )
})
