// Owns laying a graph out: DOT text to SVG, by Graphviz compiled to WebAssembly (docs/decisions/0014).
// Must not be loaded before a picture is asked for: it is 1.2 MB.

import { FONT, toDot } from '../../ruleset/graph/dot.ts'
import type { RuleGraph } from '../../ruleset/graph/model.ts'

// The layout cannot be interrupted, and its time grows with the square of what crosses: more takes minutes,
// and nobody could read it.
const MAX_SERVICES = 100
const MAX_EDGES = 150

/** Why a graph is not laid out, or undefined. */
export function tooLarge({ services, edges, strays }: RuleGraph): string | undefined {
  const count = edges.length + strays.length
  if (services.length <= MAX_SERVICES && count <= MAX_EDGES) return undefined
  return `${services.length} services and ${count} edges are too many for one picture (at most ${MAX_SERVICES} and ${MAX_EDGES})`
}

/** The picture. It refers to nothing outside itself and holds no script. */
export async function toSvg(graph: RuleGraph): Promise<string> {
  const { instance } = await import('@viz-js/viz')
  const viz = await instance()
  const svg = viz.renderString(toDot(graph), { format: 'svg', engine: 'dot' })
  // Without the document type, which names a file elsewhere; and with fonts of the same widths.
  return svg
    .slice(svg.indexOf('<svg'))
    .replaceAll(
      `font-family="${FONT}"`,
      `font-family="${FONT},Helvetica,Liberation Sans,sans-serif"`,
    )
}
