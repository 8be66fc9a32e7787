// Owns the tests of the development profile's folder, its ports, and the words for a missing native module.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadDeployment } from '../../src/cli/deployment.ts'
import { nativeModuleProblem } from '../../src/dev/native-module.ts'
import { choosePorts } from '../../src/dev/ports.ts'
import { foreignFolder, prepareProfile, readAddresses } from '../../src/dev/profile.ts'
import { ROOT, temporaryFolder } from './running-profile.ts'

const PORTS = { token: 8080, public: 8081, admin: 8082, identity: 8083 }
const RULES = join(ROOT, 'rules')

test('the folder holds a deployment that the ordinary loader takes without a word', async (t) => {
  const folder = join(temporaryFolder(t), 'deep', 'er')
  const profile = await prepareProfile({ folder, ports: PORTS, rules: RULES })
  const { settings, ruleset, problems } = loadDeployment(profile.configFile, {})
  assert.deepEqual(problems, [])
  assert.ok(ruleset?.services.has('boutique/frontend'))
  assert.equal(settings?.issuer, 'http://127.0.0.1:8081')
  assert.deepEqual(settings?.relaxations, ['allow_http_issuer', 'allow_http_issuers'])
  for (const listener of ['token', 'public', 'admin'] as const) {
    assert.equal(settings?.listeners[listener].address.host, '127.0.0.1')
  }
})

test('each relaxation of the profile is needed: without it the loader refuses', async (t) => {
  const { configFile } = await prepareProfile({
    folder: temporaryFolder(t),
    ports: PORTS,
    rules: RULES,
  })
  const text = readFileSync(configFile, 'utf8')
  for (const relaxation of ['allow_http_issuer', 'allow_http_issuers']) {
    writeFileSync(configFile, text.replace(`${relaxation}: true`, `${relaxation}: false`))
    const { settings, problems } = loadDeployment(configFile, {})
    assert.equal(settings, undefined)
    assert.match(
      problems.map(({ message }) => message).join(),
      new RegExp(`relaxations.${relaxation}`),
    )
  }
})

test('keys are made once, readable by their owner only, and git does not see them', async (t) => {
  const folder = temporaryFolder(t)
  const options = { folder, ports: PORTS, rules: RULES }
  const one = await prepareProfile(options)
  const two = await prepareProfile({ ...options, ports: { ...PORTS, public: 9081 } })
  for (const key of ['identityProviderKey', 'unpublishedKey', 'trustDomainKey'] as const) {
    assert.deepEqual(two[key].publicJwk, one[key].publicJwk)
  }
  assert.notEqual(one.identityProviderKey.kid, one.unpublishedKey.kid)
  assert.equal(readAddresses(folder)?.issuer, 'http://127.0.0.1:9081')
  assert.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), '*\n')
  for (const file of ['encryption-key', 'identity-provider.jwk.json', 'trust-domain.jwk.json']) {
    assert.equal(statSync(join(folder, 'keys', file)).mode & 0o077, 0, file)
  }
})

test('a folder that holds other files is refused; an empty or an own one is not', async (t) => {
  const folder = temporaryFolder(t)
  assert.equal(foreignFolder(folder), undefined)
  assert.equal(foreignFolder(join(folder, 'missing')), undefined)
  await prepareProfile({ folder: join(folder, 'own'), ports: PORTS, rules: RULES })
  assert.equal(foreignFolder(join(folder, 'own')), undefined)
  mkdirSync(join(folder, 'other'))
  writeFileSync(join(folder, 'other', 'thesis.txt'), '')
  assert.match(foreignFolder(join(folder, 'other'))?.refused ?? '', /other files/)
  assert.match(foreignFolder(join(folder, 'other', 'thesis.txt'))?.refused ?? '', /no folder/)
  assert.ok(existsSync(join(folder, 'other', 'thesis.txt')))
})

test('ports: four different free ones for 0; the taken one is named', async (t) => {
  const chosen = await choosePorts(0)
  assert.ok(!('taken' in chosen))
  assert.equal(new Set(Object.values(chosen)).size, 4)
  const other = createServer()
  await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
  t.after(() => other.close())
  const { port } = other.address() as AddressInfo
  assert.deepEqual(await choosePorts(port), { taken: port })
})

test('a missing or foreign native module is explained, without a stack', () => {
  assert.equal(nativeModuleProblem(), undefined)
  const failing = (message: string) =>
    nativeModuleProblem(() => {
      throw new Error(message)
    })
  const missing = failing('Could not locate the bindings file. Tried:\n → /x/better_sqlite3.node')
  assert.match(missing ?? '', /python3, make and a C\+\+ compiler/)
  assert.doesNotMatch(missing ?? '', /\n/)
  assert.match(
    failing(
      'The module was compiled against a different Node.js version using\nNODE_MODULE_VERSION 115',
    ) ?? '',
    /Run "npm ci" with this one/,
  )
  assert.match(
    failing('disk full\nat x') ?? '',
    /^better-sqlite3 cannot open a database: disk full$/,
  )
})
