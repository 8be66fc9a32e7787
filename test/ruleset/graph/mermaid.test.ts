// Mermaid: how each kind of line looks, what stands where, and text that Mermaid would take for its own.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { graphOf } from '../../../src/ruleset/graph/graph.ts'
import { isTooMuchForMermaid, toMermaid } from '../../../src/ruleset/graph/mermaid.ts'
import { withCounts } from '../../../src/ruleset/graph/view.ts'
import { compiled } from '../../support/rules.ts'
import { EVERYTHING, hostile, large, OBSERVED, OPS, scopeText } from './fixture.ts'

const GRAPH = graphOf(compiled(EVERYTHING, OPS))
const ROWS = toMermaid(GRAPH).split('\n')
const COUNTED = toMermaid(withCounts(GRAPH, OBSERVED)).split('\n')

const row = (rows: readonly string[], start: string): string => {
  const found = rows.filter((one) => one.trimStart().startsWith(start))
  assert.equal(found.length, 1, start)
  return found[0]?.trim() ?? ''
}

describe('lines', () => {
  for (const [what, start, expected] of [
    [
      'conditions, scopes with theirs, actors, what is carried',
      's_shop.frontend --- e_shop.frontend.shop.checkout.',
      's_shop.frontend --- e_shop.frontend.shop.checkout.corporate["token of corporate<br/>' +
        'only when subject.claims.email_verified<br/>== true<br/>' +
        'shop:buy and shop:verified → place<br/>if #34;mfa#34; in subject.claims.amr<br/>' +
        'shop:browse or shop:buy → quote<br/>may bring an actor of agents<br/>' +
        'carries mailer<br/>carries payment (required, 2 levels)"]:::rule --> s_shop.checkout',
    ],
    [
      'embedded: thick',
      's_shop.payment ===',
      's_shop.payment === e_shop.payment.shop.bank.self["charge → post"]:::rule ==> s_shop.bank',
    ],
    [
      'forwarded: dotted',
      's_shop.frontend -.-',
      's_shop.frontend -.- e_shop.frontend.shop.legacy.corporate["token of corporate<br/>handed on unchanged"]:::rule -.-> s_shop.legacy',
    ],
    [
      'impersonation: a dot',
      's_shop.frontend --- e_shop.frontend.shop.ads.',
      's_shop.frontend --- e_shop.frontend.shop.ads.corporate["token of corporate<br/>shop:browse → show<br/>impersonates"]:::rule --o s_shop.ads',
    ],
    [
      'audit mode',
      's_shop.nightly ---',
      's_shop.nightly --- e_shop.nightly.shop.mailer.workload["as itself<br/>reports:send → send<br/>audit only: quiet-hours"]:::rule --> s_shop.mailer',
    ],
    ['a root', 'i_workload -->', 'i_workload --> s_shop.nightly'],
  ] as const) {
    test(what, () => assert.equal(row(ROWS, start), expected))
  }
  test('denied: a cross, and why', () => {
    const text = OPS.replace('  robot:', '  robot: ').replace('support', 'denied-one')
    const denies = '    denies: [{from: ops/robot, reason: no-robots}]\n'
    const graph = graphOf(
      compiled(EVERYTHING.replace('  payment:\n', `${denies}  payment:\n`), text),
    )
    assert.equal(
      row(toMermaid(graph).split('\n'), 's_ops.robot -'),
      's_ops.robot -.- e_ops.robot.shop.checkout.corporate["token of corporate<br/>denied: no-robots"]:::rule -.-x s_shop.checkout',
    )
  })
})

describe('services', () => {
  test('in the frame of their namespace, with what belongs to them', () => {
    const frame = ROWS.indexOf('  subgraph n_shop["shop"]')
    const end = ROWS.indexOf('  end', frame)
    const inside = ROWS.slice(frame, end).join('\n')
    assert.match(
      inside,
      /^ {4}s_shop\.mailer\["mailer<br\/>token lives 5m<br\/>embeddable<br\/>sees email"\]$/m,
    )
    assert.match(inside, /sees email, risk<br\/>sees ctx channel, tongue"\]/)
    // Lines within a namespace stand in its frame, others beside it.
    assert.match(inside, /e_shop\.checkout\.shop\.payment\.self/)
    assert.doesNotMatch(inside, /e_ops\.robot/)
    assert.doesNotMatch(inside, /s_shop\.bank\[/)
    assert.deepEqual(ROWS.slice(ROWS.indexOf('  subgraph n_ops["ops"]')).slice(1, 4), [
      '    s_ops.robot["robot"]',
      '    s_ops.support["support"]',
      '  end',
    ])
  })
  test('outside the mesh: beside the frames, under their full names', () => {
    assert.equal(
      row(ROWS, 's_shop.bank['),
      's_shop.bank["shop/bank<br/>outside the mesh, only a target<br/>https://bank.example<br/>token lives 30s<br/>embeddable"]:::outside',
    )
    assert.equal(
      row(ROWS, 's_shop.partner_batch['),
      's_shop.partner_batch["shop/partner-batch<br/>outside the mesh, calls with a key"]:::outside',
    )
  })
})

describe('counts', () => {
  test('at the line', () => {
    assert.match(
      row(COUNTED, 's_shop.frontend --- e_shop.frontend.shop.checkout.'),
      /×12,345 · denied ×17"/,
    )
    assert.match(row(COUNTED, 's_shop.checkout ==='), /×11,000 · 10,900 embedded · denied ×3"/)
    assert.match(row(COUNTED, 's_shop.nightly ---'), /×30 · audit only ×30"/)
    assert.match(
      row(COUNTED, 's_shop.frontend --- e_shop.frontend.shop.ads.'),
      /impersonates · not used"/,
    )
  })
  test('requests without an edge', () => {
    assert.match(
      row(COUNTED, 's_ops.robot -.-'),
      /^s_ops\.robot -\.- e_ops\.robot\.shop\.payment\["no such edge<br\/>denied ×40"\]:::rule -\.-x s_shop\.payment$/,
    )
    assert.match(row(COUNTED, 's_shop.checkout -.-'), /denied ×1<br\/>×5 before"/)
  })
  test('what is not used is dashed, by the places of its lines', () => {
    const links = COUNTED.flatMap((text) => {
      if (!/^ +[is]_\S+ (?:-->|---|===|-\.-) /.test(text)) return []
      return text.includes(':::rule') ? [text, text] : [text]
    })
    const [, places = ''] =
      /^ {2}linkStyle (\S+) stroke:#5b6472,stroke-dasharray/m.exec(COUNTED.join('\n')) ?? []
    const dashed = new Set(places.split(',').map((place) => links[Number(place)]))
    assert.deepEqual(dashed, new Set(links.filter((text) => text.includes('not used'))))
    assert.equal(places.split(',').length, 2 * dashed.size)
  })
})

describe('legend', () => {
  const legend = (rows: readonly string[]) => row(rows, 'legend[')
  test('says what is there and nothing else', () => {
    assert.match(legend(ROWS), /thick line: the same/)
    assert.match(legend(ROWS), /line with a dot: impersonates/)
    assert.doesNotMatch(legend(ROWS), /denied|not used|×7/)
    assert.match(legend(COUNTED), /dashed line: not used.*no such edge.*/)
    assert.match(legend(COUNTED), /×7: granted so often/)
    assert.doesNotMatch(legend(COUNTED), /dotted line: hands/)
  })
  test('is not there where nothing is drawn', () => {
    const empty = toMermaid(graphOf(compiled('namespace: a\nservices:\n  b: {scopes: [x]}\n')))
    assert.doesNotMatch(empty, /legend\[/)
    assert.match(empty, /s_a\.b\["b"\]/)
  })
})

describe('hostile text', () => {
  const decoded = (text: string) =>
    text
      .split('<br/>')
      .map((line) => line.replace(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code))))

  test('no scope and no condition leaves its label, and each can be read', () => {
    fc.assert(
      fc.property(scopeText, (scope) => {
        const rows = toMermaid(graphOf(compiled(hostile(scope)))).split('\n')
        const [label = '', ...others] = rows.flatMap((text) => {
          const found = /^ {4}s_h\.a --- e_h\.a\.h\.b\.corporate\["(.*)"\]:::rule --> s_h\.b$/.exec(
            text,
          )
          return found === null ? [] : [found[1] ?? '']
        })
        assert.deepEqual(others, [])
        assert.match(
          label,
          /^(?:[A-Za-z0-9 .,:/()+=→'-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])|#\d+;|<br\/>)*$/,
        )
        const lines = decoded(label).join('')
        assert.doesNotMatch(lines, /\$\$/)
        assert.ok(lines.replaceAll('\u200b', '').includes(scope), `${scope} in ${lines}`)
        for (const text of rows) assert.doesNotMatch(text, /(?:style|classDef).*:\S*#.*;/)
        assert.ok(rows.every((text) => text.startsWith('%%{init: {"fl') || !text.includes('%%')))
      }),
      {
        examples: [
          ['<script>alert(1)</script>'],
          ['%%{init:{"theme":"dark"}}%%'.replaceAll('"', "'")],
          ['lifestyle:x#35;'],
          ['classDef:#1;'],
          ['a]:::x'],
          ['#quot;]-->b'],
          ['`md`'],
          ['$$$x$$'],
        ],
      },
    )
  })
  test('what is not ASCII in a condition', () => {
    const text = hostile('x').replace(/when: .*/, 'when: \'subject.sub != "é😀_ü\\u202E"\'')
    const rows = toMermaid(graphOf(compiled(text)))
    assert.match(rows, /#34;#233;#128512;#95;#252;#92;u202E#34;/)
  })
  test('names that are Mermaid’s words, and names that are nearly alike, have ids of their own', () => {
    const names = ['end', 'default', 'style', 'x', 'o', 'a-b', 'a--b', 'a-b-c']
    const services = names.map((name) => `  ${name}: {scopes: [x]}\n`).join('')
    const texts = ['graph', 'end', 'a-b', 'a'].map(
      (namespace) => `namespace: ${namespace}\nservices:\n${services}`,
    )
    const rows = toMermaid(graphOf(compiled(...texts))).split('\n')
    const ids = rows.flatMap((text) => /^ +(s_[\w.]+)\[/.exec(text)?.[1] ?? [])
    assert.equal(ids.length, names.length * texts.length)
    assert.equal(new Set(ids).size, ids.length)
    assert.ok(ids.every((id) => /^s_[a-z0-9_]+\.[a-z0-9_]+$/.test(id)))
  })
})

test('a graph that Mermaid does not draw as it comes is told from one that it does', () => {
  // A root is one link, an edge with its label two; 500 is where Mermaid stops.
  const edges = (count: number) => ({
    ...GRAPH,
    edges: Array.from({ length: count }, () => GRAPH.edges[0]!),
  })
  assert.equal(GRAPH.sources.length, 4)
  assert.equal(isTooMuchForMermaid(edges(248), ''), false)
  assert.equal(isTooMuchForMermaid(edges(249), ''), true)
  assert.equal(isTooMuchForMermaid(GRAPH, 'x'.repeat(50_000)), false)
  assert.equal(isTooMuchForMermaid(GRAPH, 'x'.repeat(50_001)), true)
})

test('10,000 rules are written at once', () => {
  const graph = graphOf(compiled(large(1000)))
  const before = performance.now()
  assert.ok(toMermaid(graph).length > 100_000)
  assert.ok(performance.now() - before < 10_000)
})
