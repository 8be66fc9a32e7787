// The built-in issuer `workload`: whose own token it is, how it is told from others, and what it may not become.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createJwtSvid } from '../../src/clients/jwt-svid.ts'
import { createKubernetes, type KubernetesOptions } from '../../src/clients/kubernetes.ts'
import type { SpiffeId } from '../../src/clients/spiffe-id.ts'
import { workloadFail } from '../../src/clients/workload-proof.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import type { TokenType } from '../../src/oauth/names.ts'
import type { Reason, Result } from '../../src/oauth/reasons.ts'
import { type Presenter, presenterOf } from '../../src/subjects/presenter.ts'
import type { Subject } from '../../src/subjects/subject.ts'
import type { WorkloadProofs } from '../../src/subjects/workload-token.ts'
import { OUTAGE } from '../clients/assertions.ts'
import { workload } from '../support/facts.ts'
import { makeKey, signJwt, signRaw, type TestKey } from '../support/jwt-fixtures.ts'
import { BOUTIQUE, compiled } from '../support/rules.ts'
import {
  CORP_ISS,
  corpClaims,
  corpKey,
  corporate,
  fixedSource,
  makeVerifier,
  NOW,
  NOW_SECONDS,
  partner,
  SELF_ISS,
  selfClaims,
  selfKey,
} from '../support/token-verifier.ts'

const JOB = 'spiffe://cluster.local/ns/books/sa/nightly'
const CLUSTER = 'https://kubernetes.default.svc.cluster.local'

/** Keys of different holders under one kid: the kid alone never decides. */
const sameKid = (key: TestKey): TestKey => ({
  ...key,
  kid: 'k',
  jwk: { ...key.jwk, kid: 'k' },
})
const bundleKey = sameKid(makeKey('ES256', 'bundle'))
const partnerBundleKey = sameKid(makeKey('ES256', 'partner-bundle'))
const clusterKey = sameKid(makeKey('ES256', 'cluster'))
const strangerKey = sameKid(makeKey('ES256', 'stranger'))

const signatures = createSignatureVerifier({ cacheEntries: 100 })
const svidProof = createJwtSvid({
  issuer: SELF_ISS,
  bundles: new Map([
    ['cluster.local', fixedSource(bundleKey)],
    ['partner.example', fixedSource(partnerBundleKey)],
    ['down.example', OUTAGE],
  ]),
  verifier: signatures,
  skewSeconds: 30,
})
const clusterProof = (change: Partial<KubernetesOptions> = {}) => ({
  issuer: CLUSTER,
  prove: createKubernetes({
    issuer: CLUSTER,
    audience: SELF_ISS,
    trustDomain: 'cluster.local',
    verification: { kind: 'offline', keys: fixedSource(clusterKey), verifier: signatures },
    skewSeconds: 30,
    ...change,
  }),
})
const BOTH: WorkloadProofs = { jwtSvid: svidProof, kubernetes: clusterProof() }

const job: Presenter = {
  name: 'books/nightly',
  audience: 'nightly.books',
  grants: new Set(['books:close']),
  spiffeId: JOB as SpiffeId,
}
const as = (spiffeId: string | undefined): Presenter => ({
  ...job,
  spiffeId: spiffeId as SpiffeId | undefined,
})

type Claims = Readonly<Record<string, unknown>>
const svidClaims: Claims = { sub: JOB, aud: [SELF_ISS], exp: NOW_SECONDS + 300, iat: NOW_SECONDS }
const bound = (namespace: string, name: string): Claims => ({
  sub: `system:serviceaccount:${namespace}:${name}`,
  'kubernetes.io': { namespace, serviceaccount: { name, uid: 'a1' } },
})
const accountClaims: Claims = {
  iss: CLUSTER,
  aud: [SELF_ISS],
  exp: NOW_SECONDS + 3600,
  iat: NOW_SECONDS,
  nbf: NOW_SECONDS,
  jti: '3f1e',
  ...bound('books', 'nightly'),
}

interface Change {
  readonly claims?: Claims
  readonly header?: Claims
  readonly key?: TestKey
  readonly type?: TokenType
  readonly presenter?: Presenter
  readonly workloads?: WorkloadProofs
}
type Kind = 'an SVID' | 'an account token'

function tokenOf(kind: Kind, { key, claims, header }: Change = {}): string {
  return kind === 'an SVID'
    ? signJwt(key ?? bundleKey, { ...svidClaims, ...claims }, { typ: 'JWT', ...header })
    : signJwt(key ?? clusterKey, { ...accountClaims, ...claims }, { typ: undefined, ...header })
}

const ask = (token: string, change: Change = {}, now = NOW): Promise<Result<Subject>> =>
  makeVerifier([corporate, partner], change.workloads ?? BOTH).verifySubject(
    token,
    change.type ?? 'jwt',
    change.presenter ?? job,
    now,
  )
const subjectOf = (kind: Kind, change: Change = {}) => ask(tokenOf(kind, change), change)
const reasonOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.reason)

async function verified(asked: Promise<Result<Subject>>): Promise<Subject> {
  const result = await asked
  if (!result.ok) assert.fail(`${result.reason} ${result.detail}`)
  return result.value
}

describe("a workload's own token", () => {
  test('an SVID is a subject that brings the grants of its service, and nothing else', async () => {
    const token = tokenOf('an SVID')
    const { scopes, claims, ...rest } = await verified(ask(token))
    assert.deepEqual({ ...claims }, svidClaims)
    assert.deepEqual(rest, {
      issuer: 'workload',
      iss: 'spiffe://cluster.local',
      sub: JOB,
      qualifiedSub: JOB,
      tokenType: 'jwt',
      audiences: [SELF_ISS],
      exp: NOW_SECONDS + 300,
      chain: [],
      tokenHash: createHash('sha256').update(token).digest('hex'),
    } as never)
    assert.deepEqual([...scopes], ['books:close'])
  })

  test('a service-account token is the workload that its account is in the mesh', async () => {
    const token = tokenOf('an account token')
    const { scopes, claims, ...rest } = await verified(ask(token))
    assert.deepEqual(rest, {
      issuer: 'workload',
      iss: CLUSTER,
      sub: JOB,
      qualifiedSub: JOB,
      tokenType: 'jwt',
      audiences: [SELF_ISS],
      exp: NOW_SECONDS + 3600,
      chain: [],
      jti: '3f1e',
      tokenHash: createHash('sha256').update(token).digest('hex'),
    } as never)
    assert.deepEqual([...scopes], ['books:close'])
    assert.equal(claims.sub, 'system:serviceaccount:books:nightly')
  })

  test('P1 what a token says of scopes is nothing; grants come from the rules alone', async () => {
    for (const kind of ['an SVID', 'an account token'] as const) {
      const { scopes } = await verified(
        subjectOf(kind, { claims: { scope: 'books:burn', chain: [JOB] } }),
      )
      assert.deepEqual([...scopes], ['books:close'])
      const without = subjectOf(kind, { presenter: { ...job, grants: new Set() } })
      assert.equal((await verified(without)).scopes.size, 0)
    }
  })

  test('P1 exp is rounded down', async () => {
    for (const kind of ['an SVID', 'an account token'] as const) {
      const claims = { exp: NOW_SECONDS + 60.9 }
      assert.equal((await verified(subjectOf(kind, { claims }))).exp, NOW_SECONDS + 60)
    }
  })

  test('field-6 #25 it is presented many times until it expires', async () => {
    for (const kind of ['an SVID', 'an account token'] as const) {
      const token = tokenOf(kind, { claims: { jti: 'same' } })
      for (let times = 0; times < 3; times++) assert.equal((await ask(token)).ok, true)
      assert.equal(reasonOf(await ask(token, {}, NOW + 3_600_000)), 'subject_token_expired')
    }
  })

  test('each method does without the other', async () => {
    const svid = subjectOf('an SVID', { workloads: { jwtSvid: svidProof } })
    const account = subjectOf('an account token', { workloads: { kubernetes: clusterProof() } })
    for (const asked of [svid, account]) assert.equal((await verified(asked)).sub, JOB)
  })

  test('an iss that is not trusted leads nowhere, as in the assertion (SC-03)', async () => {
    const { iss } = await verified(
      subjectOf('an SVID', { claims: { iss: 'https://spire.example' } }),
    )
    assert.equal(iss, 'spiffe://cluster.local')
  })

  test('the presenter is the service, and the workload that authenticated as it', () => {
    const service = compiled(BOUTIQUE).services.get('boutique/checkout')
    assert.ok(service)
    const client = workload('checkout')
    assert.deepEqual(presenterOf(service, client), {
      name: 'boutique/checkout',
      audience: service.audience,
      grants: service.grants,
      spiffeId: client.id,
    })
    const outside = { ...client, identity: { kind: 'registered', service: 'x/y' } } as const
    assert.equal(presenterOf(service, outside).spiffeId, undefined)
  })
})

/** Each changes one thing of a good token, or of who presents it; the end is the same for both kinds. */
const REFUSED: Readonly<Record<string, readonly [Reason, Change]>> = {
  'another workload presents it': [
    'subject_token_not_own',
    { presenter: as('spiffe://cluster.local/ns/books/sa/weekly') },
  ],
  'the same account of another namespace presents it': [
    'subject_token_not_own',
    { presenter: as('spiffe://cluster.local/ns/shop/sa/nightly') },
  ],
  'the same account of another trust domain presents it': [
    'subject_token_not_own',
    { presenter: as('spiffe://partner.example/ns/books/sa/nightly') },
  ],
  'a caller outside the mesh presents it': ['subject_token_not_own', { presenter: as(undefined) }],
  'as access token': ['subject_token_type_not_accepted', { type: 'access_token' }],
  'as ID token': ['subject_token_type_not_accepted', { type: 'id_token' }],
  'for somebody else': [
    'subject_token_audience_not_accepted',
    { claims: { aud: 'https://other.example' } },
  ],
  'for us and somebody else': [
    'subject_token_audience_not_accepted',
    { claims: { aud: [SELF_ISS, 'https://other.example'] } },
  ],
  'for the service itself, like our own tokens': [
    'subject_token_audience_not_accepted',
    { claims: { aud: job.audience } },
  ],
  'no audience': ['subject_token_claim_malformed', { claims: { aud: undefined } }],
  'another key under the kid': ['subject_token_signature_invalid', { key: strangerKey }],
  'a key that nobody has': ['subject_token_key_unknown', { header: { kid: 'other' } }],
  'an algorithm that the method does not take': [
    'subject_token_algorithm_not_allowed',
    { key: { ...makeKey('EdDSA', 'ed'), kid: 'k' } },
  ],
  'an access token by its typ': ['subject_token_typ_not_accepted', { header: { typ: 'at+jwt' } }],
  expired: ['subject_token_expired', { claims: { iat: NOW_SECONDS - 60, exp: NOW_SECONDS } }],
  'not yet valid': ['subject_token_not_yet_valid', { claims: { nbf: NOW_SECONDS + 31 } }],
  'no exp': ['subject_token_claim_malformed', { claims: { exp: undefined } }],
  'a jti that is no text': ['subject_token_claim_malformed', { claims: { jti: 7 } }],
  'a jti of 513 characters': [
    'subject_token_claim_malformed',
    { claims: { jti: 'x'.repeat(513) } },
  ],
  'field-6 #22 a confirmation': [
    'subject_token_confirmation_unsupported',
    { claims: { cnf: { jkt: 'x' } } },
  ],
  'a confirmation that is null': [
    'subject_token_confirmation_unsupported',
    { claims: { cnf: null } },
  ],
  'P2 act': ['subject_token_act_malformed', { claims: { act: { sub: 'agent-7' } } }],
  'P2 may_act': ['subject_token_may_act_malformed', { claims: { may_act: { sub: JOB } } }],
}

/** The same, where only one kind has it. */
const REFUSED_SVIDS: typeof REFUSED = {
  'another header member': ['subject_token_header_not_accepted', { header: { cty: 'JWT' } }],
  'a trust domain without a workload': [
    'subject_token_claim_malformed',
    { claims: { sub: 'spiffe://cluster.local' } },
  ],
  'a path that is no SPIFFE ID': [
    'subject_token_claim_malformed',
    { claims: { sub: `${JOB}/../weekly` } },
  ],
  'field-6 #23 a trust domain that nobody configured': [
    'subject_token_issuer_not_trusted',
    { claims: { sub: 'spiffe://evil.example/ns/books/sa/nightly' } },
  ],
  'the ID of one trust domain by the key of another': [
    'subject_token_signature_invalid',
    { key: partnerBundleKey },
  ],
  'P4 a bundle that cannot be had': [
    'subject_token_issuer_unavailable',
    { claims: { sub: 'spiffe://down.example/ns/books/sa/nightly' } },
  ],
  'a good SVID of a workload that is called alike in another trust domain': [
    'subject_token_not_own',
    { key: partnerBundleKey, claims: { sub: JOB.replace('cluster.local', 'partner.example') } },
  ],
  'the iss of a trusted issuer': ['subject_token_typ_not_accepted', { claims: { iss: CORP_ISS } }],
  'our own iss': ['subject_token_typ_not_accepted', { claims: { iss: SELF_ISS } }],
  "the cluster's iss": ['subject_token_signature_invalid', { claims: { iss: CLUSTER } }],
  'a SPIFFE ID behind something else': [
    'subject_token_issuer_not_trusted',
    { claims: { sub: `x:${JOB}`, iss: 'https://spire.example' } },
  ],
  'SPIFFE in capitals': [
    'subject_token_claim_malformed',
    { claims: { sub: JOB.replace('spiffe', 'SPIFFE') } },
  ],
  'an iss that is a list': ['subject_token_claim_malformed', { claims: { iss: [CORP_ISS] } }],
  'an iss that is null': ['subject_token_claim_malformed', { claims: { iss: null } }],
  'an empty iss': ['subject_token_claim_malformed', { claims: { iss: '' } }],
  'an iss with a line feed': [
    'subject_token_claim_malformed',
    { claims: { iss: `${CORP_ISS}\n` } },
  ],
  'no such method': ['subject_token_claim_malformed', { workloads: {} }],
  'the other method alone': [
    'subject_token_claim_malformed',
    { workloads: { kubernetes: clusterProof() } },
  ],
}

const review = (end: ReturnType<typeof workloadFail>): Change => ({
  workloads: {
    kubernetes: clusterProof({ verification: { kind: 'online', review: async () => end } }),
  },
})
const REFUSED_ACCOUNTS: typeof REFUSED = {
  'the life of a year': [
    'subject_token_lifetime_too_long',
    { claims: { exp: NOW_SECONDS + 31_536_000 } },
  ],
  'an account that kubernetes.io does not confirm': [
    'subject_token_claim_malformed',
    { claims: { sub: 'system:serviceaccount:books:weekly' } },
  ],
  'a user of the cluster': ['subject_token_claim_malformed', { claims: { sub: 'alice' } }],
  'a SPIFFE ID under the cluster’s iss': [
    'subject_token_claim_malformed',
    { claims: { sub: JOB } },
  ],
  'another account': ['subject_token_not_own', { claims: bound('books', 'weekly') }],
  'the key of the trust domain': ['subject_token_signature_invalid', { key: bundleKey }],
  'the iss with a slash more': [
    'subject_token_issuer_not_trusted',
    { claims: { iss: `${CLUSTER}/` } },
  ],
  'no iss': ['subject_token_claim_malformed', { claims: { iss: undefined } }],
  'a cluster of another trust domain': [
    'subject_token_not_own',
    { workloads: { kubernetes: clusterProof({ trustDomain: 'partner.example' }) } },
  ],
  'the API server does not stand by it': [
    'subject_token_review_refused',
    review(workloadFail('token_review_refused', 'the pod is gone')),
  ],
  'P4 the API server does not say': [
    'subject_token_issuer_unavailable',
    review(workloadFail('token_review_unavailable', 'answered with status 500', 1)),
  ],
  'no such method': ['subject_token_issuer_not_trusted', { workloads: {} }],
  'the other method alone': [
    'subject_token_issuer_not_trusted',
    { workloads: { jwtSvid: svidProof } },
  ],
}

describe('one thing wrong', () => {
  for (const [kind, cases] of [
    ['an SVID', { ...REFUSED, ...REFUSED_SVIDS }],
    ['an account token', { ...REFUSED, ...REFUSED_ACCOUNTS }],
  ] as const) {
    for (const [name, [reason, change]] of Object.entries(cases)) {
      test(`${kind}: ${name}`, async () => {
        assert.equal(reasonOf(await subjectOf(kind, change)), reason)
      })
    }
  }

  test('P4 an outage says when to come back', async () => {
    const down = { claims: { sub: 'spiffe://down.example/ns/books/sa/nightly' } }
    const bundle = await subjectOf('an SVID', down)
    const api = await subjectOf(
      'an account token',
      review(workloadFail('token_review_unavailable', 'answered with status 500', 1)),
    )
    assert.deepEqual(
      [bundle, api].map((end) => !end.ok && end.retryAfterSeconds),
      [7, 1],
    )
  })

  test('the API server is asked about the token as it is', async () => {
    const asked: string[] = []
    const verification: KubernetesOptions['verification'] = {
      kind: 'online',
      review: async ({ token }, sub) => {
        asked.push(token, sub)
        return { ok: true, value: undefined }
      },
    }
    const token = tokenOf('an account token')
    const change = { workloads: { kubernetes: clusterProof({ verification }) } }
    assert.equal(reasonOf(await ask(token, change)), 'ok')
    assert.deepEqual(asked, [token, 'system:serviceaccount:books:nightly'])
  })
})

describe('no token becomes another kind', () => {
  test('a user of a trusted issuer who is called like a workload stays its user', async () => {
    const token = signJwt(corpKey, { ...corpClaims, sub: JOB })
    const frontend = { ...job, name: 'boutique/frontend' }
    const subject = await verified(ask(token, { type: 'access_token', presenter: frontend }))
    assert.deepEqual(
      [subject.issuer, subject.qualifiedSub, subject.scopes.has('books:close')],
      ['corporate', `corp:${JOB}`, false],
    )
  })

  test('our own token for a workload is ours, and brings what it was issued with', async () => {
    const claims = { ...selfClaims, sub: JOB, aud: job.audience, act: { sub: JOB }, chain: [JOB] }
    const subject = await verified(ask(signJwt(selfKey, claims)))
    assert.deepEqual(
      [subject.issuer, subject.qualifiedSub, [...subject.scopes], subject.chain],
      ['self', JOB, ['frontend:view'], [JOB]],
    )
  })

  test('an assertion for a registered key is no subject token', async () => {
    const claims = {
      iss: 'partners/batch',
      sub: 'partners/batch',
      aud: SELF_ISS,
      exp: NOW_SECONDS + 60,
    }
    const token = signJwt(bundleKey, claims, { typ: 'JWT' })
    assert.equal(reasonOf(await ask(token)), 'subject_token_issuer_not_trusted')
  })

  for (const kind of ['an SVID', 'an account token'] as const) {
    test(`${kind} is no actor token`, async () => {
      const verifier = makeVerifier([corporate], BOTH)
      const result = await verifier.verifyActor(tokenOf(kind), 'jwt', job, NOW)
      assert.equal(reasonOf(result), 'actor_token_issuer_not_trusted')
    })
  }

  test('an issuer that could be taken for it means no start', () => {
    const named = { ...corporate, name: 'workload' }
    assert.throws(() => makeVerifier([named]), /share a name or an iss/)
    const cluster = { ...corporate, iss: CLUSTER }
    assert.throws(() => makeVerifier([cluster], BOTH), /the cluster's issuer is a trusted issuer/)
    makeVerifier([cluster])
  })
})

/** Who could have signed a workload's token, by its SPIFFE ID and how it says so. */
const KEYS = [bundleKey, partnerBundleKey, clusterKey, strangerKey, corpKey, selfKey]
const IDS: readonly [string, ...string[]] = [
  JOB,
  JOB.replace('cluster.local', 'partner.example'),
  'spiffe://cluster.local/ns/books/sa/weekly',
  'spiffe://cluster.local/ns/books:nightly/sa/x',
]
const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))

/** Up to three claims replaced: more and hardly any token would be good. */
const someClaims = fc
  .tuple(
    fc.record({
      iss: fc.constantFrom<unknown>(CLUSTER, CORP_ISS, SELF_ISS, 'https://spire.example', null),
      sub: fc.constantFrom<unknown>(...IDS, 'system:serviceaccount:books:nightly', 'alice'),
      aud: fc.constantFrom<unknown>(SELF_ISS, [SELF_ISS, 'x'], 'https://api.shop.example'),
      'kubernetes.io': fc.constantFrom<unknown>(
        bound('books', 'nightly')['kubernetes.io'],
        bound('books', 'weekly')['kubernetes.io'],
      ),
      scope: fc.constant('books:burn'),
      act: fc.constantFrom<unknown>({ sub: JOB }, null),
    }),
    fc.subarray(['iss', 'sub', 'aud', 'kubernetes.io', 'scope', 'act'], { maxLength: 3 }),
  )
  .map(([all, names]) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name))),
  )

const anyCase = fc.record({
  kind: fc.constantFrom<Kind>('an SVID', 'an account token'),
  key: fc.option(fc.constantFrom(...KEYS), { nil: undefined, freq: 2 }),
  type: mostly<TokenType>('jwt', 'access_token', 'id_token'),
  presenter: mostly<string | undefined>(...IDS, undefined),
  claims: someClaims,
  typ: mostly<string | undefined>('JWT', undefined, 'at+jwt'),
})

test('P1 P2 property: whatever the claims, nobody passes as another workload, nor with other scopes', async () => {
  const seen = { workload: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(anyCase, async ({ kind, key, type, presenter, claims, typ }) => {
      const change = {
        ...(key && { key }),
        claims,
        header: { typ },
        type,
        presenter: as(presenter),
      }
      const result = await subjectOf(kind, change)
      if (!result.ok) {
        seen.refused++
        return
      }
      const { value: subject } = result
      assert.equal(subject.issuer, 'workload')
      seen.workload++
      assert.equal(subject.sub, presenter)
      assert.equal(subject.qualifiedSub, presenter)
      assert.deepEqual(
        [type, [...subject.scopes], subject.act],
        ['jwt', ['books:close'], undefined],
      )
      const signer = key ?? (kind === 'an SVID' ? bundleKey : clusterKey)
      const domainKey = presenter?.includes('partner.example') ? partnerBundleKey : bundleKey
      assert.equal(signer, subject.iss === CLUSTER ? clusterKey : domainKey)
    }),
    { numRuns: 2000 },
  )
  assert.ok(seen.workload > 20 && seen.refused > 20, JSON.stringify(seen))
})

test('property: hostile claims are refused with a reason, never thrown', async () => {
  const name = fc.constantFrom(
    'iss',
    'sub',
    'aud',
    'exp',
    'iat',
    'nbf',
    'jti',
    'kubernetes.io',
    'cnf',
  )
  const text = fc.oneof(fc.string(), fc.constantFrom(JOB, `${JOB}\0`, 'spiffe://', CLUSTER))
  const value = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Kind>('an SVID', 'an account token'),
      fc.dictionary(name, value, { maxKeys: 3 }),
      async (kind, claims) => {
        const base = kind === 'an SVID' ? svidClaims : accountClaims
        const header = JSON.stringify({ alg: 'ES256', kid: 'k', typ: 'JWT' })
        const key = kind === 'an SVID' ? bundleKey : clusterKey
        const token = signRaw(header, JSON.stringify({ ...base, ...claims }), key)
        const result = await ask(token)
        if (result.ok) assert.equal(result.value.sub, JOB)
        else assert.match(result.reason, /^subject_token_/)
      },
    ),
    { numRuns: 500 },
  )
})
