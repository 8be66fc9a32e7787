// YAML: the strict subset, positions, hostile files.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatProblem } from '../../src/config/problem.ts'
import {
  MAX_YAML_DEPTH,
  MAX_YAML_LENGTH,
  MAX_YAML_MARKS,
  parseYaml,
} from '../../src/config/yaml.ts'

const problemsIn = (text: string): string[] => {
  const result = parseYaml(text, 'a.yaml')
  return result.ok ? [] : result.problems.map(formatProblem)
}
const documentOf = (text: string) => {
  const result = parseYaml(text, 'a.yaml')
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'))
  return result.document
}

describe('what is accepted', () => {
  const accepted: readonly [name: string, text: string, value: unknown][] = [
    ['an empty file', '', null],
    ['only comments', '# nothing\n', null],
    ['one document with its marker', '---\na: 1\n', { a: 1 }],
    ['a byte order mark', '\ufeffa: 1\n', { a: 1 }],
    ['CRLF', 'a: 1\r\nb:\r\n  - x\r\n', { a: 1, b: ['x'] }],
    ['yes and no stay text (YAML 1.2)', 'a: yes\nb: no\nc: on\n', { a: 'yes', b: 'no', c: 'on' }],
    ['numbers stay numbers, never text', 'a: 0777\nb: 1e3\nc: 0x1f\n', { a: 777, b: 1000, c: 31 }],
    ['dates stay text', 'a: 2026-11-23\n', { a: '2026-11-23' }],
    ['quoted numbers stay text', 'a: "0777"\n\'1\': x\n', { a: '0777', 1: 'x' }],
    ['<< is a plain key, nothing is merged', '<<: {a: 1}\n', { '<<': { a: 1 } }],
    ['unicode', 'ключ: "\\u00e9 🙂"\n', { ключ: 'é 🙂' }],
    [
      'names of Object.prototype',
      'constructor: 1\ntoString: 2\nhasOwnProperty: 3\n',
      { constructor: 1, toString: 2, hasOwnProperty: 3 },
    ],
  ]
  for (const [name, text, value] of accepted) {
    test(name, () => assert.deepEqual(documentOf(text).value, value))
  }
})

describe('what is refused, and where', () => {
  const refused: readonly [name: string, text: string, ...problems: string[]][] = [
    ['a duplicate key', 'a: 1\nb: 2\na: 3\n', 'a.yaml:3:1: error: a: this key is there twice'],
    [
      'every duplicate key at once',
      'a: {x: 1, x: 2}\nb:\n  - {y: 1, y: 2}\n',
      'a.yaml:1:11: error: a.x: this key is there twice',
      'a.yaml:3:12: error: b[0].y: this key is there twice',
    ],
    [
      'duplicates that are written differently',
      'a: 1\n"\\u0061": 2\n',
      'a.yaml:2:1: error: a: this key is there twice',
    ],
    ['an anchor', 'a: &x 1\n', 'a.yaml:1:4: error: a: anchors are not supported'],
    [
      'an alias',
      'a: &x 1\nb: *x\n',
      'a.yaml:1:4: error: a: anchors are not supported',
      'a.yaml:2:4: error: b: aliases are not supported; write the value out',
    ],
    [
      'a tag',
      'a: !!str 3\nb: !foo {}\n',
      'a.yaml:1:4: error: a: tags are not supported',
      'a.yaml:2:4: error: b: tags are not supported',
    ],
    ['a number as key', '1e3: x\n', 'a.yaml:1:1: error: 1e3: a key must be text; put it in quotes'],
    [
      'a boolean as key',
      'a:\n  true: x\n',
      'a.yaml:2:3: error: a.true: a key must be text; put it in quotes',
    ],
    ['an empty key', 'a: 1\n: 2\n', 'a.yaml:2:3: error: [""]: a key is missing here'],
    [
      '__proto__',
      'a:\n  __proto__: {admin: true}\n',
      'a.yaml:2:3: error: a.__proto__: this key is not allowed',
    ],
    [
      'a list as key',
      '[a, b]: c\n',
      'a.yaml:1:1: error: ["?"]: a key must be text, not a collection',
    ],
    [
      'a second document',
      'a: 1\n---\nb: 2\n',
      'a.yaml:3:1: error: a file holds one YAML document; this is the second',
    ],
    [
      'a tab as indentation',
      'a:\n\tb: 1\n',
      'a.yaml:2:1: error: tab characters must not be used in indentation',
    ],
    [
      'a bracket that is not closed',
      'a: [1,\nb: 2\n',
      'a.yaml:2:1: error: this line is not indented deeply enough, or a bracket above is not closed',
    ],
    ['a colon too many', 'a: b: c\n', 'a.yaml:1:5: error: bad indentation of a mapping entry'],
    [
      'a null byte',
      'a: x\0y\n',
      'a.yaml:1:5: error: a zero byte: the file is no text, or is not UTF-8',
    ],
    [
      'a control character',
      'a: 1\nb: x\u0007y\n',
      'a.yaml:2:5: error: a control character, or half of a character',
    ],
    [
      'nesting',
      `${'['.repeat(40)}${']'.repeat(40)}`,
      `a.yaml:1:32: error: values are nested deeper than ${MAX_YAML_DEPTH}`,
    ],
    [
      'a column after a byte order mark',
      '\ufeffa: {b: 1, b: 2}\n',
      'a.yaml:1:11: error: a.b: this key is there twice',
    ],
    ['a line after CRLF', 'a: 1\r\n\r\na: 2\r\n', 'a.yaml:3:1: error: a: this key is there twice'],
    [
      'a key that would act on a terminal',
      '"\\e[31m": 1\n"\\e[31m": 2\n',
      'a.yaml:2:1: error: ["\\u{1b}[31m"]: this key is there twice',
    ],
  ]
  for (const [name, text, ...problems] of refused) {
    test(name, () => assert.deepEqual(problemsIn(text), problems))
  }

  test('__proto__ changes nothing', () => {
    parseYaml('__proto__: {polluted: true}', 'a.yaml')
    assert.equal(({} as Record<string, unknown>).polluted, undefined)
  })
})

describe('positions', () => {
  const text = [
    'services:',
    '  checkout:',
    '    scopes: [a, "b", c]',
    '    when: |',
    '      subject.x',
    '  "odd name":',
    '    accepts:',
    '      - from: x',
    '        empty:',
    '',
  ].join('\n')
  const cases: readonly [
    path: (string | number)[],
    what: 'key' | 'value',
    line: number,
    column: number,
  ][] = [
    [[], 'value', 1, 1],
    [['services'], 'key', 1, 1],
    [['services'], 'value', 2, 3],
    [['services', 'checkout', 'scopes'], 'value', 3, 13],
    [['services', 'checkout', 'scopes', 1], 'value', 3, 17],
    [['services', 'checkout', 'when'], 'value', 5, 7],
    [['services', 'odd name'], 'key', 6, 3],
    [['services', 'odd name', 'accepts', 0], 'value', 8, 9],
    [['services', 'odd name', 'accepts', 0, 'empty'], 'value', 9, 9],
    // missing: the nearest existing ancestor's key
    [['services', 'checkout', 'audience'], 'value', 2, 3],
    [['services', 'odd name', 'accepts', 7, 'x'], 'value', 7, 5],
    [['services', 'checkout', 'scopes', 1, 'deeper'], 'value', 3, 17],
    [['nothing'], 'value', 1, 1],
  ]
  for (const [path, what, line, column] of cases) {
    test(`${what} of ${JSON.stringify(path)} is at ${line}:${column}`, () => {
      assert.deepEqual(documentOf(text).positionOf(path, what), { line, column })
    })
  }

  test('agree with a writer that notes where it puts every value', () => {
    fc.assert(
      fc.property(anyTree(), fc.constantFrom('\n', '\r\n'), (tree, lineEnd) => {
        const written = write(tree, lineEnd)
        const document = documentOf(written.text)
        assert.deepEqual(document.value, plain(tree))
        for (const { path, key, value } of written.places) {
          assert.deepEqual(document.positionOf(path, 'key'), key ?? value, JSON.stringify(path))
          assert.deepEqual(document.positionOf(path, 'value'), value, JSON.stringify(path))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('hostile files', () => {
  // Not a measurement: what hangs, hangs for longer than any machine is slow.
  const HANG = 30
  const within = (ms: number, run: () => void) => {
    const start = performance.now()
    run()
    const took = performance.now() - start
    assert.ok(took < ms * HANG, `took ${took.toFixed(0)} ms`)
  }

  test('parseYaml never throws', () => {
    const pieces = fc.constantFrom(
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&x ',
      '*x',
      '!!t ',
      '"',
      "'",
      '|',
      '>',
      '?',
      '#',
      '---\n',
      '%YAML 1.2\n',
      '\t',
      '\0',
      '\ud800',
      '\ufeff',
      '<<',
      '__proto__',
    )
    const noise = fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(noise, fc.string({ unit: 'binary', maxLength: 200 })), (text) => {
        const result = parseYaml(text, 'a.yaml')
        for (const each of result.ok ? [] : result.problems) {
          assert.ok(each.line >= 1 && each.column >= 1 && each.message.length <= 220)
          assert.ok(formatProblem(each).length < 2000)
        }
        if (!result.ok) assert.ok(result.problems.length > 0)
      }),
      { numRuns: 3000 },
    )
  })

  test('a billion laughs is refused at its first alias, at once', () => {
    let text = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
    for (let level = 1; level < 12; level++) {
      text += `a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]\n`
    }
    within(1000, () => assert.match(problemsIn(text)[0] ?? '', /anchors are not supported/))
  })

  test('many problems of one kind are capped', () => {
    assert.equal(problemsIn('a: 1\n'.repeat(50_000)).length, 500)
  })

  test('a file over the size cap is refused before it is parsed', () => {
    const text = `# ${'x'.repeat(MAX_YAML_LENGTH)}`
    within(500, () => assert.match(problemsIn(text)[0] ?? '', /larger than 16 MiB/))
  })

  for (const [name, piece] of [
    ['list items', '- \n'],
    ['flow items', 'a,'],
    ['empty keys', '? '],
    ['brackets', '['],
    ['mappings', '{'],
  ] as const) {
    test(`a file of ${name} over the cap is refused before it takes memory`, () => {
      within(1500, () => {
        assert.match(problemsIn(piece.repeat(MAX_YAML_MARKS + 1))[0] ?? '', /too many values/)
      })
    })
  }

  for (const [name, text] of [
    ['nested tags', Array.from({ length: 30 }, (_, i) => `${' '.repeat(i)}!a &b${i}\n`).join('')],
    [
      'nested anchors as keys',
      Array.from({ length: 30 }, (_, i) => `${' '.repeat(i)}&a k: &b\n`).join(''),
    ],
    ['nested explicit keys', '? '.repeat(31)],
    ['nested flow keys', `${'['.repeat(31)}a${']: x'.repeat(31)}`],
    ['a long line of quotes', '"'.repeat(100_001)],
    ['a long run of spaces', `a:${' '.repeat(1_000_000)}\n`],
    ['a long key', `${'k'.repeat(100_000)}: x\n`],
    ['a hundred thousand unclosed brackets', '['.repeat(100_000)],
  ] as const) {
    test(`${name} take no time`, () => within(2000, () => void problemsIn(text)))
  }

  test('100,000 rules load in seconds, and a thousand positions in them take no time', () => {
    const services = Array.from({ length: 20_000 }, (_, index) => {
      const rules = Array.from(
        { length: 5 },
        (__, rule) =>
          `      - {from: s${(index + rule) % 20_000}, issuer: corporate, scopes: {a:read: [x]}}\n`,
      )
      return `  s${index}:\n    scopes: [a:read]\n    accepts:\n${rules.join('')}`
    })
    const text = `namespace: big\nservices:\n${services.join('')}`
    let document: ReturnType<typeof documentOf> | undefined
    within(8000, () => {
      document = documentOf(text)
    })
    within(2000, () => {
      for (let index = 0; index < 1000; index++) {
        const position = document?.positionOf([
          'services',
          `s${index * 20}`,
          'accepts',
          4,
          'issuer',
        ])
        assert.equal(position?.line, 2 + index * 20 * 8 + 8)
      }
    })
  })
})

// A tree that knows how it is to be written.
type Tree =
  | { readonly kind: 'scalar'; readonly text: string; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly Tree[]; readonly isFlow: boolean }
  | {
      readonly kind: 'map'
      readonly entries: readonly (readonly [string, Tree])[]
      readonly isFlow: boolean
    }

function anyTree(): fc.Arbitrary<Tree> {
  const scalar: fc.Arbitrary<Tree> = fc.oneof(
    fc
      .constantFrom('x', 'two words', 'a:b', 'https://x.example/', '5m')
      .map((text): Tree => ({ kind: 'scalar', text, value: text })),
    fc
      .integer({ min: 0, max: 999 })
      .map((n): Tree => ({ kind: 'scalar', text: String(n), value: n })),
    fc
      .string({ maxLength: 8 })
      .map((text): Tree => ({ kind: 'scalar', text: JSON.stringify(text), value: text })),
    fc.constant<Tree>({ kind: 'scalar', text: "'it''s'", value: "it's" }),
  )
  const key = fc.constantFrom('a', 'b', 'accepts', 'a-b', 'c:d', '"q k"', "'s k'", 'ünï')
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'tree' },
      scalar,
      fc.record({
        kind: fc.constant('list' as const),
        items: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
        isFlow: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant('map' as const),
        entries: fc.uniqueArray(fc.tuple(key, tie('tree')), {
          minLength: 1,
          maxLength: 4,
          selector: ([name]) => name,
        }),
        isFlow: fc.boolean(),
      }),
    ),
  }))
  return tree
}

const keyName = (key: string): string => key.replaceAll('"', '').replaceAll("'", '')

function plain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value
  if (tree.kind === 'list') return tree.items.map(plain)
  return Object.fromEntries(tree.entries.map(([key, child]) => [keyName(key), plain(child)]))
}

interface Place {
  readonly path: (string | number)[]
  readonly key: { line: number; column: number } | undefined
  readonly value: { line: number; column: number }
}

function write(root: Tree, lineEnd: string): { text: string; places: Place[] } {
  let text = ''
  let line = 1
  let column = 1
  const places: Place[] = []
  const put = (piece: string) => {
    text += piece
    column += piece.length
  }
  const newLine = (indent: number) => {
    text += lineEnd + ' '.repeat(indent)
    line++
    column = indent + 1
  }
  const here = () => ({ line, column })
  // `isInline`: the cursor stands after a dash, where a block collection may begin at once.
  const emit = (
    tree: Tree,
    indent: number,
    path: (string | number)[],
    key: Place['key'],
    inFlow: boolean,
    after: 'key' | 'dash' | 'start',
  ) => {
    const isBlock = tree.kind !== 'scalar' && !tree.isFlow && !inFlow
    if (isBlock && after === 'key') newLine(indent)
    else if (after === 'key') put(' ')
    places.push({ path, key, value: here() })
    if (tree.kind === 'scalar') return put(tree.text)
    const children: { step: string | number; key: string | undefined; child: Tree }[] =
      tree.kind === 'list'
        ? tree.items.map((child, step) => ({ step, key: undefined, child }))
        : tree.entries.map(([name, child]) => ({ step: keyName(name), key: name, child }))
    if (!isBlock) put(tree.kind === 'list' ? '[' : '{')
    children.forEach(({ step, key: name, child }, index) => {
      if (index > 0) {
        if (isBlock) newLine(indent)
        else put(', ')
      }
      const at = name === undefined ? undefined : here()
      if (name !== undefined) put(`${name}:`)
      else if (isBlock) put('- ')
      const next = name !== undefined ? 'key' : isBlock ? 'dash' : 'start'
      emit(child, indent + 2, [...path, step], at, !isBlock, next)
    })
    if (!isBlock) put(tree.kind === 'list' ? ']' : '}')
  }
  emit(root, 0, [], undefined, false, 'start')
  text += lineEnd
  return { text, places }
}
