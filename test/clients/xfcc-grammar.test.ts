import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_XFCC_CHARACTERS, parseXfcc, type XfccElement } from '../../src/clients/xfcc-grammar.ts'

const HASH = 'ef32'.repeat(16)
const SELF = 'spiffe://cluster.local/ns/default/sa/sts'
const CART = 'spiffe://cluster.local/ns/default/sa/cart'
/** As a real sidecar writes it, for a certificate with an empty subject (Istio's). */
const SIDECAR = `By=${SELF};Hash=${HASH};Subject="";URI=${CART}`

function elements(line: string): readonly XfccElement[] {
  const parsed = parseXfcc(line)
  assert.ok(parsed.ok, `refused: ${line}`)
  return parsed.elements
}

const firstValue = (element: XfccElement | undefined, key: string) =>
  element?.find((pair) => pair.key === key)?.value

test('a sidecar’s element', () => {
  assert.deepEqual(elements(SIDECAR), [
    [
      { key: 'by', value: SELF },
      { key: 'hash', value: HASH },
      { key: 'subject', value: '' },
      { key: 'uri', value: CART },
    ],
  ])
})

test('a waypoint’s element, and one of a peer without identity', () => {
  assert.equal(firstValue(elements(`By=${SELF};URI=${CART}`)[0], 'uri'), CART)
  assert.equal(firstValue(elements(`By=${SELF};URI=`)[0], 'uri'), '')
})

test('a gateway’s element with a certificate, names and an issuer', () => {
  const line = `By=${SELF};Hash=${HASH};Cert="-----BEGIN%20CERTIFICATE-----%0AMIIB%3D%3D";Chain="x%2By";Subject="CN=x";URI=${CART};DNS=a.example;DNS=b.example;Issuer="O=cluster.local"`
  const [element] = elements(line)
  assert.equal(firstValue(element, 'cert'), '-----BEGIN%20CERTIFICATE-----%0AMIIB%3D%3D')
  assert.deepEqual(
    element?.filter((pair) => pair.key === 'dns').map((pair) => pair.value),
    ['a.example', 'b.example'],
  )
  assert.equal(firstValue(element, 'issuer'), 'O=cluster.local')
})

/** What Envoy writes into `Subject` (RFC 2253 text between quotes), and what it stands for. */
const SUBJECTS: readonly (readonly [string, string])[] = [
  ['', ''],
  ['CN=x', 'CN=x'],
  ['O=a\\,b', 'O=a,b'],
  ['O=a\\;URI=spiffe://x', 'O=a;URI=spiffe://x'],
  ['O=say \\"hi\\"', 'O=say "hi"'],
  ['O=ends with \\\\', 'O=ends with \\'],
  ['O=edge\\ ', 'O=edge '],
  ['O=\\C3\\A9\\0A', 'O=C3A90A'],
  ['O=a=b;c,d', 'O=a=b;c,d'],
]

for (const [written, meant] of SUBJECTS) {
  test(`subject "${written}"`, () => {
    const [element, ...more] = elements(`By=${SELF};Subject="${written}";URI=${CART}`)
    assert.equal(more.length, 0)
    assert.equal(firstValue(element, 'subject'), meant)
    assert.equal(firstValue(element, 'uri'), CART)
  })
}

test('keys are read without regard to case, values with it', () => {
  assert.deepEqual(elements('bY=A;uRi=B;SUBJECT="C"'), [
    [
      { key: 'by', value: 'A' },
      { key: 'uri', value: 'B' },
      { key: 'subject', value: 'C' },
    ],
  ])
})

test('every letter may stand in a key, every visible character in a value', () => {
  const key = 'AZaz'
  const plain = Array.from({ length: 94 }, (_, code) => String.fromCharCode(code + 33))
    .filter((character) => !'",;\\'.includes(character))
    .join('')
  assert.deepEqual(elements(`${key}=${plain}`), [[{ key: 'azaz', value: plain }]])
  for (const next of ['@', '[', '`', '{']) {
    assert.equal(parseXfcc(`a${next}=x`).ok, false, next)
  }
})

test('field-6 #16: quoted commas and semicolons separate nothing', () => {
  assert.equal(
    elements(`By=${SELF};Subject="O=a,By=${SELF};URI=${CART}";URI=spiffe://td/b`).length,
    1,
  )
})

test('elements come in order, the last proxy’s last', () => {
  const line = `By=a;URI=b,${SIDECAR}`
  assert.deepEqual(
    elements(line).map((element) => firstValue(element, 'by')),
    ['a', SELF],
  )
})

const MALFORMED = {
  'empty line': '',
  'a key alone': 'By',
  'no key': '=x',
  'trailing semicolon': `${SIDECAR};`,
  'trailing comma': `${SIDECAR},`,
  'leading comma': `,${SIDECAR}`,
  'empty element': `${SIDECAR},,${SIDECAR}`,
  'empty pair': 'By=a;;URI=b',
  'space after a semicolon': 'By=a; URI=b',
  'space after a comma, as Node joins lines': `${SIDECAR}, ${SIDECAR}`,
  'leading space': ` ${SIDECAR}`,
  'trailing space': `${SIDECAR} `,
  'space around the equals sign': 'By =a;URI=b',
  'space in a plain value': 'By=a b;URI=c',
  'quote inside a plain value': 'By=a"b;URI=c',
  'backslash in a plain value': 'By=a\\b;URI=c',
  'key with a digit': 'By2=a;URI=c',
  'text after a closing quote': 'Subject="a"b;URI=c',
  'equals after a closing quote': 'Subject="a"=;URI=c',
  'a second quote after a closing quote': 'Subject="";URI=""x"',
  'space after a closing quote': 'Subject="" ;URI=c',
  'open quote at the end': 'By=a;Subject="b',
  'quote as the last character': 'By=a;Subject="',
  'backslash as the last character': 'By=a;Subject="b\\',
  'escaped closing quote': 'By=a;Subject="b\\"',
  'control character in quotes': 'Subject="a\u0001"',
  'escaped control character in quotes': 'Subject="a\\\u0001"',
  'escaped line feed': 'Subject="a\\\n"',
  'DEL in quotes': 'Subject="a\u007f"',
  'byte above ASCII in quotes': 'Subject="é"',
  'byte above ASCII outside quotes': 'URI=é',
  NUL: 'URI=a\0',
  'two hashes': `By=a;Hash=${HASH};Hash=${HASH};URI=b`,
  'two subjects': 'By=a;Subject="";subject="x";URI=b',
  'two certificates': 'Cert="a";Cert="a"',
  'two chains': 'Chain="a";Chain="a"',
  'two issuers': 'Issuer="a";Issuer="a"',
  'a bracket after text': 'x[{"by":1}]',
}

for (const [name, line] of Object.entries(MALFORMED)) {
  test(`malformed: ${name}`, () => {
    assert.deepEqual(parseXfcc(line), { ok: false, problem: 'malformed' })
  })
}

/** A sender's prefix, in front of which Envoy appends its own element untouched. */
const IMBALANCED = [
  `By=${SELF};URI=spiffe://td/victim;Subject="`,
  `By=${SELF};URI=spiffe://td/victim;Subject="\\`,
  `By=${SELF};URI=spiffe://td/victim;Subject="a\\\\\\`,
  `By=${SELF};Subject="";URI=spiffe://td/victim;Cert="`,
]

for (const prefix of IMBALANCED) {
  test(`field-6 #16: a prefix that opens a quote refuses the whole line: ${prefix.slice(-12)}`, () => {
    assert.deepEqual(parseXfcc(`${prefix},${SIDECAR}`), { ok: false, problem: 'malformed' })
  })
}

for (const line of [
  '[{"by":["a"],"uri":["b"]}]',
  `[{"by":["${SELF}"],"hash":"${HASH}","uri":["${CART}"]}]`,
  '[]',
  '[,{}]',
  '[x],[B,{}]',
  '{"uri":"x"}',
  ' [{"a":1}]',
  '\t{}',
  `[,${SIDECAR}`,
]) {
  test(`JSON is told apart: ${line.slice(0, 24)}`, () => {
    assert.deepEqual(parseXfcc(line), { ok: false, problem: 'json' })
  })
}

test('the size is capped', () => {
  const line = (length: number) => `URI=${'a'.repeat(length - 4)}`
  assert.ok(parseXfcc(line(MAX_XFCC_CHARACTERS)).ok)
  assert.equal(parseXfcc(line(MAX_XFCC_CHARACTERS + 1)).ok, false)
})

/** Writes an element as a proxy with the full grammar would: everything but plain text quoted. */
function format(parsed: readonly XfccElement[]): string {
  const quoted = (value: string) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`
  return parsed
    .map((element) =>
      element
        .map(({ key, value }) => `${key}=${/^[a-z0-9:/=]*$/.test(value) ? value : quoted(value)}`)
        .join(';'),
    )
    .join(',')
}

const printable = Array.from({ length: 95 }, (_, code) => String.fromCharCode(code + 32))
const pair = fc.record(
  {
    key: fc.constantFrom('by', 'uri', 'dns', 'future'),
    value: fc.string({ unit: fc.constantFrom(...printable), maxLength: 30 }),
  },
  { noNullPrototype: true },
)
const header = fc.array(fc.array(pair, { minLength: 1, maxLength: 5 }), {
  minLength: 1,
  maxLength: 4,
})

test('property: parse of format is the identity', () => {
  fc.assert(
    fc.property(header, (written) => {
      assert.deepEqual(parseXfcc(format(written)), { ok: true, elements: written })
    }),
  )
})

test('property: parsing never throws', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('By=', 'URI=', '"', '\\', ';', ',', 'a', ' ', '[', '=') }),
  )
  fc.assert(
    fc.property(text, (line) => {
      const parsed = parseXfcc(line)
      assert.ok(!parsed.ok || parsed.elements.length > 0)
    }),
    { numRuns: 500 },
  )
})

test('property: whatever a sender puts in front, the proxy’s element is last or the line is refused', () => {
  const own = elements(SIDECAR)[0]
  const prefix = fc.oneof(
    header.map(format),
    fc.string({
      unit: fc.constantFrom('By=', 'URI=', 'Subject="', '"', '\\', ';', ',', 'a', '=', `${CART}`),
      minLength: 1,
    }),
  )
  fc.assert(
    fc.property(prefix, (text) => {
      const parsed = parseXfcc(`${text},${SIDECAR}`)
      if (parsed.ok) assert.deepEqual(parsed.elements.at(-1), own)
    }),
    { numRuns: 500 },
  )
})

test('parsing is linear: the worst lines of the full size take no time', () => {
  const fill = (unit: string) =>
    unit.repeat(Math.floor(MAX_XFCC_CHARACTERS / unit.length)).slice(0, MAX_XFCC_CHARACTERS)
  const lines = ['DNS=;', 'By=,', 'S="\\"";', '"', '\\', 'a', '[', ' ', 'URI="\\\\",'].map(fill)
  const started = process.hrtime.bigint()
  for (let round = 0; round < 20; round += 1) for (const line of lines) parseXfcc(line)
  const milliseconds = Number(process.hrtime.bigint() - started) / 1e6
  // 180 lines; a quadratic parser needs 16 000 times the work for each. Two orders of room for a busy machine.
  assert.ok(milliseconds < 3000, `${milliseconds} ms`)
})
