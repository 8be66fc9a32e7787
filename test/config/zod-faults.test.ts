// The quick yes and the faults part by part, against zod itself.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { accepts } from '../../src/config/zod-accepts.ts'
import { faultsOf } from '../../src/config/zod-faults.ts'
import { safeParse } from '../../src/config/zod-problems.ts'
import { RuleFileSchema } from '../../src/ruleset/schema.ts'

const text = z.string().regex(/^[a-z]+$/)
const SCHEMAS: readonly z.ZodType[] = [
  z.strictObject({
    name: text,
    list: z.array(text).min(1).max(2).optional(),
    flag: z.boolean().optional(),
    kind: z.enum(['a', 'b']).optional(),
    inner: z.record(text, z.union([text, z.array(text), z.strictObject({ a: text })])).optional(),
  }),
  z.record(text, z.number()).refine((map) => Object.keys(map).length < 3, 'too many'),
  z.record(z.enum(['a', 'b']), text),
  z.object({ a: text }),
  z.looseObject({ a: text }),
  z.strictObject({ a: text.default('x'), b: z.coerce.string() }),
  z.strictObject({ a: z.string().trim(), b: text.transform((value) => value.length) }),
  z.strictObject({ a: text.nullable(), b: z.string().toLowerCase().optional() }),
  z.union([z.strictObject({ a: text }), z.strictObject({ b: text }), z.array(text)]),
  z.array(z.union([text, z.number()])).refine((list) => list.length !== 1),
  z.string().max(2).or(z.literal(5)),
  z.lazy(() => z.array(text)),
]

/** Plain data of the kinds that the schemas speak of, and others. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom('a', 'b', 'abc', 'A', ' a ', '', 'é', 0, 5, 1.5, true, false, null),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(
      fc.constantFrom('a', 'b', 'name', 'list', 'flag', 'kind', 'inner', 'X', 'constructor', '1'),
      tie('any'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).any

/** A rule file that is nearly right. */
const ruleFile = value.map((odd) => ({
  namespace: 'a',
  services: {
    s: {
      scopes: ['x'],
      accepts: [{ from: ['s', 't'], scopes: { x: { all: ['y'] } } }, odd],
      token: odd,
    },
    t: odd,
  },
}))

const pathsOf = (issues: readonly z.core.$ZodIssue[]) => issues.map(({ path }) => path.map(String))

describe('against zod', () => {
  for (const [index, schema] of SCHEMAS.entries()) {
    test(`schema ${index}: a yes is zod's, and a no has faults where zod has them`, () => {
      fc.assert(
        fc.property(value, (given) => assertAgrees(schema, given)),
        { numRuns: 400 },
      )
    })
  }
  test('rule files', () => {
    fc.assert(
      fc.property(fc.oneof(value, ruleFile), (given) => assertAgrees(RuleFileSchema, given)),
      { numRuns: 1000 },
    )
  })
})

function assertAgrees(schema: z.ZodType, given: unknown): void {
  const before = structuredClone(given)
  const expected = schema.safeParse(structuredClone(given))
  if (accepts(schema, given)) assert.deepEqual(expected, { success: true, data: given })
  const found = safeParse(schema, given)
  assert.deepEqual(given, before, 'the value was changed')
  assert.equal(found.success, expected.success)
  if (found.success) {
    assert.deepEqual(found.data, expected.data)
    return
  }
  // Every fault lies at or below, or above, one of zod's: a fault of a whole hides those of its parts.
  const [mine, zods] = [pathsOf(found.error.issues), pathsOf(expected.error?.issues ?? [])]
  assert.ok(mine.length > 0)
  const meets = (a: readonly string[], b: readonly string[]) =>
    a.every((step, at) => at >= b.length || step === b[at])
  for (const path of mine)
    assert.ok(
      zods.some((other) => meets(path, other)),
      path.join('.'),
    )
  for (const path of zods)
    assert.ok(
      mine.some((other) => meets(path, other)),
      path.join('.'),
    )
}

describe('a yes is quick', () => {
  test('what rule files are made of is accepted without zod', () => {
    const rule = {
      from: ['s', 'a/*'],
      issuer: 'corporate',
      scopes: { x: ['y'], z: { any: ['y'] } },
    }
    const service = {
      scopes: ['x', 'z'],
      claims: ['email'],
      token: { lifetime: '5m' },
      calls: ['s'],
      accepts: [rule, { from: 's', scopes: ['x'], act: 'impersonate' }],
      denies: [{ reason: 'x' }],
    }
    assert.ok(accepts(RuleFileSchema, { namespace: 'a', services: { s: service } }))
  })
  test('a value that zod would change is not accepted', () => {
    assert.equal(accepts(z.string().trim(), ' a'), false)
    assert.equal(accepts(z.strictObject({ a: z.string().default('x') }), {}), false)
    assert.equal(accepts(z.object({ a: z.string() }), { a: 'x', b: 'y' }), false)
    assert.equal(accepts(z.coerce.string(), 5), false)
  })
  test('a check that is not over is no yes', () => {
    assert.equal(
      accepts(
        z.string().refine(async () => true),
        'x',
      ),
      false,
    )
  })
})

describe('faults', () => {
  test('are looked for no further than the limit', () => {
    let looked = 0
    const counted = z.string().refine(() => {
      looked++
      return false
    })
    const faults = faultsOf(z.array(counted), Array<string>(10_000).fill('x'), 5)
    assert.equal(faults.length, 5)
    assert.ok(looked < 100, `${looked} values`)
  })
  test('come in the order of the document, unknown keys of a mapping last', () => {
    const schema = z.strictObject({ a: z.record(text, z.number()), b: z.array(text).optional() })
    const faults = faultsOf(schema, { z: 1, a: { X: 1, y: 'n', Z: 2 }, b: ['a', 'B'] }, 100)
    assert.deepEqual(
      faults.map(({ code, path }) => `${code} ${path.join('.')}`),
      [
        'invalid_key a.X',
        'invalid_type a.y',
        'invalid_key a.Z',
        'invalid_format b.1',
        'unrecognized_keys ',
      ],
    )
  })
  test('a list that is too long is one fault', () => {
    const faults = faultsOf(z.array(text).max(2), ['A', 'B', 'C'], 100)
    assert.deepEqual(
      faults.map(({ code }) => code),
      ['too_big'],
    )
  })
})
