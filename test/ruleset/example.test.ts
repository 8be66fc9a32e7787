// The example of docs/rules.md is a right ruleset and decides as the page says.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { decide } from '../../src/ruleset/decide.ts'
import { facts } from '../support/facts.ts'
import { compiled } from '../support/rules.ts'

it('docs/rules-example.yaml loads and decides', () => {
  const rules = compiled(readFileSync('docs/rules-example.yaml', 'utf8'))
  assert.ok(decide(rules, facts(rules)).allow)
  const denied = decide(
    rules,
    facts(rules, { request: { audiences: ['payment'], resources: [], scopes: undefined } }),
  )
  assert.equal(denied.allow ? 'allowed' : denied.reason, 'target_not_in_calls')
})
