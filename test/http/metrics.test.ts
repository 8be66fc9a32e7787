import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { ExchangeOutcome } from '../../src/exchange.ts'
import { createMetrics, type KeyAge, type RulesetState } from '../../src/http/metrics.ts'
import { fail, ok } from '../../src/oauth/reasons.ts'
import { EVENT, TOKEN } from '../support/token-listener.ts'

const GRANTED: ExchangeOutcome = { decisionId: 'd', result: ok(TOKEN), event: EVENT, embedded: [] }

function fixture() {
  const sources = {
    keys: (): readonly KeyAge[] => keys,
    auditQueueDepth: () => 7,
    ruleset: () => rules,
    inFlight: () => 3,
    relaxations: ['allow_http_issuers', 'allow_short_key_lead'] as const,
    logLinesLost: () => linesLost,
  }
  let keys: readonly KeyAge[] = []
  let rules: RulesetState = {
    hash: 'first',
    loadedAt: 1_700_000_000_000,
    staleErrors: undefined,
    reloads: { applied: 0, rejected: 0, unchanged: 0 },
  }
  let linesLost = 0
  const metrics = createMetrics(sources)
  const samples = async () => {
    const { body } = await metrics.render()
    return body.split('\n').filter((line) => line.startsWith('mesh_sts_'))
  }
  return {
    metrics,
    samples,
    setKeys: (next: readonly KeyAge[]) => {
      keys = next
    },
    setLinesLost: (next: number) => {
      linesLost = next
    },
    setRules: (next: Partial<RulesetState>) => {
      rules = { ...rules, ...next }
    },
  }
}

describe('metrics', () => {
  it('counts exchanges by outcome, reason and method', async () => {
    const { metrics, samples } = fixture()
    metrics.exchange(GRANTED, 0.002)
    metrics.exchange(GRANTED, 0.002)
    metrics.exchange({ ...GRANTED, result: fail('scope_not_justified') }, 0.002)
    // Not recorded, so not granted, whatever the event says.
    metrics.exchange({ ...GRANTED, result: fail('audit_unavailable') }, 0.002)
    const lines = await samples()
    assert.deepEqual(
      lines
        .filter((line) => line.startsWith('mesh_sts_exchanges_total{') && !line.endsWith(' 0'))
        .sort(),
      [
        'mesh_sts_exchanges_total{outcome="denied",reason="audit_unavailable",method="xfcc"} 1',
        'mesh_sts_exchanges_total{outcome="denied",reason="scope_not_justified",method="xfcc"} 1',
        'mesh_sts_exchanges_total{outcome="granted",reason="",method="xfcc"} 2',
      ],
    )
    assert.ok(lines.includes('mesh_sts_exchange_duration_seconds_count 4'))
    assert.ok(lines.includes('mesh_sts_exchange_duration_seconds_bucket{le="0.001"} 0'))
    assert.ok(lines.includes('mesh_sts_exchange_duration_seconds_bucket{le="0.0025"} 4'))
  })

  it('counts refusals by reason, and those alone', async () => {
    const { metrics, samples } = fixture()
    metrics.refused('overloaded')
    metrics.refused('overloaded')
    metrics.refused('client_missing')
    metrics.exchange(
      { decisionId: 'd', result: fail('client_missing'), event: undefined, embedded: [] },
      1,
    )
    const lines = await samples()
    assert.ok(lines.includes('mesh_sts_refusals_total{reason="overloaded"} 2'))
    assert.ok(lines.includes('mesh_sts_refusals_total{reason="client_missing"} 1'))
    assert.ok(lines.includes('mesh_sts_exchange_duration_seconds_count 0'))
  })

  it('measures stages in seconds', async () => {
    const { metrics, samples } = fixture()
    metrics.stage('record', 2)
    metrics.stage('decide', 0.02)
    const lines = await samples()
    assert.ok(lines.includes('mesh_sts_stage_duration_seconds_sum{stage="record"} 0.002'))
    assert.ok(
      lines.includes('mesh_sts_stage_duration_seconds_bucket{le="0.00005",stage="decide"} 1'),
    )
  })

  it('counts answers of the key set endpoint', async () => {
    const { metrics, samples } = fixture()
    for (const status of [200, 304, 304, 503] as const) metrics.jwksAnswer(status)
    const lines = await samples()
    assert.ok(lines.includes('mesh_sts_jwks_answers_total{status="200"} 1'))
    assert.ok(lines.includes('mesh_sts_jwks_answers_total{status="304"} 2'))
    assert.ok(lines.includes('mesh_sts_jwks_answers_total{status="503"} 1'))
  })

  it('reads gauges when asked, and forgets what is gone', async () => {
    const { samples, setKeys, setRules } = fixture()
    setKeys([
      { algorithm: 'ES256', state: 'active', publishedAgeSeconds: 10 },
      { algorithm: 'ES256', state: 'retiring', publishedAgeSeconds: 20 },
      { algorithm: 'ES256', state: 'retiring', publishedAgeSeconds: 30 },
    ])
    const first = await samples()
    assert.ok(first.includes('mesh_sts_key_published_age_seconds{alg="ES256",state="active"} 10'))
    assert.ok(first.includes('mesh_sts_key_published_age_seconds{alg="ES256",state="retiring"} 30'))
    assert.ok(first.includes('mesh_sts_audit_queue_depth 7'))
    assert.ok(first.includes('mesh_sts_exchanges_in_flight 3'))
    assert.ok(first.includes('mesh_sts_ruleset_info{hash="first"} 1'))
    setKeys([{ algorithm: 'RS256', state: 'active', publishedAgeSeconds: 1 }])
    setRules({ hash: 'second' })
    const second = (await samples()).filter((line) => /key_published|ruleset_info/.test(line))
    assert.deepEqual(second, [
      'mesh_sts_key_published_age_seconds{alg="RS256",state="active"} 1',
      'mesh_sts_ruleset_info{hash="second"} 1',
    ])
  })

  it('tells which ruleset serves, since when, what became of others, and when files are broken', async () => {
    const { samples, setRules } = fixture()
    const lines = async () =>
      (await samples()).filter((line) => /ruleset_(?:stale|loaded|reloads)/.test(line)).sort()
    assert.deepEqual(await lines(), [
      'mesh_sts_ruleset_loaded_timestamp_seconds 1700000000',
      'mesh_sts_ruleset_reloads_total{result="applied"} 0',
      'mesh_sts_ruleset_reloads_total{result="rejected"} 0',
      'mesh_sts_ruleset_reloads_total{result="unchanged"} 0',
      'mesh_sts_ruleset_stale 0',
    ])
    setRules({ staleErrors: 2, reloads: { applied: 3, rejected: 1, unchanged: 2 } })
    await lines()
    // A counter that is read twice counts once.
    assert.deepEqual((await lines()).slice(1), [
      'mesh_sts_ruleset_reloads_total{result="applied"} 3',
      'mesh_sts_ruleset_reloads_total{result="rejected"} 1',
      'mesh_sts_ruleset_reloads_total{result="unchanged"} 2',
      'mesh_sts_ruleset_stale 1',
    ])
  })

  it('has every metric that the page about rules tells to look at', async () => {
    const { samples } = fixture()
    const names = new Set((await samples()).map((line) => /^\w+/.exec(line)?.[0]))
    const page = readFileSync('docs/operations/rules.md', 'utf8')
    const told = [...page.matchAll(/mesh_sts_\w+/g)].map(([name]) => name)
    assert.ok(told.length > 4)
    for (const name of told) assert.ok(names.has(name), name)
  })

  it('tells which relaxations are on, and no others', async () => {
    const lines = (await fixture().samples()).filter((line) => line.includes('relaxation'))
    assert.deepEqual(lines, [
      'mesh_sts_relaxation{name="allow_http_issuers"} 1',
      'mesh_sts_relaxation{name="allow_short_key_lead"} 1',
    ])
  })

  it('reads the count of lost log lines when asked, from zero', async () => {
    const { samples, setLinesLost } = fixture()
    const lost = async () => (await samples()).filter((line) => line.includes('log_lines_lost'))
    assert.deepEqual(await lost(), ['mesh_sts_log_lines_lost_total 0'])
    setLinesLost(3)
    await lost()
    assert.deepEqual(await lost(), ['mesh_sts_log_lines_lost_total 3'])
  })

  it('starts every series whose labels are known, so that rates work from the first count', async () => {
    const { samples } = fixture()
    const lines = await samples()
    assert.ok(
      lines.includes('mesh_sts_exchanges_total{outcome="granted",reason="",method="mtls"} 0'),
    )
    assert.ok(lines.includes('mesh_sts_stage_duration_seconds_count{stage="mint"} 0'))
    assert.ok(lines.includes('mesh_sts_jwks_answers_total{status="503"} 0'))
    assert.ok(lines.includes('mesh_sts_refusals_total{reason="overloaded"} 0'))
  })

  it('has the process metrics, in a registry of its own', async () => {
    const [one, two] = [fixture().metrics, fixture().metrics]
    one.refused('overloaded')
    const { body, contentType } = await two.render()
    assert.match(contentType, /^text\/plain; version=0\.0\.4/)
    assert.match(body, /^process_cpu_user_seconds_total /m)
    assert.match(body, /^mesh_sts_refusals_total\{reason="overloaded"\} 0$/m)
  })
})
