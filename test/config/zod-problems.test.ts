// Zod's issues as problems: place, words, suggestion.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { formatProblem } from '../../src/config/problem.ts'
import { parseYaml } from '../../src/config/yaml.ts'
import { problemsOfZod, safeParse } from '../../src/config/zod-problems.ts'

const entry = z.strictObject({
  audience: z.string().optional(),
  scopes: z.array(z.string()).min(1).max(2).optional(),
  act: z.enum(['delegate', 'impersonate']).default('delegate'),
  from: z.union([z.string(), z.array(z.string())]).optional(),
  justified: z
    .union([
      z.array(z.string()),
      z.strictObject({ all: z.array(z.string()), when: z.string().optional() }),
    ])
    .optional(),
  count: z.int().min(2).max(5).optional(),
  external: z.boolean().optional(),
  said: z.string({ error: 'must be said well' }).optional(),
})
const schema = z.strictObject({
  namespace: z.string(),
  services: z.record(z.string().regex(/^[a-z]+$/, 'lower-case letters only'), entry),
})

const problemsIn = (text: string): string[] => {
  const parsed = parseYaml(text, 'r.yaml')
  assert.ok(parsed.ok)
  const result = safeParse(schema, parsed.document.value)
  return result.success
    ? []
    : problemsOfZod(parsed.document, result.error, schema).map(formatProblem)
}

describe('one thing wrong', () => {
  const valid = 'namespace: n\nservices:\n  a:\n    audience: x\n'
  test('the valid file has no problem', () => assert.deepEqual(problemsIn(valid), []))

  const cases: readonly [line: string, problem: string][] = [
    [
      'audiance: x',
      'r.yaml:3:5: error: services.a.audiance: unknown key; did you mean `audience`?',
    ],
    ['frobnicate: x', 'r.yaml:3:5: error: services.a.frobnicate: unknown key'],
    [
      'audience: 0777',
      'r.yaml:3:15: error: services.a.audience: must be text, not 777 (a number; put it in quotes if text is meant)',
    ],
    [
      'audience: true',
      'r.yaml:3:15: error: services.a.audience: must be text, not true (a boolean; put it in quotes if text is meant)',
    ],
    ['audience:', 'r.yaml:3:5: error: services.a.audience: must be text, not empty'],
    ['audience: {x: 1}', 'r.yaml:3:15: error: services.a.audience: must be text, not a mapping'],
    ['scopes: x', 'r.yaml:3:13: error: services.a.scopes: must be a list, not text'],
    ['scopes: []', 'r.yaml:3:13: error: services.a.scopes: must not be empty'],
    ['scopes: [a, b, c]', 'r.yaml:3:13: error: services.a.scopes: must have at most 2 entries'],
    [
      'scopes: [a, 1]',
      'r.yaml:3:17: error: services.a.scopes[1]: must be text, not 1 (a number; put it in quotes if text is meant)',
    ],
    [
      'act: impersonat',
      'r.yaml:3:10: error: services.a.act: must be delegate or impersonate; did you mean `impersonate`?',
    ],
    ['from: 5', 'r.yaml:3:11: error: services.a.from: must be text or a list'],
    ['from: [a, {}]', 'r.yaml:3:15: error: services.a.from[1]: must be text, not a mapping'],
    [
      'justified: {al: [a], all: [b]}',
      'r.yaml:3:17: error: services.a.justified.al: unknown key; did you mean `all`?',
    ],
    ['justified: {when: x}', 'r.yaml:3:5: error: services.a.justified: the key `all` is missing'],
    ['count: 9', 'r.yaml:3:12: error: services.a.count: must be at most 5'],
    ['count: 1', 'r.yaml:3:12: error: services.a.count: must be at least 2'],
    [
      'count: 2.5',
      'r.yaml:3:12: error: services.a.count: must be a whole number, not 2.5 (a number; put it in quotes if text is meant)',
    ],
    ['external: yes', 'r.yaml:3:15: error: services.a.external: must be true or false, not text'],
    ['said: 1', 'r.yaml:3:11: error: services.a.said: must be said well'],
  ]
  for (const [line, expected] of cases) {
    test(line, () => assert.deepEqual(problemsIn(block(line)), [expected]))
  }
})

/** The service `a` as a block, so that the line stands at 3:5. */
const block = (line: string): string => `services:\n  a:\n    ${line}\nnamespace: n\n`

test('a missing key is shown at its parent, a wrong name at its key, and all come at once', () => {
  assert.deepEqual(problemsIn('services:\n  B/C: {}\n  e: []\n'), [
    'r.yaml:1:1: error: the key `namespace` is missing',
    'r.yaml:2:3: error: services["B/C"]: this name is not allowed: lower-case letters only',
    'r.yaml:3:6: error: services.e: must be a mapping, not a list',
  ])
})

test('a file that is no mapping', () => {
  assert.deepEqual(problemsIn(''), ['r.yaml:1:1: error: must be a mapping, not empty'])
  assert.deepEqual(problemsIn('- a\n'), ['r.yaml:1:1: error: must be a mapping, not a list'])
})

test('values of a file are clipped in messages', () => {
  const [line = ''] = problemsIn(block(`audience: ${'1'.repeat(300)}`))
  assert.ok(line.length < 200, line)
})

describe('more wrong than anybody reads', () => {
  const badNames = (count: number) => {
    const names = Array.from({ length: count }, (_, index) => `  A${index}: {}\n`)
    return `namespace: n\nservices:\n${names.join('')}`
  }
  test('is told up to the cap', () => {
    assert.equal(problemsIn(badNames(2000)).length, 500)
    const keys = Array.from({ length: 2000 }, (_, index) => `k${index}: x`).join('\n')
    assert.equal(problemsIn(`namespace: n\nservices: {}\n${keys}\n`).length, 500)
  })
  test('is said to be too much where no stack holds it', () => {
    const lists = (item: z.ZodType) => z.record(z.string(), z.array(item))
    // Which branch was meant cannot be seen from outside, so zod is asked for all at once.
    const branches = z.union([lists(z.string()), lists(z.boolean())])
    const result = safeParse(branches, { a: Array<number>(300_000).fill(1) })
    assert.deepEqual(result.success ? [] : result.error.issues.map(({ message }) => message), [
      'there are too many faults to tell them',
    ])
  })
})
