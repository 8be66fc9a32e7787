// What `rules test` and `rules explain` run is what the server runs: random requests, answered by both.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AuditEvent } from '../../src/audit/event.ts'
import { queryAudit } from '../../src/audit/query.ts'
import { surroundingsOf } from '../../src/cli/rules/surroundings.ts'
import { type Explanation, explain } from '../../src/ruleset/explain/explain.ts'
import { explainRecorded } from '../../src/ruleset/explain/explain-recorded.ts'
import type { Scene } from '../../src/ruleset/rehearse/scenario.ts'
import type { Minted } from '../../src/tokens/mint.ts'
import { claimsOf } from '../support/deployment.ts'
import { type Drawn, exchangesOf, id, live, NOW, startShop } from '../support/shop-exchanges.ts'

/** Beside those that are listed. */
const RANDOM_RUNS = 200
type Claims = Readonly<Record<string, unknown>>

const explanationOf = (
  { caller, subject, actor: acting, request: asked }: Drawn,
  scene: Scene,
): Explanation =>
  explain(
    {
      caller: id(caller),
      subject: subject.entry,
      actor: acting && { ...acting, exp: '1m' },
      request: asked,
      now: new Date(NOW).toISOString(),
    },
    scene,
  )

/** Tokens are compared by what they say: ids are new each time, signatures are nobody's here. */
function comparable(token: unknown): Claims {
  const { jti, embedded, ...claims } = claimsOf(token)
  assert.equal(typeof jti, 'string')
  const inside = Object.entries((embedded ?? {}) as Claims)
  return {
    ...claims,
    embedded: Object.fromEntries(inside.map(([name, one]) => [name, comparable(one)])),
  }
}

function assertSame(
  explanation: Explanation,
  answer: { readonly body: Claims; readonly status: number },
  event: AuditEvent,
): void {
  const { result, tailored } = explanation.rehearsal
  const got = result.ok ? 'granted' : result.reason
  assert.equal(got, event.reason ?? 'granted')
  assert.deepEqual(tailored?.decision.wouldDeny ?? [], event.wouldDeny)
  if (!result.ok) {
    assert.equal(explanation.wire?.status, answer.status)
    assert.equal(explanation.wire?.error, answer.body.error)
    assert.equal(result.detail, event.detail)
    return
  }
  assert.equal(tailored?.decision.rule?.id, event.rule)
  if (result.value.kind === 'forwarded') {
    assert.ok(event.forwarded)
    assert.equal(result.value.decision.scopes.join(' '), answer.body.scope)
    return
  }
  const { token } = result.value.minted.token
  assert.deepEqual(comparable(token), comparable(answer.body.access_token))
  // So that the cap on tokens means the same.
  assert.equal(token.length, String(answer.body.access_token).length)
  assert.deepEqual(leftOut(result.value.minted), event.issued?.embedded.length)
}

const leftOut = ({ children }: Minted): number => children.filter(({ minted }) => minted.ok).length

/** Reasons of refusals before there is anything to decide on. */
const BEFORE_DECISION = /^(?:client_|subject_token_|actor_token_)|_malformed$/

/** The same decision by its record: alike, or it says what the record lacks. */
function assertRecorded(event: AuditEvent, scene: Scene): 'same' | 'undecidable' | 'undecided' {
  const { explanation, undecidable, why } = explainRecorded(event, scene)
  if (explanation === undefined) {
    assert.ok(why !== undefined)
    assert.match(event.reason ?? '', BEFORE_DECISION)
    return 'undecided'
  }
  if (undecidable.length > 0) return 'undecidable'
  const { result } = explanation.rehearsal
  // The value of a claim that passes is not recorded unless a rule reads it.
  if (event.reason === 'mint_claim_malformed') assert.ok(result.ok)
  else assert.equal(result.ok ? undefined : result.reason, event.reason)
  if (result.ok && result.value.kind === 'minted' && event.issued !== undefined) {
    assert.equal(result.value.minted.token.claims.scope, event.issued.scopes.join(' '))
  }
  return 'same'
}

describe('explain and the live server', () => {
  it('P6 P10 random requests end alike: outcome, reason, detail, scope, claims, what is inside; by the record too', {
    timeout: 120_000,
  }, async (t) => {
    const deployment = await startShop(t)
    const scene: Scene = {
      ruleset: deployment.ruleset,
      surroundings: surroundingsOf(deployment.settings),
      namespace: 'boutique',
    }
    const { drawn, examples } = await exchangesOf(deployment)
    const reasons = new Set<string>()
    const records = new Set<string>()
    await fc.assert(
      fc.asyncProperty(drawn, async (one) => {
        const { answer, event } = await live(deployment, one)
        assertSame(explanationOf(one, scene), answer, event)
        reasons.add(event.reason ?? (event.forwarded ? 'forwarded' : 'granted'))
        records.add(assertRecorded(event, scene))
      }),
      { numRuns: RANDOM_RUNS + examples.length, examples: examples.map((one): [Drawn] => [one]) },
    )
    // A token inside another one has a record of its own.
    let inside = 0
    for (const child of queryAudit(deployment.db, {})) {
      if (child.parent === undefined) continue
      assertRecorded(child, scene)
      inside++
    }
    assert.ok(inside > 10)
    for (const expected of [
      'act_impersonation_refused',
      'actor_not_allowed',
      'actor_token_presenter_not_allowed',
      'act_may_act_mismatch',
      'client_unknown',
      'condition_error',
      'condition_false',
      'ctx_failed',
      'deny_condition_met',
      'forwarded',
      'granted',
      'mint_claim_malformed',
      'resource_malformed',
      'scope_condition_failed',
      'scope_malformed',
      'scope_none_justified',
      'scope_not_justified',
      'scope_unknown',
      'subject_token_not_own',
      'subject_token_presenter_not_allowed',
      'target_ambiguous',
      'target_denied',
      'target_issuer_not_accepted',
      'target_missing',
      'target_not_in_calls',
      'target_unknown',
    ]) {
      assert.ok(reasons.has(expected), `${expected} is not among ${[...reasons].sort().join(' ')}`)
    }
    assert.ok(records.has('same') && records.has('undecided'))
  })
})
