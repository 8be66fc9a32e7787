import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/jwt/algorithms.ts'
import type { KeySet } from '../../src/jwt/key-source.ts'
import { generateSigningKey } from '../../src/keys/generate-key.ts'
import { sealPrivateKey } from '../../src/keys/key-encryption.ts'
import { tailMs } from '../../src/keys/key-policy.ts'
import { readKeys } from '../../src/keys/key-store.ts'
import { initKeys, rotateKeys } from '../../src/keys/operations.ts'
import type { SigningKeys } from '../../src/keys/signing-keys.ts'
import { openDatabase } from '../../src/store/database.ts'
import {
  claims,
  DAY,
  encryptionKeys,
  HOUR,
  MINUTE,
  must,
  pass,
  type Rig,
  rig,
  SECOND,
} from './fixture.ts'

/** A running process over fresh keys, having ticked twice; each test changes one thing. */
async function running(
  t: TestContext,
  options: Parameters<typeof rig>[1] = {},
): Promise<{ world: Rig; keys: SigningKeys }> {
  const world = await rig(t, options)
  const keys = world.process()
  assert.deepEqual(await keys.start(), { ok: true, value: undefined })
  t.after(() => keys.stop())
  await world.serve(keys, SECOND)
  assert.equal(keys.status().ready, true)
  return { world, keys }
}

const kidsOf = (keys: SigningKeys): string[] => {
  const body = keys.jwks()?.body ?? '{"keys":[]}'
  return (JSON.parse(body) as { keys: { kid: string }[] }).keys.map((key) => key.kid)
}
const kidIn = (world: Rig, state: string, algorithm = 'ES256'): string => {
  const found = readKeys(world.db).keys.find(
    ({ record }) => record.state === state && record.algorithm === algorithm,
  )
  return found?.record.kid ?? 'none'
}
const signed = (world: Rig, keys: SigningKeys, algorithm?: SigningAlgorithm) => {
  const result = keys.sign(claims(world.clock.wall), algorithm)
  return must(result.ok ? result : { ok: false, message: `${result.reason} ${result.detail}` })
}
const refused = (world: Rig, keys: SigningKeys, says: RegExp, algorithm?: SigningAlgorithm) => {
  const result = keys.sign(claims(world.clock.wall), algorithm)
  assert.equal(result.ok ? 'signed' : result.reason, 'signing_key_unavailable')
  assert.match(result.ok ? '' : (result.detail ?? ''), says)
  assert.ok(!result.ok && (result.retryAfterSeconds ?? 0) > 0)
}
const verify = (world: Rig, keys: SigningKeys, token: string) =>
  jwtVerify(token, createLocalJWKSet(JSON.parse(keys.jwks()?.body ?? '') as JSONWebKeySet), {
    typ: 'at+jwt',
    currentDate: new Date(world.clock.wall),
  })

test('AT-02: every algorithm signs what jose verifies with the published set', async (t) => {
  const { world, keys } = await running(t, { policy: { algorithms: SIGNING_ALGORITHMS } })
  for (const algorithm of SIGNING_ALGORITHMS) {
    const { token, kid } = signed(world, keys, algorithm)
    const { payload, protectedHeader } = await verify(world, keys, token)
    assert.deepEqual(protectedHeader, { alg: algorithm, typ: 'at+jwt', kid })
    assert.deepEqual(payload, claims(world.clock.wall))
  }
  assert.equal(
    decodeProtectedHeader(signed(world, keys).token).alg,
    'ES256',
    'the first is the default',
  )
})

test('claims of any content survive signing', async (t) => {
  const { world, keys } = await running(t)
  const odd = claims(world.clock.wall, { email: 'ä€\u{1f600}\u2028"\\', ctx: { a: [1, null] } })
  const result = keys.sign(odd, undefined)
  assert.ok(result.ok)
  assert.deepEqual((await verify(world, keys, result.value.token)).payload, odd)
})

test('an algorithm that is not configured does not sign', async (t) => {
  const { world, keys } = await running(t)
  refused(world, keys, /no RS256 key can sign/, 'RS256')
})

test('the key source holds every published key, and changes its version with the set', async (t) => {
  const { world, keys } = await running(t)
  const set = keys.keySource.current() as KeySet
  assert.deepEqual(set.keys.map((key) => key.kid).sort(), kidsOf(keys))
  await world.serve(keys, HOUR)
  assert.equal(keys.keySource.current(), set, 'the same set is the same value')
  await world.serve(keys, DAY)
  const later = keys.keySource.current() as KeySet
  assert.notEqual(later.version, set.version)
  assert.deepEqual(later.keys.map((key) => key.kid).sort(), kidsOf(keys))
})

test('before the first load there is no set: 503, never an empty one (field-6 #26)', async (t) => {
  const world = await rig(t)
  const keys = world.process()
  assert.equal(keys.jwks(), undefined)
  const outage = await keys.keySource.current()
  assert.ok('unavailable' in outage && outage.retryAfterSeconds > 0)
  refused(world, keys, /no ES256 key can sign/)
  assert.deepEqual([keys.status().ready, keys.status().reason], [false, 'keys_not_loaded'])
})

test('field-6 #26, P5: a database without keys is refused, and no key is made', async (t) => {
  const world = await rig(t, { init: false })
  const keys = world.process()
  const outcome = await keys.start()
  assert.equal(outcome.ok ? '' : outcome.problem, 'keys_missing')
  assert.match(outcome.ok ? '' : outcome.message, /mesh-sts init/)
  await world.serve(keys, 10 * MINUTE)
  assert.equal(keys.jwks(), undefined)
  assert.equal(keys.status().reason, 'keys_missing')
  assert.deepEqual(readKeys(world.db).keys, [])
})

test('field-6 #17, P5: over three rotations no key signs before it was published for the lead', async (t) => {
  const { world, keys } = await running(t, { policy: { signForMs: 5 * HOUR } })
  const published = new Map<string, number>()
  const first = new Set<string>()
  for (let at = 0; at < 16 * HOUR; at += 10 * MINUTE) {
    for (const kid of kidsOf(keys)) if (!published.has(kid)) published.set(kid, world.clock.wall)
    const { kid } = signed(world, keys)
    if (!first.has(kid) && first.size > 0) {
      assert.ok(world.clock.wall - (published.get(kid) ?? world.clock.wall) >= 2 * HOUR)
    }
    first.add(kid)
    await world.serve(keys, 10 * MINUTE)
  }
  assert.equal(first.size, 4)
})

test('field-6 #18, P5: a token verifies with the published set until Envoy would refuse it as expired', async (t) => {
  const { world, keys } = await running(t)
  await world.serve(keys, DAY - 2 * MINUTE)
  const kid = kidIn(world, 'active')
  const exp = Math.floor(world.clock.wall / 1000) + 3600
  const result = keys.sign(claims(world.clock.wall, { exp }), undefined)
  assert.ok(result.ok && result.value.kid === kid)
  await world.serve(keys, 3 * MINUTE)
  assert.notEqual(signed(world, keys).kid, kid, 'another key signs now')
  const stays = tailMs(world.policy)
  await world.serve(keys, HOUR)
  await jwtVerify(
    result.value.token,
    createLocalJWKSet(JSON.parse(keys.jwks()?.body ?? '') as JSONWebKeySet),
    {
      currentDate: new Date(world.clock.wall - 5 * MINUTE),
    },
  )
  await world.serve(keys, stays - HOUR - 5 * MINUTE)
  assert.ok(kidsOf(keys).includes(kid))
  await world.serve(keys, 10 * MINUTE)
  assert.equal(kidsOf(keys).includes(kid), false)
})

test('P5: a process that waits to start counts none of it as published', async (t) => {
  const world = await rig(t)
  pass(world.clock, 10 * DAY)
  const keys = world.process()
  must(await keys.start())
  t.after(() => keys.stop())
  const kid = kidIn(world, 'active')
  await world.serve(keys, DAY - MINUTE)
  assert.equal(signed(world, keys).kid, kid)
  await world.serve(keys, 2 * MINUTE)
  assert.notEqual(signed(world, keys).kid, kid)
  assert.ok(world.lines.some((line) => line.message.includes('timers pushed')))
})

test('P5: clocks that jump either way change neither the set nor the signer', async (t) => {
  const { world, keys } = await running(t)
  const [body, kid] = [keys.jwks()?.body, signed(world, keys).kid]
  for (const jump of [400 * DAY, -400 * DAY, -30 * DAY, 29 * DAY]) {
    world.clock.wall += jump
    await keys.tick()
    await world.serve(keys, 5 * MINUTE)
    assert.equal(keys.jwks()?.body, body)
    assert.equal(signed(world, keys).kid, kid)
  }
})

test('P5: after a jump forwards nothing is signed beyond what the store knows, until the next tick', async (t) => {
  const { world, keys } = await running(t)
  world.clock.wall += 3 * HOUR
  refused(world, keys, /outlive/)
  // The refusal has asked for a tick.
  await keys.tick()
  signed(world, keys)
  const until = readKeys(world.db).keys.find(({ record }) => record.state === 'active')
  assert.ok((until?.record.signsUntil ?? 0) >= world.clock.wall + world.policy.maxTokenLifetimeMs)
})

test('a token without an exp, or one beyond the longest life, is never signed', async (t) => {
  const { world, keys } = await running(t)
  const late = Math.floor(world.clock.wall / 1000) + 5 * 3600
  for (const exp of [undefined, Number.NaN, late]) {
    const result = keys.sign(claims(world.clock.wall, { exp }), undefined)
    assert.equal(result.ok ? 'signed' : result.reason, 'signing_key_unavailable')
  }
})

test('P5: a process that lost the store signs for half the lead, then says why not, and publishes on', async (t) => {
  const { world, keys } = await running(t)
  const body = keys.jwks()?.body
  const lock = openDatabase(world.path)
  lock.exec('BEGIN IMMEDIATE')
  await world.serve(keys, HOUR)
  signed(world, keys)
  assert.equal(keys.status().ready, true)
  assert.match(keys.status().warnings.join(), /locked/)
  await world.serve(keys, MINUTE)
  refused(world, keys, /half the lead/)
  assert.deepEqual([keys.status().ready, keys.status().reason], [false, 'key_store_stale'])
  assert.deepEqual(keys.status().signing, [])
  await world.serve(keys, 3 * HOUR)
  assert.equal(keys.jwks()?.body, body)
  lock.exec('ROLLBACK')
  lock.close()
  await keys.tick()
  signed(world, keys)
  assert.deepEqual([keys.status().ready, keys.status().warnings], [true, []])
})

test('P5: the monotonic clock decides what is stale, whatever the wall clock says', async (t) => {
  const { world, keys } = await running(t)
  world.clock.monotonic += HOUR + 1
  refused(world, keys, /half the lead/)
  await keys.tick()
  signed(world, keys)
})

test('P5: the set is served from memory when the store is closed, emptied or broken', async (t) => {
  for (const ruin of [
    (_: Rig, db: Rig['db']) => db.close(),
    (world: Rig) => world.db.exec('DELETE FROM signing_keys'),
    (world: Rig) => world.db.exec('DROP TABLE signing_keys'),
    (world: Rig) => world.db.exec("UPDATE signing_keys SET public_jwk = '{}', kid = kid || 'x'"),
  ]) {
    const world = await rig(t)
    const own = openDatabase(world.path)
    const keys = world.process({ db: own })
    must(await keys.start())
    t.after(() => keys.stop())
    const body = keys.jwks()?.body
    assert.ok(body)
    ruin(world, own)
    await world.serve(keys, 4 * HOUR)
    assert.equal(keys.jwks()?.body, body)
    assert.equal(keys.status().keys.length > 0 && keys.status().ready, false)
    assert.ok(world.lines.some((line) => line.level === 'error'))
  }
})

test('P5: a lost row: that key signs no more, stays published, and its successor takes over', async (t) => {
  const { world, keys } = await running(t)
  await world.serve(keys, HOUR)
  const lost = kidIn(world, 'active')
  world.db.prepare('DELETE FROM signing_keys WHERE kid = ?').run(lost)
  await keys.tick()
  refused(world, keys, /no ES256 key can sign/)
  assert.ok(kidsOf(keys).includes(lost))
  assert.match(keys.status().warnings.join(), new RegExp(`${lost} vanished`))
  await world.serve(keys, HOUR + MINUTE)
  assert.notEqual(signed(world, keys).kid, lost)
  assert.ok(kidsOf(keys).includes(lost))
})

test('P5: a damaged row is not half a set: nothing is published, and time does not count', async (t) => {
  const world = await rig(t)
  world.db.prepare("UPDATE signing_keys SET public_jwk = '{}' WHERE state = 'next'").run()
  const before = readKeys(world.db)
  const keys = world.process()
  const outcome = await keys.start()
  assert.equal(outcome.ok ? '' : outcome.problem, 'key_damaged')
  await world.serve(keys, 4 * HOUR)
  assert.equal(keys.jwks(), undefined)
  assert.equal(keys.status().reason, 'key_damaged')
  assert.deepEqual(readKeys(world.db), before)
})

test('P9: no private key is readable in the database or its log', async (t) => {
  const { world, keys } = await running(t)
  const opened = readKeys(world.db).keys.filter((key) => key.sealed !== undefined)
  assert.equal(opened.length, 2)
  const bytes = Buffer.concat([readFileSync(world.path), readFileSync(`${world.path}-wal`)])
  // The PKCS #8 prefix of every P-256 private key, raw and in the usual encodings.
  const prefix = Buffer.from('308187020100301306072a8648ce3d020106082a8648ce3d030107', 'hex')
  for (const form of [prefix, prefix.toString('base64').slice(0, 32), 'PRIVATE KEY', '"d"']) {
    assert.equal(bytes.includes(form), false)
  }
  assert.ok(bytes.includes(kidIn(world, 'active')), 'the bytes are those of the keys')
  await keys.stop()
})

test('P9: with a wrong key-encryption key nothing signs, nothing rotates, the set is published', async (t) => {
  const { world, keys } = await running(t)
  const wrong = { current: 'k1', keys: new Map([['k1', createSecretKey(randomBytes(32))]]) }
  const other = world.process({ keks: wrong })
  must(await other.start())
  t.after(() => other.stop())
  refused(world, other, /no ES256 key can sign/)
  assert.equal(other.jwks()?.body, keys.jwks()?.body)
  assert.deepEqual([other.status().ready, other.status().reason], [false, 'private_key_unusable'])
  assert.match(other.status().warnings.join(), /k1 does not open signing key/)
  await keys.stop()
  const before = kidIn(world, 'active')
  await world.serve(other, DAY + HOUR)
  assert.equal(kidIn(world, 'active'), before)
  const errors = world.lines.filter((line) => line.message === 'signing key in trouble')
  assert.equal(errors.length, 2, 'each trouble is logged once')
})

test('P9: with a lost key-encryption key an emergency rotation under a new one helps', async (t) => {
  const { world } = await running(t)
  const onlyNew = encryptionKeys(world.folder, 'k2')
  const lost = { current: 'k2', keys: new Map([...onlyNew.keys].filter(([id]) => id === 'k2')) }
  const keys = world.process({ keks: lost })
  must(await keys.start())
  t.after(() => keys.stop())
  refused(world, keys, /no ES256 key can sign/)
  assert.match(keys.status().warnings.join(), /k1 is not configured/)
  const operation = { policy: world.policy, encryptionKeys: lost, now: world.clock.wall }
  const rotated = must(await rotateKeys(world.db, { ...operation, emergency: true }))
  assert.equal(rotated.created.length, 1)
  await keys.tick()
  assert.equal(signed(world, keys).kid, rotated.created[0])
  assert.equal(keys.status().ready, true)
})

test('P9: a private half that belongs to another key does not sign', async (t) => {
  const { world } = await running(t)
  // Somebody who has the key-encryption key seals another private key under this one's kid.
  const { privateKey } = await generateSigningKey('ES256')
  const kid = kidIn(world, 'active')
  const sealed = must(sealPrivateKey(privateKey, { kid, algorithm: 'ES256' }, world.keks))
  world.db
    .prepare('UPDATE signing_keys SET wrapped_data_key = ?, private_key = ? WHERE kid = ?')
    .run(sealed.wrappedDataKey, sealed.privateKey, kid)
  const keys = world.process()
  must(await keys.start())
  t.after(() => keys.stop())
  refused(world, keys, /no ES256 key can sign/)
  assert.equal(keys.status().reason, 'private_key_unusable')
})

test('P5: the bytes of the set and its ETag survive restarts and key changes elsewhere', async (t) => {
  const { world, keys } = await running(t, { policy: { algorithms: SIGNING_ALGORITHMS } })
  const document = keys.jwks()
  assert.equal(document?.maxAgeSeconds, 300)
  for (let restart = 0; restart < 3; restart++) {
    const again = world.process()
    must(await again.start())
    t.after(() => again.stop())
    assert.deepEqual(again.jwks(), document)
  }
})

test('a new algorithm waits for its lead, and the process is ready meanwhile', async (t) => {
  const { world, keys } = await running(t)
  await keys.stop()
  const policy = { ...world.policy, algorithms: ['ES256', 'RS256'] as const }
  const both = world.process({ policy })
  must(await both.start())
  t.after(() => both.stop())
  await world.serve(both, MINUTE)
  refused(world, both, /no RS256 key can sign/, 'RS256')
  signed(world, both)
  assert.equal(both.status().ready, true)
  assert.match(both.status().warnings.join(), /no RS256 key signs yet/)
  assert.equal(kidsOf(both).length, 3)
  await world.serve(both, 2 * HOUR - 2 * MINUTE)
  refused(world, both, /no RS256 key can sign/, 'RS256')
  await world.serve(both, 2 * MINUTE)
  signed(world, both, 'RS256')
  assert.deepEqual([...both.status().signing].sort(), ['ES256', 'RS256'])
})

test('an unknown kid makes the store be read, once per cool-down', async (t) => {
  const { world, keys } = await running(t)
  pass(world.clock, 6 * SECOND)
  const before = (keys.keySource.current() as KeySet).version
  const operation = { policy: world.policy, encryptionKeys: world.keks, now: world.clock.wall }
  const kid = kidIn(world, 'next')
  must(await rotateKeys(world.db, { ...operation, emergency: true }))
  assert.equal(
    ((await keys.keySource.refreshed()) as KeySet).version,
    before,
    'it was published already',
  )
  assert.equal(signed(world, keys).kid, kid, 'the read takes over the new signer too')
  world.db.exec("DELETE FROM signing_keys WHERE state = 'active'")
  await keys.keySource.refreshed()
  signed(world, keys)
  pass(world.clock, 5 * SECOND)
  await keys.keySource.refreshed()
  refused(world, keys, /no ES256 key can sign/)
})

test('two processes that tick in turn write one clock and agree', async (t) => {
  const { world, keys } = await running(t)
  const other = world.process()
  must(await other.start())
  t.after(() => other.stop())
  for (let minute = 0; minute < (DAY + 5 * MINUTE) / MINUTE; minute++) {
    pass(world.clock, MINUTE)
    await Promise.all([keys.tick(), other.tick()])
  }
  await keys.tick()
  await other.tick()
  assert.equal(keys.jwks()?.body, other.jwks()?.body)
  assert.equal(signed(world, keys).kid, signed(world, other).kid)
  assert.equal(kidsOf(keys).length, 3)
})

test('a second process does not write again what the first has just written', async (t) => {
  const { world, keys } = await running(t)
  const changes = () => world.db.pragma('data_version', { simple: true })
  const other = world.process()
  await keys.tick()
  const before = changes()
  await other.tick()
  assert.equal(changes(), before)
  pass(world.clock, 8 * SECOND)
  await other.tick()
  assert.notEqual(changes(), before)
})

test('init is refused where there ever was a key', async (t) => {
  const { world } = await running(t)
  const operation = { policy: world.policy, encryptionKeys: world.keks, now: world.clock.wall }
  const again = await initKeys(world.db, operation)
  assert.equal(again.ok ? '' : again.problem, 'keys_exist')
})

test('it looks after the keys by itself every 15 s, until it is stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { world, keys } = await running(t)
  const lastTickAt = () => readKeys(world.db).lastTickAt
  pass(world.clock, 15 * SECOND)
  t.mock.timers.tick(15 * SECOND)
  await keys.stop()
  assert.equal(lastTickAt(), world.clock.wall, 'stopping has waited for it')
  pass(world.clock, 15 * SECOND)
  t.mock.timers.tick(15 * SECOND)
  await new Promise(setImmediate)
  assert.equal(lastTickAt(), world.clock.wall - 15 * SECOND)
})
