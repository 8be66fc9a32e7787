// The example of docs/rules.md is a right ruleset and decides as the page says.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { decide } from '../../src/ruleset/decide.ts'
import { facts, subject } from '../support/facts.ts'
import { compiled } from '../support/rules.ts'

it('docs/rules-example.yaml loads and decides', () => {
  const rules = compiled(readFileSync('docs/rules-example.yaml', 'utf8'))
  const shopper = subject({ claims: { amr: ['mfa'], risk: 'low' } })
  assert.ok(decide(rules, facts(rules, { subject: shopper })).allow)
  const weak = decide(rules, facts(rules, { subject: subject({ claims: { amr: ['pwd'] } }) }))
  assert.equal(weak.allow ? 'allowed' : weak.reason, 'scope_condition_failed')
  const denied = decide(
    rules,
    facts(rules, { request: { audiences: ['payment'], resources: [], scopes: undefined } }),
  )
  assert.equal(denied.allow ? 'allowed' : denied.reason, 'target_not_in_calls')
})
