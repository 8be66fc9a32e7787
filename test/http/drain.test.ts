import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { buildAdminListener } from '../../src/http/admin-listener.ts'
import { createDrain } from '../../src/http/drain.ts'
import { buildPublicListener } from '../../src/http/public-listener.ts'
import { metadataPaths } from '../../src/oauth/metadata.ts'
import {
  answers,
  deferred,
  FORM,
  grant,
  listening,
  type RawAnswer,
  received,
  tokenListener,
} from '../support/token-listener.ts'

const POST = `POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${FORM.length}\r\n\r\n${FORM}`
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

async function send(socket: Socket, bytes: string): Promise<RawAnswer> {
  const one = answers(socket, 1)
  socket.write(bytes)
  const [answer] = await one
  assert.ok(answer)
  return answer
}

/** Three listeners and a drain whose clock the test turns. */
async function fixture(t: TestContext) {
  const settled = deferred()
  const graceOver = deferred()
  const logged: string[] = []
  const log = (_fields: object, message: string) => void logged.push(message)
  const quiet = { info: log, warn: log, error: log }
  const drain = createDrain({
    settleMs: 1,
    graceMs: 2,
    delay: (milliseconds) => (milliseconds === 1 ? settled.promise : graceOver.promise),
    log: quiet,
  })
  const entered = deferred()
  const finish = deferred()
  const token = tokenListener(t, {
    phase: drain.phase,
    exchange: async (input) => {
      entered.resolve()
      if (input.form.ok && input.form.value.has('wait')) await finish.promise
      return grant(input)
    },
  })
  const publicApp = buildPublicListener({
    jwks: () => ({ body: '{"keys":[{}]}', etag: '"a"', maxAgeSeconds: 1 }),
    authorizationServer: {},
    openidConfiguration: {},
    paths: metadataPaths('https://sts.example'),
    observeJwks: () => {},
    log: quiet,
  })
  const adminApp = buildAdminListener({
    checks: { always: () => ({ ok: true }) },
    isDraining: () => drain.phase() !== 'serving',
    metrics: async () => ({ contentType: 'text/plain', body: '' }),
    log: quiet,
  })
  t.after(() => Promise.all([publicApp.close(), adminApp.close()]))
  const open = {
    token: await listening(t, token.app),
    public: await listening(t, publicApp),
    admin: await listening(t, adminApp),
  }
  const listeners = { token: [token.app], public: publicApp, admin: adminApp }
  return { drain, listeners, open, settled, graceOver, entered, finish, logged, token }
}

const refusesConnections = async (open: () => Socket): Promise<boolean> => {
  const socket = open()
  return await new Promise((resolve) => {
    socket.once('connect', () => resolve(false))
    socket.once('error', () => resolve(true))
  })
}

describe('drain', () => {
  it('says it is not ready first, and serves on until that is known', async (t) => {
    const { drain, listeners, open, settled, graceOver, logged } = await fixture(t)
    assert.equal(drain.phase(), 'serving')
    assert.equal((await send(open.admin(), get('/readyz'))).status, 200)
    const kept = open.token()
    assert.equal((await send(kept, POST)).headers.get('connection'), 'keep-alive')

    const drained = drain.drain(listeners)
    assert.equal(drain.drain(listeners), drained)
    assert.equal(drain.phase(), 'draining')
    assert.equal((await send(open.admin(), get('/readyz'))).status, 503)
    const ended = once(kept, 'end')
    const answer = await send(kept, POST)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('connection'), 'close')
    await ended
    assert.equal((await send(open.token(), POST)).status, 200)

    settled.resolve()
    await drained
    for (const listener of Object.values(open)) assert.ok(await refusesConnections(listener))
    assert.deepEqual(logged, ['draining', 'drained'])
    graceOver.resolve()
  })

  it('P5 finishes what it has begun, begins nothing new, and keeps the key set to the end', async (t) => {
    const { drain, listeners, open, settled, entered, finish, logged, token } = await fixture(t)
    const busy = open.token()
    const body = `${FORM}&wait=1`
    const waiting = POST.replace(/Length: \d+/, `Length: ${body.length}`).replace(FORM, body)
    const one = received(busy)
    // The second comes on the same connection, behind the first, once nothing new may begin.
    busy.write(waiting)
    await entered.promise
    const verifier = open.public()
    const drained = drain.drain(listeners)
    settled.resolve()
    while (drain.phase() !== 'closing') await Promise.resolve()
    const reached = once(token.app.server, 'request')
    busy.write(POST)
    await reached
    assert.equal((await send(verifier, get('/.well-known/jwks.json'))).status, 200)
    assert.equal((await send(open.admin(), get('/livez'))).status, 200)

    finish.resolve()
    const text = await one
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/)
    await drained
    assert.deepEqual(token.refused, [{ reason: 'shutting_down', peer: '127.0.0.1' }])
    assert.equal(token.observed.length, 1)
    assert.deepEqual(logged, ['draining', 'drained'])
  })

  it('cuts off what is not finished after the grace period', async (t) => {
    const { drain, listeners, open, settled, graceOver, entered, finish, logged } = await fixture(t)
    const busy = open.token()
    const body = `${FORM}&wait=1`
    const closed = new Promise((resolve) => busy.once('close', resolve))
    busy.on('error', () => {})
    busy.write(POST.replace(/Length: \d+/, `Length: ${body.length}`).replace(FORM, body))
    await entered.promise
    const drained = drain.drain(listeners)
    settled.resolve()
    graceOver.resolve()
    await Promise.all([drained, closed])
    assert.ok(logged.includes('grace period over, connections cut off'))
    assert.equal(logged.at(-1), 'drained')
    finish.resolve()
  })
})
