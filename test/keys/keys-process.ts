// Run as a process by processes.test.ts: `init` makes first keys, `tick` looks after them by a clock that
// the arguments give, `churn` rotates in emergencies until it is killed.
import { readEncryptionKeys } from '../../src/keys/encryption-key-files.ts'
import { initKeys, rotateKeys } from '../../src/keys/operations.ts'
import { createSigningKeys } from '../../src/keys/signing-keys.ts'
import { openDatabase } from '../../src/store/database.ts'
import { claims, MINUTE, must, POLICY } from './fixture.ts'

const [what = '', path = '', kek = '', start = '0', minutes = '0'] = process.argv.slice(2)
const db = openDatabase(path)
const encryptionKeys = must(readEncryptionKeys({ current: 'k1', files: { k1: kek } }))
const policy = { ...POLICY, signForMs: 3 * 60 * MINUTE }

if (what === 'init') {
  const outcome = await initKeys(db, { policy, encryptionKeys, now: Number(start) })
  process.stdout.write(outcome.ok ? 'done' : outcome.problem)
}

if (what === 'tick') {
  const clock = { wall: Number(start), monotonic: 0 }
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const keys = createSigningKeys({
    db,
    policy,
    encryptionKeys,
    now: () => clock.wall,
    monotonic: () => clock.monotonic,
    log,
  })
  for (let minute = 0; minute < Number(minutes); minute++) {
    clock.wall += MINUTE
    clock.monotonic += MINUTE
    await keys.tick()
  }
  const signed = keys.sign(claims(clock.wall), undefined)
  process.stdout.write(
    JSON.stringify({ body: keys.jwks()?.body, kid: signed.ok ? signed.value.kid : signed.detail }),
  )
}

if (what === 'churn') {
  for (let now = Number(start); ; now += MINUTE) {
    const outcome = await rotateKeys(db, { policy, encryptionKeys, now, emergency: true })
    if (!outcome.ok) db.exec("DELETE FROM signing_keys WHERE state = 'retiring'")
    process.stdout.write('.')
  }
}

db.close()
