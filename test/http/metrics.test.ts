import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ExchangeOutcome } from '../../src/exchange.ts'
import { createMetrics, type KeyAge } from '../../src/http/metrics.ts'
import { fail, ok } from '../../src/oauth/reasons.ts'
import { EVENT, TOKEN } from '../support/token-listener.ts'

const GRANTED: ExchangeOutcome = { decisionId: 'd', result: ok(TOKEN), event: EVENT }

function fixture() {
  const sources = {
    keys: (): readonly KeyAge[] => keys,
    auditQueueDepth: () => 7,
    rulesetHash: () => hash,
    inFlight: () => 3,
    relaxations: ['allow_http_issuers', 'allow_short_key_lead'] as const,
    logLinesLost: () => linesLost,
  }
  let keys: readonly KeyAge[] = []
  let hash = 'first'
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
    setHash: (next: string) => {
      hash = next
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
    metrics.exchange({ decisionId: 'd', result: fail('client_missing'), event: undefined }, 1)
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
    const { samples, setKeys, setHash } = fixture()
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
    setHash('second')
    const second = (await samples()).filter((line) => /key_published|ruleset_info/.test(line))
    assert.deepEqual(second, [
      'mesh_sts_key_published_age_seconds{alg="RS256",state="active"} 1',
      'mesh_sts_ruleset_info{hash="second"} 1',
    ])
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
