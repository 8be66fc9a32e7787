// Owns a graph in the DOT language of Graphviz. Labels are HTML-like, so that little needs to be escaped.
// Must stay pure, and must not lay anything out.

import { type Drawing, drawingOf, type Group, type Line, titleOf } from './drawing.ts'
import { serviceLines } from './label.ts'
import type { GraphService, RuleGraph } from './model.ts'

type Attributes = Readonly<Record<string, string | Html>>

/** Text that is already markup. */
interface Html {
  readonly html: string
}

const INK = '#1f2937'
/** WCAG AA on white and on the ground of a namespace (4.5:1 and more), as are all colours of text and lines. */
const FAINT = '#5b6472'
const RED = '#b91c1c'
/** One whose widths Graphviz knows without having it. */
export const FONT = 'Arial'

/** Each look differs by the shape of its line too; colour alone says nothing. */
const LOOKS: Readonly<Record<Drawing['legend'][number][0], Attributes>> = {
  source: { color: FAINT, arrowhead: 'vee' },
  demand: { color: INK },
  embed: { color: '#1d4ed8', penwidth: '3' },
  // Two parallel lines.
  forward: { color: '#6d28d9:white:#6d28d9' },
  impersonate: { color: INK, arrowhead: 'empty' },
  denied: { color: RED, style: 'dotted', penwidth: '1.6', arrowhead: 'tee', arrowsize: '1.2' },
  unused: { color: FAINT, style: 'dashed' },
  stray: { color: RED, style: 'dotted', arrowhead: 'obox' },
}

/** Writes a graph. Equal graphs give equal text. */
export function toDot(graph: RuleGraph): string {
  const drawing = drawingOf(graph)
  const lines = [
    'digraph "rules" {',
    `  graph${listed({ rankdir: 'LR', fontname: FONT, fontsize: '12', nodesep: '0.25', ranksep: '0.4' })}`,
    `  node${listed({ shape: 'box', style: 'rounded,filled', fillcolor: 'white', color: INK, fontname: FONT, fontsize: '12', fontcolor: INK, margin: '0.14,0.08' })}`,
    ...issuerNodes(drawing.issuers),
  ]
  // Graphviz keeps what is not of a frame out of it: labels between two services of a frame are of it too.
  for (const [namespace, group] of drawing.frames) {
    lines.push(...cluster(`ns ${namespace}`, lined(namespace, []), groupLines(group)))
  }
  lines.push(...groupLines(drawing), ...legend(drawing))
  return `${lines.join('\n')}\n}\n`
}

const groupLines = ({ services, lines }: Group): readonly string[] => [
  ...services.map(serviceNode),
  ...lines.flatMap(lineParts),
]

/** No service has a space in its name. */
const issuerId = (issuer: string): string => `issuer ${issuer}`

/** All at the left, where everything begins. */
const issuerNodes = (issuers: readonly string[]): readonly string[] =>
  issuers.length === 0 ? [] : ['  { rank=source', ...issuers.map(issuerNode), '  }']

const issuerNode = (issuer: string): string =>
  node(issuerId(issuer), {
    label: lined(issuer, [issuer === 'workload' ? 'a workload as itself' : 'issuer']),
    shape: 'ellipse',
    fillcolor: '#fef3c7',
    id: issuerId(issuer),
  })

function serviceNode(service: GraphService): string {
  const label = lined(titleOf(service), serviceLines(service))
  const outside = service.kind === 'mesh' ? {} : { style: 'filled,dashed', fillcolor: '#f3f4f6' }
  return node(service.name, { label, id: service.name, ...outside })
}

/** A label is a node within its line: Graphviz leads lines around nodes, but across labels of other lines. */
function lineParts({ from, to, issuer, look, impersonates, label }: Line): readonly string[] {
  if (look === 'source') {
    const id = `${issuerId(from)} ${to}`
    return [edge(issuerId(from), to, { ...LOOKS.source, id })]
  }
  const id = `${from} ${to} ${issuer}`.trimEnd()
  const head = impersonates ? { arrowhead: LOOKS.impersonate.arrowhead ?? '' } : {}
  return [
    node(id, { label: lined(undefined, label), ...SMALL, id }),
    edge(from, id, { ...LOOKS[look], arrowhead: 'none', headport: 'w', id: `${id} to` }),
    edge(id, to, { ...LOOKS[look], ...head, tailport: 'e', id: `${id} on` }),
  ]
}

const SMALL: Attributes = { shape: 'plaintext', style: '', margin: '0.05,0.02', height: '0.2' }

/** Sample lines, one below the other. */
function legend({ legend: entries, reading }: Drawing): readonly string[] {
  if (entries.length === 0) return []
  const rows = entries.flatMap(([key, meaning]) => {
    const id = `legend ${key}`
    return [
      node(id, { ...SMALL, label: '', width: '0', id }),
      node(`${id} text`, { ...SMALL, label: lined(undefined, [meaning]), id: `${id} text` }),
      edge(id, `${id} text`, { ...LOOKS[key], id: `${id} line` }),
    ]
  })
  // From the last to the first: what is left to right turned is bottom to top.
  const ids = entries.map(([key]) => quoted(`legend ${key}`)).reverse()
  const order = `{ rank=same; ${ids.join(' -> ')} [style=invis] }`
  return cluster('legend', lined('Legend', reading), [...rows, order])
}

const cluster = (id: string, label: Html, content: readonly string[]): readonly string[] => [
  `  subgraph ${quoted(`cluster ${id}`)} {`,
  `    graph${listed({ label, labeljust: 'l', style: 'rounded,filled', color: '#9ca3af', fillcolor: '#f8fafc', id: `cluster ${id}` })}`,
  ...content.map((text) => `    ${text.trimStart()}`),
  '  }',
]

const node = (id: string, attributes: Attributes): string => `  ${quoted(id)}${listed(attributes)}`

const edge = (from: string, to: string, attributes: Attributes): string =>
  `  ${quoted(from)} -> ${quoted(to)}${listed(attributes)}`

const listed = (attributes: Attributes): string => {
  const written = Object.entries(attributes).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? quoted(value) : `<${value.html}>`}`,
  )
  return ` [${written.join(', ')}]`
}

/** A quoted string: only the quote ends it, but Graphviz reads `\N` and the like in some attributes. */
const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

/** A label of a bold title and small lines, left-aligned. */
function lined(title: string | undefined, lines: readonly string[]): Html {
  const head = title === undefined ? '' : `<b>${markup(title)}</b>${BREAK}`
  const rest = lines.map((line) => `${markup(line)}${BREAK}`).join('')
  return { html: `${head}${rest === '' ? '' : `<font point-size="9">${rest}</font>`}` }
}

const BREAK = '<br align="left"/>'

/** For text in HTML-like labels, which are XML. */
const markup = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
