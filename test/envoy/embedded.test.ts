// Embedded tokens in a mesh: Istio's outputClaimToHeaders hands the next hop's token to the application without
// code, and the next sidecar accepts it from that hop alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCa } from '../support/certificates.ts'
import { exchangeForm, post, startDeployment, userToken } from '../support/deployment.ts'
import { startEnvoy } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import { appCluster, inboundListener } from '../support/envoy-config.ts'
import { callMesh, meshIdentity, seenBy, spiffeIdOf, startEcho } from '../support/envoy-mesh.ts'
import {
  type RequestAuthentication,
  toJwtAuthnFilter,
  toRbacFilters,
} from '../support/istio-policy.ts'

const envoyBinary = envoyForTests()
const spiffeId = (account: string) => spiffeIdOf('cluster.local', 'boutique', account)
const ISSUER = 'https://sts.boutique.example'

const RULES = `
namespace: boutique
services:
  frontend: {calls: [checkout]}
  checkout:
    scopes: [checkout:place]
    calls: [payment]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {checkout:place: [shop:buy]}, embed: [payment]}
  payment:
    scopes: [payment:charge]
    embeddable: true
    accepts:
      - {from: checkout, scopes: {payment:charge: [checkout:place]}}
`

const trusts = (
  app: string,
  rule: Partial<RequestAuthentication['spec']['jwtRules'][number]> = {},
) =>
  ({
    kind: 'RequestAuthentication',
    metadata: { name: app, namespace: 'boutique' },
    spec: { jwtRules: [{ issuer: ISSUER, audiences: [`${app}.boutique`], jwksUri: '', ...rule }] },
  }) satisfies RequestAuthentication

test(
  'a token inside another reaches the application as a header, and the next hop with it',
  envoyBinary.options,
  async (t) => {
    const sts = await startDeployment(t, { 'rules/boutique.yaml': RULES })
    const ca = makeCa('cluster.local')
    const identity = (account: string) => meshIdentity(ca, spiffeId(account))
    const app = await startEcho()
    t.after(() => app.stop())
    const jwks = await (await fetch(`${sts.publicUrl}/.well-known/jwks.json`)).text()
    const sidecar = (name: string, authentication: RequestAuthentication) =>
      inboundListener({
        name,
        identity: identity(name),
        mtls: 'STRICT',
        cluster: 'app',
        filters: [
          toJwtAuthnFilter([authentication], () => ({ inline: jwks })),
          ...toRbacFilters(
            [
              {
                kind: 'AuthorizationPolicy',
                metadata: { name, namespace: 'boutique' },
                spec: {
                  rules: [
                    {
                      from: [
                        {
                          source: {
                            principals: [
                              `cluster.local/ns/boutique/sa/${name === 'payment' ? 'checkout' : 'frontend'}`,
                            ],
                          },
                        },
                      ],
                      when: [
                        {
                          key: 'request.auth.claims[act][sub]',
                          values: [spiffeId(name === 'payment' ? 'checkout' : 'frontend')],
                        },
                      ],
                    },
                  ],
                },
              },
            ],
            8080,
          ),
        ],
      })
    const envoy = await startEnvoy({
      binary: envoyBinary.binary,
      listeners: [
        sidecar(
          'checkout',
          trusts('checkout', {
            outputClaimToHeaders: [{ header: 'x-token-payment', claim: 'embedded.payment' }],
          }),
        ),
        sidecar('payment', trusts('payment', { forwardOriginalToken: true })),
      ],
      clusters: [appCluster('app', app.port)],
    })
    t.after(() => envoy.stop())

    const answer = await post(sts.tokenUrl, exchangeForm(userToken(sts), { audience: 'checkout' }))
    const call = (from: string, to: string, bearer: string, headers: string[] = []) =>
      callMesh({
        port: envoy.port(to),
        tls: { rootPem: ca.certPem, certificate: identity(from).certificate, server: spiffeId(to) },
        headers: ['authorization', `Bearer ${bearer}`, ...headers],
      })
    const first = await call('frontend', 'checkout', String(answer.body.access_token), [
      'x-token-payment',
      'forged',
    ])
    assert.equal(first.status, 200, first.body)
    const [inside, ...others] = seenBy(first).headers['x-token-payment'] ?? []
    assert.deepEqual(others, [])
    assert.equal(inside?.split('.').length, 3, 'the header of the caller is replaced by the token')

    assert.equal((await call('checkout', 'payment', inside ?? '')).status, 200)
    assert.equal(
      (await call('frontend', 'payment', inside ?? '')).status,
      403,
      'whoever else holds it',
    )
    assert.equal(
      (await call('frontend', 'checkout', inside ?? '')).status,
      403,
      'it is for payment alone',
    )
  },
)
