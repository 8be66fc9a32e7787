// What AuthorizationPolicies show: each case changes one thing of a policy that shows one edge.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { observePolicies } from '../../../src/ruleset/draft/policies.ts'

const FRONTEND = 'cluster.local/ns/boutique/sa/frontend'
const TRUST = ['mesh.example', 'partner.example']

interface Change {
  readonly name?: string
  readonly namespace?: string | undefined
  readonly spec?: object
  readonly rule?: object
  readonly source?: object
}

/** frontend may call checkout. */
function policy({ name = 'allow', namespace, spec, rule, source }: Change = {}): object {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: namespace ?? 'boutique', labels: { a: 'b' } },
    spec: {
      selector: { matchLabels: { app: 'checkout' } },
      action: 'ALLOW',
      rules: [{ from: [{ source: { principals: [FRONTEND], ...source } }], ...rule }],
      ...spec,
    },
    status: {},
  }
}

const read = (objects: readonly unknown[], namespace?: string) =>
  observePolicies(objects, { trustDomains: TRUST, namespace })

const edgesOf = (objects: readonly unknown[], namespace?: string) =>
  read(objects, namespace).seen.edges.map(({ from, to }) => `${from} -> ${to}`)
const questionsOf = (objects: readonly unknown[], namespace?: string) =>
  read(objects, namespace).seen.questions.map(({ text }) => text)

const EDGE = 'boutique/frontend -> boutique/checkout'

it('an exact principal of an ALLOW rule is a caller of the labelled workload', () => {
  const { seen, policies } = read([policy()])
  assert.equal(policies, 1)
  assert.deepEqual(seen, {
    services: [
      { name: 'boutique/checkout', by: 'label', identity: undefined },
      { name: 'boutique/frontend', by: 'identity', identity: undefined },
    ],
    edges: [
      {
        from: 'boutique/frontend',
        to: 'boutique/checkout',
        scopes: [],
        source: 'in policy boutique/allow',
        hints: [],
      },
    ],
    asks: [],
    callers: [],
    questions: [],
  })
})

describe('the same, written otherwise', () => {
  const cases: Readonly<Record<string, object>> = {
    'without an action: ALLOW is the default': policy({ spec: { action: undefined } }),
    'null, as a template leaves it': policy({ spec: { action: null, targetRefs: null } }),
    'in our own trust domain': policy({
      source: { principals: ['mesh.example/ns/boutique/sa/frontend'] },
    }),
    'the label app.kubernetes.io/name': policy({
      spec: { selector: { matchLabels: { 'app.kubernetes.io/name': 'checkout' } } },
    }),
    'both labels with one name': policy({
      spec: {
        selector: { matchLabels: { 'app.kubernetes.io/name': 'checkout', app: 'checkout' } },
      },
    }),
    'a Service, for a waypoint': policy({
      spec: { selector: undefined, targetRefs: [{ group: '', kind: 'Service', name: 'checkout' }] },
    }),
    'a Service of a group that is written': policy({
      spec: { selector: null, targetRef: { group: 'core', kind: 'Service', name: 'checkout' } },
    }),
    'empty lists beside the principals': policy({ source: { namespaces: [], notPrincipals: [] } }),
    'in a List of kubectl': {
      apiVersion: 'v1',
      kind: 'List',
      items: [policy(), { kind: 'Pod' }, 1],
    },
    'in an AuthorizationPolicyList': { kind: 'AuthorizationPolicyList', items: [policy()] },
  }
  for (const [name, object] of Object.entries(cases)) {
    it(name, () => {
      assert.deepEqual(edgesOf([object]), [EDGE])
      assert.deepEqual(questionsOf([object]), [])
    })
  }
  it('an identity of another trust domain that is listed', () => {
    const principals = ['partner.example/ns/boutique/sa/frontend']
    const { seen } = read([policy({ source: { principals } })])
    assert.deepEqual(seen.services[1], {
      name: 'boutique/frontend',
      by: 'identity',
      identity: 'spiffe://partner.example/ns/boutique/sa/frontend',
    })
  })
  it('every pair of principals and targets', () => {
    const targetRefs = ['checkout', 'cart'].map((name) => ({ kind: 'Service', name }))
    const principals = [FRONTEND, 'cluster.local/ns/backoffice/sa/support']
    const object = policy({ spec: { selector: undefined, targetRefs }, source: { principals } })
    assert.deepEqual(edgesOf([object]), [
      EDGE,
      'backoffice/support -> boutique/checkout',
      'boutique/frontend -> boutique/cart',
      'backoffice/support -> boutique/cart',
    ])
  })
  it('a namespace for manifests that have none', () => {
    const { metadata: _, ...object } = policy() as { metadata: object }
    const bare = { ...object, metadata: { name: 'allow' } }
    assert.deepEqual(edgesOf([bare], 'boutique'), [EDGE])
    assert.deepEqual(edgesOf([bare]), [])
    assert.match(questionsOf([bare])[0] ?? '', /^policy allow has no namespace .*--namespace/)
  })
})

describe('what narrows a rule stays an edge, and is told', () => {
  const cases: readonly [Change, readonly string[]][] = [
    [
      {
        rule: { to: [{ operation: { methods: ['GET'], paths: ['/a', '/b'], notPorts: ['1'] } }] },
      },
      ['notPorts 1, methods GET, paths /a /b'],
    ],
    [
      {
        rule: {
          when: [
            { key: 'request.auth.claims[scope]', values: ['pay'], notValues: ['x'] },
            { key: 'request.headers[x]' },
          ],
        },
      },
      ['when request.auth.claims[scope] is pay, is not x', 'when request.headers[x] is present'],
    ],
    [
      { source: { requestPrincipals: ['https://a/*'], ipBlocks: ['10.0.0.0/8'] } },
      ['requestPrincipals https://a/*, ipBlocks 10.0.0.0/8'],
    ],
    [
      { source: { principals: undefined, serviceAccounts: ['frontend'] } },
      ['service account boutique/frontend of every trust domain, taken as of our own only'],
    ],
    [
      { source: { principals: undefined, serviceAccounts: ['boutique/frontend'] } },
      ['service account boutique/frontend of every trust domain, taken as of our own only'],
    ],
    [
      { rule: { to: [{ operation: { paths: Array.from({ length: 12 }, (_, at) => `/${at}`) } }] } },
      ['paths /0 /1 /2 /3 /4 /5 /6 /7 and 4 more'],
    ],
  ]
  for (const [change, hints] of cases) {
    it(hints.join('; '), () => {
      const { seen } = read([policy(change)])
      assert.deepEqual(
        seen.edges.map(({ from, to, hints }) => [from, to, hints]),
        [['boutique/frontend', 'boutique/checkout', hints]],
      )
      assert.deepEqual(seen.questions, [])
    })
  }
})

describe('what is wider than a name, or not understood, is a question and never an edge', () => {
  const cases: readonly [name: string, Change, question: RegExp][] = [
    [
      'a prefix',
      { source: { principals: ['cluster.local/ns/boutique/*'] } },
      /\/\* \(a pattern\) call boutique\/checkout: which/,
    ],
    ['a suffix', { source: { principals: ['*/sa/frontend'] } }, /\(a pattern\)/],
    ['anybody with a certificate', { source: { principals: ['*'] } }, /principal \* \(a pattern\)/],
    [
      'a star within',
      { source: { principals: ['cluster.local/ns/*/sa/frontend'] } },
      /\(a pattern\)/,
    ],
    ['a scheme', { source: { principals: [`spiffe://${FRONTEND}`] } }, /means nobody/],
    [
      'another form of identity',
      { source: { principals: ['cluster.local/vm/one'] } },
      /no service account/,
    ],
    [
      'more path than an account has',
      { source: { principals: [`${FRONTEND}/x`] } },
      /no service account/,
    ],
    [
      'a trust domain that is not ours',
      { source: { principals: ['evil.example/ns/boutique/sa/frontend'] } },
      /not in trust_domains/,
    ],
    [
      'an account that is no service name',
      { source: { principals: ['cluster.local/ns/boutique/sa/front.end'] } },
      /needs another name/,
    ],
    [
      'a namespace',
      { source: { principals: undefined, namespaces: ['boutique'] } },
      /lets namespaces boutique call/,
    ],
    [
      'a namespace beside principals',
      { source: { namespaces: ['boutique'] } },
      /principals .*, namespaces boutique call/,
    ],
    ['exceptions', { source: { notPrincipals: ['cluster.local/ns/x/sa/y'] } }, /notPrincipals/],
    ['exceptions of namespaces', { source: { notNamespaces: ['x'] } }, /notNamespaces/],
    ['exceptions of accounts', { source: { notServiceAccounts: ['x/y'] } }, /notServiceAccounts/],
    ['trust domains', { source: { trustDomains: ['*'] } }, /trustDomains/],
    ['accounts beside principals', { source: { serviceAccounts: ['x'] } }, /serviceAccounts x/],
    [
      'a pattern of accounts',
      { source: { principals: undefined, serviceAccounts: ['boutique/*'] } },
      /service account boutique\/\* \(a pattern/,
    ],
    [
      'tokens alone',
      { source: { principals: [], requestPrincipals: ['*'] } },
      /lets requestPrincipals \* call/,
    ],
    ['an empty source', { source: { principals: [] } }, /anybody \(its source is empty\)/],
    ['an empty from', { rule: { from: [] } }, /anybody \(no source is named\)/],
    ['no from', { rule: { from: undefined } }, /anybody/],
    [
      'no from and a condition on the source',
      { rule: { from: undefined, when: [{ key: 'source.principal', values: [FRONTEND] }] } },
      /anybody .* call boutique\/checkout \(when source\.principal is /,
    ],
    [
      'another label',
      { spec: { selector: { matchLabels: { run: 'checkout' } } } },
      /boutique\/frontend call workloads of boutique with run=checkout: which/,
    ],
    [
      'one more label',
      { spec: { selector: { matchLabels: { app: 'checkout', version: 'v2' } } } },
      /app=checkout version=v2/,
    ],
    [
      'two names',
      { spec: { selector: { matchLabels: { app: 'checkout', 'app.kubernetes.io/name': 'pay' } } } },
      /workloads of boutique with/,
    ],
    [
      'a label that is no service name',
      { spec: { selector: { matchLabels: { app: 'Check_Out' } } } },
      /app=Check_Out/,
    ],
    ['no selector', { spec: { selector: undefined } }, /every workload of namespace boutique/],
    ['an empty selector', { spec: { selector: {} } }, /every workload of namespace boutique/],
    [
      'a gateway',
      {
        spec: {
          selector: undefined,
          targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' }],
        },
      },
      /what Gateway waypoint stands for/,
    ],
    [
      'a Service of another group',
      {
        spec: {
          selector: undefined,
          targetRefs: [{ group: 'x', kind: 'Service', name: 'checkout' }],
        },
      },
      /what Service checkout/,
    ],
    [
      'a Service of another namespace',
      {
        spec: {
          selector: undefined,
          targetRefs: [{ kind: 'Service', name: 'checkout', namespace: 'x' }],
        },
      },
      /what Service checkout/,
    ],
    [
      'a Service that no rule file can name',
      { spec: { selector: undefined, targetRefs: [{ kind: 'Service', name: 'a.b' }] } },
      /what Service a\.b/,
    ],
    [
      'the root namespace',
      { namespace: 'istio-system', spec: { selector: undefined } },
      /every workload of the mesh/,
    ],
    [
      'a label in the root namespace',
      { namespace: 'istio-system' },
      /workloads of any namespace with app=checkout/,
    ],
    [
      'a member of a source that is not known',
      { source: { workloads: ['x'] } },
      /was not understood \(spec rules\.0\.from\.0\.source/,
    ],
    ['a member of the policy that is not known', { spec: { mode: 'x' } }, /was not understood/],
    [
      'an action that is not known',
      { spec: { action: 'MAYBE' } },
      /was not understood \(spec action/,
    ],
    ['a type that is not right', { source: { principals: FRONTEND } }, /was not understood/],
    [
      'DENY',
      { spec: { action: 'DENY' } },
      /^policy boutique\/allow \(DENY\) for boutique\/checkout: principals .*frontend: if some of it must hold for tokens too, write it into `denies`$/,
    ],
    ['AUDIT', { spec: { action: 'AUDIT' } }, /\(AUDIT\) .* refuses nothing/],
    [
      'CUSTOM',
      { spec: { action: 'CUSTOM', provider: { name: 'x' } } },
      /\(CUSTOM\) .* another server decides/,
    ],
  ]
  for (const [name, change, question] of cases) {
    it(name, () => {
      const { seen } = read([policy(change)])
      assert.deepEqual(seen.edges, [])
      assert.equal(seen.questions.length, 1, JSON.stringify(seen.questions))
      assert.match(seen.questions[0]?.text ?? '', question)
      assert.deepEqual(seen.services, [])
    })
  }
  it('beside exact principals, which stay callers', () => {
    const object = policy({ source: { principals: ['*', FRONTEND, 'x'] } })
    assert.deepEqual(edgesOf([object]), [EDGE])
    assert.equal(questionsOf([object]).length, 2)
  })
})

it('a policy that allows nothing, and objects that are no policies of Istio, show nothing', () => {
  const others = [
    policy({ spec: { rules: [] } }),
    policy({ spec: { rules: undefined } }),
    { ...policy(), spec: undefined },
    { ...policy(), kind: 'RequestAuthentication' },
    { ...policy(), apiVersion: 'policy.linkerd.io/v1alpha1' },
    null,
    'text',
    [policy()],
  ]
  const { seen, policies } = read(others)
  assert.deepEqual([seen.edges, seen.questions, seen.services, policies], [[], [], [], 3])
})

describe('a DENY policy beside it', () => {
  const deny = (change: Change = {}) =>
    policy({ name: 'deny', ...change, spec: { action: 'DENY', ...change.spec } })
  const both = (object: object) => edgesOf([policy(), object])

  const refusing: Readonly<Record<string, object>> = {
    'names the caller': deny(),
    'names it as our trust domain is called': deny({
      source: { principals: ['mesh.example/ns/boutique/sa/frontend'] },
    }),
    'is for anybody': deny({ rule: { from: undefined } }),
    'has a prefix that it has': deny({ source: { principals: ['cluster.local/ns/boutique/*'] } }),
    'has a suffix that it has': deny({ source: { principals: ['*/sa/frontend'] } }),
    'is for everybody with a certificate': deny({ source: { principals: ['*'] } }),
    'is for its namespace': deny({ source: { principals: [], namespaces: ['boutique'] } }),
    'is for all but others': deny({ source: { principals: [], notNamespaces: ['backoffice'] } }),
    'names its account': deny({ source: { principals: [], serviceAccounts: ['frontend'] } }),
    'names its account in full': deny({
      source: { principals: [], serviceAccounts: ['boutique/frontend'] },
    }),
    'asks for what nobody here knows': deny({ source: { trustDomains: ['*'] } }),
    'is for every workload of the namespace': deny({ spec: { selector: undefined } }),
    'is for workloads that may be this one': deny({
      spec: { selector: { matchLabels: { version: 'v2' } } },
    }),
    'is for the whole mesh': deny({ namespace: 'istio-system', spec: { selector: undefined } }),
    'has a condition on who calls': deny({
      rule: { when: [{ key: 'source.principal', notValues: ['x'] }] },
    }),
    'is not understood': deny({ source: { workloads: ['x'] } }),
    'has one operation without condition': deny({
      rule: { to: [{ operation: { methods: ['GET'] } }, { operation: {} }] },
    }),
  }
  for (const [name, object] of Object.entries(refusing)) {
    it(`that ${name} makes the edge a question`, () => {
      assert.deepEqual(both(object), [])
      const text = `${EDGE}: policy boutique/allow allows it and policy`
      assert.ok(questionsOf([policy(), object]).some((one) => one.startsWith(text)))
    })
  }

  const harmless: Readonly<Record<string, object>> = {
    'names another caller': deny({ source: { principals: ['cluster.local/ns/boutique/sa/x'] } }),
    'names another namespace': deny({ source: { principals: [], namespaces: ['backoffice'] } }),
    'names another account': deny({ source: { principals: [], serviceAccounts: ['x/frontend'] } }),
    'excepts the caller': deny({ source: { principals: [], notPrincipals: [FRONTEND] } }),
    'is for another service': deny({ spec: { selector: { matchLabels: { app: 'cart' } } } }),
    'is for another namespace': deny({ namespace: 'backoffice', spec: { selector: undefined } }),
    'is for some paths': deny({ rule: { to: [{ operation: { paths: ['/admin*'] } }] } }),
    'is for some tokens': deny({ source: { notRequestPrincipals: ['*'] } }),
    'is for some addresses': deny({ source: { ipBlocks: ['10.0.0.0/8'] } }),
    'has a condition on the request': deny({
      rule: { when: [{ key: 'request.headers[x]', values: ['y'] }] },
    }),
  }
  for (const [name, object] of Object.entries(harmless)) {
    it(`that ${name} leaves the edge`, () => assert.deepEqual(both(object), [EDGE]))
  }
})

it('any objects: exact principals or questions, never an exception', () => {
  const texts = fc.oneof(
    fc.constantFrom('*', FRONTEND, `spiffe://${FRONTEND}`, 'boutique/*', 'boutique/frontend', ''),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )
  const lists = fc.option(fc.array(texts, { maxLength: 3 }), { nil: undefined })
  const source = fc.record(
    { principals: lists, notPrincipals: lists, namespaces: lists, serviceAccounts: lists },
    { requiredKeys: [] },
  )
  const spec = fc.record(
    {
      action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT', 'CUSTOM', null),
      selector: fc.record({
        matchLabels: fc.dictionary(fc.constantFrom('app', 'version'), texts, { maxKeys: 2 }),
      }),
      rules: fc.array(
        fc.record(
          { from: fc.array(fc.record({ source }), { maxLength: 2 }) },
          { requiredKeys: [] },
        ),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: [] },
  )
  const objects = fc.array(
    fc.oneof(
      spec.map((one) => policy({ spec: one })),
      fc.anything().map((one) => policy({ spec: one as object })),
      fc.anything(),
    ),
    { maxLength: 4 },
  )
  fc.assert(
    fc.property(objects, (all) => {
      const { seen } = read(all)
      for (const { from } of seen.edges) assert.equal(from, 'boutique/frontend')
    }),
  )
})
