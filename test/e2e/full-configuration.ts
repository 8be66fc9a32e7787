// Owns the texts of a deployment that has everything on: settings, issuers, rules; tests change them in one thing.
// Must not start anything.
import { CORPORATE, STS } from '../support/deployment.ts'

export const ISSUER = 'https://sts.boutique.example'
export const CLUSTER = 'https://kubernetes.default.svc.cluster.local'
/** An issuer whose keys cannot be had. */
export const NOWHERE = 'https://login.nowhere.example'

/** The rules of namespace boutique. */
export const BOUTIQUE_RULES = `
namespace: boutique
services:
  frontend:
    audience: https://frontend.boutique.example
    scopes: [ui]
    calls: [checkout, mailer, vault, archive, profile, gate, mirror, tour]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place, checkout:quote]
    claims: [email, risk, groups]
    token: {lifetime: 5m}
    calls: [payment, mailer, depot/stock]
    accepts:
      - from: frontend
        issuer: corporate
        scopes:
          checkout:quote: [shop:browse, shop:buy]
          checkout:place: {all: [shop:buy, shop:verified]}
        actors: [agents]
      - from: frontend
        issuer: agents
        scopes: {checkout:quote: [shop:browse]}
  payment:
    scopes: [payment:charge, payment:refund]
    token: {lifetime: 1m}
    calls: [partners/ledger]
    accepts:
      - from: checkout
        scopes: {payment:charge: [checkout:place]}
  mailer:
    scopes: [mail:send]
    claims: [email]
    accepts:
      - from: frontend
        issuer: corporate
        act: impersonate
        scopes: {mail:send: [shop:buy]}
      - from: checkout
        act: impersonate
        scopes: {mail:send: [checkout:place]}
  vault:
    scopes: [vault:open]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {vault:open: [shop:buy]}}
    denies:
      - {reason: sealed}
  archive:
    scopes: [archive:read]
  profile:
    scopes: [profile:read]
    token: {algorithm: RS256}
    accepts:
      - {from: frontend, issuer: corporate, scopes: {profile:read: [shop:browse]}}
  gate:
    scopes: [gate:pass, gate:lift]
    ctx: {tier: {computed: 'subject.claims.tier + "-1"'}}
    accepts:
      - from: frontend
        issuer: corporate
        when: subject.claims.level == "gold"
        scopes:
          gate:pass: [shop:buy]
          gate:lift: {any: [shop:buy], when: '"mfa" in subject.claims.amr'}
    denies:
      - {when: subject.claims.banned == true, reason: banned}
  mirror:
    accepts:
      - {from: frontend, issuer: corporate, forward: true}
  tour:
    scopes: [tour:go, tour:plan]
    calls: [guide]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {tour:go: [shop:buy]}, embed: [{to: guide, required: true}]}
  guide:
    scopes: [guide:lead]
    embeddable: true
    accepts:
      - {from: tour, scopes: {guide:lead: [tour:plan]}}
`

/** The rules of namespace depot. */
export const DEPOT_RULES = `
namespace: depot
services:
  stock:
    scopes: [stock:take]
    calls: [courier]
    accepts:
      - {from: boutique/checkout, scopes: {stock:take: [checkout:place]}}
      - {from: courier, scopes: {stock:take: [courier:go]}}
  courier:
    identity: spiffe://cluster.local/ns/*/sa/courier
    scopes: [courier:go]
    calls: [stock]
    accepts:
      - {from: stock, scopes: {courier:go: [stock:take]}}
`

/** The rules of namespace partners. */
export const PARTNER_RULES = `
namespace: partners
services:
  batch:
    client_keys: {jwks_file: batch.jwks.json}
    calls: [ledger]
  ledger:
    external: true
    audience: https://ledger.partner.example
    scopes: [ledger:post]
    token: {lifetime: 1m}
    accepts:
      - {from: batch, issuer: corporate, scopes: {ledger:post: [shop:buy]}}
      - {from: boutique/payment, scopes: {ledger:post: [payment:charge]}}
`

export const FULL_ISSUERS = `
corporate:
  issuer: ${CORPORATE}
  jwks_file: corporate.jwks.json
  algorithms: [RS256, ES256]
  token_types: [access_token, id_token]
  presented_by:
    https://api.shop.example: [boutique/frontend, boutique/checkout]
    https://batch.partner.example: [partners/batch]
  scopes_from: [scope]
  subject_prefix: corp
agents:
  issuer: https://agents.example
  jwks_file: agents.jwks.json
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://agents.boutique.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: agent
`

/** The settings, with lines that a test adds or replaces. */
export const fullSettings = (change: Readonly<Record<string, string>> = {}): string => {
  const parts: Readonly<Record<string, string>> = {
    issuer: ISSUER,
    listeners: `
  token: {address: 127.0.0.1:0, client_auth: [xfcc, jwt_svid, kubernetes]}
  token_mtls: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [mtls]}
  token_external: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [private_key_jwt]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}`,
    trust_domains: '[cluster.local, partner.example]',
    client_auth: `
  xfcc: {proxies: [127.0.0.1, 127.0.0.6], mode: sanitize_set, self: ${STS}}
  mtls: {trust_domain: cluster.local, bundle_file: mesh.crt}
  jwt_svid: {bundles: {cluster.local: {file: bundle.json}, partner.example: {url: NOWHERE}}}
  kubernetes: {trust_domain: cluster.local, issuer: ${CLUSTER}, audience: ${ISSUER}, jwks_file: cluster.jwks.json}
  private_key_jwt: {}`,
    keys: '{algorithms: [ES256, RS256], encryption_keys: {current: k1, k1: k1}}',
    store: '{sqlite: sts.db}',
    limits: '{per_caller_per_second: 100000}',
    issuers: 'issuers.yaml',
    rules: '[rules]',
    relaxations: '{allow_http_issuers: true}',
    ...change,
  }
  return Object.entries(parts)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')
}
