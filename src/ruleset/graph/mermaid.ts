// Owns a graph as a Mermaid flowchart, which GitHub, GitLab and many wikis draw in Markdown.
// Must stay pure.

import { type Drawing, drawingOf, type Group, type Line, type Look, titleOf } from './drawing.ts'
import { serviceLines } from './label.ts'
import type { GraphService, RuleGraph } from './model.ts'

/** What Mermaid draws unless it is configured to draw more (`maxEdges`, `maxTextSize`). */
const MAX_LINKS = 500
const MAX_CHARACTERS = 50_000

/** Whether Mermaid would refuse a graph and its text as they come. */
export const isTooMuchForMermaid = (graph: RuleGraph, text: string): boolean =>
  text.length > MAX_CHARACTERS ||
  graph.sources.length + 2 * (graph.edges.length + graph.strays.length) > MAX_LINKS

/** Lines wrap where the labels say. */
const HEAD = '%%{init: {"flowchart": {"wrappingWidth": 400}}}%%'

/** The line to a label, and the one from it without its head. */
const STROKES: Readonly<Record<Exclude<Look, 'source'>, readonly [string, string]>> = {
  demand: ['---', '--'],
  unused: ['---', '--'],
  embed: ['===', '=='],
  forward: ['-.-', '-.-'],
  denied: ['-.-', '-.-'],
  stray: ['-.-', '-.-'],
}
const STYLES: Partial<Readonly<Record<Look, string>>> = {
  source: 'stroke:#5b6472,stroke-width:1px',
  denied: 'stroke:#b91c1c',
  stray: 'stroke:#b91c1c',
  unused: 'stroke:#5b6472,stroke-dasharray:6 4',
}
/** In words: sample lines would be laid out with the graph, and take more room than it. */
const WORDS: Readonly<Record<Drawing['legend'][number][0], string>> = {
  source: 'thin line',
  demand: 'line',
  embed: 'thick line',
  forward: 'dotted line',
  impersonate: 'line with a dot',
  denied: 'dotted line with a cross',
  unused: 'dashed line',
  stray: 'dotted line with a cross, no such edge',
}

/** Writes a graph. Equal graphs give equal text. */
export function toMermaid(graph: RuleGraph): string {
  const drawing = drawingOf(graph)
  const { issuers, frames, legend, reading } = drawing
  const text = [HEAD, 'flowchart LR', ...issuers.map(issuerNode)]
  for (const [namespace, group] of frames) {
    const content = groupText(group).map((row) => `  ${row}`)
    text.push(`  subgraph ${frameId(namespace)}["${escaped(namespace)}"]`, ...content, '  end')
  }
  text.push(...groupText(drawing))
  if (legend.length > 0) {
    const rows = legend.map(([key, meaning]) => `${WORDS[key]}: ${meaning}`)
    text.push(`  legend["${lined(['Legend', ...reading, ...rows])}"]:::legend`)
  }
  text.push(...styles(drawing))
  return `${text.join('\n')}\n`
}

const groupText = ({ services, lines }: Group): readonly string[] => [
  ...services.map(serviceNode),
  ...lines.map(lineText),
]

const issuerNode = (issuer: string): string =>
  `  ${issuerId(issuer)}(["${escaped(issuer)}"]):::issuer`

function serviceNode(service: GraphService): string {
  const label = lined([titleOf(service), ...serviceLines(service)])
  return `  ${serviceId(service.name)}["${label}"]${service.kind === 'mesh' ? '' : ':::outside'}`
}

/** A label is a node within its line: Mermaid lays labels of lines one over the other. */
function lineText({ from, to, issuer, look, impersonates, label }: Line): string {
  if (look === 'source') return `  ${issuerId(from)} --> ${serviceId(to)}`
  const [before, after] = STROKES[look]
  const head = look === 'denied' || look === 'stray' ? 'x' : impersonates ? 'o' : '>'
  const id = `e_${[from, to, issuer].filter(Boolean).map(word).join('.')}`
  // With a space: a head that is a letter would be read together with what follows.
  return `  ${serviceId(from)} ${before} ${id}["${lined(label)}"]:::rule ${after}${head} ${serviceId(to)}`
}

function styles({ frames, lines }: Drawing): readonly string[] {
  // By the places of the links, in the order of the text: not every Mermaid knows names for them.
  const links = [...[...frames.values()].flatMap((frame) => frame.lines), ...lines].flatMap(
    ({ look }) => (look === 'source' ? [look] : [look, look]),
  )
  const looks = Object.entries(STYLES).flatMap(([look, style]) => {
    const places = links.flatMap((other, place) => (other === look ? [place] : []))
    return places.length === 0 ? [] : [`  linkStyle ${places.join(',')} ${style}`]
  })
  const ids = [...frames.keys()].map(frameId)
  return [
    ...looks,
    '  classDef default fill:#ffffff,stroke:#1f2937,color:#1f2937',
    '  classDef namespace fill:#f8fafc,stroke:#9ca3af,color:#1f2937',
    '  classDef issuer fill:#fef3c7,stroke:#1f2937,color:#1f2937',
    '  classDef outside fill:#f3f4f6,stroke:#1f2937,color:#1f2937,stroke-dasharray:6 4',
    '  classDef rule fill:#f8fafc,stroke:none,color:#1f2937',
    '  classDef legend fill:#ffffff,stroke:#9ca3af,color:#1f2937',
    ...(ids.length === 0 ? [] : [`  class ${ids.join(',')} namespace`]),
  ]
}

/** Letters in front keep ids from being Mermaid's own words (`end`, `default`, `style`). */
const issuerId = (issuer: string): string => `i_${word(issuer)}`
const frameId = (namespace: string): string => `n_${word(namespace)}`
const serviceId = (name: string): string => `s_${word(name)}`

/** Names have neither `_` nor `.`, so no two names become one id; `--` in an id would be a line. */
const word = (name: string): string => name.replaceAll('-', '_').replaceAll('/', '.')

const lined = (lines: readonly string[]): string => lines.map(escaped).join('<br/>')

/**
 * All but this could mean something to Mermaid, Markdown (`_` at the edge of a word, also where the next
 * word is escaped below) or HTML.
 */
const NOT_PLAIN = /[^\w .,:/()+=→…·×'-]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|_(?=style|classDef)/gu

/** Escapes a text for a quoted label: `#35;` is the character 35. */
const escaped = (text: string): string =>
  text
    .replace(NOT_PLAIN, (found) => `#${found.codePointAt(0)};`)
    // Of rows with these words, a colon and a `#` Mermaid takes the last `;` for the end of a style.
    .replace(/style|classDef/g, (found) => `#${found.codePointAt(0)};${found.slice(1)}`)
    // And what stands between two pairs of dollars for mathematics: a space of no width parts them.
    .replace(/#36;(?=#36;)/g, '#36;#8203;')
