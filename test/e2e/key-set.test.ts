// The key set of a running server over hours of its clock, and when everything behind it fails (P5).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openDatabase } from '../../src/store/database.ts'
import { until } from '../support/audit-store.ts'
import { BOUTIQUE_RULES } from './full-configuration.ts'
import { fileOf, startFullDeployment } from './full-deployment.ts'
import { type Answer, send } from './http-client.ts'
import { granted, refused } from './outcome.ts'
import { restarted, startWithNewAlgorithm } from './surroundings.ts'

const MINUTE = 60_000
const LEAD = 65 * MINUTE
/** Envoy takes a token for this long after its exp. */
const SKEW = MINUTE

/** With one algorithm alone. */
const WITHOUT_RS256 = BOUTIQUE_RULES.replace('    token: {algorithm: RS256}\n', '')

const kidsOf = ({ body }: Answer): string[] =>
  (body.keys as { kid: string }[]).map(({ kid }) => kid)

describe('the key set', () => {
  it('field-6 #17 field-6 #18 P5 over three rotations every token verifies, by a key that verifiers had in time', async (t) => {
    let ahead = 0
    const now = () => Date.now() + ahead
    const full = await startFullDeployment(t, {
      now,
      settings: {
        keys: '{algorithms: [ES256], publish_before: 65m, sign_for: 65m, encryption_keys: {current: k1, k1: k1}}',
      },
      files: { 'rules/boutique.yaml': WITHOUT_RS256 },
    })
    const jwks = () => send({ url: `${full.publicUrl}/.well-known/jwks.json` })
    const publishedAt = new Map<string, number>()
    const tokens: { kid: string; until: number }[] = []
    const signedBy = new Set<string>()

    while (signedBy.size < 4) {
      const set = kidsOf(await jwks())
      for (const kid of set) if (!publishedAt.has(kid)) publishedAt.set(kid, now())
      const { header, claims } = await granted(full, {
        subject: {
          claims: { iat: Math.floor(now() / 1000), exp: Math.floor(now() / 1000) + 3600 },
        },
      })
      const kid = String(header.kid)
      assert.ok(set.includes(kid))
      // Only the first key, made by init, signs without a lead.
      if (signedBy.size > 1 || (signedBy.size === 1 && !signedBy.has(kid))) {
        assert.ok(now() - (publishedAt.get(kid) ?? now()) >= LEAD, `${kid} signed too early`)
      }
      signedBy.add(kid)
      tokens.push({ kid, until: Number(claims.exp) * 1000 + SKEW })
      for (const token of tokens) {
        assert.ok(token.until < now() || set.includes(token.kid), 'a token lost its key')
      }
      ahead += 45_000
      await full.server.keys.tick()
    }
    // Keys do leave in the end.
    const left = kidsOf(await jwks())
    assert.equal(
      [...signedBy].every((kid) => left.includes(kid)),
      false,
    )
  })

  it('field-6 #17 P5 the first key of an algorithm that was added is published, and does not sign', async (t) => {
    const full = await startWithNewAlgorithm(t)
    const { body } = await send({ url: `${full.publicUrl}/.well-known/jwks.json` })
    const algorithms = (body.keys as { alg: string }[]).map(({ alg }) => alg)
    assert.deepEqual([...new Set(algorithms)].sort(), ['ES256', 'RS256'])
    const profile = { form: { audience: 'profile', scope: 'profile:read' } }
    await refused(full, profile, 'signing_key_unavailable')
  })

  it('field-6 #26 P5 a store that lost its keys changes no byte of the set, and starts no server', async (t) => {
    const full = await startFullDeployment(t)
    const get = () => send({ url: `${full.publicUrl}/.well-known/jwks.json` })
    const before = await get()
    const other = openDatabase(full.settings.store.sqlite)
    other.exec('DELETE FROM signing_keys')
    other.close()
    await full.server.keys.tick()
    const after = await get()
    assert.deepEqual(
      [after.status, after.text, after.headers.etag],
      [200, before.text, before.headers.etag],
    )
    const ready = await send({ url: `${full.adminUrl}/readyz` })
    assert.equal(ready.status, 503)
    await assert.rejects(restarted(t, full, fileOf(full, 'sts.yaml')), /key/)
  })

  it('field-6 #26 P5 nothing else on the public listener answers 200', async (t) => {
    const full = await startFullDeployment(t)
    for (const path of ['/', '/jwks', '/.well-known/jwks', '/.well-known/jwks.json/', '/token']) {
      const { status } = await send({ url: `${full.publicUrl}${path}` })
      assert.equal(status, 404, path)
    }
    const post = await send({ url: `${full.publicUrl}/.well-known/jwks.json`, method: 'POST' })
    assert.equal(post.status, 405)
  })

  it('P5 a process that has not read the store for half the lead signs no more, and serves the set on', async (t) => {
    const full = await startFullDeployment(t, {
      settings: {
        keys: '{algorithms: [ES256], publish_before: 4s, sign_for: 1h, encryption_keys: {current: k1, k1: k1}}',
        relaxations: '{allow_http_issuers: true, allow_short_key_lead: true}',
      },
      files: { 'rules/boutique.yaml': WITHOUT_RS256 },
    })
    await full.server.keys.tick()
    await granted(full)
    // Half of the lead has to pass for real; nobody ticks meanwhile.
    await until(() => !full.server.keys.status().ready)
    await refused(full, {}, 'signing_key_unavailable')
    const set = await send({ url: `${full.publicUrl}/.well-known/jwks.json` })
    assert.equal(set.status, 200)
    await full.server.keys.tick()
    await granted(full)
  })
})
