import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MAX_FORM_PARAMETERS, parseForm } from '../../src/oauth/form.ts'
import { WIRE } from '../../src/oauth/reasons.ts'

/** The pairs that a form gives, or the reason why it gives none. */
function read(body: string): [string, string[]][] | string {
  const form = parseForm(body)
  return form.ok ? [...form.value].map(([name, values]) => [name, [...values]]) : form.reason
}

const isRefused = (character: string) =>
  character < ' ' || character === '\x7f' || character === '\ufffd'

describe('parseForm', () => {
  const accepted: Record<string, [string, [string, string[]][]]> = {
    nothing: ['', []],
    'one pair': ['a=1', [['a', ['1']]]],
    'pairs in order': [
      'b=2&a=1',
      [
        ['b', ['2']],
        ['a', ['1']],
      ],
    ],
    'OA-03 repeats are kept, for the caller to refuse': ['a=1&a=2', [['a', ['1', '2']]]],
    'OA-02 an empty value counts as absent': ['a=&b&c=3', [['c', ['3']]]],
    'field-6 #7 an empty repeat neither removes nor doubles a value': ['a=&a=1&a=', [['a', ['1']]]],
    'empty pairs': ['&a=1&&', [['a', ['1']]]],
    'plus is a space': ['a+b=c+d', [['a b', ['c d']]]],
    'an escaped plus stays': ['a=%2B', [['a', ['+']]]],
    'escapes in either case': ['a=%3a%3A', [['a', ['::']]]],
    'only the first = cuts': ['a=b=c', [['a', ['b=c']]]],
    'UTF-8, escaped or not': [
      'a=%C3%A9&b=é',
      [
        ['a', ['é']],
        ['b', ['é']],
      ],
    ],
    'names that objects inherit': [
      '__proto__=1&constructor=2',
      [
        ['__proto__', ['1']],
        ['constructor', ['2']],
      ],
    ],
    'names are told apart by case': [
      'A=1&a=2',
      [
        ['A', ['1']],
        ['a', ['2']],
      ],
    ],
    'a semicolon does not cut': ['a=1;b=2', [['a', ['1;b=2']]]],
  }
  for (const [name, [body, pairs]] of Object.entries(accepted)) {
    it(name, () => assert.deepEqual(read(body), pairs))
  }

  const malformed = {
    'a lone percent': 'a=%',
    'a cut escape': 'a=%4',
    'an escape that is not hex': 'a=%zz',
    'a cut UTF-8 sequence': 'a=%C3',
    'overlong UTF-8': 'a=%C0%80',
    'a surrogate in UTF-8': 'a=%ED%A0%80',
    NUL: 'a=%00',
    'raw NUL': 'a=\u0000',
    'a line break': 'a=x%0D%0Ay',
    'a tab': 'a=%09',
    DEL: 'a=%7F',
    'the replacement character, which bytes that are not UTF-8 become': 'a=\ufffd',
    'the same in a name': 'a\ufffd=1',
    'a bad escape in a name': '%=1',
    'a bad escape in a name without a value': 'a=1&%zz',
    'a control character in a parameter nobody reads': 'grant_type=x&other=%01',
  }
  for (const [name, body] of Object.entries(malformed)) {
    it(`refuses ${name}`, () => assert.equal(read(body), 'request_form_malformed'))
  }

  it('takes as many parameters as the cap and no more', () => {
    const body = (count: number) => Array.from({ length: count }, (_, i) => `p${i}=1`).join('&')
    assert.equal(read(body(MAX_FORM_PARAMETERS)).length, MAX_FORM_PARAMETERS)
    assert.equal(read(body(MAX_FORM_PARAMETERS + 1)), 'request_too_many_parameters')
    assert.equal(read('&'.repeat(30_000)), 'request_too_many_parameters')
  })

  it('reads back whatever URLSearchParams writes', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    const printable = text.filter((value) => !/[\p{Cc}\ufffd]/u.test(value))
    fc.assert(
      fc.property(fc.array(fc.tuple(printable, printable), { maxLength: 20 }), (pairs) => {
        const form = parseForm(new URLSearchParams(pairs).toString())
        assert.ok(form.ok)
        const grouped = new Map<string, string[]>()
        for (const [name, value] of pairs) {
          grouped.set(name, [...(grouped.get(name) ?? []), value])
        }
        assert.deepEqual(form.value, grouped)
      }),
    )
  })

  it('never throws, and gives only values without control characters', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom(
        '%',
        '%0',
        '%00',
        '%C3',
        '%A9',
        '&',
        '=',
        '+',
        '&&',
        'a=',
        '\ufffd',
        '\ud800',
      ),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const form = parseForm(pieces.join(''))
        if (!form.ok) return assert.ok(form.reason in WIRE)
        for (const [name, values] of form.value) {
          assert.ok(values.length > 0)
          for (const text of [name, ...values]) assert.ok(![...text].some(isRefused))
          assert.ok(!values.includes(''))
        }
      }),
      { numRuns: 500 },
    )
  })
})
