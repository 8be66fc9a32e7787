// Owns the test of `npm start` from outside: a real process, real shell, real curl.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { banner } from '../../src/dev/banner.ts'
import { prepareProfile, readAddresses } from '../../src/dev/profile.ts'
import { paste, ROOT, run, startProcess, temporaryFolder } from './running-profile.ts'

/** The commands under a numbered heading of the banner. */
function commandsOf(text: string, heading: number): string {
  const [, rest = ''] = text.split(new RegExp(`^${heading}  .*$`, 'm'))
  return (rest.split(/^\d {2}|^Ctrl-C/m)[0] ?? '').trim()
}

/** A member of a JSON answer. */
const member = (answer: string, name: string): unknown => JSON.parse(answer)[name]

test('what the profile prints can be pasted, again and again', { timeout: 60_000 }, async (t) => {
  const dev = await startProcess(t, temporaryFolder(t))
  const first = commandsOf(dev.stdout(), 1)
  const second = commandsOf(dev.stdout(), 2)

  await t.test('a real exchange, twice', async () => {
    const answers = [await paste(t, first), await paste(t, first)]
    for (const answer of answers) {
      assert.equal(member(answer, 'scope'), 'checkout:place')
      assert.equal(member(answer, 'token_type'), 'Bearer')
      assert.equal(member(answer, 'expires_in'), 300)
    }
    assert.notEqual(
      member(answers[0] ?? '', 'access_token'),
      member(answers[1] ?? '', 'access_token'),
    )
  })

  await t.test('the next hop hands in what was obtained', async () => {
    const [, answer = ''] = (await paste(t, `${first}\n${second}`)).trim().split('\n')
    assert.equal(member(answer, 'scope'), 'payment:charge')
    const [, payload = ''] = String(member(answer, 'access_token')).split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const id = (name: string) => `spiffe://cluster.local/ns/boutique/sa/${name}`
    assert.equal(claims.sub, 'corp:alice')
    assert.deepEqual(claims.act, { sub: id('checkout'), act: { sub: id('frontend') } })
    assert.equal(claims.email, undefined)
  })

  await t.test('the comparison, the refusal, and what was recorded of both', async () => {
    const both = await paste(t, commandsOf(dev.stdout(), 3))
    assert.match(both, /^granted {3}spiffe:.*frontend -> https:\/\/checkout\.boutique\.example$/m)
    assert.match(both, /^verified {2}ES256, key [\w-]{43} of /m)
    assert.match(both, /^refused {3}invalid_target: /m)
    const id = /refused[\s\S]*?^decision {2}(\S+)$/m.exec(both)?.[1] ?? ''
    const recorded = await paste(t, commandsOf(dev.stdout(), 4))
    assert.ok(recorded.includes(id))
    const [, hint = ''] = /^(npm run .*--id \S+)$/m.exec(both) ?? []
    const told = await paste(t, hint)
    assert.match(told, /^reason +target_not_in_calls$/m)
    assert.match(told, /^detail +boutique\/frontend does not list boutique\/payment in calls$/m)
  })

  await t.test('every relaxation is logged at start, and exchanges are told', () => {
    assert.match(dev.stderr(), /relaxation is on {2}relaxation=allow_http_issuer$/m)
    assert.match(dev.stderr(), /relaxation is on {2}relaxation=allow_http_issuers$/m)
    assert.match(
      dev.stderr(),
      /granted {2}boutique\/payment <- boutique\/checkout \[self\] {2}decision/,
    )
    assert.match(dev.stderr(), /denied .* target_not_in_calls: /)
  })

  await t.test('P7: no token in what it writes', () => {
    assert.doesNotMatch(dev.stdout() + dev.stderr(), /eyJ/)
  })
})

test('SIGINT ends it with 0; a second start uses the folder again', {
  timeout: 60_000,
}, async (t) => {
  const folder = temporaryFolder(t)
  const jwksOf = async (issuer: string) => (await fetch(`${issuer}/.well-known/jwks.json`)).text()
  const one = await startProcess(t, folder)
  const keys = await jwksOf(one.addresses.issuer)
  const key = readFileSync(join(folder, 'keys', 'encryption-key'), 'utf8')
  assert.equal(await one.interrupt(), 0)
  assert.match(one.stdout(), /^stopped$/m)

  const two = await startProcess(t, folder)
  assert.equal(await jwksOf(two.addresses.issuer), keys)
  assert.equal(readFileSync(join(folder, 'keys', 'encryption-key'), 'utf8'), key)
  assert.equal(await two.interrupt(), 0)

  const fresh = await startProcess(t, folder, '--fresh')
  assert.notEqual(await jwksOf(fresh.addresses.issuer), keys)
  assert.notEqual(readFileSync(join(folder, 'keys', 'encryption-key'), 'utf8'), key)
})

test('a port in use is told with the option that helps, and nothing is removed', async (t) => {
  const folder = temporaryFolder(t)
  const ports = { token: 1, public: 2, admin: 3, identity: 4 }
  await prepareProfile({ folder, ports, rules: join(ROOT, 'rules') })
  const other = createServer()
  // The second of the four, so that a check of the first alone would not see it.
  await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
  t.after(() => other.close())
  const { port } = other.address() as AddressInfo
  const args = ['dev', '--folder', folder, '--fresh', '--port-base', String(port - 1)]
  const { code, stderr } = await run(args)
  assert.equal(code, 1)
  assert.match(
    stderr,
    /^mesh-sts: not started: port \d+ on 127\.0\.0\.1 is used by another program/,
  )
  assert.match(stderr, /npm start -- --port-base 9080\n$/)
  assert.ok(readAddresses(folder))
})

test('dev: a folder of somebody else is neither filled nor removed', async () => {
  for (const extra of [[], ['--fresh']]) {
    const { code, stderr } = await run(['dev', '--folder', 'test', '--port-base', '0', ...extra])
    assert.equal(code, 1)
    assert.match(stderr, /test holds other files and was not made by mesh-sts dev/)
  }
  assert.ok(readFileSync(import.meta.filename).length > 0)
})

test('dev: a port base that is no port is a usage error', async () => {
  for (const base of ['http', '65533', '-1', '1e3']) {
    const { code, stderr } = await run(['dev', `--port-base=${base}`])
    assert.equal(code, 2)
    assert.match(stderr, /--port-base takes a number from 0 to 65532/)
  }
})

test('the banner fits a terminal of 100 columns and 40 lines', () => {
  const at = (port: number) => `http://127.0.0.1:${port}`
  const text = banner({
    addresses: {
      issuer: at(8081),
      tokenEndpoint: `${at(8080)}/token`,
      admin: at(8082),
      identity: at(8083),
    },
    relaxations: ['allow_http_issuer', 'allow_http_issuers'],
    folder: '.dev',
    rules: 'rules',
    command: 'npm run -s mesh-sts --',
  })
  const lines = text.split('\n')
  assert.ok(lines.length <= 40, `${lines.length} lines`)
  for (const line of lines) assert.ok(line.length <= 100, line)
})
