// Jobs without a user: a workload's own token as subject token (issuer `workload`), over HTTP on a real deployment.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { TOKEN_TYPES } from '../../src/oauth/names.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { run } from '../dev/running-profile.ts'
import { issueSvid } from '../support/certificates.ts'
import { STS } from '../support/deployment.ts'
import { jwksOf } from '../support/jwt-fixtures.ts'
import {
  accountTokenOf,
  asSubject,
  both,
  byAssertion,
  byCertificate,
  byPrivateKey,
  type Change,
  type Claims,
  seconds,
  spiffeId,
  svidOf,
  withActor,
} from './exchange-request.ts'
import { CLUSTER, ISSUER } from './full-configuration.ts'
import {
  type FullDeployment,
  KEYS,
  refusedAtLoad,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { granted, refused } from './outcome.ts'
import { startWithTokenReview } from './surroundings.ts'

const JWT_SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const NIGHTLY = spiffeId('nightly', 'books')
const LEDGER = spiffeId('ledger', 'books')

/** Two jobs, of which one is granted nothing, and what they call. */
const BOOKS_RULES = `
namespace: books
services:
  nightly:
    grants: [books:close, books:read]
    calls: [ledger, boutique/checkout]
  weekly:
    calls: [ledger]
  ledger:
    audience: https://ledger.books.example
    scopes: [ledger:close, ledger:audit]
    claims: [department]
    token: {lifetime: 2m}
    calls: [archive]
    accepts:
      - from: books/*
        issuer: workload
        scopes: {ledger:close: [books:close], ledger:audit: [books:audit]}
  archive:
    scopes: [archive:write]
    accepts:
      - {from: ledger, scopes: {archive:write: [ledger:close]}}
`
const FILES = { 'rules/books.yaml': BOOKS_RULES }

const svid = (claims: Claims = {}): string => svidOf({ claims: { sub: NIGHTLY, ...claims } })
const account = (claims: Claims = {}): string =>
  accountTokenOf({
    claims: {
      sub: 'system:serviceaccount:books:nightly',
      'kubernetes.io': { namespace: 'books', serviceaccount: { name: 'nightly', uid: 'a1' } },
      ...claims,
    },
  })
/** What the sidecar of a workload of namespace books writes. */
const through = (name: string): Change => ({
  headers: {
    'x-forwarded-client-cert': `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${spiffeId(name, 'books')}`,
  },
})
const forLedger: Change = { form: { audience: 'books/ledger', scope: 'ledger:close' } }
/** One token as client assertion and as subject token. */
const byItself = (token: string, type: string): Change =>
  both(both(byAssertion(token, type), asSubject(token)), forLedger)
const asked = (caller: Change, token: string): Change =>
  both(both(caller, asSubject(token)), forLedger)

describe('a job without a user', () => {
  const full = sharedFullDeployment(() => ({ files: FILES }))

  /** Sends an exchange that ends in ledger's token for the job. */
  async function grantedTo(change: Change, iss: string, on: FullDeployment = full()) {
    const { claims, event, token } = await granted(on, change)
    const { iat, exp, jti, ...rest } = claims
    assert.deepEqual(rest, {
      iss: ISSUER,
      sub: NIGHTLY,
      aud: 'https://ledger.books.example',
      client_id: NIGHTLY,
      scope: 'ledger:close',
      act: { sub: NIGHTLY },
      chain: [NIGHTLY],
    })
    assert.ok(Number(exp) - Number(iat) <= 120 && jti !== undefined)
    assert.deepEqual(
      [event.subject?.issuer, event.subject?.iss, event.subject?.sub, event.subject?.scopes],
      ['workload', iss, NIGHTLY, ['books:close', 'books:read']],
    )
    assert.match(event.rule ?? '', /^books\/ledger <- books\/\* \[workload\]$/)
    return token
  }

  it('SC-01 one JWT-SVID says who calls, and is handed in', async () => {
    await grantedTo(byItself(svid(), JWT_SPIFFE), 'spiffe://cluster.local')
  })
  it('one projected service-account token says who calls, and is handed in', async () => {
    await grantedTo(byItself(account(), JWT_BEARER), CLUSTER)
  })
  it('field-6 #25 both are presented again until they are renewed', async () => {
    for (const [token, type] of [
      [svid({ jti: 'one' }), JWT_SPIFFE],
      [account(), JWT_BEARER],
    ] as const) {
      for (let times = 0; times < 3; times++) await granted(full(), byItself(token, type))
    }
  })
  it('the sidecar says who calls, and an SVID or an account token is handed in', async () => {
    await grantedTo(asked(through('nightly'), svid()), 'spiffe://cluster.local')
    await grantedTo(asked(through('nightly'), account()), CLUSTER)
  })
  it('an X.509-SVID says who calls, and a JWT-SVID is handed in', async () => {
    const clientCertificate = issueSvid(full().ca, NIGHTLY)
    const caller = { ...byCertificate(full()), clientCertificate }
    await grantedTo(asked(caller, svid()), 'spiffe://cluster.local')
  })
  it('the API server is asked about the token in both places, each time', async (t) => {
    const questions: unknown[] = []
    const on = await startWithTokenReview(
      t,
      (answer, question) => {
        questions.push(question)
        const user = { username: 'system:serviceaccount:books:nightly' }
        answer(201, { status: { authenticated: true, user, audiences: [ISSUER] } })
      },
      FILES,
    )
    await grantedTo(byItself(account(), JWT_BEARER), CLUSTER, on)
    assert.equal(questions.length, 2)
    await grantedTo(asked(through('nightly'), account()), CLUSTER, on)
    assert.equal(questions.length, 3)
  })
  it('P4 an API server that does not say is an outage, not a denial', async (t) => {
    const on = await startWithTokenReview(t, (answer) => answer(500, {}), FILES)
    await refused(on, asked(through('nightly'), account()), 'subject_token_issuer_unavailable')
  })

  it('P1 exp is below that of what was handed in', async () => {
    const exp = seconds() + 60
    for (const token of [svid({ exp }), account({ exp })]) {
      const { claims } = await granted(full(), asked(through('nightly'), token))
      assert.equal(claims.exp, exp)
    }
  })
  it('P1 without scope all that grants justify, and a claim that the target lists', async () => {
    const change = both(
      asked(through('nightly'), svid({ department: 'tax', scope: 'books:audit' })),
      {
        form: { scope: undefined },
      },
    )
    const { claims } = await granted(full(), change)
    assert.deepEqual([claims.scope, claims.department], ['ledger:close', 'tax'])
  })
  it('P2 the next hop has the job as subject, and itself outermost in act', async () => {
    const token = await grantedTo(byItself(svid(), JWT_SPIFFE), 'spiffe://cluster.local')
    const hop = both(asked(through('ledger'), token), {
      form: { audience: 'books/archive', scope: 'archive:write' },
    })
    const { claims, event } = await granted(full(), hop)
    assert.equal(event.subject?.issuer, 'self')
    assert.deepEqual(
      [claims.sub, claims.act, claims.chain],
      [NIGHTLY, { sub: LEDGER, act: { sub: NIGHTLY } }, [NIGHTLY, LEDGER]],
    )
  })

  describe('one thing wrong', () => {
    const ends = (name: string, reason: Reason, make: () => Change) =>
      it(name, async () => void (await refused(full(), make(), reason)))
    const good = () => asked(through('nightly'), svid())

    for (const [kind, token] of [
      ['SVID', svid],
      ['account token', account],
    ] as const) {
      ends(`an ${kind} of another workload`, 'subject_token_not_own', () =>
        asked(through('weekly'), token()),
      )
      ends(`an ${kind} that a partner presents`, 'subject_token_not_own', () =>
        both(byPrivateKey(), asSubject(token())),
      )
      ends(`an ${kind} as access token`, 'subject_token_type_not_accepted', () =>
        both(asked(through('nightly'), token()), {
          form: { subject_token_type: TOKEN_TYPES.access_token },
        }),
      )
      ends(`an ${kind} as actor token`, 'actor_token_issuer_not_trusted', () =>
        both(good(), { form: { ...withActor(token()), actor_token_type: TOKEN_TYPES.jwt } }),
      )
    }
    ends(
      'the SVID of the same name in another trust domain',
      'subject_token_issuer_unavailable',
      () =>
        asked(
          through('nightly'),
          svid({ sub: NIGHTLY.replace('cluster.local', 'partner.example') }),
        ),
    )
    ends('an SVID for another audience', 'subject_token_audience_not_accepted', () =>
      asked(through('nightly'), svid({ aud: ['https://ledger.books.example'] })),
    )
    ends('a forged SVID', 'subject_token_signature_invalid', () =>
      asked(
        through('nightly'),
        svidOf({ key: KEYS.stranger, header: { kid: 'bundle-1' }, claims: { sub: NIGHTLY } }),
      ),
    )
    ends('a scope that no grant justifies', 'scope_not_justified', () =>
      both(good(), { form: { scope: 'ledger:audit' } }),
    )
    ends('a service without grants', 'scope_none_justified', () =>
      both(asked(through('weekly'), svid({ sub: spiffeId('weekly', 'books') })), {
        form: { scope: undefined },
      }),
    )
    ends('a target that takes users only', 'target_issuer_not_accepted', () =>
      both(asked({}, svidOf()), { form: { audience: 'checkout', scope: 'checkout:place' } }),
    )
    ends("a user's token where only jobs are taken", 'subject_token_presenter_not_allowed', () =>
      both(through('nightly'), forLedger),
    )
  })

  it('the other trust domain has a bundle: its SVID is verified, and is still not the caller’s', async (t) => {
    const client_auth = `
  xfcc: {proxies: [127.0.0.1], mode: sanitize_set, self: ${STS}}
  mtls: {trust_domain: cluster.local, bundle_file: mesh.crt}
  jwt_svid: {bundles: {cluster.local: {file: bundle.json}, partner.example: {file: partner.json}}}
  private_key_jwt: {}`
    const listeners = `
  token: {address: 127.0.0.1:0, client_auth: [xfcc]}
  token_mtls: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [mtls]}
  token_external: {address: 127.0.0.1:0, tls: {cert_file: server.crt, key_file: server.key}, client_auth: [private_key_jwt]}
  public: {address: 127.0.0.1:0}
  admin: {address: 127.0.0.1:0}`
    const files = { ...FILES, 'partner.json': jwksOf([{ ...KEYS.stranger.jwk, use: 'jwt-svid' }]) }
    const on = await startFullDeployment(t, { settings: { client_auth, listeners }, files })
    const sub = NIGHTLY.replace('cluster.local', 'partner.example')
    const foreign = svidOf({ key: KEYS.stranger, claims: { sub } })
    await refused(on, asked(through('nightly'), foreign), 'subject_token_not_own')
    // No listener takes SVIDs as assertions here; as the caller's own subject token they are good.
    await grantedTo(asked(through('nightly'), svid()), 'spiffe://cluster.local', on)
    await refused(on, byItself(svid(), JWT_SPIFFE), 'client_method_not_enabled')
  })

  it('an issuers file that could make a user a workload does not load', (t) => {
    const entry = (change: string) => `
spire:
  issuer: https://spire.example
  jwks_uri: https://spire.example/keys
  algorithms: [ES256]
  token_types: [jwt]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: ${change}
`
    refusedAtLoad(t, { issuers: entry('spiffe') }, /^is reserved: a user could be taken/)
    const cluster = entry('cluster').replace('https://spire.example\n', `${CLUSTER}\n`)
    refusedAtLoad(t, { issuers: cluster }, /^this is the cluster’s issuer/)
  })

  it('mesh-sts exchange --own hands in what says who calls, and tells which rule granted it', async () => {
    const { folder, tokenUrl } = full()
    const args = (option: string, token: string) => {
      const file = join(folder, 'own.jwt')
      writeFileSync(file, token)
      return [
        ...['exchange', '--token-endpoint', tokenUrl, '--config', join(folder, 'sts.yaml')],
        ...['--own', option, file, '--for', 'books/ledger'],
      ]
    }
    const bySvid = await run(args('--svid', svid()))
    assert.equal(bySvid.code, 0, bySvid.stderr)
    assert.match(bySvid.stdout, /ledger:close[^\n]*\n[^\n]*granted: justified by books:close/)
    const byAccount = await run(args('--assertion', account()))
    assert.equal(byAccount.code, 0, byAccount.stderr)
    assert.match(byAccount.stdout, /› the SPIFFE ID that the service account has in the mesh/)
    assert.match(byAccount.stdout, /granted: justified by books:close/)
  })
})
