// The two documents about requirements, promises and attacks are what the tests make of them, and nothing is left out.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { ATTACKS } from '../scripts/attacks.ts'
import { CONFORMANCE, conformanceGaps } from '../scripts/conformance-table.ts'
import { STANDARDS } from '../scripts/requirements.ts'
import { PROMISES, SECURITY, securityGaps, withPart } from '../scripts/security-page.ts'
import { idsIn, namesOf, namesWithIds, type TestName } from '../scripts/test-names.ts'

const NAMES = namesWithIds()
const all = STANDARDS.flatMap(({ requirements }) => requirements)
const without = (id: string): TestName[] => NAMES.filter(({ name }) => !idsIn(name).includes(id))

describe('requirements and tests', () => {
  it('every test names requirements that exist, and every requirement has a test or a reason', () => {
    assert.deepEqual(conformanceGaps(NAMES), { unknown: [], untested: [] })
  })
  it('a requirement whose tests are gone is told', () => {
    assert.deepEqual(conformanceGaps(without('TE-13')).untested, ['TE-13'])
  })
  it('a test that names a requirement of no standard is told', () => {
    const odd = { file: 'test/x.test.ts', name: 'TE-99 does something' }
    assert.deepEqual(conformanceGaps([...NAMES, odd]).unknown, ['TE-99'])
  })
  it('ids are unique, and each line says something', () => {
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length)
    for (const { id, says, section } of all) assert.ok(says.length > 10 && section !== '', id)
  })
  it('the lines of a standard have no gaps', () => {
    for (const prefix of new Set(all.map(({ id }) => id.replace(/\d+$/, '')))) {
      const numbers = all
        .filter(({ id }) => id.startsWith(prefix))
        .map(({ id }) => Number(id.slice(prefix.length)))
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => index + 1),
        prefix,
      )
    }
  })
})

describe('promises, attacks and tests', () => {
  it('every promise and every attack has a test, and no test names an attack that is not in the table', () => {
    assert.deepEqual(securityGaps(NAMES), { unknown: [], untested: [] })
  })
  it('a promise or an attack whose tests are gone is told', () => {
    assert.deepEqual(securityGaps(without('P9')).untested, ['P9'])
    assert.deepEqual(securityGaps(without('field-6 #15')).untested, ['field-6 #15'])
  })
  it('a test that names an attack that nobody described is told', () => {
    const odd = { file: 'test/x.test.ts', name: 'field-6 #99 something' }
    assert.deepEqual(securityGaps([...NAMES, odd]).unknown, ['field-6 #99'])
  })
  it('attacks are numbered through', () => {
    assert.deepEqual(
      ATTACKS.map(({ number }) => number),
      Array.from({ length: 26 }, (_, index) => index + 1),
    )
  })
})

describe('the documents', () => {
  for (const { path, text } of [CONFORMANCE, SECURITY]) {
    const page = readFileSync(path, 'utf8')
    it(`${path} is what npm run docs writes`, () => {
      assert.equal(page, text(), 'run npm run docs')
    })
    it(`${path} names test files that exist`, () => {
      const files = new Set(page.match(/\btest\/[\w./-]+\.test\.ts\b/g))
      assert.ok(files.size > 5)
      for (const file of files) assert.ok(existsSync(file), file)
    })
  }
  it('docs/security.md has a chapter for each promise', () => {
    const page = readFileSync(SECURITY.path, 'utf8')
    const chapters = page.match(/^### P\d+(?=\. )/gm) ?? []
    assert.deepEqual(
      chapters,
      PROMISES.map((id) => `### ${id}`),
    )
  })
  it('only what is between the marks is written', () => {
    const page = 'a\n<!-- x, made by npm run docs -->\nold\n<!-- end of x -->\nb\n'
    assert.equal(withPart(page, 'x', 'new\n'), page.replace('old', 'new'))
    assert.throws(() => withPart('a\n', 'x', 'new\n'), /no place for: x/)
  })
})

describe('names in a test file', () => {
  it('are its texts with ids: first arguments, rows, keys and templates', () => {
    const source = [
      "it('TE-01 one', () => {})",
      "  'CA-07: a key': ['reason', {}],",
      "  [\"P1 it's a row\", 1], // 'TE-02 a comment'",
      `  it(\`field-6 #3 a template \${name} and more\`, () => {`,
      "  const text = 'nothing', other = 'SP-01 an \\'escape\\''",
    ].join('\n')
    assert.deepEqual(namesOf(source), [
      'TE-01 one',
      'CA-07: a key',
      "P1 it's a row",
      'field-6 #3 a template … and more',
      "SP-01 an 'escape'",
    ])
  })
  it('hold ids as whole words only', () => {
    assert.deepEqual(idsIn('XTE-01 TE-012 P-1 P11 sP1 field-6 #123'), [])
    assert.deepEqual(idsIn('P10, TE-01: BCP-13 (field-6 #7)'), [
      'TE-01',
      'BCP-13',
      'P10',
      'field-6 #7',
    ])
  })
})
