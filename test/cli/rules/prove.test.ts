// rules prove, on real files in a temporary folder.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { deployment, ISSUERS_YAML, RULES_YAML, runCli } from '../run-cli.ts'

/** An order is paid by a token that travels inside checkout's. */
const RULES = `namespace: boutique
services:
  frontend:
    calls: [checkout]
  checkout:
    audience: https://checkout.boutique.example
    scopes: [checkout:place]
    claims: [email]
    calls: [payment, mailer]
    accepts:
      - from: frontend
        issuer: corporate
        when: subject.claims.email_verified == true
        scopes: {checkout:place: [shop:buy]}
        embed: [payment]
  payment:
    scopes: [payment:charge, payment:refund]
    embeddable: true
    accepts:
      - {from: checkout, scopes: {payment:charge: [checkout:place]}}
  mailer:
    scopes: [mail:send]
    claims: [email]
    accepts:
      - {from: checkout, scopes: {mail:send: [checkout:place]}}
`
const HOLDS = 'namespace: boutique\nnever:\n  - {caller: frontend, obtains: payment:refund}\n'
const FAILS = `namespace: boutique
never:
  - {caller: frontend, obtains: payment:charge, reason: it takes a mailer to ruin a day}
  - {service: payment, sees: email}
  - {service: boutique/*, sees: email}
`

const prove = (tests: string, ...args: string[]) =>
  runCli(['rules', 'prove', ...args], {
    cwd: deployment({ 'rules/boutique.yaml': RULES, 'rules/boutique.test.yaml': tests }),
  })

const END = `holds  no scope without a root in an issuer's scope or a grant
holds  no claim where the service does not list it (claims or ctx)
holds  no token outlives the one that it was made from
explored 4 tokens of 4 services by 3 exchanges, in chains of up to 2 requests
1 condition counted as possibly true: what holds, holds whatever they say; what fails may need them
  boutique/checkout <- boutique/frontend [corporate] when
`

describe('rules prove', () => {
  test('holds, with how much was explored', async () => {
    const run = await prove(HOLDS)
    assert.deepEqual([run.code, run.stderr], [0, ''])
    assert.equal(
      run.stdout,
      `holds  rules/boutique.test.yaml:3:5  never: boutique/frontend obtains payment:refund\n${END}`,
    )
  })

  test('a shortest counter-example, request by request', async () => {
    const run = await prove(FAILS)
    assert.deepEqual([run.code, run.stderr], [1, ''])
    assert.equal(
      run.stdout,
      `FAILS  rules/boutique.test.yaml:3:5  never: boutique/frontend obtains payment:charge
    which must not be: it takes a mailer to ruin a day
    0. a token of corporate for https://api.shop.example that brings shop:buy with email_verified: true
    1. boutique/frontend → boutique/checkout: checkout:place
    then boutique/frontend holds payment:charge for boutique/payment in embedded.payment of that token
holds  rules/boutique.test.yaml:4:5  never: boutique/payment sees email
FAILS  rules/boutique.test.yaml:5:5  never: boutique/* sees email
    0. a token of corporate for https://api.shop.example with email: "email"
    may hand it in, so boutique/frontend sees email in that token
    and so can boutique/checkout, boutique/mailer
${END}`,
    )
  })

  test('as journeys that `rules test` runs', async () => {
    const run = await prove(FAILS.replace('boutique/*, sees', 'mailer, sees'), '--journey')
    assert.equal(run.code, 1)
    assert.equal(
      run.stdout,
      `journeys:
  - name: 'never: boutique/frontend obtains payment:charge'
    subject:
      issuer: corporate
      aud: https://api.shop.example
      scope: shop:buy
      claims:
        email_verified: true
    hops:
      - caller: boutique/frontend
        request: {audience: boutique/checkout, scope: checkout:place}
        expect: {allow: {scope: checkout:place, embedded: {payment: payment:charge}}}
  - name: 'never: boutique/mailer sees email'
    subject:
      issuer: corporate
      aud: https://api.shop.example
      scope: shop:buy
      claims:
        email: email
        email_verified: true
    hops:
      - caller: boutique/frontend
        request: {audience: boutique/checkout, scope: checkout:place}
        expect: {allow: {scope: checkout:place}}
      - caller: boutique/checkout
        request: {audience: boutique/mailer, scope: mail:send}
        expect: {allow: {scope: mail:send, claims: [email]}}
`,
    )
    const tests = `namespace: boutique\n${run.stdout}`
    const cwd = deployment({ 'rules/boutique.yaml': RULES, 'rules/x.test.yaml': tests })
    const tested = await runCli(['rules', 'test'], { cwd })
    assert.match(tested.stdout, /^0 tests, 2 journeys, 0 failed$/m)
    assert.equal(tested.code, 0, tested.stdout)
  })

  test('a condition that nobody could make true stands as a comment', async () => {
    const rules = RULES.replace('.email_verified == true', '.a.b == [1, 2]')
    const cwd = deployment({ 'rules/boutique.yaml': rules, 'rules/boutique.test.yaml': FAILS })
    const assumed =
      'assuming that subject.claims.a.b == [1, 2] is true (boutique/checkout <- boutique/frontend [corporate] when)'
    const text = await runCli(['rules', 'prove'], { cwd })
    assert.ok(text.stdout.includes(`\n    ${assumed}\n`))
    const journeys = await runCli(['rules', 'prove', '--journey'], { cwd })
    assert.ok(journeys.stdout.startsWith(`journeys:\n  # ${assumed}\n  - name: 'never: `))
  })

  test('as JSON', async () => {
    const run = await prove(FAILS, '--json')
    const { ok, nevers, invariants, explored, conditions, problems } = JSON.parse(run.stdout)
    assert.deepEqual([run.code, ok, problems], [1, false, []])
    assert.deepEqual(
      nevers.map(({ file, line, column, holds }: Record<string, unknown>) => [
        file,
        line,
        column,
        holds,
      ]),
      [
        ['rules/boutique.test.yaml', 3, 5, false],
        ['rules/boutique.test.yaml', 4, 5, true],
        ['rules/boutique.test.yaml', 5, 5, false],
      ],
    )
    const [{ never, reason, counter_example: example }, , { counter_example: root }] = nevers
    assert.deepEqual(
      [never, reason],
      ['boutique/frontend obtains payment:charge', 'it takes a mailer to ruin a day'],
    )
    const { journey, ...rest } = example
    assert.deepEqual(rest, {
      requests: 1,
      holders: ['boutique/frontend'],
      inside: ['payment'],
      runs_as_written: true,
      assuming: [
        {
          predicate: 'boutique/checkout <- boutique/frontend [corporate] when',
          expression: 'subject.claims.email_verified == true',
          as: 'true',
        },
      ],
    })
    assert.equal(journey.hops.length, 1)
    assert.deepEqual([root.requests, root.journey], [0, null])
    assert.deepEqual(
      invariants.map(({ holds }: { holds: boolean }) => holds),
      [true, true, true],
    )
    assert.deepEqual(explored, { complete: true, tokens: 4, exchanges: 3, services: 4, depth: 2 })
    assert.deepEqual(conditions, ['boutique/checkout <- boutique/frontend [corporate] when'])
  })

  test('files that are named instead of those beside the rules', async () => {
    const cwd = deployment({
      'rules/boutique.yaml': RULES,
      'rules/boutique.test.yaml': FAILS,
      'more/x.test.yaml': HOLDS,
    })
    const run = await runCli(['rules', 'prove', 'more'], { cwd })
    assert.equal(run.code, 0)
    assert.match(
      run.stdout,
      /^holds {2}more\/x\.test\.yaml:3:5 {2}never: [^\n]*refund\nholds {2}no scope/,
    )
  })

  test('without any `never` what holds of all tokens is still proved', async () => {
    const run = await runCli(['rules', 'prove'], { cwd: deployment() })
    assert.equal(run.code, 0)
    assert.match(
      run.stdout,
      /^holds {2}no scope .*\n.*\n.*\nexplored 2 tokens of 2 services by 1 exchange, in chains of up to 1 request\n$/,
    )
    assert.equal((await runCli(['rules', 'prove', '--journey'], { cwd: deployment() })).stdout, '')
  })
})

describe('problems', () => {
  test('names that mean nothing, with their place and what was meant', async () => {
    const run = await prove(`namespace: boutique
never:
  - {caller: frontent, obtains: payment:charge}
  - {service: payment, sees: emial}
  - {service: payment, sees: passport}
`)
    assert.deepEqual([run.code, run.stdout], [1, ''])
    assert.deepEqual(run.stderr.trimEnd().split('\n'), [
      'rules/boutique.test.yaml:3:14: error: never[0].caller: no service boutique/frontent; did you mean `boutique/frontend`?',
      'rules/boutique.test.yaml:4:30: error: never[1].sees: no service lists the claim emial; did you mean `email`?',
      'rules/boutique.test.yaml:5:30: warning: never[2].sees: no service lists the claim passport',
    ])
  })
  test('a warning is told and what it is about is proved', async () => {
    const run = await prove('namespace: boutique\nnever:\n  - {service: payment, sees: passport}\n')
    assert.match(run.stderr, /: warning: never\[0\]\.sees/)
    assert.match(run.stdout, /^holds {2}.* never: boutique\/payment sees passport$/m)
    assert.equal(run.code, 0)
  })
  test('an entry of another form', async () => {
    const run = await prove(
      'namespace: boutique\nnever:\n  - {caller: frontend, obtain: payment:charge}\n',
    )
    assert.equal(run.code, 1)
    assert.match(run.stderr, /^rules\/boutique\.test\.yaml:3:\d+: error: never\[0\]/)
  })
  test('in the rules, and in the issuers file', async () => {
    const cwd = deployment({ 'rules/boutique.yaml': RULES_YAML.replace('calls:', 'cals:') })
    const run = await runCli(['rules', 'prove', '--json'], { cwd })
    assert.equal(run.code, 1)
    const { ok, problems } = JSON.parse(run.stdout)
    assert.deepEqual([ok, problems[0].path], [false, 'services.frontend.cals'])
    const issuers = deployment({ 'issuers.yaml': ISSUERS_YAML.replace('subject_prefix', 'prefix') })
    const other = await runCli(['rules', 'prove'], { cwd: issuers })
    assert.deepEqual([other.code, other.stdout], [1, ''])
    assert.match(other.stderr, /^issuers\.yaml:8:3: error/m)
  })
  test('wrong arguments', async () => {
    const run = await prove(HOLDS, '--json', '--journey')
    assert.deepEqual([run.code, run.stdout], [2, ''])
    assert.match(run.stderr, /--json has the journeys already/)
    assert.equal((await prove(HOLDS, '--jurney')).code, 2)
  })
})
