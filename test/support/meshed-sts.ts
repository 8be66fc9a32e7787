// Owns a real STS and a backend in one mesh: sidecars as deploy/istio means them, and a stand-in for istiod that
// reads the key set and inlines it. Must not relax a policy; only how long Envoy keeps fetched keys can be set.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { keyPolicyOf } from '../../src/compose/key-policy.ts'
import { readEncryptionKeys } from '../../src/keys/encryption-key-files.ts'
import type { KeyOperation } from '../../src/keys/operations.ts'
import { type Database, openDatabase } from '../../src/store/database.ts'
import { makeCa } from './certificates.ts'
import {
  CORPORATE,
  type Deployment,
  exchangeForm,
  SETTINGS,
  STS,
  startDeployment,
  userToken,
} from './deployment.ts'
import { type NamedObject, type RunningEnvoy, startEnvoy } from './envoy.ts'
import { appCluster, type MeshIdentity, staticCluster } from './envoy-config.ts'
import { callMesh, type MeshAnswer, meshIdentity, spiffeIdOf, startEcho } from './envoy-mesh.ts'
import { loadManifests, sidecarListener } from './istio-manifests.ts'

/** How a backend's sidecar has its keys: from istiod, or fetched by Envoy and kept for so long. */
export type BackendKeys = 'inline' | { readonly keptFor: string }

export interface MeshedStsOptions {
  readonly binary: string
  /** Times of the signing keys, as in sts.yaml; the rest of the configuration is a deployment's. */
  readonly keys: { readonly publish_before: string; readonly sign_for: string }
  readonly allowShortKeyLead?: boolean
  /** The STS's clock, in ms since the epoch. Envoy reads the real one. */
  readonly now: () => number
  /** Sidecars in front of one and the same backend, by name. */
  readonly backends: Readonly<Record<string, BackendKeys>>
}

export interface MeshedSts {
  readonly deployment: Deployment
  /** What istiod does when its ticker fires; true where the set had changed and was pushed. */
  refreshIstiod(): Promise<boolean>
  /** Builds all listeners anew: what Envoy fetched itself is forgotten, as in a proxy that restarts. */
  renewProxies(): Promise<void>
  /** frontend exchanges a user's token for checkout. */
  tokenForCheckout(): Promise<string>
  /** The same, and checkout exchanges that one for payment. */
  tokenForPayment(): Promise<string>
  /** checkout calls payment through a sidecar. */
  pay(backend: string, bearer: string): Promise<MeshAnswer>
  /** Runs one of the operators' commands on the database; the STS sees it at its next tick. */
  operate<T>(command: (db: Database, operation: KeyOperation) => Promise<T>): Promise<T>
}

const TRUST_DOMAIN = 'cluster.local'
const workload = (account: string) => spiffeIdOf(TRUST_DOMAIN, 'boutique', account)
const JWKS_PATH = '/.well-known/jwks.json'
const PUSH_TIMEOUT_MS = 10_000

/** Lifetimes are the longest that there are: the hardest case for a key that leaves. */
const RULES = `
namespace: boutique
services:
  frontend: {calls: [checkout]}
  checkout:
    scopes: [checkout:place]
    token: {lifetime: 1h}
    calls: [payment]
    accepts: [{from: frontend, issuer: corporate, scopes: {checkout:place: [shop:buy]}}]
  payment:
    audience: https://payment.boutique.example
    scopes: [payment:charge]
    token: {lifetime: 1h}
    accepts: [{from: checkout, scopes: {payment:charge: [checkout:place]}}]
`

const ISSUERS = `
corporate:
  issuer: ${CORPORATE}
  jwks_file: corporate.jwks.json
  algorithms: [RS256]
  token_types: [access_token]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: corp
`

/** Starts everything; it ends with the test. istiod has read the key set once. */
export async function startMeshedSts(
  t: TestContext,
  options: MeshedStsOptions,
): Promise<MeshedSts> {
  const deployment = await startDeployment(t, filesOf(options), { now: options.now })
  const { addresses } = deployment.server
  const app = await startEcho()
  t.after(() => app.stop())

  const ca = makeCa(TRUST_DOMAIN)
  const identities = new Map(
    ['frontend', 'checkout', 'payment'].map((name) => [name, meshIdentity(ca, workload(name))]),
  )
  const identityOf = (name: string): MeshIdentity => {
    const identity = identities.get(name)
    assert.ok(identity)
    return identity
  }
  const manifests = loadManifests()
  const sts = { namespace: 'mesh-sts', app: 'mesh-sts', identity: meshIdentity(ca, STS) }
  const payment = {
    namespace: 'boutique',
    app: 'payment',
    port: 8080,
    identity: identityOf('payment'),
    cluster: 'app',
  }
  const stsListeners = [
    sidecarListener({ ...sts, name: 'token', port: 8080, cluster: 'token' }, manifests),
    sidecarListener({ ...sts, name: 'public', port: 8081, cluster: 'public' }, manifests),
  ]
  const backendListener = (name: string, keys: BackendKeys, jwks: string, version: string) => {
    const delivery = keys === 'inline' ? { inline: jwks } : { cluster: 'public' }
    const listener = sidecarListener({ ...payment, name, jwks: () => delivery }, manifests)
    const keptFor = keys === 'inline' ? undefined : keys.keptFor
    return withVersion(keptFor === undefined ? listener : withCache(listener, keptFor), version)
  }
  let version = 0
  const listeners = (jwks: string) => [
    ...stsListeners,
    ...Object.entries(options.backends).map(([name, keys]) =>
      backendListener(name, keys, jwks, `v${version}`),
    ),
  ]

  const fetchSet = async () => {
    const { status, body } = await callMesh({ port: envoy.port('public'), path: JWKS_PATH })
    assert.equal(status, 200, body)
    return body
  }
  const push = async (jwks: string) => {
    version += 1
    await envoy.swapListeners(listeners(jwks))
    // The workers take a listener over after the main thread has said so.
    for (const name of Object.keys(options.backends)) await untilServed(name)
  }
  const untilServed = async (name: string) => {
    const deadline = performance.now() + PUSH_TIMEOUT_MS
    while ((await pay(name, undefined)).headers.server !== `v${version}`) {
      assert.ok(performance.now() < deadline, `Envoy does not serve v${version} of ${name}`)
    }
  }

  const pay = (backend: string, bearer: string | undefined) =>
    callMesh({
      port: envoy.port(backend),
      tls: mtls(identityOf('checkout'), workload('payment')),
      method: 'POST',
      path: '/charge',
      headers: bearer === undefined ? [] : ['authorization', `Bearer ${bearer}`],
    })
  const exchange = async (caller: string, subjectToken: string, audience: string) => {
    const { status, body } = await callMesh({
      port: envoy.port('token'),
      tls: mtls(identityOf(caller), STS),
      method: 'POST',
      path: '/token',
      headers: ['content-type', 'application/x-www-form-urlencoded'],
      body: new URLSearchParams(
        exchangeForm(subjectToken, { audience, scope: undefined }),
      ).toString(),
    })
    assert.equal(status, 200, body)
    return (JSON.parse(body) as { access_token: string }).access_token
  }
  const tokenForCheckout = () =>
    exchange('frontend', userToken(deployment, {}, options.now()), 'boutique/checkout')

  const first = await (await fetch(`${deployment.publicUrl}${JWKS_PATH}`)).text()
  const envoy: RunningEnvoy = await startEnvoy({
    binary: options.binary,
    listeners: listeners(first),
    clusters: [
      appCluster('app', app.port),
      appCluster('token', addresses.token.port),
      staticCluster('public', addresses.public.port),
    ],
  })
  t.after(() => envoy.stop())
  let inlined = first

  return {
    deployment,
    async refreshIstiod() {
      const fetched = await fetchSet()
      // Another order of the keys is no change to istiod.
      if (sortedKeys(fetched) === sortedKeys(inlined)) return false
      inlined = fetched
      await push(inlined)
      return true
    },
    renewProxies: () => push(inlined),
    tokenForCheckout,
    tokenForPayment: async () => exchange('checkout', await tokenForCheckout(), 'boutique/payment'),
    pay,
    async operate(command) {
      const { settings } = deployment
      const encryptionKeys = readEncryptionKeys(settings.keys.encryptionKeys)
      assert.ok(encryptionKeys.ok)
      const db = openDatabase(settings.store.sqlite)
      try {
        return await command(db, {
          policy: keyPolicyOf(settings),
          encryptionKeys: encryptionKeys.value,
          now: options.now(),
        })
      } finally {
        db.close()
      }
    },
  }
}

function filesOf({ keys, allowShortKeyLead = false }: MeshedStsOptions): Record<string, string> {
  const times = `publish_before: ${keys.publish_before}\n  sign_for: ${keys.sign_for}`
  const settings = SETTINGS.replace('algorithms: [ES256, RS256]', `algorithms: [ES256]\n  ${times}`)
  return {
    'sts.yaml': `${settings}relaxations: {allow_short_key_lead: ${allowShortKeyLead}}\n`,
    'issuers.yaml': ISSUERS,
    'rules/boutique.yaml': RULES,
  }
}

const mtls = ({ certificate, rootPem }: MeshIdentity, server: string) => ({
  certificate,
  rootPem,
  server,
})

/** The listener tells in `server` of every answer which version it is. */
function withVersion(listener: NamedObject, version: string): NamedObject {
  return JSON.parse(JSON.stringify(listener), (_name, value) =>
    value?.statPrefix === listener.name ? { ...value, serverName: version } : value,
  )
}

function withCache(listener: NamedObject, keptFor: string): NamedObject {
  return JSON.parse(JSON.stringify(listener), (name, value) =>
    name === 'cacheDuration' ? keptFor : value,
  )
}

function sortedKeys(jwks: string): string {
  const { keys } = JSON.parse(jwks) as { keys: { kid: string }[] }
  return JSON.stringify(keys.toSorted((a, b) => (a.kid < b.kid ? -1 : 1)))
}

/** The `kid` of a token's header, unverified. */
export const kidOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string })
    .kid
