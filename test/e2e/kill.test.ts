// Processes that are killed, many on one database, and asked to stop, all of it under load.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeProtectedHeader } from 'jose'
import { createRandom } from '../hostile/random.ts'
import { startLoad } from '../support/load.ts'
import { startServerProcess } from '../support/server-process.ts'
import {
  assertAllRecorded,
  diskDeployment,
  isReady,
  keysIn,
  publishedKeys,
  tokensOf,
} from './processes-under-load.ts'

const ROUNDS = 20
const CLIENTS = 4
const SEED = 20_261_123

test('P3 P5 kill -9, twenty times under load: every token that left is recorded, and the keys are whole', async (t) => {
  const deployment = await diskDeployment(t)
  const keys = keysIn(deployment.database)
  const random = createRandom('kill', SEED)
  const keySets = new Set<string>()
  const tokens: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServerProcess(t, deployment.config)
    keySets.add(await publishedKeys(server))
    const load = startLoad(deployment.requestTo(server), { clients: CLIENTS, goesOn: () => true })
    await load.reached(1)
    assert.ok(await isReady(server), `round ${round}`)
    // Some exchanges are within their commit now, some before, some behind.
    await load.reached(load.answers.length + 1 + random.below(60))
    assert.deepEqual(await server.end('SIGKILL'), [null, 'SIGKILL'])
    await load.ended
    assert.deepEqual(
      load.answers.filter(({ status }) => status !== 200),
      [],
    )
    tokens.push(...tokensOf(load))
    assert.deepEqual(keysIn(deployment.database), keys)
  }
  assert.ok(tokens.length >= 2 * ROUNDS)
  const [keySet, ...others] = keySets
  assert.deepEqual(others, [], 'the key set changed')
  const recorded = await assertAllRecorded(deployment.database, tokens, keySet ?? '')
  assert.ok(recorded >= tokens.length)
})

test('three processes on one database, all under load: one key signs, one key set, every row is there', async (t) => {
  const deployment = await diskDeployment(t)
  const servers = await Promise.all(
    Array.from({ length: 3 }, () => startServerProcess(t, deployment.config)),
  )
  let isOver = false
  const loads = servers.map((server) =>
    startLoad(deployment.requestTo(server), { clients: 2, goesOn: () => !isOver }),
  )
  await Promise.all(loads.map((load) => load.reached(100)))
  assert.deepEqual(await Promise.all(servers.map(isReady)), [true, true, true])
  isOver = true
  await Promise.all(loads.map((load) => load.ended))
  const answers = loads.flatMap((load) => load.answers)
  assert.deepEqual(
    [answers.filter(({ status }) => status !== 200), loads.flatMap((load) => load.failures)],
    [[], []],
  )
  const tokens = loads.flatMap(tokensOf)
  assert.equal(new Set(tokens.map((token) => decodeProtectedHeader(token).kid)).size, 1)
  const [keySet = '', ...others] = await Promise.all(servers.map(publishedKeys))
  assert.deepEqual(others, [keySet, keySet])
  assert.equal(await assertAllRecorded(deployment.database, tokens, keySet), tokens.length)
})

test('P3 SIGTERM under load: every exchange that was granted is answered, and the process ends well', async (t) => {
  const deployment = await diskDeployment(t)
  const server = await startServerProcess(t, deployment.config)
  const keySet = await publishedKeys(server)
  const load = startLoad(deployment.requestTo(server), { clients: CLIENTS, goesOn: () => true })
  await load.reached(50)
  assert.deepEqual(await server.end('SIGTERM'), [0, null])
  await load.ended
  assert.equal(server.log.at(-1)?.message, 'drained')

  // It went on serving while it said that it was not ready, and asked every client to leave. Of each other
  // client one answer may have been on its way when the first of these was written.
  const asksToLeave = load.answers.map(({ headers }) => headers.connection === 'close')
  const since = asksToLeave.slice(asksToLeave.indexOf(true))
  assert.ok(since.length > 2 * CLIENTS)
  assert.ok(since.filter((asks) => !asks).length < CLIENTS)
  for (const { status, body } of load.answers) {
    assert.ok(status === 200 || body.error === 'temporarily_unavailable', `${status}`)
  }
  // What ended a client is that nobody listens any more, or that a new connection was not served.
  for (const failure of load.failures) assert.match(failure, /^(?:ECONNREFUSED|ECONNRESET|EPIPE)$/)
  assert.equal(load.failures.length, CLIENTS)
  const tokens = tokensOf(load)
  assert.equal(await assertAllRecorded(deployment.database, tokens, keySet), tokens.length)
})
