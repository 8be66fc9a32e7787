// Owns the rules between keys of sts.yaml: what is unsafe or contradictory together.
// Must not check single values (settings-schema.ts does) and skips what is itself wrong.
import type { ClientAuthMethod } from '../clients/client.ts'
import { trustDomainOf } from '../clients/spiffe-id.ts'
import { MIN_PUBLISH_BEFORE_MS } from '../keys/key-policy.ts'
import { isLoopback, type ListenAddress } from './scalars.ts'
import type { SettingsEntry } from './settings-schema.ts'
import type { Report } from './shape.ts'

type Sound = Partial<SettingsEntry>

/** Runs every check whose keys are sound. */
export function checkSettings(sound: Sound, report: Report): void {
  checkUrls(sound, report)
  checkAddresses(sound, report)
  checkTokenListener(sound, report)
  checkMethods(sound, report)
  checkTrustDomains(sound, report)
  checkKubernetes(sound, report)
  checkKeys(sound, report)
}

function checkUrls({ issuer, relaxations, client_auth }: Sound, report: Report): void {
  if (issuer?.startsWith('http:') && relaxations?.allow_http_issuer === false) {
    report(['issuer'], 'must be https (or set relaxations.allow_http_issuer)')
  }
  if (issuer?.endsWith('/')) {
    report(
      ['issuer'],
      'must not end in a slash: verifiers compare it exactly and people leave it out',
    )
  }
  if (relaxations?.allow_http_issuers !== false) return
  const refuse = (path: readonly string[], url: string | undefined) => {
    if (url?.startsWith('http:')) {
      report(path, 'must be https (or set relaxations.allow_http_issuers)')
    }
  }
  for (const [domain, bundle] of Object.entries(client_auth?.jwt_svid?.bundles ?? {})) {
    refuse(
      ['client_auth', 'jwt_svid', 'bundles', domain, 'url'],
      'url' in bundle ? bundle.url : undefined,
    )
  }
  refuse(['client_auth', 'kubernetes', 'jwks_uri'], client_auth?.kubernetes?.jwks_uri)
  const review = ['client_auth', 'kubernetes', 'token_review', 'url']
  refuse(review, client_auth?.kubernetes?.token_review?.url)
}

function checkAddresses({ listeners }: Sound, report: Report): void {
  const earlier: { name: string; address: ListenAddress }[] = []
  for (const [name, listener] of Object.entries(listeners ?? {})) {
    if (listener === undefined) continue
    const holder = earlier.find(({ address }) => collide(address, listener.address))
    if (holder !== undefined) {
      report(['listeners', name, 'address'], `listeners.${holder.name} already listens there`)
    }
    earlier.push({ name, address: listener.address })
  }
}

const ANY = /^(?:0\.0\.0\.0|[0:]+)$/

function collide(a: ListenAddress, b: ListenAddress): boolean {
  return (
    a.port === b.port && a.port !== 0 && (a.host === b.host || ANY.test(a.host) || ANY.test(b.host))
  )
}

function checkTokenListener({ listeners, relaxations, client_auth }: Sound, report: Report): void {
  if (listeners !== undefined && !isLoopback(listeners.token.address)) {
    const path = ['listeners', 'token', 'address']
    if (!listeners.token.client_auth.includes('xfcc')) {
      report(
        path,
        'plain HTTP beyond loopback: tokens are readable on the network unless a sidecar is in front',
        {
          severity: 'warning',
        },
      )
    } else if (relaxations?.allow_token_listener_beyond_loopback === false) {
      report(
        path,
        'must be a loopback address, because the sidecar’s header is believed here ' +
          '(or set relaxations.allow_token_listener_beyond_loopback)',
      )
    }
  }
  if (listeners !== undefined && !isLoopback(listeners.admin.address) && !listeners.admin.tls) {
    report(
      ['listeners', 'admin', 'address'],
      'beyond loopback `tls` with `client_ca_file` is required',
    )
  }
  if (
    client_auth?.xfcc?.mode === 'append_forward' &&
    relaxations?.allow_xfcc_append_forward === false
  ) {
    report(
      ['client_auth', 'xfcc', 'mode'],
      'is unsafe where anybody can get an odd certificate: use sanitize_set ' +
        '(or set relaxations.allow_xfcc_append_forward)',
    )
  }
}

/** Which methods a listener may name, and why not the others. */
const REFUSED_METHODS: Readonly<
  Record<'token' | 'token_mtls' | 'token_external', Partial<Record<ClientAuthMethod, string>>>
> = {
  token: {
    mtls: 'needs a listener that ends TLS: listeners.token_mtls',
    private_key_jwt: 'is for callers outside the mesh: listeners.token_external',
  },
  token_mtls: {
    xfcc: 'believes a sidecar, and there is none in front of this listener: listeners.token',
    private_key_jwt: 'is for callers outside the mesh: listeners.token_external',
  },
  token_external: {
    xfcc: 'must not be believed from outside the mesh: only private_key_jwt is accepted here',
    mtls: 'is for workloads of the mesh: only private_key_jwt is accepted here',
    jwt_svid: 'is for workloads of the mesh: only private_key_jwt is accepted here',
    kubernetes: 'is for workloads of the mesh: only private_key_jwt is accepted here',
  },
}

/** Their tokens are good as subject tokens too (issuer `workload`), whoever says who calls. */
const USED_WITHOUT_LISTENER: ReadonlySet<string> = new Set(['jwt_svid', 'kubernetes'])

function checkMethods({ listeners, client_auth }: Sound, report: Report): void {
  if (listeners === undefined) return
  const named = new Set<string>()
  for (const name of ['token', 'token_mtls', 'token_external'] as const) {
    listeners[name]?.client_auth.forEach((method, index) => {
      named.add(method)
      const path = ['listeners', name, 'client_auth', index]
      const refusal = REFUSED_METHODS[name][method]
      if (refusal !== undefined) report(path, `${method} ${refusal}`)
      else if (client_auth !== undefined && client_auth[method] === undefined) {
        report(path, `${method} is not configured: add client_auth.${method}`)
      }
    })
  }
  for (const [method, settings] of Object.entries(client_auth ?? {})) {
    if (settings !== undefined && !named.has(method) && !USED_WITHOUT_LISTENER.has(method)) {
      report(['client_auth', method], 'no listener names this method, so it is not used', {
        severity: 'warning',
        at: 'key',
      })
    }
  }
}

function checkTrustDomains({ trust_domains, client_auth }: Sound, report: Report): void {
  if (trust_domains === undefined || client_auth === undefined) return
  const check = (path: readonly string[], domain: string | undefined, at: 'key' | 'value') => {
    if (domain === undefined || trust_domains.includes(domain)) return
    const options = { at, written: domain, known: trust_domains }
    report(path, `the trust domain ${domain} is not among trust_domains`, options)
  }
  const { mtls, kubernetes, jwt_svid, xfcc } = client_auth
  check(['client_auth', 'mtls', 'trust_domain'], mtls?.trust_domain, 'value')
  check(['client_auth', 'kubernetes', 'trust_domain'], kubernetes?.trust_domain, 'value')
  for (const domain of Object.keys(jwt_svid?.bundles ?? {})) {
    check(['client_auth', 'jwt_svid', 'bundles', domain], domain, 'key')
  }
  const self = xfcc && trustDomainOf(xfcc.self)
  if (self !== undefined && self !== trust_domains[0]) {
    report(
      ['client_auth', 'xfcc', 'self'],
      `must be in this deployment’s own trust domain, the first of trust_domains (${trust_domains[0]})`,
    )
  }
}

function checkKubernetes({ issuer, client_auth }: Sound, report: Report): void {
  const kubernetes = client_auth?.kubernetes
  if (kubernetes === undefined) return
  const path = ['client_auth', 'kubernetes']
  const sources = (['jwks_file', 'jwks_uri', 'token_review'] as const).filter(
    (key) => kubernetes[key] !== undefined,
  )
  const [, second] = sources
  if (sources.length === 0) {
    report(path, 'one of `jwks_file`, `jwks_uri` and `token_review` is required', { at: 'key' })
  }
  if (second !== undefined) {
    const message = 'only one of `jwks_file`, `jwks_uri` and `token_review` may be there'
    report([...path, second], message, { at: 'key' })
  }
  if (kubernetes.ca_file !== undefined && kubernetes.jwks_uri === undefined) {
    report([...path, 'ca_file'], 'vouches for nothing without `jwks_uri`', { at: 'key' })
  }
  if (kubernetes.issuer === issuer) {
    report([...path, 'issuer'], 'this is our own issuer URL, not the cluster’s')
  }
}

function checkKeys({ keys, relaxations }: Sound, report: Report): void {
  if (keys === undefined) return
  if (keys.publish_before < MIN_PUBLISH_BEFORE_MS && relaxations?.allow_short_key_lead === false) {
    report(
      ['keys', 'publish_before'],
      'must be at least 65m, so that every sidecar has a key before it signs ' +
        '(or set relaxations.allow_short_key_lead)',
    )
  }
  if (keys.sign_for < keys.publish_before) {
    report(['keys', 'sign_for'], 'must be at least as long as keys.publish_before')
  }
  const { current, ...files } = keys.encryption_keys
  const path = ['keys', 'encryption_keys']
  if (current === undefined) report(path, 'the key `current` is missing')
  else if (!Object.hasOwn(files, current)) {
    report([...path, 'current'], `there is no key ${current} here`, {
      written: current,
      known: Object.keys(files),
    })
  }
}
