// The manifests in deploy/istio: they fit each other, and none says something else than it seems to.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { load } from 'js-yaml'
import { parseDuration } from '../../src/config/duration.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { loadRuleset } from '../../src/ruleset/load.ts'
import { loadManifests, type Manifest, manifest } from '../support/istio-manifests.ts'
import {
  type AuthorizationPolicy,
  type RequestAuthentication,
  toJwtAuthnFilter,
  toRbacFilters,
} from '../support/istio-policy.ts'

const all = loadManifests()
const ofKind = (kind: string) => all.filter((object) => object.kind === kind)
const titleOf = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace}/${metadata.name}`
const deployment = manifest('Deployment', 'mesh-sts', all)
const pod = deployment.spec.template
const [container] = pod.spec.containers
const stsYaml = load(manifest('ConfigMap', 'mesh-sts-config', all).data['sts.yaml']) as {
  issuer: string
  listeners: Record<string, { address: string }>
  trust_domains: string[]
  client_auth: { xfcc: { mode: string; self: string; proxies: string[] } }
  issuers: string
  rules: string[]
  store: { sqlite: string }
}

const API_VERSIONS: Record<string, string> = {
  Namespace: 'v1',
  ServiceAccount: 'v1',
  PersistentVolumeClaim: 'v1',
  ConfigMap: 'v1',
  Service: 'v1',
  Deployment: 'apps/v1',
  Job: 'batch/v1',
  Sidecar: 'networking.istio.io/v1',
  PeerAuthentication: 'security.istio.io/v1',
  RequestAuthentication: 'security.istio.io/v1',
  AuthorizationPolicy: 'security.istio.io/v1',
}

describe('every object', () => {
  for (const object of all) {
    test(`${titleOf(object)}: known kind, right version, a namespace`, () => {
      assert.equal(object.apiVersion, API_VERSIONS[object.kind])
      if (object.kind !== 'Namespace') assert.ok(object.metadata.namespace)
    })
  }

  test('no two have the same name', () => {
    const titles = all.map(titleOf)
    assert.deepEqual(titles, [...new Set(titles)])
  })

  test('every kind that the service needs is there', () => {
    assert.deepEqual(
      Object.keys(API_VERSIONS).filter((kind) => ofKind(kind).length === 0),
      [],
    )
  })
})

describe('the Deployment', () => {
  const ports = new Map<string, number>(
    container.ports.map((port: { name: string; containerPort: number }) => [
      port.name,
      port.containerPort,
    ]),
  )

  test('runs one replica and never two at a time (SQLite has one writer)', () => {
    assert.equal(deployment.spec.replicas, 1)
    assert.deepEqual(deployment.spec.strategy, { type: 'Recreate' })
  })

  test('its selector, the Service and the Sidecar find its pods', () => {
    const { labels } = pod.metadata
    for (const wanted of [
      deployment.spec.selector.matchLabels,
      manifest('Service', 'mesh-sts', all).spec.selector,
      manifest('Sidecar', 'mesh-sts', all).spec.workloadSelector.labels,
    ]) {
      for (const [name, value] of Object.entries(wanted)) assert.equal(labels[name], value)
    }
  })

  test('the Service and the Sidecar carry exactly its ports, under the same names', () => {
    assert.deepEqual([...ports.keys()], ['http-token', 'http-public', 'http-admin'])
    const service = manifest('Service', 'mesh-sts', all).spec.ports
    assert.deepEqual(
      service.map(({ name, port, targetPort }: Record<string, unknown>) => [
        name,
        port,
        targetPort,
      ]),
      [...ports].map(([name, port]) => [name, port, name]),
    )
    const ingress = manifest('Sidecar', 'mesh-sts', all).spec.ingress
    assert.deepEqual(
      ingress.map(({ port }: { port: { name: string; number: number } }) => [
        port.name,
        port.number,
      ]),
      [...ports],
    )
  })

  test('the Sidecar forwards each port to where the listener of that name is', () => {
    for (const { port, defaultEndpoint } of manifest('Sidecar', 'mesh-sts', all).spec.ingress) {
      const listener = stsYaml.listeners[port.name.replace('http-', '')]
      assert.equal(defaultEndpoint, listener?.address)
    }
  })

  test('P8 its sidecar replaces XFCC, as the configuration expects', () => {
    const config = load(pod.metadata.annotations['proxy.istio.io/config']) as {
      proxyHeaders: { forwardedClientCert: string; setCurrentClientCertDetails: object }
    }
    assert.equal(config.proxyHeaders.forwardedClientCert, 'SANITIZE_SET')
    assert.equal(stsYaml.client_auth.xfcc.mode, 'sanitize_set')
    assert.deepEqual(config.proxyHeaders.setCurrentClientCertDetails, {
      subject: true,
      uri: true,
      dns: true,
    })
  })

  test('P8 the configured SPIFFE ID is the one of its service account', () => {
    const { namespace } = deployment.metadata
    assert.equal(
      stsYaml.client_auth.xfcc.self,
      `spiffe://${stsYaml.trust_domains[0]}/ns/${namespace}/sa/${pod.spec.serviceAccountName}`,
    )
    manifest('ServiceAccount', pod.spec.serviceAccountName, all)
  })

  for (const owner of [deployment, manifest('Job', 'mesh-sts-init', all)]) {
    const { spec } = owner.spec.template
    const containers = [...(spec.initContainers ?? []), ...spec.containers]

    test(`${titleOf(owner)}: non-root, read-only root, no privileges, no API token`, () => {
      assert.equal(spec.securityContext.runAsNonRoot, true)
      assert.equal(spec.automountServiceAccountToken, false)
      for (const { securityContext } of containers) {
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
      }
    })

    test(`${titleOf(owner)}: every mount has its volume, no mount lies inside a read-only one`, () => {
      const volumes = spec.volumes.map(({ name }: { name: string }) => name)
      for (const { volumeMounts } of containers) {
        for (const mount of volumeMounts) {
          assert.ok(volumes.includes(mount.name), mount.name)
          const inside = volumeMounts.filter((other: { mountPath: string }) =>
            other.mountPath.startsWith(`${mount.mountPath}/`),
          )
          assert.deepEqual(inside, [], `${mount.mountPath} is the parent of another mount`)
        }
      }
    })

    test(`${titleOf(owner)}: every ConfigMap and claim that it mounts is here`, () => {
      for (const volume of spec.volumes) {
        if (volume.configMap) manifest('ConfigMap', volume.configMap.name, all)
        const claim = volume.persistentVolumeClaim?.claimName
        if (claim) manifest('PersistentVolumeClaim', claim, all)
      }
    })
  }

  test('every path in sts.yaml lies in a mount', () => {
    const mounts = container.volumeMounts.map((mount: { mountPath: string }) => mount.mountPath)
    for (const path of [stsYaml.issuers, ...stsYaml.rules, stsYaml.store.sqlite]) {
      assert.ok(
        mounts.some((mount: string) => path === mount || path.startsWith(`${mount}/`)),
        path,
      )
    }
  })
})

describe('the configuration by example', () => {
  const config = manifest('ConfigMap', 'mesh-sts-config', all).data as Record<string, string>
  const rules = manifest('ConfigMap', 'mesh-sts-rules', all).data as Record<string, string>
  const args = container.args as string[]
  const loaded = loadSettings({
    configFile: args[2] ?? '',
    env: {},
    readFile: (path) => config[path.replace('/etc/mesh-sts/config/', '')] ?? fail(path),
  })

  test('serve reads it without a complaint', () => {
    assert.deepEqual(args.slice(0, 2), ['serve', '--config'])
    assert.deepEqual(loaded.problems, [])
    assert.equal(loaded.ok, true)
  })

  test('no relaxation is on', () => {
    assert.deepEqual(loaded.ok && loaded.settings.relaxations, [])
  })

  test('its rules compile, and mint what the example backend demands', () => {
    assert.ok(loaded.ok)
    const { trustDomains, issuers, keys, issuer } = loaded.settings
    const sources = Object.entries(rules).map(([file, text]) => ({ file, text }))
    const { ruleset, problems } = loadRuleset(sources, {
      trustDomains,
      issuers: issuers.map(({ name }) => name),
      algorithms: keys.algorithms,
      selfIss: issuer,
      parseDuration,
    })
    assert.deepEqual(problems, [])
    const [jwtRule] = manifest('RequestAuthentication', 'payment', all).spec.jwtRules
    assert.deepEqual([ruleset?.services.get('boutique/payment')?.audience], jwtRule.audiences)
  })
})

describe('policies (what istiod accepts and means otherwise)', () => {
  const selecting = [
    ...ofKind('PeerAuthentication'),
    ...ofKind('RequestAuthentication'),
    ...ofKind('AuthorizationPolicy'),
  ]

  for (const object of selecting) {
    test(`${titleOf(object)}: selects one workload by its label`, () => {
      const { app } = object.spec.selector.matchLabels
      if (object.metadata.namespace === 'mesh-sts') assert.equal(app, pod.metadata.labels.app)
      else assert.ok(app)
    })
  }

  for (const object of ofKind('AuthorizationPolicy')) {
    test(`${titleOf(object)}: no empty list or rule, which would mean everybody`, () => {
      assert.deepEqual(emptyMembers(object.spec), [])
      assert.ok(object.spec.rules.length > 0)
    })

    test(`${titleOf(object)}: principals without a scheme, methods in capitals, paths with a slash`, () => {
      for (const rule of object.spec.rules) {
        for (const { source } of rule.from ?? []) {
          for (const principal of source.principals ?? []) assert.doesNotMatch(principal, /:\/\//)
        }
        for (const { operation } of rule.to ?? []) {
          for (const method of operation.methods ?? []) assert.match(method, /^[A-Z]+$/)
          for (const path of operation.paths ?? []) assert.match(path, /^\//)
        }
      }
    })
  }

  test('only the public port is open to everybody', () => {
    const open = ofKind('AuthorizationPolicy').filter(({ spec }) =>
      spec.rules.some((rule: { from?: unknown }) => rule.from === undefined),
    )
    assert.deepEqual(open.map(titleOf), ['AuthorizationPolicy mesh-sts/mesh-sts-public'])
    assert.deepEqual(open[0]?.spec.rules[0].to[0].operation.ports, ['8081'])
  })

  test('mTLS is STRICT on every port but the public one, which istiod reaches without', () => {
    const { spec } = manifest('PeerAuthentication', 'mesh-sts', all)
    assert.equal(spec.mtls.mode, 'STRICT')
    assert.deepEqual(spec.portLevelMtls, { 8081: { mode: 'PERMISSIVE' } })
  })

  for (const object of ofKind('RequestAuthentication')) {
    for (const rule of object.spec.jwtRules) {
      test(`${titleOf(object)}: names our issuer, an audience and the key set on the public port`, () => {
        assert.equal(rule.issuer, stsYaml.issuer)
        assert.ok(rule.audiences.length > 0)
        const service = manifest('Service', 'mesh-sts', all)
        const uri = new URL(rule.jwksUri)
        assert.equal(uri.hostname, `mesh-sts.${service.metadata.namespace}.svc.cluster.local`)
        assert.equal(Number(uri.port), portOf(service, 'http-public'))
        assert.equal(uri.pathname, '/.well-known/jwks.json')
      })
    }

    test(`${titleOf(object)}: a policy of the same workload demands issuer and audiences`, () => {
      const [rule] = object.spec.jwtRules
      const policy = manifest('AuthorizationPolicy', object.metadata.name, all)
      assert.deepEqual(policy.spec.selector, object.spec.selector)
      for (const { from, when } of policy.spec.rules) {
        for (const { source } of from) {
          assert.deepEqual(source.requestPrincipals, [`${rule.issuer}/*`])
        }
        const audiences = when.find(({ key }: { key: string }) => key === 'request.auth.audiences')
        assert.deepEqual(audiences?.values, rule.audiences)
      }
    })
  }
})

describe('translation of the example backend, as istiod renders it', () => {
  const policy = manifest('AuthorizationPolicy', 'payment', all) as unknown as AuthorizationPolicy
  const authentication = manifest(
    'RequestAuthentication',
    'payment',
    all,
  ) as unknown as RequestAuthentication
  const inClaim = (path: string[], value: object) => ({
    metadata: {
      filter: 'envoy.filters.http.jwt_authn',
      path: ['payload', ...path].map((key) => ({ key })),
      value,
    },
  })
  const listOrText = (exact: string) => ({
    orMatch: {
      valueMatchers: [
        { listMatch: { oneOf: { stringMatch: { exact } } } },
        { stringMatch: { exact } },
      ],
    },
  })
  const anyOf = (id: object) => ({ orIds: { ids: [id] } })
  const checkout = 'spiffe://cluster.local/ns/boutique/sa/checkout'

  test('AuthorizationPolicy becomes one RBAC filter', () => {
    assert.deepEqual(toRbacFilters([policy], 8080), [
      {
        name: 'envoy.filters.http.rbac',
        typedConfig: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
          shadowRulesStatPrefix: 'istio_dry_run_allow_',
          rules: {
            action: 'ALLOW',
            policies: {
              'ns[boutique]-policy[payment]-rule[0]': {
                permissions: [
                  {
                    andRules: {
                      rules: [
                        {
                          orRules: {
                            rules: [
                              { header: { name: ':method', stringMatch: { exact: 'POST' } } },
                            ],
                          },
                        },
                      ],
                    },
                  },
                ],
                principals: [
                  {
                    andIds: {
                      ids: [
                        anyOf({ authenticated: { principalName: { exact: checkout } } }),
                        anyOf({
                          andIds: {
                            ids: [
                              inClaim(['iss'], {
                                stringMatch: { exact: 'https://sts.boutique.example' },
                              }),
                              inClaim(['sub'], { stringMatch: { safeRegex: { regex: '.+' } } }),
                            ],
                          },
                        }),
                        anyOf(inClaim(['aud'], listOrText('https://payment.boutique.example'))),
                        anyOf(inClaim(['scope'], listOrText('payment:charge'))),
                        anyOf(inClaim(['act', 'sub'], listOrText(checkout))),
                        anyOf(
                          inClaim(
                            ['chain'],
                            listOrText('spiffe://cluster.local/ns/boutique/sa/frontend'),
                          ),
                        ),
                      ],
                    },
                  },
                ],
              },
            },
          },
        },
      },
    ])
  })

  test('RequestAuthentication becomes one jwt_authn provider, a missing token passes it', () => {
    assert.deepEqual(
      toJwtAuthnFilter([authentication], () => ({ inline: '{}' })),
      {
        name: 'envoy.filters.http.jwt_authn',
        typedConfig: {
          '@type':
            'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
          bypassCorsPreflight: true,
          providers: {
            'origins-0': {
              issuer: 'https://sts.boutique.example',
              audiences: ['https://payment.boutique.example'],
              localJwks: { inlineString: '{}' },
              forward: true,
              payloadInMetadata: 'payload',
              normalizePayloadInMetadata: { spaceDelimitedClaims: ['permission', 'scope'] },
            },
          },
          rules: [
            {
              match: { prefix: '/' },
              requires: {
                requiresAny: {
                  requirements: [{ providerName: 'origins-0' }, { allowMissing: {} }],
                },
              },
            },
          ],
        },
      },
    )
  })

  test('several values become an orMatch', () => {
    const rule = { when: [{ key: 'request.auth.claims[scope]', values: ['a', 'b*'] }] }
    const text = JSON.stringify(toRbacFilters([{ ...policy, spec: { rules: [rule] } }], 8080))
    const match =
      '{"orMatch":{"valueMatchers":[{"stringMatch":{"exact":"a"}},{"stringMatch":{"prefix":"b"}}]}}'
    assert.ok(text.includes(`{"listMatch":{"oneOf":${match}}},${match}`), text)
  })

  test('a member that is not translated is an error, never left out', () => {
    const rules = [{ from: [{ source: { notPrincipals: ['x'] } }] }]
    assert.throws(() => toRbacFilters([{ ...policy, spec: { rules } }], 8080), /notPrincipals/)
    const when = [{ when: [{ key: 'request.headers[x]', values: ['y'] }] }]
    assert.throws(() => toRbacFilters([{ ...policy, spec: { rules: when } }], 8080), /headers/)
  })
})

function fail(what: string): never {
  throw new Error(what)
}

function portOf(service: Manifest, name: string): number {
  return service.spec.ports.find((port: { name: string }) => port.name === name).port
}

/** Paths of empty lists and empty objects. */
function emptyMembers(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return []
  const entries = Object.entries(value)
  if (entries.length === 0) return [path]
  return entries.flatMap(([name, member]) => emptyMembers(member, `${path}.${name}`))
}
