// Two processes on one database: what one has seen, the other knows.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { ask, byPrivateKey, spiffeId } from './exchange-request.ts'
import { type FullDeployment, fileOf, type Scope, sharedFullDeployment } from './full-deployment.ts'
import { send } from './http-client.ts'
import { assertWire, granted, refused } from './outcome.ts'
import { restarted } from './surroundings.ts'

describe('replicas', () => {
  const full = sharedFullDeployment()

  it('field-6 #14 an assertion that one process has taken is refused by another, and the other way round', async (t) => {
    const other = await startProcess(t, full())
    const here = byPrivateKey()
    await granted(full(), here)
    await refused(other, here, 'client_assertion_replayed')
    const there = byPrivateKey()
    await granted(other, there)
    await refused(full(), there, 'client_assertion_replayed')
  })

  it('field-6 #14 of many at once on two servers, one is granted', async (t) => {
    const other = await restarted(t, full(), fileOf(full(), 'sts.yaml'))
    const change = byPrivateKey()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask(index % 2 === 0 ? full() : other, change)),
    )
    const [winners, losers] = [200, 401].map((status) =>
      answers.filter((one) => one.status === status),
    )
    assert.deepEqual([winners?.length, losers?.length], [1, 19])
    for (const loser of losers ?? []) assertWire(loser, 'client_assertion_replayed')
  })

  it('a token of one is verified and exchanged by the other, and both publish the same bytes', async (t) => {
    const other = await startProcess(t, full())
    const { token } = await granted(full())
    const xfcc = `By=spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts;Hash=${'0'.repeat(64)};Subject="";URI=${spiffeId('checkout')}`
    await granted(other, {
      headers: { 'x-forwarded-client-cert': xfcc },
      form: { subject_token: token, audience: 'payment', scope: 'payment:charge' },
    })
    const [one, two] = await Promise.all(
      [full(), other].map(({ publicUrl }) => send({ url: `${publicUrl}/.well-known/jwks.json` })),
    )
    assert.deepEqual([one?.text, one?.headers.etag], [two?.text, two?.headers.etag])
  })
})

/** `mesh-sts serve` in a process of its own, on the same configuration; it is killed with the scope. */
async function startProcess(scope: Scope, full: FullDeployment): Promise<FullDeployment> {
  const main = join(process.cwd(), 'dist/src/main.js')
  const child = spawn(
    process.execPath,
    [main, 'serve', '--config', join(full.folder, 'sts.yaml')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  scope.after(async () => {
    if (child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = JSON.parse(line) as {
      message: string
      addresses?: FullDeployment['server']['addresses']
    }
    if (entry.message !== 'serving' || entry.addresses === undefined) continue
    child.stdout.resume()
    const { token, tokenMtls, tokenExternal, public: published, admin } = entry.addresses
    return {
      ...full,
      tokenUrl: `http://127.0.0.1:${token.port}/token`,
      mtlsUrl: `https://127.0.0.1:${tokenMtls?.port}/token`,
      externalUrl: `https://127.0.0.1:${tokenExternal?.port}/token`,
      publicUrl: `http://127.0.0.1:${published.port}`,
      adminUrl: `http://127.0.0.1:${admin.port}`,
    }
  }
  throw new Error('the process ended without serving')
}
