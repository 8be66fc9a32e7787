// Hostile rule files, read from disk as every command reads them: what is said, how much of it, and in what time.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { formatProblem } from '../../src/config/problem.ts'
import { MAX_YAML_LENGTH, MAX_YAML_MARKS } from '../../src/config/yaml.ts'
import { loadRuleset, readRuleSources } from '../../src/ruleset/load.ts'
import { deployment, runProcess } from '../cli/run-cli.ts'
import { largeRuleset } from '../support/large-ruleset.ts'
import { loadInProcess } from '../support/load-rules.ts'
import { CONTEXT } from '../support/rules.ts'

const services = (body: string) => `namespace: a\nservices:\n${body}`
const one = (name: string, rest = '') => `  ${name}:\n    scopes: [x]\n${rest}`
const many = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => line(index)).join('')

interface Case {
  readonly name: string
  readonly content: string | Uint8Array
  /** `line:column: message` of the first problems; none where the file is right. */
  readonly told: readonly string[]
}

function load(content: string | Uint8Array) {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
  try {
    const file = join(folder, 'a.yaml')
    writeFileSync(file, content)
    const started = performance.now()
    const read = readRuleSources([folder])
    const { ruleset, problems } = loadRuleset(read.sources, CONTEXT)
    const milliseconds = performance.now() - started
    const isRight = ruleset !== undefined && read.problems.length === 0
    return { milliseconds, isRight, problems: [...read.problems, ...problems], file }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a person is told, without the name of the file and the id of the finding. */
const lines = ({ problems, file }: ReturnType<typeof load>): string[] =>
  problems.map(({ id: _, ...problem }) =>
    formatProblem(problem).replace(`${file}:`, '').replace(' error: ', ' '),
  )

/** Milliseconds that a character of ordinary rules takes on this machine now. */
function ordinary(): number {
  const [first] = largeRuleset({ services: 100, namespaces: 1, rulesPerService: 20 })
  assert.ok(first)
  const { milliseconds, problems } = load(first.text)
  assert.deepEqual(problems, [])
  return milliseconds / first.text.length
}

/** A hostile character may cost as much as this many ordinary ones; what is quadratic costs thousands. */
const WORSE = 60
/** Below these the machine is measured and not the file. */
const SMALLEST = 500_000
const SHORTEST_MS = 300

function assertTime(milliseconds: number, characters: number): void {
  if (milliseconds < SHORTEST_MS) return
  const allowed = ordinary() * Math.max(characters, SMALLEST) * WORSE
  assert.ok(milliseconds < allowed, `${milliseconds} ms where ${allowed} were allowed`)
}

function check({ name, content, told }: Case) {
  test(name, () => {
    const result = load(content)
    const printed = lines(result)
    assert.deepEqual(printed.slice(0, told.length), told)
    assert.equal(result.isRight, told.length === 0)
    assert.ok(printed.length <= 500, `${printed.length} problems`)
    for (const line of printed) {
      assert.ok(line.length <= 400, `a line of ${line.length} characters`)
      assert.match(line, /^\d+:\d+: [ -~→…]+$/)
    }
    assert.equal(Reflect.get({}, 'polluted'), undefined)
    assertTime(result.milliseconds, content.length)
  })
}

describe('depth, size and repetition', () => {
  const levels = 10_000
  const cases: readonly Case[] = [
    {
      name: 'a file over the cap',
      content: services(`${one('s')}# ${'x'.repeat(MAX_YAML_LENGTH)}\n`),
      told: ['1:1: the file is larger than 16 MiB'],
    },
    {
      name: 'lists in lists',
      content: `namespace: a\nservices: ${'['.repeat(levels)}${']'.repeat(levels)}\n`,
      told: ['2:42: values are nested deeper than 32'],
    },
    {
      name: 'mappings in mappings',
      content: `namespace: a\nservices: ${'{a: '.repeat(levels)}x${'}'.repeat(levels)}\n`,
      told: ['2:132: values are nested deeper than 32'],
    },
    {
      name: 'block mappings in block mappings',
      content: services(many(2_000, (depth) => `${' '.repeat(depth + 1)}a:\n`)),
      told: ['33:32: values are nested deeper than 32'],
    },
    {
      name: 'dashes after dashes',
      content: services(`  ${'- '.repeat(levels)}x\n`),
      told: ['3:65: values are nested deeper than 32'],
    },
    {
      name: 'a billion laughs',
      content: many(
        40,
        (at) => `a${at}: &a${at} [${at === 0 ? 'x' : `*a${at - 1}, `.repeat(9)}]\n`,
      ),
      told: [
        '1:5: a0: anchors are not supported',
        '2:5: a1: anchors are not supported',
        '2:10: a1[0]: aliases are not supported; write the value out',
        '2:15: a1[1]: aliases are not supported; write the value out',
      ],
    },
    {
      name: 'merge keys',
      content: `base: &b {scopes: [x]}\n${services('  s:\n    <<: *b\n')}`,
      told: [
        '1:7: base: anchors are not supported',
        '5:9: services.s["<<"]: aliases are not supported; write the value out',
      ],
    },
    {
      name: 'a merge without an alias merges nothing',
      content: services('  s:\n    <<: {scopes: [x]}\n'),
      told: ['4:5: services.s["<<"]: unknown key'],
    },
    {
      name: 'duplicate keys at every level',
      content: `namespace: a\n${services(
        `${one('s', '    scopes: [y]\n')}${one('t', '    accepts: [{from: s, from: t, scopes: {x: [x], x: [y]}}]\n')}${one('s')}`,
      )}services: {}\n`,
      told: [
        '2:1: namespace: this key is there twice',
        '6:5: services.s.scopes: this key is there twice',
        '9:25: services.t.accepts[0].from: this key is there twice',
        '9:51: services.t.accepts[0].scopes.x: this key is there twice',
        '10:3: services.s: this key is there twice',
        '12:1: services: this key is there twice',
      ],
    },
    {
      name: 'one key a hundred thousand times',
      content: services('  s: {}\n'.repeat(100_000)),
      told: ['4:3: services.s: this key is there twice'],
    },
    {
      name: 'a value of fifteen megabytes',
      content: services(`  s: {audience: ${'x'.repeat(15_000_000)}}\n`),
      told: [
        '3:17: services.s.audience: an audience is printable ASCII without space, quote or backslash',
      ],
    },
    {
      name: 'a name of ten megabytes',
      content: services(`  ${'x'.repeat(10_000_000)}: {}\n`),
      told: [
        `3:3: services["${'x'.repeat(63)}…"]: this name is not allowed: a name is lower-case letters, digits and hyphens`,
      ],
    },
    {
      name: '20,001 services',
      content: services(many(20_001, (index) => `  s${index}: {}\n`)),
      told: ['3:3: services: at most 20000 services in one file'],
    },
    {
      name: 'a list of a hundred thousand scopes, all wrong',
      content: services(`  s:\n    scopes:\n${'      - "a b"\n'.repeat(100_000)}`),
      told: ['5:7: services.s.scopes: must have at most 1000 entries'],
    },
  ]
  cases.forEach(check)
})

describe('faults without end', () => {
  const accepts = (rule: string, count = 15_000) =>
    services(one('s', `    accepts:\n${`      - ${rule}\n`.repeat(count)}`))
  const cases: readonly Case[] = [
    {
      name: 'unknown keys of a hundred thousand services',
      content: services(many(100_000, (index) => `  s${index}: {audiance: x}\n`)),
      told: ['3:8: services.s0.audiance: unknown key; did you mean `audience`?'],
    },
    {
      name: 'unknown keys of one service',
      content: services(`  s:\n${many(30_000, (index) => `    key${index}: x\n`)}`),
      told: ['4:5: services.s.key0: unknown key'],
    },
    {
      name: 'names that are none',
      content: services(many(30_000, (index) => `  S${index}: {}\n`)),
      told: [
        '3:3: services.S0: this name is not allowed: a name is lower-case letters, digits and hyphens',
      ],
    },
    {
      name: 'rules of wrong types',
      content: accepts('{from: 5, scopes: {y: 7, z: {ann: [d]}}}'),
      told: ['6:16: services.s.accepts[0].from: must be text or a list'],
    },
    {
      name: 'rules that fit two forms',
      content: accepts('{from: s, scopes: {y: {any: [], all: []}}}'),
      told: ['6:37: services.s.accepts[0].scopes.y.any: an empty list justifies nothing'],
    },
    {
      name: 'rules of nobody',
      content: accepts('{from: nobody, scopes: [x]}'),
      told: ['6:16: services.s.accepts[0].from: no service a/nobody'],
    },
    {
      name: 'rules for the same caller',
      content: accepts('{from: a/*, scopes: {x: [x]}}'),
      told: [
        '7:16: services.s.accepts[1].from: another rule of a/s already covers a/* with issuer self',
      ],
    },
    {
      name: 'names that are nearly those of ten thousand others',
      content: services(
        many(10_000, (index) => {
          const name = `service-with-a-name-that-costs-m${index}`
          return `  ${name}: {calls: [${name.replace('costs', 'cosst')}]}\n`
        }),
      ),
      told: [
        '3:47: services.service-with-a-name-that-costs-m0.calls[0]: no service a/service-with-a-name-that-cosst-m0; did you mean `a/service-with-a-name-that-costs-m0`?',
      ],
    },
    {
      name: 'tokens within tokens, twenty thousand levels deep',
      content: services(
        many(20_000, (index) => {
          const [caller, next] = [(index + 19_999) % 20_000, (index + 1) % 20_000]
          return `  s${index}:\n    scopes: [x]\n    embeddable: true\n    calls: [s${next}]\n    accepts: [{from: s${caller}, scopes: [x], embed: [s${next}]}]\n`
        }),
      ),
      told: ['7:43: services.s0.accepts[0].embed: tokens within tokens 64 levels deep; at most 4'],
    },
  ]
  cases.forEach(check)
})

describe('types where text is meant', () => {
  const wrong = (value: string, message: string): Case => ({
    name: `audience: ${value}`,
    content: services(`  s:\n    audience: ${value}\n`),
    told: [`4:15: services.s.audience: ${message}`],
  })
  const number = (value: number) =>
    `must be text, not ${value} (a number; put it in quotes if text is meant)`
  const key = (written: string, told: string): Case => ({
    name: `a key ${written}`,
    content: services(`  ${written} {}\n`),
    told: [told],
  })
  const cases: readonly Case[] = [
    wrong('0777', number(777)),
    wrong('1e3', number(1000)),
    wrong('.inf', number(Number.POSITIVE_INFINITY)),
    wrong('true', 'must be text, not true (a boolean; put it in quotes if text is meant)'),
    wrong('~', 'must be text, not empty'),
    wrong('[a]', 'must be text, not a list'),
    wrong('{a: b}', 'must be text, not a mapping'),
    wrong('!!js/function "x"', 'tags are not supported'),
    wrong('!!binary aGk=', 'tags are not supported'),
    wrong('!!str x', 'tags are not supported'),
    wrong('!<tag:yaml.org,2002:str> x', 'tags are not supported'),
    {
      name: 'yes, no and dates are text (YAML 1.2), and so no booleans',
      content: services('  s: {external: yes}\n  t: {embeddable: no, claims: [2026-01-01]}\n'),
      told: [
        '3:17: services.s.external: must be true or false, not text',
        '4:19: services.t.embeddable: must be true or false, not text',
      ],
    },
    key('1:', '3:3: services.1: a key must be text; put it in quotes'),
    key('1.5:', '3:3: services["1.5"]: a key must be text; put it in quotes'),
    key('null:', '3:3: services.null: a key must be text; put it in quotes'),
    key('true:', '3:3: services.true: a key must be text; put it in quotes'),
    key('[a]:', '3:3: services["?"]: a key must be text, not a collection'),
    key('{b: c}:', '3:3: services["?"]: a key must be text, not a collection'),
    key(':', '3:5: services[""]: a key is missing here'),
  ]
  cases.forEach(check)
})

describe('names of objects', () => {
  const cases: readonly Case[] = [
    {
      name: '__proto__ as it is, in quotes and escaped',
      content: services(
        '  __proto__: {polluted: [x]}\n  s: {"__proto__": {polluted: true}, "\\u005f_proto__": 1}\n',
      ),
      told: [
        '3:3: services.__proto__: this key is not allowed',
        '4:7: services.s.__proto__: this key is not allowed',
        '4:38: services.s.__proto__: this key is not allowed',
      ],
    },
    {
      name: 'constructor and its like are names as any other',
      content: services(
        '  constructor:\n    scopes: [constructor, toString]\n    accepts: [{from: tostring, issuer: corporate, scopes: {constructor: [valueOf], toString: [hasOwnProperty]}}]\n  tostring:\n    calls: [constructor]\n',
      ),
      told: [],
    },
    {
      name: 'constructor is no key that every mapping has',
      content: services(
        '  s:\n    constructor: x\n    scopes: [x]\n    accepts: [{from: s, scopes: {toString: [x]}}]\n',
      ),
      told: ['4:5: services.s.constructor: unknown key'],
    },
    {
      name: 'scopes that no service has',
      content: services(
        '  s:\n    scopes: [x]\n    accepts: [{from: s, scopes: {toString: [x], hasOwnProperty: [valueOf]}}]\n',
      ),
      told: [
        '5:34: services.s.accepts[0].scopes.toString: a/s has no scope toString',
        '5:49: services.s.accepts[0].scopes.hasOwnProperty: a/s has no scope hasOwnProperty',
      ],
    },
  ]
  cases.forEach(check)
})

describe('characters', () => {
  const NAME = 'this name is not allowed: a name is lower-case letters, digits and hyphens'
  const name = (what: string, written: string, shown: string, character: string): Case => ({
    name: `a service name with ${what}`,
    content: services(one(written)),
    told: [`3:3: services["${shown}"]: ${NAME}; character ${character}`],
  })
  const cases: readonly Case[] = [
    name('a Cyrillic а', 'p\u0430yment', 'p\\u{430}yment', '2 is U+0430'),
    name('a full-width letter', '\uff50ayment', '\\u{ff50}ayment', '1 is U+FF50'),
    name('a zero-width joiner', 'pay\u200dment', 'pay\\u{200d}ment', '4 is U+200D'),
    name('an override of direction', 'pay\u202ement', 'pay\\u{202e}ment', '4 is U+202E'),
    name('an accent', 'pa\u0301yment', 'pa\\u{301}yment', '3 is U+0301'),
    name('a letter beyond the first plane', '\u{1d429}ayment', '\\u{1d429}ayment', '1 is U+1D429'),
    {
      name: 'a look-alike in every other name',
      content:
        'namespace: b\u043eutique\nservices:\n  s: {s\u0441opes: [x], scopes: [r\u0435ad], audience: "https://p\u0430y.example"}\n',
      told: [
        '1:12: namespace: a name is lower-case letters, digits and hyphens; character 2 is U+043E',
        '3:7: services.s["s\\u{441}opes"]: unknown key; did you mean `scopes`?',
        '3:29: services.s.scopes[0]: a scope is printable ASCII without space, quote or backslash; character 2 is U+0435',
        '3:46: services.s.audience: an audience is printable ASCII without space, quote or backslash; character 10 is U+0430',
      ],
    },
    {
      name: 'look-alikes in references',
      content: services(
        `${one('payment', '    calls: [p\u0430yment]\n')}${one('s', '    accepts: [{from: p\u0430yment, issuer: c\u043erporate, scopes: [x]}]\n')}`,
      ),
      told: [
        '5:13: services.payment.calls[0]: no service a/p\\u{430}yment; did you mean `a/payment`?',
        '8:22: services.s.accepts[0].from: no service a/p\\u{430}yment; did you mean `a/payment`?',
        '8:39: services.s.accepts[0].issuer: no issuer c\\u{43e}rporate in the issuers file; did you mean `corporate`?',
      ],
    },
    {
      name: 'a zero byte',
      content: services('  s: {audience: "a\0b"}\n'),
      told: ['3:19: a zero byte: the file is no text, or is not UTF-8'],
    },
    {
      name: 'a control character',
      content: services('  s: {audience: a\u0007b}\n'),
      told: ['3:18: a control character, or half of a character'],
    },
    {
      name: 'a control character that is escaped',
      content: services('  s: {audience: "a\\x1b[31mb"}\n'),
      told: [
        '3:17: services.s.audience: an audience is printable ASCII without space, quote or backslash; character 2 is U+001B',
      ],
    },
    { name: 'CRLF', content: services(one('s')).replaceAll('\n', '\r\n'), told: [] },
    {
      name: 'tabs as indentation',
      content: 'namespace: a\nservices:\n\ts:\n\t\tscopes: [x]\n',
      told: ['3:1: tab characters must not be used in indentation'],
    },
    {
      name: 'spaces that do not break as indentation',
      content: 'namespace: a\nservices:\n\u00a0\u00a0s: {}\n',
      told: [
        '2:1: services: must be a mapping, not empty',
        '3:1: ["\\u{a0}\\u{a0}s"]: unknown key',
      ],
    },
    {
      name: 'UTF-16',
      content: Buffer.from(`\ufeff${services(one('s'))}`, 'utf16le'),
      told: ['1:1: the file is UTF-16: save it as UTF-8'],
    },
    {
      name: 'UTF-16 without a byte order mark',
      content: Buffer.from(services(one('s')), 'utf16le'),
      told: ['1:2: a zero byte: the file is no text, or is not UTF-8'],
    },
    {
      name: 'Latin-1',
      content: Buffer.from(services(one('s', '    # für alle\n')), 'latin1'),
      told: ['5:8: this is not UTF-8'],
    },
  ]
  cases.forEach(check)
})

describe('documents', () => {
  const SECOND = 'a file holds one YAML document; this is the second'
  const cases: readonly Case[] = [
    ...['', '# nothing\n', '---\n', '...\n'].map(
      (content): Case => ({
        name: `an empty document: ${JSON.stringify(content)}`,
        content,
        told: ['1:1: must be a mapping, not empty'],
      }),
    ),
    {
      name: 'a list',
      content: '- a\n',
      told: ['1:1: must be a mapping, not a list'],
    },
    {
      name: 'text',
      content: 'hello\n',
      told: ['1:1: must be a mapping, not text'],
    },
    {
      name: 'two documents',
      content: `${services(one('s'))}---\n${services(one('t'))}`,
      told: [`6:1: ${SECOND}`],
    },
    {
      name: 'a hundred thousand documents',
      content: '---\n'.repeat(100_000),
      told: [`100001:1: ${SECOND}`],
    },
    {
      name: 'another version of YAML',
      content: `%YAML 2.0\n---\n${services(one('s'))}`,
      told: ['2:1: unacceptable YAML version of the document'],
    },
  ]
  cases.forEach(check)
})

describe('in a process of their own', () => {
  const folder = (t: TestContext, content: string) => {
    const path = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
    t.after(() => rmSync(path, { recursive: true, force: true }))
    writeFileSync(join(path, 'a.yaml'), content)
    return path
  }
  // The densest that are still read: what a reload of them takes must fit beside a server's own heap.
  const half = Math.floor(MAX_YAML_MARKS / 2) - 20
  const dense: readonly [string, string][] = [
    ['mappings of one key', services(`  s: {calls: [${'{a},'.repeat(half)}a]}\n`)],
    ['keys', services(`  s: {${many(half, (index) => `k${index}: ,`)}}\n`)],
    ['items', services(`  s: {scopes: [${'a,'.repeat(half * 2)}a]}\n`)],
  ]
  for (const [name, content] of dense) {
    test(`${name}, as many as are read, fit into 450 MB of heap`, async (t) => {
      const report = await loadInProcess([folder(t, content)], 450)
      assert.equal(report.rules, 0)
      assert.ok(report.problems > 0 && report.problems <= 500)
      assert.doesNotMatch(report.first.join(), /too many values/)
    })
  }

  const told: readonly [string, string, RegExp][] = [
    [
      'a billion laughs',
      many(40, (at) => `a${at}: &a${at} [${at === 0 ? 'x' : `*a${at - 1}, `.repeat(9)}]\n`),
      /^rules\/a\.yaml:1:5: error: a0: anchors are not supported/,
    ],
    [
      'a hundred thousand faults',
      services(many(100_000, (index) => `  s${index}: {audiance: x}\n`)),
      /^rules\/a\.yaml:3:8: error: services\.s0\.audiance: unknown key; did you mean `audience`\?/,
    ],
    [
      'tokens within tokens without end',
      services(
        many(2_000, (index) => {
          const [caller, next] = [(index + 1_999) % 2_000, (index + 1) % 2_000]
          return `  s${index}:\n    scopes: [x]\n    embeddable: true\n    calls: [s${next}]\n    accepts: [{from: s${caller}, scopes: [x], embed: [s${next}]}]\n`
        }),
      ),
      /^rules\/a\.yaml:7:42: error: services\.s0\.accepts\[0\]\.embed: tokens within tokens 64 levels/m,
    ],
    [
      'look-alikes',
      services(one('p\u0430yment')),
      /^rules\/a\.yaml:3:3: error: services\["p\\u\{430\}yment"\]: this name is not allowed/,
    ],
  ]
  for (const [name, content, expected] of told) {
    test(`rules check tells ${name}, and not without end`, async () => {
      const cwd = deployment({ 'rules/a.yaml': content })
      const { code, stdout, stderr } = await runProcess(['rules', 'check'], { cwd })
      assert.equal(code, 1, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, expected)
      assert.ok(stderr.length < 100_000, `${stderr.length} characters`)
      assert.doesNotMatch(stderr, /this is a bug|\n {4}at /)
    })
  }
})
