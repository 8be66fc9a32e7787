// Owns the tests of `mesh-sts exchange` against a development profile that runs inside the test.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { normalised, type Ran, run, startInside, temporaryFolder } from '../dev/running-profile.ts'

const FRONTEND = 'spiffe://cluster.local/ns/boutique/sa/frontend'

async function startDev(t: TestContext) {
  const folder = temporaryFolder(t)
  const addresses = await startInside(t, join(folder, 'dev'))
  const dev = (...args: readonly string[]): Promise<Ran> =>
    run(['exchange', '--dev', '--folder', join(folder, 'dev'), ...args])
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const credential = async (path: string) => (await fetch(addresses.identity + path)).text()
  return { folder, addresses, dev, file, credential }
}

test('exchange against the development profile', { timeout: 60_000 }, async (t) => {
  const { folder, addresses, dev, file, credential } = await startDev(t)
  const alice = ['--user', 'alice', '--as', 'frontend', '--for', 'checkout']

  await t.test('the token before and after, with reasons', async () => {
    const { code, stdout, stderr } = await dev(...alice, '--scope', 'checkout:place')
    assert.equal(stderr, '')
    assert.equal(code, 0)
    const text = stdout
      .replaceAll(addresses.issuer, 'http://sts')
      .replaceAll(addresses.identity, 'http://idp')
    assert.equal(
      normalised(text),
      normalised(`granted  ${FRONTEND} -> https://checkout.boutique.example
decision  11111111-1111-1111-1111-111111111111
verified  ES256, key ${'k'.repeat(43)} of http://sts/.well-known/jwks.json

  claim  before  after
~ iss  http://idp  http://sts
  › this service issued it; its verifiers trust this issuer alone
~ sub  alice  corp:alice
  › the issuer's subject_prefix stands before it: no two issuers' subjects are one
~ aud  https://api.shop.example  https://checkout.boutique.example
  › one target, so one audience
~ client_id  shop-web  spiffe://cluster.local/ns/boutique/sa/
  frontend
  › who asked for this token
- scope  shop:browse
  shop:buy
  shop:verified
  › boutique/checkout has no such scope
+  checkout:place
  › granted: justified by shop:buy and shop:verified
.  (checkout:quote)
  › not asked for (needs any of shop:browse, shop:buy)
.  (checkout:read)
  › no rule gives it to boutique/frontend
= iat  2026-01-01T00:00:00Z  2026-01-01T00:00:00Z
~ exp  2026-01-01T00:00:00Z (10m)  2026-01-01T00:00:00Z (5m)
  › least of: the subject token has 10m left, boutique/checkout allows 5m
~ jti  11111111-1111-1111-1111-111111111111  11111111-1111-1111-1111-111111111111
+ act  spiffe://cluster.local/ns/boutique/sa/
  frontend
  › who acts for the subject now
+ chain  spiffe://cluster.local/ns/boutique/sa/
  frontend
  › callers that this service authenticated, first caller first
= email  alice@example.com  alice@example.com
  › boutique/checkout lists it in claims
- email_verified  true
  › boutique/checkout does not list it in claims
- phone_number  +1 555 0100
  › boutique/checkout does not list it in claims
= address  {"street_address":"1 Analytical Way",  {"street_address":"1 Analytical Way",
  "locality":"London","country":"GB"}  "locality":"London","country":"GB"}
  › boutique/checkout lists it in claims
- amr  pwd
  otp
  › boutique/checkout does not list it in claims
+ ctx  {"channel":"web","strong":true}
  › what the target has renamed, set or computed
+ embedded  shipping (a token)
  › tokens for the next hops, minted along by their own rules

= kept  ~ changed  + added  - dropped  . not granted`),
    )
  })

  await t.test('P7: no token in what is shown', async () => {
    assert.doesNotMatch((await dev(...alice)).stdout, /eyJ/)
  })

  await t.test('--json holds the same, --raw the token alone', async () => {
    const { stdout } = await dev(...alice, '--json')
    const told = JSON.parse(stdout)
    assert.equal(told.outcome, 'granted')
    assert.equal(told.after.aud, 'https://checkout.boutique.example')
    assert.equal(told.verified.alg, 'ES256')
    assert.equal(told.expires_in, 300)
    assert.ok(told.changes.length > 10)
    assert.match((await dev(...alice, '--raw')).stdout, /^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
  })

  await t.test('the next hop takes the token from a file', async () => {
    const token = file('checkout.jwt', (await dev(...alice, '--raw')).stdout)
    const { code, stdout } = await dev(
      '--subject-token',
      token,
      '--as',
      'checkout',
      '--for',
      'payment',
    )
    assert.equal(code, 0)
    assert.match(stdout, /› granted: justified by checkout:place/)
    assert.match(stdout, /› who acts now, written outermost; earlier actors stay inside/)
  })

  await t.test(
    'without --dev: discovery by the issuer, an SVID and a token from files',
    async () => {
      const args = [
        'exchange',
        '--sts',
        addresses.issuer,
        '--subject-token',
        file('alice.jwt', await credential('/user/alice')),
        '--svid',
        file('svid.jwt', await credential('/svid/boutique/frontend')),
        '--audience',
        'checkout',
      ]
      const plain = await run(args)
      assert.equal(plain.code, 0)
      assert.match(plain.stdout, /^verified {2}ES256/m)
      // Without the rules, only what the tokens themselves show.
      assert.match(plain.stdout, /left; the target allows less/)
      assert.doesNotMatch(plain.stdout, /justified by/)
      const config = join(folder, 'dev', 'sts.yaml')
      const explained = await run([...args, '--config', config])
      assert.match(explained.stdout, /justified by shop:buy and shop:verified/)
      const blind = await run([
        'exchange',
        '--token-endpoint',
        addresses.tokenEndpoint,
        ...args.slice(3),
      ])
      assert.match(blind.stdout, /^verified {2}no: without --sts the keys are not known$/m)
    },
  )

  await t.test(
    '--own: a job hands in its own SVID, and obtains what its grants justify',
    async () => {
      const job = ['--own', '--as', 'loadgenerator', '--for', 'frontend']
      const { code, stdout, stderr } = await dev(...job)
      assert.equal(code, 0, stderr)
      assert.match(stdout, /granted: justified by load:run/)
      assert.doesNotMatch(stdout, /eyJ/)
      const user = await dev(...job, '--user', 'alice')
      assert.equal(user.code, 2)
      assert.match(user.stderr, /--own is instead of --user/)
    },
  )

  await t.test('a refusal: error, decision id, and how to look it up', async () => {
    const { code, stdout, stderr } = await dev(
      '--user',
      'bob',
      ...alice.slice(2),
      '--scope',
      'checkout:place',
    )
    assert.equal(code, 1)
    assert.equal(stdout, '')
    const [said, decision = '', , hint = ''] = stderr.split('\n')
    assert.equal(
      said,
      'refused   invalid_scope: the scope is not available with this subject token',
    )
    const id = decision.replace('decision  ', '')
    assert.ok(hint.endsWith(`audit query --config ${join(folder, 'dev', 'sts.yaml')} --id ${id}`))
    const recorded = await run([
      'audit',
      'query',
      '--config',
      join(folder, 'dev', 'sts.yaml'),
      '--id',
      id,
    ])
    assert.match(recorded.stdout, /checkout:place needs all of shop:buy shop:verified/)
    const json = await dev('--user', 'bob', ...alice.slice(2), '--scope', 'x', '--json')
    assert.equal(json.code, 1)
    assert.equal(JSON.parse(json.stdout).error, 'invalid_scope')
  })

  await t.test('a caller that is not known is told that it was not recorded', async () => {
    const svid = file('forged.jwt', (await credential('/user/mallory')).trim())
    const { code, stderr } = await dev('--user', 'alice', '--svid', svid, '--for', 'checkout')
    assert.equal(code, 1)
    assert.match(stderr, /^refused {3}invalid_client: /)
    assert.match(stderr, /counted, not recorded/)
    assert.doesNotMatch(stderr, /audit query/)
  })

  await t.test('a forged user token', async () => {
    const { stderr } = await dev('--user', 'mallory', ...alice.slice(2))
    assert.match(stderr, /^refused {3}invalid_request: the subject token is invalid/)
  })

  await t.test('an unknown user, a file that is not there, an empty file', async () => {
    const nobody = await dev('--user', 'nobody', ...alice.slice(2))
    assert.match(nobody.stderr, /\/user\/nobody answered 404/)
    const missing = await dev('--subject-token', '/nowhere', ...alice.slice(2))
    assert.match(missing.stderr, /cannot read \/nowhere \(ENOENT\)/)
    const empty = await dev('--subject-token', file('empty', '\n'), ...alice.slice(2))
    assert.match(empty.stderr, /holds no token/)
    for (const { code } of [nobody, missing, empty]) assert.equal(code, 1)
  })

  await t.test('metadata of another issuer are not believed', async () => {
    const localhost = addresses.issuer.replace('127.0.0.1', 'localhost')
    const { code, stderr } = await dev(...alice, '--sts', localhost)
    assert.equal(code, 1)
    assert.match(stderr, /speaks for another issuer/)
  })

  await t.test('a token that was not signed by the published keys is not shown', async () => {
    const foreign = createServer((request, response) => {
      const isMetadata = request.url?.startsWith('/.well-known/oauth') === true
      const base = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}`
      const metadata = {
        issuer: base,
        token_endpoint: addresses.tokenEndpoint,
        jwks_uri: `${base}/keys`,
      }
      response.end(JSON.stringify(isMetadata ? metadata : { keys: [] }))
    })
    await new Promise<void>((listening) => foreign.listen(0, '127.0.0.1', listening))
    t.after(() => foreign.close())
    const { port } = foreign.address() as AddressInfo
    const { code, stdout, stderr } = await dev(...alice, '--sts', `http://127.0.0.1:${port}`)
    foreign.closeAllConnections()
    assert.equal(code, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /the received token does not verify/)
  })

  await t.test(
    'tokens are not sent in clear text beyond this machine, nor after a redirect',
    async () => {
      const clear = await dev(...alice, '--token-endpoint', 'http://sts.example/token')
      assert.match(clear.stderr, /only https, or http on this machine/)
      let followed = false
      const redirecting = createServer((request, response) => {
        if (request.url === '/next') followed = true
        response.writeHead(307, { location: '/next' }).end()
      })
      await new Promise<void>((listening) => redirecting.listen(0, '127.0.0.1', listening))
      t.after(() => redirecting.close())
      const { port } = redirecting.address() as AddressInfo
      const { code } = await dev(...alice, '--token-endpoint', `http://127.0.0.1:${port}/token`)
      redirecting.closeAllConnections()
      assert.equal(code, 1)
      assert.equal(followed, false)
    },
  )

  assert.ok(readFileSync(join(folder, 'dev', 'dev.json'), 'utf8').includes(addresses.issuer))
})

test('exchange: what a command line lacks is a usage error', async (t) => {
  const nowhere = join(temporaryFolder(t), 'none')
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--sts, --token-endpoint or --dev is needed/],
    [['--user', 'alice'], /--user goes with --dev/],
    [['--token-endpoint', 'https://sts.example/token'], /--audience .* is needed/],
    [
      ['--token-endpoint', 'https://sts.example/token', '--for', 'x'],
      /--subject-token or --own is needed/,
    ],
    [
      [
        '--token-endpoint',
        'https://sts.example/token',
        '--for',
        'x',
        '--subject-token',
        'package.json',
      ],
      /--svid or --assertion is needed/,
    ],
    [
      [
        ...['--token-endpoint', 'https://sts.example/token', '--for', 'x'],
        ...['--subject-token', 'package.json', '--subject-token-type', 'saml'],
      ],
      /--subject-token-type is one of access_token, id_token, jwt/,
    ],
    ...['--subject-token', '--subject-token-type'].map(
      (option) =>
        [
          [
            ...['--token-endpoint', 'https://sts.example/token', '--for', 'x'],
            ...['--own', option, 'jwt', '--svid', 'package.json'],
          ],
          new RegExp(`--own is instead of ${option}`),
        ] as const,
    ),
    [
      ['--token-endpoint', 'https://sts.example/token', '--for', 'x', '--own'],
      /--svid or --assertion is needed/,
    ],
  ]
  for (const [args, expected] of cases) {
    const { code, stderr } = await run(['exchange', ...args])
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, expected)
  }
  const none = await run(['exchange', '--dev', '--folder', nowhere, '--for', 'x'])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /there is no development profile in .*; start one with "npm start"/)
})
