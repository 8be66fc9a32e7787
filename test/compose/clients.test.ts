// Client authentication as the settings say: the allowances of attempts with assertions.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { composeClients } from '../../src/compose/clients.ts'
import { composeWorkloads } from '../../src/compose/workloads.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import { JWT_SPIFFE_ASSERTION } from '../../src/oauth/names.ts'
import { fail } from '../../src/oauth/reasons.ts'
import { deployment, STS_YAML } from '../cli/run-cli.ts'
import { endOf, NOW, SECONDS } from '../clients/assertions.ts'
import { jwksOf, makeKey, signJwt } from '../support/jwt-fixtures.ts'
import { BOUTIQUE, compiled } from '../support/rules.ts'

const KEY = makeKey('ES256', 'spiffe')
const CART = 'spiffe://cluster.local/ns/shop/sa/cart'

function authenticator() {
  const folder = deployment({
    'sts.yaml': STS_YAML.replace('client_auth: [xfcc]', 'client_auth: [xfcc, jwt_svid]')
      .replace(
        'client_auth:\n',
        'client_auth:\n  jwt_svid: {bundles: {cluster.local: {file: bundle.json}}}\n',
      )
      .concat('limits: {per_caller_per_second: 1, burst: 1}\n'),
    'bundle.json': jwksOf([{ ...KEY.jwk, use: 'jwt-svid' }]),
  })
  const configFile = join(folder, 'sts.yaml')
  const loaded = loadSettings({
    configFile,
    env: {},
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  assert.ok(loaded.ok, JSON.stringify(loaded))
  const silent = () => undefined
  const rules = compiled(BOUTIQUE)
  const sources = {
    verifier: createSignatureVerifier({ cacheEntries: 10 }),
    monotonic: () => 0,
    log: { info: silent, warn: silent },
    allowHttp: false,
    onClose: silent,
  }
  return composeClients(loaded.settings, {
    ...sources,
    workloads: composeWorkloads(loaded.settings, sources),
    ruleset: () => rules,
    usedAssertions: {
      claim: async () => fail('client_assertion_replayed'),
      sweep: async () => 0,
      start: silent,
      stop: async () => undefined,
    },
  })
}

test('a flood in the name of a caller spares what it showed before, and ends with the peer', async () => {
  const check = authenticator()
  const sign = (jti: string) =>
    signJwt(
      KEY,
      { sub: CART, aud: 'https://sts.boutique.example', exp: SECONDS + 300, jti },
      { typ: 'JWT' },
    )
  const at = async (clientAssertion: string) =>
    endOf(
      await check(
        {
          listener: 'token',
          peerAddress: '127.0.0.6',
          xfccLines: [],
          authorizationLines: [],
          parameters: { clientAssertionType: JWT_SPIFFE_ASSERTION, clientAssertion },
        },
        NOW,
      ),
    )
  const seen = sign('seen')
  assert.equal(typeof (await at(seen)), 'object')
  let verified = 0
  for (let sent = 0; sent < 50; sent += 1) {
    const end = await at(`${sign('forged').slice(0, -8)}AAAAAAAA`)
    if (end !== 'client_rate_limited') verified += 1
  }
  // Two under the name, of which one was taken before, then twenty of the peer.
  assert.equal(verified, 21)
  assert.equal(await at(sign('new')), 'client_rate_limited')
  assert.equal(typeof (await at(seen)), 'object')
  assert.equal(typeof (await at(seen)), 'object')
  assert.equal(await at(seen), 'client_rate_limited')
})
