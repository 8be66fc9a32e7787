// Owns facts that expressions are evaluated with, and ways to ask for a value or an error.
import assert from 'node:assert/strict'
import { parseJsonObject } from '../../src/jwt/strict-json.ts'
import type { Facts } from '../../src/ruleset/decision.ts'
import { compileExpression, type Expression } from '../../src/ruleset/expression/expression.ts'
import { BOUTIQUE, compiled } from './rules.ts'

const caller = compiled(BOUTIQUE).services.get('boutique/frontend')

/** Claims as a token brings them: parsed, frozen, without prototypes. */
export function claimsOf(claims: unknown): Readonly<Record<string, unknown>> {
  const parsed = parseJsonObject(JSON.stringify(claims))
  assert.ok(parsed.ok)
  return parsed.value
}

/** What tests change of {@link factsWith}. */
export interface FactsChange {
  readonly claims?: unknown
  readonly subject?: Partial<Facts['subject']>
  readonly actor?: Facts['actor']
  readonly request?: Partial<Facts['request']>
  readonly now?: number
}

/** Facts of frontend asking for checkout with a token of the corporate issuer. */
export function factsWith({
  claims = {},
  subject,
  actor,
  request,
  now = 0,
}: FactsChange = {}): Facts {
  assert.ok(caller)
  return {
    caller: {
      service: caller,
      id: 'spiffe://cluster.local/ns/boutique/sa/frontend',
      iss: undefined,
    },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.corp.example',
      sub: 'alice',
      audiences: ['https://api.shop.example'],
      scopes: new Set(['shop:browse', 'shop:buy']),
      claims: claimsOf(claims),
      act: undefined,
      mayAct: undefined,
      chain: [],
      ...subject,
    },
    actor,
    request: { audiences: ['checkout'], resources: [], scopes: undefined, ...request },
    selfIss: 'https://sts.boutique.example',
    now,
  }
}

/** Compiles what must be right. */
export function expression(source: string, kind: 'condition' | 'value' = 'condition'): Expression {
  const compiledSource = compileExpression(source, kind)
  assert.ok(compiledSource.ok, compiledSource.ok ? '' : `${source}: ${compiledSource.message}`)
  return compiledSource.expression
}

/** The value of an expression, or `error: …`. */
export function resultOf(
  source: string,
  facts: Facts,
  kind: 'condition' | 'value' = 'value',
): unknown {
  const result = expression(source, kind).evaluate(facts)
  return result.ok ? result.value : `error: ${result.message}`
}

/** What is wrong with an expression: `offset message → suggestion`. */
export function faultOf(source: string, kind: 'condition' | 'value' = 'condition'): string {
  const result = compileExpression(source, kind)
  if (result.ok) return 'taken'
  const hint = result.suggestion === undefined ? '' : ` → ${result.suggestion}`
  return `${result.offset} ${result.message}${hint}`
}
