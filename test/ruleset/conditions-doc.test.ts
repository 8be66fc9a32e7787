// docs/conditions.md is executed: its examples evaluate as it says, and it lists what there is.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Facts } from '../../src/ruleset/decision.ts'
import { FUNCTIONS, METHODS, VARIABLES } from '../../src/ruleset/expression/environment.ts'
import { compileExpression } from '../../src/ruleset/expression/expression.ts'
import { claimsOf, factsWith, resultOf } from '../support/expressions.ts'

const PAGE = readFileSync('docs/conditions.md', 'utf8')
const facts = readFacts()

function readFacts(): Facts {
  const [, text] =
    /^## The facts of the examples\n[\s\S]*?^```json\n([\s\S]*?)^```$/m.exec(PAGE) ?? []
  assert.ok(text)
  const { subject, request, now } = JSON.parse(text) as {
    subject: Omit<Facts['subject'], 'scopes'> & { scopes: string[] }
    request: Facts['request']
    now: string
  }
  return factsWith({
    subject: { ...subject, scopes: new Set(subject.scopes), claims: claimsOf(subject.claims) },
    request,
    now: Date.parse(now),
  })
}

/** What an example comes to, in the words of its fence. */
function outcome(source: string, kind: 'condition' | 'value'): string {
  const compiled = compileExpression(source, kind)
  if (!compiled.ok) {
    const { message, suggestion } = compiled
    return `refused ${message}${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`
  }
  const result = resultOf(source, facts, kind)
  if (typeof result === 'string' && result.startsWith('error: ')) return result.replace(':', '')
  return kind === 'value' ? `value ${JSON.stringify(result)}` : String(result)
}

describe('docs/conditions.md', () => {
  const examples = [...PAGE.matchAll(/^```cel (.*)\n([\s\S]*?)^```$/gm)]
  for (const [, said = '', source = ''] of examples) {
    it(`${source.trim()} is ${said}`, () => {
      if (!said.startsWith('value ')) return assert.equal(outcome(source, 'condition'), said)
      const value: unknown = JSON.parse(said.slice('value '.length))
      return assert.equal(outcome(source, 'value'), `value ${JSON.stringify(value)}`)
    })
  }

  it('has an example of everything that can come of an expression, and no other block', () => {
    const kinds = new Set(examples.map(([, said = '']) => said.split(' ')[0]))
    assert.deepEqual([...kinds].sort(), ['error', 'false', 'refused', 'true', 'value'])
    assert.equal(examples.length, (PAGE.match(/^```cel/gm) ?? []).length)
  })

  it('lists every name', () => {
    const table = PAGE.slice(
      PAGE.indexOf('## What an expression'),
      PAGE.indexOf('## What is absent'),
    )
    const told = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(
      ([, cell = '']) => cell.match(/`[^`]+`/g) ?? [],
    )
    const names = Object.entries(VARIABLES).flatMap(([name, members]) =>
      Object.keys(members).map((member) => `\`${name}.${member}\``),
    )
    assert.deepEqual(
      told.map((name) => name.replace('.<name>', '')).sort(),
      [...names, '`now`'].sort(),
    )
  })

  it('lists every function', () => {
    const table = PAGE.slice(PAGE.indexOf('## Functions'), PAGE.indexOf('## Computed claims'))
    for (const name of FUNCTIONS) assert.match(table, new RegExp(`\`${name}\\(`), name)
    for (const name of METHODS) assert.match(table, new RegExp(`\\.${name}\\(`), name)
  })
})
