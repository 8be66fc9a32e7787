// Rules that change under load, at a restart, and on request: no request fails or sees a mixture.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { queryAudit } from '../../src/audit/query.ts'
import { openDatabase } from '../../src/store/database.ts'
import { runProcess } from '../cli/run-cli.ts'
import { replace } from '../compose/live-rules.ts'
import { configMap } from '../support/config-map.ts'
import {
  claimsOf,
  exchangeForm,
  initialise,
  post,
  SETTINGS,
  served,
  startDeployment,
  userToken,
  writeDeployment,
  xfcc,
} from '../support/deployment.ts'
import { startLoad } from '../support/load.ts'
import { BOUTIQUE } from '../support/rules.ts'
import { type ServerProcess, startServerProcess } from '../support/server-process.ts'
import { byPrivateKey } from './exchange-request.ts'
import { PARTNER_RULES } from './full-configuration.ts'
import { startFullDeployment } from './full-deployment.ts'
import { granted, refused } from './outcome.ts'

const RELOADS = 100
const CLIENTS = 24

/** Two sets that share nothing: a service is defined in one file here, in the other there. */
const SETS = {
  a: rulesOf({
    letter: 'a',
    claim: 'email',
    minutes: 5,
    checkout: 'one.yaml',
    frontend: 'two.yaml',
  }),
  b: rulesOf({
    letter: 'b',
    claim: 'risk',
    minutes: 4,
    checkout: 'two.yaml',
    frontend: 'one.yaml',
  }),
}
type Letter = keyof typeof SETS

function rulesOf(set: {
  letter: string
  claim: string
  minutes: number
  checkout: string
  frontend: string
}): Record<string, string> {
  const { letter, claim, minutes } = set
  return {
    [set.checkout]: `
namespace: boutique
services:
  checkout:
    audience: https://${letter}.boutique.example
    scopes: [checkout:${letter}]
    claims: [${claim}]
    token: {lifetime: ${minutes}m}
    accepts:
      - {from: frontend, issuer: corporate, scopes: {checkout:${letter}: [shop:buy]}}
`,
    [set.frontend]: `
namespace: boutique
services:
  frontend: {calls: [checkout]}
`,
  }
}

/** The set by which a token was made; a mixture is neither. */
function setOf(token: unknown): Letter | undefined {
  const { aud, scope, email, risk, exp, iat } = claimsOf(token)
  const made = JSON.stringify([aud, scope, email, risk, Number(exp) - Number(iat)])
  if (made === '["https://a.boutique.example","checkout:a","alice@shop.example",null,300]')
    return 'a'
  if (made === '["https://b.boutique.example","checkout:b",null,"low",240]') return 'b'
  return undefined
}

/** What /readyz says of the rules once that is as told, and the process is ready: stale or not, it can exchange. */
async function untilRules(
  { adminUrl }: Pick<ServerProcess, 'adminUrl'>,
  isReached: (detail: string) => boolean = () => true,
): Promise<string> {
  for (;;) {
    const answer = await fetch(`${adminUrl}/readyz`)
    const { checks } = (await answer.json()) as { checks: { rules_loaded: { detail: string } } }
    const { detail } = checks.rules_loaded
    if (answer.status === 200 && isReached(detail)) return detail
    await delay(10)
  }
}

const samplesOf = async ({ adminUrl }: Pick<ServerProcess, 'adminUrl'>): Promise<string[]> =>
  (await (await fetch(`${adminUrl}/metrics`)).text()).split('\n')

test('a hundred reloads under load: no request fails, no token mixes two sets, each row names its own', {
  timeout: 300_000,
}, async (t) => {
  const { folder, config, corporate } = writeDeployment(t)
  const mount = configMap(folder, SETS.a)
  writeFileSync(config, SETTINGS.replace('rules: [rules]', `rules: ['${mount.folder}']`))
  const { settings } = await served(config)
  await initialise(settings)
  const server = await startServerProcess(t, config)
  const hashes: Partial<Record<Letter, string>> = { a: await untilRules(server) }

  let isOver = false
  const form = exchangeForm(userToken({ corporate }), {
    audience: 'boutique/checkout',
    scope: undefined,
  })
  const started = performance.now()
  const load = startLoad(
    { url: server.tokenUrl, form, headers: { 'x-forwarded-client-cert': xfcc('frontend') } },
    { clients: CLIENTS, goesOn: () => !isOver },
  )
  await load.reached(CLIENTS)
  let last = await untilRules(server)
  for (let reload = 1; reload <= RELOADS; reload++) {
    const letter = reload % 2 === 0 ? 'a' : 'b'
    mount.update(SETS[letter])
    server.child.kill('SIGHUP')
    const before = last
    last = await untilRules(server, (detail) => detail !== before)
    hashes[letter] ??= last
    assert.equal(last, hashes[letter], `reload ${reload}`)
  }
  isOver = true
  await load.ended
  const seconds = (performance.now() - started) / 1000
  const { answers } = load
  t.diagnostic(`${Math.round(answers.length / seconds)} requests/s over ${RELOADS} reloads`)

  assert.deepEqual(load.failures, [])
  assert.deepEqual(
    answers.filter(({ status }) => status !== 200),
    [],
  )
  const samples = await samplesOf(server)
  assert.ok(samples.includes(`mesh_sts_ruleset_reloads_total{result="applied"} ${RELOADS}`))
  assert.ok(samples.includes('mesh_sts_ruleset_reloads_total{result="rejected"} 0'))

  const seen = { a: 0, b: 0 }
  const hashOf = recordedHashes(settings.store.sqlite)
  for (const { body } of answers) {
    const letter = setOf(body.access_token)
    assert.ok(letter, `a mixture: ${JSON.stringify(claimsOf(body.access_token))}`)
    seen[letter] += 1
    const recorded = hashOf.get(String(claimsOf(body.access_token).jti))
    assert.equal(recorded?.slice(0, 12), hashes[letter])
  }
  assert.ok(seen.a > RELOADS / 2 && seen.b > RELOADS / 2, JSON.stringify(seen))
})

/** The ruleset hash of each row, by the jti of its token. */
function recordedHashes(database: string): ReadonlyMap<string, string> {
  const db = openDatabase(database, { readonly: true })
  const hashes = new Map<string, string>()
  for (const { issued, rulesetHash } of queryAudit(db, { outcome: 'granted' })) {
    if (issued !== undefined) hashes.set(issued.jti, rulesetHash)
  }
  db.close()
  return hashes
}

const RULES = 'rules/boutique.yaml'
const BROKEN = BOUTIQUE.replace('calls: [checkout]', 'calls: [chekout]')

/** A deployment that processes serve, one after the other. */
async function onDisk(t: TestContext) {
  const written = writeDeployment(t)
  const { settings } = await served(written.config)
  await initialise(settings)
  return {
    ...written,
    put: (text: string) => replace(join(written.folder, RULES), text),
    exchange: ({ tokenUrl }: ServerProcess) => post(tokenUrl, exchangeForm(userToken(written))),
  }
}

test('a restart with broken files serves the last good rules and says so; mended files serve by themselves', async (t) => {
  const { config, put, exchange } = await onDisk(t)
  const first = await startServerProcess(t, config)
  const good = await untilRules(first)
  put(BROKEN)
  const stale = `stale: 1 errors, serving ${good}`
  // Nobody asks: it looks by itself.
  await untilRules(first, (detail) => detail === stale)
  assert.equal((await exchange(first)).status, 200)
  assert.deepEqual(await first.end('SIGKILL'), [null, 'SIGKILL'])

  const second = await startServerProcess(t, config)
  assert.equal(await untilRules(second), stale)
  assert.equal((await exchange(second)).status, 200)
  const samples = await samplesOf(second)
  assert.ok(samples.includes('mesh_sts_ruleset_stale 1'))
  const said = second.log.find(({ message }) => /last good ones serve/.test(String(message)))
  assert.match(JSON.stringify(said?.problems), /boutique\.yaml:7:\d+: error: .*chekout/)
  const { ruleset } = second.log.find(({ message }) => message === 'serving') ?? {}
  assert.equal(String(ruleset).slice(0, 12), good)

  put(BOUTIQUE.replace('lifetime: 5m', 'lifetime: 4m'))
  await untilRules(second, (detail) => detail !== stale)
  assert.equal((await exchange(second)).body.expires_in, 240)
  assert.ok((await samplesOf(second)).includes('mesh_sts_ruleset_stale 0'))
})

test('SIGHUP reads the rules at once, and what came of it is logged', async (t) => {
  const { config, put } = await onDisk(t)
  const server = await startServerProcess(t, config)
  const results = () =>
    server.log.flatMap(({ message, result }) =>
      message === 'rules read on request' ? [result] : [],
    )
  const ask = async (count: number) => {
    server.child.kill('SIGHUP')
    while (results().length < count) {
      assert.equal(server.child.signalCode, null)
      await delay(10)
    }
  }
  await ask(1)
  put(BROKEN)
  await ask(2)
  put(BOUTIQUE.replace('lifetime: 5m', 'lifetime: 4m'))
  await ask(3)
  assert.deepEqual(results(), ['unchanged', 'rejected', 'applied'])
})

test('P4 a first start with broken rules is no start, and tells what is wrong', async (t) => {
  const { folder, put } = await onDisk(t)
  put(BROKEN)
  const { code, stderr } = await runProcess(['serve'], { cwd: folder })
  assert.equal(code, 1)
  assert.match(stderr, /^rules\/boutique\.yaml:7:\d+: error: .*chekout/)
  assert.match(
    stderr,
    /^mesh-sts: not started: the rules have errors, and no earlier ruleset is stored$/m,
  )
})

test('hostile: a huge rule file is refused beside the requests, which go on being granted', async (t) => {
  const deployment = await startDeployment(t)
  const { rules } = deployment.server
  const depth = `a: [${'[],'.repeat(900_000)}]`
  for (const name of ['x', 'y', 'z']) {
    writeFileSync(join(deployment.folder, `rules/${name}.yaml`), depth)
  }
  let isRunning = true
  const reload = rules.reload().finally(() => {
    isRunning = false
  })
  let answered = 0
  while (isRunning) {
    const { status } = await post(deployment.tokenUrl, exchangeForm(userToken(deployment)))
    assert.equal(status, 200)
    answered += 1
  }
  assert.equal(await reload, 'rejected')
  t.diagnostic(`${answered} exchanges meanwhile`)
  assert.ok(answered > 3)
})

test('a caller outside the mesh serves as soon as its keys stand in the rules, and no longer', async (t) => {
  const without = PARTNER_RULES.replace('    client_keys: {jwks_file: batch.jwks.json}\n', '')
  const full = await startFullDeployment(t, { files: { 'rules/partners.yaml': without } })
  const file = join(full.folder, 'rules/partners.yaml')
  const { rules } = full.server
  await refused(full, byPrivateKey(), 'client_assertion_not_registered')
  replace(file, PARTNER_RULES)
  await rules.reload()
  const { event } = await granted(full, byPrivateKey())
  assert.equal(event.rulesetHash, rules.status().hash)
  replace(file, without)
  await rules.reload()
  await refused(full, byPrivateKey(), 'client_assertion_not_registered')
})

test('P5 a lifetime that is raised to the most there is ends before the key that signed leaves the key set', async (t) => {
  const deployment = await startDeployment(t)
  const { folder, server, db, tokenUrl } = deployment
  replace(join(folder, RULES), BOUTIQUE.replace('lifetime: 5m', 'lifetime: 1h'))
  await server.rules.reload()
  const inTwoHours = Math.floor(Date.now() / 1000) + 7200
  const form = exchangeForm(userToken(deployment, { exp: inTwoHours }))
  const { body } = await post(tokenUrl, form)
  assert.equal(body.expires_in, 3600)
  const [header = ''] = String(body.access_token).split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const signsUntil = db
    .prepare('SELECT signs_until FROM signing_keys WHERE kid = ?')
    .pluck()
    .get(kid)
  assert.ok(Number(signsUntil) >= Number(claimsOf(body.access_token).exp) * 1000)
})
