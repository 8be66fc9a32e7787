// Who the STS takes a caller for behind a real sidecar in Istio's default (APPEND_FORWARD) and in what this project
// ships (SANITIZE_SET), while the caller sends X-Forwarded-Client-Cert of its own. What counts is what the database
// holds: the audited caller, or the counted reason.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { issueSvid, makeCa, type TestCa, type TestCertificate } from '../support/certificates.ts'
import {
  type Deployment,
  exchangeForm,
  SETTINGS,
  STS,
  startDeployment,
  userToken,
} from '../support/deployment.ts'
import { startEnvoy } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import { appCluster } from '../support/envoy-config.ts'
import { callMesh, type MeshAnswer, meshIdentity, spiffeIdOf } from '../support/envoy-mesh.ts'
import { loadManifests, type Manifest, sidecarListener } from '../support/istio-manifests.ts'

const { binary, options } = envoyForTests()
const TRUST_DOMAIN = 'cluster.local'
const spiffeId = (account: string) => spiffeIdOf(TRUST_DOMAIN, 'boutique', account)
/** May exchange the user's token: the one to be. */
const FRONTEND = spiffeId('frontend')
/** No service of the ruleset: what it gets by itself is an audited denial. */
const CART = spiffeId('cart')
/** A whole element as the STS's own sidecar would write it. */
const elementFor = (id: string) => `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${id}`

type Mode = 'append_forward' | 'sanitize_set'

interface Mesh {
  readonly deployment: Deployment
  readonly ca: TestCa
  /** Asks for a token for checkout, through a sidecar: the STS's, or one that names another service in By. */
  ask(
    certificate: TestCertificate,
    xfccLines?: readonly string[],
    sidecar?: 'token' | 'misrouted',
  ): Promise<MeshAnswer>
  /** The same from loopback, past the sidecar. */
  askAround(xfccLines: readonly string[]): Promise<MeshAnswer>
}

async function startMesh(t: TestContext, mode: Mode): Promise<Mesh> {
  const relaxed = SETTINGS.replace('mode: sanitize_set', 'mode: append_forward')
  const settings = `${relaxed}relaxations: {allow_xfcc_append_forward: true}\n`
  const files = mode === 'append_forward' ? { 'sts.yaml': settings } : {}
  const deployment = await startDeployment(t, files)
  const ca = makeCa(TRUST_DOMAIN)
  const manifests = mode === 'append_forward' ? withIstioDefaults() : loadManifests()
  const sidecar = { namespace: 'mesh-sts', app: 'mesh-sts', port: 8080, cluster: 'sts' }
  const envoy = await startEnvoy({
    binary,
    listeners: [
      sidecarListener({ ...sidecar, name: 'token', identity: meshIdentity(ca, STS) }, manifests),
      sidecarListener(
        { ...sidecar, name: 'misrouted', identity: meshIdentity(ca, spiffeId('payment')) },
        manifests,
      ),
    ],
    clusters: [appCluster('sts', deployment.server.addresses.token.port)],
  })
  t.after(() => envoy.stop())
  const post = (xfccLines: readonly string[]) => ({
    method: 'POST',
    path: '/token',
    headers: [
      ...['content-type', 'application/x-www-form-urlencoded'],
      ...xfccLines.flatMap((line) => ['x-forwarded-client-cert', line]),
    ],
    body: new URLSearchParams(exchangeForm(userToken(deployment))).toString(),
  })
  return {
    deployment,
    ca,
    ask: (certificate, xfccLines = [], listener = 'token') => {
      const server = listener === 'token' ? STS : spiffeId('payment')
      const tls = { rootPem: ca.certPem, certificate, server }
      return callMesh({ ...post(xfccLines), port: envoy.port(listener), tls })
    },
    askAround: (xfccLines) =>
      callMesh({ ...post(xfccLines), port: deployment.server.addresses.token.port }),
  }
}

/** deploy/istio without the annotation that sets SANITIZE_SET. */
function withIstioDefaults(): Manifest[] {
  return loadManifests().map((object) => {
    if (object.kind !== 'Deployment') return object
    const copy = structuredClone(object)
    delete copy.spec.template.metadata.annotations
    return copy
  })
}

interface AuditRow {
  readonly seq: number
  readonly caller: string
  readonly outcome: string
  readonly reason: string | null
}

const auditRows = ({ deployment }: Mesh): AuditRow[] =>
  deployment.db
    .prepare<[], AuditRow>('SELECT seq, caller, outcome, reason FROM audit ORDER BY seq')
    .all()

/** What the database has to hold of one request. */
type Ending =
  | { readonly granted: string }
  | { readonly denied: string }
  /** Nobody: counted, not audited. */
  | { readonly counted: string; readonly status?: number }

const GRANTED_TO_FRONTEND: Ending = { granted: FRONTEND }
const CART_ITSELF: Ending = { denied: CART }
const counted = (reason: string, status = 401): Ending => ({ counted: reason, status })

interface Case {
  readonly name: string
  readonly request: (mesh: Mesh) => Promise<MeshAnswer>
  readonly append: Ending
  readonly sanitize: Ending
}

const frontend = ({ ca }: Mesh, overrides = {}) => issueSvid(ca, FRONTEND, overrides)
const cart = ({ ca }: Mesh, overrides = {}) => issueSvid(ca, CART, overrides)
const forgedBy =
  (who: typeof cart, ...lines: readonly string[]): Case['request'] =>
  (mesh) =>
    mesh.ask(who(mesh), lines)

/** Cart sends a header that would make a lenient reader take it for frontend. */
const attack = (name: string, append: Ending, ...lines: readonly string[]): Case => ({
  name,
  request: forgedBy(cart, ...lines),
  append,
  sanitize: CART_ITSELF,
})

const MALFORMED = counted('client_xfcc_malformed')
const JSON_REFUSED = counted('client_xfcc_json')

const CASES: readonly Case[] = [
  {
    name: 'no header of its own, a service: granted',
    request: forgedBy(frontend),
    append: GRANTED_TO_FRONTEND,
    sanitize: GRANTED_TO_FRONTEND,
  },
  attack('no header of its own, no service: denied', CART_ITSELF),
  attack(
    'field-6 #16 a forged element: the sender is who it is',
    CART_ITSELF,
    elementFor(FRONTEND),
  ),
  {
    name: 'a service that forges another name stays itself',
    request: forgedBy(frontend, elementFor(CART)),
    append: GRANTED_TO_FRONTEND,
    sanitize: GRANTED_TO_FRONTEND,
  },
  attack(
    'field-6 #16 several forged elements on two lines',
    CART_ITSELF,
    `${elementFor(FRONTEND)},${elementFor(FRONTEND)}`,
    elementFor(FRONTEND),
  ),
  attack('an empty header counts as none', CART_ITSELF, ''),
  attack(
    'field-6 #16 quote imbalance before our element',
    MALFORMED,
    `By=${STS};Hash=${'0'.repeat(64)};URI=${FRONTEND};Subject="`,
  ),
  attack('a backslash before our comma', MALFORMED, `${elementFor(FRONTEND)};Subject="\\`),
  attack('an element that never ends', MALFORMED, `${elementFor(FRONTEND)};`),
  attack('text that is no element', MALFORMED, 'frontend'),
  attack(
    'the JSON switch: an array',
    JSON_REFUSED,
    `[${JSON.stringify({ by: [STS], hash: '0'.repeat(64), uri: [FRONTEND] })}]`,
  ),
  attack('the JSON switch: an empty array', JSON_REFUSED, '[]'),
  attack('the JSON switch: an object', JSON_REFUSED, JSON.stringify({ uri: [FRONTEND] })),
  attack(
    'more than this service reads of headers',
    counted('request_header_too_large', 431),
    elementFor(FRONTEND.padEnd(20_000, 'x')),
  ),
  {
    name: 'a certificate with two URI names is nobody',
    request: (mesh) => mesh.ask(cart(mesh, { uris: [CART, FRONTEND] })),
    append: counted('client_xfcc_uri'),
    sanitize: counted('client_xfcc_uri'),
  },
  {
    name: 'By names another service: a sidecar that is not ours',
    request: (mesh) => mesh.ask(frontend(mesh), [], 'misrouted'),
    append: counted('client_xfcc_by_mismatch'),
    sanitize: counted('client_xfcc_by_mismatch'),
  },
  {
    name: 'two lines never passed a sidecar',
    request: (mesh) => mesh.askAround([elementFor(FRONTEND), elementFor(FRONTEND)]),
    append: counted('client_xfcc_repeated'),
    sanitize: counted('client_xfcc_repeated'),
  },
  {
    name: 'P8 an element inside a URI name: refused by sanitize_set, UNSOUND under append_forward (the CA must refuse it)',
    request: (mesh) => mesh.ask(cart(mesh, { uris: [`${CART},${elementFor(FRONTEND)}`] })),
    append: GRANTED_TO_FRONTEND,
    sanitize: counted('client_xfcc_several_elements'),
  },
  {
    name: 'P8 an element inside a DNS name: refused by sanitize_set, UNSOUND under append_forward (the CA must refuse it)',
    request: (mesh) => mesh.ask(cart(mesh, { dns: [`cart,${elementFor(FRONTEND)}`] })),
    append: GRANTED_TO_FRONTEND,
    sanitize: counted('client_xfcc_several_elements'),
  },
]

async function check(mesh: Mesh, request: Case['request'], ending: Ending): Promise<void> {
  const before = auditRows(mesh).length
  const { status, body } = await request(mesh)
  const added = auditRows(mesh).slice(before)
  if ('counted' in ending) {
    assert.equal(status, ending.status, body)
    if (status === 401) assert.equal(JSON.parse(body).error, 'invalid_client')
    assert.deepEqual(added, [])
    return
  }
  const [caller, outcome, reason, wire] =
    'granted' in ending
      ? [ending.granted, 'granted', null, 200]
      : [ending.denied, 'denied', 'client_unknown', 400]
  assert.equal(status, wire, body)
  assert.deepEqual(
    added.map((row) => [row.caller, row.outcome, row.reason]),
    [[caller, outcome, reason]],
  )
}

/** Counts by reason, in the order of their names. */
function countsOf(endings: readonly Ending[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const ending of endings) {
    if ('counted' in ending) counts.set(ending.counted, (counts.get(ending.counted) ?? 0) + 1)
  }
  return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

describe('X-Forwarded-Client-Cert of the caller’s own', options, () => {
  for (const mode of ['append_forward', 'sanitize_set'] as const) {
    test(`sidecar and STS in ${mode}`, async (t) => {
      const mesh = await startMesh(t, mode)
      const endings = CASES.map(({ append, sanitize }) =>
        mode === 'append_forward' ? append : sanitize,
      )
      for (const [index, { name, request }] of CASES.entries()) {
        const ending = endings[index]
        assert.ok(ending)
        await t.test(name, () => check(mesh, request, ending))
      }
      await t.test('P3 the refusals are counted by reason', async () => {
        // The last counts are written when the server stops.
        await mesh.deployment.server.stop()
        const rows = mesh.deployment.db
          .prepare<[], { reason: string; count: number }>(
            'SELECT reason, sum(count) AS count FROM refusal_counts GROUP BY reason ORDER BY reason',
          )
          .all()
        assert.deepEqual(
          rows.map(({ reason, count }) => [reason, count]),
          countsOf(endings),
        )
      })
    })
  }

  test('P8 append_forward: no header that a caller sends makes it somebody else', async (t) => {
    const mesh = await startMesh(t, 'append_forward')
    const certificate = cart(mesh)
    const fragment = fc.constantFrom(
      ...['By=', 'URI=', 'Subject=', 'Hash=', 'DNS=', 'x=', STS, FRONTEND, elementFor(FRONTEND)],
      ...['"', '\\', '\\"', ',', ';', '=', '[', ']', '{', '}', ' ', '""', '[]', '0'],
    )
    const header = fc.array(fragment, { minLength: 1, maxLength: 10 }).map((all) => all.join(''))
    let isOnceItself = false
    await fc.assert(
      fc.asyncProperty(fc.array(header, { minLength: 1, maxLength: 3 }), async (lines) => {
        const { status, body } = await mesh.ask(certificate, lines)
        assert.ok(status === 400 || status === 401, `${status} ${body}`)
        isOnceItself ||= status === 400
      }),
      { numRuns: 150, examples: [[[elementFor(FRONTEND)]]] },
    )
    assert.ok(isOnceItself)
    assert.deepEqual([...new Set(auditRows(mesh).map(({ caller }) => caller))], [CART])
  })
})
