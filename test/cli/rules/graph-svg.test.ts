// SVG: well-formed XML with nothing in it that acts or loads; what is too large is said before it takes minutes.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { tooLarge, toSvg } from '../../../src/cli/rules/graph-svg.ts'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import type { RuleGraph } from '../../../src/ruleset/graph/model.ts'
import { withCounts } from '../../../src/ruleset/graph/view.ts'
import {
  EVERYTHING,
  hostile,
  large,
  OBSERVED,
  OPS,
  scopeText,
} from '../../ruleset/graph/fixture.ts'
import { compiled } from '../../support/rules.ts'

const GRAPH = graphOf(compiled(EVERYTHING, OPS))

interface Xml {
  readonly elements: ReadonlySet<string>
  readonly attributes: ReadonlySet<string>
  /** Of `<text>`, in the order of the file. */
  readonly texts: readonly string[]
}

const PIECE =
  /<!--(?:(?!--)[\s\S])*-->|<\/([\w:]+)\s*>|<([\w:]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|[^<]+/y
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' }

/** Reads the XML that is expected here; anything else fails. */
function parseXml(text: string): Xml {
  const open: string[] = []
  const elements = new Set<string>()
  const attributes = new Set<string>()
  const texts: string[] = []
  let at = 0
  while (at < text.length) {
    PIECE.lastIndex = at
    const [piece, end, start, written = '', isEmpty] = PIECE.exec(text) ?? []
    assert.ok(piece, `not XML: ${text.slice(at, at + 80)}`)
    at += piece.length
    if (piece.startsWith('<!--')) continue
    for (const [, entity = ''] of piece.matchAll(/&([^;\s]*;?)/g)) {
      assert.match(entity, /^(?:lt|gt|amp|quot|#\d+|#x[0-9a-f]+);$/)
    }
    if (end !== undefined) assert.equal(open.pop(), end)
    else if (start !== undefined) {
      elements.add(start)
      for (const [, name = ''] of written.matchAll(/([\w:-]+)="/g)) attributes.add(name)
      if (isEmpty === '') open.push(start)
    } else if (open.at(-1) === 'text') {
      texts.push(
        piece.replace(/&(#?)(\w+);/g, (_, number, name) =>
          number === '#' ? String.fromCodePoint(Number(name)) : (ENTITIES[name] ?? ''),
        ),
      )
    }
  }
  assert.deepEqual(open, [])
  return { elements, attributes, texts }
}

const ELEMENTS = new Set(['svg', 'g', 'title', 'polygon', 'path', 'text', 'ellipse', 'polyline'])

function checkHarmless({ elements, attributes }: Xml): void {
  assert.deepEqual(
    [...elements].filter((name) => !ELEMENTS.has(name)),
    [],
  )
  for (const name of attributes) assert.doesNotMatch(name, /^(?:on.*|.*href|src|style)$/)
}

test('everything a picture can show: well-formed, no script, no link, nothing from elsewhere', async () => {
  for (const graph of [GRAPH, withCounts(GRAPH, OBSERVED)]) {
    const svg = await toSvg(graph)
    const xml = parseXml(svg)
    checkHarmless(xml)
    assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    assert.doesNotMatch(
      svg.replace(/xmlns(?::xlink)?="[^"]*"/g, ''),
      /(?:href|url\(|DOCTYPE|@import)/,
    )
    for (const text of ['checkout', 'https://checkout.shop.example', 'charge → post', 'Legend']) {
      assert.ok(xml.texts.includes(text), text)
    }
  }
})

test('the same graph gives the same picture', async () => {
  assert.equal(await toSvg(GRAPH), await toSvg(graphOf(compiled(OPS, EVERYTHING))))
})

test('ids do not depend on what else there is', async () => {
  const ids = (svg: string) => [...svg.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
  const found = ids(await toSvg(GRAPH))
  assert.equal(new Set(found).size, found.length)
  assert.deepEqual(
    found.filter((id) => /^(?:node|edge|clust)\d+$/.test(id ?? '')),
    [],
  )
})

test('hostile text is shown as it is', async () => {
  await fc.assert(
    fc.asyncProperty(scopeText, async (scope) => {
      const xml = parseXml(await toSvg(graphOf(compiled(hostile(scope)))))
      checkHarmless(xml)
      assert.ok(xml.texts.join('').includes(scope), scope)
    }),
    {
      numRuns: 20,
      examples: [['<script>alert(1)</script>'], ['<!--'], ['-->'], [']]>'], ['&#60;']],
    },
  )
})

test('how much is laid out', async () => {
  const sized = (services: number, edges: number, strays = 0): RuleGraph => ({
    ...GRAPH,
    services: Array.from({ length: services }, () => GRAPH.services[0]!),
    edges: Array.from({ length: edges }, () => GRAPH.edges[0]!),
    strays: Array.from({ length: strays }, () => ({ from: 'a', to: 'b', granted: 0, denied: 1 })),
  })
  assert.equal(tooLarge(sized(100, 150)), undefined)
  assert.match(tooLarge(sized(101, 150)) ?? '', /^101 services and 150 edges are too many/)
  assert.match(tooLarge(sized(100, 150, 1)) ?? '', /^100 services and 151 edges are too many/)
  assert.notEqual(tooLarge(graphOf(compiled(large(1000)))), undefined)
})

test('Graphviz is loaded where a picture is asked for, and nowhere else', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [file, readFileSync(join('src', file), 'utf8')] as const)
  const naming = sources.filter(([, text]) => text.includes('@viz-js'))
  assert.deepEqual(
    naming.map(([file]) => file),
    ['cli/rules/graph-svg.ts'],
  )
  const imports = naming[0]?.[1].split('\n').filter((line) => line.includes("'@viz-js"))
  assert.deepEqual(imports, ["  const { instance } = await import('@viz-js/viz')"])
})
