import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  type AdminListenerOptions,
  buildAdminListener,
  type Health,
} from '../../src/http/admin-listener.ts'

const OK = (): Health => ({ ok: true })
const CHECKS = { rules_loaded: OK, store_writable: async () => OK(), active_key_published: OK }

function adminListener(t: TestContext, changes: Partial<AdminListenerOptions> = {}) {
  const logged: { message: string; fields: object }[] = []
  const log = (fields: object, message: string) => void logged.push({ message, fields })
  const app = buildAdminListener({
    checks: CHECKS,
    isDraining: () => false,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    log: { info: log, warn: log, error: log },
    ...changes,
  })
  t.after(() => app.close())
  return { app, logged, get: (url: string) => app.inject({ method: 'GET', url }) }
}

describe('/readyz', () => {
  it('is ready where every check is', async (t) => {
    const { get } = adminListener(t)
    const response = await get('/readyz')
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['content-type'], 'application/json')
    assert.equal(response.headers['cache-control'], 'no-store')
    assert.deepEqual(response.json(), {
      status: 'ready',
      checks: {
        rules_loaded: { ok: true },
        store_writable: { ok: true },
        active_key_published: { ok: true },
      },
    })
  })

  for (const name of Object.keys(CHECKS)) {
    it(`is not ready without ${name}`, async (t) => {
      const failed = { ok: false, detail: 'read-only' }
      const { get } = adminListener(t, { checks: { ...CHECKS, [name]: () => failed } })
      const response = await get('/readyz')
      assert.equal(response.statusCode, 503)
      assert.equal(response.json().status, 'not_ready')
      assert.deepEqual(response.json().checks[name], failed)
    })
  }

  it('P4 is not ready where nothing says so', async (t) => {
    const { get } = adminListener(t, { checks: {} })
    assert.equal((await get('/readyz')).statusCode, 503)
  })

  it('is not ready while draining, whatever the checks say', async (t) => {
    const { get } = adminListener(t, { isDraining: () => true })
    const response = await get('/readyz')
    assert.equal(response.statusCode, 503)
    assert.equal(response.json().status, 'draining')
  })

  it('takes a check that throws as failed, and tells the log alone why', async (t) => {
    const secret = () => {
      throw new Error('/etc/mesh-sts/k1 unreadable')
    }
    const { get, logged } = adminListener(t, { checks: { ...CHECKS, rules_loaded: secret } })
    const response = await get('/readyz')
    assert.equal(response.statusCode, 503)
    assert.deepEqual(response.json().checks.rules_loaded, { ok: false, detail: 'the check failed' })
    assert.doesNotMatch(response.body, /k1/)
    assert.equal(logged[0]?.message, 'readiness check failed')
  })

  it('takes a check that hangs as failed', async (t) => {
    const hangs = () => new Promise<Health>(() => {})
    const { get } = adminListener(t, {
      checks: { ...CHECKS, store_writable: hangs },
      checkTimeoutMs: 5,
    })
    const response = await get('/readyz')
    assert.equal(response.statusCode, 503)
    assert.deepEqual(response.json().checks.store_writable, {
      ok: false,
      detail: 'no answer in time',
    })
    assert.deepEqual(response.json().checks.rules_loaded, { ok: true })
  })
})

describe('the rest of the admin listener', () => {
  it('lives, whatever the checks say', async (t) => {
    const { get } = adminListener(t, { checks: {}, isDraining: () => true })
    const response = await get('/livez')
    assert.equal(response.statusCode, 200)
    assert.deepEqual(response.json(), { status: 'alive' })
  })

  it('gives metrics', async (t) => {
    const { get } = adminListener(t)
    const response = await get('/metrics')
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['content-type'], 'text/plain; version=0.0.4')
    assert.equal(response.body, 'up 1\n')
  })

  it('fails in few words', async (t) => {
    const { get, logged } = adminListener(t, {
      metrics: async () => {
        throw new Error('sql: broken')
      },
    })
    const response = await get('/metrics')
    assert.equal(response.statusCode, 500)
    assert.equal(response.json().error, 'server_error')
    assert.doesNotMatch(response.body, /sql/)
    assert.equal(logged[0]?.message, 'admin request failed')
  })

  for (const [method, url, status] of [
    ['GET', '/', 404],
    ['GET', '/token', 404],
    ['POST', '/metrics', 405],
    ['DELETE', '/readyz?x', 405],
    ['GET', '/%zz', 400],
  ] as const) {
    it(`refuses ${method} ${url} with ${status}`, async (t) => {
      const { app } = adminListener(t)
      const response = await app.inject({ method, url })
      assert.equal(response.statusCode, status)
      assert.equal(response.headers['content-type'], 'application/json')
    })
  }
})
