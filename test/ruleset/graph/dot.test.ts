// DOT: how each kind of line looks, what stands where, and that Graphviz reads back what was written.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { instance, type Viz } from '@viz-js/viz'
import fc from 'fast-check'
import { toDot } from '../../../src/ruleset/graph/dot.ts'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import { withCounts } from '../../../src/ruleset/graph/view.ts'
import { compiled } from '../../support/rules.ts'
import { EVERYTHING, hostile, large, OBSERVED, OPS, scopeText } from './fixture.ts'

const GRAPH = graphOf(compiled(EVERYTHING, OPS))
const viz: Viz = await instance()

interface Drawn {
  readonly objects: readonly (Readonly<Record<string, string>> & {
    readonly _gvid: number
    readonly nodes?: readonly number[]
  })[]
  readonly edges: readonly (Readonly<Record<string, string>> & {
    readonly tail: number
    readonly head: number
  })[]
}

/** What Graphviz understood. */
const read = (dot: string): Drawn =>
  JSON.parse(viz.renderString(dot, { format: 'dot_json' })) as Drawn

const plain = (html = ''): readonly string[] =>
  html
    .split('<br align="left"/>')
    .map((line) => line.replace(/<[^>]*>/g, ''))
    .map((line) =>
      line
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&'),
    )
    .filter((line) => line !== '')

function drawn(dot: string) {
  const { objects, edges } = read(dot)
  const byName = (name: string) => {
    const found = objects.find((object) => object.name === name)
    assert.ok(found, name)
    return found
  }
  /** The label between two services, and both halves of its line. */
  const line = (name: string) => {
    const { _gvid, label } = byName(name)
    const before = edges.find(({ head }) => head === _gvid)
    const after = edges.find(({ tail }) => tail === _gvid)
    assert.ok(before && after)
    return { label: plain(label), before, after }
  }
  return { objects, edges, byName, line }
}

describe('lines', () => {
  const { line, edges, byName } = drawn(toDot(GRAPH))
  test('on demand: plain, with all that the rule says', () => {
    const { label, before, after } = line('shop/frontend shop/checkout corporate')
    assert.deepEqual(label, [
      'token of corporate',
      'only when subject.claims.email_verified',
      '== true',
      'shop:buy and shop:verified → place',
      'if "mfa" in subject.claims.amr',
      'shop:browse or shop:buy → quote',
      'may bring an actor of agents',
      'carries mailer',
      'carries payment (required, 2 levels)',
    ])
    assert.equal(before.tail, byName('shop/frontend')._gvid)
    assert.equal(after.head, byName('shop/checkout')._gvid)
    assert.equal(before.arrowhead, 'none')
    assert.equal(after.arrowhead, undefined)
    assert.equal(after.style, undefined)
  })
  test('each kind has a shape of its own: thickness, parallels, heads', () => {
    const embed = line('shop/payment shop/bank self').after
    const forward = line('shop/frontend shop/legacy corporate').after
    const impersonate = line('shop/frontend shop/ads corporate').after
    assert.equal(embed.penwidth, '3')
    assert.match(forward.color ?? '', /^#\w+:white:#\w+$/)
    assert.equal(impersonate.arrowhead, 'empty')
  })
  test('a root leads to who hands its tokens in', () => {
    const root = byName('issuer workload')._gvid
    const heads = edges.filter(({ tail }) => tail === root).map(({ head }) => head)
    assert.deepEqual(heads, [byName('shop/nightly')._gvid])
  })
  test('unused is dashed, denied and without edge dotted', () => {
    const counted = drawn(toDot(withCounts(GRAPH, OBSERVED)))
    assert.equal(counted.line('shop/frontend shop/ads corporate').after.style, 'dashed')
    assert.equal(counted.line('shop/frontend shop/ads corporate').after.arrowhead, 'empty')
    assert.equal(counted.line('shop/frontend shop/checkout corporate').after.style, undefined)
    assert.equal(counted.line('ops/robot shop/payment').after.style, 'dotted')
    const denies = '    denies: [{from: ops/robot, reason: no-robots}]\n'
    const text = EVERYTHING.replace('  payment:\n', `${denies}  payment:\n`)
    const { after, label } = drawn(toDot(graphOf(compiled(text, OPS)))).line(
      'ops/robot shop/checkout corporate',
    )
    assert.deepEqual([after.style, after.arrowhead], ['dotted', 'tee'])
    assert.deepEqual(label, ['token of corporate', 'denied: no-robots'])
  })
})

describe('frames', () => {
  const { byName, objects } = drawn(toDot(GRAPH))
  const inside = (name: string) =>
    new Set(byName(name).nodes?.map((id) => objects.find((one) => one._gvid === id)?.name))
  test('a namespace holds its services and the labels between them', () => {
    const shop = inside('cluster ns shop')
    assert.ok(shop.has('shop/checkout'))
    assert.ok(shop.has('shop/checkout shop/payment self'))
    assert.ok(!shop.has('shop/bank'))
    assert.ok(!shop.has('shop/payment shop/bank self'))
    assert.deepEqual(inside('cluster ns ops'), new Set(['ops/robot', 'ops/support']))
  })
  test('the legend has a line for each kind that is there', () => {
    const legend = [...inside('cluster legend')].filter((name) => name?.endsWith(' text'))
    assert.deepEqual(legend.sort(), [
      'legend demand text',
      'legend embed text',
      'legend forward text',
      'legend impersonate text',
      'legend source text',
    ])
  })
})

test('no scope and no condition leaves its label, and each can be read', () => {
  const harmless = read(toDot(graphOf(compiled(hostile('x')))))
  const sizes = [harmless.edges.length, harmless.objects.length]
  fc.assert(
    fc.property(scopeText, (scope) => {
      const { line, edges, objects } = drawn(toDot(graphOf(compiled(hostile(scope)))))
      const { label } = line('h/a h/b corporate')
      assert.ok(label.join('').includes(scope), `${scope} in ${label}`)
      assert.deepEqual([edges.length, objects.length], sizes, 'nothing was added')
    }),
    {
      numRuns: 60,
      examples: [['<b>'], ['&amp;'], [']]>'], ['{a|b}'], ['<br/>']],
    },
  )
})

test('quotes and backslashes of conditions', () => {
  const when = String.raw`subject.sub == "a\"b\\N\n{x}<y>"`
  const text = hostile('x').replace(/when: .*/, `when: '${when}'`)
  const { line } = drawn(toDot(graphOf(compiled(text))))
  const label = line('h/a h/b corporate').label.join(' ')
  assert.ok(label.includes(`only when ${when}`), label)
})

test('10,000 rules are written at once', () => {
  const graph = graphOf(compiled(large(1000)))
  const before = performance.now()
  assert.ok(toDot(graph).length > 100_000)
  assert.ok(performance.now() - before < 10_000)
})
