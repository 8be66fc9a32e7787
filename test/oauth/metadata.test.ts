import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLIENT_AUTH_METHODS } from '../../src/clients/client.ts'
import {
  authorizationServerMetadata,
  type MetadataFacts,
  metadataPaths,
  openidConfiguration,
} from '../../src/oauth/metadata.ts'

const FACTS: MetadataFacts = {
  issuer: 'https://sts.boutique.example',
  tokenEndpoint: 'http://mesh-sts.mesh-sts:8080/token',
  jwksUri: 'https://sts.boutique.example/.well-known/jwks.json',
  clientAuthMethods: ['xfcc', 'kubernetes'],
  clientAssertionAlgorithms: ['RS256', 'ES256'],
  signingAlgorithms: ['RS256', 'ES256'],
}

describe('authorizationServerMetadata', () => {
  it('MD-02 MD-03 MD-04 MD-05 MD-08 MD-09 says what there is, and nothing else', () => {
    assert.deepEqual(authorizationServerMetadata(FACTS), {
      issuer: 'https://sts.boutique.example',
      token_endpoint: 'http://mesh-sts.mesh-sts:8080/token',
      jwks_uri: 'https://sts.boutique.example/.well-known/jwks.json',
      grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'spiffe_x509'],
      token_endpoint_auth_signing_alg_values_supported: ['ES256', 'RS256'],
    })
  })

  const names = {
    xfcc: ['spiffe_x509'],
    mtls: ['spiffe_x509', 'tls_client_auth'],
    jwt_svid: ['spiffe_jwt'],
    kubernetes: ['private_key_jwt'],
    private_key_jwt: ['private_key_jwt'],
  }
  for (const method of CLIENT_AUTH_METHODS) {
    it(`MD-08 names ${method} by its registered name`, () => {
      const document = authorizationServerMetadata({ ...FACTS, clientAuthMethods: [method] })
      assert.deepEqual(document.token_endpoint_auth_methods_supported, names[method])
    })
    it(`MD-05 gives assertion algorithms for ${method} only if it takes assertions`, () => {
      const document = authorizationServerMetadata({ ...FACTS, clientAuthMethods: [method] })
      const certificate = method === 'xfcc' || method === 'mtls'
      assert.equal('token_endpoint_auth_signing_alg_values_supported' in document, !certificate)
    })
  }

  it('names each method once', () => {
    const both = authorizationServerMetadata({ ...FACTS, clientAuthMethods: CLIENT_AUTH_METHODS })
    assert.deepEqual(both.token_endpoint_auth_methods_supported, [
      'private_key_jwt',
      'spiffe_jwt',
      'spiffe_x509',
      'tls_client_auth',
    ])
  })

  it('MD-08 P4 refuses to publish a list whose absence would mean something else', () => {
    assert.throws(() => authorizationServerMetadata({ ...FACTS, clientAuthMethods: [] }))
    assert.throws(() => authorizationServerMetadata({ ...FACTS, clientAssertionAlgorithms: [] }))
    const certificates = {
      ...FACTS,
      clientAuthMethods: ['mtls'] as const,
      clientAssertionAlgorithms: [],
    }
    assert.doesNotThrow(() => authorizationServerMetadata(certificates))
  })

  it('is the same whatever the order of the facts', () => {
    const turned = {
      ...FACTS,
      clientAuthMethods: [...FACTS.clientAuthMethods].reverse(),
      clientAssertionAlgorithms: [...FACTS.clientAssertionAlgorithms].reverse(),
      signingAlgorithms: [...FACTS.signingAlgorithms].reverse(),
    }
    assert.equal(
      JSON.stringify(openidConfiguration(turned)),
      JSON.stringify(openidConfiguration(FACTS)),
    )
    assert.deepEqual(FACTS.signingAlgorithms, ['RS256', 'ES256'])
  })
})

describe('openidConfiguration', () => {
  it('MD-10 adds to the same facts how tokens are signed', () => {
    assert.deepEqual(openidConfiguration(FACTS), {
      ...authorizationServerMetadata(FACTS),
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256', 'RS256'],
    })
  })
})

describe('metadataPaths', () => {
  const root = {
    authorizationServer: ['/.well-known/oauth-authorization-server'],
    openidConfiguration: ['/.well-known/openid-configuration'],
    jwks: ['/.well-known/jwks.json'],
  }
  it('gives the root for an issuer without path', () => {
    assert.deepEqual(metadataPaths('https://sts.example'), root)
    assert.deepEqual(metadataPaths('https://sts.example/'), root)
  })
  for (const issuer of ['https://sts.example/a/b', 'https://sts.example/a/b/']) {
    it(`MD-01 puts the path of ${issuer} behind for RFC 8414 and in front for OpenID`, () => {
      assert.deepEqual(metadataPaths(issuer), {
        authorizationServer: [
          '/.well-known/oauth-authorization-server/a/b',
          '/.well-known/oauth-authorization-server',
        ],
        openidConfiguration: [
          '/a/b/.well-known/openid-configuration',
          '/.well-known/openid-configuration/a/b',
          '/.well-known/openid-configuration',
        ],
        jwks: ['/a/b/.well-known/jwks.json', '/.well-known/jwks.json'],
      })
    })
  }
})
