// Owns the pictures of docs/rules-graph.md, made from the shipped rules. `npm run docs` writes them.
// Must not change a word between them: those are written by hand.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { toSvg } from '../src/cli/rules/graph-svg.ts'
import { parseDuration } from '../src/config/duration.ts'
import { graphOf } from '../src/ruleset/graph/graph.ts'
import { toMermaid } from '../src/ruleset/graph/mermaid.ts'
import type { RuleGraph } from '../src/ruleset/graph/model.ts'
import { between, nodesNamed } from '../src/ruleset/graph/view.ts'
import { loadRuleset, readRuleSources } from '../src/ruleset/load.ts'

const PATH = 'docs/rules-graph.md'

/** The document with its pictures made anew, and the picture that it shows. */
export const RULES_GRAPH = [
  { path: PATH, text: page },
  { path: 'docs/img/rules-graph.svg', text: () => toSvg(shippedGraph()) },
] as const

/** The graph of rules/, for a deployment with the one issuer that they name. */
function shippedGraph(): RuleGraph {
  const { ruleset, problems } = loadRuleset(readRuleSources(['rules']).sources, {
    trustDomains: ['cluster.local'],
    issuers: ['corporate'],
    algorithms: ['ES256'],
    selfIss: 'https://sts.boutique.example',
    parseDuration,
  })
  assert.ok(ruleset, JSON.stringify(problems))
  return graphOf(ruleset)
}

/** A command of the page, and the picture below it. */
const EXAMPLE =
  /(```sh graph\nmesh-sts rules graph(?: --(from|to) (\S+))\n```\n\n```mermaid\n)[^`]*(```)/g

function page(): string {
  const graph = shippedGraph()
  return readFileSync(PATH, 'utf8').replace(EXAMPLE, (_, head, option, name, tail) => {
    const picture = toMermaid(between(graph, { [option]: nodesNamed(graph, name)[0] }))
    return `${head}${picture}${tail}`
  })
}
