// The pipeline itself, with fakes for its ports: what is recorded, and in which order it ends.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AuditEvent } from '../src/audit/event.ts'
import { type ExchangeInput, type ExchangePorts, exchange } from '../src/exchange.ts'
import { parseForm } from '../src/oauth/form.ts'
import { fail, ok } from '../src/oauth/reasons.ts'
import { exchangeForm } from './support/deployment.ts'
import { ISSUER, NOW, subject, workload } from './support/facts.ts'
import { BOUTIQUE, compiled } from './support/rules.ts'

const RULES = compiled(BOUTIQUE)

const input: ExchangeInput = {
  form: parseForm(new URLSearchParams(exchangeForm('token')).toString()),
  evidence: { listener: 'token', peerAddress: '127.0.0.6', xfccLines: [], authorizationLines: [] },
  traceId: undefined,
}

function run(change: Partial<ExchangePorts> = {}) {
  const events: AuditEvent[] = []
  const refusals: string[] = []
  const bugs: unknown[] = []
  const ports: ExchangePorts = {
    now: () => NOW,
    newDecisionId: () => 'decision-1',
    newTokenId: () => 'jti-1',
    issuer: ISSUER,
    ruleset: () => RULES,
    authenticateClient: async () => ok(workload('frontend')),
    admitCaller: () => ok(undefined),
    verifySubject: async () => ok(subject()),
    verifyActor: async () => fail('actor_token_malformed'),
    mintTools: { sign: () => ok({ token: 'signed', kid: 'k' }), maxTokenCharacters: 8192 },
    rulesetClaim: false,
    record: async (all) => {
      events.push(...all)
      return ok(undefined)
    },
    countRefusal: (failure) => void refusals.push(failure.reason),
    reportBug: (error) => void bugs.push(error),
    observeStage: () => undefined,
    stopwatch: () => 0,
    ...change,
  }
  return { outcome: exchange(input, ports), events, refusals, bugs }
}

const reasonOf = async ({ outcome }: ReturnType<typeof run>) => {
  const { result } = await outcome
  return result.ok ? 'granted' : result.reason
}

describe('exchange', () => {
  it('records a grant before it tells', async () => {
    let told = false
    const order: string[] = []
    const ran = run({
      record: async () => {
        order.push(told ? 'told first' : 'recorded')
        return ok(undefined)
      },
    })
    await ran.outcome
    told = true
    assert.deepEqual(order, ['recorded'])
  })

  it('P3 audit_unavailable: no token leaves where the row is not durable', async () => {
    const ran = run({ record: async () => fail('audit_unavailable') })
    assert.equal(await reasonOf(ran), 'audit_unavailable')
    assert.ok(!JSON.stringify(await ran.outcome).includes('signed'))
  })

  it('P3 a caller that is not known, or over its allowance, is counted and not recorded', async () => {
    const unknown = run({ authenticateClient: async () => fail('client_missing') })
    assert.equal(await reasonOf(unknown), 'client_missing')
    assert.deepEqual([unknown.events, unknown.refusals], [[], ['client_missing']])
    const limited = run({ admitCaller: () => fail('client_rate_limited') })
    assert.equal(await reasonOf(limited), 'client_rate_limited')
    assert.deepEqual([limited.events, limited.refusals], [[], ['client_rate_limited']])
  })

  it('the record of a denial is bounded, that of a grant is complete', async () => {
    const scopes = new Set(Array.from({ length: 500 }, (_, at) => `shop:scope-${at}`))
    const ran = run({ verifySubject: async () => ok({ ...subject(), scopes }) })
    assert.notEqual(await reasonOf(ran), 'granted')
    const kept = ran.events[0]?.subject?.scopes.length ?? 0
    assert.ok(kept > 0 && kept < 100)
    assert.deepEqual(ran.events[0]?.truncated, [`subject.scopes: ${500 - kept} of 500 left out`])
    const all = new Set([...subject().scopes, ...scopes])
    const grant = run({ verifySubject: async () => ok({ ...subject(), scopes: all }) })
    assert.equal(await reasonOf(grant), 'granted')
    assert.equal(grant.events[0]?.subject?.scopes.length, all.size)
  })

  const throwing = () => {
    throw new Error('a bug')
  }
  for (const [name, change] of [
    ['the signer', { mintTools: { sign: throwing, maxTokenCharacters: 8192 } }],
    ['the verifier', { verifySubject: async () => throwing() }],
  ] as const) {
    it(`P3 internal_error: an exception in ${name} is recorded under the id that is told`, async () => {
      const ran = run(change)
      assert.equal(await reasonOf(ran), 'internal_error')
      assert.equal(ran.events.length, 1)
      assert.equal(ran.events[0]?.reason, 'internal_error')
      assert.equal(ran.events[0]?.decisionId, (await ran.outcome).decisionId)
      assert.equal(ran.bugs.length, 1)
    })
  }

  it('P7 the subject token is in no event', async () => {
    const ran = run()
    assert.equal(await reasonOf(ran), 'granted')
    const [event] = ran.events
    assert.equal(event?.issued?.jti, 'jti-1')
    assert.ok(!JSON.stringify(event).includes('"signed"'))
  })
})
