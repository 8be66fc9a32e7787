import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EncryptionKeys } from '../../src/keys/key-encryption.ts'
import type { KeyOutcome } from '../../src/keys/key-outcome.ts'
import { MAX_PUBLISHED_KEYS, tailMs } from '../../src/keys/key-policy.ts'
import { readKeys } from '../../src/keys/key-store.ts'
import {
  initKeys,
  type KeyOperation,
  listKeys,
  listTimeline,
  markRestored,
  onlyVerifies,
  revokeKey,
  rewrapKeys,
  rotateKeys,
} from '../../src/keys/operations.ts'
import { backupDatabase, restoreDatabase } from '../../src/store/backup.ts'
import { openDatabase } from '../../src/store/database.ts'
import {
  claims,
  DAY,
  encryptionKeys,
  HOUR,
  MINUTE,
  must,
  type Rig,
  rig,
  SECOND,
  START,
} from './fixture.ts'

/** Fresh keys, of which the next one has been published for the whole lead. */
async function ripe(t: TestContext, policy: Parameters<typeof rig>[1] = {}) {
  const world = await rig(t, policy)
  const keys = world.process()
  must(await keys.start())
  t.after(() => keys.stop())
  await world.serve(keys, 2 * HOUR + SECOND)
  return { world, keys }
}

const operation = (world: Rig, more: Partial<KeyOperation> = {}) => ({
  policy: world.policy,
  encryptionKeys: world.keks,
  now: world.clock.wall,
  emergency: false,
  ...more,
})
const states = (world: Rig) =>
  Object.fromEntries(readKeys(world.db).keys.map(({ record }) => [record.kid, record.state]))
const kidIn = (world: Rig, state: string, algorithm = 'ES256'): string =>
  readKeys(world.db).keys.find(
    ({ record }) => record.state === state && record.algorithm === algorithm,
  )?.record.kid ?? 'none'
const refused = (outcome: KeyOutcome<unknown>, problem: string, says: RegExp) => {
  assert.equal(outcome.ok ? 'done' : outcome.problem, problem)
  assert.match(outcome.ok ? '' : outcome.message, says)
}

test('init makes a signing and a next key for each algorithm', async (t) => {
  const world = await rig(t, { policy: { algorithms: ['ES256', 'RS256'] } })
  const listed = listKeys(world.db, world.policy)
  assert.deepEqual(listed.map((key) => `${key.algorithm} ${key.state}`).sort(), [
    'ES256 active',
    'ES256 next',
    'RS256 active',
    'RS256 next',
  ])
  for (const key of listed) {
    assert.equal(key.publishedAt, START)
    assert.equal(key.encryptionKeyId, 'k1')
    assert.equal(key.nextStepAt, START + (key.state === 'next' ? 2 * HOUR : DAY))
  }
})

test('init is refused over keys of any state, and changes nothing', async (t) => {
  const world = await rig(t)
  markRestored(world.db, world.policy, START)
  const before = readKeys(world.db)
  refused(await initKeys(world.db, operation(world)), 'keys_exist', /nothing was changed/)
  assert.deepEqual(readKeys(world.db), before)
})

test('two inits at once make one set of keys', async (t) => {
  const world = await rig(t, { init: false })
  const both = await Promise.all([
    initKeys(world.db, operation(world)),
    initKeys(world.db, operation(world)),
  ])
  assert.deepEqual(both.map((outcome) => (outcome.ok ? 'done' : outcome.problem)).sort(), [
    'done',
    'keys_exist',
  ])
  assert.equal(readKeys(world.db).keys.length, 2)
})

test('field-6 #17, P5: a rotation before the lead is refused with the earliest time', async (t) => {
  const world = await rig(t)
  const keys = world.process()
  must(await keys.start())
  t.after(() => keys.stop())
  await world.serve(keys, 2 * HOUR - MINUTE)
  const before = readKeys(world.db)
  const earliest = new Date(START + 2 * HOUR).toISOString()
  refused(await rotateKeys(world.db, operation(world)), 'too_early', new RegExp(earliest))
  assert.deepEqual(readKeys(world.db), before)
})

test('a rotation after the lead: the next key signs, the old one only verifies and has no private half', async (t) => {
  const { world, keys } = await ripe(t)
  const [active, next] = [kidIn(world, 'active'), kidIn(world, 'next')]
  const outcome = must(await rotateKeys(world.db, operation(world)))
  assert.deepEqual(outcome, {
    moves: [
      { kid: active, to: 'retiring' },
      { kid: next, to: 'active' },
    ],
    created: [],
  })
  assert.deepEqual(states(world), { [active]: 'retiring', [next]: 'active' })
  const old = listKeys(world.db, world.policy).find((key) => key.kid === active)
  assert.equal(old?.encryptionKeyId, undefined)
  assert.ok((old?.nextStepAt ?? 0) >= world.clock.wall + tailMs(world.policy))
  await world.serve(keys, MINUTE)
  assert.equal(Object.keys(states(world)).length, 3, 'a new next key is warm')
  refused(await rotateKeys(world.db, operation(world)), 'too_early', /possible from/)
})

test('of several algorithms all rotate or none, and one alone may', async (t) => {
  const { world, keys } = await ripe(t, { policy: { algorithms: ['ES256', 'EdDSA'] } })
  must(await rotateKeys(world.db, { ...operation(world), algorithm: 'EdDSA' }))
  await world.serve(keys, MINUTE)
  const before = states(world)
  refused(await rotateKeys(world.db, operation(world)), 'too_early', /possible from/)
  assert.deepEqual(states(world), before)
  const es256 = kidIn(world, 'next', 'ES256')
  must(await rotateKeys(world.db, { ...operation(world), algorithm: 'ES256' }))
  assert.equal(states(world)[es256], 'active')
  refused(
    await rotateKeys(world.db, { ...operation(world), algorithm: 'RS256' }),
    'algorithm_not_configured',
    /RS256/,
  )
})

test('--emergency promotes a next key at once, and makes one where there is none', async (t) => {
  const world = await rig(t)
  const next = kidIn(world, 'next')
  must(await rotateKeys(world.db, { ...operation(world), emergency: true }))
  assert.equal(kidIn(world, 'active'), next)
  assert.equal(kidIn(world, 'next'), 'none')
  refused(await rotateKeys(world.db, operation(world)), 'too_early', /no next ES256 key/)
  const again = must(await rotateKeys(world.db, { ...operation(world), emergency: true }))
  assert.deepEqual(again.created, [kidIn(world, 'active')])
  assert.equal(states(world)[next], 'retiring')
})

test('--emergency replaces a next key that does not open', async (t) => {
  const world = await rig(t)
  const [active, next] = [kidIn(world, 'active'), kidIn(world, 'next')]
  const foreign: EncryptionKeys = {
    current: 'k1',
    keys: new Map([['k1', createSecretKey(randomBytes(32))]]),
  }
  const now = START + 3 * HOUR
  const own = { ...operation(world), now, encryptionKeys: foreign }
  refused(await rotateKeys(world.db, own), 'encryption_key_wrong', new RegExp(next))
  const outcome = must(await rotateKeys(world.db, { ...own, emergency: true }))
  assert.deepEqual(states(world), {
    [active]: 'retiring',
    [next]: 'gone',
    [outcome.created[0] ?? '']: 'active',
  })
})

test('without any key nothing rotates', async (t) => {
  const world = await rig(t, { init: false })
  for (const emergency of [false, true]) {
    refused(await rotateKeys(world.db, { ...operation(world), emergency }), 'keys_missing', /init/)
  }
})

test('emergencies do not grow the set without bound', async (t) => {
  const world = await rig(t)
  const run = () => rotateKeys(world.db, { ...operation(world), emergency: true })
  for (let count = 2; count < MAX_PUBLISHED_KEYS + 1; count++) must(await run())
  refused(await run(), 'too_many_keys', /32/)
  assert.equal(listKeys(world.db, world.policy).length, MAX_PUBLISHED_KEYS)
})

test('time before a manual change does not count as served', async (t) => {
  const { world } = await ripe(t)
  must(await rotateKeys(world.db, operation(world)))
  // Nobody serves for a week; then the operator comes back.
  world.clock.wall += 7 * DAY
  must(await rotateKeys(world.db, { ...operation(world), emergency: true }))
  assert.equal(
    readKeys(world.db).keys.filter(({ record }) => record.state === 'retiring').length,
    2,
  )
  const again = world.process()
  must(await again.start())
  t.after(() => again.stop())
  await world.serve(again, tailMs(world.policy) - MINUTE)
  assert.equal(Object.values(states(world)).includes('gone'), false)
})

test('revoke: a next or a retiring key leaves at once', async (t) => {
  const { world, keys } = await ripe(t)
  const retiring = kidIn(world, 'active')
  must(await rotateKeys(world.db, operation(world)))
  await world.serve(keys, MINUTE)
  const next = kidIn(world, 'next')
  for (const kid of [retiring, next]) {
    const outcome = must(await revokeKey(world.db, { ...operation(world), kid }))
    assert.deepEqual(outcome, { moves: [{ kid, to: 'gone' }], created: [] })
    await keys.tick()
    assert.equal(keys.jwks()?.body.includes(kid), false)
  }
  refused(
    await revokeKey(world.db, { ...operation(world), kid: next }),
    'key_unknown',
    /no published/,
  )
  refused(
    await revokeKey(world.db, { ...operation(world), kid: 'nonsense' }),
    'key_unknown',
    /nonsense/,
  )
  const all = listKeys(world.db, world.policy, { all: true })
  assert.equal(all.find((key) => key.kid === next)?.state, 'gone', 'what signed stays on record')
  assert.equal(all.find((key) => key.kid === next)?.encryptionKeyId, undefined)
})

test('revoke: an active key only in an emergency, and its successor signs first', async (t) => {
  const world = await rig(t)
  const [kid, next] = [kidIn(world, 'active'), kidIn(world, 'next')]
  const before = readKeys(world.db)
  refused(await revokeKey(world.db, { ...operation(world), kid }), 'emergency_required', /60 min/)
  assert.deepEqual(readKeys(world.db), before)
  must(await revokeKey(world.db, { ...operation(world), kid, emergency: true }))
  assert.deepEqual(states(world), { [kid]: 'gone', [next]: 'active' })
  const last = must(await revokeKey(world.db, { ...operation(world), kid: next, emergency: true }))
  assert.deepEqual(states(world), {
    [kid]: 'gone',
    [next]: 'gone',
    [last.created[0] ?? '']: 'active',
  })
})

test('field-6 #26, P5: the last published key is not revoked', async (t) => {
  const world = await rig(t)
  const [active, next] = [kidIn(world, 'active'), kidIn(world, 'next')]
  markRestored(world.db, world.policy, START)
  must(await revokeKey(world.db, { ...operation(world), kid: next }))
  for (const emergency of [false, true]) {
    refused(
      await revokeKey(world.db, { ...operation(world), kid: active, emergency }),
      'last_key',
      /only published key/,
    )
  }
  assert.equal(states(world)[active], 'retiring')
})

test('P9: rewrap moves all keys under the current key-encryption key, so that the old one can go', async (t) => {
  const { world } = await ripe(t)
  const newer = encryptionKeys(world.folder, 'k2')
  assert.equal(must(rewrapKeys(world.db, newer)), 2)
  assert.equal(must(rewrapKeys(world.db, newer)), 0)
  for (const key of listKeys(world.db, world.policy)) assert.equal(key.encryptionKeyId, 'k2')
  const k2 = newer.keys.get('k2')
  assert.ok(k2)
  const keys = world.process({ keks: { current: 'k2', keys: new Map([['k2', k2]]) } })
  must(await keys.start())
  t.after(() => keys.stop())
  assert.deepEqual(keys.status().signing, ['ES256'])
})

test('P9: rewrap changes nothing where one key does not open', async (t) => {
  const { world } = await ripe(t)
  const newer = encryptionKeys(world.folder, 'k2')
  const kid = kidIn(world, 'next')
  world.db.prepare("UPDATE signing_keys SET wrapped_data_key = x'00' WHERE kid = ?").run(kid)
  const before = readKeys(world.db)
  refused(rewrapKeys(world.db, newer), 'encryption_key_wrong', new RegExp(kid))
  assert.deepEqual(readKeys(world.db), before)
})

test('after a restore every key only verifies, for a full tail, and a new one is published first', async (t) => {
  const { world } = await ripe(t)
  must(await rotateKeys(world.db, operation(world)))
  const before = listKeys(world.db, world.policy).map((key) => key.kid)
  world.clock.wall += 10 * DAY
  assert.equal(markRestored(world.db, world.policy, world.clock.wall), before.length)
  for (const key of listKeys(world.db, world.policy)) {
    assert.equal(key.state, 'retiring')
    assert.equal(key.retiredAt, world.clock.wall)
    assert.equal(key.encryptionKeyId, undefined)
    assert.ok((key.signsUntil ?? 0) >= world.clock.wall + world.policy.maxTokenLifetimeMs)
  }
  const keys = world.process()
  must(await keys.start())
  t.after(() => keys.stop())
  await world.serve(keys, MINUTE)
  const fresh = kidIn(world, 'next')
  assert.deepEqual(keys.status().signing, [])
  assert.deepEqual([keys.status().ready, keys.status().reason], [true, undefined])
  assert.match(keys.status().warnings.join(), /no ES256 key signs yet/)
  for (const kid of [fresh, ...before]) assert.ok(keys.jwks()?.body.includes(kid))
  await world.serve(keys, 2 * HOUR - 2 * MINUTE)
  assert.deepEqual(keys.status().signing, [])
  await world.serve(keys, 3 * MINUTE)
  assert.equal(kidIn(world, 'active'), fresh)
  for (const kid of before) assert.equal(states(world)[kid], 'gone')
})

test('P5: a backup that is restored serves and verifies the old keys, and signs with none of them', async (t) => {
  const { world, keys } = await ripe(t)
  const old = keys.sign(claims(world.clock.wall), undefined)
  const backup = join(world.folder, 'backup.db')
  const to = join(world.folder, 'restored.db')
  await backupDatabase(world.db, backup)
  await restoreDatabase({
    from: backup,
    to,
    prepare: (copy) => {
      assert.equal(onlyVerifies(copy), false)
      markRestored(copy, world.policy, world.clock.wall)
    },
    check: (copy) => assert.equal(onlyVerifies(copy), true),
  })
  const restored = world.process({ db: openDatabase(to) })
  must(await restored.start())
  t.after(() => restored.stop())
  assert.ok(old.ok && restored.jwks()?.body.includes(old.value.kid))
  const signed = restored.sign(claims(world.clock.wall), undefined)
  assert.equal(signed.ok ? 'signed' : signed.reason, 'signing_key_unavailable')
})

test('the timeline starts from what is stored', async (t) => {
  const world = await rig(t)
  const events = listTimeline(world.db, world.policy, START, 2)
  assert.deepEqual(
    events.map(({ at, kid, event }) => [at, kid, event]),
    [
      [START + DAY, kidIn(world, 'active'), 'stops_signing'],
      [START + DAY, kidIn(world, 'next'), 'starts_signing'],
    ],
  )
})

test('a change that another process was faster with is refused, not repeated', async (t) => {
  const { world } = await ripe(t)
  const both = await Promise.all([
    rotateKeys(world.db, operation(world)),
    rotateKeys(world.db, operation(world)),
  ])
  assert.deepEqual(both.map((outcome) => outcome.ok).sort(), [false, true])
  const raced = await Promise.all([
    rotateKeys(world.db, { ...operation(world), emergency: true }),
    rotateKeys(world.db, { ...operation(world), emergency: true }),
  ])
  assert.deepEqual(raced.map((outcome) => (outcome.ok ? 'done' : outcome.problem)).sort(), [
    'changed_meanwhile',
    'done',
  ])
})
