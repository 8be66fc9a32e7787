// What is shown: paths that follow tokens, names that people type, counts at the right edges.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import type { RuleGraph } from '../../../src/ruleset/graph/model.ts'
import { between, nodesNamed, withCounts } from '../../../src/ruleset/graph/view.ts'
import { compiled } from '../../support/rules.ts'
import { EVERYTHING, OBSERVED, OPS } from './fixture.ts'

const GRAPH = graphOf(compiled(EVERYTHING, OPS))

const shown = (graph: RuleGraph): readonly string[] => [
  ...graph.sources.map(({ issuer, to }) => `${issuer} > ${to}`),
  ...graph.edges.map(({ from, to, issuer }) => `${from} > ${to} ${issuer}`),
]

describe('paths', () => {
  test('without ends all is shown', () => {
    assert.equal(between(GRAPH, {}), GRAPH)
  })
  test('to a service: everything that leads there, from the issuers on', () => {
    const graph = between(GRAPH, { to: 'shop/bank' })
    assert.deepEqual(shown(graph), [
      'corporate > ops/robot',
      'corporate > ops/support',
      'corporate > shop/frontend',
      'ops/robot > shop/checkout corporate',
      'ops/support > shop/checkout corporate',
      'shop/checkout > shop/payment self',
      'shop/frontend > shop/checkout corporate',
      'shop/payment > shop/bank self',
    ])
    assert.deepEqual(graph.issuers, ['corporate'])
    assert.deepEqual(
      graph.services.map(({ name }) => name),
      ['ops/robot', 'ops/support', 'shop/bank', 'shop/checkout', 'shop/frontend', 'shop/payment'],
    )
  })
  test('from a service: what its tokens can become', () => {
    assert.deepEqual(shown(between(GRAPH, { from: 'shop/checkout' })), [
      'shop/checkout > shop/mailer self',
      'shop/checkout > shop/payment self',
      'shop/payment > shop/bank self',
    ])
  })
  test('between two', () => {
    const ends = { from: 'ops/robot', to: 'shop/payment' }
    assert.deepEqual(shown(between(GRAPH, ends)), [
      'ops/robot > shop/checkout corporate',
      'shop/checkout > shop/payment self',
    ])
  })
  test('from an issuer', () => {
    assert.deepEqual(shown(between(GRAPH, { from: 'workload' })), [
      'workload > shop/nightly',
      'shop/nightly > shop/mailer workload',
    ])
  })
  test('no way: only the ends', () => {
    const graph = between(GRAPH, { from: 'shop/bank', to: 'shop/frontend' })
    assert.deepEqual(shown(graph), [])
    assert.deepEqual(
      graph.services.map(({ name }) => name),
      ['shop/bank', 'shop/frontend'],
    )
    assert.deepEqual(graph.unusable, [])
  })

  const HOPS = `
namespace: hop
services:
  a: {calls: [b]}
  b:
    scopes: [b]
    calls: [c]
    accepts:
      - {from: a, issuer: corporate, scopes: {b: [in]}}
  c:
    scopes: [c]
    accepts:
      - {from: b, issuer: corporate, scopes: {c: [in]}}
`
  test('a token that was exchanged is no longer its issuer’s', () => {
    const graph = graphOf(compiled(HOPS))
    assert.deepEqual(shown(between(graph, { from: 'hop/a' })), ['hop/a > hop/b corporate'])
    assert.deepEqual(shown(between(graph, { to: 'hop/c' })), [
      'corporate > hop/b',
      'hop/b > hop/c corporate',
    ])
  })
  test('one that was handed on is', () => {
    const forward = HOPS.replace(
      '{from: a, issuer: corporate, scopes: {b: [in]}}',
      '{from: a, issuer: corporate, forward: true}',
    ).replace('    scopes: [b]\n', '')
    assert.deepEqual(shown(between(graphOf(compiled(forward)), { from: 'hop/a' })), [
      'hop/a > hop/b corporate',
      'hop/b > hop/c corporate',
    ])
  })
  test('a path ends at an edge that is shut, and shows it', () => {
    const text = HOPS.replace(
      '{from: b, issuer: corporate, scopes: {c: [in]}}',
      '{from: b, scopes: {c: [b]}}',
    )
    const open = graphOf(compiled(text))
    assert.equal(shown(between(open, { from: 'hop/a' })).length, 2)
    const denies = '    denies: [{from: a, reason: closed}]\n'
    const shut = graphOf(compiled(text.replace('    calls: [c]\n', `    calls: [c]\n${denies}`)))
    assert.deepEqual(shown(between(shut, { from: 'hop/a' })), ['hop/a > hop/b corporate'])
    assert.deepEqual(shown(between(shut, { from: 'hop/a', to: 'hop/c' })), [
      'hop/a > hop/b corporate',
    ])
  })

  test('the same as walking every path', () => {
    const names = GRAPH.services.map(({ name }) => name)
    const end = fc.option(fc.constantFrom(...names), { nil: undefined })
    fc.assert(
      fc.property(end, end, (from, to) => {
        const expected = new Set<string>()
        for (const path of pathsOf(GRAPH)) {
          const start = path.findIndex((hop) => from === undefined || hop.from === from)
          const stop = path.findLastIndex((hop) => to === undefined || hop.to === to)
          if (start === -1 || stop === -1) continue
          for (const { text } of path.slice(start, stop + 1)) expected.add(text)
        }
        assert.deepEqual([...shown(between(GRAPH, { from, to }))].sort(), [...expected].sort())
      }),
    )
  })
})

interface Hop {
  readonly from: string
  readonly to: string
  readonly text: string
}

/** Every path that a token takes, hop by hop, from an issuer or from a holder of one of our tokens. */
function pathsOf(graph: RuleGraph): readonly (readonly Hop[])[] {
  const paths: Hop[][] = []
  const walk = (path: Hop[], at: string, issuer: string): void => {
    paths.push(path)
    for (const edge of graph.edges) {
      if (edge.from !== at || edge.issuer !== issuer) continue
      const text = `${edge.from} > ${edge.to} ${edge.issuer}`
      walk([...path, { ...edge, text }], edge.to, edge.forward ? issuer : 'self')
    }
  }
  for (const { issuer, to } of graph.sources) {
    walk([{ from: issuer, to, text: `${issuer} > ${to}` }], to, issuer)
  }
  for (const { name } of graph.services) walk([], name, 'self')
  return paths
}

describe('names', () => {
  const graph = graphOf(
    compiled(
      EVERYTHING,
      OPS,
      'namespace: other\nservices:\n  payment: {scopes: [x]}\n  corporate: {scopes: [x]}',
    ),
  )
  test('in full, short, an issuer', () => {
    assert.deepEqual(nodesNamed(graph, 'shop/payment'), ['shop/payment'])
    assert.deepEqual(nodesNamed(graph, 'checkout'), ['shop/checkout'])
    assert.deepEqual(nodesNamed(graph, 'workload'), ['workload'])
  })
  test('several, or none', () => {
    assert.deepEqual(nodesNamed(graph, 'payment'), ['other/payment', 'shop/payment'])
    assert.deepEqual(nodesNamed(graph, 'corporate'), ['other/corporate', 'corporate'])
    assert.deepEqual(nodesNamed(graph, 'out'), [])
    assert.deepEqual(nodesNamed(graph, 'self'), [])
  })
})

describe('counts', () => {
  const graph = withCounts(GRAPH, OBSERVED)
  const countsOf = (from: string, to: string) =>
    graph.edges.find((edge) => edge.from === from && edge.to === to)?.counts

  test('at the edge of the rule and the caller', () => {
    assert.deepEqual(countsOf('shop/checkout', 'shop/payment'), {
      granted: 11_000,
      embedded: 10_900,
      denied: 3,
      wouldDeny: 0,
    })
    assert.equal(countsOf('shop/nightly', 'shop/mailer')?.wouldDeny, 30)
  })
  test('a rule for a namespace: each caller has its own', () => {
    assert.equal(countsOf('ops/robot', 'shop/checkout')?.granted, 2)
    assert.equal(countsOf('ops/support', 'shop/checkout')?.granted, 0)
  })
  test('no edge is without', () => {
    assert.ok(graph.edges.every(({ counts }) => counts !== undefined))
    assert.ok(GRAPH.edges.every(({ counts }) => counts === undefined))
  })
  test('what has no edge, between services that are there', () => {
    assert.deepEqual(graph.strays, [
      { from: 'ops/robot', to: 'shop/payment', granted: 0, denied: 40 },
      { from: 'shop/checkout', to: 'shop/bank', granted: 5, denied: 1 },
    ])
  })
  test('the same rows in several parts add up', () => {
    const twice = withCounts(GRAPH, [...OBSERVED, ...OBSERVED])
    const sum = (one: RuleGraph) =>
      one.edges.reduce((all, { counts }) => all + (counts?.granted ?? 0) + (counts?.denied ?? 0), 0)
    assert.equal(sum(twice), 2 * sum(graph))
    assert.equal(twice.strays[0]?.denied, 80)
  })
  test('only the ends’ requests without edge are on a path', () => {
    const strays = (ends: { from?: string; to?: string }) =>
      between(graph, ends).strays.map(({ from, to }) => `${from} > ${to}`)
    assert.deepEqual(strays({ from: 'ops/robot' }), ['ops/robot > shop/payment'])
    assert.deepEqual(strays({ to: 'shop/bank' }), ['shop/checkout > shop/bank'])
    assert.deepEqual(strays({ to: 'shop/mailer' }), [])
  })
})
