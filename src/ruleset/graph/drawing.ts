// Owns what is drawn of a graph, whatever it is written in: lines and their looks, frames around namespaces, legend.
// Must stay pure, and must not escape anything or know a format.

import { edgeLines, strayLines } from './label.ts'
import type { GraphEdge, GraphService, RuleGraph } from './model.ts'

/** How a line looks; each look has a shape of its own, so that nothing is told by colour alone. */
export type Look = 'source' | 'demand' | 'embed' | 'forward' | 'denied' | 'unused' | 'stray'
type LegendKey = Look | 'impersonate'

export interface Line {
  /** A service, or of a source an issuer. */
  readonly from: string
  readonly to: string
  /** With the ends it is unique; empty where there is no edge. */
  readonly issuer: string
  readonly look: Look
  readonly impersonates: boolean
  /** Lines of text; of a source none. */
  readonly label: readonly string[]
}

/** What stands in a frame, or beside all of them. */
export interface Group {
  readonly services: readonly GraphService[]
  /** Lines between these services. */
  readonly lines: readonly Line[]
}

export interface Drawing extends Group {
  readonly issuers: readonly string[]
  /** By namespace. What is not of the mesh stands beside the frames. */
  readonly frames: ReadonlyMap<string, Group>
  /** Only what the picture has, always in the same order. */
  readonly legend: readonly (readonly [LegendKey, string])[]
  /** How labels are read. */
  readonly reading: readonly string[]
}

/** What is to be drawn. */
export function drawingOf(graph: RuleGraph): Drawing {
  const frameOf = new Map<string, string>()
  const frames = new Map<string, { services: GraphService[]; lines: Line[] }>()
  const beside: { services: GraphService[]; lines: Line[] } = { services: [], lines: [] }
  for (const service of graph.services) {
    if (!isFramed(service)) beside.services.push(service)
    else {
      const frame = frames.get(service.namespace) ?? { services: [], lines: [] }
      frame.services.push(service)
      frames.set(service.namespace, frame)
      frameOf.set(service.name, service.namespace)
    }
  }
  const lines = linesOf(graph)
  for (const line of lines) {
    const name = frameOf.get(line.from)
    const frame = name !== undefined && name === frameOf.get(line.to) && frames.get(name)
    const group = frame || beside
    group.lines.push(line)
  }
  return {
    issuers: graph.issuers,
    frames,
    ...beside,
    legend: legendOf(lines),
    reading: readingOf(graph),
  }
}

/** Services of the mesh stand in the frame of their namespace. */
const isFramed = ({ kind }: GraphService): boolean => kind === 'mesh'

/** A service's name where it stands: in its frame the short one says enough. */
export const titleOf = (service: GraphService): string =>
  isFramed(service) ? service.name.slice(service.namespace.length + 1) : service.name

function linesOf(graph: RuleGraph): readonly Line[] {
  const plain = { impersonates: false, label: [] }
  return [
    ...graph.sources.map(
      ({ issuer, to }): Line => ({ from: issuer, to, issuer, look: 'source', ...plain }),
    ),
    ...graph.edges.map(
      (edge): Line => ({
        from: edge.from,
        to: edge.to,
        issuer: edge.issuer,
        look: lookOf(edge),
        impersonates: edge.act === 'impersonate' && !edge.denied,
        label: edgeLines(edge),
      }),
    ),
    ...graph.strays.map(
      (stray): Line => ({
        from: stray.from,
        to: stray.to,
        issuer: '',
        look: 'stray',
        impersonates: false,
        label: strayLines(stray),
      }),
    ),
  ]
}

function lookOf(edge: GraphEdge): Look {
  if (edge.denied) return 'denied'
  if (edge.counts?.granted === 0) return 'unused'
  if (edge.forward) return 'forward'
  return edge.embeddedBy.length > 0 ? 'embed' : 'demand'
}

const MEANINGS: Readonly<Record<LegendKey, string>> = {
  source: 'tokens of this issuer are handed in by',
  demand: 'may exchange for, on demand',
  embed: "the same, and it comes inside the caller's own token",
  forward: 'hands the token on unchanged',
  impersonate: 'impersonates: the caller is not in act',
  denied: 'denied',
  unused: 'not used in what was counted',
  stray: 'asked for, but there is no edge',
}

function legendOf(lines: readonly Line[]): Drawing['legend'] {
  const used = new Set<string>(lines.map(({ look }) => look))
  if (lines.some(({ impersonates }) => impersonates)) used.add('impersonate')
  return (Object.keys(MEANINGS) as LegendKey[])
    .filter((key) => used.has(key))
    .map((key) => [key, MEANINGS[key]])
}

function readingOf(graph: RuleGraph): readonly string[] {
  const line = 'a → b: a token that brings a may become one with b'
  return graph.edges[0]?.counts === undefined ? [line] : [line, '×7: granted so often']
}
